"""Block-OMP without Ψ, in as few lines of NumPy as it takes: what anyone would write first."""

import numpy as np

from ..contender import Contender
from ..psi import activation_bytes, activations, dense_activations


def _prepare_dense(log, threads):
    return dense_activations(log)


def _prepare_sparse(log, threads):
    X = activations(log)
    return X, X.tocsc()


def _solve_dense(X, log, threads):
    return _block_omp(X, lambda j: X[:, j], log)


def _solve_sparse(prepared, log, threads):
    X, columns = prepared
    return _block_omp(X, lambda j: columns[:, [j]].toarray()[:, 0], log)


def _block_omp(X, column, log):
    residual, support = log.rewards, []
    blocks = np.empty((len(residual), 0))
    for _ in range(log.sparsity):
        scores = np.linalg.norm(X.T @ (residual[:, None] * log.latents), axis=1)
        scores[support] = 0
        support.append(int(scores.argmax()))
        blocks = np.hstack([blocks, column(support[-1])[:, None] * log.latents])
        weights = np.linalg.lstsq(blocks, log.rewards, rcond=None)[0]
        residual = log.rewards - blocks @ weights
    return np.array(support)


CONTENDERS = [
    Contender(
        "plain-dense",
        "plain NumPy, dense X",
        "numpy",
        _prepare_dense,
        _solve_dense,
        needs=activation_bytes,
        on="dense X",
    ),
    Contender(
        "plain-sparse",
        "plain NumPy, sparse X",
        "scipy",
        _prepare_sparse,
        _solve_sparse,
        kinds=("hot",),
    ),
]
