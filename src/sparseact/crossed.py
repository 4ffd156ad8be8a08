"""Block-OMP on a log that is far longer than M·d, from the products of its blocks alone.

Rounds that use sets of B actions add B² blocks to ``ΨᵀΨ``, and that is all a greedy path needs
(Batch-OMP: Rubinstein, Zibulevsky and Elad 2008). So hundreds of steps cost the same after ten
thousand rounds as after a million, and many rewards can be solved for on one log. The price is half
of the digits: directions with less than 1e-10 of a block's energy count as none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpstrf

from sparseact.arguments import LARGEST, integer, numbers
from sparseact.design import Floats, Ints, places_in_triangle, rows_of_ones
from sparseact.greedy import first_best
from sparseact.threads import serial_blas

# Share of a block's energy that counts as none.
_NONE = 1e-10
# Pairs of actions that are taken in at a time.
_PAIRS = 2**21


class Crossed:
    """Sums over a log of action sets, with its latent states as a baseline, for n rewards.

    They take 4·M²·d(d + 1) bytes, however many rounds are added.

    Parameters
    ----------
    n_actions, latent_dim, n_rewards : int
        M, d, and how many rewards there are of each round.

    Raises
    ------
    ValueError
        If a number is below 1.
    TypeError
        If one is not an integer.
    """

    def __init__(self, n_actions: int, latent_dim: int, n_rewards: int = 1) -> None:
        self.n_actions = integer(n_actions, "n_actions", 1)
        self.latent_dim = integer(latent_dim, "latent_dim", 1)
        n = integer(n_rewards, "n_rewards", 1)
        self._triangle = np.tril_indices(latent_dim)
        self._pairs = np.zeros((n_actions**2, len(self._triangle[0])))  # only those with i ≤ j
        self._states = np.zeros((latent_dim, latent_dim))
        self._correlations = np.zeros((n, n_actions, latent_dim))
        self._explained = np.zeros((n, latent_dim))

    def add(self, latents: npt.ArrayLike, sets: Ints, rewards: npt.ArrayLike) -> None:
        """Take in rounds.

        Parameters
        ----------
        latents : array (T, d)
        sets : int array (T, B)
            The distinct actions of each round.
        rewards : array (n, T)

        Raises
        ------
        ValueError
            If shapes do not fit, or values are not finite or above 1e30.
        """
        Z = numbers(latents, "latents", (None, self.latent_dim), largest=LARGEST)
        y = numbers(rewards, "rewards", (len(self._explained), len(Z)), largest=LARGEST)
        if sets.ndim != 2 or len(sets) != len(Z):
            raise ValueError(f"sets must have shape ({len(Z)}, B), got {sets.shape}")
        if sets.size and not 0 <= sets.min() <= sets.max() < self.n_actions:
            raise ValueError(f"sets must hold actions from 0 to {self.n_actions - 1}")
        M, (row, column) = self.n_actions, self._triangle
        first, second = np.triu_indices(sets.shape[1])
        step = max(1, _PAIRS // len(first))
        for start in range(0, len(Z), step):
            part = slice(start, start + step)
            z, used = Z[part], np.sort(sets[part], axis=1)
            pairs = used[:, first] * M + used[:, second]
            self._pairs += rows_of_ones(pairs, M * M).T @ (z[:, row] * z[:, column])
            each = np.concatenate([reward[part, None] * z for reward in y], axis=1)
            sums = rows_of_ones(used, M).T @ each
            self._correlations += sums.reshape(M, len(y), -1).transpose(1, 0, 2)
        self._states += Z.T @ Z
        self._explained += y @ Z

    @serial_blas()
    def whitened(self) -> Whitened:
        """The log so far, its baseline projected off and each block orthonormalised."""
        M, d = self.n_actions, self.latent_dim
        half = self._pairs[:, places_in_triangle(d)].reshape(M, M, d, d)
        same = np.arange(M)
        # An action is used or not, so that ZᵀΨ_j = Ψ_jᵀΨ_j.
        own = half[same, same]
        grams = half + half.transpose(1, 0, 2, 3)
        grams[same, same] = own
        base = _roots(self._states[None], np.trace(self._states)[None])[0]
        overlaps = base.T @ own
        flat = overlaps.transpose(1, 0, 2).reshape(d, M * d)
        grams -= (flat.T @ flat).reshape(M, d, M, d).transpose(0, 2, 1, 3)
        blocks = grams[same, same].copy()
        roots = _roots(blocks, np.trace(own, axis1=1, axis2=2))
        turned = roots.transpose(0, 2, 1)
        half_done = turned @ grams.transpose(0, 2, 1, 3).reshape(M, d, M * d)
        # What is symmetric may be turned over instead of worked on from the right.
        products = turned @ half_done.reshape(M * d, M * d).T.reshape(M, d, M * d)
        rest = self._correlations - np.einsum("nb,mbd->nmd", self._explained @ base, overlaps)
        return Whitened(
            products.reshape(M * d, M * d),
            np.einsum("mde,nmd->nme", roots, rest),
            blocks,
        )


class Whitened:
    """A log in which all blocks are orthonormal: what the rule ``whitened`` sees.

    Attributes
    ----------
    products : array (M·d, M·d)
        ``Q_iᵀQ_j``, zero where a block lacks a direction.
    correlations : array (n, M, d)
        ``Q_jᵀr`` for each of the rewards.
    blocks : array (M, d, d)
        ``Ψ_jᵀΨ_j``, the baseline projected off.
    """

    def __init__(self, products: Floats, correlations: Floats, blocks: Floats) -> None:
        self.products, self.correlations, self.blocks = products, correlations, blocks

    @serial_blas()
    def path(self, which: int, n_select: int) -> Ints:
        """(m,) actions in the order in which Block-OMP selects them, by the rule ``whitened``.

        Fewer than ``n_select`` where nothing else explains anything.
        """
        d = self.blocks.shape[1]
        left = self.correlations[which].copy()
        basis = np.zeros((n_select * d, len(self.products)))
        support: list[int] = []
        for step in range(n_select):
            scores = np.linalg.norm(left, axis=1)
            scores[support] = 0.0
            best = int(first_best(scores[None])[0])
            if scores[best] <= 0:
                break
            own = slice(best * d, best * d + d)
            done = basis[: step * d]
            rest = self.products[own] - done[:, own].T @ done
            root = _roots(rest[None, :, own], np.full(1, float(d)))[0]
            if not root.any():
                break
            fresh = basis[step * d : step * d + d]
            fresh[:] = root.T @ rest
            left -= (fresh.T @ (root.T @ left[best])).reshape(-1, d)
            support.append(best)
        return np.array(support, dtype=np.intp)

    @serial_blas()
    def factor(self, which: int) -> tuple[Floats, Floats]:
        """X (r, M·d) and y (r,) of as few rows as can be, with XᵀX and Xᵀy as of this log."""
        upper, order, rank, _ = dpstrf(self.products, tol=_NONE)
        upper, order = np.triu(upper)[:rank], order - 1
        X = np.empty(upper.shape, order="F")
        X[:, order] = upper
        known = self.correlations[which].ravel()[order[:rank]]
        return X, solve_triangular(upper[:, :rank], known, trans=1)

    @serial_blas()
    def coherence(self, first: Ints, second: Ints) -> Floats:
        """(p,) ``‖Q_iᵀQ_j‖₂`` of pairs of actions, from 0 to 1."""
        return np.minimum(_spectral(self._blocked()[first, second]), 1.0)

    def mutual_coherence(self) -> float:
        """The largest of all pairs: see :func:`sparseact.coherence.mutual_coherence`."""
        d = self.blocks.shape[1]
        squares = np.triu(np.square(self._blocked()).sum(axis=(2, 3)), 1)
        # The spectral norm lies between the Frobenius norm and that over √d.
        least = squares.max() / (d * (1 + 1e-9))
        return float(self.coherence(*np.nonzero((squares >= least) & (squares > 0))).max(initial=0))

    @serial_blas()
    def exact_recovery_coefficient(self, support: Ints) -> float:
        """``max_{j∉S} Σ_{i∈S} ‖(Q_S⁺Q_j)_i‖₂``: the rule ``whitened`` is right while it is below 1.

        As :func:`sparseact.coherence.exact_recovery_coefficient`, for orthonormal blocks; infinite
        where those of S depend on each other.
        """
        d = self.blocks.shape[1]
        columns = (np.asarray(support)[:, None] * d + np.arange(d)).ravel()
        others = np.setdiff1d(np.arange(len(self.products)), columns)
        within = self.products[np.ix_(columns, columns)]
        if np.linalg.eigvalsh(within)[0] <= _NONE:
            return float("inf")
        solved = np.linalg.solve(within, self.products[np.ix_(columns, others)])
        blocks = solved.reshape(len(support), d, -1, d).transpose(0, 2, 1, 3)
        return float(_spectral(blocks).sum(axis=0).max(initial=0.0))

    def _blocked(self) -> Floats:
        d = self.blocks.shape[1]
        return self.products.reshape(-1, d, len(self.blocks), d).transpose(0, 2, 1, 3)


def _roots(grams: Floats, energy: Floats) -> Floats:
    """(n, d, d) A with ``AᵀGA`` the identity on the range of G, of Grams G (n, d, d)."""
    values, vectors = np.linalg.eigh(grams)
    keep = values > _NONE * energy[:, None]
    return np.asarray(vectors * np.where(keep, 1 / np.sqrt(np.where(keep, values, 1)), 0)[:, None])


def _spectral(blocks: Floats) -> Floats:
    """(…) spectral norms of blocks (…, d, d)."""
    grams = blocks.swapaxes(-1, -2) @ blocks
    return np.asarray(np.sqrt(np.maximum(np.linalg.eigvalsh(grams)[..., -1], 0.0)))
