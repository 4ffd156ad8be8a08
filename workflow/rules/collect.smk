# collect: one dataset an experiment.
#   takes   results/recover/*.nc
#   leaves  results/phase_transition.nc and, from it, results/scaling_law.nc


rule phase_transition:
    input:
        expand(f"{RESULTS}/recover/{{cell}}.nc", cell=CELLS),
    output:
        f"{RESULTS}/phase_transition.nc",
    log:
        f"{LOGS}/phase_transition.log",
    benchmark:
        f"{LOGS}/phase_transition.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        job={
            "cells": [asdict(cell) for cell in CELLS.values()],
            "quantiles": STUDY.experiments.scaling_law.quantiles,
            "replicates": STUDY.experiments.scaling_law.bootstrap,
            "seed": STUDY.seed,
            "code": code_of(
                "phase_transition.py", kinds=["recovery", "phase_transition"]
            ),
        },
    script:
        "../scripts/phase_transition.py"


rule scaling_law:
    input:
        rules.phase_transition.output,
    output:
        f"{RESULTS}/scaling_law.nc",
    log:
        f"{LOGS}/scaling_law.log",
    benchmark:
        f"{LOGS}/scaling_law.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        job={
            "cells": [asdict(cell) for cell in CELLS.values()],
            "seed": STUDY.seed,
            "code": code_of(
                "scaling_law.py", kinds=["phase_transition", "scaling_law"]
            ),
        },
    script:
        "../scripts/scaling_law.py"
