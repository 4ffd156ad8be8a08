"""Simulated logs of one scenario, all trials together."""

from __future__ import annotations

import numpy as np

from sparseact.scenario import Scenario
from sparseact.simulate import simulate_trial
from sparseact.study.progress import reported
from sparseact.study.store import Arrays


def simulate_log(scenario: Scenario, n_rounds: int, trials: int, seed: int) -> Arrays:
    """All trials of a scenario, as the variables of a ``log`` dataset."""
    drawn = []
    for trial in reported(trials, "simulated"):
        drawn.append(simulate_trial(scenario, n_rounds, seed=seed, trial=trial))
    activations = "activation_bits" if scenario.design == "signed" else "action"
    smallest = np.min_scalar_type(scenario.n_actions - 1)
    return {
        "latent": np.stack([one.latents for one in drawn]),
        activations: np.stack([one.activations for one in drawn]),
        "reward": np.stack([one.rewards for one in drawn]),
        "support": np.stack([one.support for one in drawn]).astype(smallest),
        "weights": np.stack([one.weights for one in drawn]),
    }
