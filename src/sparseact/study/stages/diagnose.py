"""diagnose: how much the actions of a log resemble each other."""

from __future__ import annotations

import numpy as np

from sparseact.coherence import exact_recovery_coefficient, mutual_coherence
from sparseact.design import KhatriRaoDesign
from sparseact.study.cell import Cell
from sparseact.study.stages.trial import replay
from sparseact.study.store import Arrays


def run(cell: Cell, *, log: Arrays) -> Arrays:
    """Coherence of the design on prefixes of a log, as the variables of a ``diagnosis`` dataset."""
    lengths = np.asarray(cell.n_rounds, dtype=np.int32)
    erc, mutual = np.empty((2, cell.trials, len(lengths)))
    copies = np.empty((cell.trials, len(lengths)), dtype=np.uint8)
    for trial in replay(cell, log, "diagnosed"):
        erc[trial.number] = exact_recovery_coefficient(trial.design, trial.support, lengths)
        mutual[trial.number] = mutual_coherence(trial.design, lengths)
        copies[trial.number] = [_has_copies(trial.design.head(n)) for n in lengths]
    return {"n_rounds": lengths, "erc": erc, "mutual_coherence": mutual, "has_copies": copies}


def _has_copies(design: KhatriRaoDesign) -> bool:
    """Whether two actions were used the same way in every round: the log cannot tell them apart."""
    used = np.ascontiguousarray(design.activations_of(np.arange(design.n_blocks)).T)
    return len({column.tobytes() for column in used}) < len(used)
