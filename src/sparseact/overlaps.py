"""What of every block lies in the span of the selected ones, on a dense log, in few looks at it.

The basis Q_s that a selection s adds makes ``Ψ_s = Σ_b Q_b R_b + Q_s R_s``, b the selections before
it, so that its overlaps with every block j are

    ``Q_sᵀ Ψ_j = R_s^{-ᵀ} (Ψ_sᵀ Ψ_j - Σ_b R_bᵀ Q_bᵀ Ψ_j)``.

The cross Gram ``Ψ_sᵀ Ψ_j = Σ_t x_ts x_tj z_t z_tᵀ`` is symmetric: d(d + 1)/2 rows of a product with
X, where ``Q_sᵀ Ψ_j`` itself takes d². It does not depend on what else is selected, either, so those
of the actions that are likely to be selected next come in the same product.
"""

from __future__ import annotations

import numpy as np

from sparseact.design import Floats, Ints, KhatriRaoDesign, places_in_triangle

# Actions ahead of the selected one that a product is for, at most.
_AHEAD = 16
# Rounding that overlaps may have, as a multiple of what a product with X has.
_MOST = 32.0


class Overlaps:
    """``Qᵀ Ψ_j`` of the basis Q of the selected blocks with every block j, a selection at a time.

    What is kept of selections, and what is computed ahead, does not outgrow the log.
    """

    def __init__(self, design: KhatriRaoDesign) -> None:
        d = design.block_size
        self._design = design
        self._places = places_in_triangle(d)
        self._grams: dict[int, Floats] = {}  # of actions ahead: lower triangles
        self._came_true = self._most_ahead = min(_AHEAD, 2 * design.n_rounds // (d * (d + 1)))
        self._table = np.empty((0, d * design.n_blocks))  # of selections: a direction a row
        self._rounding: list[float] = []  # of selections

    def add(self, action: int, factor: Floats, fresh: Floats, scores: Floats, more: int) -> Floats:
        """(d, d, M) overlaps of the directions that a selection adds.

        ``factor`` (m·d + d, d) is its block in terms of the basis, ``fresh`` (d, T) the directions.
        The highest of the scores (M,) tell what the ``more`` selections to come are likely to be.

        Where rounding would be too much, the directions themselves are multiplied with X.
        """
        d, n_rounds = fresh.shape
        start, end, room = len(factor) - d, len(factor), n_rounds // d**2
        if end > room * d:
            return self._product(fresh)
        if start == 0:
            self._table = np.empty((min(more + 1, room) * d, self._table.shape[1]))
        before, inverse = factor[:start], np.asarray(np.linalg.pinv(factor[start:])).T
        rounding = self._rounding_by(inverse, factor)
        overlaps = self._table[start:end]
        if rounding > _MOST:
            rounding = 1.0
            overlaps[:] = self._product(fresh).reshape(d, -1)
        else:
            rest = self._gram(action, scores, more)[self._places].reshape(d, -1)
            rest -= before.T @ self._table[:start]
            np.matmul(inverse, rest, out=overlaps)
        self._rounding.append(rounding)
        return overlaps.reshape(d, d, -1)

    def _rounding_by(self, inverse: Floats, factor: Floats) -> float:
        """Rounding of overlaps from that of their own Gram, and of the overlaps before them.

        Errors are taken as independent. They are large where R_s (d, d) has a large ``inverse``:
        where the block is nearly in the span of those before it, or short of rank.
        """
        d = len(inverse)
        own = np.linalg.norm(inverse, 2) * np.linalg.norm(factor)
        carried = np.linalg.norm((inverse @ factor[:-d].T).reshape(d, -1, d), 2, axis=(0, 2))
        return float(np.hypot(own, np.linalg.norm(carried * self._rounding)))

    def _product(self, fresh: Floats) -> Floats:
        """(d, d, M) overlaps of directions (d, T), as they are defined."""
        lengths = np.full(len(fresh), self._design.n_rounds)
        return self._design.correlate_prefixes(fresh, lengths, None)[1].transpose(0, 2, 1)

    def _gram(self, action: int, scores: Floats, more: int) -> Floats:
        """(d(d + 1)/2, M) the cross Gram of an action with every block: its lower triangle."""
        if action in self._grams:
            self._came_true += 1
        else:
            # A wrong guess costs more than a right one saves: as many as came true of the last.
            n_ahead = min(self._came_true, self._most_ahead, more)
            self._came_true = 0
            others = scores.copy()
            others[[action, *self._grams]] = 0.0
            ahead = highest(others, n_ahead)
            actions = np.append(ahead[others[ahead] > 0], action)
            products = self._design.cross_grams(actions)
            self._grams.update(zip(actions.tolist(), products, strict=True))
        return self._grams.pop(action)


def highest(scores: Floats, n: int) -> Ints:
    """The n actions of the highest scores (M,), ascending."""
    if n >= len(scores):
        return np.arange(len(scores))
    return np.sort(np.argpartition(scores, -n)[len(scores) - n :])
