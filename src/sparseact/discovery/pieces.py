"""Pieces of a log, and how it is said that one cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, NoReturn

import polars as pl


class LogError(ValueError):
    """A log cannot be used; one sentence that names the file, and its column and row."""


class Piece(NamedTuple):
    """Some rounds of a log.

    Attributes
    ----------
    path : str
        Of the file.
    frame : DataFrame
        A row a round.
    start : int
        Rounds before it.
    """

    path: str
    frame: pl.DataFrame
    start: int

    def refuse(self, column: str, problem: str, row: int | None = None) -> NoReturn:
        """Raise a LogError about a column, or about its value in a row of the piece (from 0)."""
        where = "" if row is None else f"row {self.start + row + 1}, "
        raise LogError(f"{self.path}, {where}column {column!r}: {problem}")


def batches(scan: pl.LazyFrame, n_rounds: int) -> Iterator[pl.DataFrame]:
    """Frames of some rounds, in order, of a scan that memory need not hold."""
    for frame in scan.collect_batches(chunk_size=n_rounds, maintain_order=True, lazy=True):
        if len(frame):
            yield frame


def unreadable(path: str, form: str, error: Exception) -> LogError:
    """A LogError about a file that is not of its format."""
    reason = str(error).partition("\n")[0]
    return LogError(f"{path} is not {form} that can be read: {reason}")
