# manifest: write down what the study left, and hold it against that.
#   takes   everything: the files of all stages, the datasets, the report
#   leaves  results/manifest.json: each file's digest, values and origin; the digests of the lock,
#           the claims and the notebooks; the whole configuration
#           results/manifest.volatile.json: when, where and in which environment it was made, and
#           the same of each file that is volatile

# Rules that leave files which do not tell themselves whose they are.
RECEIPTS = {
    one: receipt_of(one)
    for one in (
        "check",
        "judge",
        *(f"render_{notebook}" for notebook in NOTEBOOKS),
        "index",
    )
}
# Every file that the study leaves, volatile or not, and the rule that makes it.
MADE_BY = {
    **{path_at(stage, piece): stage for stage, piece in PIECES},
    **{f"{RESULTS}/{experiment}.nc": f"collect_{experiment}" for experiment in STAGES},
    f"{RESULTS}/scaling_law.nc": "scaling_law",
    f"{RESULTS}/beyond.nc": "beyond",
    f"{RESULTS}/tool_catalogue.nc": "tool_catalogue",
    **{dataset_of(one): one for one in TIMED},
    f"{RESULTS}/checks.json": "check",
    f"{REPORTS}/claims.json": "judge",
    **{
        f"{within(REPORTS, notebook)}/{name}": f"render_{notebook}"
        for notebook, of_notebook in NOTEBOOKS.items()
        for name in (
            f"{notebook}.ipynb",
            f"{notebook}.html",
            *(
                f"figures/{figure}.{suffix}"
                for figure in of_notebook["figures"]
                for suffix in FORMATS
            ),
        )
    },
    f"{REPORTS}/index.html": "index",
    f"{REPORTS}/claims.html": "index",
    **{receipt: one for one, receipt in RECEIPTS.items()},
}


rule manifest:
    input:
        sources=[
            "requirements.lock",
            "config/claims.yaml",
            *(f"notebooks/{notebook}.ipynb" for notebook in NOTEBOOKS),
        ],
        artefacts=list(MADE_BY),
    output:
        manifest=f"{RESULTS}/manifest.json",
        volatile=f"{RESULTS}/manifest.volatile.json",
    log:
        f"{LOGS}/manifest.log",
    benchmark:
        f"{LOGS}/manifest.tsv"
    conda:
        "../../environment.yml"
    resources:
        **needs_of("manifest"),
    params:
        job={
            "configuration": STUDY.model_dump(mode="json"),
            "made_by": MADE_BY,
            "code_digests": CODE,
            "origins": ORIGINS,
            "receipts": RECEIPTS,
            "logs": LOGS,
            "code": code_of("manifest", "manifest.py", kinds=KINDS.values()),
        },
    script:
        "../scripts/manifest.py"


# What a study that ran now would be made by.
NOW = {
    "configuration": STUDY.model_dump(mode="json"),
    "code_digests": {rule: CODE[rule] for rule in MADE_BY.values()},
}


# Takes nothing, so that nothing is made again before it is looked at.
rule verify:
    log:
        f"{LOGS}/verify.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=600,
        runtime=20,
    params:
        job={
            "manifest": f"{RESULTS}/manifest.json",
            "against": os.environ.get("AGAINST", ""),
            "now": NOW,
        },
    script:
        "../scripts/verify.py"
