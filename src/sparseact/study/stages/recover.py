"""recover: Block-OMP in every trial of a scenario, after every number of rounds."""

from __future__ import annotations

from typing import cast

import numpy as np

from sparseact.omp import block_omp_nested
from sparseact.rules import Selection
from sparseact.study.cell import Cell
from sparseact.study.stages.trial import recovered, replay
from sparseact.study.store import Arrays


def run(cell: Cell, *, log: Arrays) -> Arrays:
    """Block-OMP with k known on prefixes of a log, as the variables of a ``recovery`` dataset."""
    lengths = np.asarray(cell.n_rounds, dtype=np.int32)
    k, selection = cell.scenario.sparsity, cast(Selection, cell.selection)
    selected = np.empty((cell.trials, len(lengths), k), dtype=np.int32)
    least = np.empty((cell.trials, len(lengths)), dtype=np.int32)
    for trial in replay(cell, log, "recovered"):
        found = block_omp_nested(trial.design, trial.rewards, lengths, k, selection=selection)
        selected[trial.number] = found.support
        used = trial.design.activations_of(trial.support) != 0
        least[trial.number] = np.cumsum(used, axis=0)[lengths - 1].min(axis=1)
    return {
        "n_rounds": lengths,
        "least_coverage": least,
        **recovered(selected, log["support"][: cell.trials]),
    }
