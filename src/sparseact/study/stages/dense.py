"""dense: estimates that use no sparsity."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from sparseact.design import Floats
from sparseact.study.cell import Cell
from sparseact.study.stages.trial import replay
from sparseact.study.store import Arrays


def run(cell: Cell, *, log: Arrays) -> Arrays:
    """Ridge and least squares on all actions, as the variables of a ``dense`` dataset.

    The ridge penalty is the best there is: σ² over the prior variance of a coordinate,
    k b²/(M d), times 1 + τ with a tail. Where all weights are normal (k = M) this is the posterior
    mean, and no method has a smaller expected squared error; elsewhere none that is linear in the
    rewards has. Without enough rounds least squares is the smallest solution; with a tail it is
    left out.
    """
    scenario = cell.scenario
    lengths = np.asarray(cell.n_rounds, dtype=np.int32)
    M, d = scenario.n_actions, scenario.latent_dim
    variance = scenario.sparsity * scenario.signal**2 * (1 + scenario.tail_energy) / (M * d)
    penalty = scenario.noise_std**2 / variance
    ridge, squares = np.empty((2, cell.trials, len(lengths)))
    for trial in replay(cell, log, "fitted"):
        truth, psi = trial.all_weights().ravel(), trial.design.to_dense()
        grams, projections = trial.grams(lengths)

        def smallest(n: int, psi: Floats = psi, rewards: Floats = trial.rewards) -> Floats:
            solution: Floats = scipy.linalg.lstsq(psi[:n], rewards[:n], lapack_driver="gelsy")[0]
            return solution

        for i, n in enumerate(lengths):
            damped = grams[i] + penalty * np.eye(M * d)
            try:
                ridged = scipy.linalg.solve(damped, projections[i], assume_a="pos")
            except scipy.linalg.LinAlgError:  # so small a penalty is lost in rounding
                ridged = smallest(n)
            ridge[trial.number, i] = np.sum((ridged - truth) ** 2)
            if scenario.tail == "none":
                squares[trial.number, i] = np.sum((smallest(n) - truth) ** 2)
    found: Arrays = {"n_rounds": lengths, "ridge_error": ridge}
    if scenario.tail == "none":
        found["least_squares_error"] = squares
    return found
