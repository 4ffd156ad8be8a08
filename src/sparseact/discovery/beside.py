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
from sparseact.discovery.evidence import SPREADS, Evidence, Regression, least_squares, regression
from sparseact.discovery.grams import Axes, Part, axes_of, left_of, pairs, products
from sparseact.partialled import Partialled
from sparseact.threads import serial_blas

# Actions more coherent than this are allowed for in each other before anything is said of them.
ALIKE = 0.5
# All actions are allowed for where there are so many rounds for each of their columns, and no more
# columns than that.
_ROUNDS_A_COLUMN, _MOST_COLUMNS = 4, 2000
# An action is not told beside all others if more than this share of its weights may be those of a
# few, or if it becomes so many times less certain.
_FOLLOWS, _WIDER = 0.25, 10.0


class Beside(NamedTuple):
    """What rounds tell of every action beside others.

    Attributes
    ----------
    told : Evidence
    parts : tuple of m Part
        What is left of each selected action.
    within : tuple of m Regression
        On it and what is allowed for in it.
    everything : bool array (M,)
        The actions in which all others were allowed for.
    whole : Regression
        On all that was allowed for in any.
    """

    told: Evidence
    parts: tuple[Part, ...]
    within: tuple[Regression, ...]
    everything: npt.NDArray[np.bool_]
    whole: Regression


@serial_blas()
def beside_alike(
    told: Evidence,
    design: Partialled,
    rewards: Floats,
    selected: Sequence[int] | Ints,
    alike: Companions,
    those: Sequence[int] | Ints,
) -> Beside:
    """Allow for the actions that are used much like some: like those selected, and like others.

    Parameters
    ----------
    told : Evidence
        Beside the selected.
    design, rewards, selected
        What it was made of.
    alike : Companions
    those : int array
        Actions for which that is done, besides the selected.
    """
    chosen = np.asarray(selected, dtype=np.intp)
    rest = design.rest_of(rewards)
    close = np.where(alike.coherence > ALIKE, alike.actions, -1)

    near = np.setdiff1d(close[chosen], [*chosen, -1])
    blocks = np.concatenate([chosen, near])
    gram, energy = products(design, blocks, blocks), design.energy[blocks]
    right = design.correlate_start(rest, np.array([design.n_rounds]))[0]
    parts = []
    for i, j in enumerate(chosen):
        others = np.flatnonzero(np.isin(blocks, [*chosen, *close[j]]) & (blocks != j))
        parts.append(left_of(gram, right[blocks].ravel(), blocks, energy, i, others))
    within = regression(design, rest, blocks, axes_of(gram, energy).inverse)

    unchosen = np.setdiff1d(np.asarray(those, dtype=np.intp), chosen)
    unchosen = unchosen[(close[unchosen] >= 0).any(axis=1)]
    parts_of_them = _beside_near(design, right, chosen, close, unchosen)
    which = np.concatenate([chosen, unchosen])
    return Beside(
        _replaced(told, design, which, [*parts, *parts_of_them]),
        tuple(parts),
        (within,) * len(parts),
        np.zeros(design.n_blocks, dtype=np.bool_),
        within,
    )


def _beside_near(
    design: Partialled, right: Floats, chosen: Ints, close: Ints, those: Ints
) -> list[Part]:
    """What the selected leave of some actions, and then the actions (n,) close to each."""
    d = design.block_size
    sets = [[j, *(i for i in close[j] if i >= 0 and i not in chosen)] for j in those]
    named = np.unique(np.concatenate([*sets, np.empty(0)])).astype(np.intp)
    place = {j: i for i, j in enumerate(named)}
    basis = axes_of(products(design, chosen, chosen), design.energy[chosen]).inverse
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
def beside_all(found: Beside, design: Partialled, rewards: Floats, selected: Ints) -> Beside:
    """Allow for all other actions, where rounds are many for that.

    Not in those of which others leave too little: beside near-copies, say. If every round uses as
    many actions, then each follows from all the others together: of the weights that fit as well
    the smallest are taken, of the actions that are not selected. So effects are differences from
    what those do on average.

    Parameters
    ----------
    found : Beside
        Beside fewer.
    design, rewards, selected
        What it was made of.
    """
    M, d = design.n_blocks, design.block_size
    if M * d > min(_MOST_COLUMNS, design.n_rounds // _ROUNDS_A_COLUMN):
        return found
    rest, blocks = design.rest_of(rewards), np.arange(M)
    axes = axes_of(products(design, blocks, blocks), design.energy)
    within = regression(design, rest, blocks, axes.inverse)
    basis, told_apart = _least_of_others(axes, np.isin(blocks, selected), d)
    own, by_block = np.flatnonzero(told_apart), basis.reshape(M, d, basis.shape[1])
    grams = np.asarray(np.linalg.inv(by_block[own] @ by_block[own].transpose(0, 2, 1)), np.float64)
    right = design.correlate_start(rest, np.array([design.n_rounds]))[0].ravel()
    weights = by_block[own] @ (basis.T @ right)
    correlations = (grams @ weights[:, :, None])[:, :, 0]

    new = least_squares(design, own, grams, correlations, within.ratio[own])
    old = (found.told.spread / found.told.noise_ratio**2)[own]
    narrow = new["spread"] / within.ratio[own] ** 2 <= _WIDER * old
    everything = np.zeros(M, dtype=np.bool_)
    everything[own[narrow]] = True
    told = _with(
        _in_terms_of(within, found.told, everything),
        own[narrow],
        {name: values[narrow] for name, values in new.items()},
    )
    parts, regressions = list(found.parts), list(found.within)
    for i, j in enumerate(selected):
        if everything[j]:
            at = int(np.searchsorted(own, j))
            order = np.concatenate([[j], np.delete(blocks, j)])
            left = (by_block[order].reshape(M * d, -1) @ by_block[j].T) @ grams[at]
            parts[i] = Part(order, left, grams[at], correlations[at])
            regressions[i] = within
    return Beside(
        told,
        tuple(parts),
        tuple(regressions),
        everything,
        within,
    )


def _least_of_others(
    axes: Axes, selected: npt.NDArray[np.bool_], d: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """An inverse of the Gram, and the actions whose weights are much the same by any other.

    What vanishes is taken off the weights so that those of the actions not selected are smallest.
    That says nothing of actions which follow from a few others.
    """
    M, used = len(selected), axes.unit > 0
    free = ~selected & used
    inverse, none = (it.reshape(M, d, it.shape[1]) for it in (axes.inverse, axes.none))
    scaled = inverse / np.where(used, axes.unit, 1.0)[:, None, None]
    few = none[free].reshape(free.sum() * d, none.shape[2])
    by = np.linalg.pinv(few)
    shift = none @ by  # (M, d, free·d): what of each action goes with what of those
    least = scaled - shift @ scaled[free].reshape(len(few), scaled.shape[2])

    blocks = shift.reshape(M, d, free.sum(), d).transpose(0, 2, 1, 3)
    own = np.zeros(M)
    own[free] = np.linalg.norm(blocks[free, np.arange(free.sum())], 2, axis=(1, 2))
    of_few = np.linalg.norm(blocks[:, own[free] > _FOLLOWS], 2, axis=(2, 3))
    alone = np.linalg.norm(none - shift @ few, 2, axis=(1, 2))  # goes with the selected only
    lasting = of_few.max(axis=1, initial=0.0)
    told = used & (np.max([own, alone, lasting], axis=0) <= _FOLLOWS)
    return (least * axes.unit[:, None, None]).reshape(axes.inverse.shape), told


def _in_terms_of(within: Regression, told: Evidence, everything: npt.NDArray[np.bool_]) -> Evidence:
    """The evidence, its noise told in terms of that of a regression on everything."""
    ours, theirs = told.noise * within.free, within.noise * told.free
    with np.errstate(divide="ignore", invalid="ignore"):
        same = told.noise_ratio * np.sqrt(np.divide(ours, theirs) if ours != theirs else 1.0)
        ratio = np.where(everything, within.ratio, same)
        factor = (ratio / told.noise_ratio) ** 2
        return replace(
            told,
            **{name: getattr(told, name) * factor for name in SPREADS},
            energy=told.energy / factor,
            noise=within.noise,
            free=within.free,
            noise_ratio=ratio,
        )


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
