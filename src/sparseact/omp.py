"""Contextual Block-OMP: greedy selection of the actions that explain the rewards.

One kernel works on all prefixes of a log at once (:func:`block_omp_nested`), because a study asks
for the same recovery after 50, 60, 70 … rounds; :func:`block_omp` is the case of one prefix.

The residual is kept by projecting off an orthonormal basis of the selected blocks (block
Gram–Schmidt, applied twice, with a rank check), so no normal equations are formed; the weights
come from one least-squares solve at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from sparseact.arguments import LARGEST, integer, numbers, real
from sparseact.design import BlockDesign, Floats, Ints, prefix_lengths
from sparseact.inference import refit

Selection = Literal["correlation", "whitened", "least_squares"]
StopReason = Literal["n_select", "residual", "exact_fit", "no_candidates"]

# Scores closer than this (relative) are ties: sums of T products differ by rounding, not by signal.
_TIE = 1e-10
# Directions with less than this share of a block's energy outside the selected span do not count.
_RANK = 1e-10
# A residual below this share of the rewards' norm is zero to working precision.
_EXACT = 1e-12


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
        action can lower the residual.
    rank : int
        Rank of the selected blocks together; below m·d the weights are not identified.
    undiscoverable : int array
        Actions never used in the log, about which it cannot say anything.
    """

    support: Ints
    weights: Floats
    residual_norms: Floats
    stop_reason: StopReason
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
) -> BlockOMPResult:
    """Recover the actions that matter, greedily (Contextual Block-OMP).

    Parameters
    ----------
    design : KhatriRaoDesign
        The log's design, T rounds of M actions with latent dimension d.
    rewards : array (T,)
    n_select : int, optional
        k, the number of actions to select. Without it, selection goes on until ``residual_tol``.
    residual_tol : float, optional
        Stop as soon as the residual's norm (not its square) is at most this.
    selection : {"correlation", "whitened", "least_squares"}
        The score of a block: ``‖Ψ_jᵀu‖`` (the paper's), ``‖(Ψ_jᵀΨ_j)^{-1/2} Ψ_jᵀu‖`` (Group-OMP on
        orthonormalised blocks), or the drop of the squared residual if the block were added.
        Where actions were used unequally often, ``whitened`` does not favour the frequent ones.

    Returns
    -------
    BlockOMPResult

    Raises
    ------
    ValueError
        If the rewards do not fit the design, are not finite or above 1e30, a parameter is out of
        range, or neither stopping rule is given.
    TypeError
        If ``design`` is not a design, or ``n_select`` not an integer.

    Notes
    -----
    Scores equal to within 1e-10 (relative) are ties and go to the lowest index. A block whose
    energy lies in the span of those selected but for a share of 1e-10 has nothing left to offer.
    """
    y = _check(design, rewards, n_select, selection)
    if n_select is None and residual_tol is None:
        raise ValueError("give n_select, residual_tol, or both: nothing else says when to stop")
    if residual_tol is not None:
        real(residual_tol, "residual_tol", low=0)
    nested = _greedy(
        design,
        y,
        np.array([design.n_rounds], dtype=np.intp),
        design.n_blocks if n_select is None else n_select,
        -1.0 if residual_tol is None else residual_tol,
        selection,
    )
    support = nested.support[0]
    support = support[support >= 0]
    reason = nested.stop_reason[0]
    if n_select is None and reason == "n_select":
        reason = "no_candidates"  # every action was selected
    fit = refit(design, y, support)
    return BlockOMPResult(
        support=support,
        weights=fit.weights,
        residual_norms=nested.residual_norms[0, : len(support) + 1],
        stop_reason=reason,
        rank=fit.rank,
        undiscoverable=np.flatnonzero(design.coverage == 0),
    )


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
    return _greedy(design, y, lengths, n_select, -1.0, selection)


# -- the kernel: it only computes ------------------------------------------------------------------


def _greedy(
    design: BlockDesign,
    rewards: Floats,
    lengths: Ints,
    n_select: int,
    residual_tol: float,
    selection: Selection,
) -> NestedResult:
    p = len(lengths)
    each = np.arange(p)
    state = _Residuals(design, rewards, lengths)
    norms = np.full((p, n_select + 1), np.nan)
    norms[:, 0] = state.norms()
    support = np.full((p, n_select), -1, dtype=np.intp)
    taken = np.zeros((p, design.n_blocks), dtype=bool)
    running = np.ones(p, dtype=bool)
    reasons: list[StopReason] = ["n_select"] * p
    rule = _RULES[selection](design, lengths)

    def stop(which: npt.NDArray[np.bool_], reason: StopReason) -> None:
        for i in np.flatnonzero(which & running):
            reasons[i] = reason
        running[which] = False

    for step in range(n_select):
        stop(norms[:, step] <= residual_tol, "residual")
        stop(norms[:, step] <= _EXACT * norms[:, 0], "exact_fit")
        if not running.any():
            break
        scores = rule.scores(state.correlations)
        scores[taken] = 0.0
        best = _first_best(scores)
        fresh, rank = state.select(best)
        # A best block that lies in the span already means that none has anything left to offer.
        stop((scores[each, best] <= 0) | (rank == 0), "no_candidates")
        support[running, step] = best[running]
        norms[running, step + 1] = state.norms()[running]
        taken[each, best] = True  # stopped prefixes ride along, and nothing of them is recorded
        if step + 1 < n_select:
            state.correlate()
            rule.update(fresh, state.rows)
    return NestedResult(lengths, support, norms, tuple(reasons))


def _first_best(scores: Floats) -> Ints:
    """(p,) lowest index among the (relative) ties for the highest of scores (p, M)."""
    highest = scores.max(axis=1, keepdims=True)
    return (scores >= highest * (1 - _TIE)).argmax(axis=1)


class _Residuals:
    """Residuals of every prefix, on the rounds that the selected actions touch.

    A round that no selected action was used in keeps its reward as its residual, so when each
    round uses few of many actions, nearly all of the log is read once, at the start.
    """

    def __init__(self, design: BlockDesign, rewards: Floats, lengths: Ints) -> None:
        self._design, self._rewards, self._lengths = design, rewards, lengths
        self._untouched = np.ones(design.n_rounds, dtype=bool)
        self.rows: Ints | None = np.empty(0, dtype=np.intp)
        self._residuals = np.zeros((len(lengths), 0))
        self._change = self._residuals
        self._within = self._residuals  # 1 within each prefix, 0 beyond
        self._basis = np.zeros((len(lengths), 0, 0))  # orthonormal (or zero) rows, and room
        self._size = 0
        self.correlations = design.correlate_start(rewards, lengths)

    def norms(self) -> Floats:
        """(p,) norm of each prefix's residual."""
        energy = np.einsum("pr,pr->p", self._residuals, self._residuals)
        if self.rows is not None:
            outside = np.where(self._untouched, self._rewards**2, 0.0)
            energy += np.cumsum(outside)[self._lengths - 1]
        return np.sqrt(energy)

    def select(self, best: Ints) -> tuple[Floats, Ints]:
        """Project each prefix's block ``best`` (p,) out; its new directions (p, d, R), and rank."""
        self._touch(self._design.touched(np.unique(best)))
        columns = self._design.columns(best, self.rows)
        columns *= self._within[:, None, :]
        energy = np.einsum("pdr,pdr->p", columns, columns)
        # Classical Gram–Schmidt done twice is orthogonal to working precision.
        basis = self._basis[:, : self._size]
        for _ in range(2 if self._size else 0):
            columns -= (columns @ basis.transpose(0, 2, 1)) @ basis
        fresh, rank = _orthonormal(columns, energy)
        self._keep(fresh)
        inner = fresh @ self._residuals[:, :, None]
        self._change = (inner.transpose(0, 2, 1) @ fresh)[:, 0, :]
        self._residuals -= self._change
        return fresh, rank

    def correlate(self) -> None:
        """Bring the correlations up to date; anew where that is no more work, against drift."""
        if self.rows is None:
            now = self._design.correlate_prefixes(self._residuals, self._lengths, None)
            self.correlations = now
        else:
            self.correlations -= self._design.correlate_prefixes(
                self._change, self._lengths, self.rows
            )

    def _keep(self, fresh: Floats) -> None:
        d, room = fresh.shape[1], self._basis.shape[1] - self._size
        if room < d:
            self._basis = _padded(self._basis, 1, self._size + d)
        self._basis[:, self._size : self._size + d] = fresh
        self._size += d

    def _touch(self, rounds: Ints | None) -> None:
        if self.rows is None:
            return
        if rounds is None:
            fresh, self.rows = np.arange(len(self._rewards)), None
        else:
            fresh = rounds[self._untouched[rounds]]
            self.rows = np.concatenate([self.rows, fresh])
        self._untouched[fresh] = False
        within = np.less(fresh[None, :], self._lengths[:, None]).astype(np.float64)
        self._within = np.concatenate([self._within, within], axis=1)
        self._residuals = np.concatenate([self._residuals, within * self._rewards[fresh]], axis=1)
        self._basis = _padded(self._basis, 2, len(fresh))


def _padded(array: Floats, axis: int, more: int) -> Floats:
    """An array with zeros after it along an axis."""
    shape = list(array.shape)
    shape[axis] = more
    return np.concatenate([array, np.zeros(shape)], axis=axis)


def _orthonormal(columns: Floats, energy: Floats) -> tuple[Floats, Ints]:
    """Orthonormal rows (p, d, R), zero past the rank, for what is left of blocks (p, d, R).

    ``energy`` (p,) is that of the whole blocks, before anything was projected off: what is left
    counts where it holds more than a share ``_RANK`` of it.
    """
    p, d, n_rows = columns.shape
    rank = np.full(p, d)
    fresh = np.zeros_like(columns)
    width = min(d, n_rows)
    q, r = np.linalg.qr(columns.transpose(0, 2, 1))
    fresh[:, :width] = q.transpose(0, 2, 1)
    # Without pivoting a small diagonal tells that the rank is short, not which part to keep.
    diagonal = np.abs(np.diagonal(r, axis1=1, axis2=2))
    short = (diagonal**2 <= _RANK * energy[:, None]).any(axis=1) | (width < d)
    for i in np.flatnonzero(short):
        _, singular, vt = np.linalg.svd(columns[i], full_matrices=False)
        keep = singular**2 > _RANK * energy[i]
        rank[i] = keep.sum()
        fresh[i] = 0.0
        fresh[i, : rank[i]] = vt[keep]
    return fresh, rank


class _Correlation:
    """``‖Ψ_jᵀ u‖²``, the paper's rule."""

    def __init__(self, design: BlockDesign, lengths: Ints) -> None:
        pass

    def scores(self, correlations: Floats) -> Floats:
        """(p, M) from correlations (p, d, M)."""
        return np.einsum("pdm,pdm->pm", correlations, correlations)

    def update(self, fresh: Floats, rows: Ints | None) -> None:
        """The rule does not look at what is selected."""


class _Whitened:
    """``‖(Ψ_jᵀΨ_j)^{-1/2} Ψ_jᵀ u‖²``, pseudo-inverse where a block is rank-deficient."""

    def __init__(self, design: BlockDesign, lengths: Ints) -> None:
        self._design, self._lengths = design, lengths
        self._grams = design.gram_prefixes(lengths)
        self._energy = np.trace(self._grams, axis1=2, axis2=3)
        self._whiten()

    def _whiten(self) -> None:
        values, vectors = np.linalg.eigh(self._grams)
        keep = values > _RANK * self._energy[:, :, None]
        scale = np.zeros_like(values)
        np.divide(1.0, np.sqrt(values, where=keep, out=np.ones_like(values)), out=scale, where=keep)
        self._whitener = vectors * scale[:, :, None, :]  # (p, M, d, d), columns are directions

    def scores(self, correlations: Floats) -> Floats:
        """(p, M) from correlations (p, d, M)."""
        white = np.einsum("pmde,pdm->pme", self._whitener, correlations)
        return np.einsum("pme,pme->pm", white, white)

    def update(self, fresh: Floats, rows: Ints | None) -> None:
        """Whitening by the blocks themselves does not change."""


class _LeastSquares(_Whitened):
    """The drop of ``‖u‖²`` if the block were added: whitening by what is left of the block."""

    def update(self, fresh: Floats, rows: Ints | None) -> None:
        """Take the part of every block that the new directions (p, d, R) explain off its Gram."""
        for i in range(fresh.shape[1]):
            explained = self._design.correlate_prefixes(fresh[:, i], self._lengths, rows)
            self._grams -= np.einsum("pdm,pem->pmde", explained, explained)
        self._whiten()


_RULES: dict[Selection, type[_Correlation] | type[_Whitened]] = {
    "correlation": _Correlation,
    "whitened": _Whitened,
    "least_squares": _LeastSquares,
}


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
    if not isinstance(selection, str) or selection not in get_args(Selection):
        raise ValueError(f"selection must be one of {get_args(Selection)}, got {selection!r}")
    return y
