"""What a refit on a few actions is worth: standard errors, intervals, and decisions built on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.special

from sparseact.arguments import LARGEST, ids, integer, numbers, require_number
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
        require_number(level, "level")
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
        Distinct actions in any order; there may be none.
    n_rounds : int, optional

    Raises
    ------
    ValueError
        If the rewards do not fit the design, are not finite or above 1e30, the support is out of
        range or names an action twice, or ``n_rounds`` is not within 1 … T.
    TypeError
        If ``design`` is not a design, or the support or ``n_rounds`` are not integers.

    Notes
    -----
    By a QR factorisation of the blocks, ``Ψ_S = QR``: the standard errors are σ̂ times the norms of
    the rows of R⁻¹. Where the blocks are rank-deficient the weights are the smallest in norm once
    each block is scaled to unit energy (a complete orthogonal factorisation, LAPACK gelsy).
    """
    used = _Used(design, support, n_rounds)
    blocks, n, p = used.blocks, used.n_rounds, used.blocks.shape[1]
    y = numbers(rewards, "rewards", (design.n_rounds,), largest=LARGEST)[:n]
    d = design.block_size
    factors = _inverse_factor(blocks)
    if factors is None:
        weights, rank = _smallest(used, y, d)
        return Refit(weights, np.full_like(weights, np.nan), float("nan"), n - p, rank)
    q, r_inverse = factors
    weights = r_inverse @ (q.T @ used.of(y))
    residual = y.copy()
    residual[used.rounds] -= blocks @ weights
    noise_std = float(np.sqrt(residual @ residual / (n - p))) if n > p else float("nan")
    errors = noise_std * np.linalg.norm(r_inverse, axis=1)
    return Refit(weights.reshape(-1, d), errors.reshape(-1, d), noise_std, n - p, p)


def smallest_weights(design: BlockDesign, rewards: Floats, support: Ints) -> tuple[Floats, int]:
    """Weights (m, d) as those of :func:`refit` where blocks are rank-deficient, and their rank."""
    return _smallest(_Used(design, support, None), rewards, design.block_size)


def _smallest(used: _Used, rewards: Floats, d: int) -> tuple[Floats, int]:
    blocks = used.blocks
    if not len(blocks):
        return np.zeros((blocks.shape[1] // d, d)), 0
    scale = np.linalg.norm(blocks.reshape(len(blocks), -1, d), axis=(0, 2))
    scale[scale == 0] = 1.0
    solution, _, rank, _ = scipy.linalg.lstsq(
        blocks / np.repeat(scale, d),
        used.of(rewards),
        cond=_RANK,
        lapack_driver="gelsy",
        check_finite=False,
    )
    return solution.reshape(-1, d) / scale[:, None], int(rank)


def path_weights(design: BlockDesign, rewards: Floats, support: Ints) -> Floats:
    """(m + 1, m·d) weights of :func:`refit` on the first 0 … m of the selected actions, padded.

    From one QR factorisation: the inverse of a leading part of R is that part of its inverse.
    """
    used, d = _Used(design, support, None), design.block_size
    m = len(support)
    first = np.arange(m * d) < d * np.arange(m + 1)[:, None]
    factors = _inverse_factor(used.blocks)
    if factors is not None:
        q, r_inverse = factors
        return np.asarray((first * (q.T @ used.of(rewards))) @ r_inverse.T)
    weights = np.zeros(first.shape)
    for i in range(1, m + 1):
        weights[i, : i * d] = smallest_weights(design, rewards, support[:i])[0].ravel()
    return weights


def oracle_error(
    design: BlockDesign,
    support: Sequence[int] | npt.ArrayLike,
    noise_std: float,
    n_rounds: int | None = None,
) -> float:
    """Expected squared error ``σ² tr(G_S⁻¹)`` of least squares that knows the support.

    ``G_S = Ψ_SᵀΨ_S``; infinite where the weights are not identified. The expectation is over the
    noise, given the design.

    Raises
    ------
    ValueError
        If the support is out of range or names an action twice, ``n_rounds`` is not within 1 … T,
        or the noise is negative, not finite or above 1e30.
    TypeError
        As :func:`refit`.
    """
    noise_std = float(numbers(noise_std, "noise_std", (), largest=LARGEST))
    inverse = _inverse_factor(_Used(design, support, n_rounds).blocks)
    return float("inf") if inverse is None else float(noise_std**2 * np.sum(inverse[1] ** 2))


def least_eigenvalue(
    design: BlockDesign, support: Sequence[int] | npt.ArrayLike, n_rounds: int | None = None
) -> float:
    """``λ_min(G_S / T)``, how well the log determines the weights of a support.

    0 where it does not, infinite where there are none.

    Raises
    ------
    ValueError, TypeError
        As :func:`refit`.
    """
    used = _Used(design, support, n_rounds)
    if used.blocks.shape[1] > len(used.blocks):
        return 0.0
    if used.blocks.shape[1] == 0:
        return float("inf")
    return float(np.linalg.svd(used.blocks, compute_uv=False)[-1] ** 2 / used.n_rounds)


def decide(weights: npt.ArrayLike, support: npt.ArrayLike, latents: npt.ArrayLike) -> Ints:
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

    Raises
    ------
    ValueError
        If shapes do not fit each other, numbers are not finite or above 1e30, or the support is
        negative or names an action twice.
    TypeError
        If the support is not integers.
    """
    actions = ids(support, "support", np.iinfo(np.intp).max)
    states = numbers(latents, "latents", (None, None), largest=LARGEST)
    shape = (len(actions), states.shape[1])
    values = states @ numbers(weights, "weights", shape, largest=LARGEST).T
    chosen = np.full(len(states), -1, dtype=np.intp)
    if len(actions):
        best = values.argmax(axis=1)
        worth = values[np.arange(len(states)), best] > 0
        chosen[worth] = actions[best[worth]]
    return chosen


class _Used:
    """The blocks of a support on the rounds that used any of it; see :func:`refit` for what fails.

    Elsewhere the blocks are zero, and where each round uses few of many actions that is nearly
    everywhere.
    """

    def __init__(self, design: BlockDesign, support: npt.ArrayLike, n_rounds: int | None) -> None:
        if not hasattr(design, "correlate_start"):
            raise TypeError(f"design must be a KhatriRaoDesign, got {type(design).__name__}")
        if n_rounds is not None:
            integer(n_rounds, "n_rounds", 1, design.n_rounds)
        actions = ids(support, "support", design.n_blocks)
        self.n_rounds = n_rounds or design.n_rounds
        rows = design.touched(actions)
        if rows is not None:
            rows = rows[: np.searchsorted(rows, self.n_rounds)]
        # Either all of the first rounds, or those of them that are named.
        self.rounds: Ints | slice = slice(self.n_rounds) if rows is None else rows
        columns = design.columns(actions, rows)[:, :, : self.n_rounds]
        m, d, used = columns.shape
        self.blocks: Floats = columns.reshape(m * d, used).T  # (R, m·d)

    def of(self, values: Floats) -> Floats:
        """(R,) of one value a round."""
        return values[self.rounds]


def _inverse_factor(blocks: Floats) -> tuple[Floats, Floats] | None:
    """Q (T, p) and R⁻¹ (p, p) of the blocks (T, p); None where they are rank-deficient."""
    if blocks.shape[1] > blocks.shape[0]:
        return None
    scale = np.linalg.norm(blocks, axis=0)
    if not scale.all():
        return None
    q, r = np.linalg.qr(blocks / scale)
    inverse = inverse_factor(r)
    return None if inverse is None else (q, inverse / scale[:, None])


def inverse_factor(factor: Floats) -> Floats | None:
    """R⁻¹ of blocks' square factor R (p, p); None where their columns are short of rank."""
    scale = np.linalg.norm(factor, axis=0)
    if not scale.all():
        return None
    scaled = factor / scale
    try:
        inverse = np.linalg.inv(scaled)
    except np.linalg.LinAlgError:
        return None
    # ‖R‖‖R⁻¹‖ bounds the condition number of the scaled columns from above.
    if np.linalg.norm(scaled) * np.linalg.norm(inverse) > 1 / _RANK:
        return None
    return np.asarray(inverse / scale[:, None])
