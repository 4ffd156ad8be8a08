"""PyProximal: projection onto k blocks (ℓ1,0), and the group lasso (L21), without Ψ.

With the step that is safe for any weights, 1/‖Ψ‖², the projection takes many times as long and
misses actions. Half the inverse of a column's mean energy is about the longest step with which it
found the support at sizes S and M, where the step was chosen. At XL it finds nothing.
"""

import numpy as np

from ..contender import Contender, grid, largest
from ..psi import Products


def _prepare_hard(log, threads):
    products = Products(log, stacked=True)
    return _operator(products), 0.5 / products.mean_energy()


def _prepare_lasso(log, threads):
    products = Products(log, stacked=True)
    return _operator(products), 1 / products.steepest()


def _operator(products):
    from pylops import FunctionOperator

    T, width = products.shape
    return FunctionOperator(products.forward, products.adjoint, T, width, dtype="float64")


def _solve_hard(prepared, log, threads):
    from pyproximal import L2
    from pyproximal.optimization.primal import ProximalGradient
    from pyproximal.proximal import L10Ball

    operator, step = prepared
    d = log.latents.shape[1]
    weights = ProximalGradient(
        L2(Op=operator, b=log.rewards),
        L10Ball(d, log.sparsity),
        x0=np.zeros(operator.shape[1]),
        tau=step,
        niter=500,
        tol=1e-2,
        acceleration="fista",
    )
    return largest(weights.reshape(d, -1).T, log.sparsity)


def _solve_lasso(prepared, log, threads):
    from pyproximal import L2
    from pyproximal.optimization.primal import ProximalGradient
    from pyproximal.proximal import L21

    operator, step = prepared
    d = log.latents.shape[1]
    correlations = operator.rmatvec(log.rewards).reshape(d, -1)
    weights = np.zeros(operator.shape[1])
    for penalty in grid(np.linalg.norm(correlations, axis=0).max(), penalties=10):
        weights = ProximalGradient(
            L2(Op=operator, b=log.rewards),
            L21(d, penalty),
            x0=weights,
            tau=step,
            niter=500,
            tol=1e-5,
            acceleration="fista",
        )
        if (weights.reshape(d, -1) != 0).any(axis=0).sum() >= log.sparsity:
            break
    return largest(weights.reshape(d, -1).T, log.sparsity)


CONTENDERS = [
    Contender(
        "pyproximal-l10", "PyProximal ℓ1,0, matrix-free", "pyproximal", _prepare_hard, _solve_hard
    ),
    Contender(
        "pyproximal-l21", "PyProximal L21, matrix-free", "pyproximal", _prepare_lasso, _solve_lasso
    ),
]
