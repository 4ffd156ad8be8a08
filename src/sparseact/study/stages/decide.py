"""decide: regret of the decisions built on the refit."""

from __future__ import annotations

import numpy as np

from sparseact.inference import decide, refit
from sparseact.simulate import draw_states
from sparseact.study.cell import Cell
from sparseact.study.stages.trial import replay
from sparseact.study.store import Arrays


def run(cell: Cell, *, log: Arrays, recovery: Arrays, n_states: int, seed: int) -> Arrays:
    """Decisions on fresh latent states, as the variables of a ``decision`` dataset.

    After each number of rounds, and each step of the path: what the best action is worth in a
    state, less what the action decided on is worth. No action at all is worth 0. With a tail, all
    actions count for the best, and ``known_regret`` is what is lost by one who knows the weights of
    the k relevant actions exactly and of no other.
    """
    lengths, selected = recovery["n_rounds"], recovery["selected"]
    k = selected.shape[2]
    by_length = (cell.trials, len(lengths))
    mean_regret = np.empty((*by_length, k + 1))
    n_correct = np.zeros((*by_length, k + 1), dtype=np.int32)
    tail, optimal, bound = (np.empty(by_length) for _ in range(3))
    exceeded = np.empty(by_length, dtype=np.uint8)
    best_value, known_regret = np.empty((2, cell.trials))
    for trial in replay(cell, log, "decided"):
        number = cell.first + trial.number
        states = draw_states(cell.scenario, n_states, seed=seed, trial=number)
        norms = np.linalg.norm(states, axis=1)
        truth = np.vstack([trial.all_weights(), np.zeros(cell.scenario.latent_dim)])  # row -1: none
        best = np.maximum((states @ trial.effects().T).max(axis=1), 0.0)
        best_value[trial.number] = best.mean()
        known = np.maximum((states @ trial.weights.T).max(axis=1), 0.0)
        known_regret[trial.number] = np.mean(best - known)
        for i, n_rounds in enumerate(lengths):
            here = (trial.number, i)
            path = selected[here][selected[here] >= 0]
            right = np.isin(path, trial.support)
            for step in range(k + 1):
                chosen = path[:step]
                fit = refit(trial.design, trial.rewards, chosen, n_rounds)
                action = decide(fit.weights, chosen, states)
                regret = best - np.einsum("nd,nd->n", truth[action], states)
                mean_regret[here][step] = regret.mean()
                n_correct[here][step] = right[:step].sum()
            error = truth.copy()
            error[chosen] -= fit.weights
            ceiling = 2 * norms * np.linalg.norm(error, axis=1).max()
            tail[here] = np.quantile(regret, 0.95)
            # Equal values computed in two ways differ by rounding.
            optimal[here] = np.mean(regret <= 1e-12 * np.abs(best).max())
            bound[here] = ceiling.mean()
            exceeded[here] = (regret > ceiling * (1 + 1e-9) + 1e-12).any()
    found = {
        "n_rounds": lengths,
        "exact_recovery": recovery["exact_recovery"],
        "mean_regret": np.maximum(mean_regret, 0.0),
        "n_correct": n_correct,
        "regret_95": np.maximum(tail, 0.0),
        "optimal_share": optimal,
        "regret_bound": bound,
        "bound_exceeded": exceeded,
        "best_value": best_value,
    }
    if cell.scenario.tail != "none":
        found["known_regret"] = np.maximum(known_regret, 0.0)
    return found
