"""Tests of selected actions that hold if the noise differs from round to round.

With ``X̃`` what the others leave of an action's block and e the residuals, the weights
``ŵ = (X̃ᵀX̃)⁻¹ X̃ᵀ r`` have a covariance that ``(X̃ᵀX̃)⁻¹ (Σ_t e_t² x̃_t x̃_tᵀ) (X̃ᵀX̃)⁻¹`` estimates
whatever the variance of each round (White 1980). Each residual is divided by 1 less its leverage,
by what its round leaves to the others, so that few rounds are not taken for many (HC3: MacKinnon
and White 1985). Along each axis of that the larger variance counts, it or σ̂²: rounds that happen to
agree are not taken for certain.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.special

from sparseact.design import Floats
from sparseact.discovery.evidence import EXACT, Judged, Regression
from sparseact.discovery.grams import Part, combined
from sparseact.partialled import Partialled
from sparseact.residuals import RANK
from sparseact.threads import serial_blas


@serial_blas()
def robust_p_values(judged: Judged, parts: Sequence[Part], within: Regression) -> Floats:
    """(m,) of no effect of each of some actions, beside others.

    F tests, each action on its own; 1 where the others leave nothing of a block.

    Parameters
    ----------
    judged : Judged
    parts : sequence of m Part
        What the others leave of each action.
    within : Regression
        On them and those others at least.
    """
    return np.array([_p_value(judged, part, within) for part in parts])


def _p_value(judged: Judged, part: Part, within: Regression) -> float:
    design, rest, _ = judged
    values, vectors = np.linalg.eigh(part.gram)
    keep = values > RANK * design.energy[part.blocks[0]]
    degrees = int(keep.sum())
    if not degrees or within.free <= 0:
        return 1.0
    by = part.coefficients @ (vectors[:, keep] / np.sqrt(values[keep]))
    rows = combined(design, part.blocks, by)
    score = rows.T @ rest
    if within.noise <= EXACT * (rest @ rest):
        return float(score @ score <= EXACT * (rest @ rest))
    if within.leverage is None:  # that of the rest is little, and allowed for on average
        leverage = np.einsum("td,td->t", rows, rows)
        residual = within.residual * np.sqrt(design.n_rounds / within.free)
    else:
        leverage, residual = within.leverage, within.residual
    rows *= (residual / np.maximum(1 - leverage, RANK))[:, None]
    variances, axes = np.linalg.eigh(rows.T @ rows)
    least = within.noise / within.free
    statistic = np.sum((axes.T @ score) ** 2 / np.maximum(variances, least))
    return float(scipy.special.fdtrc(degrees, within.free, statistic / degrees))


@serial_blas()
def left_over(design: Partialled, within: Regression, columns: Floats) -> float:
    """p-value of no effect of further columns (T, c) of the baseline.

    A score test with the residuals' own variances, for many rounds. The columns are taken as the
    baseline leaves them: that the actions explain some of them too makes it cautious.

    Parameters
    ----------
    design : Partialled
    within : Regression
        Without the columns.
    columns : array (T, c)
    """
    left = design.rest_of(columns.T).T
    energy = np.square(left).sum(axis=0)
    left = left[:, energy > RANK * np.square(columns).sum(axis=0)] * within.residual[:, None]
    values, vectors = np.linalg.eigh(left.T @ left)
    keep = values > RANK * values.max(initial=0.0)
    score = left.sum(axis=0) @ vectors[:, keep]
    return float(scipy.special.chdtrc(max(int(keep.sum()), 1), np.sum(score**2 / values[keep])))
