"""How the greedy solver scores blocks."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from sparseact.design import BlockDesign, Floats, Ints, KhatriRaoDesign
from sparseact.overlaps import Overlaps
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

    def update(self, selected: Ints, fresh: Floats, more: int) -> None:
        """Take in a selection (p,), its new directions (p, d, R), with so many more to come."""
        self.score(self._state.correlate())


class Whitened(Correlation):
    """``‖(Ψ_jᵀΨ_j)^{-1/2} Ψ_jᵀ u‖²``, pseudo-inverse where a block is rank-deficient."""

    def __init__(self, design: BlockDesign, state: Residuals) -> None:
        grams = design.gram_prefixes(state.lengths)
        energy = np.trace(grams, axis1=2, axis2=3)
        factors, well = _factors(grams, energy)
        d = design.block_size
        identity = np.broadcast_to(np.eye(d)[:, :, None, None], factors.shape)
        # (p, M, d, d) a matrix A with AᵀGA = 1 on the range of each Gram
        self._whitener = _solve(factors, identity).transpose(2, 3, 0, 1)
        self._whitener[~well] = _roots(grams[~well], energy[~well])
        super().__init__(design, state)

    def of(self, correlations: Floats, actions: Ints | None) -> Floats:
        """As for the paper's rule, after whitening."""
        which = slice(None) if actions is None else actions
        white = np.einsum("pmed,pmd->pme", self._whitener[:, which], correlations)
        return super().of(white, actions)


class LeastSquares(Correlation):
    """The drop of ``‖u‖²`` if the block were added: whitening by what is left of the block."""

    def __init__(self, design: BlockDesign, state: Residuals) -> None:
        self._design = design
        self._grams = design.gram_prefixes(state.lengths)
        self._energy = np.trace(self._grams, axis1=2, axis2=3)
        self._overlaps: Overlaps | None = None
        if isinstance(design, KhatriRaoDesign) and design.is_large and len(state.lengths) == 1:
            self._overlaps = Overlaps(design)
        super().__init__(design, state)

    def of(self, correlations: Floats, actions: Ints | None) -> Floats:
        """As for the paper's rule, after whitening, which every selection changes."""
        which = slice(None) if actions is None else actions
        grams, energy = self._grams[:, which], self._energy[:, which]
        factors, well = _factors(grams, energy)
        white = _solve(factors, correlations.transpose(2, 0, 1)[:, None])[:, 0].transpose(1, 2, 0)
        ill = ~well
        white[ill] = np.einsum("ned,nd->ne", _roots(grams[ill], energy[ill]), correlations[ill])
        return super().of(white, actions)

    def update(self, selected: Ints, fresh: Floats, more: int) -> None:
        """Take the part of every block that the new directions (p, d, R) explain off its Gram."""
        actions, explained = self._explain(selected, fresh, more)
        which = slice(None) if actions is None else actions
        for e in range(self._design.block_size):  # of the Grams the lower triangles alone are read
            lower = np.einsum("pfm,pfme->pme", explained[..., e], explained[..., : e + 1])
            self._grams[:, which, e, : e + 1] -= lower
        self.score(actions)

    def _explain(self, selected: Ints, fresh: Floats, more: int) -> tuple[Ints | None, Floats]:
        """(p, d, A, d) overlaps of the new directions with A blocks, or all."""
        state = self._state
        if self._overlaps is not None:
            overlaps = self._overlaps.add(
                int(selected[0]), state.factor[-1], fresh[0], self.scores[0], more
            )
            state.correlate_by(overlaps)
            return None, overlaps.transpose(0, 2, 1)[None]
        state.correlate()
        p, d, n_rows = fresh.shape
        actions, explained = self._design.correlate_prefixes(
            fresh.reshape(p * d, n_rows), np.repeat(state.lengths, d), state.rows
        )
        return actions, explained.reshape(p, d, -1, d)


def _factors(grams: Floats, energy: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(d, d, p, M) the Cholesky factor of every Gram (p, M, d, d), with the diagonal inverted.

    Dimensions that depend on those before them are left out: what is inverted there is 0. Also
    where (p, M) it is good: where what is left of every dimension is none or plenty.

    One action after another would be slow for want of work in each, so an operation is on all
    actions at a time, entry by entry of the factors.
    """
    entries = grams.transpose(2, 3, 0, 1)
    factors = np.zeros_like(entries)
    well = np.ones(energy.shape, dtype=bool)
    for j, row in enumerate(factors):
        pivot = entries[j, j] - np.einsum("k...,k...->...", row[:j], row[:j])
        there = pivot > _NONE * energy
        well &= ~there | (pivot > WELL * energy)
        row[j] = there / np.sqrt(np.where(there, pivot, 1.0))
        inner = np.einsum("ik...,k...->i...", factors[j + 1 :, :j], row[:j])
        factors[j + 1 :, j] = (entries[j + 1 :, j] - inner) * row[j]
    return factors, well


def _solve(factors: Floats, right: Floats) -> Floats:
    """(d, n, p, M) what :func:`_factors` made (d, d, p, M) map to ``right`` (d, n, p, M).

    For c in the range of a Gram G the solution w has ``‖w‖² = cᵀG⁺c``.
    """
    solution = np.empty_like(right)
    for j, row in enumerate(factors):
        inner = np.einsum("k...,kn...->n...", row[:j], solution[:j])
        solution[j] = (right[j] - inner) * row[j]
    return solution


def _roots(grams: Floats, energy: Floats) -> Floats:
    """(n, d, d) A with ``‖A c‖² = cᵀG⁺c`` by the eigenvalues of ill-conditioned Grams (n, d, d)."""
    values, vectors = np.linalg.eigh(grams)
    keep = values > RANK * energy[:, None]
    scale = np.where(keep, 1 / np.sqrt(np.where(keep, values, 1.0)), 0.0)
    return (vectors * scale[:, None, :]).transpose(0, 2, 1)


RULES: dict[Selection, type[Correlation]] = {
    "correlation": Correlation,
    "whitened": Whitened,
    "least_squares": LeastSquares,
}
