"""`logging_policy`: what unequal and exploiting logs do to discovery and to decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np
import xarray as xr

from sparseact.curves import interval
from sparseact.design import Floats
from sparseact.scenario import Policy
from sparseact.study.cell import Cell
from sparseact.study.experiments.grid import (
    Arrays,
    Ends,
    Read,
    Settings,
    at_least,
    bootstrap,
    clipped,
    covered,
    empty,
    factor_over,
    mean,
    median,
    put,
    rounds_needed,
    share,
    slope,
)

# Rounds, over those of a uniform log, up to which a log still counts as good enough.
ALLOWED = 2.0


def collect(cells: Sequence[Cell], read: Read, settings: Settings, *, judged: str) -> xr.Dataset:
    """One dataset over how the log was collected and T.

    Decisions, intervals and coherence are judged beside one selection rule, ``judged``, and in the
    trials that the stages did. A uniform log is a greedy one with ε = 1, and counts as such.
    """
    ds = empty(
        "logging_policy",
        {
            "design": list(dict.fromkeys(cell.label for cell in cells)),
            "policy": [one for one in get_args(Policy) if any(_is(cell, one) for cell in cells)],
            "policy_level": sorted({cell.scenario.policy_level for cell in cells}),
            "selection": list(dict.fromkeys(cell.selection for cell in cells)),
            "n_rounds": sorted({n for cell in cells for n in cell.n_rounds}),
            "quantile": settings.quantiles,
        },
    )
    needed: dict[str, tuple[Ends, Floats]] = {}
    final: dict[str, Floats] = {}
    for cell in cells:
        recovery, place = read("recover", cell), _place(cell)
        lengths, k = recovery["n_rounds"], cell.scenario.sparsity
        at = {**place, "n_rounds": lengths}
        exact = recovery["exact_recovery"].astype(float)
        final[cell.name] = exact[:, -1]
        ds["n_trials"].loc[place] = len(exact)
        put(ds, "recovery_probability", at, share(exact))
        put(ds, "found_share", at, clipped(mean(recovery["n_correct"] / k), 0, 1))
        put(ds, "median_least_coverage", at, median(recovery["least_coverage"]))
        put(ds, "recovery_at_end", place, [one[-1] for one in share(exact)])
        ends, drawn = rounds_needed(cell, lengths, exact, settings)
        needed[cell.name] = at_least(ends, exact, lengths, settings), drawn
        put(ds, "rounds_needed", place, needed[cell.name][0])
        earned = _earned(cell, read("simulate", cell), settings)
        put(ds, "earned_share", at, earned)
        if cell.selection == judged:
            _put_judged(ds, at, cell, read, settings)
    for label, selection in dict.fromkeys((cell.label, cell.selection) for cell in cells):
        those = [one for one in cells if (one.label, one.selection) == (label, selection)]
        (uniform,) = (one for one in those if _is(one, "uniform"))
        for cell in those:
            factor = factor_over(needed[cell.name], needed[uniform.name])
            put(ds, "rounds_factor", _place(cell), factor)
        greedy = {one.scenario.policy_level: one for one in those if _is(one, "greedy")}
        _put_exploration(ds, {1.0: uniform, **greedy}, needed, final, settings)
    return ds


def _is(cell: Cell, policy: str) -> bool:
    return cell.scenario.policy == policy


def _place(cell: Cell) -> dict[str, Any]:
    one = cell.scenario
    return {
        "design": cell.label,
        "policy": one.policy,
        "policy_level": one.policy_level,
        "selection": cell.selection,
    }


def _earned(cell: Cell, log: Arrays, settings: Settings) -> Ends:
    """Share of the best possible reward that the log itself earned, up to each T."""
    one, lengths = cell.scenario, np.array(cell.n_rounds)
    n, B = cell.trials, one.actions_per_round
    # What the actions are worth: the relevant ones, and as many others as a round could use.
    idle = min(B, one.n_actions - one.sparsity)
    best = np.empty((n, len(lengths)))
    for i in range(n):
        values = log["latent"][i, : lengths[-1]].astype(float) @ log["weights"][i].T
        values = np.column_stack([values, np.zeros((len(values), idle))])
        best[i] = np.cumsum(np.sort(values, axis=1)[:, -B:].sum(axis=1))[lengths - 1]
    earned = np.cumsum(log["reward"][:n], axis=1)[:, lengths - 1]

    def ratio(counts: Floats) -> Floats:
        gained: Floats = (counts @ earned) / (counts @ best)
        return gained

    return bootstrap(ratio, n, settings, one.name, "earned")


def _put_judged(
    ds: xr.Dataset, at: dict[str, Any], cell: Cell, read: Read, settings: Settings
) -> None:
    """What decisions lose, whether intervals hold the true weights, and how actions go together."""
    decision, refit, diagnosis = (read(stage, cell) for stage in ("decide", "refit", "diagnose"))
    regret, best = decision["mean_regret"][:, :, -1], decision["best_value"]

    def relative(counts: Floats) -> Floats:
        lost: Floats = counts @ regret / (counts @ best)
        return lost

    ends = bootstrap(relative, len(best), settings, cell.name, "regret")
    put(ds, "relative_regret", at, clipped(ends, 0, np.inf))
    held, stated = covered(refit)
    counted = refit["exact_recovery"] * stated
    put(ds, "interval_coverage", at, clipped(mean(held, counted), 0, 1))
    for name in ("erc", "mutual_coherence"):
        put(ds, name, at, median(diagnosis[name]))


def _put_exploration(
    ds: xr.Dataset,
    by_level: Mapping[float, Cell],
    needed: Mapping[str, tuple[Ends, Floats]],
    final: Mapping[str, Floats],
    settings: Settings,
) -> None:
    """The least ε that is enough, by two measures, and the exponent of the rounds needed in ε."""
    levels = sorted(by_level, reverse=True)
    if len(levels) < 2:
        return
    cells = [by_level[level] for level in levels]
    first = _place(cells[0])
    place = {dim: first[dim] for dim in ("design", "selection")}
    rng, r = settings.rng(cells[0].name, "exploration"), settings.replicates
    ended = [final[cell.name] for cell in cells]
    shares = [np.mean(one) for one in ended]
    drawn_shares = np.array([rng.binomial(len(one), one.mean(), r) / len(one) for one in ended])
    for i, q in enumerate(settings.quantiles):
        here = {**place, "quantile": q}
        rounds = np.array([needed[cell.name][0][0][i] for cell in cells])
        drawn = np.array([needed[cell.name][1][i] for cell in cells])
        # Where they are not known, more are needed than were tried.
        factor, factors = (_or_inf(np.log(one / one[0])) for one in (rounds, drawn))
        enough = np.log(ALLOWED)
        found = [least_level(levels, -one, -enough) for one in factors.T]
        if np.isfinite(rounds[0]):
            ends = (least_level(levels, -factor, -enough), *interval(np.array(found)))
            put(ds, "least_exploration", here, ends)
        found = [least_level(levels, one, q) for one in drawn_shares.T]
        ends = (least_level(levels, np.array(shares), q), *interval(np.array(found)))
        put(ds, "final_least_exploration", here, ends)
        known = np.isfinite(rounds) & (np.array(levels) > 0)
        if known.sum() >= 3:
            x = np.log(np.array(levels)[known])
            ends = (slope(x, np.log(rounds[known])), *interval(slope(x, np.log(drawn[known].T))))
            put(ds, "exploration_exponent", here, ends)


def _or_inf(values: Floats) -> Floats:
    return np.where(np.isnan(values), np.inf, values)


def least_level(levels: Sequence[float], values: Floats, wanted: float) -> float:
    """The least level, going down, to which values stay at ``wanted`` or above.

    Linear in the logarithm of the level; where that is not possible, because the level is 0 or the
    value not finite, the last level that is enough. NaN where the greatest is not.

    Parameters
    ----------
    levels : sequence of n floats
        Descending, not negative.
    values : array (n,)
    wanted : float
    """
    short = np.flatnonzero(~(values >= wanted))
    if not len(short):
        return levels[-1]
    after = int(short[0])
    if after == 0:
        return float("nan")
    above, below = levels[after - 1], levels[after]
    if below == 0 or not np.isfinite(values[after]):
        return above
    part = (values[after - 1] - wanted) / (values[after - 1] - values[after])
    return float(above * (below / above) ** part)
