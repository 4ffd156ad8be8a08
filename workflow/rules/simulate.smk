# simulate: draw the logs.
#   takes   a scenario, the number of trials and the study's seed
#   leaves  results/simulate/<scenario>.nc, all trials with the most rounds that anything asks for


rule simulate:
    output:
        f"{RESULTS}/simulate/{{cell}}.nc",
    log:
        f"{LOGS}/simulate/{{cell}}.log",
    benchmark:
        f"{LOGS}/simulate/{{cell}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        **needs_of("simulate"),
    params:
        job=job_of("simulate"),
    script:
        "../scripts/stage.py"
