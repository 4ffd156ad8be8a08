"""`dynamic_actions`: how soon a relevant action is found that appears later, incrementally."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.optimize
import scipy.stats
import xarray as xr

from sparseact.curves import wilson
from sparseact.design import Floats
from sparseact.scenario import Scenario
from sparseact.study.cell import Cell
from sparseact.study.experiments.grid import (
    Arrays,
    Ends,
    Read,
    Settings,
    clipped,
    empty,
    factor_over,
    mean,
    put,
    rounds_needed,
    share,
)


def collect(cells: Sequence[Cell], read: Read, settings: Settings) -> xr.Dataset:
    """One dataset over the arrival, the selection rule and the rounds since arrival.

    The newcomer counts as found where it is among the k actions selected. Rounds needed for that,
    since its arrival, are held against those needed to find one certain relevant action where all
    are there from the start; the logs are others, so that their replicates are independent.
    """
    ds = empty(
        "dynamic_actions",
        {
            "arrives_after": sorted({cell.scenario.arrives_after for cell in cells}),
            "selection": list(dict.fromkeys(cell.selection for cell in cells)),
            "since_arrival": sorted({n for cell in cells for n in _since(cell)}),
            "n_rounds": sorted({n for cell in cells for n in cell.n_rounds}),
            "quantile": settings.quantiles,
        },
    )
    followed = {cell: read("follow", cell) for cell in cells}
    needed = {cell: _collect_one(ds, cell, followed[cell], settings) for cell in cells}
    for cell in cells:
        factor = factor_over(needed[cell], needed[_from_the_start(cell, cells)])
        put(ds, "discovery_factor", _place(cell), factor)
    for selection in ds["selection"].values:
        of_rule = [cell for cell in cells if cell.selection == selection]
        same = [followed[cell]["same_support"].mean(axis=1) for cell in of_rule]
        put(ds, "same_support_share", {"selection": selection}, _share_of_solves(same))
        longest = max(of_rule, key=lambda cell: cell.scenario.arrives_after)
        last = [end[-1] for end in _mean_share(followed[longest])]
        put(ds, "final_read_share", {"selection": selection}, last)
    return ds


def predicted_rounds(scenario: Scenario, selection: str) -> float:
    """Rounds n since its arrival after which the newcomer's score should pass all others'.

    With the old relevant actions taken out, what is left is the newcomer's effect in its n rounds,
    of variance b², and noise. Then the newcomer's squared score ``‖Ψ_jᵀu‖²`` is about n²b²; each of
    the d terms of an irrelevant action's has variance n(σ² + b²) if it is late too, (T_old + n)σ² +
    nb² if it is old. The largest of m such is taken to be the median of the largest of m χ²_d
    draws, times that variance. ``whitened`` divides each squared score by the rounds in which its
    action was used. NaN where all actions are there from the start, 0 where none competes.
    """
    if not scenario.arrives_after:
        return np.nan
    old, d = scenario.arrives_after, scenario.latent_dim
    b2, s2 = scenario.signal**2, scenario.noise_std**2
    n_late = scenario.n_late - 1
    n_old = scenario.n_actions - scenario.n_late - scenario.sparsity + 1
    largest_late, largest_old = (_largest(m, d) for m in (n_late, n_old))

    def missing(log_n: float) -> float:
        """How far the newcomer's squared score over n is from the largest other."""
        n = np.exp(log_n)
        total = old + n if selection == "correlation" else n
        share = 1.0 if selection == "correlation" else n / (old + n)
        noise = s2 * total / n + b2 * share
        return float(n * b2 - max((s2 + b2) * largest_late, noise * largest_old))

    low, high = -20.0, 100.0
    return float(np.exp(scipy.optimize.brentq(missing, low, high))) if missing(low) < 0 else 0.0


def _largest(m: int, d: int) -> float:
    """Median of the largest of m χ²_d draws; 0 of none."""
    return float(scipy.stats.chi2.ppf(0.5 ** (1 / m), d)) if m else 0.0


def _since(cell: Cell) -> list[int]:
    """The cell's numbers of rounds since arrival."""
    arrival = cell.scenario.arrives_after
    return [n - arrival for n in cell.n_rounds if n > arrival]


def _place(cell: Cell) -> dict[str, Any]:
    return {"arrives_after": cell.scenario.arrives_after, "selection": cell.selection}


def _from_the_start(cell: Cell, cells: Sequence[Cell]) -> Cell:
    """The cell of the same rule in which all actions are there from the start."""
    (start,) = (
        one for one in cells if (one.selection, one.scenario.arrives_after) == (cell.selection, 0)
    )
    return start


def _collect_one(
    ds: xr.Dataset, cell: Cell, followed: Arrays, settings: Settings
) -> tuple[Ends, Floats]:
    """Rounds since arrival needed to find the newcomer, and replicates."""
    place, lengths = _place(cell), followed["n_rounds"]
    ds["n_trials"].loc[place] = cell.trials
    ds["predicted_rounds"].loc[place] = predicted_rounds(cell.scenario, cell.selection)
    same = followed["same_support"] == 1
    ds["weight_difference"].loc[place] = followed["weight_difference"][same].max(initial=0.0)
    put(ds, "read_share", {**place, "n_rounds": lengths}, _mean_share(followed))
    after = lengths > cell.scenario.arrives_after
    since = lengths[after] - cell.scenario.arrives_after
    at = {**place, "since_arrival": since}
    found = followed["newcomer_found"][:, after].astype(float)
    put(ds, "discovery_probability", at, share(found))
    put(ds, "recovery_probability", at, share(followed["exact_recovery"][:, after]))
    needed = rounds_needed(cell, since, found, settings, "newcomer")
    put(ds, "discovery_rounds", place, needed[0])
    return needed


def _mean_share(followed: Arrays) -> tuple[Any, ...]:
    """(T,) rounds read incrementally over those read from scratch, mean with its interval."""
    return clipped(mean(followed["rounds_read"] / followed["rounds_read_anew"]), 0, np.inf)


def _share_of_solves(shares: Sequence[Floats]) -> tuple[float, float, float]:
    """Share of solves, given each trial's, and its 95 % Wilson interval.

    Solves of one trial depend on each other, so that the interval is that of as many solves as
    there are trials: wide enough however much they do.
    """
    each = np.concatenate(shares)
    value, low, high = wilson(each.sum(), len(each))
    return float(value), float(low), float(high)
