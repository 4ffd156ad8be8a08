# simulate: draw the logs.
#   takes   a scenario, the number of trials and the study's seed
#   leaves  results/simulate/<scenario>.nc, all trials with the most rounds that anything asks for


rule simulate:
    output:
        f"{RESULTS}/simulate/{{scenario}}.nc",
    log:
        f"{LOGS}/simulate/{{scenario}}.log",
    benchmark:
        f"{LOGS}/simulate/{{scenario}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        job=lambda w: {
            "scenario": asdict(SCENARIOS[w.scenario]),
            "n_rounds": max(cell.n_rounds[-1] for cell in uses_of(w.scenario)),
            "trials": max(cell.trials for cell in uses_of(w.scenario)),
            "seed": STUDY.seed,
            "code": code_of("simulate.py", kinds=["log"]),
        },
    script:
        "../scripts/simulate.py"
