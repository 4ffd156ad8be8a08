"""PyLops' OMP without Ψ: column by column, as its sparse solvers know no blocks."""

from ..contender import Contender, largest
from ..psi import Products


def _prepare(log, threads):
    from pylops import FunctionOperator

    products = Products(log)
    T, width = products.shape
    return FunctionOperator(products.forward, products.adjoint, T, width, dtype="float64")


def _solve(operator, log, threads):
    from pylops.optimization.sparsity import omp

    d = log.latents.shape[1]
    weights, *_ = omp(operator, log.rewards, niter_outer=log.sparsity * d, niter_inner=40)
    return largest(weights.reshape(-1, d), log.sparsity)


CONTENDERS = [Contender("pylops", "PyLops OMP, matrix-free", "pylops", _prepare, _solve)]
