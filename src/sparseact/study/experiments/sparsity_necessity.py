"""`sparsity_necessity`: rounds needed for a small error, from sparse to dense."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from sparseact.curves import interpolated, interval
from sparseact.design import Floats
from sparseact.study.cell import Cell
from sparseact.study.experiments.grid import (
    Arrays,
    Read,
    Settings,
    bootstrap,
    empty,
    put,
    resampled,
    slope,
)

METHODS = ("block_omp", "ridge", "least_squares")


def collect(
    cells: Sequence[Cell], read: Read, settings: Settings, *, relative_error: float
) -> xr.Dataset:
    """One dataset over M, k, the method and T.

    The relative error is the mean squared error over the mean energy of the weights. Rounds needed
    are those at which it falls to ``relative_error``.
    """
    ds = empty(
        "sparsity_necessity",
        {
            "n_actions": sorted({cell.scenario.n_actions for cell in cells}),
            "sparsity": sorted({cell.scenario.sparsity for cell in cells}),
            "estimator": METHODS,
            "n_rounds": sorted({n for cell in cells for n in cell.n_rounds}),
        },
    )
    ds["relative_error_wanted"][...] = relative_error
    replicates: dict[tuple[int, int, str], Floats] = {}
    for cell in cells:
        M, k = cell.scenario.n_actions, cell.scenario.sparsity
        place = {"n_actions": M, "sparsity": k}
        errors = _relative(read("refit", cell), read("dense", cell), cell)
        n_rounds = np.array(cell.n_rounds)
        ds["n_trials"].loc[place] = len(errors["ridge"])
        for method, values in errors.items():
            at = {**place, "estimator": method}

            def curve(counts: Floats, values: Floats = values) -> Any:
                return counts @ values / counts.sum()

            def needed(counts: Floats, values: Floats = values, n: Any = n_rounds) -> float:
                falling = -np.log(counts @ values / counts.sum())
                return float(interpolated(n, falling, [-np.log(relative_error)])[0])

            n = len(values)
            ends = bootstrap(curve, n, settings, cell.name, method)
            put(ds, "relative_error", {**at, "n_rounds": n_rounds}, ends)
            counts = resampled(n, settings.replicates, settings.rng(cell.name, method, "needed"))
            drawn = np.array([needed(one.astype(float)) for one in counts])
            put(ds, "rounds_needed", at, (needed(np.ones(n)), *interval(drawn)))
            replicates[M, k, method] = drawn
    _put_break_even(ds, replicates)
    _put_growth(ds, replicates)
    return ds


def _relative(refit: Arrays, dense: Arrays, cell: Cell) -> dict[str, Floats]:
    """Squared error over the expected energy k b² of the weights, by method (trial, n_rounds)."""
    energy = cell.scenario.sparsity * cell.scenario.signal**2
    return {
        "block_omp": refit["squared_error"] / energy,
        "ridge": dense["ridge_error"] / energy,
        "least_squares": dense["least_squares_error"] / energy,
    }


def _put_break_even(ds: xr.Dataset, replicates: dict[tuple[int, int, str], Floats]) -> None:
    """Share of relevant actions at which Block-OMP needs as many rounds as ridge on all."""
    for M in ds["n_actions"].values:
        of_size = ds["rounds_needed"].sel(n_actions=M)
        ratio = of_size.sel(estimator="block_omp") / of_size.sel(estimator="ridge")
        ks = ds["sparsity"].values[ratio.notnull().values]
        if len(ks) < 3:
            continue
        drawn = np.array([replicates[M, k, "block_omp"] / replicates[M, k, "ridge"] for k in ks])

        def even(ratios: Floats, shares: Floats = ks / M) -> float:
            return float(interpolated(shares, np.log(ratios), [0.0])[0])

        known = np.isfinite(drawn).all(axis=0)
        again = np.full(drawn.shape[1], np.nan)
        again[known] = [even(one) for one in drawn.T[known]]
        ends = (even(ratio.sel(sparsity=ks).values), *interval(again))
        put(ds, "break_even_share", {"n_actions": M}, ends)


def _put_growth(ds: xr.Dataset, replicates: dict[tuple[int, int, str], Floats]) -> None:
    """Exponent in M of the rounds needed when every action matters, and when few do."""
    few = min(int(k) for _, k, _ in replicates)
    dense = {(M, k) for M, k, _ in replicates if k == M}
    sparse = {(M, k) for M, k, _ in replicates if k == few}
    for name, chosen in (("dense_exponent", dense), ("sparse_exponent", sparse)):
        for method in METHODS:
            places = sorted(p for p in replicates if p[2] == method and p[:2] in chosen)
            values = [
                float(ds["rounds_needed"].sel(n_actions=M, sparsity=k, estimator=method))
                for M, k, _ in places
            ]
            if len(places) < 3 or not np.isfinite(values).all():
                continue
            x = np.log([float(M) for M, _, _ in places])
            drawn = np.stack([replicates[place] for place in places], axis=-1)
            ends = (slope(x, np.log(values)), *interval(slope(x, np.log(drawn))))
            put(ds, name, {"estimator": method}, ends)
