"""Put the departures of several experiments side by side."""

from _job import job
from sparseact.study import store
from sparseact.study.experiments import beyond
from sparseact.study.origin import provenance

with job(snakemake) as params:
    asked = params["configuration"]
    datasets = {
        name: store.open_dataset(snakemake.input[name], name, origin)
        for name, origin in asked["origins"].items()
    }
    dataset = beyond.join(datasets)
    store.write(snakemake.output[0], "beyond", dataset.variables, provenance(asked, params["code"]))
