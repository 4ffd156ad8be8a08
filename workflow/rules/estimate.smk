# estimate: tell what a study will cost, and learn it from a study that has run.
#   takes   workflow/costs.json, what a unit of work costs
#   leaves  a table on the terminal, beside what the study did cost if it has run; with MEASURE=1,
#           workflow/costs.json anew, from the benchmarks of this study


def stage_jobs():
    """Every job of the stages, by what it leaves: its rule, cell, benchmark and what it waits for."""
    for stage, pieces in AT.items():
        before = [
            one for one in ("simulate", NEEDS.get(stage)) if one not in (None, stage)
        ]
        for name, piece in pieces.items():
            yield path_at(stage, piece), {
                "rule": stage,
                "cell": asdict(piece),
                "benchmark": f"{LOGS}/{stage}/{name}.tsv",
                "after": [path_at(one, piece) for one in before],
            }


def single_jobs():
    """Every other job, in the order of the flow."""
    for experiment, stages in STAGES.items():
        left = [
            path_at(stage, piece)
            for stage in stages
            for cell in cells_at(stage, experiment)
            for piece in cell.pieces(STUDY.trials_per_job)
        ]
        yield f"collect_{experiment}", f"{LOGS}/{experiment}.tsv", left
    yield "scaling_law", f"{LOGS}/scaling_law.tsv", ["collect_phase_transition"]
    collected = [f"collect_{experiment}" for experiment in STAGES]
    yield "check", f"{LOGS}/check.tsv", [*collected, "scaling_law"]
    yield "judge", f"{LOGS}/judge.tsv", ["check"]
    for notebook in NOTEBOOKS:
        yield f"render_{notebook}", f"{LOGS}/render/{notebook}.tsv", ["judge"]
    yield "index", f"{LOGS}/index.tsv", [f"render_{notebook}" for notebook in NOTEBOOKS]
    yield "manifest", f"{LOGS}/manifest.tsv", ["index"]


rule estimate:
    log:
        f"{LOGS}/estimate.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        job=lambda w: {
            "jobs": {
                **dict(stage_jobs()),
                **{
                    rule: {"rule": rule, "benchmark": benchmark, "after": after}
                    for rule, benchmark, after in single_jobs()
                },
            },
            "study": STUDY.model_dump(mode="json", by_alias=True),
            "costs": COSTS_FILE,
            "measure": bool(os.environ.get("MEASURE")),
        },
    script:
        "../scripts/estimate.py"
