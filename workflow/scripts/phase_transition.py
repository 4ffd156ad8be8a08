"""Collect the recovery of all cells into `phase_transition`."""

from _job import job
from sparseact.study import phase_transition, store
from sparseact.study.cell import Cell

with job(snakemake) as params:
    cells = [Cell.from_dict(cell) for cell in params["cells"]]
    paths = dict(zip((cell.name for cell in cells), snakemake.input, strict=True))
    dataset = phase_transition.collect(
        cells,
        lambda cell: store.read(
            paths[cell.name],
            "recovery",
            scenario=cell.scenario.name,
            selection=cell.selection,
            seed=params["seed"],
        ),
        quantiles=params["quantiles"],
        replicates=params["replicates"],
        seed=params["seed"],
    )
    store.write(snakemake.output[0], "phase_transition", dataset.variables)
