"""Block-OMP on a log in parts: larger than memory, or on other machines.

A few columns of a tall matrix can be told apart, and projected on each other, from their
triangular factor alone: it is the same columns in other coordinates, of which there are as many as
columns and not as many as rounds. So each sweep over the parts brings home, for some blocks that
may be selected next, the factor of ``[r, Ψ_C]`` and the products ``ΨᵀΨ_C``; the solver then works
in those coordinates, as it does on rounds, until it wants a block that has not been collected.
What is kept does not grow with the number of rounds, and no normal equations are solved.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from sparseact.arguments import LARGEST, MOST_ACTIONS, integer, numbers, one_of
from sparseact.design import Floats, Ints, KhatriRaoDesign
from sparseact.omp import BlockOMPResult, block_omp, check_stopping
from sparseact.rules import Selection
from sparseact.threads import serial_blas

# What a part is, or what a call of it returns: latents (R, d), activations, rewards (R,).
Part = tuple[npt.ArrayLike, Any, npt.ArrayLike]
Parts = Sequence[Part | Callable[[], Part]]
# Does a function to every part, and hands the results over in the order of the parts.
Mapper = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]

# Bytes of ΨᵀΨ_C that one sweep may collect; blocks beyond the first wanted are guesses.
_COLLECTED = 2**29
_GUESSES = 16
# Directions of collected columns (of unit norm) below this share count as none.
_DEPENDENT = 1e-12

_log = logging.getLogger(__name__)


def block_omp_in_parts(
    parts: Parts,
    n_select: int | None = None,
    *,
    n_actions: int | None = None,
    residual_tol: float | None = None,
    selection: Selection = "correlation",
    mapper: Mapper = map,
) -> BlockOMPResult:
    """Recover the actions that matter from a log in parts, as :func:`~sparseact.block_omp` does.

    Parameters
    ----------
    parts : sequence
        Each is ``(latents, activations, rewards)`` of some rounds, or a function without arguments
        that reads and returns them: latents (R, d); activations (R, M), an array or sparse, or
        action ids (R,) or (R, B) if ``n_actions`` is given; rewards (R,). Every sweep asks for all
        of them, one at a time, in order.
    n_select, residual_tol, selection
        As in :func:`~sparseact.block_omp`.
    n_actions : int, optional
        M, for parts of action ids.
    mapper : callable
        ``mapper(function, parts)`` gives the function's results in the order of the parts, as
        :class:`map` does: the place where other processes or machines come in.

    Returns
    -------
    BlockOMPResult
        The support of ``block_omp`` on the whole log, and its weights to rounding. Norms of
        residuals are exact to about 1e-15 of the rewards' norm.

    Raises
    ------
    ValueError
        As ``block_omp``; if there are no parts; or if a part does not fit, naming it by its number.
    TypeError
        If ids or numbers of actions are not integers, or ``parts`` is not a sequence.

    Notes
    -----
    At most k + 1 sweeps, usually fewer: one for the correlations with the rewards, and one
    whenever the best block has not been collected, which then brings those that score next along.
    Memory is that of a part, and at most 8·M·d² bytes for each of the blocks collected. Sums run
    in the order of the parts, whatever does the work; another way to cut the log changes rounding
    and no more.
    """
    if not isinstance(parts, Sequence):
        raise TypeError(f"parts must be a sequence, which every sweep can go over, got {parts!r}")
    if not parts:
        raise ValueError("parts must hold at least one part of a log")
    check_stopping(n_select, residual_tol)
    one_of(selection, get_args(Selection), "selection")
    if n_actions is not None:
        integer(n_actions, "n_actions", 1, MOST_ACTIONS)
    numbered = list(enumerate(parts))
    whiten = selection != "correlation"
    opening = _Opening.sum(mapper(partial(_open, n_actions=n_actions, whiten=whiten), numbered))
    _log.info("sweep 1: %d rounds, %d actions", opening.n_rounds, opening.n_actions)
    design = _Compressed(opening, [], np.full((1, 1), np.sqrt(opening.energy)), [])
    sweep = 1
    while True:
        try:
            return block_omp(
                design,
                design.rewards,
                n_select,
                residual_tol=residual_tol,
                selection=selection,
            )
        except _NotCollectedError as wanted:
            sweep += 1
            blocks = design.collected
            fresh = design.next_best(wanted.block)
            _log.info("sweep %d: collects %d blocks", sweep, len(fresh))
            done = mapper(
                partial(_collect, n_actions=n_actions, known=blocks, fresh=fresh), numbered
            )
            with serial_blas():
                total = _Collected.sum(done, opening.n_actions)
            design = _Compressed(
                opening, blocks + fresh, total.factor, [*design.products, total.products]
            )


class _NotCollectedError(Exception):
    """The solver wants the columns of a block that no sweep has collected."""

    def __init__(self, block: int) -> None:
        super().__init__(block)
        self.block = block


# -- what a sweep does to a part ---------------------------------------------------------------


def _read(numbered: tuple[int, Any], n_actions: int | None) -> tuple[KhatriRaoDesign, Floats]:
    """The design and the rewards of a part, or a ValueError that names it."""
    number, part = numbered
    read = part() if callable(part) else part
    try:
        if not isinstance(read, (tuple, list)) or len(read) != 3:
            raise ValueError(f"must be latents, activations and rewards, got {type(read).__name__}")
        latents, activations, rewards = read
        if n_actions is None:
            design = KhatriRaoDesign(latents, activations)
        else:
            design = KhatriRaoDesign.from_actions(latents, activations, n_actions)
        return design, numbers(rewards, "rewards", (design.n_rounds,), largest=LARGEST)
    except (ValueError, TypeError) as error:
        raise type(error)(f"part {number}: {error}") from None


class _Opening:
    """Sums over the log: its size, ``‖r‖²``, coverage, ``Ψᵀr`` and the Gram of every block."""

    def __init__(self, design: KhatriRaoDesign, rewards: Floats, whiten: bool) -> None:
        all_rounds = np.array([design.n_rounds])
        self.n_rounds, self.n_actions = design.n_rounds, design.n_blocks
        self.energy = float(rewards @ rewards)
        self.coverage = design.coverage
        self.correlations = design.correlate_start(rewards, all_rounds)[0]
        self.grams = design.gram_prefixes(all_rounds)[0] if whiten else None

    @staticmethod
    def sum(each: Iterable[_Opening]) -> _Opening:
        """Of all parts, in their order."""
        total: _Opening | None = None
        for number, one in enumerate(each):
            if total is None:
                total = one
                continue
            if one.correlations.shape != total.correlations.shape:
                raise ValueError(
                    f"part {number} has {one.correlations.shape} actions and latent dimensions, "
                    f"those before it {total.correlations.shape}"
                )
            total.n_rounds += one.n_rounds
            total.energy += one.energy
            total.coverage = total.coverage + one.coverage
            total.correlations += one.correlations
            if total.grams is not None:
                total.grams += one.grams
        assert total is not None  # there is a part
        return total


@serial_blas()
def _open(numbered: tuple[int, Any], n_actions: int | None, whiten: bool) -> _Opening:
    return _Opening(*_read(numbered, n_actions), whiten)


class _Products(NamedTuple):
    """``ΨᵀΨ_C`` (c·d, A, d) for the A actions that were used beside C; None for all."""

    actions: Ints | None
    values: Floats

    def plus(self, other: _Products, n_actions: int) -> _Products:
        """The sum of both."""
        if self.actions is None:
            actions, total = None, self.values
            where: Any = slice(None) if other.actions is None else other.actions
        elif other.actions is None:
            return other.plus(self, n_actions)
        else:
            actions = np.union1d(self.actions, other.actions)
            if 2 * len(actions) > n_actions:
                actions = np.arange(n_actions)
            shape = (len(self.values), len(actions), self.values.shape[2])
            total = np.zeros(shape)
            total[:, np.searchsorted(actions, self.actions)] = self.values
            where = np.searchsorted(actions, other.actions)
            if len(actions) == n_actions:
                actions = None
        total[:, where] += other.values
        return _Products(actions, total)


class _Collected(NamedTuple):
    """The factor of ``[r, Ψ_C]``, and ``ΨᵀΨ_C`` for the fresh blocks of C."""

    factor: Floats
    products: _Products

    @staticmethod
    def sum(each: Iterable[_Collected], n_actions: int) -> _Collected:
        """Of all parts, in their order, with a square factor."""
        total: _Collected | None = None
        for one in each:
            if total is None:
                total = one
                continue
            factor = _factor(np.vstack([total.factor, one.factor]))
            total = _Collected(factor, total.products.plus(one.products, n_actions))
        assert total is not None  # there is a part
        square = np.zeros((total.factor.shape[1], total.factor.shape[1]))
        square[: len(total.factor)] = total.factor
        return _Collected(square, total.products)


@serial_blas()
def _collect(
    numbered: tuple[int, Any], n_actions: int | None, known: list[int], fresh: list[int]
) -> _Collected:
    design, rewards = _read(numbered, n_actions)
    blocks = np.array(known + fresh)
    rows = design.touched(blocks)
    columns = design.columns(blocks, rows).reshape(len(blocks) * design.block_size, -1)
    used = rewards if rows is None else rewards[rows]
    # Rounds that used none of the blocks count by their rewards' energy alone.
    rest = np.zeros((1, len(columns) + 1))
    if rows is not None:
        outside = rewards.copy()
        outside[rows] = 0.0
        rest[0, 0] = np.linalg.norm(outside)
    factor = _factor(np.vstack([rest, np.column_stack([used, columns.T])]))
    wanted = columns[len(known) * design.block_size :]
    lengths = np.full(len(wanted), design.n_rounds)
    return _Collected(factor, _Products(*design.correlate_prefixes(wanted, lengths, rows)))


def _factor(columns: Floats) -> Floats:
    """The triangular factor of columns, of non-negative diagonal."""
    r = np.linalg.qr(columns, mode="r")
    signs = np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return np.asarray(r * signs[:, None])


# -- the log in the coordinates of what was collected ------------------------------------------


class _Compressed:
    """A :class:`~sparseact.design.BlockDesign` whose rounds are coordinates of ``[r, Ψ_C]``."""

    def __init__(
        self,
        opening: _Opening,
        collected: list[int],
        factor: Floats,
        products: list[_Products],
    ) -> None:
        self._opening, self._factor = opening, factor
        self.collected, self.products = collected, products
        self.n_rounds = len(factor)
        self.n_blocks, self.block_size = opening.correlations.shape
        self.rewards = np.ascontiguousarray(factor[:, 0])
        self._taken: list[int] = []  # positions in `collected`
        self._latest = opening.correlations

    @property
    def unused(self) -> Ints:
        """Actions that were never used in the whole log."""
        return np.flatnonzero(self._opening.coverage == 0)

    def touched(self, blocks: Ints) -> None:
        """All coordinates."""

    def correlate_start(self, rewards: Floats, lengths: Ints) -> Floats:
        """(1, M, d) ``Ψ_jᵀ r``."""
        return self._opening.correlations[None].copy()

    def correlate_prefixes(
        self, residuals: Floats, lengths: Ints, rows: Ints | None
    ) -> tuple[None, Floats]:
        """(n, M, d) ``Ψ_jᵀ v`` for vectors (n, R) in the span of the rewards and what was taken."""
        d = self.block_size
        places = np.concatenate([np.arange(i * d, (i + 1) * d) for i in self._taken])
        columns = self._factor[:, np.concatenate([[0], 1 + places])]
        scale = np.linalg.norm(columns, axis=0)
        scale[scale == 0] = 1.0
        solution = np.linalg.lstsq(columns / scale, residuals.T, rcond=_DEPENDENT)[0]
        solution /= scale[:, None]
        spread = np.zeros((len(self.collected) * d, len(residuals)))
        spread[places] = solution[1:]
        out = solution[0][:, None, None] * self._opening.correlations
        start = 0
        for actions, values in self.products:  # a sweep an item
            of_sweep = spread[start : start + len(values)]
            start += len(values)
            which = slice(None) if actions is None else actions
            out[:, which] += np.tensordot(of_sweep.T, values, axes=1)
        self._latest = out[0]
        return None, out

    def gram_prefixes(self, lengths: Ints) -> Floats:
        """(1, M, d, d) ``Ψ_jᵀ Ψ_j``."""
        assert self._opening.grams is not None  # the rules that ask for it are known beforehand
        return self._opening.grams[None].copy()

    def columns(self, blocks: Ints, rows: Ints | None) -> Floats:
        """(m, d, R) the columns of each block named, transposed."""
        places = []
        for block in blocks:
            if int(block) not in self.collected:
                raise _NotCollectedError(int(block))
            places.append(self.collected.index(int(block)))
        self._taken += [place for place in places if place not in self._taken]
        d = self.block_size
        return np.stack([self._factor[:, 1 + i * d : 1 + (i + 1) * d].T for i in places])

    def next_best(self, wanted: int) -> list[int]:
        """The block wanted, and those not collected that are likely to be wanted after it."""
        room = max(1, min(_GUESSES, _COLLECTED // (8 * self.n_blocks * self.block_size**2)))
        energy = np.einsum("md,md->m", self._latest, self._latest)
        used = np.maximum(self._opening.coverage, np.finfo(np.float64).tiny)
        scores = energy / (used if self._opening.grams is not None else 1.0)
        scores[[*self.collected, wanted]] = 0.0
        likely = np.argsort(-scores, kind="stable")[: room - 1]
        return [wanted, *(int(j) for j in likely if scores[j] > 0)]
