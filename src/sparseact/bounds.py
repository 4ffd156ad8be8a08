"""What no method can beat: least errors of finding the actions that matter, exact or bounded.

Le Cam's floor is for one action against nothing. The rest is for the *Gaussian ensemble*: the
support S is uniform over all k of M actions, the weights of its actions are independent
N(0, τ² I_d), the noise is N(0, σ² I), and nobody knew S when the log Ψ was collected. There
Bayes' rule gives the least error of any method exactly (:func:`support_evidence`,
:func:`posterior`), and Fano's inequality bounds it from below (:func:`information_bound`,
:func:`fano_error`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.special

from sparseact.arguments import (
    MOST_ACTIONS,
    broadcast,
    integer,
    numbers,
    real,
    real_array,
    require_number,
)
from sparseact.design import Floats, Ints

# More supports than this are not enumerated.
MOST_SUPPORTS = 100_000
# Numbers in one work array, as many prefixes as fit: 1 MB stays in the cache.
_CHUNK = 2**17
# Halvings of [0, 1]; doubles have no more than this between 0 and a probability that matters.
_HALVINGS = 100


def le_cam_error(effect_norm: npt.ArrayLike, noise_std: npt.ArrayLike) -> Floats:
    """Least average error of any test between "action j has the effect Ψ_j w_j" and "none".

    Two Gaussians at distance ‖Ψ_j w_j‖ and with deviation σ overlap by twice
    ``Φ(-‖Ψ_j w_j‖ / 2σ)``, which is what the likelihood-ratio test attains (Le Cam's two-point
    bound, with the exact total variation).

    Parameters
    ----------
    effect_norm : array
        ‖Ψ_j w_j‖, in units of the reward.
    noise_std : array
        σ, in units of the reward; broadcasts with ``effect_norm``.

    Returns
    -------
    array
        Half of the probability of a miss plus that of a false alarm, from 0 to 1/2. Without noise,
        0 where there is an effect and 1/2 where there is none.

    Raises
    ------
    ValueError
        If a value is negative or not finite, or the shapes do not fit each other.
    """
    effect, noise = broadcast(_finite(effect_norm, "effect_norm"), _finite(noise_std, "noise_std"))
    ratio = np.where(effect > 0, np.inf, 0.0)
    with np.errstate(over="ignore"):
        np.divide(effect, noise, out=ratio, where=noise > 0)
    return scipy.special.ndtr(-ratio / 2)


def enumerate_supports(n_actions: int, sparsity: int) -> Ints:
    """All sets of k of M actions: int array (C(M, k), k), ascending rows in lexicographic order.

    Raises
    ------
    ValueError
        If k is not within 1 … M, or there are more than 100,000 sets.
    TypeError
        If one of them is not an integer.
    """
    integer(n_actions, "n_actions", 1, MOST_ACTIONS)
    integer(sparsity, "sparsity")
    if not 1 <= sparsity <= n_actions:
        raise ValueError(f"sparsity must lie between 1 and {n_actions}, got {sparsity}")
    n = _n_supports(n_actions, sparsity)
    if n > MOST_SUPPORTS:
        raise ValueError(
            f"{sparsity} of {n_actions} actions can be chosen in {n} ways, more than the "
            f"{MOST_SUPPORTS} that can be enumerated"
        )
    members = chain.from_iterable(combinations(range(n_actions), sparsity))
    return np.fromiter(members, dtype=np.intp).reshape(-1, sparsity)


def _n_supports(n_actions: int, sparsity: int) -> float:
    """C(M, k); infinite from 2^64 on, without counting that far."""
    few = min(sparsity, n_actions - sparsity)
    return math.comb(n_actions, few) if few <= 64 else math.inf


class SupportEvidence(NamedTuple):
    """How well each of N supports explains the rewards of each of p prefixes.

    Attributes
    ----------
    log_evidence : array (p, N)
        ``log p(r | S, Ψ)`` in nats, up to a term that all supports of a prefix share.
    log_dets : array (p, N)
        ``log det(I + (τ²/σ²) Ψ_S Ψ_Sᵀ)``, which the rewards have no part in.
    """

    log_evidence: Floats
    log_dets: Floats


def support_evidence(
    gram: npt.ArrayLike,
    projection: npt.ArrayLike,
    supports: npt.ArrayLike,
    *,
    block_size: int,
    prior_variance: float,
    noise_std: float,
) -> SupportEvidence:
    """Evidence of each support in the Gaussian ensemble, exactly.

    Given S the rewards are N(0, σ² I + τ² Ψ_S Ψ_Sᵀ). With A_S = I + (τ²/σ²) Ψ_Sᵀ Ψ_S and
    b_S = Ψ_Sᵀ r, Woodbury's identity and Sylvester's give, up to terms without S,
    ``log p(r | S, Ψ) = -½ log det A_S + ½ (τ²/σ⁴) b_Sᵀ A_S⁻¹ b_S``.

    Parameters
    ----------
    gram : array (p, M·d, M·d) or (M·d, M·d)
        ΨᵀΨ of each prefix of a log, or one that they share.
    projection : array (p, M·d)
        Ψᵀr of each prefix.
    supports : int array (N, k)
        Ascending rows, as from :func:`enumerate_supports`; any other selection will do.
    block_size : int
        d, the columns of an action.
    prior_variance : float
        τ², of one coordinate of a relevant action's weights.
    noise_std : float
        σ, in units of the reward.

    Returns
    -------
    SupportEvidence

    Raises
    ------
    ValueError
        If shapes do not fit each other, numbers are not finite, supports are not ascending actions,
        or a parameter is out of range; there is no evidence without noise, nor where rounding of
        the gram, over σ²/τ², hides it.
    TypeError
        If ``block_size`` is not an integer.

    Notes
    -----
    The Cholesky factors grow by one action at a time, and supports that begin alike share theirs.
    Beside the answer and the list of supports, at most ten arrays of ``max(2^17, N·d², (M·d)²)``
    numbers are held at a time: prefixes are done one by one when they are large. (N is that of
    smaller sets passed on the way, where there are more; not if all are listed and 2k ≤ M.)
    """
    _check_scales(block_size, prior_variance, noise_std)
    matrix, vectors = numbers(gram, "gram"), numbers(projection, "projection")
    if vectors.ndim != 2 or vectors.shape[1] % block_size:
        raise ValueError(
            f"projection must have shape (prefixes, actions × {block_size}), got {vectors.shape}"
        )
    p, size = vectors.shape
    if matrix.shape not in ((size, size), (p, size, size)):
        raise ValueError(f"gram must have shape ({p}, {size}, {size}), got {matrix.shape}")
    n_actions = size // block_size
    levels = _checked_levels(supports, n_actions)
    matrices = np.broadcast_to(matrix, (p, size, size))

    log_dets, energies = np.empty((2, p, len(levels[-1].subsets)))
    largest = max(n_actions**2, *(len(level.subsets) for level in levels))
    step = max(1, _CHUNK // (largest * block_size**2))
    for start in range(0, p, step):
        some = slice(start, start + step)
        split = (-1, n_actions, block_size)
        # Batches go last, so that the loops over the d columns run over long contiguous rows.
        blocks = (prior_variance / noise_std**2 * matrices[some]).reshape(*split, *split[1:])
        blocks = blocks.transpose(2, 4, 0, 1, 3).reshape(block_size, block_size, -1, n_actions**2)
        inner = (math.sqrt(prior_variance) / noise_std**2 * vectors[some]).reshape(split)
        with np.errstate(over="ignore", invalid="ignore"):
            log_dets[some], energies[some] = _eliminate(blocks, inner.transpose(2, 0, 1), levels)
    if not (np.isfinite(log_dets) & np.isfinite(energies)).all():
        raise ValueError(
            f"prior_variance={prior_variance:g} over the square of noise_std={noise_std:g} is too "
            "much for this gram: rounding hides the evidence"
        )
    return SupportEvidence(log_evidence=(energies - log_dets) / 2, log_dets=log_dets)


def posterior(log_evidence: npt.ArrayLike) -> Floats:
    """(..., N) probabilities of equally likely supports given the data, from (..., N) evidence.

    The support with the highest is right with that probability, and no method is right more often:
    ``1 - posterior(...).max(-1)``, averaged over logs, is the least error there is.

    Raises
    ------
    ValueError
        If the evidence is not finite, or there is none.
    """
    evidence = numbers(log_evidence, "log_evidence")
    if evidence.ndim == 0 or evidence.size == 0:
        raise ValueError(f"log_evidence must have shape (…, supports), got {evidence.shape}")
    return scipy.special.softmax(evidence, axis=-1)


def information_bound(
    gram: npt.ArrayLike,
    log_dets: npt.ArrayLike,
    *,
    sparsity: int,
    block_size: int,
    prior_variance: float,
    noise_std: float,
) -> Floats:
    """(p,) upper bound on what the rewards tell about the support, I(S; r | Ψ), in nats.

    ``I = h(r | Ψ) - h(r | S, Ψ)``. An action is in S with probability k/M and weights have mean
    zero and no correlation, so Cov(r | Ψ) = σ² I + τ² (k/M) ΨΨᵀ; of all with that covariance the
    Gaussian has most entropy, hence ``h(r | Ψ) ≤ ½ log det(I + (τ²k / Mσ²) ΨᵀΨ) + c``. Given S the
    rewards are Gaussian, ``h(r | S, Ψ) = mean over S of ½ log det(I + (τ²/σ²) Ψ_SᵀΨ_S) + c`` with
    the same c. And I is at most H(S) = log N. It holds for the log at hand, so Fano's bound may be
    taken per log and averaged, which is never lower than the bound at the average information.

    Parameters
    ----------
    gram : array (p, M·d, M·d) or (M·d, M·d)
        ΨᵀΨ of each prefix.
    log_dets : array (p, N)
        Of :func:`support_evidence`, for *all* N = C(M, k) supports.
    sparsity : int
        k.
    block_size, prior_variance, noise_std
        As in :func:`support_evidence`.

    Raises
    ------
    ValueError
        If shapes do not fit each other, numbers are not finite, ``log_dets`` is not of all
        supports, or a parameter is out of range.
    TypeError
        If ``sparsity`` or ``block_size`` is not an integer.
    """
    _check_scales(block_size, prior_variance, noise_std)
    matrix, dets = numbers(gram, "gram"), numbers(log_dets, "log_dets")
    integer(sparsity, "sparsity")
    size = matrix.shape[-1] if matrix.ndim in (2, 3) else 0
    if not size or matrix.shape[-2] != size or size % block_size:
        raise ValueError(
            f"gram must be square in its last two of three axes, and its size a multiple of "
            f"{block_size}; got {matrix.shape}"
        )
    n_actions = size // block_size
    if not 1 <= sparsity <= n_actions:
        raise ValueError(f"sparsity must lie between 1 and {n_actions}, got {sparsity}")
    n_supports = _n_supports(n_actions, sparsity)
    if (
        dets.ndim != 2
        or dets.shape[1] != n_supports
        or matrix.shape[:-2] not in ((), dets.shape[:1])
    ):
        raise ValueError(
            f"log_dets must have shape (prefixes, {n_supports}) for a gram of shape "
            f"{matrix.shape}, got {dets.shape}"
        )
    share = sparsity / n_actions * prior_variance / noise_std**2
    # LU rather than Cholesky: rounding may leave a huge ΨᵀΨ a little indefinite.
    with np.errstate(over="ignore", invalid="ignore"):
        together = np.linalg.slogdet(np.eye(size) + share * matrix).logabsdet
        bound = np.clip((together - dets.mean(axis=1)) / 2, 0.0, math.log(n_supports))
    if np.isnan(bound).any():
        raise ValueError("gram and log_dets are too large for doubles")
    return bound


def fano_error(information: npt.ArrayLike, n_hypotheses: npt.ArrayLike) -> Floats:
    """Least error probability that Fano's inequality allows when N hypotheses are equally likely.

    Whoever errs with probability p leaves at most ``h(p) + p log(N - 1)`` of uncertainty, and
    ``log N - I`` are left (Cover and Thomas, Theorem 2.10.1). The left side rises on [0, 1 - 1/N];
    the answer is where it gets there, found by bisection rather than by weakening it.

    Parameters
    ----------
    information : array
        I, or an upper bound on it, in nats.
    n_hypotheses : int array
        N; broadcasts with ``information``.

    Returns
    -------
    array
        The lower side of the root, so a bound; 0 where ``I ≥ log N``.

    Raises
    ------
    ValueError
        If I is negative or NaN, N below 1 or not finite, or the shapes do not fit each other.
    """
    known, n = broadcast(
        real_array(information, "information"), numbers(n_hypotheses, "n_hypotheses")
    )
    if not (known >= 0).all():
        raise ValueError("information must not be negative or NaN")
    if not (n >= 1).all():
        raise ValueError("n_hypotheses must be at least 1")
    left = np.log(n) - known
    per_error = np.log(np.maximum(n - 1, 1))
    low, high = np.zeros(n.shape), 1 - 1 / n
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        entropy = scipy.special.entr(middle) + scipy.special.entr(1 - middle)
        enough = entropy + middle * per_error > left
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return low


# -- the kernel: it only computes ------------------------------------------------------------------


@dataclass(frozen=True)
class _Level:
    """The subsets of one size that the elimination passes through.

    ``subsets`` is (n, l). Row i of ``without`` (min(3, l), n) gives for each subset the place, one
    level below, of the subset without its last, last but one, or last but two action; there is
    none at the lowest level.
    """

    subsets: Ints
    without: Sequence[Ints]


def _checked_levels(supports: npt.ArrayLike, n_actions: int) -> tuple[_Level, ...]:
    rows = np.asarray(supports)
    if rows.ndim != 2 or rows.size == 0 or not np.issubdtype(rows.dtype, np.integer):
        raise ValueError(
            f"supports must be integers of shape (supports, sparsity), got {rows.dtype} of shape "
            f"{rows.shape}"
        )
    if (np.diff(rows) <= 0).any() or rows.min() < 0 or rows.max() >= n_actions:
        raise ValueError(f"each support must ascend within 0 … {n_actions - 1}")
    return _levels(rows.astype(np.intp).tobytes(), rows.shape[1])


# Trials share their supports, and to sort them takes longer than the evidence itself.
@lru_cache(maxsize=4)
def _levels(supports: bytes, sparsity: int) -> tuple[_Level, ...]:
    """The levels 1 … k below ``supports``, an int array (N, k) as bytes."""
    subsets: Ints = np.frombuffer(supports, dtype=np.intp).reshape(-1, sparsity)
    levels = []
    for size in range(sparsity, 1, -1):
        smaller = [np.delete(subsets, size - i, axis=1) for i in range(1, min(3, size) + 1)]
        below, place = np.unique(np.concatenate(smaller), axis=0, return_inverse=True)
        levels.append(_Level(subsets, tuple(place.reshape(len(smaller), -1))))
        subsets = below
    levels.append(_Level(subsets, ()))
    return tuple(reversed(levels))


def _eliminate(blocks: Floats, inner: Floats, levels: tuple[_Level, ...]) -> tuple[Floats, Floats]:
    """``log det A_S`` and ``b_Sᵀ A_S⁻¹ b_S``, (q, N) each, by block elimination.

    With A = I + ``blocks`` (d, d, q, M·M) and b = ``inner`` (d, q, M). Eliminating the actions of
    a set s leaves Schur complements: at level l, for every subset (s, j) of l actions, the
    ``diagonal`` block A_jj|s and ``vector`` b_j|s, and for every subset (s, i, j) of l + 1 the
    block ``across``, A_ij|s. All are at most two steps from what the level below holds.
    """
    n_actions = inner.shape[-1]
    first = levels[0].subsets[:, 0]
    diagonal = _at(blocks, first * n_actions + first)
    diagonal += np.eye(len(blocks))[:, :, None, None]
    vector = _at(inner, first)
    if len(levels) > 1:
        across = _at(blocks, levels[1].subsets @ [n_actions, 1])
    factor = _cholesky(diagonal)
    solved = _solve(factor, vector)
    log_det, energy = _log_det(factor), (solved**2).sum(axis=0)
    for depth, level in enumerate(levels[1:], start=1):
        sj, si = level.without[:2]  # of (s, j, i): j is eliminated now, and acts on i
        ratio = _solve(_at(factor, sj), across)
        diagonal = _at(diagonal, si) - np.einsum("ma...,mb...->ab...", ratio, ratio)
        vector = _at(vector, si) - np.einsum("ma...,m...->a...", ratio, _at(solved, sj))
        if depth + 1 < len(levels):
            sji, sjh, sih = levels[depth + 1].without  # of (s, j, i, h)
            products = np.einsum("ma...,mb...->ab...", _at(ratio, sji), _at(ratio, sjh))
            across = _at(across, sih) - products
        factor = _cholesky(diagonal)
        solved = _solve(factor, vector)
        log_det = _at(log_det, sj) + _log_det(factor)
        energy = _at(energy, sj) + (solved**2).sum(axis=0)
    return log_det, energy


def _at(values: Floats, places: Ints) -> Floats:
    return np.take(values, places, axis=-1)


def _cholesky(matrices: Floats) -> Floats:
    """Lower factors of (d, d, ...) matrices that are at least I; above the diagonal, remains."""
    factor = matrices.copy(order="C")
    for c in range(len(factor)):
        # What is left of I + ΨᵀΨ after elimination is still at least I, but for rounding.
        factor[c, c] = np.sqrt(np.maximum(factor[c, c], 1.0))
        factor[c + 1 :, c] /= factor[c, c]
        for row in range(c + 1, len(factor)):
            factor[row:, row] -= factor[row:, c] * factor[row, c]
    return factor


def _solve(factor: Floats, right: Floats) -> Floats:
    """(d, ...) solution of lower triangular systems, or (d, m, ...) of m right-hand sides."""
    solution = right.copy(order="C")
    for c in range(len(factor)):
        solution[c] /= factor[c, c]
        for row in range(c + 1, len(factor)):
            solution[row] -= factor[row, c] * solution[c]
    return solution


def _log_det(factor: Floats) -> Floats:
    return 2 * np.log(np.einsum("aa...->a...", factor)).sum(axis=0)


def _check_scales(block_size: int, prior_variance: float, noise_std: float) -> None:
    integer(block_size, "block_size", low=1)
    real(prior_variance, "prior_variance", low=0)
    require_number(noise_std, "noise_std")
    if not 0 < noise_std < math.inf:
        raise ValueError(f"noise_std must be finite and positive, got {noise_std}")
    # The variances, their ratio and the fourth power of the noise are divided by or multiplied.
    if not 1e-60 < noise_std < 1e60 or prior_variance > 1e60:
        raise ValueError(
            f"noise_std={noise_std:g} and prior_variance={prior_variance:g} must not exceed 1e60, "
            "nor the noise fall below 1e-60"
        )


def _finite(values: npt.ArrayLike, name: str) -> Floats:
    array = real_array(values, name)
    if not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(f"{name} must be finite and not negative")
    return array
