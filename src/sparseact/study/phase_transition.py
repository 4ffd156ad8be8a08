"""`phase_transition`: probability of recovery over the grid, and the rounds it takes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from sparseact.curves import interpolated, interval, needed, wilson
from sparseact.study.cell import Cell
from sparseact.study.variables import KINDS

log = logging.getLogger(__name__)

GRID = ("design", "n_actions", "sparsity", "latent_dim", "selection")
QUANTITIES = ("rounds", "coverage")


def collect(
    cells: Sequence[Cell],
    recovery_of: Callable[[Cell], Mapping[str, npt.NDArray[Any]]],
    *,
    quantiles: Sequence[float],
    replicates: int,
    seed: int,
) -> xr.Dataset:
    """One dataset from the recovery of every cell, on the full cross of the grid's axes.

    Parameters
    ----------
    cells : sequence of Cell
    recovery_of : callable
        Gives the ``recovery`` arrays of a cell.
    quantiles : sequence of floats
        Probabilities of recovery that the rounds needed are wanted for.
    replicates : int
        Bootstrap replicates of every threshold.
    seed : int
        The study's; the replicates of a cell depend on it and the cell's name alone.

    Returns
    -------
    xarray.Dataset
        As the registry says of kind ``phase_transition``; NaN where the grid has no cell.
    """
    ds = _empty(cells, quantiles, replicates)
    for number, cell in enumerate(cells, 1):
        recovery = recovery_of(cell)
        at = _place(cell)
        exact = recovery["exact_recovery"]
        trials, n_rounds = len(exact), recovery["n_rounds"]
        there = {**at, "n_rounds": n_rounds}
        ds["n_trials"].loc[at] = trials
        share, low, high = wilson(exact.sum(axis=0), trials)
        ds["recovery_probability"].loc[there] = share
        ds["recovery_probability_low"].loc[there] = low
        ds["recovery_probability_high"].loc[there] = high
        ds["mean_least_coverage"].loc[there] = recovery["least_coverage"].mean(axis=0)

        rng = np.random.default_rng([seed, *cell.name.encode()])
        for quantity in QUANTITIES:
            if quantity == "coverage" and cell.scenario.use_rate == 1:
                continue  # every action is used in every round
            x, won, tried = _outcomes(recovery, quantity)
            estimate, drawn = needed(x, won, tried, quantiles, replicates=replicates, rng=rng)
            drawn[np.isnan(estimate)] = np.nan
            ds[f"{quantity}_needed"].loc[at] = estimate
            ends = interval(drawn)
            for end, values in zip(("low", "high"), ends, strict=True):
                ds[f"{quantity}_needed_{end}"].loc[at] = values
            ds["needed_replicates"].loc[{"quantity": quantity, **at}] = drawn
        by_hand = interpolated(n_rounds, share, quantiles)
        ds["curve_misfit"].loc[at] = np.log(ds["rounds_needed"].loc[at] / by_hand)
        log.info("%d of %d: %s", number, len(cells), cell.name)
    _add_final(ds)
    return ds


def _outcomes(
    recovery: Mapping[str, npt.NDArray[Any]], quantity: str
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


def _empty(cells: Sequence[Cell], quantiles: Sequence[float], replicates: int) -> xr.Dataset:
    """The full cross, all missing."""
    places = [_place(cell) for cell in cells]
    coords: dict[str, Any] = {
        "design": list(dict.fromkeys(place["design"] for place in places)),
        "selection": list(dict.fromkeys(place["selection"] for place in places)),
        "quantity": list(QUANTITIES),
        "quantile": np.array(quantiles, dtype=np.float64),
    }
    for axis in ("n_actions", "sparsity", "latent_dim"):
        coords[axis] = np.array(sorted({place[axis] for place in places}), dtype=np.int32)
    rounds = sorted({n for cell in cells for n in cell.n_rounds})
    coords["n_rounds"] = np.array(rounds, dtype=np.int32)
    sizes = {axis: len(values) for axis, values in coords.items()} | {"replicate": replicates}
    variables = {
        name: (dims, np.full([sizes[dim] for dim in dims], np.nan))
        for name, dims in KINDS["phase_transition"].variables.items()
        if name not in coords and name != "n_trials"
    }
    ds = xr.Dataset(variables, coords)
    ds["n_trials"] = (GRID, np.zeros([sizes[dim] for dim in GRID], dtype=np.int32))
    return ds


def _add_final(ds: xr.Dataset) -> None:
    """Recovery after the most rounds tried, at the grid point where it is least."""
    last = ds["recovery_probability"].notnull() * ds["n_rounds"]
    last = last.max("n_rounds").astype(int)
    there = last > 0
    at_last = [
        ds[f"recovery_probability{end}"].sel(n_rounds=last.where(there, ds["n_rounds"][0]))
        for end in ("", "_low", "_high")
    ]
    axes = ["n_actions", "sparsity", "latent_dim"]
    # The lower end breaks ties among equal shares: the cell with the fewest trials is the weakest.
    order = at_last[1].where(there).drop_vars("n_rounds").stack(cell=axes)
    known = order.notnull().any("cell")
    worst = order.fillna(2.0).argmin("cell")
    for end, values in zip(("", "_low", "_high"), at_last, strict=True):
        least = values.drop_vars("n_rounds").stack(cell=axes).isel(cell=worst).where(known)
        name = f"final_recovery_probability{end}"
        ds[name] = least.drop_vars(["cell", *axes]).transpose("design", "selection")
