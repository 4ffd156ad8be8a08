# bound: find the least error that any method can have.
#   takes   results/simulate/<scenario>.nc
#   leaves  results/bound/<scenario>.nc


rule bound:
    input:
        **input_of("bound"),
    output:
        f"{RESULTS}/bound/{{cell}}.nc",
    log:
        f"{LOGS}/bound/{{cell}}.log",
    benchmark:
        f"{LOGS}/bound/{{cell}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        **needs_of("bound"),
    params:
        job=job_of("bound"),
    script:
        "../scripts/stage.py"
