"""What a refit on a few actions is worth: standard errors, intervals, and decisions built on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.special

from sparseact.design import BlockDesign, Floats, Ints

# Singular values below this share of the largest count as zero, once columns have unit norm.
_RANK = 1e-10


@dataclass(frozen=True)
class Refit:
    """Least squares on the blocks of m selected actions.

    Attributes
    ----------
    weights : array (m, d)
        In units of the reward.
    standard_errors : array (m, d)
        NaN where the weights are not identified, or no round is left to tell the noise by.
    noise_std : float
        Estimate of σ from the residual, NaN likewise.
    degrees_of_freedom : int
        T - m·d.
    rank : int
        Of the blocks together; below m·d the weights are not identified.
    """

    weights: Floats
    standard_errors: Floats
    noise_std: float
    degrees_of_freedom: int
    rank: int

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Confidence intervals of the weights, each on its own, as (low, high) of shape (m, d).

        Student's t on T - m·d degrees of freedom: exact for Gaussian noise and a support that was
        not chosen on the same rounds.

        Raises
        ------
        ValueError
            If ``level`` is not within (0, 1).
        """
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, got {level}")
        reach = scipy.special.stdtrit(max(self.degrees_of_freedom, 1), 0.5 + level / 2)
        return (
            self.weights - reach * self.standard_errors,
            self.weights + reach * self.standard_errors,
        )


def refit(
    design: BlockDesign,
    rewards: npt.ArrayLike,
    support: Sequence[int] | npt.ArrayLike,
    n_rounds: int | None = None,
) -> Refit:
    """Refit on a support with standard errors, on all rounds or on the first ``n_rounds``.

    Parameters
    ----------
    design : KhatriRaoDesign
    rewards : array (T,)
    support : int array (m,)
    n_rounds : int, optional

    Notes
    -----
    By a QR factorisation of the blocks, ``Ψ_S = QR``: the standard errors are σ̂ times the norms of
    the rows of R⁻¹. Where the blocks are rank-deficient the weights are the smallest in norm once
    each block is scaled to unit energy (a complete orthogonal factorisation, LAPACK gelsy).
    """
    blocks, y = _blocks(design, support, n_rounds), np.asarray(rewards, dtype=np.float64)
    n, p = blocks.shape
    y, d = y[:n], design.block_size
    factors = _inverse_factor(blocks)
    if factors is None:
        weights, rank = _smallest(blocks, y, d)
        return Refit(weights, np.full_like(weights, np.nan), float("nan"), n - p, rank)
    q, r_inverse = factors
    weights = r_inverse @ (q.T @ y)
    residual = y - blocks @ weights
    noise_std = float(np.sqrt(residual @ residual / (n - p))) if n > p else float("nan")
    errors = noise_std * np.linalg.norm(r_inverse, axis=1)
    return Refit(weights.reshape(-1, d), errors.reshape(-1, d), noise_std, n - p, p)


def _smallest(blocks: Floats, y: Floats, d: int) -> tuple[Floats, int]:
    """Weights (m, d) of rank-deficient blocks (T, m·d), and their rank."""
    scale = np.linalg.norm(blocks.reshape(len(blocks), -1, d), axis=(0, 2))
    scale[scale == 0] = 1.0
    solution, _, rank, _ = scipy.linalg.lstsq(
        blocks / np.repeat(scale, d), y, cond=_RANK, lapack_driver="gelsy", check_finite=False
    )
    return solution.reshape(-1, d) / scale[:, None], int(rank)


def oracle_error(
    design: BlockDesign,
    support: Sequence[int] | npt.ArrayLike,
    noise_std: float,
    n_rounds: int | None = None,
) -> float:
    """Expected squared error ``σ² tr(G_S⁻¹)`` of least squares that knows the support.

    ``G_S = Ψ_SᵀΨ_S``; infinite where the weights are not identified. The expectation is over the
    noise, given the design.
    """
    inverse = _inverse_factor(_blocks(design, support, n_rounds))
    return float("inf") if inverse is None else float(noise_std**2 * np.sum(inverse[1] ** 2))


def least_eigenvalue(
    design: BlockDesign, support: Sequence[int] | npt.ArrayLike, n_rounds: int | None = None
) -> float:
    """``λ_min(G_S / T)``, how well the log determines the weights of a support.

    0 where it does not, infinite where there are none.
    """
    blocks = _blocks(design, support, n_rounds)
    if blocks.shape[1] > len(blocks):
        return 0.0
    if blocks.shape[1] == 0:
        return float("inf")
    return float(np.linalg.svd(blocks, compute_uv=False)[-1] ** 2 / len(blocks))


def decide(weights: Floats, support: Ints, latents: Floats) -> Ints:
    """Best action ``argmax_j ⟨ŵ_j, z⟩`` for each latent state, -1 where none is worth more than 0.

    Parameters
    ----------
    weights : array (m, d)
    support : int array (m,)
    latents : array (n, d)

    Returns
    -------
    int array (n,)
        -1 stands for any irrelevant action, whose value is 0.
    """
    chosen = np.full(len(latents), -1, dtype=np.intp)
    if len(support):
        values = latents @ weights.T
        best = values.argmax(axis=1)
        worth = values[np.arange(len(latents)), best] > 0
        chosen[worth] = np.asarray(support, dtype=np.intp)[best[worth]]
    return chosen


def _blocks(design: BlockDesign, support: npt.ArrayLike, n_rounds: int | None) -> Floats:
    columns = design.columns(np.asarray(support, dtype=np.intp), None)[:, :, :n_rounds]
    m, d, n = columns.shape
    return columns.reshape(m * d, n).T


def _inverse_factor(blocks: Floats) -> tuple[Floats, Floats] | None:
    """Q (T, p) and R⁻¹ (p, p) of the blocks (T, p); None where they are rank-deficient."""
    if blocks.shape[1] > blocks.shape[0]:
        return None
    scale = np.linalg.norm(blocks, axis=0)
    if not scale.all():
        return None
    q, r = np.linalg.qr(blocks / scale)
    inverse, failed = scipy.linalg.lapack.dtrtri(r) if len(r) else (r, 0)
    # ‖R‖‖R⁻¹‖ bounds the condition number of the scaled columns from above.
    if failed or np.linalg.norm(r) * np.linalg.norm(inverse) > 1 / _RANK:
        return None
    return q, inverse / scale[:, None]
