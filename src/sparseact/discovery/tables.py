"""Files of logs, read in pieces: Parquet, CSV, JSON lines and netCDF, told by their suffix.

Files may be larger than memory. What a row holds is for :mod:`sparseact.discovery.cells` to say.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import NamedTuple

import polars as pl

from sparseact.discovery import json_lines
from sparseact.discovery.pieces import LogError, Piece, batches, unreadable

# Names of columns that a message lists.
_LISTED = 20


class Table(NamedTuple):
    """A file of rounds.

    Attributes
    ----------
    path : str
    columns : tuple of str
        Their names.
    read : callable
        From the names of columns, which of them holds actions, and how many rounds are wanted at
        a time, to frames of them.
    """

    path: str
    columns: tuple[str, ...]
    read: Callable[[Sequence[str], str, int], Iterator[pl.DataFrame]]

    def pieces(self, columns: Sequence[str], actions: str, n_rounds: int) -> Iterator[Piece]:
        """The columns, some rounds at a time.

        Raises
        ------
        LogError
            If the file has no rounds, or is not of its format.
        """
        start = 0
        for frame in self.read(list(dict.fromkeys(columns)), actions, n_rounds):
            yield Piece(self.path, frame, start)
            start += len(frame)
        if not start:
            raise LogError(f"{self.path} has no rounds")

    def require(self, column: str) -> None:
        """Raise a LogError, with what the file has instead, unless it has a column."""
        if column in self.columns:
            return
        near = difflib.get_close_matches(column, self.columns, n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        raise LogError(
            f"{self.path} has no column {column!r}{meant}; it has: {_listed(self.columns)}"
        )

    def matching(self, patterns: Sequence[str], beside: Sequence[str]) -> list[str]:
        """Columns that are named, or match a pattern and are none of those ``beside``.

        Raises
        ------
        LogError
            If a column is missing, or nothing matches a pattern.
        """
        found: dict[str, None] = {}
        for pattern in patterns:
            if pattern in self.columns or not set("*?[") & set(pattern):
                self.require(pattern)
                found[pattern] = None
                continue
            like = [c for c in self.columns if fnmatchcase(c, pattern) and c not in beside]
            if not like:
                raise LogError(
                    f"{self.path} has no column like {pattern!r}; it has: {_listed(self.columns)}"
                )
            found.update(dict.fromkeys(like))
        return list(found)


def _listed(columns: Sequence[str]) -> str:
    more = [f"and {len(columns) - _LISTED} more"] if len(columns) > _LISTED else []
    shown = [name if name.isprintable() else repr(name) for name in columns[:_LISTED]]
    return ", ".join([*shown, *more]) or "none"


def open_table(path: str) -> Table:
    """A file, of which only its columns have been looked at.

    Raises
    ------
    LogError
        If there is no such file, its suffix is unknown, or it is empty or not of its format.
    """
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix not in _OPEN:
        known = ", ".join(_OPEN)
        raise LogError(f"{path} must have one of the suffixes {known}, which tell its format")
    if not file.is_file():
        raise LogError(f"{path} is not a file" if file.exists() else f"there is no file {path}")
    try:
        if not file.stat().st_size:
            raise LogError(f"{path} is empty")
        return _OPEN[suffix](path)
    except OSError as error:
        raise LogError(f"{path} cannot be read: {error.strerror or error}") from None


def _open_parquet(path: str) -> Table:
    scan = partial(pl.scan_parquet, path, glob=False)
    try:
        columns = tuple(scan().collect_schema())
    except pl.exceptions.PolarsError as error:
        raise unreadable(path, "Parquet", error) from None
    return Table(path, columns, partial(_parquet_frames, path))


def _parquet_frames(
    path: str, columns: Sequence[str], actions: str, n_rounds: int
) -> Iterator[pl.DataFrame]:
    try:
        yield from batches(pl.scan_parquet(path, glob=False).select(columns), n_rounds)
    except pl.exceptions.PolarsError as error:
        raise unreadable(path, "Parquet", error) from None


def _open_csv(path: str) -> Table:
    try:
        columns = tuple(pl.scan_csv(path, infer_schema=False, glob=False).collect_schema())
    except pl.exceptions.PolarsError as error:
        raise unreadable(path, "CSV", error) from None
    if len(columns) == 1:
        for other, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if other in columns[0]:
                raise LogError(
                    f"{path}: its header has {name}, no commas: write its fields with commas "
                    "between them"
                )
    return Table(path, columns, partial(_csv_frames, path))


def _csv_frames(
    path: str, columns: Sequence[str], actions: str, n_rounds: int
) -> Iterator[pl.DataFrame]:
    # As text: a guess at the type of a column would hide which value does not fit it.
    scan = pl.scan_csv(path, infer_schema=False, glob=False)
    filled = scan.filter(pl.any_horizontal(pl.all().is_not_null()))  # empty lines are no rounds
    try:
        yield from batches(filled.select(columns), n_rounds)
    except pl.exceptions.PolarsError as error:
        _refuse_long_rows(path)
        raise unreadable(path, "CSV", error) from None


def _refuse_long_rows(path: str) -> None:
    """Raise a LogError if a row has more fields than the header."""
    with Path(path).open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = csv.reader(file)
        width, row = len(next(rows)), 0
        try:
            for fields in rows:
                row += any(fields)
                if len(fields) > width:
                    raise LogError(
                        f"{path}, row {row}: {len(fields)} fields, but the header names {width}; "
                        'a field with a comma in it must stand in "quotes"'
                    )
        except csv.Error:
            return


def _open_json_lines(path: str) -> Table:
    first = json_lines.examples(path)
    return Table(path, tuple(first), partial(json_lines.frames, path, first))


def _open_netcdf(path: str) -> Table:
    from sparseact.discovery import netcdf

    return Table(path, netcdf.columns(path), partial(netcdf.frames, path))


_OPEN: dict[str, Callable[[str], Table]] = {
    ".parquet": _open_parquet,
    ".csv": _open_csv,
    ".jsonl": _open_json_lines,
    ".ndjson": _open_json_lines,
    ".nc": _open_netcdf,
}
