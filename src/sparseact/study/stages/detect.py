"""detect: whether a scarce action is told from one without effect."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from sparseact.bounds import le_cam_error
from sparseact.omp import block_omp_nested
from sparseact.rules import Selection
from sparseact.study.cell import Cell
from sparseact.study.stages.trial import replay
from sparseact.study.store import Arrays


def run(cell: Cell, *, log: Arrays) -> Arrays:
    """Both errors of Block-OMP with k known, as the variables of a ``detection`` dataset.

    Each trial is seen twice: as it is, where to leave the scarce action out is a miss; and with
    the action's effect taken out of the rewards, where to select it is a false alarm. Le Cam's
    bound is on the average of the two.
    """
    lengths = np.asarray(cell.n_rounds, dtype=np.int32)
    selection = cast(Selection, cell.selection)
    shape = (cell.trials, len(lengths))
    missed, alarmed = np.empty(shape, dtype=np.uint8), np.empty(shape, dtype=np.uint8)
    floor = np.empty(shape)
    for trial in replay(cell, log, "tested"):
        assert trial.scarce is not None
        effect = trial.design.blocks([trial.scarce]) @ trial.all_weights()[trial.scarce]

        def selects(rewards: npt.NDArray[np.float64], trial: Any = trial) -> Any:
            found = block_omp_nested(
                trial.design,
                rewards,
                lengths,
                cell.scenario.sparsity,
                selection=selection,
            )
            return (found.support == trial.scarce).any(axis=1)

        missed[trial.number] = ~selects(trial.rewards)
        alarmed[trial.number] = selects(trial.rewards - effect)
        norms = np.sqrt(np.cumsum(effect**2)[lengths - 1])
        floor[trial.number] = le_cam_error(norms, cell.scenario.noise_std)
    return {
        "n_rounds": lengths,
        "missed": missed,
        "false_alarm": alarmed,
        "least_error": floor,
    }
