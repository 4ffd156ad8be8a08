"""SPGL1 with the projections of its group problem, on products that never build Ψ.

It minimises the sum of the blocks' norms under ‖r - Ψw‖ ≤ σ√T, with the true σ, and ends with many
small blocks: those of the k largest norms are taken.
"""

from ..contender import Contender, largest
from ..psi import Products


def _prepare(log, threads):
    from scipy.sparse.linalg import LinearOperator

    products = Products(log)
    return LinearOperator(
        products.shape, matvec=products.forward, rmatvec=products.adjoint, dtype=float
    )


def _solve(operator, log, threads):
    from spgl1.spgl1 import _norm_l12_dual, _norm_l12_primal, _norm_l12_project, spgl1

    d = log.latents.shape[1]
    weights, *_ = spgl1(
        operator,
        log.rewards,
        sigma=log.noise_norm,
        project=lambda x, scale, tau: _norm_l12_project(d, x, scale, tau),
        primal_norm=lambda x, scale: _norm_l12_primal(d, x, scale),
        dual_norm=lambda x, scale: _norm_l12_dual(d, x, scale),
    )
    return largest(weights.reshape(-1, d), log.sparsity)


CONTENDERS = [Contender("spgl1", "SPGL1 with groups, matrix-free", "spgl1", _prepare, _solve)]
