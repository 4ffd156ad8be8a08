"""What follows for each action from what held-out rounds tell of it.

An action is *relevant* if it was selected and the held-out rounds confirm it beside the others, its
near-copies among them; *prunable* if they rule out an effect as large as the threshold; and
*undetermined* otherwise, for a reason that says what would settle it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.special

from sparseact.design import Floats, Ints
from sparseact.discovery.evidence import Evidence, detectable

Verdict = Literal["relevant", "prunable", "undetermined"]
Reason = Literal["", "unused", "rounds", "states", "always", "confounded", "borderline"]

# Factors by which a spread grows that are the whole reason, and that are none.
_MUCH, _LITTLE = 10.0, 2.0


@dataclass(frozen=True)
class Terms:
    """What verdicts are asked for.

    Attributes
    ----------
    threshold : float
        Effects below it do not matter: root mean square over states, in units of the reward.
    alpha : float
        With probability ``1 - alpha`` no action without effect is called relevant, and with that
        probability none whose effect exceeds the threshold is called prunable, of all together.
    power : float
        With which probability a smallest detectable effect is found, and advice settles an action.
    """

    threshold: float
    alpha: float
    power: float


@dataclass(frozen=True)
class Verdicts:
    """Verdicts on M actions.

    Attributes
    ----------
    verdict, reason : str arrays (M,)
        The reason is empty where the log settled the matter. Otherwise ``unused``: never used;
        ``rounds``: used too rarely; ``states``: in too few kinds of states; ``always``: hardly a
        round goes without; ``confounded``: used with another; ``borderline``: the effect is about
        as large as the threshold.
    p_value : array (M,)
        Of no effect, corrected for the number of selected actions; NaN for the others.
    size, size_low, size_high : arrays (M,)
        Root mean square of the effect over states, and simultaneous bounds on it.
    mean, mean_low, mean_high : arrays (M,)
        Mean effect in the rounds that used it, likewise.
    detectable : array (M,)
        Smallest effect that would have been found.
    more_uses, more_rounds : arrays (M,)
        Rounds with the action (apart from what it is confounded with), or rounds as they are
        logged, that would settle it; 0 where it is settled, infinite where they never would.
    """

    verdict: npt.NDArray[np.str_]
    reason: npt.NDArray[np.str_]
    p_value: Floats
    size: Floats
    size_low: Floats
    size_high: Floats
    mean: Floats
    mean_low: Floats
    mean_high: Floats
    detectable: Floats
    more_uses: Floats
    more_rounds: Floats


def verdicts(
    told: Evidence,
    selected: Ints,
    robust: Floats,
    coverage: Floats,
    n_rounds: int,
    held_out: float,
    terms: Terms,
) -> Verdicts:
    """Judge every action.

    Parameters
    ----------
    told : Evidence
        Of the held-out rounds.
    selected : int array (m,)
        By the other rounds.
    robust : array (m,)
        Their p-values of no effect, each on its own: see :mod:`~sparseact.discovery.robust`.
    coverage : array (M,)
        In all rounds.
    n_rounds : int
        T, all of them.
    held_out : float
        The share that was held out.
    terms : Terms
    """
    M = len(told.rank)
    p = np.full(M, np.nan)
    p[selected] = np.minimum(robust * len(selected), 1.0)
    relevant = p <= terms.alpha
    # Both bounds on what is relevant hold together, and so do the upper ones on all others.
    error = np.where(relevant, terms.alpha / max(len(selected), 1), terms.alpha / M)
    low, high = told.size_interval(np.where(relevant, error / 2, error))
    mean_low, mean_high = told.mean_interval(error)
    prunable = ~relevant & (high < terms.threshold)
    open_ = ~relevant & ~prunable
    width = _widths(told, held_out, selected, terms)
    reason = np.where(open_, _reasons(told, coverage, width), "")
    uses, rounds = _advice(told, coverage, n_rounds, reason, width)
    return Verdicts(
        verdict=np.where(relevant, "relevant", np.where(prunable, "prunable", "undetermined")),
        reason=reason,
        p_value=p,
        size=told.size(),
        size_low=low,
        size_high=high,
        mean=np.where(np.isfinite(told.mean_spread), told.mean, np.nan),
        mean_low=mean_low,
        mean_high=mean_high,
        detectable=width.found * np.sqrt(told.spread),
        more_uses=uses,
        more_rounds=rounds,
    )


class _Widths(NamedTuple):
    """What effects a spread of 1 would tell, and how much of the log is held out for that."""

    found: float  # this effect from none, by selection and confirmation
    pruned: float  # none from this effect
    threshold: float
    held_out: float
    dimensions: int

    @property
    def enough(self) -> float:
        """The spread at which an action without effect is found prunable."""
        return (self.threshold / self.pruned) ** 2 if self.pruned else np.inf

    def ideal(self, uses: Floats) -> Floats:
        """The spread after so many uses in all kinds of states, and apart from all others.

        ``1 / (√n - √d)²`` for n that are held out: where the least eigenvalue of ``ZᵀZ`` is, for
        states of unit covariance (Marchenko and Pastur 1967).
        """
        root = np.sqrt(self.held_out * uses) - np.sqrt(self.dimensions)
        return np.where(root > 0, 1 / np.where(root > 0, root, 1.0) ** 2, np.inf)

    @property
    def uses(self) -> float:
        """How many such uses are enough by themselves."""
        if not self.enough:
            return np.inf
        root = np.sqrt(self.dimensions) + np.sqrt(np.divide(1.0, self.enough))
        return float(root**2 / self.held_out)


def _widths(told: Evidence, held_out: float, selected: Ints, terms: Terms) -> _Widths:
    M, d = told.weights.shape
    # Selection and confirmation, each of which is to succeed often enough for both to.
    each = np.sqrt(terms.power)
    found = detectable(d, terms.alpha / M, each) * held_out / (1 - held_out)
    confirmed = detectable(d, terms.alpha / max(len(selected), 1), each)
    typical = scipy.special.chdtri(d, 1 - terms.power)  # of an action without effect
    pruned = told.bound(np.array(typical), np.array(d), np.array(terms.alpha / M))
    sigma = told.noise_std * np.sqrt(max(found, confirmed))
    return _Widths(float(sigma), float(pruned), terms.threshold, held_out, d)


def _reasons(told: Evidence, coverage: Floats, width: _Widths) -> npt.NDArray[np.str_]:
    """(M,) what an action wants most of what would be enough."""
    with np.errstate(divide="ignore", invalid="ignore"):
        best = width.ideal(coverage)
        states, always, confounded = (
            np.nan_to_num(after / before, nan=1.0, posinf=np.inf)
            for before, after in (
                (best, told.spread_alone),
                (told.spread_alone, told.spread_beside_baseline),
                (told.spread_beside_baseline, told.spread),
            )
        )
    lost = np.stack([states, always, confounded])
    few = (best > width.enough) | (lost.max(axis=0) < _LITTLE)
    steps: list[tuple[Reason, npt.NDArray[np.bool_]]] = [
        ("unused", coverage == 0),
        ("confounded", confounded >= _MUCH),
        ("always", always >= _MUCH),
        ("borderline", told.spread <= width.enough),
        ("rounds", few),
        ("states", lost.argmax(axis=0) == 0),
        ("always", lost.argmax(axis=0) == 1),
    ]
    return np.select([it for _, it in steps], [name for name, _ in steps], "confounded")


def _advice(
    told: Evidence, coverage: Floats, n_rounds: int, reason: npt.NDArray[np.str_], width: _Widths
) -> tuple[Floats, Floats]:
    """(M,), (M,) further rounds with each action, or as they are logged, that would settle it.

    Spread falls as rounds grow: to what is enough if the action has no effect, or if that much was
    there already, for the effect that is estimated.
    """
    size = told.size()
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        spread = np.where(np.isfinite(told.spread), told.spread, width.ideal(coverage))
        to_prune = spread * (width.pruned / np.maximum(width.threshold - size, 0)) ** 2
        to_find = spread * (width.found / size) ** 2
        borderline = np.fmax(np.fmin(to_prune, to_find), 1.0)
        factor = np.where(reason == "borderline", borderline, spread / width.enough)
        factor = np.where(np.isinf(factor), width.uses / coverage, factor)
        uses, rounds = (factor - 1) * coverage, (factor - 1) * n_rounds
    fresh = np.isin(reason, ["unused", "states", "always", "confounded"])
    uses = np.where(fresh, width.uses, uses)
    rounds = np.where(np.isin(reason, ["unused", "always", "confounded"]), np.inf, rounds)
    settled = reason == ""
    return np.where(settled, 0.0, np.ceil(uses)), np.where(settled, 0.0, np.ceil(rounds))
