# collect: one dataset an experiment.
#   takes   what the stages left of the experiment's cells
#   leaves  results/<experiment>.nc; results/scaling_law.nc comes from results/phase_transition.nc,
#           results/beyond.nc from those of the experiments past the theory

# What an experiment's collection needs to know besides its cells.
OPTIONS = {
    "logging_policy": {"judged": STUDY.experiments.logging_policy.judged_selection},
    "sparsity_necessity": {
        "relative_error": STUDY.experiments.sparsity_necessity.relative_error
    },
}

# What holds for all of an experiment besides its cells, as attributes of its dataset.
ATTRIBUTES = {
    "stopping": STUDY.experiments.stopping.model_dump(exclude={"grids"}),
}

for experiment, stages in STAGES.items():
    left = {
        stage: {
            cell.name: [
                path_at(stage, piece) for piece in cell.pieces(STUDY.trials_per_job)
            ]
            for cell in cells_at(stage, experiment)
        }
        for stage in stages
    }
    asked = {
        "experiment": experiment,
        "cells": [asdict(cell) for cell in CELLS[experiment]],
        "quantiles": STUDY.quantiles,
        "replicates": STUDY.bootstrap,
        "seed": STUDY.seed,
        "options": OPTIONS.get(experiment, {}),
        "attributes": ATTRIBUTES.get(experiment, {}),
    }
    code = code_of(
        f"collect_{experiment}",
        "collect.py",
        kinds=[*(KINDS[stage] for stage in stages), experiment],
        also=[f"study/experiments/{experiment}.py"],
    )
    ORIGINS[f"{RESULTS}/{experiment}.nc"] = origin(asked, code)

    rule:
        name:
            f"collect_{experiment}"
        input:
            [
                path
                for of_stage in left.values()
                for of_cell in of_stage.values()
                for path in of_cell
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
            **needs_of(f"collect_{experiment}"),
        params:
            job={
                "configuration": asked,
                "left": {
                    stage: {
                        name: [(path, ORIGINS[path]) for path in of_cell]
                        for name, of_cell in of_stage.items()
                    }
                    for stage, of_stage in left.items()
                },
                "kinds": {stage: KINDS[stage] for stage in stages},
                "code": code,
            },
        script:
            "../scripts/collect.py"


LAWS_ASKED = {
    "cells": [asdict(cell) for cell in CELLS["phase_transition"]],
    "seed": STUDY.seed,
}
LAWS_CODE = code_of(
    "scaling_law", "scaling_law.py", kinds=["phase_transition", "scaling_law"]
)
ORIGINS[f"{RESULTS}/scaling_law.nc"] = origin(LAWS_ASKED, LAWS_CODE)


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
        **needs_of("scaling_law"),
    params:
        job={
            "configuration": LAWS_ASKED,
            "origin": ORIGINS[f"{RESULTS}/phase_transition.nc"],
            "code": LAWS_CODE,
        },
    script:
        "../scripts/scaling_law.py"


# The experiments whose departures stand side by side.
PAST_THEORY = (
    "robustness",
    "approximate_sparsity",
    "dynamic_actions",
    "logging_policy",
    "stopping",
)
BEYOND_ASKED = {
    "origins": {name: ORIGINS[f"{RESULTS}/{name}.nc"] for name in PAST_THEORY}
}
BEYOND_CODE = code_of("beyond", "beyond.py", kinds=[*PAST_THEORY, "beyond"])
ORIGINS[f"{RESULTS}/beyond.nc"] = origin(BEYOND_ASKED, BEYOND_CODE)


rule beyond:
    input:
        **{name: f"{RESULTS}/{name}.nc" for name in PAST_THEORY},
    output:
        f"{RESULTS}/beyond.nc",
    log:
        f"{LOGS}/beyond.log",
    benchmark:
        f"{LOGS}/beyond.tsv"
    conda:
        "../../environment.yml"
    resources:
        **needs_of("beyond"),
    params:
        job={"configuration": BEYOND_ASKED, "code": BEYOND_CODE},
    script:
        "../scripts/beyond.py"
