"""Subspace pursuit over blocks: a greedy search that takes back what it chose."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sparseact.design import Floats, Ints, KhatriRaoDesign
from sparseact.inference import refit
from sparseact.residuals import Residuals
from sparseact.rivals.chosen import Chosen, largest, standardised
from sparseact.rules import Whitened
from sparseact.threads import serial_blas

MOST_ITERATIONS = 100
# A residual that falls by less than this share has come to rest: that is rounding.
_LESS = 1e-10


def choose(design: KhatriRaoDesign, rewards: npt.ArrayLike, k: int) -> Chosen:
    """Subspace pursuit (Dai and Milenkovic 2009) with blocks in the place of columns.

    It begins with the k blocks of marginal screening. Then, as long as the residual falls: add to
    the support the k blocks that explain most of the residual, ``‖(Ψ_jᵀΨ_j)^{-1/2} Ψ_jᵀ u‖``; keep
    of these 2k, by least squares on all of them, the k that contribute most, ``‖Ψ_j ŵ_j‖``; and fit
    these anew.

    Parameters
    ----------
    design : KhatriRaoDesign
    rewards : array (T,)
    k : int
        How many actions are sought.

    Returns
    -------
    Chosen
        Largest contribution first. Not converged if the residual still fell after 100 iterations.

    Raises
    ------
    ValueError, TypeError
        As :func:`sparseact.rivals.screening.choose`.
    """
    log = standardised(design, rewards, k)
    if log is None:
        return Chosen.none()
    design, y = log.design, log.rewards
    k = min(k, design.n_blocks)
    with serial_blas():
        state = Residuals(design, y, np.array([design.n_rounds]))
        rule = Whitened(design, state)
        support, sizes, residual = _fit(design, y, largest(rule.scores[0], k))
        for _ in range(MOST_ITERATIONS):
            scores = rule.of(design.correlate(residual / state.unit)[None], None)[0]
            scores[support] = 0.0
            wide = np.concatenate([support, largest(scores, k)])
            _, contributions, _ = _fit(design, y, wide)
            again = _fit(design, y, wide[largest(contributions, k)])
            norm, best = np.linalg.norm(again[2]), np.linalg.norm(residual)
            if not norm < best * (1 - _LESS):
                return log.chosen(support[largest(sizes, k)])
            support, sizes, residual = again
        return log.chosen(support[largest(sizes, k)], converged=False)


def _fit(design: KhatriRaoDesign, y: Floats, support: Ints) -> tuple[Ints, Floats, Floats]:
    """The support, what each of its actions contributes (m,), and the residual (T,)."""
    weights = refit(design, y, support).weights
    parts = np.einsum("mdt,md->mt", design.columns(support, None), weights)
    return support, np.linalg.norm(parts, axis=1), y - parts.sum(axis=0)
