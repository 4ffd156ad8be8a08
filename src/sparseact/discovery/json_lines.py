"""JSON lines: an object a round. The first rounds tell of what kind the value of each key is."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from sparseact.discovery.pieces import LogError, batches, unreadable

# Rounds in one of which every key must occur, with a value that tells its kind.
_FIRST = 1000


def examples(path: str) -> dict[str, Any]:
    """The keys of the first rounds, with the first value of each that is neither null nor empty.

    Raises
    ------
    LogError
        If one of those rounds is not a JSON object.
    """
    found: dict[str, Any] = {}
    for _, values in islice(_rows(path), _FIRST):
        for key, value in values.items():
            if found.get(key) in (None, []):
                found[key] = value
    return found


def frames(
    path: str, first: Mapping[str, Any], columns: Sequence[str], actions: str, n_rounds: int
) -> Iterator[pl.DataFrame]:
    """The values of some keys, some rounds at a time; None where a round does not have a key.

    Raises
    ------
    LogError
        If a round is not a JSON object, or a value not of the kind of the first.
    """
    kinds = {column: _kind(first[column]) for column in columns}
    for column, kind in kinds.items():
        if kind == "an object":
            raise LogError(f"{path}, column {column!r}: objects cannot be used; log their parts")
    schema = {column: _dtype(first[column], column == actions) for column in columns}
    # A name may hold what would stand for others.
    scan = pl.scan_ndjson(glob.escape(path), schema=schema).select(columns)
    doubted = False
    try:
        for frame in batches(scan, n_rounds):
            # What is no text is read as text, if text is wanted.
            if not doubted and actions in columns and _nested(frame[actions]):
                _refuse_misfits(path, kinds)
                doubted = True
            yield frame
    except pl.exceptions.PolarsError as error:
        _refuse_misfits(path, kinds)
        raise unreadable(path, "JSON lines", error) from None


def _dtype(example: Any, names: bool) -> pl.DataType:
    if isinstance(example, list):
        numeric = not names and all(_kind(one) == "a number" for one in example)
        return pl.List(pl.Float64 if numeric else pl.String)
    if names:
        return pl.String()
    return {"a number": pl.Float64(), "true or false": pl.Boolean()}.get(
        _kind(example), pl.String()
    )


def _nested(names: pl.Series) -> bool:
    flat = names.explode() if isinstance(names.dtype, pl.List) else names
    return bool(flat.str.contains(r"^[\[{]").any())


def _refuse_misfits(path: str, kinds: Mapping[str, str]) -> None:
    """Raise a LogError about the first round that is no object, or has another kind of value."""
    for row, values in _rows(path):
        for column, kind in kinds.items():
            value = values.get(column)
            inner = {_kind(one) for one in value} if isinstance(value, list) else set()
            if inner & {"a list", "an object"}:
                problem = "a list of plain values is wanted"
            elif kind == "null" and isinstance(value, list):
                problem = f"a list must occur in the first {_FIRST:,} rounds already"
            elif "null" not in (kind, _kind(value)) and _kind(value) != kind:
                problem = f"{kind} is wanted, as in the first rounds"
            else:
                continue
            got = json.dumps(value, ensure_ascii=False)
            shown = got if len(got) <= 40 else f"{got[:39]}…"
            raise LogError(f"{path}, row {row}, column {column!r}: {problem}, got {shown}")


def _rows(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each round, numbered from 1; empty lines are none."""
    row = 0
    with Path(path).open("rb") as file:
        for line in file:
            text = line.strip()
            if not text:
                continue
            row += 1
            try:
                values = json.loads(text.decode(), parse_constant=_no_constant)
            except json.JSONDecodeError as error:
                problem = f"{error.msg}, at character {error.pos + 1}"
                raise LogError(f"{path}, row {row}: not JSON: {problem}") from None
            except (ValueError, RecursionError) as error:
                raise LogError(f"{path}, row {row}: not JSON: {error}") from None
            if not isinstance(values, dict):
                raise LogError(f"{path}, row {row}: a JSON object is wanted, one a line")
            yield row, values


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number; null stands for a missing one")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"
