"""Fit the rival laws to the rounds needed."""

from _job import job
from sparseact.study import store
from sparseact.study.cell import Cell
from sparseact.study.experiments import scaling_law

with job(snakemake) as params:
    cells = [Cell.from_dict(cell) for cell in params["cells"]]
    collected = store.open_dataset(snakemake.input[0], "phase_transition")
    dataset = scaling_law.fit(collected, cells, seed=params["seed"])
    store.write(snakemake.output[0], "scaling_law", dataset.variables)
