"""`coherence`: recovery as actions come to resemble each other, and what is picked instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from scipy.optimize import isotonic_regression

from sparseact.curves import interval
from sparseact.design import Floats
from sparseact.study.cell import ORACLE, Cell
from sparseact.study.experiments.grid import (
    Arrays,
    Read,
    Settings,
    clipped,
    empty,
    mean,
    median,
    paired_difference,
    put,
    rounds_needed,
    share,
    slope,
    take,
)

CONVEX = ORACLE
KINDS_OF_FALSE = ("decoy", "other")
# "Below 1" for the claim, at some distance from the edge.
BELOW = 0.9
# Twins less alike than this are not what their exponent is read from.
TWINS = 0.8


def collect(cells: Sequence[Cell], read: Read, settings: Settings) -> xr.Dataset:
    """One dataset over the structure of correlation, its strength and T.

    The coherence measures are medians over the trials in which they were measured: μ_S has a heavy
    tail where the relevant actions are nearly collinear.
    """
    greedy = [cell for cell in cells if cell.selection != CONVEX]
    convex = {cell.scenario.name: cell for cell in cells if cell.selection == CONVEX}
    ds = empty(
        "coherence",
        {
            "structure": list(dict.fromkeys(cell.label for cell in cells)),
            "strength": sorted({cell.scenario.strength for cell in cells}),
            "n_rounds": sorted({n for cell in cells for n in cell.n_rounds}),
            "quantile": settings.quantiles,
            "false_positive": KINDS_OF_FALSE,
        },
    )
    outcomes: dict[str, dict[float, Floats]] = {}
    ercs: dict[str, dict[float, Floats]] = {}
    gains: dict[str, dict[float, Floats]] = {}
    drawn: dict[float, Floats] = {}
    for cell in greedy:
        recovery, diagnosis = read("recover", cell), read("diagnose", cell)
        scenario = cell.scenario
        place = {"structure": cell.label, "strength": scenario.strength}
        at = {**place, "n_rounds": recovery["n_rounds"]}
        exact = recovery["exact_recovery"].astype(float)
        ds["n_trials"].loc[place] = len(exact)
        put(ds, "recovery_probability", at, share(exact))
        _put_coherence(ds, at, diagnosis)
        _put_false_positives(ds, at, recovery, read("simulate", cell))
        ends, replicates = rounds_needed(cell, recovery["n_rounds"], exact, settings)
        put(ds, "rounds_needed", place, ends)
        outcomes.setdefault(cell.label, {})[scenario.strength] = exact
        ercs.setdefault(cell.label, {})[scenario.strength] = diagnosis["erc"]
        if cell.label == "twin":
            drawn[scenario.strength] = replicates
        if scenario.name in convex:
            other = convex[scenario.name]
            rival = read("rival", other)
            solved = rival["exact_recovery"].astype(float)
            there = {**place, "n_rounds": rival["n_rounds"]}
            put(ds, "convex_recovery_probability", there, share(solved))
            same = np.searchsorted(recovery["n_rounds"], rival["n_rounds"])
            gain = solved - exact[: len(solved), same]  # on the same logs
            differences = np.transpose([paired_difference([column]) for column in gain.T])
            put(ds, "convex_difference", there, list(differences))
            gains.setdefault(cell.label, {})[scenario.strength] = gain[:, -1]
    for structure, by_strength in gains.items():
        _put_advantage(ds, structure, by_strength)
    for structure, by_strength in outcomes.items():
        _put_ends(ds, structure, by_strength, ercs[structure], settings)
    _put_exponent(ds, drawn, settings)
    return ds


def _put_coherence(ds: xr.Dataset, at: dict[str, Any], diagnosis: Arrays) -> None:
    put(ds, "erc", at, median(diagnosis["erc"]))
    put(ds, "mutual_coherence", at, median(diagnosis["mutual_coherence"]))
    put(ds, "copy_share", at, share(diagnosis["has_copies"]))


def _put_false_positives(ds: xr.Dataset, at: dict[str, Any], recovery: Arrays, log: Arrays) -> None:
    """Mean number of irrelevant actions selected, decoys and others apart."""
    selected = recovery["selected"]
    decoys = log.get("decoy", np.empty((len(selected), 0)))[: len(selected)]
    as_decoy = (selected[..., None] == decoys[:, None, None, :]).any(axis=3).sum(axis=2)
    wrong = (selected >= 0).sum(axis=2) - recovery["n_correct"]
    for kind, count in (("decoy", as_decoy), ("other", wrong - as_decoy)):
        ends = clipped(mean(count), 0, np.inf)
        put(ds, "false_positives", {**at, "false_positive": kind}, ends)


def _put_advantage(ds: xr.Dataset, structure: str, gains: Mapping[float, Floats]) -> None:
    """Mean gain of the rival over the strengths with μ_S above 1, after the most rounds of both.

    That is where a tolerance for coherence shows: with fewer rounds, or below 1, it is noise that
    the two deal with differently. Strengths are independent.
    """
    compared = ds["convex_recovery_probability"].sel(structure=structure)
    last = ds["n_rounds"].values[compared.notnull().any("strength").values].max()
    erc = ds["erc"].sel(structure=structure, n_rounds=last)
    kept = [gain for strength, gain in gains.items() if float(erc.sel(strength=strength)) > 1]
    if kept:
        put(ds, "convex_advantage", {"structure": structure}, paired_difference(kept))


def _put_ends(
    ds: xr.Dataset,
    structure: str,
    by_strength: Mapping[float, Floats],
    ercs: Mapping[float, Floats],
    settings: Settings,
) -> None:
    """Recovery after each strength's most rounds: at its least below 1, and where it breaks."""
    strengths = sorted(by_strength)
    at_last = [_last(ds.sel(structure=structure, strength=strength)) for strength in strengths]
    erc = np.array([float(one["erc"]) for one in at_last])
    for name, kept in (("recovery_below_one", erc < BELOW), ("recovery_beyond_one", erc > 1)):
        if kept.any():
            low, high = (
                np.array([float(one[f"recovery_probability{end}"]) for one in at_last])
                for end in ("_low", "_high")
            )
            least = np.where(kept, low, np.inf).argmin()
            most = np.where(kept, high, -np.inf).argmax()
            one = at_last[least if name == "recovery_below_one" else most]
            put(ds, name, {"structure": structure}, take(one, "recovery_probability"))
    final = [by_strength[strength][:, -1] for strength in strengths]
    measured = [ercs[strength][:, -1] for strength in strengths]

    def broken(shares: Floats, erc: Floats) -> float:
        order = np.argsort(erc)
        falling = isotonic_regression(shares[order], increasing=False).x
        after = int(np.argmax(falling < 0.5))
        if falling[after] >= 0.5 or after == 0:
            return float("nan")
        part = (falling[after - 1] - 0.5) / (falling[after - 1] - falling[after])
        step = erc[order][after] - erc[order][after - 1]
        return float(erc[order][after - 1] + part * step)

    # Both are estimates: the shares of recovery, and the coefficients they are placed at.
    rng, r = settings.rng("break", structure), settings.replicates
    shares = np.array([rng.choice(one, (r, len(one))).mean(axis=1) for one in final]).T
    places = np.array([np.median(rng.choice(one, (r, len(one))), axis=1) for one in measured]).T
    drawn = interval(np.array([broken(*one) for one in zip(shares, places, strict=True)]))
    shares = np.array([one.mean() for one in final])
    ends: tuple[Any, Any, Any] = (broken(shares, erc), *drawn)
    if shares.min() > 0.5:  # it holds throughout: all that is known is that it breaks further on
        ends = (np.nan, np.nanmax(erc), np.nan)
    put(ds, "breaking_erc", {"structure": structure}, ends)


def _last(line: xr.Dataset) -> xr.Dataset:
    """The most rounds tried along a line."""
    return line.isel(n_rounds=np.flatnonzero(line["recovery_probability"].notnull())[-1])


def _put_exponent(ds: xr.Dataset, drawn: Mapping[float, Floats], settings: Settings) -> None:
    """Exponent of the rounds needed in 1 - ρ, for twins that are much alike."""
    for i, q in enumerate(settings.quantiles):
        kept, value = [], []
        for strength in sorted(drawn):
            place = {"structure": "twin", "quantile": q, "strength": strength}
            needed = float(ds["rounds_needed"].sel(place))
            if TWINS <= strength < 1 and np.isfinite(needed):
                kept.append(strength)
                value.append(needed)
        if len(kept) >= 3:
            x = np.log1p(-np.array(kept))
            replicates = np.stack([drawn[one][i] for one in kept], axis=-1)
            ends = (slope(x, np.log(value)), *interval(slope(x, np.log(replicates))))
            put(ds, "twin_exponent", {"quantile": q}, ends)
