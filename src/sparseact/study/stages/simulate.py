"""simulate: draw the logs of a scenario, all trials together."""

from __future__ import annotations

import numpy as np

from sparseact.simulate import simulate_trials
from sparseact.study.cell import Cell
from sparseact.study.progress import reported
from sparseact.study.store import Arrays

# Trials at a time, where rounds depend on those before them.
SIDE_BY_SIDE = 250


def run(cell: Cell, *, seed: int) -> Arrays:
    """Trials of a scenario with the most rounds asked for, as a ``log`` dataset."""
    scenario, drawn = cell.scenario, []
    size = SIDE_BY_SIDE if scenario.policy == "greedy" else 1
    for i in reported(cell.trials, "simulated"):
        if i % size == 0:
            trials = range(cell.first + i, cell.first + min(i + size, cell.trials))
            drawn += simulate_trials(scenario, cell.n_rounds[-1], seed=seed, trials=trials)
    activations = "activation_bits" if scenario.design == "signed" else "action"
    smallest = np.min_scalar_type(scenario.n_actions - 1)
    log = {
        "latent": np.stack([one.latents for one in drawn]),
        activations: np.stack([one.activations for one in drawn]),
        "reward": np.stack([one.rewards for one in drawn]),
        "support": np.stack([one.support for one in drawn]).astype(smallest),
        "weights": np.stack([one.weights for one in drawn]),
    }
    if scenario.n_decoys:
        log["decoy"] = np.stack([one.decoys for one in drawn]).astype(smallest)
    if scenario.scarce_after:
        log["scarce"] = np.array([one.scarce for one in drawn], dtype=smallest)
    if scenario.tail != "none":
        log["tail_weights"] = np.stack([one.tail for one in drawn if one.tail is not None])
    if scenario.arrives_after:
        log["late"] = np.stack([one.late for one in drawn]).astype(smallest)
        log["newcomer"] = np.array([one.newcomer for one in drawn], dtype=smallest)
    return log
