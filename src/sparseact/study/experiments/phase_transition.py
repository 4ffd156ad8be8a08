"""`phase_transition`: probability of recovery over the grid, and the rounds it takes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from sparseact.curves import interpolated, interval, needed
from sparseact.study.cell import Cell
from sparseact.study.experiments.grid import (
    ENDS,
    Arrays,
    Read,
    Settings,
    empty,
    put,
    share,
    take,
)

log = logging.getLogger(__name__)

QUANTITIES = ("rounds", "coverage")


def collect(cells: Sequence[Cell], read: Read, settings: Settings) -> xr.Dataset:
    """One dataset from the recovery of every cell, on the full cross of the grid's axes.

    The bootstrap replicates of a cell depend on the study's seed and the cell's name alone.

    Returns
    -------
    xarray.Dataset
        As the registry says of kind ``phase_transition``; NaN where the grid has no cell.
    """
    ds = _empty(cells, settings)
    for number, cell in enumerate(cells, 1):
        recovery = read("recover", cell)
        at = _place(cell)
        exact = recovery["exact_recovery"]
        n_rounds = recovery["n_rounds"]
        there = {**at, "n_rounds": n_rounds}
        ds["n_trials"].loc[at] = len(exact)
        put(ds, "recovery_probability", there, share(exact))
        ds["mean_least_coverage"].loc[there] = recovery["least_coverage"].mean(axis=0)

        rng = settings.rng(cell.name)
        for quantity in QUANTITIES:
            if quantity == "coverage" and cell.scenario.use_rate == 1:
                continue  # every action is used in every round
            x, won, tried = _outcomes(recovery, quantity)
            estimate, drawn = needed(
                x, won, tried, settings.quantiles, replicates=settings.replicates, rng=rng
            )
            drawn[np.isnan(estimate)] = np.nan
            put(ds, f"{quantity}_needed", at, (estimate, *interval(drawn)))
            ds["needed_replicates"].loc[{"quantity": quantity, **at}] = drawn
        by_hand = interpolated(n_rounds, exact.mean(axis=0), settings.quantiles)
        ds["curve_misfit"].loc[at] = np.log(ds["rounds_needed"].loc[at] / by_hand)
        log.info("%d of %d: %s", number, len(cells), cell.name)
    _add_final(ds)
    return ds


def _outcomes(
    recovery: Arrays, quantity: str
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Values x of the quantity, and at each the successes and tries of every trial."""
    exact = recovery["exact_recovery"].astype(np.int64)
    if quantity == "rounds":
        return recovery["n_rounds"], exact, np.ones_like(exact)
    # An action never used cannot be found whatever the method, and log 0 is no place on a curve.
    least = recovery["least_coverage"]
    x = np.unique(least[least > 0])
    trial, step = np.nonzero(least)
    where = np.searchsorted(x, least[trial, step])
    won, tried = np.zeros((2, len(exact), len(x)), dtype=np.int64)
    np.add.at(tried, (trial, where), 1)
    np.add.at(won, (trial, where), exact[trial, step])
    return x, won, tried


def _place(cell: Cell) -> dict[str, Any]:
    scenario = cell.scenario
    return {
        "design": cell.label,
        "n_actions": scenario.n_actions,
        "sparsity": scenario.sparsity,
        "latent_dim": scenario.latent_dim,
        "selection": cell.selection,
    }


def _empty(cells: Sequence[Cell], settings: Settings) -> xr.Dataset:
    """The full cross, all missing."""
    places = [_place(cell) for cell in cells]
    coords: dict[str, Any] = {
        axis: list(dict.fromkeys(place[axis] for place in places))
        for axis in ("design", "selection")
    }
    coords |= {
        axis: sorted({place[axis] for place in places})
        for axis in ("n_actions", "sparsity", "latent_dim")
    }
    coords |= {"quantity": QUANTITIES, "quantile": settings.quantiles}
    coords["n_rounds"] = sorted({n for cell in cells for n in cell.n_rounds})
    return empty("phase_transition", coords, replicate=settings.replicates)


def _add_final(ds: xr.Dataset) -> None:
    """Recovery after the most rounds tried, at the grid point where it is least."""
    last = ds["recovery_probability"].notnull() * ds["n_rounds"]
    last = last.max("n_rounds").astype(int)
    there = last > 0
    at_last = [
        end.sel(n_rounds=last.where(there, ds["n_rounds"][0]))
        for end in take(ds, "recovery_probability")
    ]
    axes = ["n_actions", "sparsity", "latent_dim"]
    # The lower end breaks ties among equal shares: the cell with the fewest trials is the weakest.
    order = at_last[1].where(there).drop_vars("n_rounds").stack(cell=axes)
    known = order.notnull().any("cell")
    worst = order.fillna(2.0).argmin("cell")
    for end, values in zip(ENDS, at_last, strict=True):
        least = values.drop_vars("n_rounds").stack(cell=axes).isel(cell=worst).where(known)
        name = f"final_recovery_probability{end}"
        ds[name] = least.drop_vars(["cell", *axes]).transpose("design", "selection")
