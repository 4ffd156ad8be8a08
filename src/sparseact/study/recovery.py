"""Recovery of one scenario: Block-OMP in every trial, after every number of rounds."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sparseact.omp import Selection, block_omp_nested
from sparseact.scenario import Scenario
from sparseact.simulate import design_of, simulate_trial
from sparseact.study.store import Arrays

log = logging.getLogger(__name__)


def simulate_log(scenario: Scenario, n_rounds: int, trials: int, seed: int) -> Arrays:
    """All trials of a scenario, as the variables of a ``log`` dataset."""
    drawn = []
    for trial in _reported(trials, "simulated"):
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


def recover_log(
    scenario: Scenario,
    stored: Mapping[str, npt.NDArray[Any]],
    n_rounds: Sequence[int],
    trials: int,
    selection: Selection,
) -> Arrays:
    """Block-OMP with k known on prefixes of a log, as the variables of a ``recovery`` dataset."""
    lengths = np.asarray(n_rounds, dtype=np.int32)
    k, end = scenario.sparsity, int(lengths[-1])
    selected = np.empty((trials, len(lengths), k), dtype=np.int32)
    least = np.empty((trials, len(lengths)), dtype=np.int32)
    activations = stored["activation_bits" if scenario.design == "signed" else "action"]
    for trial in _reported(trials, "recovered"):
        design = design_of(scenario, stored["latent"][trial, :end], activations[trial, :end])
        rewards = stored["reward"][trial, :end]
        found = block_omp_nested(design, rewards, lengths, k, selection=selection)
        selected[trial] = found.support
        used = design.activations_of(stored["support"][trial]) != 0
        least[trial] = np.cumsum(used, axis=0)[lengths - 1].min(axis=1)
    relevant = stored["support"][:trials, None, None, :].astype(np.int32)
    correct = (selected[:, :, :, None] == relevant).any(axis=3).sum(axis=2)
    return {
        "n_rounds": lengths,
        "exact_recovery": (correct == k).astype(np.uint8),
        "n_correct": correct.astype(np.int32),
        "least_coverage": least,
        "selected": selected,
    }


def _reported(trials: int, done: str) -> Any:
    """Count trials, and log at every tenth of the way."""
    for trial in range(trials):
        yield trial
        if (trial + 1) * 10 // trials > trial * 10 // trials:
            log.info("%s %d of %d trials", done, trial + 1, trials)
