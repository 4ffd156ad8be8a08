"""Expose the tools of a real catalogue in simulated logs, and discover which of them matter."""

from pathlib import Path

from _job import job
from sparseact.catalogue.read import read
from sparseact.study import fetch, store
from sparseact.study.experiments.tool_catalogue import Asked, collect, nothing
from sparseact.study.origin import provenance

with job(snakemake) as params:
    configuration = params["configuration"]
    path = snakemake.input[0]
    files, why = fetch.kept(Path(path).read_text(encoding="utf-8"))
    asked = Asked(**{name: configuration[name] for name in Asked.__dataclass_fields__})
    told = provenance(configuration, params["code"])
    if why:
        dataset = nothing(asked)
        told["skipped"] = f"the catalogue of tools could not be fetched: {why}"
    else:
        dataset = collect(read(files, configuration["sets"]), asked, configuration["seed"])
        told["source"] = "Berkeley Function Calling Leaderboard, Apache-2.0"
        told["source_sha256"] = store.sha256(path)
    store.write(snakemake.output[0], "tool_catalogue", dataset.variables, told)
