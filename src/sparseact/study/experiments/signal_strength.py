"""`signal_strength`: rounds needed against the signal-to-noise ratio b/σ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from sparseact.curves import interval
from sparseact.study.cell import Cell
from sparseact.study.experiments.grid import (
    Read,
    Settings,
    empty,
    put,
    rounds_needed,
    share,
    slope,
)

REGIMES = ("noise", "interference")
# One variance counts as dominant where it is this many times the other.
DOMINANT = 10.0


def collect(cells: Sequence[Cell], read: Read, settings: Settings) -> xr.Dataset:
    """One dataset over b/σ and T, with the exponent of the rounds needed in each regime.

    A round carries, besides an action's own effect, noise of variance σ² and the effects of the
    other k - 1 relevant actions, of variance (k - 1) b² B/M. Where one is at least ten times the
    other, it names the regime.

    The condition drawn is b/σ ≥ c √((d + log M)/T), the order of noise in a block's correlation;
    its factor c is fitted where noise dominates.
    """
    ratio = {cell.name: cell.scenario.signal / cell.scenario.noise_std for cell in cells}
    ds = empty(
        "signal_strength",
        {
            "signal_to_noise": sorted(ratio.values()),
            "n_rounds": sorted({n for cell in cells for n in cell.n_rounds}),
            "quantile": settings.quantiles,
            "regime": REGIMES,
        },
    )
    replicates = {}
    for cell in cells:
        recovery = read("recover", cell)
        at = {"signal_to_noise": ratio[cell.name]}
        ds["noise_share"].loc[at] = _noise_share(cell)
        exact = recovery["exact_recovery"].astype(float)
        ds["n_trials"].loc[at] = len(exact)
        put(ds, "recovery_probability", {**at, "n_rounds": recovery["n_rounds"]}, share(exact))
        ends, replicates[cell.name] = rounds_needed(cell, recovery["n_rounds"], exact, settings)
        put(ds, "rounds_needed", at, ends)
    for regime in REGIMES:
        members = [cell for cell in cells if _regime(cell) == regime]
        if len(members) < 2:
            continue
        x = np.log([ratio[cell.name] for cell in members])
        value = np.array(
            [ds["rounds_needed"].sel(signal_to_noise=ratio[cell.name]).values for cell in members]
        ).T
        drawn = np.stack([replicates[cell.name] for cell in members], axis=-1)
        for i, q in enumerate(settings.quantiles):
            ends = (slope(x, np.log(value[i])), *interval(slope(x, np.log(drawn[i]))))
            put(ds, "signal_exponent", {"regime": regime, "quantile": q}, ends)
            if regime == "noise":
                factor = np.exp(np.mean(np.log(value[i]) + 2 * x))
                ds["condition_rounds"].loc[{"quantile": q}] = factor / ds["signal_to_noise"] ** 2
    return ds


def _regime(cell: Cell) -> str | None:
    share = _noise_share(cell)
    if share >= DOMINANT / (1 + DOMINANT):
        return "noise"
    return "interference" if share <= 1 / (1 + DOMINANT) else None


def _noise_share(cell: Cell) -> float:
    """Share of the noise in the variance that a round carries besides an action's own effect."""
    one = cell.scenario
    interference = (one.sparsity - 1) * one.signal**2 * one.use_rate
    return one.noise_std**2 / (one.noise_std**2 + interference)
