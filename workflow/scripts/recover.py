"""Recover the relevant actions in every trial of a scenario."""

from _job import job
from sparseact.scenario import Scenario
from sparseact.study import store
from sparseact.study.recovery import recover_log

with job(snakemake) as params:
    scenario = Scenario(**params["scenario"])
    recovery = recover_log(
        scenario,
        store.read(snakemake.input[0], "log", scenario=scenario.name, seed=params["seed"]),
        params["n_rounds"],
        params["trials"],
        params["selection"],
    )
    store.write(
        snakemake.output[0],
        "recovery",
        recovery,
        {
            "scenario": scenario.name,
            "selection": params["selection"],
            "seed": params["seed"],
        },
    )
