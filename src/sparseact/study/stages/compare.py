"""compare: what a method chooses, Block-OMP or another, and what that is worth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sparseact.design import Floats
from sparseact.inference import decide, refit
from sparseact.omp import block_omp_nested
from sparseact.rivals import RIVALS, Chosen
from sparseact.rules import RULES
from sparseact.simulate import draw_states
from sparseact.study.cell import Cell
from sparseact.study.stages.trial import Trial, recovered, replay
from sparseact.study.store import Arrays


def run(cell: Cell, *, log: Arrays, n_states: int, seed: int) -> Arrays:
    """The actions that the cell's method chooses, as the variables of a ``compared`` dataset.

    With whether it came to rest, the squared error of least squares on the chosen actions, and the
    mean regret of the decisions built on that, on fresh latent states, the same for all methods.
    """
    lengths = np.asarray(cell.n_rounds, dtype=np.int32)
    by_length = (cell.trials, len(lengths))
    selected = np.full((*by_length, cell.scenario.sparsity), -1, dtype=np.int32)
    converged = np.empty(by_length, dtype=np.uint8)
    error, regret = np.empty((2, *by_length))
    best_value = np.empty(cell.trials)
    for trial in replay(cell, log, "compared"):
        states = draw_states(cell.scenario, n_states, seed=seed, trial=cell.first + trial.number)
        best = np.maximum((states @ trial.effects().T).max(axis=1), 0.0)
        best_value[trial.number] = best.mean()
        for i, chosen in enumerate(_choices(cell, trial, lengths)):
            at = trial.number, i
            selected[at][: len(chosen.support)] = chosen.support
            converged[at] = chosen.converged
            error[at], regret[at] = _worth(trial, chosen.support, lengths[i], states, best)
    return {
        "n_rounds": lengths,
        **recovered(selected, log["support"][: cell.trials]),
        "converged": converged,
        "squared_error": error,
        "mean_regret": np.maximum(regret, 0.0),
        "best_value": best_value,
    }


def _choices(cell: Cell, trial: Trial, lengths: npt.NDArray[np.int32]) -> list[Chosen]:
    """What the method makes of each prefix of a trial."""
    k, method = cell.scenario.sparsity, cell.selection
    if method in RULES:
        found = block_omp_nested(trial.design, trial.rewards, lengths, k, selection=method)
        return [Chosen(path[path >= 0], True) for path in found.support]
    choose = RIVALS[method]
    return [choose(trial.design.head(n), trial.rewards[:n], k) for n in lengths]


def _worth(
    trial: Trial, chosen: npt.NDArray[np.intp], n_rounds: int, states: Floats, best: Floats
) -> tuple[float, float]:
    """Squared error of the refit on the chosen actions, and mean regret of its decisions."""
    truth = trial.all_weights()
    weights = refit(trial.design, trial.rewards, chosen, n_rounds).weights
    estimate = np.zeros_like(truth)
    estimate[chosen] = weights
    action = decide(weights, chosen, states)
    gained = np.einsum("nd,nd->n", np.vstack([truth, np.zeros(truth.shape[1])])[action], states)
    return float(np.sum((estimate - truth) ** 2)), float(np.mean(best - gained))
