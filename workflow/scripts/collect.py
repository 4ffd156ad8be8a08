"""Collect what the stages left of an experiment's cells into its dataset."""

import importlib

from _job import job, provenance
from sparseact.study import store
from sparseact.study.cell import Cell, joined, shared
from sparseact.study.experiments.grid import Settings

with job(snakemake) as params:
    asked = params["configuration"]
    cells = [Cell.from_dict(cell) for cell in asked["cells"]]
    name, seed = asked["experiment"], asked["seed"]

    def read(stage, cell):
        """What a stage left of a cell, cut to the cell's own rounds and trials."""
        kind, told = params["kinds"][stage], {"scenario": cell.scenario.name, "seed": seed}
        if stage in params["by_selection"]:
            told["selection"] = cell.selection
        pieces = [
            store.read(path, kind, first_trial=first, **told)
            for first, path in params["paths"][stage][cell.name].items()
        ]
        return cell.cut(joined(pieces, kind), kind)

    experiment = importlib.import_module(f"sparseact.study.experiments.{name}")
    settings = Settings(tuple(asked["quantiles"]), asked["replicates"], seed)
    dataset = experiment.collect(cells, read, settings, **asked["options"])
    told = {**shared(cells), **provenance(params)}
    store.write(snakemake.output[0], name, dataset.variables, told)
