# crate: pack a finished study for others, with its provenance.
#   takes   what `manifest` wrote down, and all that it names
#   leaves  results/crate.zip, a Workflow Run RO-Crate: sources, final datasets, report, manifest

# The files that configured this run, as far as they are part of the checkout.
CONFIGURED_BY = ["config/config.yaml", "config/claims.yaml"] + [
    path
    for path in (os.path.relpath(one) for one in workflow.overwrite_configfiles)
    if not path.startswith(os.pardir) and path != "config/config.yaml"
]


# Takes nothing, so that nothing is made again before it is looked at.
rule crate:
    log:
        f"{LOGS}/crate.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        job={
            "crate": f"{RESULTS}/crate.zip",
            # What must be as it was when the study ran …
            "now": NOW,
            # … and what travels: not the logs, nor what single jobs made of them.
            "contents": {
                "workflow": "Snakefile",
                "sources": [
                    *("CITATION.cff", "LICENSE", "README.md", "Makefile"),
                    *("environment.yml", "pyproject.toml", "requirements.lock"),
                    *("config", "docs", "notebooks", "src", "workflow"),
                ],
                "inputs": CONFIGURED_BY,
                "results": [
                    path for path, rule in MADE_BY.items() if rule not in KINDS
                ],
                "manifest": f"{RESULTS}/manifest.json",
                "volatile": f"{RESULTS}/manifest.volatile.json",
                "citation": "CITATION.cff",
            },
        },
    script:
        "../scripts/crate.py"
