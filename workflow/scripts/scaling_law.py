"""Fit the rival laws to the rounds needed."""

from _job import job
from sparseact.study import store
from sparseact.study.cell import Cell
from sparseact.study.experiments import scaling_law
from sparseact.study.origin import provenance

with job(snakemake) as params:
    asked = params["configuration"]
    cells = [Cell.from_dict(cell) for cell in asked["cells"]]
    collected = store.open_dataset(snakemake.input[0], "phase_transition", params["origin"])
    dataset = scaling_law.fit(collected, cells, seed=asked["seed"])
    made = provenance(asked, params["code"])
    store.write(snakemake.output[0], "scaling_law", dataset.variables, made)
