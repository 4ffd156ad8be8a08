"""What the results must be whatever the data say: tests on the datasets, run with every study.

Each check is a sentence and a function that gives the places where it does not hold. Differences
are held against four standard errors, read off the 95 % intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from sparseact.study.variables import KINDS

# Chance differences beyond four standard errors come up once in 16,000.
_ERRORS = 4.0
# Share of recoveries from which on an error ratio is one of the oracle's own kind.
_CERTAIN = 0.99

Check = Callable[[xr.Dataset], xr.DataArray]


class CheckError(ValueError):
    """Results break a rule; the message names the rule and the place."""


def check(name: str, ds: xr.Dataset) -> list[str]:
    """Hold an experiment's dataset against its checks.

    Returns
    -------
    list of str
        The checks made, in words.

    Raises
    ------
    CheckError
        If one fails, with the first place at which it does.
    """
    made = []
    for sentence, broken in _checks(name):
        places = broken(ds)
        if bool(places.any()):
            raise CheckError(f"it must be that {sentence}, and it is not at {_first(places)}")
        made.append(sentence)
    return made


def _first(places: xr.DataArray) -> str:
    if not places.dims:
        return "all of it"
    at = np.unravel_index(int(places.values.argmax()), places.shape)
    labels = {
        dim: places[dim].values[i].item() if dim in places.coords else int(i)
        for dim, i in zip(places.dims, at, strict=True)
    }
    return ", ".join(f"{dim}={value}" for dim, value in labels.items())


def _checks(name: str) -> Iterator[tuple[str, Check]]:
    for variable in KINDS[name].variables:
        if f"{variable}_low" in KINDS[name].variables:
            yield f"{variable} is in or near its interval", _within(variable)
    yield from _CHECKS.get(name, {}).items()


def _within(name: str) -> Check:
    def broken(ds: xr.Dataset) -> xr.DataArray:
        value, low, high = ds[name], ds[f"{name}_low"], ds[f"{name}_high"]
        # Bootstrap intervals need not hold the estimate, but are never far from it.
        room = 1e-9 * (1 + abs(value)) + (high - low)
        return (low > high) | (value < low - room) | (value > high + room)

    return broken


def _error(ds: xr.Dataset, name: str) -> xr.DataArray:
    """Standard error, from the wider side of the interval."""
    value, low, high = ds[name], ds[f"{name}_low"], ds[f"{name}_high"]
    up, down = high - value, value - low
    return up.where(up > down, down) / 1.96


def _rises(name: str, dim: str, sign: int = 1, **place: Any) -> Check:
    """Never falls below its highest so far (``sign`` -1: never rises above its lowest so far)."""

    def broken(ds: xr.Dataset) -> xr.DataArray:
        part = ds.sel(place) if place else ds
        value = sign * part[name]
        # NaN where not tried; those places neither raise the mark nor are held against it.
        best = value.copy(data=np.fmax.accumulate(value.values, axis=value.get_axis_num(dim)))
        return (best - value) > _ERRORS * np.sqrt(2) * _error(part, name) + 1e-9

    return broken


def _below(lower: str, upper: str) -> Check:
    def broken(ds: xr.Dataset) -> xr.DataArray:
        errors = [_error(ds, one) for one in (lower, upper) if f"{one}_low" in ds]
        allowed = _ERRORS * np.sqrt(sum(error**2 for error in errors))
        return ds[lower] - ds[upper] > allowed + 1e-9

    return broken


def _near(name: str, wanted: float, slack: float, certain: str | None = None) -> Check:
    def broken(ds: xr.Dataset) -> xr.DataArray:
        off = abs(ds[name] - wanted) > _ERRORS * _error(ds, name) + slack
        return off if certain is None else off & (ds[certain] >= _CERTAIN)

    return broken


def _error_ratio(ds: xr.Dataset) -> xr.DataArray:
    certain = ds["recovery_probability"].sel(condition_number=1.0) >= _CERTAIN
    name = "error_ratio_exact"
    return (abs(ds[name] - 1) > _ERRORS * _error(ds, name) + 0.02) & certain


def _estimators(worse: str, better: str, dense_only: bool) -> Check:
    def broken(ds: xr.Dataset) -> xr.DataArray:
        value, error = ds["relative_error"], _error(ds, "relative_error")
        allowed = _ERRORS * np.hypot(error.sel(estimator=better), error.sel(estimator=worse))
        excess = value.sel(estimator=better) - value.sel(estimator=worse)
        over = excess > allowed + 1e-9
        return over & (ds["sparsity"] == ds["n_actions"]) if dense_only else over

    return broken


def _coherent_recovery(ds: xr.Dataset) -> xr.DataArray:
    """Only where the coefficient promises recovery: beyond 1 more rounds make it worse."""
    promised = (ds["erc_high"] < 1) | ~ds["structure"].str.startswith("aggregate")
    return _rises("recovery_probability", "n_rounds")(ds) & promised


def _robust_recovery(ds: xr.Dataset) -> xr.DataArray:
    """But where a bounded error may put a decoy before a relevant action for good."""
    return _rises("recovery_probability", "n_rounds")(ds) & (ds["departure"] != "bounded")


def _ideal_coverage(ds: xr.Dataset) -> xr.DataArray:
    ideal = ds.sel(departure="none", departure_size=0.0)
    return _near("interval_coverage", 0.95, 0.01, "recovery_probability")(ideal)


def _same_in_law(ds: xr.Dataset) -> xr.DataArray:
    """A log that always explores is a uniform one, where both were tried."""
    name = "recovery_probability"
    policies = {"uniform": 0.0, "greedy": 1.0}
    if not {*policies} <= {*ds["policy"].values} or 1.0 not in ds["policy_level"]:
        return xr.zeros_like(ds["design"], dtype=bool)
    one, other = (ds.sel(policy=one, policy_level=level) for one, level in policies.items())
    allowed = _ERRORS * np.hypot(_error(one, name), _error(other, name))
    return abs(one[name] - other[name]) > allowed + 1e-9


def _best_subset_recovery(ds: xr.Dataset) -> xr.DataArray:
    """Greedy and convex methods may prefer a decoy the more, the longer the log."""
    return _rises("recovery_probability", "n_rounds")(ds) & (ds["method"] == "best_subset")


def _first_of_all(ds: xr.Dataset) -> xr.DataArray:
    """What breaks first is named first, and breaks at the least size."""
    least = ds["breaking_size"].min("outcome")
    named = ds["first_broken"].astype(str).str.split("split", " or ").isel(split=0, drop=True)
    of_named = ds["breaking_size"].where(ds["outcome"] == named).min("outcome")
    return least.notnull() & ~(of_named <= least)


_CHECKS: Mapping[str, Mapping[str, Check]] = {
    "phase_transition": {
        "recovery rises with rounds": _rises("recovery_probability", "n_rounds"),
        "needed rounds rise with the quantile": _rises("rounds_needed", "quantile"),
    },
    "scaling_law": {},
    "signal_strength": {
        "recovery rises with rounds": _rises("recovery_probability", "n_rounds"),
        "needed rounds fall with the signal": _rises("rounds_needed", "signal_to_noise", -1),
    },
    "coverage": {
        "no rule beats Le Cam's bound": _below("le_cam_bound", "two_point_error"),
        "misses fall with coverage": _rises("miss_probability", "coverage", -1),
    },
    "coherence": {
        "recovery rises with rounds, while μ_S is below 1": _coherent_recovery,
        "the exact-recovery coefficient falls with rounds": _rises("erc", "n_rounds", -1),
    },
    "refit_error": {
        "given exact recovery, the error is the oracle's": _error_ratio,
        "intervals cover as they say, where recovery is certain": _near(
            "interval_coverage", 0.95, 0.01, "recovery_probability"
        ),
    },
    "decision_regret": {
        "no regret exceeds its bound": lambda ds: ds["bound_exceeded_share"] > 0,
        "regret falls with rounds": _rises("mean_regret", "n_rounds", -1, step=slice(1, None)),
    },
    "logging_policy": {
        "recovery from a uniform log rises with rounds": _rises(
            "recovery_probability", "n_rounds", policy="uniform"
        ),
        "coverage rises with rounds": _rises("median_least_coverage", "n_rounds"),
        "a log that always explores is a uniform one": _same_in_law,
    },
    "lower_bounds": {
        "Fano's bound is below the Bayes-optimal error": _below(
            "fano_bound", "bayes_error_probability"
        ),
        "greedy does not beat the Bayes-optimal error": _below(
            "bayes_error_probability", "greedy_error_probability"
        ),
        "the posterior is calibrated": _below("bayes_error_probability", "map_error_probability"),
        "the posterior is not overconfident": _below(
            "map_error_probability", "bayes_error_probability"
        ),
    },
    "sparsity_necessity": {
        "the best ridge is no worse than least squares": _estimators(
            "least_squares", "ridge", dense_only=False
        ),
        "where all actions matter, nothing beats the posterior mean": _estimators(
            "block_omp", "ridge", dense_only=True
        ),
    },
    "stopping": {
        "where k is known, recovery rises with rounds": _rises(
            "recovery_probability", "n_rounds", stopping="k known"
        ),
        "where k is known, as many are missed as are wrong": lambda ds: (
            abs(ds["false_positives"] - ds["false_negatives"]).sel(stopping="k known") > 1e-9
        ),
    },
    "dynamic_actions": {
        "discovery rises with rounds since arrival": _rises(
            "discovery_probability", "since_arrival"
        ),
        "needed rounds rise with the quantile": _rises("discovery_rounds", "quantile"),
        "weights are those from scratch, to rounding": lambda ds: ds["weight_difference"] > 1e-6,
    },
    "robustness": {
        "recovery rises with rounds, but under a bounded error": _robust_recovery,
        "intervals cover as they say, where nothing departs": _ideal_coverage,
        "needed rounds rise with the quantile": _rises("rounds_needed", "quantile"),
    },
    "approximate_sparsity": {
        "recovery rises with rounds": _rises("recovery_probability", "n_rounds"),
        "the share of large effects found rises with rounds": _rises("found_share", "n_rounds"),
        "needed rounds rise with the tail": _rises("rounds_needed", "tail_energy"),
        "regret falls with rounds": _rises("relative_regret", "n_rounds", -1),
    },
    "methods": {
        "recovery by best subset rises with rounds": _best_subset_recovery,
        "needed rounds rise with the quantile": _rises("rounds_needed", "quantile"),
        "F1 is no less than exact recovery": _below("recovery_probability", "f1"),
    },
    "tool_catalogue": {
        "a larger catalogue keeps no less": _rises("kept_share", "catalogue_size"),
    },
    "beyond": {
        "sizes ascend with the grade": lambda ds: ds["departure_size"].diff("grade") <= 0,
        "what is named first breaks at the least size": _first_of_all,
        "what breaks has been measured": lambda ds: (
            ds["breaking_size"].notnull() & (ds["is_measured"] == 0)
        ),
    },
}
