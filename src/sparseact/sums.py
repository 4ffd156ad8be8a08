"""Sums over a log that are enough to solve it without its rounds.

A few columns of a tall matrix can be told apart, and projected on each other, from their
triangular factor alone: it is the same columns in other coordinates, of which there are as many as
columns and not as many as rounds. So for some blocks C that may be selected, the factor of
``[r, Ψ_C]`` and the products ``ΨᵀΨ_C`` are kept; the solver works in those coordinates, as it does
on rounds, until it wants a block that has not been collected. What is kept does not grow with the
number of rounds, and no normal equations are solved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from sparseact.design import BlockDesign, Floats, Ints
from sparseact.threads import serial_blas

# Bytes of ΨᵀΨ_C that one look at the log may collect; blocks beyond the first wanted are guesses.
_COLLECTED = 2**29
_GUESSES = 16
# Directions of collected columns (of unit norm) below this share count as none.
_DEPENDENT = 1e-12

_Result = TypeVar("_Result")


class NotCollectedError(Exception):
    """The solver wants the columns of a block that has not been collected."""

    def __init__(self, block: int) -> None:
        super().__init__(block)
        self.block = block


class Opening:
    """Sums over a log: its size, ``‖r‖²``, coverage, ``Ψᵀr`` and the Gram of every block."""

    @serial_blas()
    def __init__(self, design: BlockDesign, rewards: Floats, whiten: bool) -> None:
        all_rounds = np.array([design.n_rounds])
        self.n_rounds, self.n_actions = design.n_rounds, design.n_blocks
        self.energy = float(rewards @ rewards)
        self.coverage = design.coverage
        self.correlations = design.correlate_start(rewards, all_rounds)[0]
        self.grams = design.gram_prefixes(all_rounds)[0] if whiten else None

    def add(self, other: Opening) -> None:
        """Add the sums over further rounds, in which there may be further actions.

        Raises
        ------
        ValueError
            If the latent dimension is another.
        """
        if other.correlations.shape[1:] != self.correlations.shape[1:]:
            raise ValueError(
                f"latent states have {other.correlations.shape[1]} dimensions, those of earlier "
                f"rounds {self.correlations.shape[1]}"
            )
        self.n_rounds += other.n_rounds
        self.n_actions = max(self.n_actions, other.n_actions)
        self.energy += other.energy
        self.coverage = _plus(self.coverage, other.coverage)
        self.correlations = _plus(self.correlations, other.correlations)
        if self.grams is not None and other.grams is not None:
            self.grams = _plus(self.grams, other.grams)


def _plus(one: Floats, other: Floats) -> Floats:
    """The sum of two arrays, of which one may have more rows; it may overwrite them."""
    if len(other) > len(one):
        one, other = other, one
    one = np.array(one)
    one[: len(other)] += other
    return one


class Products(NamedTuple):
    """``ΨᵀΨ_C`` (c·d, A, d) for the A actions that were used beside C; None for all."""

    actions: Ints | None
    values: Floats

    def plus(self, other: Products, n_actions: int) -> Products:
        """The sum of both."""
        if self.actions is None:
            new = n_actions - self.values.shape[1]  # actions of later rounds
            actions, total = None, np.pad(self.values, ((0, 0), (0, new), (0, 0)))
            where: Any = slice(other.values.shape[1]) if other.actions is None else other.actions
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
        return Products(actions, total)


class Collected(NamedTuple):
    """The factor of ``[r, Ψ_C]``, and ``ΨᵀΨ_C`` for those blocks of C that were asked for."""

    factor: Floats
    products: Products

    def plus(self, other: Collected, n_actions: int) -> Collected:
        """With further rounds."""
        factor = _factor(np.vstack([self.factor, other.factor]))
        return Collected(factor, self.products.plus(other.products, n_actions))


@serial_blas()
def collect(
    design: BlockDesign, rewards: Floats, known: Sequence[int], fresh: Sequence[int]
) -> Collected:
    """Collect blocks on some rounds: the factor with all of them, products of the fresh ones.

    A block beyond those of the design was not used in these rounds.
    """
    blocks, d = np.array([*known, *fresh]), design.block_size
    there = blocks < design.n_blocks
    rows = design.touched(blocks[there])
    used = rewards if rows is None else rewards[rows]
    each = np.zeros((len(blocks), d, len(used)))
    each[there] = design.columns(blocks[there], rows)
    columns = each.reshape(len(blocks) * d, -1)
    # Rounds that used none of the blocks count by their rewards' energy alone.
    rest = np.zeros((1, len(columns) + 1))
    if rows is not None:
        outside = rewards.copy()
        outside[rows] = 0.0
        rest[0, 0] = np.linalg.norm(outside)
    factor = _factor(np.vstack([rest, np.column_stack([used, columns.T])]))
    wanted = columns[len(known) * d :]
    lengths = np.full(len(wanted), design.n_rounds)
    return Collected(factor, Products(*design.correlate_prefixes(wanted, lengths, rows)))


def _factor(columns: Floats) -> Floats:
    """The triangular factor of columns, of non-negative diagonal."""
    r = np.linalg.qr(columns, mode="r")
    signs = np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return np.asarray(r * signs[:, None])


@serial_blas()
def total_of(each: Iterable[Collected], n_actions: int) -> Collected:
    """What was collected on all rounds, in their order."""
    total: Collected | None = None
    for one in each:
        total = one if total is None else total.plus(one, n_actions)
    assert total is not None  # there are rounds
    return total


class Compressed:
    """A :class:`~sparseact.design.BlockDesign` whose rounds are coordinates of ``[r, Ψ_C]``."""

    def __init__(
        self,
        opening: Opening,
        collected: list[int],
        factor: Floats,
        products: list[Products],
    ) -> None:
        width = factor.shape[1]
        self._opening, self._factor = opening, np.zeros((width, width))
        self._factor[: len(factor)] = factor
        self.collected, self.products = collected, products
        self.n_rounds, self.n_logged = width, opening.n_rounds
        self.n_blocks, self.block_size = opening.correlations.shape
        self.rewards = np.ascontiguousarray(self._factor[:, 0])
        self._taken: list[int] = []  # positions in `collected`
        self._latest = opening.correlations

    @classmethod
    def of(cls, opening: Opening) -> Compressed:
        """With no block collected yet."""
        return cls(opening, [], np.full((1, 1), np.sqrt(opening.energy)), [])

    def with_blocks(self, fresh: list[int], found: Collected) -> Compressed:
        """With further blocks, collected beside those that are known."""
        collected, products = [*self.collected, *fresh], [*self.products, found.products]
        return Compressed(self._opening, collected, found.factor, products)

    def with_rounds(self, opening: Opening, found: Collected | None) -> Compressed:
        """With further rounds: the sums over all, and what was collected on the further ones."""
        if found is None:
            return Compressed.of(opening)
        factor = _factor(np.vstack([self._factor, found.factor]))
        products, start = [], 0
        for one in self.products:
            end = start + len(one.values)
            more = Products(found.products.actions, found.products.values[start:end])
            products.append(one.plus(more, opening.n_actions))
            start = end
        return Compressed(opening, self.collected, factor, products)

    @property
    def coverage(self) -> Floats:
        """Coverage in the whole log."""
        return self._opening.coverage

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
            which = slice(values.shape[1]) if actions is None else actions
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
                raise NotCollectedError(int(block))
            places.append(self.collected.index(int(block)))
        self._taken += [place for place in places if place not in self._taken]
        d = self.block_size
        named = np.empty((len(places), d, self.n_rounds))
        for which, i in enumerate(places):
            named[which] = self._factor[:, 1 + i * d : 1 + (i + 1) * d].T
        return named

    def next_best(self, wanted: int) -> list[int]:
        """The block wanted, and those not collected that are likely to be wanted after it."""
        room = max(1, min(_GUESSES, _COLLECTED // (8 * self.n_blocks * self.block_size**2)))
        energy = np.einsum("md,md->m", self._latest, self._latest)
        used = np.maximum(self._opening.coverage, np.finfo(np.float64).tiny)
        scores = energy / (used if self._opening.grams is not None else 1.0)
        scores[[*self.collected, wanted]] = 0.0
        likely = np.argsort(-scores, kind="stable")[: room - 1]
        return [wanted, *(int(j) for j in likely if scores[j] > 0)]


def collecting(
    solve: Callable[[Compressed], _Result],
    design: Compressed,
    collected_on_all: Callable[[list[int], list[int]], Collected],
) -> tuple[_Result, Compressed]:
    """Solve, and whenever a block is wanted that has not been collected, collect it and others.

    Gives the design with all that was collected, too.
    """
    while True:
        try:
            return solve(design), design
        except NotCollectedError as wanted:
            fresh = design.next_best(wanted.block)
            design = design.with_blocks(fresh, collected_on_all(design.collected, fresh))
