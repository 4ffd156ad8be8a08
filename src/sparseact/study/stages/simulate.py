"""simulate: draw the logs of a scenario, all trials together."""

from __future__ import annotations

import numpy as np

from sparseact.simulate import simulate_trial
from sparseact.study.cell import Cell
from sparseact.study.progress import reported
from sparseact.study.store import Arrays


def run(cell: Cell, *, seed: int) -> Arrays:
    """Trials of a scenario with the most rounds asked for, as a ``log`` dataset."""
    scenario, drawn = cell.scenario, []
    for i in reported(cell.trials, "simulated"):
        drawn.append(simulate_trial(scenario, cell.n_rounds[-1], seed=seed, trial=cell.first + i))
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
    if scenario.arrives_after:
        log["late"] = np.stack([one.late for one in drawn]).astype(smallest)
        log["newcomer"] = np.array([one.newcomer for one in drawn], dtype=smallest)
    return log
