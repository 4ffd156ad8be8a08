# estimate: tell what a study will cost, and learn it from a study that has run.
#   takes   workflow/costs.json, what a unit of work costs
#   leaves  a table on the terminal, beside what the study did cost if it has run; with MEASURE=1,
#           workflow/costs.json anew, from the benchmarks of this study


rule estimate:
    log:
        f"{LOGS}/estimate.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        job=lambda w: {
            "jobs": jobs(),
            "study": STUDY.model_dump(mode="json", by_alias=True),
            "costs": COSTS_FILE,
            "profile": "workflow/profiles/slurm/config.yaml",
            "measure": bool(os.environ.get("MEASURE")),
        },
    script:
        "../scripts/estimate.py"
