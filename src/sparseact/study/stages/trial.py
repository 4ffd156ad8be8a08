"""What the stages share: a trial of a stored log, ready to be analysed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparseact.design import Floats, Ints, KhatriRaoDesign
from sparseact.scenario import Scenario
from sparseact.simulate import Activations
from sparseact.study.cell import Cell
from sparseact.study.progress import reported
from sparseact.study.store import Arrays


@dataclass(frozen=True)
class Trial:
    """A log of T rounds and the truth behind it: support (k,) and its weights (k, d).

    Where the other actions have small effects, ``tail`` (M, d) holds them, with 0 on the support.
    """

    number: int
    design: KhatriRaoDesign
    rewards: Floats
    support: Ints
    weights: Floats
    scarce: int | None
    tail: Floats | None = None
    newcomer: int | None = None

    def effects(self) -> Floats:
        """(m, d) weights of the actions that have an effect: k of them, or all with a tail."""
        return self.weights if self.tail is None else self.all_weights()

    def all_weights(self) -> Floats:
        """W* (M, d)."""
        weights = np.zeros((self.design.n_blocks, self.design.block_size))
        if self.tail is not None:
            weights += self.tail
        weights[self.support] = self.weights
        return weights

    def grams(self, lengths: npt.NDArray[np.integer[Any]]) -> tuple[Floats, Floats]:
        """``ΨᵀΨ`` (p, Md, Md) and ``Ψᵀr`` (p, Md) over each prefix, for small M."""
        psi = self.design.to_dense()
        starts = np.concatenate([[0], lengths[:-1]])
        parts = [psi[a:b] for a, b in zip(starts, lengths, strict=True)]
        rewards = [self.rewards[a:b] for a, b in zip(starts, lengths, strict=True)]
        gram = np.cumsum([part.T @ part for part in parts], axis=0)
        projection = [part.T @ r for part, r in zip(parts, rewards, strict=True)]
        return gram, np.cumsum(projection, axis=0)


def replay(cell: Cell, log: Arrays, verb: str) -> Iterator[Trial]:
    """A cell's trials from a ``log`` dataset, with its most rounds and progress in the log file."""
    scenario, n_rounds = cell.scenario, cell.n_rounds[-1]
    activations = log["activation_bits" if scenario.design == "signed" else "action"]
    for i in reported(cell.trials, verb):
        yield Trial(
            i,
            design_of(
                scenario,
                log["latent"][i, :n_rounds],
                activations[i, :n_rounds],
                log["late"][i] if "late" in log else None,
            ),
            log["reward"][i, :n_rounds],
            log["support"][i].astype(np.intp),
            log["weights"][i],
            int(log["scarce"][i]) if "scarce" in log else None,
            log["tail_weights"][i] if "tail_weights" in log else None,
            int(log["newcomer"][i]) if "newcomer" in log else None,
        )


def recovered(selected: npt.NDArray[np.int32], support: npt.NDArray[Any]) -> Arrays:
    """What selected actions (trial, n_rounds, k) are worth, given the supports (trial, k)."""
    relevant = support[:, None, None, :].astype(np.int32)
    correct = (selected[:, :, :, None] == relevant).any(axis=3).sum(axis=2)
    return {
        "exact_recovery": (correct == selected.shape[2]).astype(np.uint8),
        "n_correct": correct.astype(np.int32),
        "selected": selected,
    }


def design_of(
    scenario: Scenario,
    latents: npt.ArrayLike,
    activations: Activations,
    late: npt.NDArray[np.integer[Any]] | None = None,
) -> KhatriRaoDesign:
    """The design of a simulated log, from its latents (T, d) and its stored activations.

    ``late`` actions have activation 0 before they appear.
    """
    if scenario.design == "signed":
        signs = np.unpackbits(activations, axis=1, count=scenario.n_actions).astype(np.float64)
        signs *= 2.0
        signs -= 1.0
        if late is not None:
            signs[: scenario.arrives_after, late] = 0.0
        return KhatriRaoDesign(latents, signs)
    return KhatriRaoDesign.from_actions(latents, activations, scenario.n_actions)
