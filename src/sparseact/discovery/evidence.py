"""What some rounds tell of every action, beside the baseline and a few selected actions.

With what is left of action j's block once the baseline and the selected blocks are projected off,
``Ψ̃_j``, and of the rewards, ``r̃``: the least-squares weights are ``ŵ_j = G̃_j⁺ Ψ̃_jᵀ r̃`` with the
covariance ``σ² G̃_j⁺``, ``G̃_j = Ψ̃_jᵀΨ̃_j``, and ``s_j = ŵ_jᵀ G̃_j ŵ_j / σ²`` is χ² of as many degrees
of freedom as G̃_j has rank, with the noncentrality ``λ_j = w_jᵀ G̃_j w_j / σ²``. Since
``‖w_j‖² ≤ σ² λ_j / λ_min(G̃_j)``, a bound on λ_j bounds the effect, whatever its direction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.special

from sparseact.design import Floats, Ints
from sparseact.partialled import Partialled, directions, eigen, eigenvalues, weighted_sums
from sparseact.residuals import RANK
from sparseact.threads import serial_blas

# Rounds whose columns are made at a time.
_ROUNDS = 2**15
# Entries of overlaps with the selected blocks that are made at a time.
_ENTRIES = 2**23
# Residuals with less than this share of an action's energy are rounding.
EXACT = 1e-20
# Share of the error that is put on the noise, which the rounds tell too.
_ON_NOISE = 0.1


@dataclass(frozen=True)
class Evidence:
    """What rounds tell of M actions, each beside the baseline and the selected actions but itself.

    Attributes
    ----------
    weights : array (M, d)
        Least squares, the smallest where they are not unique.
    energy : array (M,)
        ``ŵᵀ G̃ ŵ``, by how much the action lowers the squared residual.
    rank : int array (M,)
        Of G̃; below d the rounds do not identify the weights.
    spread, narrowest, total : array (M,)
        Largest and smallest eigenvalue, and trace, of ``G̃⁻¹``; infinite where it has none.
    mean_spread : array (M,)
        ``(G̃⁻¹)₀₀``, that of the first weight.
    spread_alone, spread_beside_baseline : array (M,)
        As ``spread``, of the block itself, and with nothing but the baseline projected off.
    noise : float
        Squared norm of the residual of baseline and selected actions.
    free : int
        Degrees of freedom of that.
    noise_ratio : array (M,)
        Standard deviation of the noise in the rounds that used the action, over that in all, where
        it is larger; 1 elsewhere. The others are told as if the noise were that in all: energies
        are divided by its square, spreads multiplied.
    """

    weights: Floats
    energy: Floats
    rank: Ints
    spread: Floats
    narrowest: Floats
    total: Floats
    mean_spread: Floats
    spread_alone: Floats
    spread_beside_baseline: Floats
    noise: float
    free: int
    noise_ratio: Floats

    @property
    def noise_std(self) -> float:
        """σ̂, NaN where no round is left to tell it by."""
        return float(np.sqrt(self.noise / self.free)) if self.free > 0 else float("nan")

    def noise_std_at_most(self, alpha: Floats) -> Floats:
        """σ exceeds this with probability ``alpha``; infinite where no round is left to tell it."""
        least = scipy.special.chdtri(max(self.free, 1), 1 - np.asarray(alpha))
        told = (self.free > 0) & (least > 0)
        return np.where(told, np.sqrt(self.noise / np.where(told, least, 1.0)), np.inf)

    def size(self) -> Floats:
        """(M,) estimate of ``‖w_j‖``, less what noise adds to its square; 0 where it is not told.

        The root mean square of the action's effect where states have unit covariance.
        """
        told = self.rank == self.weights.shape[1]
        square = np.einsum("md,md->m", self.weights, self.weights)
        least = np.where(told, square - self.noise_std**2 * np.where(told, self.total, 0.0), 0.0)
        return np.asarray(np.sqrt(np.maximum(least, 0.0)))

    def size_interval(self, alpha: Floats) -> tuple[Floats, Floats]:
        """(M,), (M,) bounds on ``‖w_j‖``, each of which fails with probability ``alpha`` (M,).

        For Gaussian noise they hold whatever the direction of the effect, and so they are wider
        than most directions need.
        """
        whole = np.isfinite(self.spread)
        if self.noise <= EXACT * self.energy.max(initial=0.0):  # the rewards are met exactly
            exact = np.linalg.norm(self.weights, axis=1)
            return np.where(whole, exact, 0.0), np.where(whole, exact, np.inf)
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = np.where(self.rank > 0, self.energy / self.noise_std**2, 0.0)
            low = np.sqrt(self.narrowest) * self.bound(statistic, self.rank, alpha, upper=False)
            high = np.sqrt(self.spread) * self.bound(statistic, self.rank, alpha)
        return np.where(self.rank > 0, low, 0.0), np.where(whole, high, np.inf)

    def bound(self, statistic: Floats, rank: Ints, alpha: Floats, *, upper: bool = True) -> Floats:
        """(n,) bounds on ``σ √λ`` where ``ŵᵀ G̃ ŵ / σ̂²`` is the statistic (n,).

        Each fails with probability ``alpha`` (n,): a tenth of it by σ, the rest by λ. Upper bounds
        are not lowered further by a statistic below its mean without effect: what noise happens
        to cancel is nothing that rounds tell (power-constrained limits, Cowan et al. 2011).
        """
        most, rest = self.noise_std_at_most(_ON_NOISE * alpha), (1 - _ON_NOISE) * alpha
        with np.errstate(invalid="ignore"):
            least = statistic * (self.noise_std / most) ** 2
            if upper:
                bound = most * np.sqrt(noncentrality(np.maximum(least, rank), rank, rest))
            else:
                bound = most * np.sqrt(noncentrality(least, rank, 1 - rest))
        return np.where(np.isfinite(most), bound, np.inf if upper else 0.0)

    def mean_interval(self, alpha: Floats) -> tuple[Floats, Floats]:
        """(M,), (M,) two-sided intervals of the first weight: the effect in the average state.

        Student's t, each of which fails with probability ``alpha`` (M,).
        """
        reach = scipy.special.stdtrit(max(self.free, 1), 1 - alpha / 2)
        half = reach * self.noise_std * np.sqrt(self.mean_spread)
        return self.weights[:, 0] - half, self.weights[:, 0] + half


def noncentrality(statistic: Floats, degrees: Ints, probability: Floats | float) -> Floats:
    """λ at which noncentral χ² stays below the statistic with that probability; 0 if none does."""
    df = np.maximum(degrees, 1)
    below = scipy.special.chdtr(df, statistic) <= probability
    bound = scipy.special.chndtrinc(np.where(below, 1.0, statistic), df, probability)
    return np.asarray(np.where(below, 0.0, bound))


def detectable(degrees: int, alpha: float, power: float) -> float:
    """λ that a test at level ``alpha`` finds with probability ``power``."""
    return float(scipy.special.chndtrinc(scipy.special.chdtri(degrees, alpha), degrees, 1 - power))


@serial_blas()
def evidence(design: Partialled, rewards: Floats, selected: Sequence[int] | Ints) -> Evidence:
    """What the rounds of a log tell of every action, beside its baseline and selected actions.

    Parameters
    ----------
    design : Partialled
        The rounds, which are not to be those that the actions were selected on.
    rewards : array (T,)
    selected : int array (m,)
        Actions that are allowed for in all others, distinct and of no order.
    """
    chosen = np.asarray(selected, dtype=np.intp)
    rest, whole = design.rest_of(rewards), np.array([design.n_rounds])
    d, m = design.block_size, len(chosen)
    grams = design.grams.copy()
    correlations = design.correlate_start(rest, whole)[0]
    factor = factor_of(design, rest, chosen)
    basis = directions(factor[:, : m * d])
    explained = basis.T @ factor[:, : m * d].T @ factor[:, -1]
    for part, products in _products(design, chosen):
        inner = (basis.T @ products.reshape(m * d, -1)).reshape(len(explained), -1, d)
        inner = inner.transpose(1, 0, 2)
        grams[part] -= inner.transpose(0, 2, 1) @ inner
        correlations[part] -= explained @ inner
    for i, j in enumerate(chosen):
        others = np.delete(np.arange(m), i)
        grams[j], correlations[j] = _left(factor, i, others, d)
    noise = max(float(rest @ rest - explained @ explained), 0.0)
    free = design.n_logged - len(explained)
    residual = rest - _fitted(design, chosen, (basis @ explained).reshape(m, d))
    ratio = _noise_ratio(design, residual, noise / free if free > 0 else np.inf)
    return Evidence(
        **_least_squares(grams, correlations, design.energy, ratio),
        spread_alone=ratio**2 * _spread(eigenvalues(design.whole), design.energy),
        spread_beside_baseline=ratio**2 * _spread(design.axes[0], design.energy),
        noise=noise,
        free=free,
        noise_ratio=ratio,
    )


@serial_blas()
def beside(
    told: Evidence,
    design: Partialled,
    rewards: Floats,
    selected: Sequence[int] | Ints,
    near: Mapping[int, Sequence[int]],
) -> Evidence:
    """The evidence where further actions are allowed for in some: those used much like them.

    Parameters
    ----------
    told : Evidence
    design, rewards, selected
        What it was made of.
    near : mapping of int to ints
        Of some actions, the others that are allowed for besides those selected.
    """
    if not near:
        return told
    chosen = [int(j) for j in selected]
    named = dict.fromkeys([*chosen, *near, *(i for others in near.values() for i in others)])
    place = {j: i for i, j in enumerate(named)}
    d, own = design.block_size, np.array([*near])
    factor = factor_of(design, design.rest_of(rewards), np.array([*named]))
    left = [
        _left(factor, place[j], [place[i] for i in {*chosen, *others} - {j}], d)
        for j, others in near.items()
    ]
    grams, correlations = (np.array(part) for part in zip(*left, strict=True))
    changed = {}
    found = _least_squares(grams, correlations, design.energy[own], told.noise_ratio[own])
    for name, values in found.items():
        changed[name] = getattr(told, name).copy()
        changed[name][own] = values
    return replace(told, **changed)


def _left(
    factor: Floats, place: int, others: Sequence[int] | Ints, d: int
) -> tuple[Floats, Floats]:
    """The Gram (d, d) of what others leave of a block, and its correlation (d,) with the rewards.

    Of blocks in the triangular factor (n, n), whose last column is the rewards'.
    """
    columns = np.sort(np.asarray(others, dtype=np.intp))[:, None] * d + np.arange(d)
    block = factor[:, columns.ravel()]
    span, left = block @ directions(block), factor[:, place * d : (place + 1) * d]
    for _ in range(2):
        left = left - span @ (span.T @ left)
    return left.T @ left, left.T @ factor[:, -1]


def _fitted(design: Partialled, chosen: Ints, weights: Floats) -> Floats:
    """(T,) what the selected actions explain of the rewards with weights (m, d)."""
    used, latents = design.design.activations_of(chosen), design.design.latents
    fitted = np.einsum("tm,tm->t", used, latents @ weights.T)
    baseline = np.einsum("mbd,md->b", design.overlaps[chosen], weights)
    return np.asarray(fitted - design.basis @ baseline)


def _noise_ratio(design: Partialled, residual: Floats, variance: float) -> Floats:
    """(M,) how much noisier rounds are that used an action; 1 where they are less."""
    X, coverage = design.design.activations, design.coverage
    own = np.asarray((X * X).T @ residual**2) / np.where(coverage > 0, coverage, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(np.fmax(own / variance, 1.0)) if variance > 0 else np.ones(len(own))


def _least_squares(
    grams: Floats, correlations: Floats, energy: Floats, ratio: Floats
) -> dict[str, Any]:
    """What :class:`Evidence` says of n actions.

    By their Grams (n, d, d), correlations with the rewards (n, d), ``‖Ψ_j‖²`` (n,), and noise.
    """
    values, vectors = eigen(grams)
    keep = values > RANK * energy[:, None]
    inverse = np.where(keep, 1 / np.where(keep, values, 1.0), 0.0)
    along = (correlations[:, None, :] @ vectors)[:, 0]
    some, whole = keep.any(axis=1), keep.all(axis=1)
    first = np.einsum("md,md->m", vectors[:, 0] ** 2, inverse)
    return {
        "weights": (vectors @ (along * inverse)[:, :, None])[:, :, 0],
        "energy": np.einsum("md,md->m", along**2, inverse) / ratio**2,
        "rank": keep.sum(axis=1),
        "spread": ratio**2 * np.where(whole, inverse.max(axis=1), np.inf),
        "narrowest": ratio**2 * np.where(some, 1 / np.where(some, values[:, -1], 1.0), np.inf),
        "total": ratio**2 * np.where(whole, inverse.sum(axis=1), np.inf),
        "mean_spread": ratio**2 * np.where(whole, first, np.inf),
    }


def _spread(values: Floats, energy: Floats) -> Floats:
    """(M,) the largest inverse of eigenvalues (M, d); infinite where one is none."""
    told = values[:, 0] > RANK * energy
    return np.where(told, 1 / np.where(told, values[:, 0], 1.0), np.inf)


def factor_of(design: Partialled, rest: Floats, blocks: Ints) -> Floats:
    """(n, n) the triangular factor of what is left of some blocks, and of the rewards: last."""
    n = len(blocks) * design.block_size + 1
    factor = np.zeros((0, n))
    for part, left in chunks_left(design, blocks):
        stacked = np.vstack([factor, np.column_stack([left, rest[part]])])
        factor = np.asarray(np.linalg.qr(stacked, mode="r"))
    return np.vstack([factor, np.zeros((n - len(factor), n))])


def chunks_left(design: Partialled, blocks: Ints) -> Iterator[tuple[slice, Floats]]:
    """(R, m·d) what the baseline leaves of some blocks, of some rounds at a time."""
    d, used = design.block_size, design.design.activations_of(blocks)
    overlaps = np.concatenate([np.empty((design.basis.shape[1], 0)), *design.overlaps[blocks]], 1)
    for start in range(0, design.n_rounds, _ROUNDS):
        part = slice(start, start + _ROUNDS)
        columns = used[part, :, None] * design.design.latents[part, None, :]
        yield part, columns.reshape(len(columns), len(blocks) * d) - design.basis[part] @ overlaps


def _products(design: Partialled, chosen: Ints) -> Iterator[tuple[slice, Floats]]:
    """Of some actions at a time, (m·d, A, d) products of their blocks with those selected.

    Both with the baseline projected off.
    """
    base, d, m = design.design, design.block_size, len(chosen)
    if not m:
        return
    own = design.overlaps[chosen].transpose(0, 2, 1).reshape(m * d, -1)
    rows = [base.touched(np.array([j])) for j in chosen]
    used = base.activations_of(chosen).T
    logs = []
    for j, which in enumerate(rows):
        where: Any = slice(None) if which is None else which
        activations = base.activations[where]
        if sp.issparse(activations):
            activations = activations.tocsc()
        logs.append((activations, base.latents[where], used[j, where]))
    step = max(1, _ENTRIES // max(m * d * d, 1))
    for start in range(0, base.n_blocks, step):
        part = slice(start, start + step)
        inner = design.overlaps[part].transpose(1, 0, 2)
        products = -(own @ inner.reshape(len(inner), -1)).reshape(m, d, -1, d)
        for i, (activations, latents, strength) in enumerate(logs):
            products[i] += weighted_grams(activations[:, part], latents, strength).transpose(
                1, 0, 2
            )
        yield part, products.reshape(m * d, -1, d)


def weighted_grams(activations: Any, latents: Floats, strength: Floats) -> Floats:
    """(A, d, d) ``Σ_t x_ta s_t z_t z_tᵀ``."""
    if sp.issparse(activations):  # most rounds use none of a few actions
        rounds, places = np.unique(activations.indices, return_inverse=True)
        shape = (len(rounds), activations.shape[1])
        activations = sp.csc_array((activations.data, places, activations.indptr), shape=shape)
        activations = activations.tocsr()
        latents, strength = latents[rounds], strength[rounds]
    return weighted_sums(activations, strength[:, None] * latents, latents)
