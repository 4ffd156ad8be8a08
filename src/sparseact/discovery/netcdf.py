"""NetCDF files of logs: variables along the dimension ``round``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import netCDF4
import numpy as np
import polars as pl

from sparseact.discovery.pieces import LogError

ROUND = "round"


def columns(path: str) -> tuple[str, ...]:
    """The variables along the rounds.

    Raises
    ------
    LogError
        If the file is not netCDF, or has no dimension ``round``.
    """
    with _opened(path) as file:
        if ROUND not in file.dimensions:
            has = ", ".join(file.dimensions) or "none"
            raise LogError(f"{path} has no dimension {ROUND!r}; its dimensions are: {has}")
        return tuple(name for name, one in file.variables.items() if one.dimensions[:1] == (ROUND,))


def frames(path: str, names: Sequence[str], actions: str, n_rounds: int) -> Iterator[pl.DataFrame]:
    """Some variables, some rounds at a time: those of two dimensions as columns of vectors.

    Raises
    ------
    LogError
        If the file is damaged, or a variable has more dimensions.
    """
    with _opened(path) as file:
        for start in range(0, len(file.dimensions[ROUND]), n_rounds):
            part = slice(start, start + n_rounds)
            try:
                read = [_series(name, file.variables[name], part) for name in names]
            except (OSError, RuntimeError) as error:
                raise LogError(f"{path} is damaged: {error}") from None
            except ValueError as error:
                raise LogError(f"{path}, column {error}") from None
            yield pl.DataFrame(read)


def _opened(path: str) -> netCDF4.Dataset:
    try:
        return netCDF4.Dataset(path)
    except (OSError, RuntimeError) as error:
        raise LogError(f"{path} is not netCDF that can be read: {error}") from None


def _series(name: str, variable: Any, part: slice) -> pl.Series:
    values = variable[part]
    if variable.dtype == "S1" and values.dtype.kind == "S" and values.dtype.itemsize == 1:
        values = netCDF4.chartostring(np.ma.filled(values, b""))
    shape = values.shape
    if len(shape) > 2:
        raise ValueError(f"{name!r}: one or two dimensions are wanted, got {variable.dimensions}")
    missing = np.ma.getmaskarray(values).ravel()
    flat = np.ma.getdata(values).ravel()
    if flat.dtype.kind == "S":
        flat = np.strings.decode(flat, "utf-8")
    column = pl.Series(name, flat.tolist() if flat.dtype.kind in "OUT" else flat)
    if missing.any():
        column = column.zip_with(pl.Series(~missing), pl.Series(name, [None], dtype=column.dtype))
    return column if len(shape) == 1 else column.reshape(shape)
