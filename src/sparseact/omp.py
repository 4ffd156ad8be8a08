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
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from sparseact.arguments import LARGEST, integer, numbers, one_of, real
from sparseact.design import BlockDesign, Floats, Ints, KhatriRaoDesign, prefix_lengths
from sparseact.inference import inverse_factor, refit
from sparseact.threads import serial_blas

Selection = Literal["correlation", "whitened", "least_squares"]
StopReason = Literal["n_select", "residual", "exact_fit", "no_candidates"]

# Scores closer than this (relative) are ties: sums of T products differ by rounding, not by signal.
_TIE = 1e-10
# Directions with less than this share of a block's energy outside the selected span do not count.
_RANK = 1e-10
# Blocks with a direction below this share of energy take an SVD, not the root of their Gram.
_WELL = 1e-5
# What is below this share of a block's energy is rounding.
_NONE = 1e-13
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
    check_stopping(n_select, residual_tol)
    k = design.n_blocks if n_select is None else n_select
    tol = -1.0 if residual_tol is None else residual_tol
    found = _compiled(design, y, k, tol, selection) or _plain(design, y, k, tol, selection)
    support, weights, norms, reason = found
    if n_select is None and reason == "n_select":
        reason = "no_candidates"  # every action was selected
    rank = len(support) * design.block_size
    if weights is None:
        with serial_blas():
            fit = refit(design, y, support)
        weights, rank = fit.weights, fit.rank
    return BlockOMPResult(
        support=support,
        weights=weights,
        residual_norms=norms,
        stop_reason=reason,
        rank=rank,
        undiscoverable=np.flatnonzero(design.coverage == 0),
    )


def check_stopping(n_select: int | None, residual_tol: float | None) -> None:
    """What can be said of when to stop before there is a design; errors as in block_omp."""
    if n_select is None and residual_tol is None:
        raise ValueError("give n_select, residual_tol, or both: nothing else says when to stop")
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
    return _greedy(design, y, lengths, n_select, -1.0, selection)[0]


_Found = tuple[Ints, Floats | None, Floats, StopReason]  # weights are None if short of rank


def _plain(
    design: BlockDesign, rewards: Floats, n_select: int, residual_tol: float, selection: Selection
) -> _Found:
    """Support, weights, norms and why it stopped: by the kernel below."""
    lengths = np.array([design.n_rounds], dtype=np.intp)
    nested, state = _greedy(design, rewards, lengths, n_select, residual_tol, selection)
    support = nested.support[0]
    support = support[support >= 0]
    norms = nested.residual_norms[0, : len(support) + 1]
    return support, state.weights(len(support)), norms, nested.stop_reason[0]


def _compiled(
    design: BlockDesign, rewards: Floats, n_select: int, residual_tol: float, selection: Selection
) -> _Found | None:
    """The same by compiled code, for a sparse log that asks for it; None where that is in doubt."""
    if not (isinstance(design, KhatriRaoDesign) and design.compiled and design.is_sparse):
        return None
    if selection == "least_squares":
        return None
    from sparseact.compiled.greedy import solve

    unit = _unit(rewards)
    stop, support, weights, norms, full_rank = solve(
        design.compiled_log(rewards / unit), n_select, residual_tol / unit, selection == "whitened"
    )
    reasons: tuple[StopReason, ...] = get_args(StopReason)
    if stop == len(reasons):
        return None
    return support, weights * unit if full_rank else None, norms * unit, reasons[stop]


# -- the kernel: it only computes ------------------------------------------------------------------


@serial_blas()
def _greedy(
    design: BlockDesign,
    rewards: Floats,
    lengths: Ints,
    n_select: int,
    residual_tol: float,
    selection: Selection,
) -> tuple[NestedResult, _Residuals]:
    p = len(lengths)
    each = np.arange(p)
    state = _Residuals(design, rewards, lengths)
    rule = _RULES[selection](design, state)
    norms = np.full((p, n_select + 1), np.nan)
    norms[:, 0] = state.norms()
    chosen = np.empty((p, n_select), dtype=np.intp)
    support = np.full((p, n_select), -1, dtype=np.intp)
    running = np.ones(p, dtype=bool)
    reasons: list[StopReason] = ["n_select"] * p

    def stop(which: npt.NDArray[np.bool_], reason: StopReason) -> None:
        for i in np.flatnonzero(which & running):
            reasons[i] = reason
        running[which] = False

    for step in range(n_select):
        stop(norms[:, step] <= residual_tol, "residual")
        stop(norms[:, step] <= _EXACT * norms[:, 0], "exact_fit")
        if not running.any():
            break
        rule.scores[each[:, None], chosen[:, :step]] = 0.0
        best = _first_best(rule.scores)
        fresh, rank = state.select(best)
        # A best block that lies in the span already means that none has anything left to offer.
        stop((rule.scores[each, best] <= 0) | (rank == 0), "no_candidates")
        support[running, step] = best[running]
        norms[running, step + 1] = state.norms()[running]
        chosen[:, step] = best  # stopped prefixes ride along, and nothing of them is recorded
        if step + 1 < n_select:
            rule.update(state.correlate(), fresh)
    return NestedResult(lengths, support, norms, tuple(reasons)), state


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
        self._design, self.lengths = design, lengths
        self._unit = _unit(rewards)
        rewards = rewards / self._unit
        self._rewards = rewards
        self._untouched = np.ones(design.n_rounds, dtype=bool)
        self._outside = rewards.copy()  # zero where touched
        self._starts = np.concatenate([[0], lengths[:-1]])
        self.rows: Ints | None = np.empty(0, dtype=np.intp)
        self._residuals = np.zeros((len(lengths), 0))
        self._change = self._residuals
        self._within = self._residuals  # 1 within each prefix, 0 beyond
        self._basis = np.zeros((len(lengths), 0, 0))  # orthonormal (or zero) rows, and room
        self._size = 0
        # Of the first prefix: the blocks in terms of the basis, a step an item, and the rewards.
        self._factor: list[Floats] = []
        self._explained: list[Floats] = []
        self._full_rank: list[bool] = []
        self.correlations = design.correlate_start(rewards, lengths)

    def norms(self) -> Floats:
        """(p,) norm of each prefix's residual."""
        energy = np.einsum("pr,pr->p", self._residuals, self._residuals)
        if self.rows is not None:
            outside = self._outside[: self.lengths[-1]] ** 2
            energy += np.cumsum(np.add.reduceat(outside, self._starts))
        return np.sqrt(energy) * self._unit

    def select(self, best: Ints) -> tuple[Floats, Ints]:
        """Project each prefix's block ``best`` (p,) out; its new directions (p, d, R), and rank."""
        self._touch(self._design.touched(np.unique(best)))
        columns = self._design.columns(best, self.rows)
        if len(best) > 1:
            columns *= self._within[:, None, :]
        energy = np.einsum("pdr,pdr->p", columns, columns)
        # Classical Gram–Schmidt done twice is orthogonal to working precision.
        basis = self._basis[:, : self._size]
        factor = np.zeros((self._size, columns.shape[1]))
        for _ in range(2 if self._size else 0):
            inner = columns @ basis.transpose(0, 2, 1)
            columns -= inner @ basis
            factor += inner[0].T
        fresh, rank = _orthonormal(columns, energy)
        self._keep(fresh)
        self._factor.append(np.concatenate([factor, fresh[0] @ columns[0].T]))
        self._full_rank.append(bool(rank[0] == fresh.shape[1]))
        inner = fresh @ self._residuals[:, :, None]
        self._explained.append(inner[0, :, 0])
        self._change = (inner.transpose(0, 2, 1) @ fresh)[:, 0, :]
        self._residuals -= self._change
        return fresh, rank

    def correlate(self) -> Ints | None:
        """Bring the correlations up to date, and tell for which actions they changed.

        Anew, for all (None), where that is no more work, against drift.
        """
        if self.rows is None:
            _, self.correlations = self._design.correlate_prefixes(
                self._residuals, self.lengths, None
            )
            return None
        actions, lost = self._design.correlate_prefixes(self._change, self.lengths, self.rows)
        self.correlations[:, slice(None) if actions is None else actions] -= lost
        return actions

    def weights(self, n_selected: int) -> Floats | None:
        """(m, d) least squares on the first prefix's blocks; None where they are short of rank."""
        if not all(self._full_rank[:n_selected]):
            return None
        d = self._design.block_size
        factor = np.zeros((n_selected * d, n_selected * d))
        for i, block in enumerate(self._factor[:n_selected]):
            factor[: (i + 1) * d, i * d : (i + 1) * d] = block
        inverse = inverse_factor(factor)
        if inverse is None:
            return None
        explained = np.concatenate([np.empty(0), *self._explained[:n_selected]])
        return np.asarray((inverse @ explained).reshape(-1, d)) * self._unit

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
        self._outside[fresh] = 0.0
        within = np.less(fresh[None, :], self.lengths[:, None]).astype(np.float64)
        self._within = np.concatenate([self._within, within], axis=1)
        self._residuals = np.concatenate([self._residuals, within * self._rewards[fresh]], axis=1)
        self._basis = _padded(self._basis, 2, len(fresh))


def _unit(rewards: Floats) -> float:
    """A power of two, which changes no digit, by which squares of small rewards do not vanish."""
    return float(2.0 ** max(np.frexp(np.abs(rewards).max(initial=0.0))[1], -1000))


def _padded(array: Floats, axis: int, more: int) -> Floats:
    """An array with zeros after it along an axis."""
    shape = list(array.shape)
    shape[axis] = more
    return np.concatenate([array, np.zeros(shape)], axis=axis)


def _orthonormal(columns: Floats, energy: Floats) -> tuple[Floats, Ints]:
    """Orthonormal rows (p, d, R), zero past the rank, for what is left of blocks (p, d, R).

    ``energy`` (p,) is that of the whole blocks, before anything was projected off: what is left
    counts where it holds more than a share ``_RANK`` of it. Well-conditioned blocks are multiplied
    by the inverse root of their Gram, twice, which is orthogonal to working precision; the others
    take an SVD.
    """
    p, d, _ = columns.shape
    rank = np.full(p, d)
    fresh = columns
    for repeat in range(2):
        values, vectors = np.linalg.eigh(fresh @ fresh.transpose(0, 2, 1))
        if repeat == 0:
            well = values[:, 0] > _WELL * np.maximum(energy, np.finfo(np.float64).tiny)
        values[~well] = 1.0
        fresh = (vectors / np.sqrt(values)[:, None, :]).transpose(0, 2, 1) @ fresh
    for i in np.flatnonzero(~well):
        _, singular, vt = np.linalg.svd(columns[i], full_matrices=False)
        keep = singular**2 > _RANK * energy[i]
        rank[i] = keep.sum()
        fresh[i] = 0.0
        fresh[i, : rank[i]] = vt[: len(keep)][keep]
    return fresh, rank


class _Correlation:
    """``‖Ψ_jᵀ u‖²``, the paper's rule."""

    def __init__(self, design: BlockDesign, state: _Residuals) -> None:
        self._state = state
        self.scores = np.empty((len(state.lengths), design.n_blocks))
        self.score(None)

    def score(self, actions: Ints | None) -> None:
        """Set the scores (p, M) of some actions (or all) from the correlations (p, M, d)."""
        if actions is None:
            full = self._state.correlations
            np.einsum("pmd,pmd->pm", full, full, out=self.scores)
        else:
            some = self._state.correlations[:, actions]
            self.scores[:, actions] = np.einsum("pmd,pmd->pm", some, some)

    def update(self, changed: Ints | None, fresh: Floats) -> None:
        """Take in a selection: the actions whose correlations changed, and its new directions."""
        self.score(changed)


class _Whitened(_Correlation):
    """``‖(Ψ_jᵀΨ_j)^{-1/2} Ψ_jᵀ u‖²``, pseudo-inverse where a block is rank-deficient."""

    def __init__(self, design: BlockDesign, state: _Residuals) -> None:
        self._design = design
        self._grams = design.gram_prefixes(state.lengths)
        self._energy = np.trace(self._grams, axis1=2, axis2=3)
        self._whitener = np.zeros_like(self._grams)
        self._whiten(None)
        super().__init__(design, state)

    def _whiten(self, actions: Ints | None) -> None:
        """(p, M, d, d) a matrix A with AᵀGA = 1 on the range of each Gram, for some actions."""
        which = slice(None) if actions is None else actions
        grams, energy = self._grams[:, which], self._energy[:, which]
        inverse, well = _inverse_roots(grams, energy)
        ill = np.nonzero(~well)
        values, vectors = np.linalg.eigh(grams[ill])
        keep = values > _RANK * energy[ill][:, None]
        scale = np.where(keep, 1 / np.sqrt(np.where(keep, values, 1.0)), 0.0)
        inverse[ill] = (vectors * scale[:, None, :]).transpose(0, 2, 1)
        self._whitener[:, which] = inverse

    def score(self, actions: Ints | None) -> None:
        """As for the paper's rule, after whitening."""
        which = slice(None) if actions is None else actions
        white = np.einsum(
            "pmed,pmd->pme", self._whitener[:, which], self._state.correlations[:, which]
        )
        self.scores[:, which] = np.einsum("pme,pme->pm", white, white)


class _LeastSquares(_Whitened):
    """The drop of ``‖u‖²`` if the block were added: whitening by what is left of the block."""

    def update(self, changed: Ints | None, fresh: Floats) -> None:
        """Take the part of every block that the new directions (p, d, R) explain off its Gram."""
        p, d, n_rows = fresh.shape
        actions, explained = self._design.correlate_prefixes(
            fresh.reshape(p * d, n_rows), np.repeat(self._state.lengths, d), self._state.rows
        )
        explained = explained.reshape(p, d, -1, d)
        which = slice(None) if actions is None else actions
        self._grams[:, which] -= np.einsum("pfmd,pfme->pmde", explained, explained)
        self._whiten(actions)
        self.score(actions)


def _inverse_roots(grams: Floats, energy: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """A (p, M, d, d), lower triangular, with ``‖A c‖² = cᵀG⁺c`` for c in the range of a Gram G.

    The inverse of its Cholesky factor, where dimensions that depend on those before them are left
    out. Also where (p, M) it is good: where what is left of every dimension is none or plenty.

    One action after another would be slow for want of work in each, so an operation is on all
    actions at a time, entry by entry of the factors.
    """
    d = grams.shape[2]
    entries = grams.transpose(2, 3, 0, 1)
    factor, inverse = np.zeros_like(entries), np.zeros_like(entries)
    well = np.ones(energy.shape, dtype=bool)
    for j in range(d):
        pivot = entries[j, j] - np.einsum("k...,k...->...", factor[j, :j], factor[j, :j])
        there = pivot > _NONE * energy
        well &= ~there | (pivot > _WELL * energy)
        root = np.sqrt(np.where(there, pivot, 1.0))
        factor[j, j], inverse[j, j] = root, there / root
        for i in range(j + 1, d):
            inner = np.einsum("k...,k...->...", factor[i, :j], factor[j, :j])
            factor[i, j] = (entries[i, j] - inner) * inverse[j, j]
    for j in range(d):
        for i in range(j + 1, d):
            inner = np.einsum("k...,k...->...", factor[i, j:i], inverse[j:i, j])
            inverse[i, j] = -inner * inverse[i, i]
    return inverse.transpose(2, 3, 0, 1), well


_RULES: dict[Selection, type[_Correlation]] = {
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
    one_of(selection, get_args(Selection), "selection")
    return y
