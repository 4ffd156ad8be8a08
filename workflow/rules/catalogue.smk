# catalogue: a real catalogue of tools, and what an agent's logs would tell of it.
#   takes   the wheel that workflow/catalogue.txt pins, which pip fetches
#   leaves  resources/tool_catalogue.json, its data files, or why there are none
#           results/tool_catalogue.nc, without numbers if there are none

PINNED = "workflow/catalogue.txt"
# Shared by all studies of a checkout, and kept until it is removed by hand.
FETCHED = "resources/tool_catalogue.json"

MEMBERS = {name: f"{FOLDER}{name}" for one in SETS for name in names_of(one)}

# What could not be had before is tried again; if it can be had now, all that follows is made anew.
if (
    workflow.is_main_process
    and not workflow.output_settings.dryrun
    and was_skipped(FETCHED)
):
    try:
        keep(FETCHED, PINNED, MEMBERS)
    except NotFetchedError as error:
        print(f"tool_catalogue is skipped: {error}", file=sys.stderr)
    except FetchError as error:
        raise WorkflowError(str(error)) from None


rule fetch_catalogue:
    input:
        PINNED,
    output:
        FETCHED,
    log:
        f"{LOGS}/fetch_catalogue.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=600,
        runtime=10,
    params:
        # Not the code: what is kept needs the network to be had again.
        job={"members": MEMBERS},
    script:
        "../scripts/fetch_catalogue.py"


CATALOGUE_ASKED = {
    **STUDY.tool_catalogue.model_dump(),
    "seed": STUDY.seed,
    "pinned": Path(workflow.basedir, PINNED).read_text(),
}
CATALOGUE_CODE = code_of(
    "tool_catalogue", "tool_catalogue.py", kinds=["tool_catalogue"]
)
ORIGINS[f"{RESULTS}/tool_catalogue.nc"] = origin(CATALOGUE_ASKED, CATALOGUE_CODE)


rule tool_catalogue:
    input:
        FETCHED,
    output:
        f"{RESULTS}/tool_catalogue.nc",
    log:
        f"{LOGS}/tool_catalogue.log",
    benchmark:
        f"{LOGS}/tool_catalogue.tsv"
    conda:
        "../../environment.yml"
    resources:
        **needs_of("tool_catalogue"),
    params:
        job={"configuration": CATALOGUE_ASKED, "code": CATALOGUE_CODE},
    script:
        "../scripts/tool_catalogue.py"
