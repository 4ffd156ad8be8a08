"""Tests of selected actions that hold if the noise differs from round to round.

With ``X̃`` what the others leave of an action's block and e the residuals, the weights
``ŵ = (X̃ᵀX̃)⁻¹ X̃ᵀ r`` have a covariance that ``(X̃ᵀX̃)⁻¹ (Σ_t e_t² x̃_t x̃_tᵀ) (X̃ᵀX̃)⁻¹`` estimates
whatever the variance of each round (White 1980). Each residual is divided by what its round leaves
to the others, ``1 - x̃_tᵀ(X̃ᵀX̃)⁻¹x̃_t``, so that few rounds are not taken for many (HC3: MacKinnon
and White 1985). Along each axis of that the larger variance counts, it or σ̂²: rounds that happen to
agree are not taken for certain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy.special

from sparseact.design import Floats, Ints
from sparseact.discovery.evidence import chunks_left, factor_of
from sparseact.partialled import Partialled, directions
from sparseact.residuals import RANK
from sparseact.threads import serial_blas


@serial_blas()
def robust_p_values(
    design: Partialled,
    rewards: Floats,
    selected: Sequence[int] | Ints,
    near: Mapping[int, Sequence[int]],
) -> Floats:
    """(m,) of no effect of each selected action, beside the others and those used like it.

    F tests, each action on its own; 1 where the others leave nothing of a block.

    Parameters
    ----------
    design, rewards, selected, near
        As of :func:`~sparseact.discovery.evidence.beside`.
    """
    chosen = [int(j) for j in selected]
    named = dict.fromkeys([*chosen, *(i for j in chosen for i in near.get(j, ()))])
    place = {j: i for i, j in enumerate(named)}
    d, rest = design.block_size, design.rest_of(rewards)
    blocks = np.array([*named], dtype=np.intp)
    factor = factor_of(design, rest, blocks)
    right, n = factor[:, -1], len(blocks) * d

    def columns(actions: Sequence[int]) -> Ints:
        return np.array([place[j] * d + i for j in actions for i in range(d)], dtype=np.intp)

    # What the others leave of every block, orthonormal, in terms of all columns.
    apart: list[Floats] = []
    for j in chosen:
        own, others = columns([j]), columns([k for k in {*chosen, *near.get(j, ())} if k != j])
        by = directions(factor[:, others])
        left = np.zeros((n, d))
        left[own] = np.eye(d)
        left[others] = -by @ (by.T @ (factor[:, others].T @ factor[:, own]))
        of_block = factor[:, :n] @ left
        values, vectors = np.linalg.eigh(of_block.T @ of_block)
        keep = values > RANK * design.energy[j]
        apart.append(left @ (vectors[:, keep] / np.sqrt(values[keep])))
    by = directions(factor[:, :n])
    fitted = by @ (by.T @ (factor[:, :n].T @ right))
    spreads = [np.zeros((one.shape[1],) * 2) for one in apart]
    for part, of_blocks in chunks_left(design, blocks):
        residual = rest[part] - of_blocks @ fitted
        for spread, one in zip(spreads, apart, strict=True):
            rows = of_blocks @ one
            leverage = np.einsum("td,td->t", rows, rows)
            rows *= (residual / np.maximum(1 - leverage, RANK))[:, None]
            spread += rows.T @ rows
    free, p = design.n_logged - by.shape[1], np.ones(len(chosen))
    noise = float(right @ right - np.square(factor[:, :n] @ fitted).sum()) / max(free, 1)
    for i, (one, spread) in enumerate(zip(apart, spreads, strict=True)):
        variances, axes = np.linalg.eigh(spread)
        score = axes.T @ (one.T @ (factor[:, :n].T @ right))
        if len(score) and free > 0 and noise > 0:
            statistic = np.sum(score**2 / np.maximum(variances, noise))
            p[i] = scipy.special.fdtrc(len(score), free, statistic / len(score))
        elif len(score) and noise <= 0:
            p[i] = float(not score.any())
    return p
