"""Evidence where more is allowed for in an action than the selected.

Those that are used much like it, since a log may not tell which of them matters; and, where rounds
are many for that, all others: what is not selected may have effects that are small but many, and an
action that is used along with those would stand for their sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sparseact.design import Floats, Ints
from sparseact.discovery.companions import Companions
from sparseact.discovery.evidence import Evidence, Judged, Regression, least_squares, regression
from sparseact.discovery.grams import Axes, Part, axes_of, combined, left_of, pairs, products
from sparseact.partialled import Partialled
from sparseact.residuals import RANK
from sparseact.threads import serial_blas

# Actions more coherent than this are allowed for in each other before anything is said of them.
ALIKE = 0.5
# All actions are allowed for where there are so many rounds for each of their columns, and no more
# columns than that.
_ROUNDS_A_COLUMN, _MOST_COLUMNS = 4, 2000
# Every round uses as many actions if less than this share of the rounds does not.
_ODD = 0.002
# What has less of a block's energy than this is taken for none, where only differences are told.
_SLIGHT = 1e-3
# An action follows from few others if more than this share of it is that of one.
_FEW = 0.1
# What stands for an eigenvalue of which rounds tell nothing; and for certainty.
_NOT_TOLD, _CERTAIN = 0.1 * RANK, 100.0
# Columns of which leverages are summed at a time.
_AT_A_TIME = 64


class Beside(NamedTuple):
    """What rounds tell of every action beside others.

    Attributes
    ----------
    told : Evidence
    parts : tuple of m Part
        What is left of each selected action.
    within : Regression
        On all that was allowed for.
    as_many : float
        Actions that every round uses, but for a few rounds; NaN if they are not as many in all.
    everything : bool
        Whether all other actions were allowed for in each.
    relative : bool array (M,)
        Where only differences from others are told.
    """

    told: Evidence
    parts: tuple[Part, ...]
    within: Regression
    as_many: float
    everything: bool
    relative: npt.NDArray[np.bool_]


def tells_beside_all(design: Partialled) -> bool:
    """Whether rounds are many enough to allow for all other actions in each."""
    columns = design.n_blocks * design.block_size
    return columns <= min(_MOST_COLUMNS, design.n_rounds // _ROUNDS_A_COLUMN)


@serial_blas()
def beside_alike(
    told: Evidence,
    alone: Regression,
    judged: Judged,
    selected: Sequence[int] | Ints,
    alike: Companions,
    those: Sequence[int] | Ints,
) -> Beside:
    """Allow for the actions that are used much like some: like those selected, and like others.

    Parameters
    ----------
    told, alone : Evidence, Regression
        Beside the selected, and on them.
    judged, selected
        What these were made of.
    alike : Companions
    those : int array
        Actions for which that is done, besides the selected.
    """
    design, chosen = judged.design, np.asarray(selected, dtype=np.intp)
    common = as_many(design)
    close = np.where(alike.coherence > ALIKE, alike.actions, -1)

    near = np.setdiff1d(close[chosen], [*chosen, -1])
    blocks = np.concatenate([chosen, near])
    gram, energy = products(design, blocks, blocks), design.energy[blocks]
    right = judged.correlations[blocks].ravel()
    parts = []
    for i, j in enumerate(chosen):
        others = np.flatnonzero(np.isin(blocks, [*chosen, *close[j]]) & (blocks != j))
        parts.append(left_of(gram, right, blocks, energy, i, others))
    within = regression(judged, blocks, axes_of(gram, energy).inverse)

    unchosen = np.setdiff1d(np.asarray(those, dtype=np.intp), chosen)
    unchosen = unchosen[(close[unchosen] >= 0).any(axis=1)]
    parts_of_them = _beside_near(judged, alone.basis, chosen, close, unchosen)
    which = np.concatenate([chosen, unchosen])
    return Beside(
        _replaced(told, design, which, [*parts, *parts_of_them]),
        tuple(parts),
        within,
        common,
        everything=False,
        relative=np.full(design.n_blocks, np.isfinite(common)),
    )


def _beside_near(
    judged: Judged, basis: Floats, chosen: Ints, close: Ints, those: Ints
) -> list[Part]:
    """What the selected leave of some actions, and then the actions (n,) close to each."""
    design, _, right = judged
    d = design.block_size
    sets = [[j, *(i for i in close[j] if i >= 0 and i not in chosen)] for j in those]
    named = np.unique(np.concatenate([*sets, np.empty(0)])).astype(np.intp)
    place = {j: i for i, j in enumerate(named)}
    inner = basis.T @ products(design, chosen, named)
    inner = inner.reshape(basis.shape[1], len(named), d).transpose(1, 0, 2)
    left = right[named] - (basis.T @ right[chosen].ravel()) @ inner
    own, other = (
        np.array([[i, j] for each in sets for i in each for j in each], dtype=np.intp)
        .reshape(-1, 2)
        .T
    )
    grams = pairs(design, own, other)
    at = [place[i] for i in own], [place[j] for j in other]
    grams -= inner[at[0]].transpose(0, 2, 1) @ inner[at[1]]
    parts, start = [], 0
    for each in sets:
        n = len(each)
        gram = grams[start : start + n * n].reshape(n, n, d, d).transpose(0, 2, 1, 3)
        parts.append(
            left_of(
                gram.reshape(n * d, n * d),
                left[[place[i] for i in each]].ravel(),
                np.array(each),
                design.energy[each],
                0,
                np.arange(1, n),
            )
        )
        start += n * n
    return parts


@serial_blas()
def beside_all(told: Evidence, judged: Judged, selected: Sequence[int] | Ints) -> Beside:
    """Allow for all other actions: see :func:`tells_beside_all`.

    What follows from a few others is then not told. Of what follows from many together only
    differences are: of the weights that fit as well, those are taken of which the weights of
    actions that are not selected are the smallest; if every round uses as many actions, those of
    which these are none on average, by use.

    Parameters
    ----------
    told : Evidence
        Beside the selected.
    judged, selected
        What it was made of.
    """
    design, common = judged.design, as_many(judged.design)
    M, d = design.n_blocks, design.block_size
    blocks = np.arange(M)
    free = ~np.isin(blocks, selected) & (design.coverage > 0)
    gram = products(design, blocks, blocks)
    right = judged.correlations.ravel()
    axes = axes_of(gram, design.energy)
    basis = axes.inverse
    within = regression(judged, blocks, basis)
    within = within._replace(leverage=_leverage(design, blocks, basis))

    relative = np.zeros(M, dtype=np.bool_)
    if np.isfinite(common) and free.any():
        relative = design.coverage > 0
        axes = axes_of(gram + _none_on_average(gram, free, d), design.energy)
    plain, (least, differ) = _plain(axes, right, d), _least_of_others(axes, free, right, d)
    inverse, grams = np.zeros((M, d, d)), np.zeros((M, d, d))
    for which, one in ((~differ, plain), (differ, least)):
        inverse[which] = one.factor[which] @ one.factor[which].transpose(0, 2, 1)
    left = axes.unit[::d] > 0
    grams[left] = np.linalg.inv(inverse[left])
    weights = np.where(differ[:, None], least.weights, plain.weights)
    correlations = (grams @ weights[:, :, None])[:, :, 0]

    parts = []
    for j in selected:
        factor = (least if differ[j] else plain).factor
        order = np.concatenate([[j], np.delete(blocks, j)])
        coefficients = (factor[order].reshape(M * d, -1) @ factor[j].T) @ grams[j]
        parts.append(Part(order, coefficients, grams[j], correlations[j]))
    ratio = within.ratio
    alone = {
        name: getattr(told, name) * (ratio / told.noise_ratio) ** 2
        for name in ("spread_alone", "spread_beside_baseline")
    }
    return Beside(
        replace(
            told,
            **least_squares(design, slice(None), grams, correlations, ratio),
            **alone,
            noise=within.noise,
            free=within.free,
            noise_ratio=ratio,
        ),
        tuple(parts),
        within,
        common,
        everything=True,
        relative=relative | differ,
    )


def as_many(design: Partialled) -> float:
    """Actions that every round uses, but for a few rounds; NaN if they are not as many in all."""
    uses = np.asarray(design.design.activations.sum(axis=1)).ravel()
    usual = float(np.median(uses))
    odd = np.abs(uses - usual) > 1e-9 * max(usual, 1.0)
    return usual if odd.mean() < _ODD else float("nan")


class _Inverse(NamedTuple):
    """F (M, d, r), of which FFᵀ is an inverse of a Gram, and the weights (M, d) by it."""

    factor: Floats
    weights: Floats


def _leverage(design: Partialled, blocks: Ints, inverse: Floats) -> Floats:
    """(T,) how much of its own reward each round explains, in terms of some blocks."""
    found = np.zeros(design.n_rounds)
    for start in range(0, inverse.shape[1], _AT_A_TIME):
        part = combined(design, blocks, inverse[:, start : start + _AT_A_TIME])
        found += np.einsum("tr,tr->t", part, part)
    return found


def _none_on_average(gram: Floats, free: npt.NDArray[np.bool_], d: int) -> Floats:
    """(M·d, M·d) what a Gram has more if weights of some actions are none on average, by use."""
    uses = np.where(free, np.diagonal(gram).reshape(-1, d).sum(axis=1), 0.0)
    return np.kron(_CERTAIN * np.outer(uses, uses) / uses.sum(), np.eye(d))


def _plain(axes: Axes, right: Floats, d: int) -> _Inverse:
    """By all that there is; what there is not is not told."""
    whole = axes.inverse
    values = np.where(axes.values > RANK, axes.values, _NOT_TOLD)
    factor = axes.unit[:, None] * axes.vectors / np.sqrt(values)
    weights = whole @ (whole.T @ right)
    return _Inverse(factor.reshape(-1, d, len(values)), weights.reshape(-1, d))


def _least_of_others(
    axes: Axes, free: npt.NDArray[np.bool_], right: Floats, d: int
) -> tuple[_Inverse, npt.NDArray[np.bool_]]:
    """With the smallest weights of the actions not selected, and of which actions that tells.

    Those which follow from many others together, none of which has a large share in it.
    """
    M, m = len(free), int(free.sum())
    plenty = axes.values > _SLIGHT
    vectors, none = axes.vectors[:, plenty], axes.vectors[:, ~plenty]
    columns = np.repeat(free, d)
    # (M·d, m·d) what goes with the weights of those not selected.
    shift = none @ np.linalg.pinv(none[columns], _SLIGHT)
    scaled = vectors / np.sqrt(axes.values[plenty])
    factor = axes.unit[:, None] * (scaled - shift @ scaled[columns])
    weights = factor @ (factor.T @ right)

    blocks = shift.reshape(M, d, m, d).transpose(0, 2, 1, 3)
    share = np.zeros(M)
    share[free] = np.linalg.norm(blocks[free, np.arange(m)], 2, axis=(1, 2))
    of_few = np.linalg.norm(blocks[:, share[free] > _FEW], axis=(2, 3)).max(axis=1, initial=0.0)
    alone = np.linalg.norm((none - shift @ none[columns]).reshape(M, -1), axis=1)
    follows = np.linalg.norm(none.reshape(M, -1), axis=1) > _SLIGHT
    many = np.max([share, of_few, alone], axis=0) <= _FEW
    there = axes.unit[::d] > 0
    return _Inverse(factor.reshape(M, d, -1), weights.reshape(M, d)), there & follows & many


def _replaced(told: Evidence, design: Partialled, which: Ints, parts: Sequence[Part]) -> Evidence:
    """The evidence with what is left of some actions in another way."""
    if not parts:
        return told
    grams = np.array([part.gram for part in parts])
    correlations = np.array([part.correlation for part in parts])
    ratio = told.noise_ratio[which]
    return _with(told, which, least_squares(design, which, grams, correlations, ratio))


def _with(told: Evidence, which: Ints, found: dict[str, Floats]) -> Evidence:
    changed = {name: getattr(told, name).copy() for name in found}
    for name, values in found.items():
        changed[name][which] = values
    return replace(told, **changed)
