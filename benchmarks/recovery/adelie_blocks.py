"""Ψ as a matrix that adelie's solver can work on without its ever existing.

What the solver asks for in every iteration (`bmul`, `btmul`) goes by the blocks of the few actions
that it is looking at; those are kept, restricted to the rounds that used the action. The gradient
over all blocks (`mul`), needed once a penalty, is one product with X.
"""

import numpy as np
from adelie.adelie_core.matrix import MatrixNaiveBase64
from adelie.matrix import PyMatrixNaiveBase

from .logs import Log
from .psi import Products


class Blocks(MatrixNaiveBase64, PyMatrixNaiveBase):
    """Groups must be the blocks, and all rounds must weigh the same, as they do by default."""

    def __init__(self, log: Log) -> None:
        MatrixNaiveBase64.__init__(self)
        PyMatrixNaiveBase.__init__(self, n_threads=1)
        self._products = Products(log)
        self._d = log.latents.shape[1]
        self._kept = {}

    def rows(self):
        """T."""
        return self._products.shape[0]

    def cols(self):
        """M·d."""
        return self._products.shape[1]

    def _block(self, column):
        """The rounds (n,) that used an action, or all; and its columns there (d, n), contiguous."""
        block = self._kept.get(column)
        if block is None:
            j, X, Z = column // self._d, self._products.XT, self._products.latents
            if isinstance(X, np.ndarray):
                block = slice(None), np.multiply(X[j], Z.T, order="C")
            else:
                rounds = X.indices[X.indptr[j] : X.indptr[j + 1]]
                block = rounds, np.ascontiguousarray(Z[rounds].T)
            self._kept[column] = block
        return block

    def bmul(self, j, q, v, weights, out):
        """Ψ_jᵀ (v ⊙ weights)."""
        rounds, columns = self._block(j)
        np.dot(columns, v[rounds], out=out)
        out *= weights[0]

    def bmul_safe(self, j, q, v, weights, out):
        """The same: there is one thread here."""
        self.bmul(j, q, v, weights, out)

    def btmul(self, j, q, v, out):
        """Add Ψ_j v."""
        rounds, columns = self._block(j)
        out[rounds] += v @ columns

    def mul(self, v, weights, out):
        """Ψᵀ (v ⊙ weights)."""
        out[:] = self._products.adjoint(v * weights)

    def cov(self, j, q, sqrt_weights, out):
        """Ψ_jᵀ diag(weights) Ψ_j."""
        _, columns = self._block(j)
        out[:] = columns @ columns.T * sqrt_weights[0] ** 2

    def cmul(self, j, v, weights):
        """One column's product."""
        rounds, columns = self._block(j - j % self._d)
        return float(columns[j % self._d] @ v[rounds] * weights[0])

    def cmul_safe(self, j, v, weights):
        """The same: there is one thread here."""
        return self.cmul(j, v, weights)

    def ctmul(self, j, v, out):
        """Add a multiple of one column."""
        rounds, columns = self._block(j - j % self._d)
        out[rounds] += v * columns[j % self._d]

    def sq_mul(self, weights, out):
        """Weighted squares of the columns."""
        X, Z = self._products.XT, self._products.latents
        squares = X * X if isinstance(X, np.ndarray) else X.power(2)
        out[:] = (squares @ (weights[:, None] * Z * Z)).ravel()

    def sp_tmul(self, v, out):
        """Fitted values of several sparse weights."""
        for one, row in zip(out, v, strict=True):
            one[:] = self._products.forward(row.toarray()[0])
