"""`methods`: Block-OMP and what people would use instead, on the same logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from sparseact.curves import interpolated, interval
from sparseact.design import Floats
from sparseact.study.cell import Cell
from sparseact.study.experiments.grid import (
    Arrays,
    Ends,
    Read,
    Settings,
    at_least,
    bootstrap,
    clipped,
    empty,
    factor_over,
    mean,
    median,
    paired_difference,
    put,
    rounds_needed,
    share,
)

PAPERS = "correlation"
GREEDY = (PAPERS, "whitened", "least_squares")


@dataclass(frozen=True)
class _Outcome:
    """What a method came to in one setting: (trial, T) recovery and F1, and the rounds needed.

    ``needed`` are their ends (quantile,) and replicates (quantile, r), which are of the same
    resampled trials for all methods of a setting.
    """

    exact: Floats
    f1: Floats
    needed: tuple[Ends, Floats]


def collect(cells: Sequence[Cell], read: Read, settings: Settings) -> xr.Dataset:
    """One dataset over the setting, the method and T.

    All methods of a setting are held against the paper's rule on the same logs.
    """
    ds = empty(
        "methods",
        {
            "setting": list(dict.fromkeys(cell.label for cell in cells)),
            "method": list(dict.fromkeys(cell.selection for cell in cells)),
            "n_rounds": sorted({n for cell in cells for n in cell.n_rounds}),
            "quantile": settings.quantiles,
        },
    )
    for setting in ds["setting"].values:
        of_setting = [cell for cell in cells if cell.label == setting]
        outcomes = {
            cell.selection: _collect_one(ds, cell, read("compare", cell), settings)
            for cell in of_setting
        }
        one = of_setting[0]
        ds["n_trials"].loc[{"setting": setting}] = one.trials
        ds["n_actions"].loc[{"setting": setting}] = one.scenario.n_actions
        ds["sparsity"].loc[{"setting": setting}] = one.scenario.sparsity
        for cell in of_setting:
            _put_gains(ds, cell, outcomes, settings)
        _put_best(ds, one, outcomes, settings)
    return ds


def f1_score(left: Arrays, sparsity: int) -> Floats:
    """(trial, T) harmonic mean of precision and recall, 2 n_correct / (n_selected + k)."""
    n_selected = (left["selected"] >= 0).sum(axis=2)
    return np.asarray(2 * left["n_correct"] / (n_selected + sparsity))


def _collect_one(ds: xr.Dataset, cell: Cell, left: Arrays, settings: Settings) -> _Outcome:
    place = {"setting": cell.label, "method": cell.selection}
    at = {**place, "n_rounds": left["n_rounds"]}
    k, signal = cell.scenario.sparsity, cell.scenario.signal
    exact, f1 = left["exact_recovery"].astype(float), f1_score(left, k)
    regret, best = left["mean_regret"], left["best_value"]

    def relative(counts: Floats) -> Floats:
        lost: Floats = counts @ regret / (counts @ best)
        return lost

    put(ds, "recovery_probability", at, share(exact))
    put(ds, "f1", at, clipped(mean(f1), 0, 1))
    put(ds, "relative_error", at, median(left["squared_error"] / (k * signal**2)))
    lost = bootstrap(relative, len(best), settings, cell.scenario.name, "regret")
    put(ds, "relative_regret", at, clipped(lost, 0, np.inf))
    put(ds, "unconverged_share", at, share(1 - left["converged"]))
    # By its scenario alone, so that all methods are of the same resampled trials.
    ends, drawn = rounds_needed(replace(cell, selection=""), cell.n_rounds, exact, settings)
    ends = at_least(ends, exact, cell.n_rounds, settings)
    put(ds, "rounds_needed", place, ends)
    return _Outcome(exact, f1, (ends, drawn))


def _put_gains(
    ds: xr.Dataset, cell: Cell, outcomes: Mapping[str, _Outcome], settings: Settings
) -> None:
    """Differences from the paper's rule, trial by trial, and factors in the rounds needed."""
    place = {"setting": cell.label, "method": cell.selection}
    own, papers = outcomes[cell.selection], outcomes[PAPERS]
    put(ds, "method_factor", place, factor_over(own.needed, papers.needed))
    if cell.selection == PAPERS:
        return
    at = {**place, "n_rounds": list(cell.n_rounds)}
    gain = own.exact - papers.exact
    differences = np.transpose([paired_difference([column]) for column in gain.T])
    put(ds, "recovery_gain", at, list(differences))
    gained = own.f1 - papers.f1
    ends = bootstrap(
        lambda counts: counts @ gained / counts.sum(), len(gained), settings, cell.name, "f1"
    )
    put(ds, "f1_gain", at, ends)


def _put_best(
    ds: xr.Dataset, cell: Cell, outcomes: Mapping[str, _Outcome], settings: Settings
) -> None:
    """The best rival against the best rule of Block-OMP: in rounds, and after the most rounds."""
    rules = [one for method, one in outcomes.items() if method in GREEDY]
    rivals = [one for method, one in outcomes.items() if method not in GREEDY]
    if not rivals:
        return
    for i, q in enumerate(settings.quantiles):
        ends = _factor(
            *(_least(of, i, q, cell.n_rounds) for of in (rivals, rules)), cell.n_rounds[-1]
        )
        put(ds, "rival_factor", {"setting": cell.label, "quantile": q}, ends)
    gain = np.subtract(*(_last_of_best(of) for of in (rivals, rules)))
    put(ds, "rival_gain", {"setting": cell.label}, paired_difference([gain]))


def _last_of_best(of: Sequence[_Outcome]) -> Floats:
    """(trial,) recovery after the most rounds by the method that recovers most often."""
    return max((one.exact[:, -1] for one in of), key=lambda exact: float(exact.mean()))


def _least(
    of: Sequence[_Outcome], i: int, quantile: float, n_rounds: Sequence[int]
) -> tuple[float, Floats]:
    """The least rounds needed by some methods, and the same in every replicate (r,).

    Methods that do not get there within the rounds tried do not count; infinite where all clearly
    need more. NaN where it is not known: where a method gets there whose curve is not determined,
    unless it clearly is not the first.
    """
    values = [float(one.needed[0][0][i]) for one in of]
    beyond = [bool(np.isfinite(one.needed[0][1][i])) for one in of]
    drawn = np.array([one.needed[1][i] for one in of])
    first = min((value for value in values if np.isfinite(value)), default=np.inf)
    for one, value in zip(of, values, strict=True):
        shares = one.exact.mean(axis=0)
        if np.isnan(value) and shares[-1] >= quantile:
            (roughly,) = interpolated(n_rounds, shares, [quantile])
            if not roughly > first:
                return float("nan"), drawn[0]
    least = np.where(np.isnan(drawn), np.inf, drawn).min(axis=0)
    if np.isfinite(first):
        return first, least
    return (np.inf if all(beyond) else float("nan")), least


def _factor(
    rivals: tuple[float, Floats], rules: tuple[float, Floats], most: int
) -> tuple[float, float, float]:
    """Ratio of two least rounds with its interval, of which one end is known if one is infinite."""
    (value, drawn), (base, base_drawn) = rivals, rules
    nothing = float("nan")
    if np.isnan([value, base]).any() or np.isinf([value, base]).all():
        return nothing, nothing, nothing
    # Replicates in which all need more than there were count as if they needed just that.
    ratio = np.minimum(drawn, most) / np.minimum(base_drawn, most)
    low, high = (float(end) for end in interval(ratio))
    if np.isinf(base):
        return nothing, nothing, high
    if np.isinf(value):
        return nothing, low, nothing
    return value / base, low, high
