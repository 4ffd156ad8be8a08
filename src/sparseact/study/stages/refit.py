"""refit: error and intervals of least squares on the selected actions."""

from __future__ import annotations

import numpy as np

from sparseact.inference import least_eigenvalue, oracle_error, refit
from sparseact.study.cell import Cell
from sparseact.study.stages.trial import replay
from sparseact.study.store import Arrays


def run(cell: Cell, *, log: Arrays, recovery: Arrays) -> Arrays:
    """Refits on the selected actions, as the variables of a ``refit`` dataset.

    With a tail, ``k_term_error`` is the expected squared error of one who knows which k effects are
    the largest: the energy of all others, ``‖W_tail‖²``, and the error of least squares on the
    support, ``‖Ψ_S⁺ Ψ w_tail‖² + σ² tr(G_S⁻¹)``, given the log's design and the tail.
    """
    lengths, selected = recovery["n_rounds"], recovery["selected"]
    numbers = {
        name: np.empty((cell.trials, len(lengths)))
        for name in ("squared_error", "oracle_error", "least_eigenvalue")
    }
    counts = {
        name: np.zeros((cell.trials, len(lengths)), dtype=np.int32)
        for name in ("n_covered", "n_intervals")
    }
    if cell.scenario.tail != "none":
        numbers["k_term_error"] = np.empty((cell.trials, len(lengths)))
    for trial in replay(cell, log, "refitted"):
        truth = trial.all_weights()
        if trial.tail is not None:
            small = trial.design.matvec(trial.tail.ravel())
        for i, n_rounds in enumerate(lengths):
            here = (trial.number, i)
            chosen = selected[here][selected[here] >= 0]
            fit = refit(trial.design, trial.rewards, chosen, n_rounds)
            estimate = np.zeros_like(truth)
            estimate[chosen] = fit.weights
            numbers["squared_error"][here] = np.sum((estimate - truth) ** 2)
            numbers["oracle_error"][here] = oracle_error(
                trial.design, trial.support, cell.scenario.noise_std, n_rounds
            )
            numbers["least_eigenvalue"][here] = least_eigenvalue(
                trial.design, trial.support, n_rounds
            )
            if trial.tail is not None:
                astray = refit(trial.design, small, trial.support, n_rounds).weights
                numbers["k_term_error"][here] = (
                    np.sum(trial.tail**2) + np.sum(astray**2) + numbers["oracle_error"][here]
                )
            if np.isfinite(fit.standard_errors).all():
                low, high = fit.interval(0.95)
                inside = (low <= truth[chosen]) & (truth[chosen] <= high)
                counts["n_covered"][here], counts["n_intervals"][here] = inside.sum(), inside.size
    for name in {"oracle_error", "k_term_error"} & numbers.keys():
        numbers[name][np.isinf(numbers[name])] = np.nan
    return {
        "n_rounds": lengths,
        "exact_recovery": recovery["exact_recovery"],
        **numbers,
        **counts,
    }
