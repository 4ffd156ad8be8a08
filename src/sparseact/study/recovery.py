"""Recovery of one scenario: Block-OMP in every trial, after every number of rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sparseact.design import KhatriRaoDesign
from sparseact.omp import Selection, block_omp_nested
from sparseact.scenario import Scenario
from sparseact.simulate import Activations
from sparseact.study.progress import reported
from sparseact.study.store import Arrays


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
    for trial in reported(trials, "recovered"):
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


def design_of(
    scenario: Scenario, latents: npt.ArrayLike, activations: Activations
) -> KhatriRaoDesign:
    """The design of a simulated log, from its latents (T, d) and its stored activations."""
    if scenario.design == "signed":
        signs = np.unpackbits(activations, axis=1, count=scenario.n_actions).astype(np.float64)
        signs *= 2.0
        signs -= 1.0
        return KhatriRaoDesign(latents, signs)
    return KhatriRaoDesign.from_actions(latents, activations, scenario.n_actions)
