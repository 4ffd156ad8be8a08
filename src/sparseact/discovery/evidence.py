"""What some rounds tell of every action, beside the baseline and a few selected actions.

With what is left of action j's block once the baseline and the selected blocks are projected off,
``Ψ̃_j``, and of the rewards, ``r̃``: the least-squares weights are ``ŵ_j = G̃_j⁺ Ψ̃_jᵀ r̃`` with the
covariance ``σ² G̃_j⁺``, ``G̃_j = Ψ̃_jᵀΨ̃_j``, and ``s_j = ŵ_jᵀ G̃_j ŵ_j / σ²`` is χ² of as many degrees
of freedom as G̃_j has rank, with the noncentrality ``λ_j = w_jᵀ G̃_j w_j / σ²``. Since
``‖w_j‖² ≤ σ² λ_j / λ_min(G̃_j)``, a bound on λ_j bounds the effect, whatever its direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.special

from sparseact.design import Floats, Ints
from sparseact.discovery.grams import axes_of, combined, left_of, products
from sparseact.partialled import Partialled, eigen, eigenvalues
from sparseact.residuals import RANK
from sparseact.threads import serial_blas

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
    mean, mean_spread : arrays (M,)
        ``⟨ŵ, z̄⟩`` with the mean state z̄ of the rounds that used the action, and ``z̄ᵀ G̃⁻¹ z̄``.
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
    mean: Floats
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
        few, which = np.unique(alpha, return_inverse=True)  # the quantile is slow
        least = scipy.special.chdtri(max(self.free, 1), 1 - few)[which].reshape(np.shape(alpha))
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
        """(M,), (M,) two-sided intervals of the mean effect in the rounds that used it.

        Student's t, each of which fails with probability ``alpha`` (M,).
        """
        reach = scipy.special.stdtrit(max(self.free, 1), 1 - alpha / 2)
        half = reach * self.noise_std * np.sqrt(self.mean_spread)
        return self.mean - half, self.mean + half


def noncentrality(statistic: Floats, degrees: Ints, probability: Floats | float) -> Floats:
    """λ at which noncentral χ² stays below the statistic with that probability; 0 if none does."""
    given = np.broadcast_arrays(statistic, np.maximum(degrees, 1), probability)
    each, which = np.unique(np.stack(given, axis=-1).reshape(-1, 3), axis=0, return_inverse=True)
    x, df, p = each.T
    bound, above = np.zeros(len(x)), scipy.special.chdtr(df, x) > p
    bound[above] = scipy.special.chndtrinc(x[above], df[above], p[above])
    return np.asarray(bound[which].reshape(given[0].shape))


def detectable(degrees: int, alpha: float, power: float) -> float:
    """λ that a test at level ``alpha`` finds with probability ``power``."""
    return float(scipy.special.chndtrinc(scipy.special.chdtri(degrees, alpha), degrees, 1 - power))


class Judged(NamedTuple):
    """Rounds that actions are judged on, which are not to be those that they were selected on.

    Attributes
    ----------
    design : Partialled
    rest : array (T,)
        What the baseline leaves of the rewards.
    correlations : array (M, d)
        Of every block with that.
    """

    design: Partialled
    rest: Floats
    correlations: Floats

    @classmethod
    def by(cls, design: Partialled, rewards: Floats) -> Judged:
        """By rewards (T,) as they are."""
        rest = design.rest_of(rewards)
        return cls(design, rest, _correlations(design, rest))


def _correlations(design: Partialled, values: Floats) -> Floats:
    return design.correlate_start(values, np.array([design.n_rounds]))[0]


class Regression(NamedTuple):
    """Least squares on the blocks of some actions.

    Attributes
    ----------
    basis : array (m·d, r)
        W for which WᵀGW is the identity, G the Gram of the blocks.
    residual : array (T,)
        Of the rewards.
    noise, free : float, int
        Its squared norm, and degrees of freedom.
    ratio : array (M,)
        See :attr:`Evidence.noise_ratio`.
    leverage : array (T,), optional
        How much of its own reward each round explains; None where that is little.
    """

    basis: Floats
    residual: Floats
    noise: float
    free: int
    ratio: Floats
    leverage: Floats | None = None


@serial_blas()
def evidence(judged: Judged, selected: Sequence[int] | Ints) -> tuple[Evidence, Regression]:
    """What the rounds of a log tell of every action, beside its baseline and selected actions.

    Parameters
    ----------
    judged : Judged
    selected : int array (m,)
        Actions that are allowed for in all others, distinct and of no order.

    Returns
    -------
    evidence : Evidence
    regression : Regression
        On the selected.
    """
    design, chosen = judged.design, np.asarray(selected, dtype=np.intp)
    d, m = design.block_size, len(chosen)
    grams = design.grams.copy()
    correlations = judged.correlations.copy()
    own, right = products(design, chosen, chosen), correlations[chosen].ravel()
    basis = axes_of(own, design.energy[chosen]).inverse
    explained = basis.T @ right
    step = max(1, _ENTRIES // max(m * d * d, 1))
    for start in range(0, design.n_blocks if m else 0, step):
        part = slice(start, start + step)
        inner = basis.T @ products(design, chosen, part)
        inner = inner.reshape(len(basis.T), -1, d).transpose(1, 0, 2)
        grams[part] -= inner.transpose(0, 2, 1) @ inner
        correlations[part] -= explained @ inner
    for i, j in enumerate(chosen):
        others = np.delete(np.arange(m), i)
        left = left_of(own, right, chosen, design.energy[chosen], i, others)
        grams[j], correlations[j] = left.gram, left.correlation
    found = regression(judged, chosen, basis)
    told = Evidence(
        **least_squares(design, slice(None), grams, correlations, found.ratio),
        spread_alone=found.ratio**2 * _spread(eigenvalues(design.whole), design.energy),
        spread_beside_baseline=found.ratio**2 * _spread(design.axes[0], design.energy),
        noise=found.noise,
        free=found.free,
        noise_ratio=found.ratio,
    )
    return told, found


def regression(judged: Judged, blocks: Ints, basis: Floats) -> Regression:
    """Least squares on some blocks, with WᵀGW the identity for ``basis`` W (m·d, r)."""
    design, residual, correlations = judged
    for again in (True, False):  # twice is exact to working precision
        along = basis.T @ correlations[blocks].ravel()
        residual = residual - combined(design, blocks, (basis @ along)[:, None])[:, 0]
        if again:
            correlations = _correlations(design, residual)
    noise, free = float(residual @ residual), design.n_logged - basis.shape[1]
    return Regression(basis, residual, noise, free, _noise_ratio(design, residual, noise))


def _noise_ratio(design: Partialled, residual: Floats, noise: float) -> Floats:
    """(M,) how much noisier rounds are that used an action; 1 where they are less."""
    X, coverage = design.design.activations, design.coverage
    own = np.asarray((X * X).T @ residual**2) / np.where(coverage > 0, coverage, 1.0)
    if noise <= 0:
        return np.ones(len(own))
    return np.asarray(np.sqrt(np.maximum(own * design.n_rounds / noise, 1.0)))


def least_squares(
    design: Partialled, which: Ints | slice, grams: Floats, correlations: Floats, ratio: Floats
) -> dict[str, Any]:
    """What :class:`Evidence` says of some actions (n).

    By what is left of them: Grams (n, d, d), correlations with the rewards (n, d), and noise.
    """
    energy, whole_grams = design.energy[which], design.whole[which]
    uses = whole_grams[:, 0, 0]
    mean_state = whole_grams[:, 0] / np.where(uses > 0, uses, 1.0)[:, None]
    values, vectors = eigen(grams)
    keep = values > RANK * energy[:, None]
    inverse = np.where(keep, 1 / np.where(keep, values, 1.0), 0.0)
    along = (correlations[:, None, :] @ vectors)[:, 0]
    some, whole = keep.any(axis=1), keep.all(axis=1)
    weights = (vectors @ (along * inverse)[:, :, None])[:, :, 0]
    seen = np.einsum("md,mde->me", mean_state, vectors)
    return {
        "weights": weights,
        "mean": np.einsum("md,md->m", weights, mean_state),
        "energy": np.einsum("md,md->m", along**2, inverse) / ratio**2,
        "rank": keep.sum(axis=1),
        "spread": ratio**2 * np.where(whole, inverse.max(axis=1), np.inf),
        "narrowest": ratio**2 * np.where(some, 1 / np.where(some, values[:, -1], 1.0), np.inf),
        "total": ratio**2 * np.where(whole, inverse.sum(axis=1), np.inf),
        "mean_spread": ratio**2 * np.where(whole, np.einsum("md,md->m", seen**2, inverse), np.inf),
    }


def _spread(values: Floats, energy: Floats) -> Floats:
    """(M,) the largest inverse of eigenvalues (M, d); infinite where one is none."""
    told = values[:, 0] > RANK * energy
    return np.where(told, 1 / np.where(told, values[:, 0], 1.0), np.inf)
