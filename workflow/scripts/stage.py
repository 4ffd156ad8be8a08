"""Do what a stage does to the trials of one cell."""

import importlib

from _job import job, provenance
from sparseact.study import store
from sparseact.study.cell import Cell

with job(snakemake) as params:
    asked = params["configuration"]
    cell = Cell.from_dict(asked["cell"])
    whose = {"scenario": cell.scenario.name, "seed": asked["seed"], "first_trial": cell.first}
    inputs = {}
    for kind, path in snakemake.input.items():
        told = whose if kind == "log" else {**whose, "selection": cell.selection}
        inputs[kind] = cell.cut(store.read(path, kind, **told), kind)
    stage = importlib.import_module(f"sparseact.study.stages.{asked['stage']}")
    arrays = stage.run(cell, **inputs, **asked["options"])
    if cell.selection:
        whose["selection"] = cell.selection
    store.write(snakemake.output[0], params["kind"], arrays, {**whose, **provenance(params)})
