"""What every rival takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from sparseact.arguments import LARGEST, instance, integer, numbers
from sparseact.design import Floats, Ints, KhatriRaoDesign
from sparseact.residuals import unit_of

# Rounds for which Ψ exists at once.
_ROUNDS_AT_ONCE = 4096


@dataclass(frozen=True)
class Chosen:
    """The actions that a method names.

    Attributes
    ----------
    support : int array (m,)
        At most k actions, in the method's own order; fewer where no others explain anything.
    converged : bool
        False where the method's iteration ended before it had come to rest.
    """

    support: Ints
    converged: bool

    @classmethod
    def none(cls) -> Self:
        """What there is to choose in a log that tells nothing."""
        return cls(np.empty(0, dtype=np.intp), True)


@dataclass(frozen=True)
class Standardised:
    """A log whose blocks have unit energy, ``tr Ψ_jᵀΨ_j = 1``, without actions never used.

    Attributes
    ----------
    design : KhatriRaoDesign
        Of the actions that were used alone.
    rewards : array (T,)
        Divided by a power of two near their size.
    used : int array
        The actions of the design's blocks.
    """

    design: KhatriRaoDesign
    rewards: Floats
    used: Ints

    def chosen(self, order: npt.ArrayLike, converged: bool = True) -> Chosen:
        """Blocks of the design, by the names that the actions have in the log."""
        return Chosen(self.used[np.asarray(order, dtype=np.intp)], converged)

    def normal_equations(self) -> tuple[Floats, Floats]:
        """``ΨᵀΨ`` (M·d, M·d) and ``Ψᵀr`` (M·d,)."""
        width = self.design.shape[1]
        gram = np.zeros((width, width))
        for start in range(0, self.design.n_rounds, _ROUNDS_AT_ONCE):
            part = self.design.rounds(slice(start, start + _ROUNDS_AT_ONCE)).to_dense()
            gram += part.T @ part
        return gram, self.design.correlate(self.rewards).ravel()


def standardised(design: KhatriRaoDesign, rewards: npt.ArrayLike, k: int) -> Standardised | None:
    """The log, checked and scaled; None where it tells nothing, for want of a reward or an action.

    Raises
    ------
    ValueError
        If the rewards do not fit the design, are not finite or above 1e30, or k is not within
        1 … M.
    TypeError
        If ``design`` is not a design, or k not an integer.
    """
    y = checked(design, rewards, k)
    squares = np.einsum("td,td->t", design.latents, design.latents)
    X = design.activations
    if sp.issparse(X):
        energy = (X * X).T @ squares
    else:
        energy = np.einsum("tm,tm,t->m", X, X, squares, dtype=np.float64)
    used = np.flatnonzero(energy)
    if not used.size or not y.any():
        return None
    scale = 1 / np.sqrt(energy[used])
    X = X[:, used] @ sp.diags_array(scale) if sp.issparse(X) else X[:, used] * scale
    return Standardised(KhatriRaoDesign(design.latents, X), y / unit_of(y), used)


def checked(design: KhatriRaoDesign, rewards: npt.ArrayLike, k: int) -> Floats:
    """The rewards, once all arguments are fit; errors as of :func:`standardised`."""
    instance(design, KhatriRaoDesign, "design")
    integer(k, "k", 1, design.n_blocks)
    return numbers(rewards, "rewards", (design.n_rounds,), largest=LARGEST)


def largest(sizes: Floats, k: int) -> Ints:
    """The at most k blocks of the largest positive sizes (M,), the largest first; ties by index."""
    order = np.argsort(-sizes, kind="stable")[:k]
    return np.asarray(order[sizes[order] > 0])
