"""rival: what any method chooses, Block-OMP or another, and what that is worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sparseact.design import Floats
from sparseact.group_lasso import GroupLassoPath, group_lasso_path
from sparseact.inference import decide, refit
from sparseact.omp import block_omp_nested
from sparseact.rivals import RIVALS
from sparseact.rules import RULES
from sparseact.simulate import draw_states
from sparseact.study.cell import ORACLE, Cell
from sparseact.study.stages.trial import Trial, recovered, replay
from sparseact.study.store import Arrays

# Supports that hold only between two penalties go unseen.
_PENALTIES = 200


def run(cell: Cell, *, log: Arrays, n_states: int, seed: int) -> Arrays:
    """The actions that the cell's method chooses, as the variables of a ``rival`` dataset.

    With every method but the oracle's: whether it came to rest, the squared error of least squares
    on the chosen actions, and the mean regret of the decisions built on that, on fresh latent
    states, the same for all methods.
    """
    lengths = np.asarray(cell.n_rounds, dtype=np.int32)
    k, oracle = cell.scenario.sparsity, cell.selection == ORACLE
    by_length = (cell.trials, len(lengths))
    selected = np.full((*by_length, k), -1, dtype=np.int32)
    converged = np.ones(by_length, dtype=np.uint8)
    error, regret = np.empty((2, *by_length))
    best_value = np.empty(cell.trials)
    for trial in replay(cell, log, "solved"):
        if cell.selection in RULES:
            found = block_omp_nested(
                trial.design, trial.rewards, lengths, k, selection=cell.selection
            )
            selected[trial.number] = found.support
        for i, n in enumerate(lengths if cell.selection not in RULES else ()):
            design, rewards = trial.design.head(n), trial.rewards[:n]
            if oracle:
                chosen = _best(design, rewards, trial)
            else:
                choice = RIVALS[cell.selection](design, rewards, k)
                chosen, converged[trial.number, i] = choice.support, choice.converged
            selected[trial.number, i, : len(chosen)] = chosen
        if not oracle:
            number = cell.first + trial.number
            states = draw_states(cell.scenario, n_states, seed=seed, trial=number)
            best = np.maximum((states @ trial.effects().T).max(axis=1), 0.0)
            best_value[trial.number] = best.mean()
            for i, n in enumerate(lengths):
                here = trial.number, i
                path = selected[here][selected[here] >= 0]
                error[here], regret[here] = _worth(trial, path, n, states, best)
    found_out = {"n_rounds": lengths, **recovered(selected, log["support"][: cell.trials])}
    if not oracle:
        found_out |= {
            "converged": converged,
            "squared_error": error,
            "mean_regret": np.maximum(regret, 0.0),
            "best_value": best_value,
        }
    return found_out


def _worth(
    trial: Trial, chosen: npt.NDArray[Any], n_rounds: int, states: Floats, best: Floats
) -> tuple[float, float]:
    """Squared error of the refit on the chosen actions, and mean regret of its decisions."""
    truth = trial.all_weights()
    fit = refit(trial.design, trial.rewards, chosen, n_rounds)
    estimate = np.zeros_like(truth)
    estimate[chosen] = fit.weights
    action = decide(fit.weights, chosen, states)
    gained = np.einsum("nd,nd->n", np.vstack([truth, np.zeros(truth.shape[1])])[action], states)
    return float(np.sum((estimate - truth) ** 2)), float(np.mean(best - gained))


def _best(design: Any, rewards: Floats, trial: Trial) -> npt.NDArray[Any]:
    """What the group lasso chooses at the most favourable penalty there is.

    Where any penalty on the path selects exactly the relevant actions, that is what counts; else
    the first k actions to enter.
    """
    k = len(trial.support)
    path = group_lasso_path(
        design,
        rewards,
        n_penalties=_PENALTIES,
        max_active=2 * k,  # actions may leave the path again
        until=trial.support,
    )
    return trial.support if path.selects(trial.support) else _first(path, k)


def _first(path: GroupLassoPath, k: int) -> npt.NDArray[Any]:
    """The first k actions to enter; the larger first among those that enter together."""
    ever = path.active.any(axis=0)
    entered = np.where(ever, path.active.argmax(axis=0), len(path.penalties))
    size = np.linalg.norm(path.weights, axis=2)
    there = size[np.minimum(entered, len(path.penalties) - 1), np.arange(len(entered))]
    return np.lexsort((-there, entered))[: min(k, int(ever.sum()))]
