"""follow: a log that grows, solved after every piece, incrementally and from scratch."""

from __future__ import annotations

from typing import cast

import numpy as np

from sparseact.design import Floats
from sparseact.omp import BlockOMPResult, block_omp
from sparseact.rules import Selection
from sparseact.stream import Stream
from sparseact.study.cell import Cell
from sparseact.study.stages.trial import replay
from sparseact.study.store import Arrays


def run(cell: Cell, *, log: Arrays) -> Arrays:
    """A stream of each trial's rounds, as the variables of a ``followed`` dataset.

    The pieces lie between the cell's numbers of rounds. ``k`` is known: until the late actions
    appear, that is k - 1, for the newcomer cannot be selected, and exact recovery is of the others.
    Where all actions are there from the start, the first relevant one stands for the newcomer.

    Counted are rounds that are read: by the stream every new one, and all so far for each look that
    it takes back; from scratch all so far for every solve, however often a solve goes through them.
    """
    lengths = np.asarray(cell.n_rounds, dtype=np.int32)
    arrival, selection = cell.scenario.arrives_after, cast(Selection, cell.selection)
    shape = (cell.trials, len(lengths))
    exact, discovered, same = (np.empty(shape, dtype=np.uint8) for _ in range(3))
    difference, read = np.empty(shape), np.empty(shape, dtype=np.int64)
    for trial in replay(cell, log, "followed"):
        stream, start, so_far = Stream(selection), 0, 0
        newcomer = int(trial.support[0]) if trial.newcomer is None else trial.newcomer
        for i, n in enumerate(lengths.tolist()):
            stream.add(trial.design.rounds(slice(start, n)), trial.rewards[start:n])
            there = {*trial.support.tolist()} - ({newcomer} if n <= arrival else set())
            looks = stream.n_looks
            found = stream.solve(len(there))
            so_far += n - start + (stream.n_looks - looks) * n
            anew = block_omp(
                trial.design.head(n), trial.rewards[:n], len(there), selection=selection
            )
            chosen, start = {*found.support.tolist()}, n
            weights, wanted = (_weights(one, trial.design.n_blocks) for one in (found, anew))
            at, largest = (trial.number, i), np.abs(wanted).max()
            exact[at] = chosen == there
            discovered[at] = newcomer in chosen
            same[at] = chosen == {*anew.support.tolist()}
            difference[at] = np.abs(weights - wanted).max() / (largest or 1.0)
            read[at] = so_far
    return {
        "n_rounds": lengths,
        "exact_recovery": exact,
        "newcomer_found": discovered,
        "same_support": same,
        "weight_difference": difference,
        "rounds_read": read,
        "rounds_read_anew": np.broadcast_to(np.cumsum(lengths, dtype=np.int64), shape),
    }


def _weights(found: BlockOMPResult, n_actions: int) -> Floats:
    weights = np.zeros((n_actions, found.weights.shape[1]))
    weights[found.support] = found.weights
    return weights
