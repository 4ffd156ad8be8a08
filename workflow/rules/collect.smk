# collect: one dataset an experiment.
#   takes   what the stages left of the experiment's cells
#   leaves  results/<experiment>.nc; results/scaling_law.nc comes from results/phase_transition.nc

# What an experiment's collection needs to know besides its cells.
OPTIONS = {
    "sparsity_necessity": {
        "relative_error": STUDY.experiments.sparsity_necessity.relative_error
    },
}

for experiment, stages in STAGES.items():
    paths = {
        stage: {
            cell.name: {
                piece.first: path_at(stage, piece)
                for piece in cell.pieces(STUDY.trials_per_job)
            }
            for cell in cells_at(stage, experiment)
        }
        for stage in stages
    }

    rule:
        name:
            f"collect_{experiment}"
        input:
            [
                path
                for of_stage in paths.values()
                for of_cell in of_stage.values()
                for path in of_cell.values()
            ],
        output:
            f"{RESULTS}/{experiment}.nc",
        log:
            f"{LOGS}/{experiment}.log",
        benchmark:
            f"{LOGS}/{experiment}.tsv"
        conda:
            "../../environment.yml"
        resources:
            mem_mb=1500,
            runtime=30,
        params:
            job={
                "configuration": {
                    "experiment": experiment,
                    "cells": [asdict(cell) for cell in CELLS[experiment]],
                    "quantiles": STUDY.quantiles,
                    "replicates": STUDY.bootstrap,
                    "seed": STUDY.seed,
                    "options": OPTIONS.get(experiment, {}),
                },
                "paths": paths,
                "kinds": {stage: KINDS[stage] for stage in stages},
                "by_selection": [stage for stage in stages if stage in BY_SELECTION],
                "code": code_of(
                    f"collect_{experiment}",
                    "collect.py",
                    kinds=[*(KINDS[stage] for stage in stages), experiment],
                    also=[f"study/experiments/{experiment}.py"],
                ),
            },
        script:
            "../scripts/collect.py"


rule scaling_law:
    input:
        f"{RESULTS}/phase_transition.nc",
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
            "configuration": {
                "cells": [asdict(cell) for cell in CELLS["phase_transition"]],
                "seed": STUDY.seed,
            },
            "code": code_of(
                "scaling_law",
                "scaling_law.py",
                kinds=["phase_transition", "scaling_law"],
            ),
        },
    script:
        "../scripts/scaling_law.py"
