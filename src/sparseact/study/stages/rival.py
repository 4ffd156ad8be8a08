"""rival: the same recovery by the group lasso, the convex rival of Block-OMP."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sparseact.group_lasso import GroupLassoPath, group_lasso_path
from sparseact.study.cell import Cell
from sparseact.study.stages.trial import recovered, replay
from sparseact.study.store import Arrays

# Supports that hold only between two penalties go unseen.
_PENALTIES = 200


def run(cell: Cell, *, log: Arrays) -> Arrays:
    """The group lasso at its best penalty, as the variables of a ``rival`` dataset.

    The penalty is the most favourable there is: where any on the path selects exactly the relevant
    actions, that is what counts; else the first k actions to enter.
    """
    lengths = np.asarray(cell.n_rounds, dtype=np.int32)
    k = cell.scenario.sparsity
    selected = np.full((cell.trials, len(lengths), k), -1, dtype=np.int32)
    for trial in replay(cell, log, "solved"):
        for i, n in enumerate(lengths):
            path = group_lasso_path(
                trial.design.head(n),
                trial.rewards[:n],
                n_penalties=_PENALTIES,
                max_active=2 * k,  # actions may leave the path again
                until=trial.support,
            )
            found = trial.support if path.selects(trial.support) else _first(path, k)
            selected[trial.number, i, : len(found)] = found
    return {"n_rounds": lengths, **recovered(selected, log["support"][: cell.trials])}


def _first(path: GroupLassoPath, k: int) -> npt.NDArray[Any]:
    """The first k actions to enter; the larger first among those that enter together."""
    ever = path.active.any(axis=0)
    entered = np.where(ever, path.active.argmax(axis=0), len(path.penalties))
    size = np.linalg.norm(path.weights, axis=2)
    there = size[np.minimum(entered, len(path.penalties) - 1), np.arange(len(entered))]
    return np.lexsort((-there, entered))[: min(k, int(ever.sum()))]
