# recover: find the relevant actions in every trial, after every number of rounds.
#   takes   results/simulate/<scenario>.nc
#   leaves  results/recover/<scenario>_<selection rule>.nc


rule recover:
    input:
        lambda w: f"{RESULTS}/simulate/{CELLS[w.cell].scenario.name}.nc",
    output:
        f"{RESULTS}/recover/{{cell}}.nc",
    log:
        f"{LOGS}/recover/{{cell}}.log",
    benchmark:
        f"{LOGS}/recover/{{cell}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        job=lambda w: {
            "scenario": asdict(CELLS[w.cell].scenario),
            "selection": CELLS[w.cell].selection,
            "n_rounds": list(CELLS[w.cell].n_rounds),
            "trials": CELLS[w.cell].trials,
            "seed": STUDY.seed,
            "code": code_of("recover.py", kinds=["log", "recovery"]),
        },
    script:
        "../scripts/recover.py"
