"""How the greedy solver scores blocks."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from sparseact.design import BlockDesign, Floats, Ints
from sparseact.residuals import RANK, WELL, Residuals

Selection = Literal["correlation", "whitened", "least_squares"]

# What is below this share of a block's energy is rounding.
_NONE = 1e-13


class Correlation:
    """``‖Ψ_jᵀ u‖²``, the paper's rule."""

    def __init__(self, design: BlockDesign, state: Residuals) -> None:
        self._state = state
        self.scores = np.empty((len(state.lengths), design.n_blocks))
        self.score(None)

    def score(self, actions: Ints | None) -> None:
        """Set the scores (p, M) of some actions (or all) from the correlations (p, M, d)."""
        which = slice(None) if actions is None else actions
        self.scores[:, which] = self.of(self._state.correlations[:, which], actions)

    def of(self, correlations: Floats, actions: Ints | None) -> Floats:
        """(p, A) the scores of some actions (or all) by their correlations (p, A, d)."""
        return np.asarray(np.einsum("pmd,pmd->pm", correlations, correlations))

    def update(self, changed: Ints | None, fresh: Floats) -> None:
        """Take in a selection: the actions whose correlations changed, and its new directions."""
        self.score(changed)


class Whitened(Correlation):
    """``‖(Ψ_jᵀΨ_j)^{-1/2} Ψ_jᵀ u‖²``, pseudo-inverse where a block is rank-deficient."""

    def __init__(self, design: BlockDesign, state: Residuals) -> None:
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
        keep = values > RANK * energy[ill][:, None]
        scale = np.where(keep, 1 / np.sqrt(np.where(keep, values, 1.0)), 0.0)
        inverse[ill] = (vectors * scale[:, None, :]).transpose(0, 2, 1)
        self._whitener[:, which] = inverse

    def of(self, correlations: Floats, actions: Ints | None) -> Floats:
        """As for the paper's rule, after whitening."""
        which = slice(None) if actions is None else actions
        white = np.einsum("pmed,pmd->pme", self._whitener[:, which], correlations)
        return super().of(white, actions)


class LeastSquares(Whitened):
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
        well &= ~there | (pivot > WELL * energy)
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


RULES: dict[Selection, type[Correlation]] = {
    "correlation": Correlation,
    "whitened": Whitened,
    "least_squares": LeastSquares,
}
