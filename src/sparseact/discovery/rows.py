"""Numbers that are read piece by piece, and which of them are missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparseact.design import Floats
from sparseact.discovery.pieces import LogError, Piece


class Rows:
    """Numbers of some columns, piece by piece."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._pieces: list[Floats] = []
        self._missing = np.zeros(len(columns), dtype=np.int64)
        self._first = np.zeros(len(columns), dtype=np.int64)  # missing row, from 1
        self._n_rounds = 0
        self.widths: tuple[int, ...] = ()

    def add(self, piece: Piece, *parts: Floats) -> None:
        """Add (n, w) numbers of each column."""
        self.widths = self.widths or tuple(part.shape[1] for part in parts)
        for place, part in enumerate(parts):
            if part.shape[1] != self.widths[place]:
                piece.refuse(
                    self._columns[place],
                    f"a vector of {self.widths[place]} numbers is wanted, got {part.shape[1]}",
                    0,
                )
            rows = np.flatnonzero(np.isnan(part).any(axis=1))
            if rows.size and not self._missing[place]:
                self._first[place] = piece.start + rows[0] + 1
            self._missing[place] += rows.size
        self._n_rounds += len(parts[0])
        self._pieces.append(np.concatenate(parts, axis=1))

    def joined(self, path: str, *, missing: bool = False) -> Floats:
        """(T, d) all of them, which are forgotten as they are joined.

        Parameters
        ----------
        path : str
            Of the log.
        missing : bool
            Whether some of them may be missing: NaN.

        Raises
        ------
        LogError
            If there are missing numbers that may not be: how many, and in which row first.
        """
        for column, n, first in zip(self._columns, self._missing, self._first, strict=True):
            if n == self._n_rounds:
                raise LogError(f"{path}, column {column!r}: no round has a value")
            if n and not missing:
                raise LogError(
                    f"{path}, row {first}, column {column!r}: no value, as in {n} of "
                    f"{self._n_rounds} rounds; fill them in, or leave these rounds out: "
                    "missing: drop"
                )
        whole = np.empty((self._n_rounds, sum(self.widths)))
        end = self._n_rounds
        while self._pieces:
            piece = self._pieces.pop()
            whole[end - len(piece) : end] = piece
            end -= len(piece)
        return whole
