"""Coherence: how far the blocks of a log's design are from mistaking one action for others.

Both measures are kept up from one prefix of the log to the next by QR of the new rounds stacked on
the triangle of the old (sequential TSQR; Demmel, Grigori, Hoemmen and Langou 2012), so all prefixes
cost one pass over the log and no Gram matrix of Ψ is ever formed: near-copies keep their digits.
Ψ exists for a few thousand rounds at a time. Meant for M·d up to a few hundred: the exact-recovery
coefficient takes O(T·k·d·M·d) operations, mutual coherence O(T·(M·d)²), and (M·d)² numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse as sp

from sparseact.arguments import ids, instance
from sparseact.design import Floats, Ints, KhatriRaoDesign, prefix_lengths

# Directions with less than this share of a block's energy do not count, as in block_omp.
_RANK = 1e-10
# Rounds for which Ψ exists at once: enough for BLAS to be busy, few enough to stay in its cache.
_ROUNDS_AT_ONCE = 2048

Rounds = Sequence[int] | npt.NDArray[np.integer]


@overload
def exact_recovery_coefficient(
    design: KhatriRaoDesign, support: Rounds, lengths: None = None
) -> float: ...
@overload
def exact_recovery_coefficient(
    design: KhatriRaoDesign, support: Rounds, lengths: Rounds
) -> Floats: ...
def exact_recovery_coefficient(
    design: KhatriRaoDesign, support: Rounds, lengths: Rounds | None = None
) -> float | Floats:
    """Tropp's exact-recovery coefficient for blocks, ``μ_S = max_{j∉S} Σ_{i∈S} ‖(Ψ_S⁺Ψ_j)_i‖₂``.

    Parameters
    ----------
    design : KhatriRaoDesign
    support : int array (k,)
        S, distinct actions in any order.
    lengths : int array (p,), optional
        Ascending numbers of rounds, each from 1 to T; without it, the whole log.

    Returns
    -------
    float, or array (p,)
        No unit. 0 where there is no action outside S; infinite where Ψ_S lacks full column rank,
        since then other weights, perhaps on fewer actions, give the same rewards.

    Raises
    ------
    ValueError
        If the support is empty, out of range or names an action twice, or the lengths are not
        strictly ascending within 1 … T.
    TypeError
        If ``design`` is not a design, or the support is not integers.

    Notes
    -----
    ``(A)_i`` is the d × d block of A (k·d × d) that belongs to action i. If ``μ_S < 1`` and the
    rewards are ``Ψ_S w`` with no ``w_i`` zero, Block-OMP with ``selection="correlation"`` finds S
    in k steps. For its residual u lies in the range of Ψ_S, so
    ``u = Ψ_S Ψ_S⁺ u = (Ψ_S⁺)ᵀ Ψ_Sᵀ u`` and, for j outside S,

    ``‖Ψ_jᵀu‖ = ‖Σ_i (Ψ_S⁺Ψ_j)_iᵀ Ψ_iᵀu‖ ≤ Σ_i ‖(Ψ_S⁺Ψ_j)_i‖₂ ‖Ψ_iᵀu‖ ≤ μ_S max_{i∈S} ‖Ψ_iᵀu‖``,

    less than the best in S unless u = 0; and ``Ψ_iᵀu = 0`` for the actions already selected. The
    blocks need be neither orthonormal nor of one scale, but μ_S depends on their scale as the rule
    does: it says nothing of the rule ``whitened``, for which the Ψ_j would have to be orthonormal.
    Sufficient, not necessary for given weights. Tropp (2004), "Greed is good"; for blocks Eldar,
    Kuppinger and Bölcskei (2010), "Block-sparse signals", their ρ_c.
    """
    ends = _check_lengths(design, lengths)
    chosen = _check_support(design, support)
    others = np.setdiff1d(np.arange(design.n_blocks), chosen)
    d, k = design.block_size, len(chosen)
    order = np.concatenate([chosen, others])
    # Zero rows to start with: nothing of them is left in Q once Ψ_S has full column rank.
    stacked = np.zeros((k * d, design.n_blocks * d))
    out = np.empty(len(ends))
    for psi, ending in _rounds(design, ends, order):
        both = np.concatenate([stacked, psi.T])
        q, stacked[:, : k * d] = np.linalg.qr(both[:, : k * d])
        stacked[:, k * d :] = q.T @ both[:, k * d :]
        if ending is not None:
            out[ending] = _coefficient(stacked, k, d)
    return out if lengths is not None else float(out[0])


def _coefficient(stacked: Floats, k: int, d: int) -> float:
    """The coefficient from ``[R, QᵀΨ_rest]`` (k·d × M·d) of Ψ_S = QR."""
    r, rest = stacked[:, : k * d], stacked[:, k * d :]
    energy = np.square(r).reshape(-1, k, d).sum(axis=(0, 2))
    if not energy.all():
        return np.inf
    singular = np.linalg.svd(r / np.repeat(np.sqrt(energy), d), compute_uv=False)
    if singular[-1] ** 2 <= _RANK:
        return np.inf
    if rest.shape[1] == 0:
        return 0.0
    solved = scipy.linalg.solve_triangular(r, rest, check_finite=False)
    blocks = solved.reshape(k, d, -1, d).transpose(0, 2, 1, 3)
    return float(_spectral_norms(blocks).sum(axis=0).max())


@overload
def mutual_coherence(design: KhatriRaoDesign, lengths: None = None) -> float: ...
@overload
def mutual_coherence(design: KhatriRaoDesign, lengths: Rounds) -> Floats: ...
def mutual_coherence(design: KhatriRaoDesign, lengths: Rounds | None = None) -> float | Floats:
    """Mutual block coherence, ``μ_B = max_{i≠j} ‖Q_iᵀQ_j‖₂`` with Q_j an orthonormal basis of Ψ_j.

    Parameters
    ----------
    design : KhatriRaoDesign
    lengths : int array (p,), optional
        Ascending numbers of rounds, each from 1 to T; without it, the whole log.

    Returns
    -------
    float, or array (p,)
        Between 0 and 1, the cosine of the smallest principal angle between two actions' blocks.
        A rank-deficient block counts with the range it has, an action never used not at all.

    Raises
    ------
    ValueError
        If the lengths are not strictly ascending within 1 … T.
    TypeError
        If ``design`` is not a design.

    Notes
    -----
    Eldar, Kuppinger and Bölcskei (2010), "Block-sparse signals", for orthonormalised blocks and
    without their factor 1/d. Bases and their products are updated together: where a QR of the old
    triangle on the new rounds is ``[R_i; new] = [A_i; B_i] R_i'``, the new ``Q_iᵀQ_j`` is
    ``A_iᵀ (Q_iᵀQ_j) A_j + B_iᵀB_j``.
    """
    ends = _check_lengths(design, lengths)
    M, d = design.n_blocks, design.block_size
    triangles = np.zeros((M, d, d))
    cosines = np.zeros((M * d, M * d))
    out = np.empty(len(ends))
    for psi, ending in _rounds(design, ends, np.arange(M)):
        tall = np.concatenate(
            [triangles.transpose(0, 2, 1), psi.reshape(M, d, -1)], axis=2
        ).transpose(0, 2, 1)
        q, triangles = np.linalg.qr(tall)
        fresh = np.ascontiguousarray(q[:, d:].transpose(0, 2, 1)).reshape(M * d, -1)
        cosines = _between(q[:, :d], cosines) + fresh @ fresh.T
        if ending is not None:
            out[ending] = _coherence(triangles, cosines)
    return out if lengths is not None else float(out[0])


def _coherence(triangles: Floats, cosines: Floats) -> float:
    """Largest cosine between ranges of blocks ``Q_i R_i``: R (M, d, d), QᵀQ (M·d, M·d)."""
    M, d, _ = triangles.shape
    left, singular, _ = np.linalg.svd(triangles)
    energy = np.square(singular).sum(axis=1, keepdims=True)
    ranges = left * (np.square(singular) > _RANK * energy)[:, None, :]
    first, second = np.triu_indices(M, 1)
    blocks = _between(ranges, cosines).reshape(M, d, M, d)[first, :, second, :]
    if d > 2 and blocks.size:
        # The spectral norm lies between the Frobenius norm and that over √d.
        frobenius = np.square(blocks).sum(axis=(1, 2))
        blocks = blocks[frobenius >= frobenius.max() / (d * (1 + 1e-9))]
    return float(min(_spectral_norms(blocks).max(initial=0.0), 1.0))


def _between(blocks: Floats, inner: Floats) -> Floats:
    """``Dᵀ inner D`` for the block-diagonal D of blocks (M, d, d) and a symmetric inner matrix."""
    M, d, _ = blocks.shape
    turned = blocks.transpose(0, 2, 1)
    half = (turned @ inner.reshape(M, d, M * d)).reshape(M * d, M * d)
    return (turned @ half.T.reshape(M, d, M * d)).reshape(M * d, M * d)


def _spectral_norms(blocks: Floats) -> Floats:
    """(…) spectral norms of blocks (…, d, d)."""
    if blocks.shape[-1] == 2:  # closed form: a thousand small LAPACK calls take far longer
        a, b, c, d = (blocks[..., i, j] for i in (0, 1) for j in (0, 1))
        twice = np.hypot(a + d, b - c) + np.hypot(a - d, b + c)
        return np.asarray(twice / 2, dtype=np.float64)
    return np.asarray(np.linalg.svd(blocks, compute_uv=False)[..., 0], dtype=np.float64)


def _rounds(
    design: KhatriRaoDesign, ends: Ints, order: Ints
) -> Iterator[tuple[Floats, int | None]]:
    """Ψᵀ (M·d, rounds) of each stretch of the log, and which prefix ends with it, if one does."""
    start = 0
    for i, end in enumerate(ends):
        while start < end:
            stop = min(start + _ROUNDS_AT_ONCE, int(end))
            used = design.activations[start:stop]
            used = used.toarray() if sp.issparse(used) else used
            latents = np.ascontiguousarray(design.latents[start:stop].T)
            psi = np.ascontiguousarray(used.T[order])[:, None, :] * latents
            yield psi.reshape(-1, stop - start), i if stop == end else None
            start = stop


def _check_lengths(design: KhatriRaoDesign, lengths: Rounds | None) -> Ints:
    instance(design, KhatriRaoDesign, "design")
    return prefix_lengths([design.n_rounds] if lengths is None else lengths, design.n_rounds)


def _check_support(design: KhatriRaoDesign, support: Rounds) -> Ints:
    chosen = ids(support, "support", design.n_blocks)
    if not len(chosen):
        raise ValueError(
            f"support must be distinct actions between 0 and {design.n_blocks - 1}, got none"
        )
    return chosen
