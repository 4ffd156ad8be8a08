"""Do what a stage does to the trials of one cell."""

import importlib

from _job import job
from sparseact.study import store
from sparseact.study.cell import Cell

with job(snakemake) as params:
    cell = Cell.from_dict(params["cell"])
    whose = {"scenario": cell.scenario.name, "seed": params["seed"]}
    inputs = {}
    for kind, path in snakemake.input.items():
        told = whose if kind == "log" else {**whose, "selection": cell.selection}
        inputs[kind] = cell.cut(store.read(path, kind, **told), kind)
    stage = importlib.import_module(f"sparseact.study.stages.{params['stage']}")
    arrays = stage.run(cell, **inputs, **params["options"])
    told = {**whose, "selection": cell.selection} if cell.selection else whose
    store.write(snakemake.output[0], params["kind"], arrays, told)
