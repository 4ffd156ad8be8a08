"""`stopping`: how well the stopping rules replace a known k, and what that costs in rounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from sparseact.design import Floats
from sparseact.study.cell import Cell
from sparseact.study.experiments.grid import (
    Ends,
    Read,
    Settings,
    at_least,
    clipped,
    empty,
    factor_over,
    mean,
    put,
    rounds_needed,
    share,
)

# What the others are compared with; it comes first.
KNOWN = "k known"


def collect(cells: Sequence[Cell], read: Read, settings: Settings) -> xr.Dataset:
    """One dataset over the design, b/σ, the stopping rule and T.

    The price of not knowing k is a factor in the rounds needed, or a least factor where a
    probability is not reached. All rules choose on the same paths,
    and replicates of the bootstrap are the same trials for all, so that it is a paired comparison.
    """
    left = {cell.name: read("stop", cell) for cell in cells}
    ratio = {cell.name: cell.scenario.signal / cell.scenario.noise_std for cell in cells}
    ds = empty(
        "stopping",
        {
            "design": list(dict.fromkeys(cell.label for cell in cells)),
            "signal_to_noise": sorted({*ratio.values()}),
            "stopping": [str(one) for one in left[cells[0].name]["stopping"]],
            "n_rounds": sorted({n for cell in cells for n in cell.n_rounds}),
            "quantile": settings.quantiles,
        },
    )
    for cell in cells:
        stopped, k = left[cell.name], cell.scenario.sparsity
        place = {"design": cell.label, "signal_to_noise": ratio[cell.name]}
        ds["n_trials"].loc[place] = cell.trials
        needed: dict[str, tuple[Ends, Floats]] = {}
        for i, rule in enumerate(str(one) for one in stopped["stopping"]):
            selected, correct = (stopped[name][:, :, i] for name in ("n_selected", "n_correct"))
            exact = ((correct == k) & (selected == k)).astype(float)
            there = {**place, "stopping": rule}
            at = {**there, "n_rounds": stopped["n_rounds"]}
            put(ds, "recovery_probability", at, share(exact))
            put(ds, "false_positives", at, clipped(mean(selected - correct), 0, np.inf))
            put(ds, "false_negatives", at, clipped(mean(k - correct), 0, k))
            ends, drawn = rounds_needed(cell, stopped["n_rounds"], exact, settings)
            put(ds, "rounds_needed", there, ends)
            put(ds, "final_recovery_probability", there, [end[-1] for end in share(exact)])
            needed[rule] = at_least(ends, exact, stopped["n_rounds"], settings), drawn
            put(ds, "price", there, factor_over(needed[rule], needed[KNOWN]))
    return ds
