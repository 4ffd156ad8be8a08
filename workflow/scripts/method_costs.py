"""Measure time and memory of the methods on this machine."""

from _job import job
from sparseact.study import machine, store
from sparseact.study.experiments import method_costs
from sparseact.study.origin import provenance

with job(snakemake) as params:
    asked = params["configuration"]
    arrays = method_costs.collect(**asked)
    # What is the same in all of them; no axis has a place for it.
    same = {name: value for name, value in asked["scenarios"][0].items() if name != "n_actions"}
    told = {**same, **machine.describe(), **provenance(asked, params["code"])}
    store.write(snakemake.output[0], "method_costs", arrays, told)
