"""Block-OMP as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from sparseact.arguments import LARGEST, integer, numbers
from sparseact.design import Floats, Ints, KhatriRaoDesign
from sparseact.omp import BlockOMPResult, block_omp
from sparseact.rules import Selection
from sparseact.stopping import StoppingRule
from sparseact.stream import Stream


class DenseBlocks:
    """A :class:`~sparseact.design.BlockDesign` of any matrix (T, M·d), blocks side by side."""

    def __init__(self, matrix: Floats, block_size: int) -> None:
        self._matrix = matrix
        self.n_rounds = int(matrix.shape[0])
        self.block_size = block_size
        self.n_blocks = int(matrix.shape[1]) // block_size

    @property
    def unused(self) -> Ints:
        """Blocks of zeros."""
        there = self._matrix.any(axis=0).reshape(self.n_blocks, self.block_size)
        return np.flatnonzero(~there.any(axis=1))

    @property
    def coverage(self) -> Floats:
        """Energy of each block."""
        energy = np.einsum("ij,ij->j", self._matrix, self._matrix)
        return np.asarray(energy.reshape(self.n_blocks, self.block_size).sum(axis=1))

    def touched(self, blocks: Ints) -> Ints | None:
        """All rounds."""
        return None

    def correlate_start(self, rewards: Floats, lengths: Ints) -> Floats:
        """(p, M, d) correlations of every block with the rewards of each prefix."""
        within = np.arange(self.n_rounds)[None, :] < lengths[:, None]
        return self.correlate_prefixes(np.where(within, rewards, 0.0), lengths, None)[1]

    def correlate_prefixes(
        self, residuals: Floats, lengths: Ints, rows: Ints | None
    ) -> tuple[None, Floats]:
        """(p, M, d) correlations of every block with residuals (p, T)."""
        product = residuals @ self._matrix
        return None, product.reshape(len(lengths), self.n_blocks, self.block_size)

    def gram_prefixes(self, lengths: Ints) -> Floats:
        """(p, M, d, d) Gram matrix of each block over each prefix."""
        blocked = self._matrix.reshape(self.n_rounds, self.n_blocks, self.block_size)
        return np.stack([np.einsum("tmd,tme->mde", blocked[:n], blocked[:n]) for n in lengths])

    def columns(self, blocks: Ints, rows: Ints | None) -> Floats:
        """(m, d, T) the columns of each block named, transposed."""
        blocked = self._matrix.reshape(self.n_rounds, self.n_blocks, self.block_size)
        return np.ascontiguousarray(blocked[:, blocks, :].transpose(1, 2, 0))

    def rounds(self, which: npt.NDArray[np.bool_]) -> DenseBlocks:
        """Some of the rounds."""
        return DenseBlocks(self._matrix[which], self.block_size)


class BlockOMP(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Linear regression on few blocks of features, chosen greedily.

    Parameters
    ----------
    n_select : int, optional
        Blocks to select, or at most to select. Without it, ``residual_tol`` and ``stopping``, a
        tenth of them, at least one.
    block_size : int
        d, the features of a block; block j is columns ``j*d … (j+1)*d - 1``. Ignored for a
        :class:`~sparseact.KhatriRaoDesign`, which knows its own.
    residual_tol : float, optional
        Stop as soon as the residual's norm (not its square) is at most this.
    selection : {"correlation", "whitened", "least_squares"}
        See :func:`~sparseact.block_omp`.
    stopping : StoppingRule, optional
        How many of the selected blocks to keep, if that is not known: see
        :mod:`sparseact.stopping`.

    Attributes
    ----------
    support_ : int array (m,)
        Selected blocks, in the order of selection.
    coef_ : array (n_features,)
        Weights; zero outside the support. The model has no intercept: centre a reward that has one.
    residual_norms_ : array (m + 1,)
    stop_reason_ : str
    n_iter_ : int
        Blocks selected.
    """

    _stream: Stream

    def __init__(
        self,
        n_select: int | None = None,
        *,
        block_size: int = 1,
        residual_tol: float | None = None,
        selection: Selection = "correlation",
        stopping: StoppingRule | None = None,
    ) -> None:
        self.n_select = n_select
        self.block_size = block_size
        self.residual_tol = residual_tol
        self.selection = selection
        self.stopping = stopping

    def fit(self, X: npt.ArrayLike | KhatriRaoDesign, y: npt.ArrayLike) -> BlockOMP:
        """Select and refit.

        Parameters
        ----------
        X : array (n_samples, n_blocks * block_size) or KhatriRaoDesign
        y : array (n_samples,)

        Raises
        ------
        ValueError
            If the shapes do not fit, values are not finite or above 1e30, or a parameter is out of
            range.
        TypeError
            If ``n_select`` or ``block_size`` is not an integer, or X is sparse.
        """
        self.__dict__.pop("_stream", None)
        design, y = self._design_of(X, y, reset=True)
        found = block_omp(
            design,
            y,
            self._most(design),
            residual_tol=self.residual_tol,
            selection=self.selection,
            stopping=self.stopping,
        )
        return self._learn(found, design)

    def partial_fit(self, X: npt.ArrayLike | KhatriRaoDesign, y: npt.ArrayLike) -> BlockOMP:
        """Take in new rounds, and select and refit on all that were taken in so far.

        What it finds is what :meth:`fit` would find on all of them: the same support, and weights
        to rounding, but where scores tie to rounding (:class:`~sparseact.stream.Stream`). The new
        rounds are added to sums over the old, which are kept as copies and seldom read again. That
        pays where rounds outnumber M·d by far; else :meth:`fit` on all of them is faster. A
        :class:`~sparseact.KhatriRaoDesign` may have more actions than before; these come last. What
        was given to :meth:`fit` is not among the rounds taken in.

        Parameters
        ----------
        X : array (n_samples, n_blocks * block_size) or KhatriRaoDesign
        y : array (n_samples,)

        Raises
        ------
        ValueError, TypeError
            As :meth:`fit`, or if ``stopping`` wants all rounds at hand, or ``selection`` is another
            than before. Nothing is taken in then.
        """
        first = not hasattr(self, "_stream")
        if not first and self.selection != self._stream.selection:
            raise ValueError(
                f"selection cannot change from {self._stream.selection!r} to {self.selection!r} "
                "between rounds: the sums that are kept are for one rule; start a new estimator"
            )
        design, y = self._design_of(X, y, reset=first)
        stream = Stream(self.selection) if first else self._stream.copy()
        stream.add(design, y)
        found = stream.solve(
            self._most(design), residual_tol=self.residual_tol, stopping=self.stopping
        )
        self._stream = stream
        return self._learn(found, design)

    def _design_of(
        self, X: Any, y: Any, *, reset: bool
    ) -> tuple[KhatriRaoDesign | DenseBlocks, Any]:
        if isinstance(X, KhatriRaoDesign):
            return X, y
        least = 2 if reset else 1
        matrix, y = _validated(self, X, y, y_numeric=True, ensure_min_samples=least, reset=reset)
        numbers(matrix, "X", largest=LARGEST)
        integer(self.block_size, "block_size")
        if self.block_size < 1 or matrix.shape[1] % self.block_size:
            raise ValueError(
                f"block_size={self.block_size} does not divide the {matrix.shape[1]} features"
            )
        return DenseBlocks(matrix, self.block_size), y

    def _most(self, design: KhatriRaoDesign | DenseBlocks) -> int | None:
        if self.n_select is None and self.residual_tol is None and self.stopping is None:
            return max(1, design.n_blocks // 10)
        return self.n_select

    def _learn(self, found: BlockOMPResult, design: KhatriRaoDesign | DenseBlocks) -> BlockOMP:
        coef = np.zeros((design.n_blocks, design.block_size))
        coef[found.support] = found.weights
        self.n_features_in_ = coef.size
        self.coef_ = coef.ravel()
        self.support_ = found.support
        self.residual_norms_ = found.residual_norms
        self.stop_reason_ = found.stop_reason
        self.n_iter_ = len(found.support)
        return self

    def predict(self, X: npt.ArrayLike | KhatriRaoDesign) -> Any:
        """Predicted rewards (n_samples,) of a matrix or a design.

        Raises
        ------
        ValueError
            If X does not fit what was fitted, or is not finite.
        TypeError
            If X is sparse.
        """
        check_is_fitted(self)
        if isinstance(X, KhatriRaoDesign):
            if X.shape[1] != self.n_features_in_:
                raise ValueError(
                    f"the design has {X.shape[1]} columns; BlockOMP was fitted on "
                    f"{self.n_features_in_}"
                )
            return X @ self.coef_
        return _validated(self, X, reset=False) @ self.coef_


def _validated(*arguments: Any, **options: Any) -> Any:
    """As scikit-learn validates data; what is too large for a double is a ValueError too."""
    try:
        return validate_data(*arguments, dtype=np.float64, **options)
    except OverflowError as error:
        raise ValueError(f"X and y must be real numbers: {error}") from None
