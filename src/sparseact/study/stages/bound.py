"""bound: the best that any method could do in the Gaussian ensemble."""

from __future__ import annotations

import numpy as np

from sparseact import bounds
from sparseact.study.cell import Cell
from sparseact.study.stages.trial import replay
from sparseact.study.store import Arrays


def run(cell: Cell, *, log: Arrays) -> Arrays:
    """Posterior of the supports and Fano's bound, as the variables of a ``bound`` dataset.

    Raises
    ------
    ValueError
        If the weights are not Gaussian: the posterior would be another one.
    """
    scenario = cell.scenario
    if scenario.weights != "gaussian":
        raise ValueError(f"{scenario.name}: lower bounds need weights 'gaussian'")
    lengths = np.asarray(cell.n_rounds, dtype=np.int32)
    supports = bounds.enumerate_supports(scenario.n_actions, scenario.sparsity)
    d, variance = scenario.latent_dim, scenario.signal**2 / scenario.latent_dim
    shape = (cell.trials, len(lengths))
    stated, information = np.empty(shape), np.empty(shape)
    right = np.empty(shape, dtype=np.uint8)
    for trial in replay(cell, log, "bounded"):
        gram, projection = trial.grams(lengths)
        evidence = bounds.support_evidence(
            gram,
            projection,
            supports,
            block_size=d,
            prior_variance=variance,
            noise_std=scenario.noise_std,
        )
        posterior = bounds.posterior(evidence.log_evidence)
        likeliest = supports[posterior.argmax(axis=1)]
        stated[trial.number] = posterior.max(axis=1)
        right[trial.number] = (likeliest == np.sort(trial.support)).all(axis=1)
        information[trial.number] = bounds.information_bound(
            gram,
            evidence.log_dets,
            sparsity=scenario.sparsity,
            block_size=d,
            prior_variance=variance,
            noise_std=scenario.noise_std,
        )
    return {
        "n_rounds": lengths,
        "map_probability": stated,
        "map_correct": right,
        "information": information,
        "fano_error": bounds.fano_error(information, len(supports)),
    }
