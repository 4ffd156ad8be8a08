"""Collect what the stages left of an experiment's cells into its dataset."""

import importlib

from _job import job
from sparseact.study import store
from sparseact.study.cell import Cell, joined, shared
from sparseact.study.experiments.grid import Settings
from sparseact.study.origin import provenance

with job(snakemake) as params:
    asked = params["configuration"]
    cells = [Cell.from_dict(cell) for cell in asked["cells"]]
    name = asked["experiment"]

    def read(stage, cell):
        """What a stage left of a cell, cut to the cell's own rounds and trials."""
        kind = params["kinds"][stage]
        pieces = [
            store.read(path, kind, origin) for path, origin in params["left"][stage][cell.name]
        ]
        return cell.cut(joined(pieces, kind), kind)

    experiment = importlib.import_module(f"sparseact.study.experiments.{name}")
    settings = Settings(tuple(asked["quantiles"]), asked["replicates"], asked["seed"])
    dataset = experiment.collect(cells, read, settings, **asked["options"])
    told = {**shared(cells), **asked["attributes"], **provenance(asked, params["code"])}
    store.write(snakemake.output[0], name, dataset.variables, told)
