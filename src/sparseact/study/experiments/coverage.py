"""`coverage`: errors about one scarce action against the number of rounds it was used in."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from sparseact.curves import interpolated
from sparseact.design import Floats, Ints
from sparseact.study.cell import Cell
from sparseact.study.experiments.grid import (
    Read,
    Settings,
    bootstrap,
    clipped,
    empty,
    mean,
    put,
    share,
)

# Two-point error at which an action counts as told from nothing.
ERROR = 0.1


def collect(cells: Sequence[Cell], read: Read, settings: Settings) -> xr.Dataset:
    """One dataset over the scarce action's coverage, the design and the selection rule.

    Le Cam's bound is on the average of miss and false alarm, so that is what is held against it.
    """
    ds = empty(
        "coverage",
        {
            "design": list(dict.fromkeys(cell.label for cell in cells)),
            "selection": list(dict.fromkeys(cell.selection for cell in cells)),
            "coverage": sorted(
                {n - cell.scenario.scarce_after for cell in cells for n in cell.n_rounds}
            ),
        },
    )
    for cell in cells:
        found = read("detect", cell)
        used = found["n_rounds"] - cell.scenario.scarce_after
        there = {"design": cell.label, "coverage": used}
        at = {**there, "selection": cell.selection}
        missed, alarmed = (found[name].astype(float) for name in ("missed", "false_alarm"))
        errors, floors = (missed + alarmed) / 2, found["least_error"]
        ds["n_trials"].loc[{"design": cell.label, "selection": cell.selection}] = len(missed)
        put(ds, "miss_probability", at, share(missed))
        put(ds, "false_alarm_probability", at, share(alarmed))
        put(ds, "two_point_error", at, clipped(mean(errors), 0, 1))
        put(ds, "le_cam_bound", there, clipped(mean(floors), 0, 0.5))
        put(
            ds,
            "excess_error",
            {"design": cell.label, "selection": cell.selection},
            mean((errors - floors).mean(axis=1)),
        )
        for name, values, place in (
            ("test_coverage", errors, {"selection": cell.selection}),
            ("least_test_coverage", floors, {}),
        ):

            def statistic(counts: Floats, values: Floats = values, used: Ints = used) -> float:
                return _needed(used, counts @ values / counts.sum())

            ends = bootstrap(statistic, len(missed), settings, cell.name, name)
            put(ds, name, {"design": cell.label, **place}, ends)
    return ds


def _needed(used: Ints, errors: Floats) -> float:
    """Coverage at which the error has fallen to ``ERROR``."""
    tried = used > 0
    return float(interpolated(used[tried], 1 - errors[tried], [1 - ERROR])[0])
