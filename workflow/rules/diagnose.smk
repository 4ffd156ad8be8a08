# diagnose: measure the coherence of the logs.
#   takes   results/simulate/<scenario>.nc
#   leaves  results/diagnose/<scenario>.nc


rule diagnose:
    input:
        **input_of("diagnose"),
    output:
        f"{RESULTS}/diagnose/{{cell}}.nc",
    log:
        f"{LOGS}/diagnose/{{cell}}.log",
    benchmark:
        f"{LOGS}/diagnose/{{cell}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        **needs_of("diagnose"),
    params:
        job=job_of("diagnose"),
    script:
        "../scripts/stage.py"
