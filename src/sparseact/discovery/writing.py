"""Tables and logs as files, in the form that the suffix names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import netCDF4
import numpy as np
import polars as pl

from sparseact.files import whole

# Between what a cell of a text file lists.
BETWEEN = ";"


def write_table(table: pl.DataFrame, path: str | Path) -> None:
    """Write a table as CSV, its lists joined by ``;``, or as Parquet, as the suffix says.

    Raises
    ------
    ValueError
        If the suffix is another.
    OSError
        If the file cannot be written; one that was there is as it was.
    """
    _replace(Path(path), {".csv": _csv, ".parquet": pl.DataFrame.write_parquet}, table)


def write_log(log: pl.DataFrame, path: str | Path) -> None:
    """Write a log, a row a round, as Parquet, CSV, JSON lines or netCDF, as the suffix says.

    Raises
    ------
    ValueError
        If the suffix is another.
    OSError
        If the file cannot be written; one that was there is as it was.
    """
    forms: dict[str, _Write] = {
        ".parquet": pl.DataFrame.write_parquet,
        ".csv": _csv,
        ".jsonl": pl.DataFrame.write_ndjson,
        ".ndjson": pl.DataFrame.write_ndjson,
        ".nc": _netcdf,
    }
    _replace(Path(path), forms, log)


_Write = Callable[[pl.DataFrame, Path], None]


def _replace(path: Path, forms: dict[str, _Write], table: pl.DataFrame) -> None:
    write = forms.get(path.suffix.lower())
    if write is None:
        raise ValueError(f"{path} must have one of the suffixes {', '.join(forms)}")
    with whole(path) as partial:
        write(table, partial)


def _csv(table: pl.DataFrame, path: Path) -> None:
    lists = [name for name, dtype in table.schema.items() if isinstance(dtype, pl.List)]
    joined = pl.col(lists).cast(pl.List(pl.String)).list.join(BETWEEN)
    table.with_columns(joined if lists else []).write_csv(path)


def _netcdf(log: pl.DataFrame, path: Path) -> None:
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("round", len(log))
        for column in log:
            if isinstance(column.dtype, pl.List):
                slots = int(column.list.len().to_numpy().max(initial=0))
                file.createDimension("slot", slots)
                values = np.full((len(log), slots), "", dtype=object)
                for row, names in enumerate(column.to_list()):
                    values[row, : len(names)] = names
                file.createVariable(column.name, str, ("round", "slot"))[:] = values
            elif column.dtype == pl.String:
                values = column.to_numpy().astype(object)
                file.createVariable(column.name, str, ("round",))[:] = values
            else:
                file.createVariable(column.name, "f8", ("round",))[:] = column.to_numpy()
