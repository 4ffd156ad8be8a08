"""`approximate_sparsity`: what small effects of all other actions do to recovery and decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from sparseact.curves import interpolated, interval
from sparseact.design import Floats
from sparseact.scenario import Scenario
from sparseact.study.cell import Cell
from sparseact.study.experiments.grid import (
    Arrays,
    Ends,
    Read,
    Settings,
    bootstrap,
    clipped,
    empty,
    factor_over,
    mean,
    put,
    resampled,
    rounds_needed,
    share,
    take,
)

METHODS = ("block_omp", "k_largest", "ridge")


def collect(cells: Sequence[Cell], read: Read, settings: Settings) -> xr.Dataset:
    """One dataset over the tail, its energy τ and T.

    Errors are relative to the energy ``k b² (1 + τ)`` of all weights; regret to what the best of
    all actions is worth. ``k_largest`` is least squares told which k effects are the largest.
    """
    ds = empty(
        "approximate_sparsity",
        {
            "tail": list(dict.fromkeys(cell.scenario.tail for cell in cells)),
            "tail_energy": sorted({cell.scenario.tail_energy for cell in cells}),
            "n_rounds": sorted({n for cell in cells for n in cell.n_rounds}),
            "quantile": settings.quantiles,
            "estimator": METHODS,
        },
    )
    needed: dict[str, dict[float, tuple[Ends, Floats]]] = {}
    ratios: dict[tuple[str, int], dict[float, Floats]] = {}
    for tail, cell in _with_tails(cells):
        energy = cell.scenario.tail_energy
        place = {"tail": tail, "tail_energy": energy}
        ds["largest_tail"].loc[place] = cell.scenario.largest_tail
        for step, factor in zip(("first", "last"), noise_factors(cell.scenario), strict=True):
            ds[f"noise_factor_{step}"].loc[place] = factor
        of_recovery = _put_recovery(ds, place, cell, read("recover", cell), settings)
        needed.setdefault(tail, {})[energy] = of_recovery
        of_cell = _put_errors(ds, place, cell, read("refit", cell), read("dense", cell), settings)
        for n_rounds, ratio in zip(cell.n_rounds, of_cell.T, strict=True):
            ratios.setdefault((tail, n_rounds), {})[energy] = ratio
        _put_decisions(ds, place, cell, read("decide", cell), settings)
    _put_factors(ds, needed)
    for (of_tail, n_rounds), by_energy in ratios.items():
        _put_break_even(ds, of_tail, n_rounds, by_energy)
    _put_ends(ds)
    return ds


def _with_tails(cells: Sequence[Cell]) -> Iterator[tuple[str, Cell]]:
    """Each cell with its tail; one without energy also with those that have none of their own.

    Without energy there is no tail, whatever its name.
    """
    tails = dict.fromkeys(cell.scenario.tail for cell in cells)
    bare = {cell.scenario.tail for cell in cells if not cell.scenario.tail_energy}
    for cell in cells:
        yield cell.scenario.tail, cell
        if not cell.scenario.tail_energy:
            yield from ((tail, cell) for tail in tails if tail not in bare)


def noise_factors(scenario: Scenario) -> tuple[float, float]:
    """How many times the tail multiplies the noise in a block's correlation: first and last step.

    With independent signs and Σ_z = I, an action that is not in the residual has the correlation
    ``Ψ_jᵀu/T`` of mean zero, and of variance ``(σ² + (1 + 2/d) E)/T`` per coordinate on average,
    where E is the energy of all effects left in the residual: ``E[z zᵀ⟨w, z⟩²] = ‖w‖² I + 2 w wᵀ``
    for normal z. At the first step m = k large effects are left and at the last m = 1, besides
    the tail's ``τ k b²``. Rounds needed grow by that factor as far as the tail acts as noise.
    NaN for other scenarios.
    """
    if (scenario.design, scenario.structure) != ("signed", "independent"):
        return float("nan"), float("nan")
    if scenario.condition_number != 1:
        return float("nan"), float("nan")
    k, energy = scenario.sparsity, scenario.signal**2 * (1 + 2 / scenario.latent_dim)
    added = scenario.tail_energy * k * energy
    bare = [scenario.noise_std**2 + m * energy for m in (k, 1)]
    return 1 + added / bare[0], 1 + added / bare[1]


def _put_recovery(
    ds: xr.Dataset, place: dict[str, Any], cell: Cell, recovery: Arrays, settings: Settings
) -> tuple[Ends, Floats]:
    """Recovery of the large effects; gives the rounds needed and their replicates."""
    at = {**place, "n_rounds": recovery["n_rounds"]}
    exact = recovery["exact_recovery"].astype(float)
    ds["n_trials"].loc[place] = len(exact)
    put(ds, "recovery_probability", at, share(exact))
    found = recovery["n_correct"] / cell.scenario.sparsity
    put(ds, "found_share", at, clipped(mean(found), 0, 1))
    needed = rounds_needed(cell, recovery["n_rounds"], exact, settings)
    put(ds, "rounds_needed", place, needed[0])
    return needed


def _put_errors(
    ds: xr.Dataset,
    place: dict[str, Any],
    cell: Cell,
    refit: Arrays,
    dense: Arrays,
    settings: Settings,
) -> Floats:
    """Errors of three estimates; gives the logarithm of Block-OMP's over ridge's.

    That is (1 + replicates, T): on the trials themselves, and on each draw of a bootstrap.
    """
    scenario = cell.scenario
    at = {**place, "n_rounds": refit["n_rounds"]}
    energy = scenario.sparsity * scenario.signal**2 * (1 + scenario.tail_energy)
    squared, known = refit["squared_error"], refit["k_term_error"]
    # Where the support is not identified in some trial, the error has no mean.
    values = {"block_omp": squared, "k_largest": known, "ridge": dense["ridge_error"]}
    for name, of_name in values.items():

        def relative(counts: Floats, of_name: Floats = of_name) -> Any:
            return counts @ of_name / (counts.sum() * energy)

        ends = bootstrap(relative, len(of_name), settings, cell.name, name)
        put(ds, "relative_error", {**at, "estimator": name}, ends)

    def ratio(counts: Floats) -> Any:
        return (counts @ squared) / (counts @ known)

    put(ds, "k_term_ratio", at, bootstrap(ratio, len(squared), settings, cell.name, "ratio"))
    ridge = dense["ridge_error"]  # of some of the trials
    n = len(ridge)
    drawn = resampled(n, settings.replicates, settings.rng(cell.name, "even"))
    counts = np.vstack([np.ones(n), drawn])
    ratios: Floats = np.log((counts @ squared[:n]) / (counts @ ridge))
    return ratios


def _put_decisions(
    ds: xr.Dataset, place: dict[str, Any], cell: Cell, decision: Arrays, settings: Settings
) -> None:
    at = {**place, "n_rounds": decision["n_rounds"]}
    regret, best = decision["mean_regret"][:, :, -1], decision["best_value"]
    known = decision["known_regret"]
    ds["n_judged"].loc[place] = len(best)

    def lost(counts: Floats) -> Any:
        return counts @ regret / (counts @ best)

    def lost_at_best(counts: Floats) -> Any:
        return counts @ known / (counts @ best)

    def gained(counts: Floats) -> Any:
        return counts @ (best[:, None] - regret) / (counts @ (best - known))

    key = (cell.name, "regret")
    put(ds, "relative_regret", at, bootstrap(lost, len(best), settings, *key))
    put(ds, "known_relative_regret", place, bootstrap(lost_at_best, len(best), settings, *key))
    put(ds, "value_share", at, bootstrap(gained, len(best), settings, *key))


def _put_factors(ds: xr.Dataset, needed: Mapping[str, Mapping[float, tuple[Ends, Floats]]]) -> None:
    """Rounds needed over those without small effects."""
    for tail, by_energy in needed.items():
        if 0.0 not in by_energy:
            continue
        for energy, of_energy in by_energy.items():
            place = {"tail": tail, "tail_energy": energy}
            put(ds, "rounds_factor", place, factor_over(of_energy, by_energy[0.0]))
        _put_doubling(ds, tail, {energy: drawn for energy, (_, drawn) in by_energy.items()})


def _put_doubling(ds: xr.Dataset, tail: str, drawn: Mapping[float, Floats]) -> None:
    """Energy of a tail at which the rounds needed are twice those without it."""
    for q in ds["quantile"].values:
        factors = ds["rounds_factor"].sel(tail=tail, quantile=q)
        known = (factors["tail_energy"] > 0) & factors.notnull()
        energies = ds["tail_energy"].values[known.values]
        if len(energies) < 2:
            continue
        i = int(np.flatnonzero(ds["quantile"].values == q)[0])
        again = np.array([drawn[one][i] / drawn[0.0][i] for one in energies]).T

        def twice(one: Floats, energies: Floats = energies) -> float:
            if np.isnan(one).any():
                return float("nan")
            return float(interpolated(energies, np.log(one), [np.log(2)])[0])

        ends = (
            twice(factors.values[known.values]),
            *interval(np.array([twice(one) for one in again])),
        )
        put(ds, "doubling_energy", {"tail": tail, "quantile": q}, ends)


def _put_break_even(ds: xr.Dataset, tail: str, n_rounds: int, ratios: dict[float, Floats]) -> None:
    """Energy of a tail at which ridge on all actions errs as little as Block-OMP.

    ``ratios`` holds the logarithm of Block-OMP's error over ridge's by energy, its bootstrap
    replicates after it. Where Block-OMP errs less at all energies tried, all that is known is the
    largest of them.
    """
    energies = np.array(sorted(energy for energy in ratios if energy > 0))
    if len(energies) < 3:
        return
    values = np.stack([ratios[one] for one in energies], axis=-1)
    even, *drawn = (float(interpolated(energies, one, [0.0])[0]) for one in values)
    ends: tuple[Any, Any, Any] = (even, *interval(np.array(drawn)))
    if (values[0] < 0).all():
        ends = (np.nan, energies[-1], np.nan)
    put(ds, "break_even_energy", {"tail": tail, "n_rounds": n_rounds}, ends)


def _put_ends(ds: xr.Dataset) -> None:
    """After the most rounds: the worst over the energies of the tail, none left out but 0."""
    for tail in ds["tail"].values:
        worst: Mapping[str, str] = {"k_term_ratio": "high", "value_share": "low"}
        for name, end in worst.items():
            line = ds.sel(tail=tail)
            tried = line["n_rounds"].values[line[name].notnull().any("tail_energy").values]
            if not tried.size:  # no trial determines the k weights
                continue
            last = line.sel(n_rounds=tried[-1])
            edge = last[f"{name}_{end}"].where(last["tail_energy"] > 0).values
            if np.isfinite(edge).any():
                at = np.nanargmax(edge) if end == "high" else np.nanargmin(edge)
                put(ds, f"final_{name}", {"tail": tail}, take(last.isel(tail_energy=at), name))
