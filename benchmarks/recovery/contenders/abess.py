"""abess: best subset of groups by splicing."""

import numpy as np

from ..contender import Contender
from ..psi import dense, dense_bytes, sparse, sparse_bytes


def _prepare_dense(log, threads):
    return dense(log)


def _prepare_sparse(log, threads):
    return sparse(log)


def _solve(psi, log, threads):
    from abess.linear import LinearRegression

    d = log.latents.shape[1]
    model = LinearRegression(
        support_size=log.sparsity,
        group=np.repeat(np.arange(log.n_actions), d),
        fit_intercept=False,
        thread=threads,
    )
    is_sparse = not isinstance(psi, np.ndarray)
    model.fit(psi, log.rewards, is_normal=False, sparse_matrix=is_sparse)
    return np.flatnonzero((model.coef_.reshape(-1, d) != 0).any(axis=1))


CONTENDERS = [
    Contender(
        "abess-dense",
        "abess, dense Ψ",
        "abess",
        _prepare_dense,
        _solve,
        needs=dense_bytes,
        on="dense Ψ",
    ),
    Contender(
        "abess-sparse",
        "abess, sparse Ψ",
        "abess",
        _prepare_sparse,
        _solve,
        kinds=("hot",),
        needs=sparse_bytes,
        on="sparse Ψ",
    ),
]
