"""Products of the blocks of a log with each other, what its baseline leaves of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from sparseact.design import Floats, Ints
from sparseact.partialled import Partialled, weighted_sums
from sparseact.residuals import RANK

# Rounds whose columns are made at a time.
_ROUNDS = 2**15


class Part(NamedTuple):
    """What others leave of the block of an action.

    Attributes
    ----------
    blocks : int array (n,)
        It and the others.
    coefficients : array (n·d, d)
        The combinations of their columns that it is.
    gram : array (d, d)
    correlation : array (d,)
        With the rewards.
    """

    blocks: Ints
    coefficients: Floats
    gram: Floats
    correlation: Floats


def products(design: Partialled, own: Ints, others: Ints | slice) -> Floats:
    """(m·d, A·d) products of the columns of some blocks (m) with those of others (A)."""
    base, d = design.design, design.block_size
    mine, theirs = design.overlaps[own], design.overlaps[others]
    found = -np.tensordot(mine, theirs, axes=(1, 1))  # (m, d, A, d)
    for one, j in zip(found, own, strict=True):
        where: Any = base.touched(np.array([j]))
        where = slice(None) if where is None else where
        strength = base.activations_of(np.array([j]))[where, 0]
        used = base.activations[where][:, others]
        one += _weighted(used, base.latents[where], strength).transpose(1, 0, 2)
    return found.reshape(len(own) * d, len(theirs) * d)


def pairs(design: Partialled, own: Ints, other: Ints) -> Floats:
    """(P, d, d) products ``Ψ_iᵀΨ_j`` of pairs of blocks."""
    X, latents = design.by_action, design.design.latents
    both = sp.csc_array(X[:, own].multiply(X[:, other]))
    found = _weighted(both, latents, np.ones(len(latents)))
    return found - design.overlaps[own].transpose(0, 2, 1) @ design.overlaps[other]


def combined(design: Partialled, blocks: Ints, coefficients: Floats) -> Floats:
    """(T, r) combinations of the columns of some blocks, by coefficients (m·d, r)."""
    base, d, r = design.design, design.block_size, coefficients.shape[1]
    by_block = coefficients.reshape(len(blocks), d, r)
    used, flat = base.activations[:, blocks], by_block.reshape(len(blocks), d * r)
    columns = -design.basis @ np.einsum("mbd,mdr->br", design.overlaps[blocks], by_block)
    for start in range(0, design.n_rounds, _ROUNDS):
        part = slice(start, start + _ROUNDS)
        by_state = np.asarray(used[part] @ flat).reshape(-1, d, r)
        columns[part] += np.einsum("td,tdr->tr", base.latents[part], by_state)
    return columns


class Axes(NamedTuple):
    """The axes of a Gram G (n·d, n·d) of blocks that are each brought to a trace of 1.

    Attributes
    ----------
    unit : array (n·d,)
        By which the columns are multiplied for that; 0 where nothing is left of a block.
    values, vectors : arrays (n·d,), (n·d, n·d)
        Ascending.
    """

    unit: Floats
    values: Floats
    vectors: Floats

    @property
    def inverse(self) -> Floats:
        """(n·d, r) W for which WᵀGW is the identity, r the rank of G."""
        keep = self.values > RANK
        return self.unit[:, None] * self.vectors[:, keep] / np.sqrt(self.values[keep])


def axes_of(gram: Floats, energy: Floats) -> Axes:
    """The axes of a Gram of blocks whose whole energy is ``energy`` (n,)."""
    n = len(energy)
    d = len(gram) // max(n, 1)
    traces = np.diagonal(gram).reshape(n, d).sum(axis=1)
    left = traces > RANK * energy
    unit = np.repeat(np.where(left, 1 / np.sqrt(np.where(left, traces, 1.0)), 0.0), d)
    return Axes(unit, *np.linalg.eigh(unit[:, None] * gram * unit))


def left_of(
    gram: Floats, correlation: Floats, blocks: Ints, energy: Floats, place: int, others: Ints
) -> Part:
    """What others leave of a block.

    Parameters
    ----------
    gram, correlation : arrays (n·d, n·d), (n·d,)
        Of some blocks, with each other and with the rewards.
    blocks : int array (n,)
        Their actions.
    energy : array (n,)
        Of the whole blocks.
    place, others : int, int array
        Which of them.
    """
    d = len(gram) // len(blocks)
    own = np.arange(place * d, (place + 1) * d)
    columns = (others[:, None] * d + np.arange(d)).ravel()
    by = axes_of(gram[np.ix_(columns, columns)], energy[others]).inverse
    along = by.T @ gram[np.ix_(columns, own)]
    left = gram[np.ix_(own, own)] - along.T @ along
    taken = -by @ along
    return Part(
        blocks[[place, *others]],
        np.vstack([np.eye(d), taken]),
        left,
        correlation[own] + taken.T @ correlation[columns],
    )


def _weighted(activations: Any, latents: Floats, strength: Floats) -> Floats:
    """(A, d, d) ``Σ_t x_ta s_t z_t z_tᵀ``."""
    if sp.issparse(activations):  # most rounds use none of a few actions
        activations = activations.tocsc()
        rounds, places = np.unique(activations.indices, return_inverse=True)
        shape = (len(rounds), activations.shape[1])
        activations = sp.csc_array((activations.data, places, activations.indptr), shape=shape)
        activations = activations.tocsr()
        latents, strength = latents[rounds], strength[rounds]
    return weighted_sums(activations, strength[:, None] * latents, latents)
