"""What the datasets of all experiments share: their axes, their estimates and their ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats
import xarray as xr

from sparseact.curves import interval, needed, wilson
from sparseact.design import Floats
from sparseact.study.cell import Cell
from sparseact.study.variables import KINDS, VARIABLES

Arrays = Mapping[str, npt.NDArray[Any]]
# Gives what a stage left of a cell, cut to the cell's own rounds and trials.
Read = Callable[[str, Cell], Arrays]

# The estimate and the two ends of its 95 % interval.
Ends = tuple[Any, Any, Any]
ENDS = ("", "_low", "_high")


@dataclass(frozen=True)
class Settings:
    """What the collection of every experiment needs besides its cells."""

    quantiles: tuple[float, ...]
    replicates: int
    seed: int

    def rng(self, *key: str) -> np.random.Generator:
        """Random numbers of their own for each key, whatever else is collected."""
        return np.random.default_rng([self.seed, *"/".join(key).encode()])


def empty(kind: str, coords: Mapping[str, Any], **sizes: int) -> xr.Dataset:
    """A dataset of a kind on the full cross of its axes: floats missing, counts zero."""
    typed = {
        name: np.asarray(values, dtype=None if dtype == "str" else dtype)
        for name, values in coords.items()
        for dtype in [VARIABLES[name].dtype]
    }
    lengths = {name: len(values) for name, values in typed.items()} | sizes
    variables = {}
    for name, dims in KINDS[kind].variables.items():
        if name not in typed:
            shape = [lengths[dim] for dim in dims]
            whole = VARIABLES[name].dtype.startswith(("int", "uint"))
            zeros = np.zeros(shape, dtype=VARIABLES[name].dtype)
            variables[name] = (dims, zeros if whole else np.full(shape, np.nan))
    return xr.Dataset(variables, typed)


def put(ds: xr.Dataset, name: str, at: Mapping[str, Any], ends: Sequence[Any]) -> None:
    """Set an estimate and the two ends of its interval at a place."""
    for end, values in zip(ENDS, ends, strict=True):
        ds[f"{name}{end}"].loc[dict(at)] = values


def take(ds: xr.Dataset, name: str) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """An estimate and the two ends of its interval."""
    estimate, low, high = (ds[f"{name}{end}"] for end in ENDS)
    return estimate, low, high


def mean(values: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> tuple[Any, Any, Any]:
    """Mean over trials (axis 0) and its 95 % interval by Student's t; NaN below two trials.

    ``weights`` of 0 and 1 tell which trials count; values where they are 0 may be NaN.
    """
    numbers = np.asarray(values, dtype=float)
    counts = np.ones_like(numbers) if weights is None else np.asarray(weights, dtype=float)
    numbers = np.where(counts > 0, numbers, 0.0)
    n = counts.sum(axis=0)
    enough = n >= 2
    safe = np.where(enough, n, 2.0)
    centre = numbers.sum(axis=0) / safe
    spread = (counts * (numbers - centre) ** 2).sum(axis=0) / (safe - 1)
    reach = scipy.stats.t.ppf(0.975, safe - 1) * np.sqrt(spread / safe)
    ends = (centre, centre - reach, centre + reach)
    estimate, low, high = (np.where(enough, end, np.nan) for end in ends)
    return estimate, low, high


def paired_difference(gains: Sequence[Floats]) -> tuple[float, float, float]:
    """Mean over independent samples of a difference of paired outcomes (-1, 0 or 1), 95 % interval.

    Half a pair is added to each of the four outcomes of a pair (Agresti and Min 2005), so that
    methods that agreed on every trial are not said to agree for certain.
    """
    centres, variances = [], []
    for gain in gains:
        n, won, lost = len(gain) + 2, (gain > 0).sum() + 0.5, (gain < 0).sum() + 0.5
        centres.append((won - lost) / n)
        variances.append((won + lost - (won - lost) ** 2 / n) / n**2)
    centre, reach = np.mean(centres), 1.96 * np.sqrt(np.sum(variances)) / len(gains)
    estimate = float(np.mean([gain.mean() for gain in gains]))
    return estimate, max(float(centre - reach), -1.0), min(float(centre + reach), 1.0)


def median(values: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Median over trials (axis 0) and its 95 % interval from order statistics.

    For numbers with a heavy tail, or that may be infinite: then NaN. Fewer than six trials have no
    interval.
    """
    numbers = np.asarray(values, dtype=float)
    ends = np.empty((3, numbers.shape[1]))
    for i, column in enumerate(numbers.T):
        within = scipy.stats.quantile_test(column, p=0.5).confidence_interval(0.95)
        ends[:, i] = np.median(column), within.low, within.high
    ends[~np.isfinite(ends)] = np.nan
    return ends[0], ends[1], ends[2]


def share(outcomes: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Share of trials (axis 0) with an outcome, and its 95 % Wilson interval."""
    flags = np.asarray(outcomes)
    return wilson(flags.sum(axis=0, dtype=np.int64), np.full(flags.shape[1:], len(flags)))


def rounds_needed(
    cell: Cell, n_rounds: npt.ArrayLike, outcomes: Floats, settings: Settings, *key: str
) -> tuple[tuple[Floats, Floats, Floats], Floats]:
    """Rounds needed for every quantile with their intervals, and the replicates (quantile, r)."""
    estimate, drawn = needed(
        n_rounds,
        outcomes,
        np.ones_like(outcomes),
        settings.quantiles,
        replicates=settings.replicates,
        rng=settings.rng(cell.name, *key),
    )
    drawn[np.isnan(estimate)] = np.nan
    return (estimate, *interval(drawn)), drawn


def at_least(ends: Ends, outcomes: Floats, n_rounds: npt.ArrayLike, settings: Settings) -> Ends:
    """Rounds needed; where outcomes clearly stay below a quantile, more than there were."""
    value, low, high = (np.array(end) for end in ends)
    _, _, most = share(outcomes[:, -1:])
    beyond = np.isnan(value) & (most[0] < np.array(settings.quantiles))
    low[beyond] = np.asarray(n_rounds)[-1]
    return value, low, high


def factor_over(needed: tuple[Ends, Floats], base: tuple[Ends, Floats]) -> Ends:
    """Rounds needed over those of a base, each with its replicates.

    Where they are more than there were, that over the base's upper end is what the factor exceeds.
    The base over itself is 1 by definition.
    """
    ((value, known, _), drawn), ((plain, _, plain_high), plain_drawn) = needed, base
    if drawn is plain_drawn:
        same = np.where(np.isfinite(value), 1.0, np.nan)
        return same, same, same
    low, high = interval(drawn / plain_drawn)
    beyond = np.isnan(value) & np.isfinite(known)
    return value / plain, np.where(beyond, known / plain_high, low), high


def covered(refit: Arrays) -> tuple[Floats, Floats]:
    """(trial, T) share of a refit's intervals that hold the true weight, and 1 where it has any."""
    intervals = refit["n_intervals"]
    return refit["n_covered"] / np.maximum(intervals, 1), (intervals > 0).astype(float)


def resampled(n: int, replicates: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """(replicates, n) how often each of n trials is drawn in a bootstrap."""
    return rng.multinomial(n, np.full(n, 1 / n), size=replicates)


def bootstrap(
    statistic: Callable[[Floats], Any], n: int, settings: Settings, *key: str
) -> tuple[Any, Any, Any]:
    """A statistic of n trials, given as how often each counts (n,), with its 95 % interval.

    The statistic may be an array; its interval is of each element.
    """
    counts = resampled(n, settings.replicates, settings.rng(*key)).astype(float)
    drawn = np.array([statistic(one) for one in counts])
    return (statistic(np.ones(n)), *interval(np.moveaxis(drawn, 0, -1)))


def slope(x: Floats, y: Floats) -> Any:
    """Slope of least squares of y (…, n) on x (n,)."""
    centred = x - x.mean()
    return y @ centred / (centred @ centred)


def clipped(ends: Sequence[Any], low: float, high: float) -> tuple[Any, ...]:
    """An estimate and its ends, within the range that its kind of number has."""
    return tuple(np.clip(end, low, high) for end in ends)
