"""The greedy loop of Block-OMP: score, select, project."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from sparseact.design import BlockDesign, Floats, Ints
from sparseact.residuals import Residuals
from sparseact.rules import RULES, Selection
from sparseact.threads import serial_blas

StopReason = Literal["n_select", "residual", "exact_fit", "no_candidates"]
# Support (m,), weights (m, d) or None if short of rank, norms (m + 1,), and why it stopped.
Found = tuple[Ints, Floats | None, Floats, StopReason]
# Whether a path of such norms (m + 1,) is long enough.
Enough = Callable[[Floats], bool]

# Scores closer than this (relative) are ties: sums of T products differ by rounding, not by signal.
TIE = 1e-10
# A residual below this share of the rewards' norm is zero to working precision.
EXACT = 1e-12


@serial_blas()
def greedy(
    design: BlockDesign,
    rewards: Floats,
    lengths: Ints,
    n_select: int,
    residual_tol: float,
    selection: Selection,
    history: Floats | None = None,
    enough: Enough | None = None,
) -> tuple[Ints, Floats, tuple[StopReason, ...], Residuals]:
    """Block-OMP on the first ``lengths[i]`` (p,) rounds of a log for every i at once.

    Supports (p, n_select), -1 after an early stop; norms (p, n_select + 1), NaN after it; why each
    stopped; and the residuals in the end. Of a dense log the residual before each step and in the
    end, of the first prefix, is left in ``history`` (n_select + 1, T). It ends with the first step
    after which the norms (m + 1,) of the first prefix are ``enough``.
    """
    p = len(lengths)
    each = np.arange(p)
    state = Residuals(design, rewards, lengths)
    rule = RULES[selection](design, state)
    norms = np.full((p, n_select + 1), np.nan)
    norms[:, 0] = state.norms()
    chosen = np.empty((p, n_select), dtype=np.intp)
    support = np.full((p, n_select), -1, dtype=np.intp)
    running = np.ones(p, dtype=bool)
    if history is not None:
        history[0] = rewards
    reasons: list[StopReason] = ["n_select"] * p

    def stop(which: npt.NDArray[np.bool_], reason: StopReason) -> None:
        for i in np.flatnonzero(which & running):
            reasons[i] = reason
        running[which] = False

    for step in range(n_select):
        stop(norms[:, step] <= residual_tol, "residual")
        stop(norms[:, step] <= EXACT * norms[:, 0], "exact_fit")
        if not running.any():
            break
        rule.scores[each[:, None], chosen[:, :step]] = 0.0
        best = first_best(rule.scores)
        fresh, rank = state.select(best)
        # A best block that lies in the span already means that none has anything left to offer.
        stop((rule.scores[each, best] <= 0) | (rank == 0), "no_candidates")
        support[running, step] = best[running]
        norms[running, step + 1] = state.norms()[running]
        if history is not None:
            history[step + 1] = state.residuals[0] * state.unit
        if enough is not None and enough(norms[0, : step + 2]):
            break
        chosen[:, step] = best  # stopped prefixes ride along, and nothing of them is recorded
        if step + 1 < n_select:
            rule.update(best, fresh, n_select - step - 2)
    return support, norms, tuple(reasons), state


@serial_blas()
def greedy_alone(
    design: BlockDesign,
    rewards: Floats,
    n_select: int,
    residual_tol: float,
    selection: Selection,
    history: Floats | None = None,
) -> Found:
    """Block-OMP on all rounds of a log."""
    lengths = np.array([design.n_rounds])
    supports, norms, reasons, state = greedy(
        design, rewards, lengths, n_select, residual_tol, selection, history
    )
    support = supports[0, supports[0] >= 0]
    return support, state.weights(len(support)), norms[0, : len(support) + 1], reasons[0]


def first_best(scores: Floats) -> Ints:
    """(p,) lowest index among the (relative) ties for the highest of scores (p, M)."""
    highest = scores.max(axis=1, keepdims=True)
    return (scores >= highest * (1 - TIE)).argmax(axis=1)
