"""`lower_bounds`: greedy against the least error of any method, and the rate claimed for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from sparseact.curves import interpolated, interval
from sparseact.design import Floats
from sparseact.study.cell import Cell
from sparseact.study.experiments.grid import (
    Read,
    Settings,
    clipped,
    empty,
    factor_over,
    mean,
    put,
    resampled,
    rounds_needed,
    share,
)

# The probability of recovery that the paper's lower bound speaks of.
CLAIMED = 2 / 3
LIMITS = ("greedy", "bayes", "fano")
AXES = ("n_actions", "sparsity", "latent_dim")


def collect(cells: Sequence[Cell], read: Read, settings: Settings) -> xr.Dataset:
    """One dataset over M, k, d and T.

    The Bayes-optimal error is the mean over trials of what the posterior leaves to other supports
    than the likeliest. A rate constant is the rounds needed for recovery with probability 2/3 over
    k·d·log(M/k); the claim holds with any c up to the least of them.
    """
    quantiles = tuple(sorted({*settings.quantiles, CLAIMED}))
    settings = Settings(quantiles, settings.replicates, settings.seed)
    ds = empty(
        "lower_bounds",
        {
            **{axis: sorted({getattr(cell.scenario, axis) for cell in cells}) for axis in AXES},
            "n_rounds": sorted({n for cell in cells for n in cell.n_rounds}),
            "limit": LIMITS,
            "quantile": quantiles,
            "axis": AXES,
        },
    )
    constants: dict[str, dict[Cell, tuple[float, Floats]]] = {limit: {} for limit in LIMITS}
    for cell in cells:
        recovery, bound = read("recover", cell), read("bound", cell)
        n_rounds = recovery["n_rounds"]
        scenario = cell.scenario
        place = {axis: getattr(scenario, axis) for axis in AXES}
        at = {**place, "n_rounds": n_rounds}
        exact = recovery["exact_recovery"].astype(float)
        stated, fano = bound["map_probability"], bound["fano_error"]
        ds["n_trials"].loc[place] = len(exact)
        put(ds, "greedy_error_probability", at, share(1 - exact))
        put(ds, "bayes_error_probability", at, clipped(mean(1 - stated), 0, 1))
        put(ds, "map_error_probability", at, share(1 - bound["map_correct"]))
        put(ds, "fano_bound", at, clipped(mean(fano), 0, 1))
        greedy, greedy_drawn = rounds_needed(cell, n_rounds, exact, settings)
        bayes, bayes_drawn = rounds_needed(cell, n_rounds, stated, settings)

        def least_needed(counts: Floats, n: Any = n_rounds, fano: Floats = fano) -> Floats:
            return interpolated(n, 1 - counts @ fano / counts.sum(), quantiles)

        counts = resampled(len(fano), settings.replicates, settings.rng(cell.name))
        least = least_needed(np.ones(len(fano)))
        least_drawn = np.array([least_needed(one.astype(float)) for one in counts]).T
        put(ds, "rounds_needed", {**place, "limit": "greedy"}, greedy)
        put(ds, "rounds_needed", {**place, "limit": "bayes"}, bayes)
        put(ds, "rounds_needed", {**place, "limit": "fano"}, (least, *interval(least_drawn)))
        ratio = factor_over((greedy, greedy_drawn), (bayes, bayes_drawn))
        put(ds, "greedy_factor", place, ratio)
        claimed = scenario.sparsity * scenario.latent_dim
        claimed *= np.log(scenario.n_actions / scenario.sparsity)
        which = quantiles.index(CLAIMED)
        for limit, value, drawn in (
            ("greedy", greedy[0], greedy_drawn),
            ("bayes", bayes[0], bayes_drawn),
            ("fano", least, least_drawn),
        ):
            if claimed > 0 and np.isfinite(value[which]):
                constant, replicates = value[which] / claimed, drawn[which] / claimed
                there = {**place, "limit": limit}
                put(ds, "rate_constant", there, (constant, *interval(replicates)))
                constants[limit][cell] = (float(constant), replicates)
    for limit, of_limit in constants.items():
        _put_largest(ds, limit, of_limit)
    return ds


def _put_largest(ds: xr.Dataset, limit: str, constants: dict[Cell, tuple[float, Floats]]) -> None:
    """The largest constant that the whole grid allows, and how constants move along its axes."""
    if len(constants) < len(AXES) + 2:
        return
    scenarios = [cell.scenario for cell in constants]
    values = np.array([value for value, _ in constants.values()])
    drawn = np.array([replicates for _, replicates in constants.values()])
    put(ds, "largest_constant", {"limit": limit}, (values.min(), *interval(drawn.min(axis=0))))
    x = np.log([[getattr(one, axis) for axis in AXES] for one in scenarios])
    x = np.column_stack([x, np.ones(len(x))])
    if np.linalg.matrix_rank(x) < x.shape[1]:
        return
    trend = np.linalg.lstsq(x, np.log(values), rcond=None)[0]
    known = np.isfinite(drawn).all(axis=0)
    again = np.full((x.shape[1], drawn.shape[1]), np.nan)
    again[:, known] = np.linalg.lstsq(x, np.log(drawn[:, known]), rcond=None)[0]
    low, high = interval(again)
    for i, axis in enumerate(AXES):
        place = {"limit": limit, "axis": axis}
        put(ds, "constant_trend", place, (trend[i], low[i], high[i]))
    _put_final(ds, limit, constants)


def _put_final(ds: xr.Dataset, limit: str, constants: dict[Cell, tuple[float, Floats]]) -> None:
    """The exponent over the last step alone, since a power need not fit a whole line."""
    at = {tuple(getattr(cell.scenario, axis) for axis in AXES): cell for cell in constants}
    for i, axis in enumerate(AXES):
        lines: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
        for place in sorted(at):
            lines.setdefault(place[:i] + place[i + 1 :], []).append(place)
        longest = max(lines.values(), key=len)
        if len(longest) < 2:
            continue
        before, last = longest[-2:]
        (low, low_drawn), (high, high_drawn) = (constants[at[place]] for place in (before, last))
        step = np.log(last[i] / before[i])
        drawn = interval(np.log(high_drawn / low_drawn) / step)
        ends = (np.log(high / low) / step, *drawn)
        put(ds, "final_trend", {"limit": limit, "axis": axis}, ends)
