"""Which actions are used alike, so that a log may not tell them apart.

All pairs of many actions are too many to compare their blocks; those that are used in the same
rounds more (or, where both are used often, less) than by chance are found by their use alone, and
their blocks compared.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from sparseact.design import Floats, Ints
from sparseact.discovery.grams import pairs
from sparseact.partialled import Partialled
from sparseact.residuals import RANK
from sparseact.threads import over, serial_blas

# Actions whose use is compared with all others at a time.
_AT_A_TIME = 4096
# Actions used in a larger share of rounds than this may be alike by never being used together.
_OFTEN = 0.05


class Companions(NamedTuple):
    """The actions that each action is most alike, the closest first.

    Attributes
    ----------
    actions : int array (M, n)
        -1 where there are fewer that are ever used beside it.
    coherence : array (M, n)
        ``‖Q_iᵀQ_j‖₂`` of orthonormal bases of both blocks, with the baseline projected off: the
        cosine of the smallest angle between them. 1 says that the log cannot tell some effect of
        one from an effect of the other; it is 0 where there is none.
    """

    actions: Ints
    coherence: Floats


@serial_blas()
def companions(design: Partialled, n: int = 3) -> Companions:
    """The ``n`` actions that are used most like each action, by the coherence of their blocks.

    Those whose use is the most correlated with its own, of either sign; of actions that are never
    used together only those are looked at which are used in a twentieth of the rounds or more.
    """
    nearest = _used_alike(design, n)
    own, place = np.nonzero(nearest >= 0)
    pairs = np.sort(np.column_stack([own, nearest[own, place]]), axis=1)
    pairs, which = np.unique(pairs, axis=0, return_inverse=True)
    coherence = np.zeros(nearest.shape)
    coherence[own, place] = _coherence(design, *pairs.T)[which.ravel()]
    order = np.argsort(-coherence, axis=1, kind="stable")
    coherence = np.take_along_axis(coherence, order, axis=1)
    actions = np.take_along_axis(nearest, order, axis=1)
    return Companions(np.where(coherence > 0, actions, -1), coherence)


def _used_alike(design: Partialled, n: int) -> Ints:
    """(M, n) the actions whose use is most correlated with each action's own; -1 beyond them."""
    base = design.design
    T, M = base.n_rounds, base.n_blocks
    rows = sp.csr_array(base.activations)
    X = design.by_action
    used = X.sum(axis=0)
    energy = X.multiply(X).sum(axis=0)
    power = energy - used**2 / T
    varies = power > RANK * energy  # not used alike in every round
    scale = np.where(varies, np.sqrt(np.where(varies, power, 1.0)), np.inf)
    often = np.flatnonzero(np.diff(X.indptr) >= _OFTEN * T)
    nearest = np.full((M, n), -1, dtype=np.intp)
    for start in range(0, M, _AT_A_TIME):
        part = X[:, start : start + _AT_A_TIME]
        together = sp.csr_array(part.T @ rows)  # (A, M) where both are used
        together.data = _correlation(together, used, scale, start, T)
        both = np.flatnonzero((often >= start) & (often < start + part.shape[1]))
        if len(both):  # never together may be telling
            dense = together[often[both] - start].toarray()
            apart = -np.outer(used[often[both]], used[often]) / T
            apart /= np.outer(scale[often[both]], scale[often])
            values = dense[:, often]
            dense[:, often] = np.where(values == 0, apart, values)
            dense[np.arange(len(both)), often[both]] = 0.0
            nearest[often[both]] = _highest(np.abs(dense), n)
        rare = np.setdiff1d(np.arange(part.shape[1]), often[both] - start)
        _highest_of_rows(together, rare, start, nearest)
    return nearest


def _correlation(
    together: sp.csr_array, used: Floats, scale: Floats, start: int, n_rounds: int
) -> Floats:
    """(nnz,) correlation of the use of pairs of actions, 0 of one with itself."""
    row = np.repeat(np.arange(together.shape[0]), np.diff(together.indptr)) + start
    column = together.indices
    value = (together.data - used[row] * used[column] / n_rounds) / (scale[row] * scale[column])
    value[row == column] = 0.0
    return np.asarray(value)


def _highest(values: Floats, n: int) -> Ints:
    """(A, n) where each row (A, M) is highest; -1 where it is 0 there."""
    order = np.argsort(-values, axis=1, kind="stable")[:, :n]
    found = np.where(np.take_along_axis(values, order, axis=1) > 0, order, -1)
    return np.pad(found, ((0, 0), (0, n - found.shape[1])), constant_values=-1)


def _highest_of_rows(values: sp.csr_array, rows: Ints, start: int, nearest: Ints) -> None:
    """Set, for some rows of a sparse matrix, where it is the furthest from 0."""
    size, begins = np.abs(values.data), values.indptr
    rows = rows[np.diff(begins)[rows] > 0]
    if not len(rows):
        return
    filled = np.flatnonzero(np.diff(begins))
    within = np.repeat(np.arange(len(filled)), np.diff(begins)[filled])
    wanted = np.searchsorted(filled, rows)
    for place in range(nearest.shape[1]):
        highest = np.maximum.reduceat(size, begins[filled])
        first = np.flatnonzero(size == highest[within])
        first = first[np.unique(within[first], return_index=True)[1]]
        found = np.where(highest > 0, values.indices[first], -1)
        nearest[rows + start, place] = found[wanted]
        size[first] = 0.0


def _coherence(design: Partialled, own: Ints, other: Ints) -> Floats:
    """(P,) block coherence of pairs of actions, the baseline projected off."""
    if not len(own):
        return np.empty(0)
    values, vectors = design.axes
    keep = values > RANK * design.energy[:, None]
    root = np.where(keep, 1 / np.sqrt(np.where(keep, values, 1.0)), 0.0)
    whitener = root[:, :, None] * vectors.transpose(0, 2, 1)
    coherence = np.empty(len(own))

    def of(which: slice) -> None:
        i, j = own[which], other[which]
        inner = whitener[i] @ pairs(design, i, j) @ whitener[j].transpose(0, 2, 1)
        coherence[which] = np.linalg.eigvalsh(inner @ inner.transpose(0, 2, 1))[:, -1]

    over(of, len(own))
    return np.sqrt(np.clip(coherence, 0.0, 1.0))
