"""The design of a log: the block matrix that turns weights into rewards.

Action j owns the block ``Ψ_j = diag(x_·j) Z``, and ``Ψ = [Ψ_1 … Ψ_M]`` is the row-wise Khatri–Rao
(face-splitting) product of the activations ``X`` (T × M) and the latents ``Z`` (T × d). All that
a greedy solver asks of it, the correlations of every block with a residual ``u``, is the product
``Xᵀ (u ⊙ Z)``, so Ψ itself (T × M·d) never has to exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

from sparseact.arguments import LARGEST, MOST_ACTIONS, integer, numbers
from sparseact.threads import over

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

# Above this share of non-zero activations a dense product beats a sparse one (BLAS against CSR).
_DENSE_FROM = 1 / 8
# Actions that are looked up one by one, each with a scan; more are sliced out together.
_LOOKED_UP = 64
# Rounds of a dense log that are made of double precision at a time.
_AT_A_TIME = 512
# Rounds of a dense log that are squared at a time: in cache, they are read again at once.
_SQUARED_AT_A_TIME = 128
# Products in a look at a dense log from which it takes longer than to choose what to look for.
_LARGE = 2**20
# Rounds are few, and looked for one by one, where they are less than one in so many.
_FEW = 8
# Rows of a product up to which the compiled one is faster than BLAS.
_NARROW = 16
# Prefixes that share one matrix product: more waste arithmetic on zeros, fewer waste BLAS's speed.
_PREFIXES_PER_PRODUCT = 4


class BlockDesign(Protocol):
    """What a block-greedy solver needs to know of a design matrix (T × M·d).

    Every method takes *prefixes*: ``lengths`` (p,) ascending numbers of rounds, so that the log of
    one experiment stopped at several times is worked on once. ``rows`` names the rounds that a
    result is wanted for, in any order; None means all of them.
    """

    @property
    def n_rounds(self) -> int:
        """T, the number of rows."""

    @property
    def n_blocks(self) -> int:
        """M, the number of blocks."""

    @property
    def block_size(self) -> int:
        """d, the number of columns of a block."""

    @property
    def unused(self) -> Ints:
        """Blocks that are zero in every round, ascending: they can never be selected."""

    @property
    def coverage(self) -> Floats:
        """(M,) how much each block was used; 0 where it is zero in every round."""

    def touched(self, blocks: Ints) -> Ints | None:
        """Rounds in which any of the blocks is not zero; None for all."""

    def correlate_start(self, rewards: Floats, lengths: Ints) -> Floats:
        """(p, M, d) Ψ_jᵀ r over each prefix."""

    def correlate_prefixes(
        self, residuals: Floats, lengths: Ints, rows: Ints | None
    ) -> tuple[Ints | None, Floats]:
        """(p, A, d) Ψ_jᵀ u_i for residuals (p, R) that are zero beyond each prefix.

        For the A actions that were used in those rounds, which come first, or None for all.
        """

    def gram_prefixes(self, lengths: Ints) -> Floats:
        """(p, M, d, d) Ψ_jᵀ Ψ_j over each prefix."""

    def columns(self, blocks: Ints, rows: Ints | None) -> Floats:
        """(m, d, R) the columns of each block named, transposed."""


class Divisible(BlockDesign, Protocol):
    """A design whose rounds can be told apart."""

    def rounds(self, which: npt.NDArray[np.bool_]) -> BlockDesign:
        """The design of some of the rounds."""


def prefix_lengths(lengths: Sequence[int] | npt.ArrayLike, n_rounds: int) -> Ints:
    """Check the lengths of the prefixes of a log (p,).

    Raises
    ------
    ValueError
        If they are not integers, strictly ascending within 1 … T, or T is not positive.
    TypeError
        If T is not an integer.
    """
    integer(n_rounds, "n_rounds", low=1)
    try:
        ends = np.asarray(lengths)
    except ValueError as error:
        raise ValueError(f"numbers of rounds must have shape (p,): {error}") from None
    if ends.size and ends.dtype.kind not in "iu":
        raise ValueError(f"numbers of rounds must be integers, got dtype {ends.dtype}")
    if (
        ends.ndim != 1
        or ends.size == 0
        or ends[0] < 1
        or ends[-1] > n_rounds
        or (ends[1:] <= ends[:-1]).any()
    ):
        raise ValueError(
            f"numbers of rounds must be strictly ascending between 1 and {n_rounds}, "
            f"got {ends.tolist()}"
        )
    return ends.astype(np.intp, copy=False)


class KhatriRaoDesign(LinearOperator):  # type: ignore[misc]
    """The design of a log of latents and activations, never materialised.

    Parameters
    ----------
    latents : array (T, d)
        Latent state of each round.
    activations : array or scipy sparse (T, M)
        How strongly each action was used in each round. A sparse matrix stays sparse, an array of
        single precision stays one; sums are of double precision in any case.
    compiled : bool
        Whether :func:`sparseact.block_omp` is to solve with code that numba compiles. Starting that
        takes about a second, and pays for large logs, or many of them.

    Raises
    ------
    ValueError
        If a shape does not fit, a value is NaN, infinite or above 1e30, or a dimension is empty.
    ImportError
        If code is to be compiled and numba is not there: install ``sparseact[fast]``.

    Notes
    -----
    As a :class:`scipy.sparse.linalg.LinearOperator` it has shape (T, M·d); column ``j*d + i`` is
    ``x_·j * z_·i``.

    Examples
    --------
    >>> import numpy as np
    >>> design = KhatriRaoDesign(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1, 0], [1, -1]]))
    >>> design.shape
    (2, 4)
    >>> design.to_dense()
    array([[ 1.,  2.,  0.,  0.],
           [ 3.,  4., -3., -4.]])
    """

    compiled = False
    # Of compiled designs of action ids: the ids (T, B), and how many there are before each action.
    _table: Any = None
    _starts: Any = None

    def __init__(
        self,
        latents: npt.ArrayLike,
        activations: npt.ArrayLike | sp.spmatrix,
        *,
        compiled: bool = False,
    ) -> None:
        self.compiled = compiled
        if not sp.issparse(activations):
            single = getattr(activations, "dtype", None) == np.float32
            self.activations = _matrix(activations, "activations", single=single)
            self._hold(_matrix(latents, "latents"), self.activations.shape)
            return
        if np.ndim(activations) != 2:
            raise ValueError(f"activations must be two-dimensional, got {np.shape(activations)}")
        csr = sp.csr_array(activations)
        if not csr.has_canonical_format:
            csr = csr.copy()  # what is handed in stays as it is
            csr.sum_duplicates()
        csr.data = numbers(csr.data, "activations", largest=LARGEST)
        self.activations = csr
        self._hold(_matrix(latents, "latents"), csr.shape)

    @classmethod
    def from_actions(
        cls,
        latents: npt.ArrayLike,
        actions: npt.ArrayLike,
        n_actions: int,
        *,
        compiled: bool = False,
    ) -> KhatriRaoDesign:
        """Design of a log of action ids.

        Parameters
        ----------
        latents : array (T, d)
        actions : integer array (T,) or (T, B)
            The action, or the B distinct actions, of each round, from 0 to ``n_actions - 1``.
        n_actions : int
            M, at most 10 million. Sets that hold an eighth of all actions or more are stored dense,
            where the products are faster.
        compiled : bool
            As for the constructor.

        Raises
        ------
        ValueError
            If an id is out of range or repeated within a round, a shape does not fit, or
            ``n_actions`` is out of range.
        TypeError
            If the ids or ``n_actions`` are not integers.
        ImportError
            As for the constructor.
        """
        n_actions = integer(n_actions, "n_actions", 1, MOST_ACTIONS)
        try:
            ids = np.asarray(actions)
        except ValueError as error:
            raise ValueError(f"actions must have shape (T,) or (T, B): {error}") from None
        if not np.issubdtype(ids.dtype, np.integer):
            raise TypeError(f"actions must be integer ids, got dtype {ids.dtype}")
        if ids.ndim == 1:
            ids = ids[:, None]
        if ids.ndim != 2 or ids.size == 0:
            raise ValueError(f"actions must have shape (T,) or (T, B), got {np.shape(actions)}")
        n_rounds, per_round = ids.shape
        if compiled and per_round < _DENSE_FROM * n_actions:
            from sparseact.compiled.log import table_of

            table, starts, fine = table_of(ids.astype(np.int64, copy=False), n_actions)
            if fine:
                design = cls.__new__(cls)
                design.compiled, design._table, design._starts = True, table, starts
                design._hold(_matrix(latents, "latents"), (n_rounds, n_actions))
                return design
        if ids.min() < 0 or ids.max() >= n_actions:
            worst = ids.min() if ids.min() < 0 else ids.max()
            raise ValueError(
                f"action ids must lie between 0 and n_actions - 1 = {n_actions - 1}, got {worst}"
            )
        table = ids.astype(np.int32)
        if per_round > 1:
            table.sort(axis=1)
            repeated = table[:, 1:] == table[:, :-1]
            if repeated.any():
                first = int(repeated.any(axis=1).argmax())
                raise ValueError(f"round {first} names an action twice; each set must be distinct")
        if per_round >= _DENSE_FROM * n_actions and n_actions > 1:
            dense = np.zeros((n_rounds, n_actions))
            np.put_along_axis(dense, table, 1.0, axis=1)
            return cls._of(_matrix(latents, "latents"), dense, compiled=compiled)
        return cls._of(_matrix(latents, "latents"), rows_of_ones(table, n_actions))

    @classmethod
    def _of(cls, latents: Floats, activations: Any, *, compiled: bool = False) -> KhatriRaoDesign:
        """The design of what is already as the constructor would have it."""
        design = cls.__new__(cls)
        design.compiled, design.activations = compiled, activations
        design._hold(latents, activations.shape)
        return design

    def _hold(self, latents: Floats, shape: tuple[int, int]) -> None:
        if shape[0] != latents.shape[0]:
            raise ValueError(
                f"latents and activations must have one row a round: got {latents.shape[0]} "
                f"rows of latents and {shape[0]} of activations"
            )
        if 0 in latents.shape or 0 in shape:
            raise ValueError(
                "a design needs at least one round, one latent dimension and one action: "
                f"latents are {latents.shape}, activations {shape}"
            )
        if self.compiled:
            import sparseact.compiled.product  # noqa: F401  what is missing is told here
        self.latents = latents
        self._found: dict[int, tuple[Ints, Floats]] = {}  # rounds and values of actions looked up
        super().__init__(np.dtype(np.float64), (len(latents), shape[1] * latents.shape[1]))

    # -- what it is ---------------------------------------------------------------------------

    @property
    def n_rounds(self) -> int:
        """T, the number of rounds."""
        return int(self.latents.shape[0])

    @property
    def n_blocks(self) -> int:
        """M, the number of actions."""
        return int(self.shape[1]) // self.block_size

    @property
    def block_size(self) -> int:
        """d, the latent dimension."""
        return int(self.latents.shape[1])

    @cached_property
    def activations(self) -> Any:
        """(T, M) how strongly each action was used in each round: an array, or in sparse rows."""
        return rows_of_ones(self._table, self.n_blocks)

    @property
    def is_sparse(self) -> bool:
        """Whether activations are stored sparse."""
        return self._table is not None or bool(sp.issparse(self.activations))

    @property
    def is_large(self) -> bool:
        """Whether the log is dense, and a look at it worth sparing."""
        return not self.is_sparse and self.activations.size * self.block_size >= _LARGE

    def head(self, n_rounds: int) -> KhatriRaoDesign:
        """The design of the first rounds of the log.

        Raises
        ------
        ValueError
            If there are not that many.
        TypeError
            If ``n_rounds`` is not an integer.
        """
        return self.rounds(slice(integer(n_rounds, "n_rounds", 1, self.n_rounds)))

    def rounds(self, which: npt.NDArray[np.bool_] | slice) -> KhatriRaoDesign:
        """The design of some of the rounds."""
        return self._of(self.latents[which], self.activations[which], compiled=self.compiled)

    def of_actions(self, actions: Ints) -> KhatriRaoDesign:
        """The design of a few actions of a dense log, of double precision."""
        few = np.ascontiguousarray(self.activations_of(actions))
        return self._of(self.latents, few, compiled=self.compiled)

    @cached_property
    def coverage(self) -> Floats:
        """(M,) ``‖x_·j‖²``; for 0/1 activations, the number of rounds action j was used in."""
        if self._starts is not None:
            return np.diff(self._starts).astype(np.float64)
        if self.is_sparse:
            return np.asarray(squared(self.activations).T @ np.ones(self.n_rounds))
        return np.einsum("tm,tm->m", self.activations, self.activations, dtype=np.float64)

    @cached_property
    def unused(self) -> Ints:
        """Actions that were never used, ascending."""
        if self._starts is not None:
            return np.flatnonzero(self._starts[1:] == self._starts[:-1])
        if self.is_sparse:
            return np.flatnonzero(self.coverage == 0)
        left, start = np.arange(self.n_blocks), 0
        while left.size and start < self.n_rounds:  # a few rounds rule most of them out
            end = min(2 * start + 1, start + _AT_A_TIME)
            left = left[~self.activations[start:end, left].any(axis=0)]
            start = end
        return left

    def blocks(self, support: Sequence[int] | npt.ArrayLike) -> Floats:
        """(T, m·d) the blocks of the actions in ``support``, side by side.

        Raises
        ------
        IndexError
            If an action is out of range.
        TypeError
            If the actions are not integers.
        ValueError
            If ``support`` is not one-dimensional.
        """
        chosen = np.atleast_1d(np.asarray(support))
        if chosen.ndim != 1:
            raise ValueError(f"support must have shape (m,), got {chosen.shape}")
        if chosen.size and not np.issubdtype(chosen.dtype, np.integer):
            raise TypeError(f"support must be integer actions, got dtype {chosen.dtype}")
        chosen = chosen.astype(np.intp)
        if chosen.size and (chosen.min() < 0 or chosen.max() >= self.n_blocks):
            raise IndexError(f"support must lie between 0 and {self.n_blocks - 1}, got {chosen}")
        return self.columns(chosen, None).reshape(-1, self.n_rounds).T

    def to_dense(self) -> Floats:
        """Ψ itself, (T, M·d): for small problems and for tests."""
        return self.blocks(np.arange(self.n_blocks))

    def correlate(self, u: npt.ArrayLike) -> Floats:
        """(M, d) the correlations ``Ψ_jᵀ u`` of every block with a vector ``u`` (T,).

        Raises
        ------
        ValueError
            If ``u`` is not a finite vector of length T, or above 1e30.
        """
        return self._project(numbers(u, "u", (self.n_rounds,), largest=LARGEST))

    # -- what a solver asks of it: see BlockDesign ------------------------------------------------

    def touched(self, blocks: Ints) -> Ints | None:
        """Rounds in which any of the actions was used; None where X is dense."""
        if not self.is_sparse:
            return None
        if len(blocks) == 1:
            return self._look_up(int(blocks[0]))[0]
        used = [self._look_up(int(j))[0] for j in blocks]
        return np.unique(np.concatenate([np.empty(0, dtype=np.intp), *used]))

    def correlate_start(self, rewards: Floats, lengths: Ints) -> Floats:
        """(p, M, d) ``Ψ_jᵀ r`` over each prefix: sums over the rounds from one to the next."""
        if len(lengths) == 1:
            return self._correlate(rewards, lengths[0])[None]
        steps = []
        for start, end in zip([0, *lengths[:-1]], lengths, strict=True):
            steps.append(self._correlate(rewards, end, start))
            if start:
                steps[-1] += steps[-2]
        return np.stack(steps)

    def correlate_prefixes(
        self, residuals: Floats, lengths: Ints, rows: Ints | None
    ) -> tuple[Ints | None, Floats]:
        """(p, A, d) ``Ψ_jᵀ u_i`` for residuals (p, R) that are zero beyond each prefix.

        For the A actions that were used in those rounds; None for all.
        """
        p, d = len(lengths), self.block_size
        if self.is_sparse:
            latents, X, actions = self.latents, self.activations, None
            if rows is not None:
                latents, X = latents[rows], X[rows]
                if 2 * X.nnz < self.n_blocks:
                    actions, places = np.unique(X.indices, return_inverse=True)
                    X = sp.csr_array((X.data, places, X.indptr), shape=(len(rows), len(actions)))
            weighted = (residuals.T[:, :, None] * latents[:, None, :]).reshape(-1, p * d)
            return actions, (X.T @ weighted).reshape(-1, p, d).transpose(1, 0, 2)
        # Rounds up to each group's last prefix are multiplied once, only for prefixes that reach
        # them: a product over all rounds would spend most of its time on the zeros of the short.
        latents = self._by_dimension if rows is None else self._by_dimension[:, rows]
        flat = (residuals[:, None, :] * latents).reshape(p * d, -1)
        out = np.empty((p * d, self.n_blocks))
        start = 0
        for first in range(0, p, _PREFIXES_PER_PRODUCT):
            end = int(lengths[min(first + _PREFIXES_PER_PRODUCT, p) - 1])
            part = flat[first * d :, start:end]
            if start == 0:
                self._multiply(part, self.activations[:end], out)
            elif start < end:
                out[first * d :] += self._multiply(part, self.activations[start:end])
            start = end
        return None, out.reshape(p, d, -1).transpose(0, 2, 1)

    def gram_prefixes(self, lengths: Ints) -> Floats:
        """(p, M, d, d) ``Ψ_jᵀ Ψ_j = Σ_t x_tj² z_t z_tᵀ`` over each prefix; M varies fastest."""
        p, d = len(lengths), self.block_size
        step = self.n_rounds if self.is_sparse else _SQUARED_AT_A_TIME
        places = places_in_triangle(d)
        products = self._products_of_latents
        out = np.empty((p, d, d, self.n_blocks))
        total = np.zeros((len(products), self.n_blocks))
        for i, (begin, end) in enumerate(zip([0, *lengths[:-1]], lengths, strict=True)):
            for start in range(begin, end, step):
                part = slice(start, min(start + step, end))
                total += products[:, part] @ squared(self.activations[part])
            out[i] = total[places]
        return out.transpose(0, 3, 1, 2)

    def cross_grams(self, actions: Ints) -> Floats:
        """(n, d(d + 1)/2, M) ``Ψ_sᵀ Ψ_j`` of some actions with all: lower triangles. X is dense."""
        used = np.ascontiguousarray(self.activations_of(actions).T)
        rows = used[:, None, :] * self._products_of_latents
        flat = self._multiply(rows.reshape(-1, self.n_rounds), self.activations)
        return flat.reshape(len(actions), -1, self.n_blocks)

    def columns(self, blocks: Ints, rows: Ints | None) -> Floats:
        """(m, d, R) the columns of each action named, transposed."""
        if rows is None:
            used = np.ascontiguousarray(self.activations_of(blocks).T)
            return used[:, None, :] * self._by_dimension
        if self.is_sparse and _FEW * len(rows) < self.n_rounds:
            used = self._activations_in(blocks, rows)
        else:
            used = self.activations_of(blocks).T[:, rows]
        return used[:, None, :] * np.ascontiguousarray(self.latents[rows].T)

    def activations_of(self, actions: npt.ArrayLike) -> Floats:
        """(T, m) the activations of the actions named."""
        chosen = np.asarray(actions, dtype=np.intp)
        if not self.is_sparse:
            return np.asarray(self.activations[:, chosen], dtype=np.float64)
        if len(chosen) > _LOOKED_UP:
            return np.asarray(self.activations[:, chosen].toarray())
        used = np.zeros((len(chosen), self.n_rounds))
        for row, j in zip(used, chosen, strict=True):
            rounds, values = self._look_up(int(j))
            row[rounds] = values
        return used.T

    def _activations_in(self, actions: Ints, rows: Ints) -> Floats:
        """(m, R) the activations of the actions named in a few rounds, in any order."""
        order = np.argsort(rows)
        ascending = rows[order]
        used = np.zeros((len(actions), len(rows)))
        for row, j in zip(used, actions, strict=True):
            rounds, values = self._look_up(int(j))
            place = np.searchsorted(ascending, rounds)
            there = place < len(rows)
            there[there] = ascending[place[there]] == rounds[there]
            row[order[place[there]]] = values[there]
        return used

    def _look_up(self, action: int) -> tuple[Ints, Floats]:
        """The rounds that used an action, ascending, and how strongly: a scan of a sparse log.

        An index by action would cost several scans, and as much memory as the log.
        """
        if action not in self._found and self._table is not None:
            starts, rounds, _ = self._entries[3:]
            used = rounds[starts[action] : starts[action + 1]].astype(np.intp)
            self._found[action] = used, np.ones(len(used))
        elif action not in self._found:
            places = np.flatnonzero(self.activations.indices == action)
            rounds = np.searchsorted(self.activations.indptr, places, side="right") - 1
            self._found[action] = rounds, self.activations.data[places]
        return self._found[action]

    def _correlate(self, vector: Floats, end: int, start: int = 0) -> Floats:
        """(M, d) ``Xᵀ (u ⊙ Z)`` over some rounds."""
        X, latents = self.activations, self.latents
        if (start, end) != (0, self.n_rounds):
            X, vector, latents = X[start:end], vector[start:end], latents[start:end]
        if sp.issparse(X):
            return np.asarray(X.T @ (vector[:, None] * latents))
        return self._multiply(vector * latents.T, X).T

    def _multiply(self, rows: Floats, X: Any, out: Floats | None = None) -> Floats:
        """(n, M) rows (n, R) times dense activations (R, M)."""
        if out is None:
            out = np.empty((len(rows), X.shape[1]))
        if self.compiled and len(rows) <= _NARROW:
            from sparseact.compiled.product import narrow_product

            narrow_product(rows, X, out)
            return out

        def columns(which: slice) -> None:
            if X.dtype == np.float64:
                np.matmul(rows, X[:, which], out=out[:, which])
                return
            out[:, which] = 0.0
            for start in range(0, len(X), _AT_A_TIME):
                part = slice(start, start + _AT_A_TIME)
                out[:, which] += rows[:, part] @ X[part, which].astype(np.float64)

        over(columns, X.shape[1])
        return out

    def compiled_log(self, rewards: Floats) -> Any:
        """The log as compiled code takes it."""
        from sparseact.compiled.greedy import Log

        pointers, actions, values, starts, rounds, strengths = self._entries
        return Log(pointers, actions, values, starts, rounds, strengths, self.latents, rewards)

    @cached_property
    def _entries(self) -> tuple[Any, ...]:
        """Activations by rounds and by actions, as in :class:`sparseact.compiled.greedy.Log`."""
        rows: tuple[Any, ...]
        if not self.is_sparse:
            T, M = self.activations.shape
            rows = np.arange(0, T * M + 1, M), np.tile(np.arange(M, dtype=np.int32), T)
            starts, rounds = np.arange(0, T * M + 1, T), np.tile(np.arange(T, dtype=np.int32), M)
            return *rows, self.activations.ravel(), starts, rounds, self.activations.T.ravel()
        from sparseact.compiled.log import by_action

        if self._table is None:
            X = self.activations
            rows = X.indptr, X.indices, X.data
            starts = np.append(0, np.cumsum(np.bincount(X.indices, minlength=self.n_blocks)))
        else:
            starts = self._starts
            rows = _pointers(self._table), self._table.ravel(), np.empty(0)
        rounds, strengths = by_action(rows[0], rows[1], rows[2], starts)
        return (*rows, starts, rounds, strengths)

    @property
    def _products_of_latents(self) -> Floats:
        """(d(d + 1)/2, T) the lower triangle of ``z_t z_tᵀ``."""
        row, column = np.tril_indices(self.block_size)
        return self._by_dimension[row] * self._by_dimension[column]

    @cached_property
    def _by_dimension(self) -> Floats:
        return np.ascontiguousarray(self.latents.T)

    # -- the linear operator ---------------------------------------------------------------------

    def _project(self, vector: Floats) -> Floats:
        """(M, d) ``Xᵀ (u ⊙ Z)``."""
        return self._correlate(vector, self.n_rounds)

    def _matvec(self, x: Floats) -> Floats:
        weights = np.asarray(x).reshape(self.n_blocks, self.block_size)
        return np.einsum("td,td->t", np.asarray(self.activations @ weights), self.latents)

    def _rmatvec(self, x: Floats) -> Floats:
        return self._project(np.asarray(x).reshape(-1)).ravel()


def places_in_triangle(d: int) -> Ints:
    """(d, d) where the entries of a symmetric matrix are in its lower triangle, row by row."""
    row, column = np.tril_indices(d)
    places = np.empty((d, d), dtype=np.intp)
    places[row, column] = places[column, row] = np.arange(len(row))
    return places


def _pointers(table: Any) -> Ints:
    """(T + 1,) where the ids (T, B) of each round start."""
    return np.arange(0, table.size + 1, table.shape[1])


def rows_of_ones(table: Any, n_actions: int) -> Any:
    """(T, M) in sparse rows, 1 where a table (T, B) has an action's id."""
    data = np.ones(table.size), table.ravel(), _pointers(table)
    return sp.csr_array(data, shape=(len(table), n_actions))


def squared(matrix: Any) -> Any:
    """The squares of a matrix' entries, sparse if it is."""
    if not sp.issparse(matrix):
        return np.square(matrix, dtype=np.float64)
    squares = matrix.data * matrix.data
    return sp.csr_array((squares, matrix.indices, matrix.indptr), shape=matrix.shape)


def _matrix(values: npt.ArrayLike, name: str, *, single: bool = False) -> Floats:
    """A C-contiguous float matrix, or a ValueError that names the argument."""
    matrix = numbers(values, name, largest=LARGEST, what="a matrix", single=single)
    if matrix.ndim != 2:
        raise ValueError(f"{name} must be two-dimensional, got shape {matrix.shape}")
    return np.ascontiguousarray(matrix)
