"""dense: estimates that use no sparsity."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from sparseact.study.cell import Cell
from sparseact.study.stages.trial import replay
from sparseact.study.store import Arrays


def run(cell: Cell, *, log: Arrays) -> Arrays:
    """Ridge and least squares on all actions, as the variables of a ``dense`` dataset.

    The ridge penalty is the best there is: σ² over the prior variance of a coordinate,
    k b²/(M d). Where all weights are normal (k = M) this is the posterior mean, and no method has
    a smaller expected squared error. Without enough rounds least squares is the smallest solution.
    """
    scenario = cell.scenario
    lengths = np.asarray(cell.n_rounds, dtype=np.int32)
    M, d = scenario.n_actions, scenario.latent_dim
    variance = scenario.sparsity * scenario.signal**2 / (M * d)
    penalty = scenario.noise_std**2 / variance
    ridge, squares = np.empty((2, cell.trials, len(lengths)))
    for trial in replay(cell, log, "fitted"):
        truth, psi = trial.all_weights().ravel(), trial.design.to_dense()
        grams, projections = trial.grams(lengths)
        for i, n in enumerate(lengths):
            solution = scipy.linalg.lstsq(psi[:n], trial.rewards[:n], lapack_driver="gelsy")[0]
            damped = grams[i] + penalty * np.eye(M * d)
            try:
                ridged = scipy.linalg.solve(damped, projections[i], assume_a="pos")
            except scipy.linalg.LinAlgError:  # so small a penalty is lost in rounding
                ridged = solution
            ridge[trial.number, i] = np.sum((ridged - truth) ** 2)
            squares[trial.number, i] = np.sum((solution - truth) ** 2)
    return {"n_rounds": lengths, "ridge_error": ridge, "least_squares_error": squares}
