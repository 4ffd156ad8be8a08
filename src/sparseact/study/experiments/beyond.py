"""`beyond`: what breaks first, and how fast, where a log departs from what the theory assumes.

Nothing is simulated for it: it joins the datasets of the experiments past the theory, each read by
a function of its own (:data:`READERS`), into one table of departures.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from sparseact.design import Floats
from sparseact.study.experiments.grid import Ends, empty, put, take
from sparseact.study.experiments.robustness import COVERED, HARMFUL, IDEAL, crossing

# Decisions are spoilt where they are worth less than this share of the best.
VALUABLE = 0.95
# The level that spoils each outcome, and whether what is measured of it falls to that.
LEVELS = {
    "recovery": (HARMFUL, False),
    "intervals": (COVERED, True),
    "error": (HARMFUL, False),
    "decisions": (VALUABLE, True),
}
NOTHING, UNKNOWN = "nothing", "not determined"
# The sizes that the ledger calls mild.
MILD = {
    "student": 0.25,
    "rademacher": 1.0,
    "heteroscedastic": 0.5,
    "autocorrelated": 0.8,
    "nonlinear": 0.5,
    "bounded": 0.3,
    "noisy_latents": 0.3,
    "tail": 0.1,
    "late arrival": 1024.0,
    "zipf log": 1.0,
    "greedy log": 0.9,
    "k unknown": 0.5,
}
# Rules that are told neither k nor σ, of those that the ledger asks about.
RULES = ("noise test", "EBIC", "cross-validation", "relative improvement")
# The rule beside which decisions on biased logs, and their intervals, are judged.
JUDGED = "whitened"
# Stands for an end that may be anything: no measure is as large.
_BEYOND = 1e12


@dataclass(frozen=True)
class Departure:
    """What one departure came to at each of its sizes, which are in units of its own.

    Attributes
    ----------
    name : str
    mild : float
        The size that is called mild.
    sizes : array (size,)
        Ascending; the first is 0 where the departure has an ideal to grow from.
    factor : three arrays (size, quantile)
        Rounds needed over those of a log without the departure, and both ends of the interval;
        where only the lower end is known, the factor is more than that.
    measured : mapping of str to three arrays (size,)
        By outcome, but for recovery, what is measured of it.
    breaking : mapping of str to three floats
        By outcome, the size that spoils it, where the experiment knows that better than
        :func:`breaking_size`.
    """

    name: str
    mild: float
    sizes: Floats
    factor: Ends
    measured: Mapping[str, Ends] = field(default_factory=dict)
    breaking: Mapping[str, Ends] = field(default_factory=dict)


def join(datasets: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """One table over the departure, its grade (the rank of its size; 0 is the ideal) and outcome.

    Outcomes are *recovery*, spoilt where it takes 1.5 times the rounds for the greatest probability
    asked for; *intervals*, where they cover less than 0.9; *error*, where it is 1.5 times what it
    would be, as after 1.5 times fewer rounds; and *decisions*, where they are worth less than 0.95
    of the best, or of what they are worth with the large effects known. All but recovery are judged
    after the most rounds tried.

    Parameters
    ----------
    datasets : mapping of str to xarray.Dataset
        By experiment, for each of :data:`READERS`.

    Returns
    -------
    xarray.Dataset
        As the registry says of kind ``beyond``.
    """
    found = [(name, one) for name, reader in READERS.items() for one in reader(datasets[name])]
    quantiles = datasets[next(iter(READERS))]["quantile"].values
    ds = empty(
        "beyond",
        {
            "departure": [one.name for _, one in found],
            "grade": range(max(_grades(one)[-1] for _, one in found) + 1),
            "quantile": quantiles,
            "outcome": list(LEVELS),
        },
    )
    ds["experiment"] = ("departure", np.array([name for name, _ in found]))
    first = [_put_one(ds, one) for _, one in found]
    ds["first_broken"] = ("departure", np.array(first))
    return ds


def _grades(one: Departure) -> list[int]:
    start = 0 if one.sizes[0] == 0 else 1
    return list(range(start, start + len(one.sizes)))


def _put_one(ds: xr.Dataset, one: Departure) -> str:
    """Put a departure into its row; gives what breaks first."""
    grades = _grades(one)
    row = {"departure": one.name, "grade": grades}
    ds["departure_size"].loc[row] = one.sizes
    is_mild = np.isclose(one.sizes, one.mild)
    mild = grades[int(is_mild.argmax())] if is_mild.any() else 1
    ds["mild_grade"].loc[{"departure": one.name}] = mild
    put(ds, "departure_factor", row, one.factor)
    dearest: Ends = tuple(end[:, -1] for end in one.factor)
    breaking = {}
    for outcome, values in {"recovery": dearest, **one.measured}.items():
        level, falls = LEVELS[outcome]
        ends = one.breaking.get(outcome) or breaking_size(one.sizes, values, level, falls=falls)
        place = {"departure": one.name, "outcome": outcome}
        ds["is_measured"].loc[place] = 1
        put(ds, "outcome_value", {**place, "grade": grades}, values)
        put(ds, "breaking_size", place, ends)
        breaking[outcome] = ends
    return first_broken(breaking, one.sizes[-1])


def breaking_size(sizes: Floats, values: Ends, level: float, *, falls: bool) -> Ends:
    """The least size at which a measure is past a level, and its 95 % interval.

    The interval holds the sizes at which the level is within the measure's own interval: from where
    that first reaches the level with one end to where it does with the other, linear in between.
    Where the measure does not get there, the size is missing, and its lower end says how far it
    holds.

    Parameters
    ----------
    sizes : array (n,)
        Ascending.
    values : three arrays (n,)
        The measure and the ends of its interval. Where only the lower end is known, the measure is
        more than that; an end that is missing, or all three, may be anything.
    level : float
    falls : bool
        Whether the measure falls to the level; else it rises.
    """
    value, low, high = (np.asarray(end, dtype=float) for end in values)
    open_ended = np.isnan(value) & np.isfinite(low)
    value = np.where(open_ended & (low >= level), low, value)
    if falls:
        value, low, high, level = -value, -high, -low, -level
    if not np.isfinite(value[sizes > 0]).any():
        return np.nan, np.nan, np.nan
    low = np.where(np.isnan(low), -_BEYOND, low)
    high = np.where(np.isnan(high), _BEYOND, high)
    first, least, most = (
        _tidied(crossing(sizes, curve, level), sizes) for curve in (value, high, low)
    )
    if not np.isfinite(first):
        return np.nan, min(least, sizes[-1]), np.nan
    return first, min(least, first), max(most, first) if np.isfinite(most) else np.nan


def _tidied(size: float, sizes: Floats) -> float:
    """A size, or the one tried from which it differs by rounding."""
    near = sizes[np.abs(sizes - size).argmin()]
    return float(near if np.isclose(size, near, rtol=1e-9, atol=1e-9) else size)


def first_broken(breaking: Mapping[str, Ends], largest: float) -> str:
    """Which outcome a departure spoils at the least size, in words.

    More than one, joined by "or", least first, where their intervals do not tell; outcomes that are
    not known do not count. Where none is spoilt, "nothing" if all hold at all sizes for certain,
    else "not determined".

    Parameters
    ----------
    breaking : mapping of str to three floats
        By outcome, the size that spoils it and its interval, as of :func:`breaking_size`.
    largest : float
        Size tried.
    """
    broken = {name: ends for name, ends in breaking.items() if np.isfinite(ends[0])}
    if not broken:
        return NOTHING if all(low >= largest for _, low, _ in breaking.values()) else UNKNOWN
    order = sorted(broken, key=lambda name: broken[name][0])
    _, _, high = broken[order[0]]
    rivals = [name for name in order[1:] if not broken[name][1] > high]
    return " or ".join([order[0], *rivals])


# -- the experiments -----------------------------------------------------------------------------


def of_robustness(ds: xr.Dataset) -> Iterator[Departure]:
    """Noise, latent states and rewards that are not as assumed; sizes are the experiment's own."""
    for name in (str(one) for one in ds["departure"].values if one != IDEAL):
        of_name = ds.sel(departure=name)
        sizes = _tried(of_name, "departure_size")
        if not sizes:
            continue
        line = _along(ds, departure=[IDEAL, *(name for _ in sizes)], departure_size=[0.0, *sizes])
        error = _ratios(_at_end(line, "relative_error"))
        dearest = of_name.isel(quantile=-1)
        yield Departure(
            name,
            MILD[name],
            np.array([0.0, *sizes]),
            _factor(line, "rounds_factor", "rounds_needed"),
            {"intervals": _at_end(line, "interval_coverage"), "error": error},
            {
                "recovery": _floats(dearest, "harmful_size"),
                "intervals": _floats(of_name, "undercovering_size"),
            },
        )


def of_approximate_sparsity(ds: xr.Dataset) -> Iterator[Departure]:
    """Small effects of all other actions; the size is their energy over that of the large ones."""
    for tail in ds["tail"].values:
        sizes = _tried(ds.sel(tail=tail), "tail_energy")
        if 0 in sizes and max(sizes) > 0:
            line = _along(ds, tail=[tail] * len(sizes), tail_energy=sizes)
            yield Departure(
                f"{tail} tail",
                MILD["tail"],
                np.array(sizes),
                _factor(line, "rounds_factor", "rounds_needed"),
                {
                    "error": _at_end(line, "k_term_ratio"),
                    "decisions": _at_end(line, "value_share"),
                },
            )


def of_dynamic_actions(ds: xr.Dataset) -> Iterator[Departure]:
    """Actions that appear later; the size is the rounds before that."""
    for selection in ds["selection"].values:
        sizes = _tried(ds.sel(selection=selection), "arrives_after")
        if max(sizes, default=0) > 0:
            line = _along(ds, selection=[selection] * len(sizes), arrives_after=sizes)
            found = {"probability": "discovery_probability", "dim": "since_arrival"}
            yield Departure(
                f"late arrival, {selection}",
                MILD["late arrival"],
                np.array(sizes, dtype=float),
                _factor(line, "discovery_factor", "discovery_rounds", **found),
            )


def of_logging_policy(ds: xr.Dataset) -> Iterator[Departure]:
    """Logs that use some actions more than others, under the rule beside which all is judged.

    The size is Zipf's exponent, or the share 1 - ε of rounds that exploit.
    """
    if JUDGED not in ds["selection"]:
        return
    ds = ds.sel(selection=JUDGED)
    for design, policy in itertools.product(ds["design"].values, ds["policy"].values):
        levels = _tried(ds.sel(design=design, policy=policy), "policy_level")
        by_size = {1 - one if policy == "greedy" else one: one for one in levels}
        sizes = sorted(one for one in by_size if one > 0)
        if not sizes:
            continue
        n = len(sizes)
        line = _along(
            ds,
            design=[design] * (n + 1),
            policy=["uniform"] + [policy] * n,
            policy_level=[0.0, *(by_size[one] for one in sizes)],
        )
        lost, lost_low, lost_high = _at_end(line, "relative_regret")
        yield Departure(
            f"{policy} log, {design}",
            MILD[f"{policy} log"],
            np.array([0.0, *sizes]),
            _factor(line, "rounds_factor", "rounds_needed"),
            {
                "intervals": _at_end(line, "interval_coverage"),
                "decisions": (1 - lost, 1 - lost_high, 1 - lost_low),
            },
        )


def of_stopping(ds: xr.Dataset) -> Iterator[Departure]:
    """A number k left to a rule, told neither k nor σ; the size is the noise σ/b of the log."""
    for design, rule in itertools.product(ds["design"].values, RULES):
        ratios = _tried(ds.sel(design=design), "signal_to_noise")[::-1]
        n = len(ratios)
        if n and rule in ds["stopping"]:
            line = _along(ds, design=[design] * n, signal_to_noise=ratios, stopping=[rule] * n)
            price = take(line.transpose("rank", "quantile", ...), "price")
            factor = (price[0].values, price[1].values, price[2].values)
            sizes = 1 / np.array(ratios)
            yield Departure(f"k unknown, {rule}, {design}", MILD["k unknown"], sizes, factor)


def _tried(ds: xr.Dataset, dim: str) -> list[Any]:
    """Values of an axis, ascending, for which there are trials."""
    return sorted(ds[dim].values[ds["n_trials"].values > 0].tolist())


def _along(ds: xr.Dataset, **places: Sequence[Any]) -> xr.Dataset:
    """The dataset at some places, one after another along the dimension ``rank``."""
    return ds.sel({dim: xr.DataArray(values, dims="rank") for dim, values in places.items()})


def _at_end(
    line: xr.Dataset, name: str, tried: str = "recovery_probability", dim: str = "n_rounds"
) -> Ends:
    """An estimate and its ends (rank,), each after the most rounds tried there."""
    last = line[tried].notnull().cumsum(dim).argmax(dim)
    estimate, low, high = (end.isel({dim: last}).values.copy() for end in take(line, name))
    return estimate, low, high


def _factor(
    line: xr.Dataset,
    name: str,
    needed: str,
    probability: str = "recovery_probability",
    dim: str = "n_rounds",
) -> Ends:
    """A factor in rounds (rank, quantile) over those needed at the first place.

    Where success clearly stays less probable than asked for, the factor exceeds the most rounds
    over the upper end of those needed at the first place.
    """
    value, low, high = (end.transpose("rank", "quantile").values.copy() for end in take(line, name))
    last = line[probability].notnull().cumsum(dim).argmax(dim)
    most = _at_end(line, probability, probability, dim)[2]
    limit = line[dim].values[last.values, None] / line[f"{needed}_high"].isel(rank=0).values
    short = np.isnan(value) & (most[:, None] < line["quantile"].values)
    return value, np.where(short & np.isnan(low), limit, low), high


def _ratios(ends: Ends) -> Ends:
    """Estimates over the first of them, which is independent of the others.

    Intervals are of the logarithm: the variances of the two ends nearest each other add up, without
    their being symmetric (Zou and Donner 2008). The first over itself is 1 by definition.
    """
    value, low, high = (np.log(end) for end in ends)
    ratio = value - value[0]
    down = np.hypot(value - low, high[0] - value[0])
    up = np.hypot(high - value, value[0] - low[0])
    down[0] = up[0] = ratio[0]
    return np.exp(ratio), np.exp(ratio - down), np.exp(ratio + up)


def _floats(ds: xr.Dataset, name: str) -> Ends:
    """An estimate and its ends, of no dimension."""
    estimate, low, high = (float(end) for end in take(ds, name))
    return estimate, low, high


# The functions that read the departures off each experiment's dataset.
READERS: dict[str, Callable[[xr.Dataset], Iterator[Departure]]] = {
    "robustness": of_robustness,
    "approximate_sparsity": of_approximate_sparsity,
    "dynamic_actions": of_dynamic_actions,
    "logging_policy": of_logging_policy,
    "stopping": of_stopping,
}
