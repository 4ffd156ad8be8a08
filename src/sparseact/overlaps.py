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

# Actions, besides the selected one, that a product is for at most.
_AHEAD = 16
# Selections that there is room for at first.
_ROOM = 16
# Rounding that overlaps may have, as a multiple of what they would have from their own product.
_MOST = 32.0


class Overlaps:
    """``Qᵀ Ψ_j`` of the basis Q of the selected blocks, as they come, with every block j."""

    def __init__(self, design: KhatriRaoDesign) -> None:
        d = design.block_size
        self._design = design
        self._places = places_in_triangle(d)
        self._grams: dict[int, Floats] = {}  # of actions not selected yet, as lower triangles
        # Cross Grams of those ahead are not to outgrow the log.
        self._most_ahead = min(_AHEAD, design.n_rounds // self._places.max(initial=1))
        self._came_true = self._most_ahead
        self._table = np.empty((0, d * design.n_blocks))  # overlaps so far, and room
        self._rounding = np.empty(0)  # of each selection

    def add(self, action: int, factor: Floats, fresh: Floats, scores: Floats, more: int) -> Floats:
        """(d, d, M) overlaps of the directions that a selection adds.

        ``factor`` (m·d + d, d) is its block in terms of the basis, ``fresh`` (d, T) the directions.
        The highest of the scores (M,) tell what the ``more`` selections to come are likely to be.
        """
        d = len(fresh)
        before, own = factor[:-d], factor[-d:]
        inverse = np.linalg.pinv(own).T
        carried = np.linalg.norm((inverse @ before.T).reshape(d, -1, d), 2, axis=(0, 2))
        rounding = np.linalg.norm(inverse, 2) * np.linalg.norm(factor) + carried @ self._rounding
        overlaps = self._room(len(before), more)
        if rounding > _MOST:
            rounding, lengths = 1.0, np.full(d, self._design.n_rounds)
            _, direct = self._design.correlate_prefixes(fresh, lengths, None)
            overlaps[:] = direct.transpose(0, 2, 1).reshape(d, -1)
        else:
            rest = self._gram(action, scores, more)[self._places].reshape(d, -1)
            rest -= before.T @ self._table[: len(before)]
            np.matmul(inverse, rest, out=overlaps)
        self._rounding = np.append(self._rounding, rounding)
        return overlaps.reshape(d, d, -1)

    def _gram(self, action: int, scores: Floats, more: int) -> Floats:
        """(d(d + 1)/2, M) the cross Gram of an action with every block: its lower triangle."""
        if action in self._grams:
            self._came_true += 1
        else:
            # Guesses that fail cost a product, so there are hardly more than came true before.
            n_ahead = min(self._came_true + 1, self._most_ahead, more)
            self._came_true = 0
            others = scores.copy()
            others[[action, *self._grams]] = 0.0
            ahead = highest(others, n_ahead)
            actions = np.append(ahead[others[ahead] > 0], action)
            self._grams.update(zip(actions.tolist(), self._design.cross_grams(actions), strict=True))
        return self._grams.pop(action)

    def _room(self, size: int, more: int) -> Floats:
        """(d, d·M) of the table, after its first rows, for the next overlaps."""
        d = len(self._places)
        if size == len(self._table):
            filled, rows = self._table, min((more + 1) * d, max(_ROOM * d, size))
            self._table = np.empty((size + rows, filled.shape[1]))
            self._table[:size] = filled
        return self._table[size : size + d]


def highest(scores: Floats, n: int) -> Ints:
    """The n actions of the highest scores (M,), ascending."""
    if n >= len(scores):
        return np.arange(len(scores))
    return np.sort(np.argpartition(scores, -n)[len(scores) - n :])
