"""Collect what the stages left of an experiment's cells into its dataset."""

import importlib

from _job import job
from sparseact.study import store
from sparseact.study.cell import Cell, shared
from sparseact.study.experiments.grid import Settings

with job(snakemake) as params:
    cells = [Cell.from_dict(cell) for cell in params["cells"]]
    name = params["experiment"]

    def read(stage, cell):
        """What a stage left of a cell, cut to the cell's own rounds and trials."""
        path, kind = params["paths"][stage][cell.name], params["kinds"][stage]
        told = {"scenario": cell.scenario.name, "seed": params["seed"]}
        if stage in params["by_selection"]:
            told["selection"] = cell.selection
        return cell.cut(store.read(path, kind, **told), kind)

    experiment = importlib.import_module(f"sparseact.study.experiments.{name}")
    settings = Settings(tuple(params["quantiles"]), params["replicates"], params["seed"])
    dataset = experiment.collect(cells, read, settings, **params["options"])
    store.write(snakemake.output[0], name, dataset.variables, shared(cells))
