"""Ψ in the forms that peers take: dense, sparse, and as two products that never build it.

Column ``j*d + i`` is ``x_·j * z_·i``, so that each action's columns are side by side.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from .logs import Log, Size


def dense_bytes(size: Size) -> int:
    """What a dense Ψ takes."""
    return 8 * size.n_rounds * size.n_actions * size.latent_dim


def sparse_bytes(size: Size) -> int:
    """What a sparse Ψ takes: a value and a row for every non-zero."""
    return 12 * size.n_rounds * size.per_round * size.latent_dim


def activation_bytes(size: Size) -> int:
    """What dense activations take."""
    return 8 * size.n_rounds * size.n_actions


def dense(log: Log) -> np.ndarray:
    """(T, M·d) in Fortran order, which all solvers that go by columns want."""
    T, d = log.latents.shape
    out = np.zeros((log.n_actions, d, T))
    if log.ids is None:
        for i in range(d):
            np.multiply(log.activations.T, log.latents[:, i], out=out[:, i])
    else:
        rounds = np.arange(T)
        for i in range(d):
            out[:, i][log.ids, rounds[:, None]] = log.latents[:, i, None]
    return out.reshape(-1, T).T


def sparse(log: Log) -> sp.csc_matrix:
    """(T, M·d), compressed by columns."""
    T, B = log.ids.shape
    d = log.latents.shape[1]
    columns = log.ids.astype(np.int32)[:, :, None] * np.int32(d) + np.arange(d, dtype=np.int32)
    values = np.broadcast_to(log.latents[:, None, :], (T, B, d))
    pointers = np.arange(0, T * B * d + 1, B * d, dtype=np.int32)
    rows = (values.ravel(), columns.ravel(), pointers)
    return sp.csr_matrix(rows, shape=(T, log.n_actions * d)).tocsc()


def activations(log: Log) -> sp.csr_matrix:
    """(T, M) zeros and ones, compressed by rows."""
    T, B = log.ids.shape
    rows = (np.ones(T * B), log.ids.ravel().astype(np.int32), np.arange(0, T * B + 1, B))
    return sp.csr_matrix(rows, shape=(T, log.n_actions))


def dense_activations(log: Log) -> np.ndarray:
    """(T, M), from ids where that is what the log has."""
    if log.ids is None:
        return log.activations
    out = np.zeros((len(log.ids), log.n_actions))
    np.put_along_axis(out, log.ids, 1.0, axis=1)
    return out


class Products:
    """Ψ w and Ψᵀ u by way of X, in the layout asked for.

    ``stacked`` weights are (d, M), as PyLops stacks dimensions; otherwise they are (M, d).
    """

    def __init__(self, log: Log, stacked: bool = False) -> None:
        self.latents, self.stacked = log.latents, stacked
        if log.ids is None:
            self.X = log.activations
            self.XT = self.X.T
        else:
            self.X = activations(log)
            self.XT = self.X.T.tocsr()
        self.shape = (len(log.rewards), log.n_actions * log.latents.shape[1])

    def forward(self, weights: np.ndarray) -> np.ndarray:
        """(T,) Ψ w."""
        d = self.latents.shape[1]
        blocks = weights.reshape(d, -1).T if self.stacked else weights.reshape(-1, d)
        return np.einsum("td,td->t", self.X @ np.ascontiguousarray(blocks), self.latents)

    def adjoint(self, u: np.ndarray) -> np.ndarray:
        """(M·d,) Ψᵀ u."""
        blocks = self.XT @ (u[:, None] * self.latents)
        return (blocks.T if self.stacked else blocks).ravel()

    def mean_energy(self) -> float:
        """The mean of the columns' ``‖·‖²``."""
        X, Z = self.X, self.latents
        used = np.einsum("tj,tj->t", X, X) if isinstance(X, np.ndarray) else X.power(2).sum(axis=1)
        return float(np.asarray(used).ravel() @ (Z * Z).sum(axis=1)) / self.shape[1]

    def steepest(self) -> float:
        """The largest eigenvalue of ΨᵀΨ, nearly, by the power method."""
        vector = np.random.default_rng(0).standard_normal(self.shape[1])
        value = 0.0
        for _ in range(30):
            vector /= np.linalg.norm(vector)
            vector = self.adjoint(self.forward(vector))
            before, value = value, float(np.linalg.norm(vector))
            if value - before < 1e-2 * value:
                break
        return 1.05 * value
