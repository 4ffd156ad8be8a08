# judge: hold the claims against the datasets.
#   takes   config/claims.yaml and the datasets of all experiments, once they are checked
#   leaves  reports/claims.json


rule judge:
    input:
        claims="config/claims.yaml",
        checks=rules.check.output.checks,
        datasets=expand(f"{RESULTS}/{{experiment}}.nc", experiment=EXPERIMENTS),
    output:
        claims=f"{REPORTS}/claims.json",
        receipt=receipt_of("judge"),
    log:
        f"{LOGS}/judge.log",
    benchmark:
        f"{LOGS}/judge.tsv"
    conda:
        "../../environment.yml"
    resources:
        **needs_of("judge"),
    params:
        job={
            "origins": origins_of(EXPERIMENTS),
            "code": code_of("judge", "judge.py", kinds=EXPERIMENTS),
        },
    script:
        "../scripts/judge.py"
