"""Block-OMP as the textbook has it: Ψ as a matrix, and least squares in every step."""

import numpy as np

from ..contender import Contender
from ..psi import dense, dense_bytes


def _prepare(log, threads):
    return dense(log)


def _solve(psi, log, threads):
    d = log.latents.shape[1]
    residual, support = log.rewards, []
    for _ in range(log.sparsity):
        scores = np.linalg.norm((psi.T @ residual).reshape(-1, d), axis=1)
        scores[support] = 0
        support.append(int(scores.argmax()))
        columns = (np.array(support)[:, None] * d + np.arange(d)).ravel()
        weights = np.linalg.lstsq(psi[:, columns], log.rewards, rcond=None)[0]
        residual = log.rewards - psi[:, columns] @ weights
    return np.array(support)


CONTENDERS = [
    Contender(
        "naive", "naive Block-OMP", "numpy", _prepare, _solve, needs=dense_bytes, on="dense Ψ"
    )
]
