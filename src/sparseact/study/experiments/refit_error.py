"""`refit_error`: error of the refit against the oracle's, its intervals, and conditioning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from sparseact.design import Floats
from sparseact.study.cell import Cell
from sparseact.study.experiments.grid import (
    Arrays,
    Read,
    Settings,
    bootstrap,
    clipped,
    covered,
    empty,
    mean,
    put,
    share,
    slope,
    take,
)

# The rate in T is read where recovery is at least this probable.
RECOVERED = 0.95


def collect(cells: Sequence[Cell], read: Read, settings: Settings) -> xr.Dataset:
    """One dataset over T and the condition number of Σ_z.

    The ratio of errors is the mean over trials of the realised squared error over the oracle's
    expected one, whose own mean is 1 given the design.
    """
    ds = empty(
        "refit_error",
        {
            "condition_number": sorted({cell.scenario.condition_number for cell in cells}),
            "n_rounds": sorted({n for cell in cells for n in cell.n_rounds}),
        },
    )
    outcomes = {}
    for cell in cells:
        refit = read("refit", cell)
        outcomes[cell.scenario.condition_number] = refit
        _collect_one(ds, cell, refit)
    _add_rate(ds, outcomes, settings)
    _add_conditioning(ds, outcomes, settings)
    return ds


def _collect_one(ds: xr.Dataset, cell: Cell, refit: Arrays) -> None:
    here = {"n_rounds": refit["n_rounds"]}
    at = {"condition_number": cell.scenario.condition_number, **here}
    exact = refit["exact_recovery"].astype(float)
    known = np.isfinite(refit["oracle_error"])
    both = exact * known
    ds["n_trials"].loc[{"condition_number": cell.scenario.condition_number}] = len(exact)
    put(ds, "recovery_probability", at, share(exact))
    for name in ("squared_error", "oracle_error"):
        put(ds, name, at, clipped(mean(refit[name], both), 0, np.inf))
    put(ds, "least_eigenvalue", at, clipped(mean(refit["least_eigenvalue"]), 0, np.inf))
    held, stated = covered(refit)
    put(ds, "interval_coverage", at, clipped(mean(held, exact * stated), 0, 1))
    put(ds, "interval_coverage_all", at, clipped(mean(held, stated), 0, 1))
    if cell.scenario.condition_number == 1:
        ratio = np.where(
            known, refit["squared_error"] / np.where(known, refit["oracle_error"], 1), 0
        )
        put(ds, "error_ratio", here, clipped(mean(ratio, known), 0, np.inf))
        put(ds, "error_ratio_exact", here, clipped(mean(ratio, both), 0, np.inf))
        scenario = cell.scenario
        weights = scenario.sparsity * scenario.latent_dim
        ds["claimed_error"].loc[here] = scenario.noise_std**2 * weights / refit["n_rounds"]
        last = {"n_rounds": refit["n_rounds"][-1], "condition_number": 1.0}
        for name in ("error_ratio", "interval_coverage"):
            place = {dim: value for dim, value in last.items() if dim in ds[name].dims}
            put(ds, f"final_{name}", {}, [end.sel(place) for end in take(ds, name)])


def _add_rate(ds: xr.Dataset, outcomes: dict[float, Arrays], settings: Settings) -> None:
    """Exponent of the error in T, where recovery is nearly certain and Σ_z well conditioned."""
    if 1.0 not in outcomes:
        return
    refit = outcomes[1.0]
    exact = refit["exact_recovery"].astype(float)
    certain = exact.mean(axis=0) >= RECOVERED
    if certain.sum() < 3:
        return
    x = np.log(refit["n_rounds"][certain])
    errors, kept = refit["squared_error"][:, certain], exact[:, certain]

    def exponent(counts: Floats) -> float:
        return float(slope(x, np.log((counts @ (errors * kept)) / (counts @ kept))))

    put(ds, "rate_exponent", {}, bootstrap(exponent, len(exact), settings, "rate"))


def _add_conditioning(ds: xr.Dataset, outcomes: dict[float, Arrays], settings: Settings) -> None:
    """Exponent of the error in λ_min(G_S/T), across condition numbers at the most rounds."""
    if len(outcomes) < 3:
        return
    last = [
        {name: outcomes[c][name][:, -1].astype(float) for name in _NEEDED} for c in sorted(outcomes)
    ]
    smallest = min(len(one["squared_error"]) for one in last)

    def exponent(counts: Floats) -> float:
        x, y = [], []
        for one in last:
            exact = counts * one["exact_recovery"][:smallest]
            if exact.sum() < 1:
                return float("nan")
            x.append(np.log(exact @ one["least_eigenvalue"][:smallest] / exact.sum()))
            y.append(np.log(exact @ one["squared_error"][:smallest] / exact.sum()))
        return float(slope(np.array(x), np.array(y)))

    put(ds, "conditioning_exponent", {}, bootstrap(exponent, smallest, settings, "conditioning"))


_NEEDED = ("exact_recovery", "squared_error", "least_eigenvalue")
