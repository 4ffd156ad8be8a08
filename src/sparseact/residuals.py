"""Residuals of the greedy solver, and the basis of the selected blocks they are orthogonal to."""

from __future__ import annotations

import numpy as np

from sparseact.design import BlockDesign, Floats, Ints
from sparseact.inference import inverse_factor

# Directions with less than this share of a block's energy outside the selected span do not count.
RANK = 1e-10
# Blocks with a direction below this share of energy take an SVD, not the root of their Gram.
WELL = 1e-5
# Correlations are computed anew where the residual has fallen below this share.
_SMALL = 0.03


class Residuals:
    """Residuals of every prefix, on the rounds that the selected actions touch.

    A round that no selected action was used in keeps its reward as its residual, so when each
    round uses few of many actions, nearly all of the log is read once, at the start.
    """

    def __init__(self, design: BlockDesign, rewards: Floats, lengths: Ints) -> None:
        self._design, self.lengths = design, lengths
        self.unit = unit_of(rewards)
        rewards = rewards / self.unit
        self._rewards = rewards
        self._untouched = np.ones(design.n_rounds, dtype=bool)
        self._outside = rewards.copy()  # zero where touched
        self._starts = np.concatenate([[0], lengths[:-1]])
        self.rows: Ints | None = np.empty(0, dtype=np.intp)
        self.residuals = np.zeros((len(lengths), 0))
        self._change = self.residuals
        self._within = self.residuals  # 1 within each prefix, 0 beyond
        self._basis = np.zeros((len(lengths), 0, 0))  # orthonormal (or zero) rows, and room
        self._size = 0
        # Of the first prefix: the blocks in terms of the basis, a step an item, and the rewards.
        self.factor: list[Floats] = []
        self._explained: list[Floats] = []
        self._full_rank: list[bool] = []
        self.correlations = design.correlate_start(rewards, lengths)
        self._norms_anew = self.norms()  # when correlations were last computed anew

    def norms(self) -> Floats:
        """(p,) norm of each prefix's residual."""
        energy = np.einsum("pr,pr->p", self.residuals, self.residuals)
        if self.rows is not None:
            outside = self._outside[: self.lengths[-1]] ** 2
            energy += np.cumsum(np.add.reduceat(outside, self._starts))
        return np.sqrt(energy) * self.unit

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
        self.factor.append(np.concatenate([factor, fresh[0] @ columns[0].T]))
        self._full_rank.append(bool(rank[0] == fresh.shape[1]))
        inner = fresh @ self.residuals[:, :, None]
        self._explained.append(inner[0, :, 0])
        self._change = (inner.transpose(0, 2, 1) @ fresh)[:, 0, :]
        self.residuals -= self._change
        return fresh, rank

    def correlate(self) -> Ints | None:
        """Bring the correlations up to date, and tell for which actions they changed.

        Anew, for all (None), where that is no more work, against drift.
        """
        if self.rows is None:
            _, self.correlations = self._design.correlate_prefixes(
                self.residuals, self.lengths, None
            )
            return None
        actions, lost = self._design.correlate_prefixes(self._change, self.lengths, self.rows)
        self.correlations[:, slice(None) if actions is None else actions] -= lost
        return actions

    def correlate_by(self, overlaps: Floats) -> None:
        """Bring those of one prefix up to date by overlaps (d, d, M) of its new directions.

        Anew where the residual has become small: rounding has not become so with it.
        """
        norms = self.norms()
        if (norms < _SMALL * self._norms_anew).any():
            self._norms_anew = norms
            self.correlate()
        else:
            self.correlations[0] -= np.einsum("f,fem->em", self._explained[-1], overlaps).T

    def weights(self, n_selected: int) -> Floats | None:
        """(m, d) least squares on the first prefix's blocks; None where they are short of rank."""
        if not all(self._full_rank[:n_selected]):
            return None
        d = self._design.block_size
        factor = np.zeros((n_selected * d, n_selected * d))
        for i, block in enumerate(self.factor[:n_selected]):
            factor[: (i + 1) * d, i * d : (i + 1) * d] = block
        inverse = inverse_factor(factor)
        if inverse is None:
            return None
        explained = np.concatenate([np.empty(0), *self._explained[:n_selected]])
        return np.asarray((inverse @ explained).reshape(-1, d)) * self.unit

    def _keep(self, fresh: Floats) -> None:
        d, room = fresh.shape[1], self._basis.shape[1] - self._size
        if room < d:
            self._basis = _padded(self._basis, 1, max(self._size, d))
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
        self.residuals = np.concatenate([self.residuals, within * self._rewards[fresh]], axis=1)
        self._basis = _padded(self._basis[:, : self._size], 2, len(fresh))


def unit_of(rewards: Floats) -> float:
    """A power of two, which changes no digit, by which squares of small rewards do not vanish."""
    return float(2.0 ** max(np.frexp(np.abs(rewards).max(initial=0.0))[1], -1000))


def _padded(array: Floats, axis: int, more: int) -> Floats:
    """An array with zeros after it along an axis, which take no memory until they are used."""
    shape = list(array.shape)
    shape[axis] += more
    padded = np.zeros(shape)
    padded[tuple(map(slice, array.shape))] = array
    return padded


def _orthonormal(columns: Floats, energy: Floats) -> tuple[Floats, Ints]:
    """Orthonormal rows (p, d, R), zero past the rank, for what is left of blocks (p, d, R).

    ``energy`` (p,) is that of the whole blocks, before anything was projected off: what is left
    counts where it holds more than a share ``RANK`` of it. Well-conditioned blocks are multiplied
    by the inverse root of their Gram, twice, which is orthogonal to working precision; the others
    take an SVD.
    """
    p, d, _ = columns.shape
    rank = np.full(p, d)
    fresh = columns
    for repeat in range(2):
        values, vectors = np.linalg.eigh(fresh @ fresh.transpose(0, 2, 1))
        if repeat == 0:
            well = values[:, 0] > WELL * np.maximum(energy, np.finfo(np.float64).tiny)
        values[~well] = 1.0
        fresh = (vectors / np.sqrt(values)[:, None, :]).transpose(0, 2, 1) @ fresh
    for i in np.flatnonzero(~well):
        _, singular, vt = np.linalg.svd(columns[i], full_matrices=False)
        keep = singular**2 > RANK * energy[i]
        rank[i] = keep.sum()
        fresh[i] = 0.0
        fresh[i, : rank[i]] = vt[: len(keep)][keep]
    return fresh, rank
