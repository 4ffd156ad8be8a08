# check: hold the datasets against what they must be whatever the data say.
#   takes   the datasets of all experiments
#   leaves  results/checks.json, the checks that held; a dataset that breaks one stops the workflow


rule check:
    input:
        expand(f"{RESULTS}/{{experiment}}.nc", experiment=EXPERIMENTS),
    output:
        checks=f"{RESULTS}/checks.json",
        receipt=receipt_of("check"),
    log:
        f"{LOGS}/check.log",
    benchmark:
        f"{LOGS}/check.tsv"
    conda:
        "../../environment.yml"
    resources:
        **needs_of("check"),
    params:
        job={
            "origins": origins_of(EXPERIMENTS),
            "code": code_of("check", "check.py", kinds=EXPERIMENTS),
        },
    script:
        "../scripts/check.py"
