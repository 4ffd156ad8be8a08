"""Contextual Block-OMP: greedy selection of the actions that explain the rewards.

One kernel works on all prefixes of a log at once (:func:`block_omp_nested`), because a study asks
for the same recovery after 50, 60, 70 … rounds; :func:`block_omp` is the case of one prefix.

The residual is kept by projecting off an orthonormal basis of the selected blocks (block
Gram–Schmidt, applied twice, with a rank check), so no normal equations are solved; the weights are
read off the same triangular factor. After the first pass over the log, a selection changes the
residual only where a selected action was used, and only those rounds are touched again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt

from sparseact.arguments import LARGEST, instance, integer, numbers, one_of, real
from sparseact.design import BlockDesign, Floats, Ints, prefix_lengths
from sparseact.fast import recover, solve
from sparseact.greedy import StopReason, greedy, greedy_alone
from sparseact.inference import smallest_weights
from sparseact.rules import Selection
from sparseact.stopping import Log, StoppingRule
from sparseact.threads import serial_blas

# Steps of the first path that a stopping rule looks at.
_STEPS = 8


@dataclass(frozen=True)
class BlockOMPResult:
    """What Block-OMP found.

    Attributes
    ----------
    support : int array (m,)
        Selected actions, in the order of selection; any prefix of it is the answer of stopping
        earlier.
    weights : array (m, d)
        Least-squares weights on the support; the smallest such where they are not unique.
    residual_norms : array (m + 1,)
        ``‖u_0‖ … ‖u_m‖``, in units of the reward.
    stop_reason : str
        ``n_select``: as many as asked for; ``residual``: the norm fell to ``residual_tol``;
        ``exact_fit``: the residual is zero to working precision; ``no_candidates``: no remaining
        action can lower the residual; ``n_rounds``: a stopping rule kept as many as half of the
        rounds can tell; or the ``name`` of the stopping rule.
    rank : int
        Rank of the selected blocks together; below m·d the weights are not identified.
    undiscoverable : int array
        Actions never used in the log, about which it cannot say anything.
    """

    support: Ints
    weights: Floats
    residual_norms: Floats
    stop_reason: str
    rank: int
    undiscoverable: Ints


@dataclass(frozen=True)
class NestedResult:
    """What Block-OMP found after each number of rounds.

    Attributes
    ----------
    n_rounds : int array (p,)
    support : int array (p, n_select)
        In the order of selection, -1 after an early stop.
    residual_norms : array (p, n_select + 1)
        NaN after an early stop.
    stop_reason : tuple of p str
    """

    n_rounds: Ints
    support: Ints
    residual_norms: Floats
    stop_reason: tuple[StopReason, ...]


def block_omp(
    design: BlockDesign,
    rewards: npt.ArrayLike,
    n_select: int | None = None,
    *,
    residual_tol: float | None = None,
    selection: Selection = "correlation",
    stopping: StoppingRule | None = None,
) -> BlockOMPResult:
    """Recover the actions that matter, greedily (Contextual Block-OMP).

    Parameters
    ----------
    design : KhatriRaoDesign
        The log's design, T rounds of M actions with latent dimension d.
    rewards : array (T,)
        The model has no constant: where rewards have a baseline, take it off first, with
        :class:`~sparseact.partialled.Partialled`.
    n_select : int, optional
        k, the number of actions to select; with a stopping rule, at most. Without it, selection
        goes on until ``residual_tol`` or ``stopping`` ends it.
    residual_tol : float, optional
        Stop as soon as the residual's norm (not its square) is at most this.
    selection : {"correlation", "whitened", "least_squares"}
        The score of a block: ``‖Ψ_jᵀu‖`` (the paper's), ``‖(Ψ_jᵀΨ_j)^{-1/2} Ψ_jᵀu‖`` (Group-OMP on
        orthonormalised blocks), or the drop of the squared residual if the block were added.
        Where actions were used unequally often, ``whitened`` does not favour the frequent ones.
    stopping : StoppingRule, optional
        How many actions to keep where k is not known, such as ``NoiseTest(alpha=0.01)`` or
        ``EBIC()``: see :mod:`sparseact.stopping`. Without ``n_select``, at most as many as have
        half as many weights as there are rounds.

    Returns
    -------
    BlockOMPResult

    Raises
    ------
    ValueError
        If the rewards do not fit the design, are not finite or above 1e30, a parameter is out of
        range, or nothing says when to stop.
    TypeError
        If ``design`` is not a design, ``n_select`` not an integer, or ``stopping`` no rule.

    Notes
    -----
    Scores equal to within 1e-10 (relative) are ties and go to the lowest index. A block whose
    energy lies in the span of those selected but for a share of 1e-10 has nothing left to offer.
    """
    y = _check(design, rewards, n_select, selection)
    if stopping is None:
        check_stopping(n_select, residual_tol)
    else:
        instance(stopping, StoppingRule, "stopping")
    tol = -1.0 if residual_tol is None else real(residual_tol, "residual_tol", low=0)
    most = design.n_blocks if n_select is None else n_select
    reason: str
    if stopping is None:
        support, weights, norms, reason = solve(design, y, most, tol, selection)
    else:
        support, weights, norms, reason = _kept(stopping, Log(design, y, selection), n_select, tol)
    if n_select is None and reason == "n_select":
        reason = "no_candidates"  # every action was selected
    rank = len(support) * design.block_size
    if weights is None:
        with serial_blas():
            weights, rank = smallest_weights(design, y, support)
    return BlockOMPResult(
        support=support,
        weights=weights,
        residual_norms=norms,
        stop_reason=reason,
        rank=rank,
        undiscoverable=design.unused,
    )


def _kept(
    rule: StoppingRule, log: Log, n_select: int | None, tol: float
) -> tuple[Ints, Floats | None, Floats, str]:
    """What a rule keeps of the path, which is made longer until that is settled."""
    told = max(1, log.n_rounds // (2 * log.design.block_size))
    most = min(log.design.n_blocks, told) if n_select is None else n_select
    n_steps = min(_STEPS, most)
    while True:
        asked = (log.design, log.rewards, n_steps, tol, log.selection)
        found = recover(*asked)
        if found is None and rule.by_norms:
            return _kept_of_steps(rule, log, n_select, most, tol)
        support, weights, norms, reason = found or greedy_alone(*asked)
        kept = rule.count(log, norms)
        if len(support) < n_steps or n_steps == most or rule.settled(kept, n_steps):
            break
        n_steps = min(2 * n_steps, most)
    if kept < len(support):
        return support[:kept], None, norms[: kept + 1], rule.name
    return support, weights, norms, _named(reason, log, n_select, most)


def _kept_of_steps(
    rule: StoppingRule, log: Log, n_select: int | None, most: int, tol: float
) -> tuple[Ints, Floats | None, Floats, str]:
    """The same, where a rule can be asked after every step."""

    def settled(norms: Floats) -> bool:
        return rule.settled(rule.count(log, norms), len(norms) - 1)

    lengths = np.array([log.design.n_rounds])
    asked = (log.design, log.rewards, lengths, most, tol, log.selection)
    supports, norms, reasons, state = greedy(*asked, enough=settled)
    support = supports[0, supports[0] >= 0]
    along = norms[0, : len(support) + 1]
    kept = rule.count(log, along)
    reason = _named(reasons[0], log, n_select, most) if kept == len(support) else rule.name
    with serial_blas():
        return support[:kept], state.weights(kept), along[: kept + 1], reason


def _named(reason: StopReason, log: Log, n_select: int | None, most: int) -> str:
    """Why a path that is kept as a whole ended."""
    if reason == "n_select" and n_select is None and most < log.design.n_blocks:
        return "n_rounds"
    return reason


def check_stopping(n_select: int | None, residual_tol: float | None) -> None:
    """What can be said of when to stop before there is a design; errors as in block_omp."""
    if n_select is None and residual_tol is None:
        raise ValueError(
            "nothing says when to stop: give n_select, residual_tol or a stopping rule"
        )
    if n_select is not None:
        integer(n_select, "n_select", 1)
    if residual_tol is not None:
        real(residual_tol, "residual_tol", low=0)


def block_omp_nested(
    design: BlockDesign,
    rewards: npt.ArrayLike,
    n_rounds: Sequence[int] | npt.ArrayLike,
    n_select: int,
    *,
    selection: Selection = "correlation",
) -> NestedResult:
    """Block-OMP with k known, on the first ``n_rounds[i]`` rounds of a log for every i at once.

    Gives what :func:`block_omp` gives on each prefix, in far less time: a step's correlations for
    all prefixes are one matrix product.

    Parameters
    ----------
    design, rewards, selection
        As in :func:`block_omp`.
    n_rounds : int array (p,)
        Strictly ascending numbers of rounds, the last at most T.
    n_select : int
        k, the number of actions to select.

    Raises
    ------
    ValueError
        As :func:`block_omp`, or if ``n_rounds`` is not strictly ascending within 1 … T.
    TypeError
        As :func:`block_omp`.
    """
    integer(n_select, "n_select")
    y = _check(design, rewards, n_select, selection)
    lengths = prefix_lengths(n_rounds, design.n_rounds)
    support, norms, reasons, _ = greedy(design, y, lengths, n_select, -1.0, selection)
    return NestedResult(lengths, support, norms, reasons)


def _check(
    design: BlockDesign, rewards: npt.ArrayLike, n_select: int | None, selection: str
) -> Floats:
    if not hasattr(design, "correlate_start"):
        raise TypeError(
            f"design must be a KhatriRaoDesign, got {type(design).__name__}; for a plain matrix of "
            "blocks use the estimator BlockOMP"
        )
    y = numbers(rewards, "rewards", (design.n_rounds,), largest=LARGEST)
    if n_select is not None:
        integer(n_select, "n_select", 1, design.n_blocks)
    one_of(selection, get_args(Selection), "selection")
    return y
