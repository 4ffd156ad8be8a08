"""A log with a baseline taken off: what no action explains, before any action is scored.

With controls C (T, c), such as an intercept and the latent state itself, the model is
``r = C γ + Σ_j Ψ_j w_j + ε``. By the theorem of Frisch, Waugh and Lovell, least squares on any of
the blocks beside C is least squares on what is left of the blocks and of the rewards once C is
projected off. So a greedy solver that is handed those solves the log beside its baseline.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from sparseact.arguments import LARGEST, instance, numbers
from sparseact.design import Floats, Ints, KhatriRaoDesign
from sparseact.residuals import RANK
from sparseact.threads import serial_blas

# Bytes of products of controls and latents that are made at a time.
_AT_A_TIME = 2**27
# Blocks of which less than this share is left may have directions that are rounding alone.
_LITTLE = 0.01


class Partialled:
    """A :class:`~sparseact.design.BlockDesign` of which some columns are projected off.

    Parameters
    ----------
    design : KhatriRaoDesign
    controls : array (T, c)
        Columns that explain rewards whatever the actions; they may depend on each other.

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

    def __init__(self, design: KhatriRaoDesign, controls: npt.ArrayLike) -> None:
        instance(design, KhatriRaoDesign, "design")
        self.design = design
        columns = numbers(controls, "controls", (design.n_rounds, None), largest=LARGEST)
        self.basis = _basis(columns)
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
    def overlaps(self) -> Floats:
        """(M, b, d) ``QᵀΨ_j`` of every block with an orthonormal basis Q (T, b) of the controls."""
        b, d = self.basis.shape[1], self.block_size
        step = max(1, _AT_A_TIME // (8 * max(b * d, 1)))
        total = np.zeros((self.n_blocks, b * d))
        for start in range(0, self.n_rounds, step):
            part = slice(start, start + step)
            products = self.basis[part, :, None] * self.design.latents[part, None, :]
            total += self.design.activations[part].T @ products.reshape(-1, b * d)
        return total.reshape(-1, b, d)

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

    @serial_blas()
    def gram_prefixes(self, lengths: Ints) -> Floats:
        """(1, M, d, d) of what is left of every block, directions that are rounding set to zero."""
        self._whole(lengths)
        grams = self.design.gram_prefixes(lengths)
        grams[0] -= self.overlaps.transpose(0, 2, 1) @ self.overlaps
        little = np.flatnonzero(np.trace(grams[0], axis1=1, axis2=2) < _LITTLE * self.energy)
        values, vectors = np.linalg.eigh(grams[0, little])
        values[values <= RANK * self.energy[little, None]] = 0.0
        grams[0, little] = (vectors * values[:, None, :]) @ vectors.transpose(0, 2, 1)
        return grams

    def columns(self, blocks: Ints, rows: Ints | None) -> Floats:
        """(m, d, T) what is left of the columns of each action named, transposed."""
        return self.rest_of(self.design.columns(blocks, None))

    def _whole(self, lengths: Ints) -> None:
        if len(lengths) != 1 or lengths[0] != self.n_rounds:
            raise ValueError(
                "controls are projected off the whole log: take the rounds of a prefix first"
            )


def _basis(columns: Floats) -> Floats:
    """(T, b) an orthonormal basis of the columns (T, c)."""
    scale = np.linalg.norm(columns, axis=0)
    scaled = columns[:, scale > 0] / scale[scale > 0]
    left, singular, _ = np.linalg.svd(scaled, full_matrices=False)
    return np.ascontiguousarray(left[:, singular**2 > RANK])
