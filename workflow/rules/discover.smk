# discover: which tools of a log of one's own matter, which can go, and which it cannot tell.
#   takes   the log that the configuration names under `discover`; nothing of the study
#   leaves  results/discovery.nc, .csv and .parquet; reports/discovery.html, .ipynb and figures

DISCOVERY = f"{RESULTS}/discovery.nc"
DISCOVERY_FIGURES = ("tool_effects", "tool_bounds")


rule discover:
    input:
        lambda _: require_log() and f"{REPORTS}/discovery.html",


if STUDY.discover is not None:
    DISCOVER_ASKED = STUDY.discover.model_dump(exclude_unset=True)
    DISCOVER_CODE = code_of("discover", "discover.py", kinds=["discovery"])
    ORIGINS[DISCOVERY] = origin(DISCOVER_ASKED, DISCOVER_CODE)

    rule discovery:
        input:
            [one for one in (STUDY.discover.path, STUDY.discover.catalogue) if one],
        # A log that cannot be used leaves what was found in it before.
        output:
            dataset=update(DISCOVERY),
            tables=update([f"{RESULTS}/discovery.csv", f"{RESULTS}/discovery.parquet"]),
        log:
            f"{LOGS}/discovery.log",
        conda:
            "../../environment.yml"
        # The log as it is kept, and what is computed from it, a few times over.
        resources:
            mem_mb=lambda w, attempt: 4000 * attempt,
            runtime=lambda w, attempt: 30 * attempt,
        params:
            job={"configuration": DISCOVER_ASKED, "code": DISCOVER_CODE},
        script:
            "../scripts/discover.py"

    rule discovery_page:
        input:
            notebook="notebooks/discovery.ipynb",
            datasets=[DISCOVERY],
        output:
            notebook=update(f"{REPORTS}/discovery.ipynb"),
            page=update(f"{REPORTS}/discovery.html"),
            pictures=update(
                expand(
                    f"{REPORTS}/figures/{{figure}}.{{suffix}}",
                    figure=DISCOVERY_FIGURES,
                    suffix=FORMATS,
                )
            ),
            receipt=update(receipt_of("discovery_page")),
        log:
            f"{LOGS}/render/discovery.log",
        conda:
            "../../environment.yml"
        resources:
            mem_mb=lambda w, attempt: 2000 * attempt,
            runtime=lambda w, attempt: 10 * attempt,
        params:
            job={
                "title": "Which tools matter",
                "parameters": {"results": RESULTS, "reports": REPORTS},
                "index": None,
                "origins": {"discovery": ORIGINS[DISCOVERY]},
                "code": code_of(
                    "discovery_page",
                    "render.py",
                    kinds=["discovery"],
                    also=[
                        *TEMPLATES,
                        "discovery/words.py",
                        "study/figures.py",
                        "study/prose.py",
                    ],
                ),
            },
        script:
            "../scripts/render.py"
