"""Do what a stage does to the trials of one cell."""

import importlib

from _job import job
from sparseact.study import store
from sparseact.study.cell import Cell
from sparseact.study.origin import provenance

with job(snakemake) as params:
    asked = params["configuration"]
    cell = Cell.from_dict(asked["cell"])
    inputs = {
        kind: cell.cut(store.read(path, kind, params["origins"][kind]), kind)
        for kind, path in snakemake.input.items()
    }
    stage = importlib.import_module(f"sparseact.study.stages.{asked['stage']}")
    arrays = stage.run(cell, **inputs, **asked["options"])
    whose = {"scenario": cell.scenario.name, "seed": asked["seed"], "first_trial": cell.first}
    if cell.selection:
        whose["selection"] = cell.selection
    made = provenance(asked, params["code"])
    store.write(snakemake.output[0], params["kind"], arrays, {**whose, **made})
