"""`decision_regret`: what decisions built on the refit lose, against T and along the path."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from sparseact.design import Floats
from sparseact.study.cell import Cell
from sparseact.study.experiments.grid import (
    Read,
    Settings,
    bootstrap,
    clipped,
    empty,
    mean,
    put,
    rounds_needed,
    share,
    take,
)


def collect(cells: Sequence[Cell], read: Read, settings: Settings) -> xr.Dataset:
    """One dataset over T and the steps of the path, from the only cell there is.

    Regret is relative where it is divided by what the best action is worth on average. The share
    gained after a step is 1 less the relative regret.
    """
    (cell,) = cells
    decision = read("decide", cell)
    n_rounds, k = decision["n_rounds"], cell.scenario.sparsity
    ds = empty(
        "decision_regret",
        {"n_rounds": n_rounds, "step": np.arange(k + 1), "quantile": settings.quantiles},
    )
    exact = decision["exact_recovery"].astype(float)
    regret, best = decision["mean_regret"], decision["best_value"]
    correct = decision["n_correct"] / np.maximum(np.arange(k + 1), 1)
    ds["n_trials"][...] = len(exact)
    put(ds, "recovery_probability", {}, share(exact))
    needed, _ = rounds_needed(cell, n_rounds, exact, settings)
    put(ds, "rounds_needed", {}, needed)
    put(ds, "mean_regret", {}, clipped(mean(regret), 0, np.inf))
    put(ds, "best_value", {}, clipped(mean(best), 0, np.inf))
    put(ds, "regret_95", {}, clipped(mean(decision["regret_95"]), 0, np.inf))
    put(ds, "regret_bound", {}, clipped(mean(decision["regret_bound"]), 0, np.inf))
    put(ds, "optimal_share", {}, clipped(mean(decision["optimal_share"]), 0, 1))
    put(ds, "bound_exceeded_share", {}, share(decision["bound_exceeded"]))
    put(ds, "step_precision", {}, clipped(mean(correct), 0, 1))

    def gained(counts: Floats) -> Floats:
        return 1 - np.tensordot(counts, regret, 1) / (counts @ best)

    put(ds, "gained_share", {}, bootstrap(gained, len(exact), settings, "gained"))
    last = {"n_rounds": n_rounds[-1]}
    put(ds, "final_optimal_share", {}, [end.sel(last) for end in take(ds, "optimal_share")])
    put(ds, "final_bound_exceeded", {}, [end.sel(last) for end in take(ds, "bound_exceeded_share")])
    half = k // 2

    for q, at in zip(settings.quantiles, needed[0], strict=True):
        if not np.isfinite(at):
            continue

        def there(values: Floats, at: float = at) -> Floats:
            return np.array([np.interp(np.log(at), np.log(n_rounds), one) for one in values.T])

        def at_threshold(counts: Floats) -> Floats:
            return there(gained(counts))

        def precision(counts: Floats) -> Floats:
            return there(np.tensordot(counts / counts.sum(), correct, 1))

        ends = bootstrap(at_threshold, len(exact), settings, "threshold", f"{q}")
        put(ds, "gained_at_recovery", {"quantile": q}, [end[k] for end in ends])
        put(ds, "gained_halfway", {"quantile": q}, [end[half] for end in ends])
        ends = bootstrap(precision, len(exact), settings, "precision", f"{q}")
        at_half = clipped([end[half] for end in ends], 0, 1)
        put(ds, "precision_halfway", {"quantile": q}, at_half)
    return ds
