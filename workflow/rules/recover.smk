# recover: find the relevant actions in every trial, after every number of rounds.
#   takes   results/simulate/<scenario>.nc
#   leaves  results/recover/<scenario>_<selection rule>.nc  by Block-OMP
#           results/rival/<scenario>_<method>.nc            by any method, and what that is worth
#           results/detect/<scenario>_<selection rule>.nc   both errors about a scarce action
#           results/stop/<scenario>_<selection rule>.nc     what stopping rules keep of a path
#           results/follow/<scenario>_<selection rule>.nc   a log followed as it grows


rule recover:
    input:
        **input_of("recover"),
    output:
        f"{RESULTS}/recover/{{cell}}.nc",
    log:
        f"{LOGS}/recover/{{cell}}.log",
    benchmark:
        f"{LOGS}/recover/{{cell}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        **needs_of("recover"),
    params:
        job=job_of("recover"),
    script:
        "../scripts/stage.py"


rule rival:
    input:
        **input_of("rival"),
    output:
        f"{RESULTS}/rival/{{cell}}.nc",
    log:
        f"{LOGS}/rival/{{cell}}.log",
    benchmark:
        f"{LOGS}/rival/{{cell}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        **needs_of("rival"),
    params:
        job=job_of("rival"),
    script:
        "../scripts/stage.py"


rule detect:
    input:
        **input_of("detect"),
    output:
        f"{RESULTS}/detect/{{cell}}.nc",
    log:
        f"{LOGS}/detect/{{cell}}.log",
    benchmark:
        f"{LOGS}/detect/{{cell}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        **needs_of("detect"),
    params:
        job=job_of("detect"),
    script:
        "../scripts/stage.py"


rule stop:
    input:
        **input_of("stop"),
    output:
        f"{RESULTS}/stop/{{cell}}.nc",
    log:
        f"{LOGS}/stop/{{cell}}.log",
    benchmark:
        f"{LOGS}/stop/{{cell}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        **needs_of("stop"),
    params:
        job=job_of("stop"),
    script:
        "../scripts/stage.py"


rule follow:
    input:
        **input_of("follow"),
    output:
        f"{RESULTS}/follow/{{cell}}.nc",
    log:
        f"{LOGS}/follow/{{cell}}.log",
    benchmark:
        f"{LOGS}/follow/{{cell}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        **needs_of("follow"),
    params:
        job=job_of("follow"),
    script:
        "../scripts/stage.py"
