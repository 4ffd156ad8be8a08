"""JSON lines: an object a round. The first rounds tell of what kind the value of each key is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import polars as pl

from sparseact.discovery.pieces import LogError, batches, unreadable

Kind = Literal["nothing", "number", "truth", "text", "list", "object"]

# Rounds in which every key must occur, and with a value that tells its kind.
_FIRST = 1000


def kinds(path: str) -> dict[str, Kind]:
    """The keys of the first rounds, with the kind of their first value.

    Raises
    ------
    LogError
        If one of those rounds is not a JSON object.
    """
    found: dict[str, Kind] = {}
    for _, values in islice(_rows(path), _FIRST):
        for key, value in values.items():
            if found.get(key, "nothing") == "nothing":
                found[key] = _kind(value)
    return found


def frames(
    path: str, known: Mapping[str, Kind], columns: Sequence[str], actions: str, n_rounds: int
) -> Iterator[pl.DataFrame]:
    """The values of some keys, some rounds at a time; None where a round does not have a key.

    Raises
    ------
    LogError
        If a round is not a JSON object, or a value not of the kind of those before it.
    """
    wanted = {column: known[column] for column in columns}
    for column, kind in wanted.items():
        if kind == "object":
            raise LogError(f"{path}, column {column!r}: objects cannot be used; log their parts")
    schema = {column: _dtype(kind, column == actions) for column, kind in wanted.items()}
    scan = pl.scan_ndjson(path, schema=schema).select(columns)
    doubted = False
    try:
        for frame in batches(scan, n_rounds):
            # What is no text is read as text, if text is wanted.
            if not doubted and actions in wanted and _nested(frame[actions]):
                _refuse_misfits(path, wanted)
                doubted = True
            yield frame
    except pl.exceptions.PolarsError as error:
        _refuse_misfits(path, wanted)
        raise unreadable(path, "JSON lines", error) from None


def _dtype(kind: Kind, names: bool) -> pl.DataType | type[pl.DataType]:
    if kind == "list":
        return pl.List(pl.String if names else pl.Float64)
    return pl.String if names else {"number": pl.Float64, "truth": pl.Boolean}.get(kind, pl.String)


def _nested(names: pl.Series) -> bool:
    flat = names.explode() if isinstance(names.dtype, pl.List) else names
    return bool(flat.str.contains(r"^[\[{]").any())


def _refuse_misfits(path: str, wanted: Mapping[str, Kind]) -> None:
    """Raise a LogError about the first round that is no object, or has another kind of value."""
    for row, values in _rows(path):
        for column, kind in wanted.items():
            value = values.get(column)
            inner = {_kind(one) for one in value} if isinstance(value, list) else set()
            if _kind(value) not in ("nothing", kind) or inner & {"list", "object"}:
                got = json.dumps(value, ensure_ascii=False)
                shown = got if len(got) <= 40 else f"{got[:39]}…"
                plain = f"a {kind} is wanted" + ", as in the first rounds" * (kind != "nothing")
                raise LogError(f"{path}, row {row}, column {column!r}: {plain}, got {shown}")


def _rows(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each round, numbered from 1; empty lines are none."""
    row = 0
    with Path(path).open("rb") as file:
        for line in file:
            if not line.strip():
                continue
            row += 1
            try:
                values = json.loads(line, parse_constant=_no_constant)
            except ValueError as error:
                raise LogError(f"{path}, row {row}: not JSON: {error}") from None
            if not isinstance(values, dict):
                raise LogError(f"{path}, row {row}: a JSON object is wanted, one a line")
            yield row, values


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number; null stands for a missing one")


def _kind(value: Any) -> Kind:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, list) else "object"
