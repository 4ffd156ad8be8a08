"""Draw all trials of a scenario."""

from _job import job
from sparseact.scenario import Scenario
from sparseact.study import store
from sparseact.study.simulation import simulate_log

with job(snakemake) as params:
    scenario = Scenario(**params["scenario"])
    log = simulate_log(scenario, params["n_rounds"], params["trials"], params["seed"])
    store.write(
        snakemake.output[0], "log", log, {"scenario": scenario.name, "seed": params["seed"]}
    )
