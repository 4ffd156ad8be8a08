"""Dense ridge regression, and what stands out in it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse as sp

from sparseact.design import Floats, KhatriRaoDesign
from sparseact.rivals.chosen import Chosen, Standardised, largest, standardised
from sparseact.threads import serial_blas

# Penalties over the largest eigenvalue of ΨᵀΨ, descending.
_GRID = np.geomspace(1e3, 1e-6, 91)
# Eigenvalues below this share of the largest are rounding.
_NONE = 1e-12


def choose(design: KhatriRaoDesign, rewards: npt.ArrayLike, k: int) -> Chosen:
    """The k actions of the largest weights in a ridge regression on all actions.

    ``ŵ = (ΨᵀΨ + λI)⁻¹Ψᵀr`` on blocks of one energy, with λ from a grid of 91 by generalised
    cross-validation (Golub, Heath and Wahba 1979): the least
    ``T ‖r - Ψŵ‖² / (T - tr Ψ(ΨᵀΨ + λI)⁻¹Ψᵀ)²``. All penalties share one eigendecomposition, of
    ``ΨᵀΨ`` or of ``ΨΨᵀ = (XXᵀ) ⊙ (ZZᵀ)``, whichever is smaller.

    Parameters
    ----------
    design : KhatriRaoDesign
    rewards : array (T,)
    k : int
        How many actions are sought.

    Raises
    ------
    ValueError, TypeError
        As :func:`sparseact.rivals.screening.choose`.
    """
    log = standardised(design, rewards, k)
    if log is None:
        return Chosen.none()
    with serial_blas():
        weights, _ = solve(log)
    return log.chosen(largest(np.linalg.norm(weights, axis=1), k))


def solve(log: Standardised) -> tuple[Floats, float]:
    """Weights (M, d) at the penalty of least generalised cross-validation, and that penalty."""
    (n_rounds, width), y = log.design.shape, log.rewards
    by_round = n_rounds < width
    if by_round:
        X, Z = log.design.activations, log.design.latents
        kernel = X @ X.T
        kernel = (kernel.toarray() if sp.issparse(kernel) else kernel) * (Z @ Z.T)
        values, vectors = _eigen(kernel)
        parts = vectors.T @ y  # of the rewards, along each direction that Ψ reaches
        unreached = y - vectors @ parts
    else:
        gram, projection = log.normal_equations()
        values, vectors = _eigen(gram)
        parts = vectors.T @ projection / np.sqrt(values)
        unreached = y - log.design @ (vectors @ (parts / np.sqrt(values)))
    penalties = values.max() * _GRID
    left = penalties[:, None] / (values + penalties[:, None])
    # Without differences of what is nearly the same, where Ψ reaches all that there is.
    freedom = n_rounds - len(values) + left.sum(axis=1)
    score = n_rounds * (left**2 @ parts**2 + unreached @ unreached) / freedom**2
    best = float(penalties[int(score.argmin())])
    if by_round:
        return log.design.correlate(vectors @ (parts / (values + best))), best
    solution = vectors @ (parts * np.sqrt(values) / (values + best))
    return solution.reshape(log.design.n_blocks, -1), best


def _eigen(matrix: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues of a positive semidefinite matrix that are not zero, and their vectors."""
    values, vectors = scipy.linalg.eigh(matrix, overwrite_a=True, check_finite=False)
    kept = values > _NONE * values[-1]
    return values[kept], vectors[:, kept]
