"""A log with a baseline taken off: what no action explains, before any action is scored.

With controls C (T, c), such as an intercept and the latent state itself, the model is
``r = C γ + Σ_j Ψ_j w_j + ε``. By the theorem of Frisch, Waugh and Lovell, least squares on any of
the blocks beside C is least squares on what is left of the blocks and of the rewards once C is
projected off. So a greedy solver that is handed those solves the log beside its baseline.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from sparseact.arguments import LARGEST, instance, numbers
from sparseact.design import Floats, Ints, KhatriRaoDesign, places_in_triangle, squared
from sparseact.residuals import RANK
from sparseact.threads import over, serial_blas

# Bytes of products of controls and latents that are made at a time.
_AT_A_TIME = 2**27
# Blocks of which less than this share is left may have directions that are rounding alone.
_LITTLE = 0.01


class Partialled:
    """A :class:`~sparseact.design.BlockDesign` of which some columns are projected off.

    Parameters
    ----------
    design : KhatriRaoDesign
    controls : array (T, c), optional
        Columns that explain rewards whatever the actions; they may depend on each other. Without
        them, the latents: what an action would explain that every round uses.

    Raises
    ------
    ValueError
        If the controls have another shape, or values that are not finite or above 1e30.
    TypeError
        If ``design`` is not a :class:`~sparseact.KhatriRaoDesign`.

    Notes
    -----
    :func:`~sparseact.block_omp` takes it with rewards of which the controls are projected off too
    (:meth:`rest_of`). A block that lies in the span of the controls, as that of an action which
    every round uses does if the controls hold its latents, has nothing left and is never selected.
    Memory is 8·M·d·(c + d) bytes, and 8·T·d for each action that is selected.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseact import KhatriRaoDesign, block_omp
    >>> rng = np.random.default_rng(0)
    >>> actions, ones = rng.integers(0, 5, 400), np.ones((400, 1))
    >>> design = KhatriRaoDesign.from_actions(ones, actions, n_actions=5)
    >>> partialled = Partialled(design, ones)
    >>> rewards = 7.0 + 2.0 * (actions == 3)
    >>> block_omp(partialled, partialled.rest_of(rewards), n_select=1).support
    array([3])
    """

    def __init__(self, design: KhatriRaoDesign, controls: npt.ArrayLike | None = None) -> None:
        instance(design, KhatriRaoDesign, "design")
        self.design = design
        self._by_latents = controls is None
        if controls is None:
            controls = design.latents
        columns = numbers(controls, "controls", (design.n_rounds, None), largest=LARGEST)
        self._directions = directions(columns)
        self.basis = np.ascontiguousarray(columns @ self._directions)
        self.n_rounds, self.n_blocks = design.n_rounds, design.n_blocks
        self.block_size = design.block_size

    @property
    def n_logged(self) -> int:
        """Rounds, less those that the controls use up."""
        return self.n_rounds - self.basis.shape[1]

    @property
    def unused(self) -> Ints:
        """Actions that were never used, ascending."""
        return self.design.unused

    @property
    def coverage(self) -> Floats:
        """(M,) as of the log itself."""
        return self.design.coverage

    def rest_of(self, values: npt.ArrayLike) -> Floats:
        """(…, T) what the controls leave of values (…, T), such as the rewards."""
        rest = np.array(values, dtype=np.float64)
        for _ in range(2):  # twice is orthogonal to working precision
            rest -= (rest @ self.basis) @ self.basis.T
        return rest

    def rounds(self, which: npt.NDArray[np.bool_] | slice) -> Partialled:
        """The same for some of the rounds."""
        return Partialled(self.design.rounds(which), self.basis[which])

    @cached_property
    def energy(self) -> Floats:
        """(M,) ``‖Ψ_j‖²`` in the Frobenius norm, before anything is projected off."""
        squares = np.einsum("td,td->t", self.design.latents, self.design.latents)
        X = self.design.activations
        return np.asarray((X * X).T @ squares)

    @cached_property
    def by_action(self) -> sp.csc_array:
        """(T, M) the activations, action after action."""
        return sp.csc_array(self.design.activations)

    @cached_property
    def overlaps(self) -> Floats:
        """(M, b, d) ``QᵀΨ_j`` of every block with an orthonormal basis Q (T, b) of the controls."""
        if self._by_latents and _all_ones(self.design.activations):
            return self._directions.T @ self.whole
        return weighted_sums(self.design.activations, self.basis, self.design.latents)

    @cached_property
    def whole(self) -> Floats:
        """(M, d, d) ``Ψ_jᵀΨ_j``, nothing projected off."""
        latents, squares = self.design.latents, squared(self.design.activations)
        row, column = np.tril_indices(self.block_size)
        triangle = weighted_sums(squares, latents, latents, (row, column))
        return triangle[:, places_in_triangle(self.block_size)]

    @cached_property
    @serial_blas()
    def grams(self) -> Floats:
        """(M, d, d) of what is left of every block, directions that are rounding set to zero."""
        inner = self.overlaps
        grams = self.whole - inner.transpose(0, 2, 1) @ inner
        little = np.flatnonzero(np.trace(grams, axis1=1, axis2=2) < _LITTLE * self.energy)
        values, vectors = np.linalg.eigh(grams[little])
        values[values <= RANK * self.energy[little, None]] = 0.0
        grams[little] = (vectors * values[:, None, :]) @ vectors.transpose(0, 2, 1)
        return grams

    @cached_property
    def axes(self) -> tuple[Floats, Floats]:
        """(M, d), (M, d, d) eigenvalues and eigenvectors of the Grams of what is left."""
        return eigen(self.grams)

    # -- what a solver asks of it: see BlockDesign ------------------------------------------------

    def touched(self, blocks: Ints) -> None:
        """All rounds: the controls are in each."""

    def correlate_start(self, rewards: Floats, lengths: Ints) -> Floats:
        """(1, M, d) of the rewards over the whole log."""
        self._whole(lengths)
        return self.design.correlate_start(self.rest_of(rewards), lengths)

    def correlate_prefixes(
        self, residuals: Floats, lengths: Ints, rows: Ints | None
    ) -> tuple[Ints | None, Floats]:
        """(n, M, d) of vectors (n, T) of which the controls are projected off already."""
        return self.design.correlate_prefixes(residuals, lengths, rows)

    def gram_prefixes(self, lengths: Ints) -> Floats:
        """(1, M, d, d) of what is left of every block, directions that are rounding set to zero."""
        self._whole(lengths)
        return self.grams[None].copy()

    def columns(self, blocks: Ints, rows: Ints | None) -> Floats:
        """(m, d, T) what is left of the columns of each action named, transposed."""
        return self.rest_of(self.design.columns(blocks, None))

    def _whole(self, lengths: Ints) -> None:
        if len(lengths) != 1 or lengths[0] != self.n_rounds:
            raise ValueError(
                "controls are projected off the whole log: take the rounds of a prefix first"
            )


def directions(columns: Floats) -> Floats:
    """(p, r) W for which the columns (n, p) times W are orthonormal, r their rank."""
    scale = np.linalg.norm(columns, axis=0)
    scale[scale == 0] = 1.0
    triangle = np.linalg.qr(columns / scale, mode="r")
    _, singular, turned = np.linalg.svd(triangle, full_matrices=False)
    keep = singular**2 > RANK
    return np.asarray((turned[keep] / singular[keep, None]).T / scale[:, None])


def weighted_sums(
    activations: Any, left: Floats, right: Floats, pairs: tuple[Ints, Ints] | None = None
) -> Floats:
    """(M, b, d) ``Σ_t x_tj l_t r_tᵀ`` for every action, of l (T, b) and r (T, d).

    Or, for some pairs of columns of both, (M, n) of their products.
    """
    b, d = left.shape[1], right.shape[1]
    of_left, of_right = np.divmod(np.arange(b * d), d) if pairs is None else pairs
    n = len(of_left)
    step = min(max(1, _AT_A_TIME // (8 * max(n, 1))), max(len(left), 1))
    products, others = np.empty((step, n)), np.empty((step, n))  # memory is used again
    total = np.zeros((activations.shape[1], n))
    for start in range(0, len(left), step):
        part = slice(start, start + step)
        size = len(left[part])
        np.take(left[part], of_left, axis=1, out=products[:size], mode="clip")
        np.take(right[part], of_right, axis=1, out=others[:size], mode="clip")
        products[:size] *= others[:size]
        total += activations[part].T @ products[:size]
    return total if pairs is not None else total.reshape(-1, b, d)


def eigen(grams: Floats) -> tuple[Floats, Floats]:
    """(M, d), (M, d, d) eigenvalues, ascending, and eigenvectors of matrices (M, d, d)."""
    values, vectors = np.empty(grams.shape[:2]), np.empty_like(grams)

    def of(which: slice) -> None:
        values[which], vectors[which] = np.linalg.eigh(grams[which])

    with serial_blas():
        over(of, len(grams))
    return values, vectors


def eigenvalues(grams: Floats) -> Floats:
    """(M, d) eigenvalues, ascending, of matrices (M, d, d)."""
    values = np.empty(grams.shape[:2])

    def of(which: slice) -> None:
        values[which] = np.linalg.eigvalsh(grams[which])

    with serial_blas():
        over(of, len(grams))
    return values


def _all_ones(activations: Any) -> bool:
    """Whether actions are used or not, and no more or less strongly."""
    values = activations.data if sp.issparse(activations) else activations
    return bool(((values == 1) | (values == 0)).all())
