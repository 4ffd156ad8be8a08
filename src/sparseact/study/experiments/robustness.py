"""`robustness`: recovery and refit where an assumption of the theory fails, one at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from sparseact.curves import interval
from sparseact.departures import limit_error, score_variance
from sparseact.design import Floats
from sparseact.study.cell import Cell
from sparseact.study.experiments.grid import (
    Ends,
    Read,
    Settings,
    clipped,
    covered,
    empty,
    factor_over,
    mean,
    median,
    put,
    resampled,
    rounds_needed,
    share,
)

IDEAL = "none"
# A departure does harm where it takes this many times the ideal's rounds …
HARMFUL = 1.5
# … and spoils the intervals, 95 % by name, where they cover less than this.
COVERED = 0.9


@dataclass(frozen=True)
class _Outcome:
    """What one size of a departure came to, each with its bootstrap replicates, and how it ended.

    ``needed`` are rounds, with their ends (quantile,) and replicates (quantile, r); ``cover`` and
    ``cover_drawn`` (r,) the coverage of the intervals after the most rounds.
    """

    needed: tuple[Ends, Floats]
    cover: float
    cover_drawn: Floats


def collect(cells: Sequence[Cell], read: Read, settings: Settings) -> xr.Dataset:
    """One dataset over the departure, its size and T.

    The ideal log has departure "none" and size 0, and is what all sizes of all departures are
    compared with. Relative errors are medians over all trials, for squared errors under heavy tails
    may have no mean; the coverage of intervals is over the trials with exact recovery.
    """
    (ideal,) = (cell for cell in cells if cell.scenario.departure == IDEAL)
    ds = empty(
        "robustness",
        {
            "departure": list(dict.fromkeys(cell.scenario.departure for cell in cells)),
            "departure_size": sorted({cell.scenario.departure_size for cell in cells}),
            "n_rounds": sorted({n for cell in cells for n in cell.n_rounds}),
            "quantile": settings.quantiles,
        },
    )
    outcomes = {cell: _collect_one(ds, cell, read, settings) for cell in cells}
    for cell, outcome in outcomes.items():
        put(ds, "rounds_factor", _place(cell), factor_over(outcome.needed, outcomes[ideal].needed))
        _put_theory(ds, cell, ideal)
    for departure in ds["departure"].values:
        departed = [cell for cell in cells if cell.scenario.departure == departure != IDEAL]
        if departed:
            of = [ideal, *sorted(departed, key=lambda cell: cell.scenario.departure_size)]
            _put_sizes(ds, of, outcomes, settings)
    return ds


def _place(cell: Cell) -> dict[str, Any]:
    scenario = cell.scenario
    return {"departure": scenario.departure, "departure_size": scenario.departure_size}


def _collect_one(ds: xr.Dataset, cell: Cell, read: Read, settings: Settings) -> _Outcome:
    recovery, refit = read("recover", cell), read("refit", cell)
    place, n_rounds = _place(cell), recovery["n_rounds"]
    at = {**place, "n_rounds": n_rounds}
    exact = recovery["exact_recovery"].astype(float)
    ds["n_trials"].loc[place] = len(exact)
    put(ds, "recovery_probability", at, share(exact))
    wrong = (recovery["selected"] >= 0).sum(axis=2) - recovery["n_correct"]
    put(ds, "false_positives", at, clipped(mean(wrong), 0, np.inf))
    energy = cell.scenario.sparsity * cell.scenario.signal**2
    put(ds, "relative_error", at, median(refit["squared_error"] / energy))
    held, stated = covered(refit)
    counted = refit["exact_recovery"] * stated
    put(ds, "interval_coverage", at, clipped(mean(held, counted), 0, 1))
    needed = rounds_needed(cell, n_rounds, exact, settings)
    put(ds, "rounds_needed", place, needed[0])
    counts = resampled(len(exact), settings.replicates, settings.rng(cell.name, "coverage"))
    last = held[:, -1] * counted[:, -1]
    with np.errstate(invalid="ignore"):
        cover = last.sum() / counted[:, -1].sum()
        cover_drawn = (counts @ last) / (counts @ counted[:, -1])
    return _Outcome(needed, float(cover), cover_drawn)


def _put_theory(ds: xr.Dataset, cell: Cell, ideal: Cell) -> None:
    ds["limit_error"].loc[_place(cell)] = limit_error(cell.scenario)
    if cell.scenario.departure != "bounded":
        factor = score_variance(cell.scenario) / score_variance(ideal.scenario)
        # Without a variance there is no factor.
        ds["variance_factor"].loc[_place(cell)] = factor if np.isfinite(factor) else np.nan


def _put_sizes(
    ds: xr.Dataset, of: Sequence[Cell], outcomes: Mapping[Cell, _Outcome], settings: Settings
) -> None:
    """The sizes from which on a departure does harm, and from which on it spoils the intervals."""
    departure = of[-1].scenario.departure
    sizes = np.array([cell.scenario.departure_size for cell in of])
    for i, q in enumerate(settings.quantiles):
        limits = [_limit(ds, cell, q) for cell in of]
        estimates = zip((outcomes[cell].needed[0][0][i] for cell in of), limits, strict=True)
        replicates = zip((outcomes[cell].needed[1][i] for cell in of), limits, strict=True)
        needed, drawn = (
            np.array([np.where(np.isfinite(one), one, limit) for one, limit in rounds])
            for rounds in (estimates, replicates)
        )
        ends = _reached(sizes, needed / needed[0], drawn / drawn[0], HARMFUL)
        put(ds, "harmful_size", {"departure": departure, "quantile": q}, ends)
    cover = np.array([outcomes[cell].cover for cell in of])
    covers = np.array([outcomes[cell].cover_drawn for cell in of])
    ends = _reached(sizes, -cover, -covers, -COVERED)
    put(ds, "undercovering_size", {"departure": departure}, ends)


def _limit(ds: xr.Dataset, cell: Cell, quantile: float) -> float:
    """What the rounds needed exceed where too few trials succeed for them to be known."""
    most = cell.n_rounds[-1]
    final = float(ds["recovery_probability"].sel({**_place(cell), "n_rounds": most}))
    return most if final < quantile else float("nan")


def _reached(
    sizes: Floats, values: Floats, replicates: Floats, level: float
) -> tuple[float, float, float]:
    """Least size at which a value reaches a level, with a 95 % interval from replicates (size, r).

    Where it does not, the size is missing, and its lower end says how far it holds; where too many
    replicates do not, the upper end is missing.
    """
    estimate = crossing(sizes, values, level)
    drawn = [crossing(sizes, one, level) for one in replicates.T]
    capped = np.minimum(drawn, sizes[-1])  # a missing one stays missing
    low, high = (float(end) for end in interval(capped))
    if np.mean(np.isinf(drawn)) > 0.025:
        high = float("nan")
    if np.isinf(estimate):
        return float("nan"), low, float("nan")
    return estimate, low, high


def crossing(sizes: Floats, values: Floats, level: float) -> float:
    """Where values first reach a level, linear in between; infinite where they do not.

    NaN where none is known, or where one that is not known may be the first.

    Parameters
    ----------
    sizes : array (n,)
        Ascending.
    values : array (n,)
        NaN where not known.
    level : float
    """
    known = np.isfinite(values)
    if not known.any():
        return float("nan")
    x, y = sizes[known], values[known]
    first = int(np.argmax(y >= level))
    if y[first] < level:
        return float("inf") if known.all() else float("nan")
    if first == 0:
        return float(x[0])
    part = (level - y[first - 1]) / (y[first] - y[first - 1])
    return float(x[first - 1] + part * (x[first] - x[first - 1]))
