"""skglm's group lasso: block coordinate descent on working sets, compiled by Numba."""

import numpy as np

from ..contender import grid, largest, on_psi


def _solve(psi, log, threads):
    from skglm.datafits import QuadraticGroup
    from skglm.penalties import WeightedGroupL2
    from skglm.solvers import GroupBCD
    from skglm.utils.data import grp_converter

    T, d = log.latents.shape
    indices, pointers = grp_converter(d, psi.shape[1])
    correlations = (psi.T @ log.rewards).reshape(-1, d)
    datafit = QuadraticGroup(pointers, indices)
    solver = GroupBCD(fit_intercept=False, warm_start=True, tol=1e-4)
    weights, fitted = np.zeros(psi.shape[1]), np.zeros(T)
    for penalty in grid(np.linalg.norm(correlations, axis=1).max() / T, penalties=10):
        group_l2 = WeightedGroupL2(penalty, np.ones(len(pointers) - 1), pointers, indices)
        weights = solver.solve(psi, log.rewards, datafit, group_l2, weights, fitted)[0]
        if (weights.reshape(-1, d) != 0).any(axis=1).sum() >= log.sparsity:
            break
    return largest(weights.reshape(-1, d), log.sparsity)


CONTENDERS = on_psi("skglm", "skglm group lasso", "skglm", _solve)
