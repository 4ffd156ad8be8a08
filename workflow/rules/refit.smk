# refit: what the estimate on the selected actions is worth.
#   takes   results/simulate/<scenario>.nc and results/recover/<scenario>_<selection rule>.nc
#   leaves  results/refit/<scenario>_<selection rule>.nc   error and intervals
#           results/decide/<scenario>_<selection rule>.nc  regret of decisions on new states
#           results/dense/<scenario>.nc                    error of estimates without sparsity


rule refit:
    input:
        **input_of("refit"),
    output:
        f"{RESULTS}/refit/{{cell}}.nc",
    log:
        f"{LOGS}/refit/{{cell}}.log",
    benchmark:
        f"{LOGS}/refit/{{cell}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        **needs_of("refit"),
    params:
        job=job_of("refit"),
    script:
        "../scripts/stage.py"


rule decide:
    input:
        **input_of("decide"),
    output:
        f"{RESULTS}/decide/{{cell}}.nc",
    log:
        f"{LOGS}/decide/{{cell}}.log",
    benchmark:
        f"{LOGS}/decide/{{cell}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        **needs_of("decide"),
    params:
        job=job_of("decide"),
    script:
        "../scripts/stage.py"


rule dense:
    input:
        **input_of("dense"),
    output:
        f"{RESULTS}/dense/{{cell}}.nc",
    log:
        f"{LOGS}/dense/{{cell}}.log",
    benchmark:
        f"{LOGS}/dense/{{cell}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        **needs_of("dense"),
    params:
        job=job_of("dense"),
    script:
        "../scripts/stage.py"
