"""Datasets on disk: netCDF-4 files that are whole, known and the same for the same content.

A file is written under a temporary name, forced to disk and renamed, so that no half-written file
can bear a result's name. It ends with a seal, the digest of all that stands before it, where HDF5
no longer looks. The seal is checked before anything else looks at the file, so that damage is
refused wherever it struck; every numeric array has a Fletcher-32 checksum besides, for other tools.
What a file holds is checked against the registry (:mod:`sparseact.study.variables`) both ways. No
clock, host or path goes into a file; but for a clock's into what is volatile
(:mod:`sparseact.study.volatile`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import netCDF4
import numpy as np
import numpy.typing as npt

from sparseact.files import whole
from sparseact.study.origin import origin_of
from sparseact.study.values import tell
from sparseact.study.variables import KINDS, VARIABLES

if TYPE_CHECKING:
    import xarray as xr

Arrays = dict[str, npt.NDArray[Any]]
Attributes = dict[str, str | int | float]

# What is large and does not look like noise throughout.
_COMPRESSED = frozenset({"action", "latent", "reward", "needed_replicates"})


class DatasetError(ValueError):
    """A dataset cannot be written or must not be used; the message names the file."""


def write(
    path: str | Path,
    kind: str,
    data: Mapping[str, npt.ArrayLike],
    attributes: Mapping[str, str | int | float] | None = None,
) -> None:
    """Write a dataset atomically.

    Parameters
    ----------
    path : path
        Where the file goes; its folder is made.
    kind : str
        A key of :data:`~sparseact.study.variables.KINDS`, which gives the dimensions.
    data : mapping of arrays
        Every variable of the kind; coordinates too.
    attributes : mapping, optional
        Further global attributes.

    Raises
    ------
    DatasetError
        If the data are not what the registry says, naming the variable, or the disk does not
        take them. No file is left.
    """
    arrays = {name: np.asarray(values) for name, values in data.items()}
    _check(kind, arrays, Path(path))
    told: Attributes = {
        "Conventions": "CF-1.11, ACDD-1.3",
        "title": KINDS[kind].title,
        "summary": "Sparse action discovery: simulated logs and their analysis",
        "license": "BSD-3-Clause",
        "sparseact_kind": kind,
        "values": json.dumps(tell(arrays)),
        **(attributes or {}),
    }
    try:
        with atomic(path) as partial:
            with netCDF4.Dataset(partial, "w", format="NETCDF4") as file:
                file.setncatts(told)
                for name in KINDS[kind].variables:
                    if name in arrays:
                        _put(file, kind, name, arrays[name])
            seal(partial)
    except RuntimeError as error:  # all that netCDF says of a full disk
        raise _unwritable(Path(path), str(error)) from error


def seal(path: str | Path) -> None:
    """End a file with the digest of what it holds; netCDF readers do not look so far."""
    with Path(path).open("r+b") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0, os.SEEK_END)
        file.write(_seal(digest))


def _seal(digest: str) -> bytes:
    return f"\nsha256:{digest}\n".encode()


_SEAL_SIZE = len(_seal("0" * 64))


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """:func:`~sparseact.files.whole`, in a folder that is made if it is not there.

    Raises
    ------
    DatasetError
        If it cannot be written, saying why and how much room its disk has left.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole(target) as partial:
            yield partial
    except OSError as error:
        raise _unwritable(target, error.strerror or str(error)) from error


def _unwritable(path: Path, reason: str) -> DatasetError:
    there = next(folder for folder in path.absolute().parents if folder.exists())
    free = shutil.disk_usage(there).free / 2**20
    return DatasetError(f"{path} cannot be written: {reason}; its disk has {free:.1f} MiB left")


def read(path: str | Path, kind: str, origin: str | None = None) -> Arrays:
    """Read a dataset whole, as plain arrays.

    Parameters
    ----------
    path : path
    kind : str
    origin : str, optional
        The :func:`~sparseact.study.origin.origin` that it must have, so that one result is not
        taken for another.

    Raises
    ------
    DatasetError
        If the file is missing, damaged, of another kind or origin, or not what the registry says.
    """
    return load(path, kind, origin)[0]


def open_dataset(path: str | Path, kind: str, origin: str | None = None) -> xr.Dataset:
    """Read a dataset whole and checked, with its labels and attributes.

    Parameters
    ----------
    path, kind, origin
        As in :func:`read`.

    Raises
    ------
    DatasetError
        As :func:`read`.
    """
    import xarray as xr

    arrays, told = load(path, kind, origin)
    dims = KINDS[kind].variables
    variables = {name: (dims[name], values, _attributes(name)) for name, values in arrays.items()}
    coords = {name: value for name, value in variables.items() if dims[name] == (name,)}
    rest = {name: value for name, value in variables.items() if name not in coords}
    return xr.Dataset(rest, coords, attrs=told)


def load(
    path: str | Path, kind: str | None = None, origin: str | None = None
) -> tuple[Arrays, Attributes]:
    """Arrays and global attributes of a dataset, of any kind if none is named.

    Raises
    ------
    DatasetError
        As :func:`read`.
    """
    held, _ = _held(path)
    with _opened(path, held) as file:
        told = _told(file)
        arrays = {name: np.asarray(variable[...]) for name, variable in file.variables.items()}
        dims = {name: variable.dimensions for name, variable in file.variables.items()}
    kind = _belongs(path, told, kind, origin)
    for name, expected in KINDS[kind].variables.items():
        if name in dims and dims[name] != expected:
            raise DatasetError(
                f"{path}: {name} has dimensions {dims[name]}, not {expected}; "
                "remove it and run again"
            )
    _check(kind, arrays, Path(path))
    return arrays, told


def head(path: str | Path, origin: str | None = None) -> tuple[str, Attributes]:
    """The SHA-256 of a dataset's file and its global attributes; its arrays are not read.

    Raises
    ------
    DatasetError
        As :func:`read`, but for what its arrays are.
    """
    held, digest = _held(path)
    with _opened(path, held) as file:
        told = _told(file)
    _belongs(path, told, None, origin)
    return digest, told


def _held(path: str | Path) -> tuple[memoryview, str]:
    """What a file holds, if it ends with the digest of that, and the digest of the whole file."""
    try:
        content = memoryview(Path(path).read_bytes())
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}; run again") from None
    held, seal_found = content[:-_SEAL_SIZE], content[-_SEAL_SIZE:]
    total = hashlib.sha256(held)
    if seal_found != _seal(total.hexdigest()):
        raise DatasetError(
            f"{path} is damaged, or no dataset of a study: it does not end with the digest of what "
            "it holds; remove it and run again"
        )
    total.update(seal_found)
    return held, total.hexdigest()


@contextmanager
def _opened(path: str | Path, held: memoryview) -> Iterator[netCDF4.Dataset]:
    try:
        with netCDF4.Dataset(str(path), memory=held) as file:
            file.set_auto_mask(False)
            yield file
    except OSError as error:
        raise DatasetError(f"{path} is no netCDF ({error}); remove it and run again") from None


def _told(file: netCDF4.Dataset) -> Attributes:
    return {key: _plain(value) for key, value in file.__dict__.items()}


def _belongs(path: str | Path, told: Attributes, kind: str | None, origin: str | None) -> str:
    """The kind of a dataset, if it and the origin are those that are wanted."""
    found = str(told.get("sparseact_kind"))
    if found not in KINDS or (kind or found) != found:
        raise DatasetError(
            f"{path} is not what belongs there: a {kind or 'known'} dataset should be, and it is a "
            f"{found} dataset; remove it and run again"
        )
    if origin is not None and origin_of(told) != origin:
        raise DatasetError(
            f"{path} is not what belongs there: another configuration or other code made it; "
            "remove it and run again"
        )
    return found


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _attributes(name: str) -> dict[str, str]:
    return {"units": VARIABLES[name].units, "long_name": VARIABLES[name].long_name}


def _put(file: Any, kind: str, name: str, values: npt.NDArray[Any]) -> None:
    dims = KINDS[kind].variables[name]
    for dim, size in zip(dims, values.shape, strict=True):
        if dim not in file.dimensions:
            file.createDimension(dim, size)
    text = VARIABLES[name].dtype == "str"
    variable = file.createVariable(
        name,
        str if text else values.dtype,
        dims,
        fill_value=np.nan if values.dtype.kind == "f" else None,
        fletcher32=bool(dims) and not text,
        compression="zlib" if name in _COMPRESSED else None,
        complevel=1,
        shuffle=True,
    )
    variable.setncatts(_attributes(name))
    variable[...] = values.astype(object) if text else values


def _check(kind: str, arrays: Mapping[str, npt.NDArray[Any]], path: Path) -> None:
    """Refuse data that are not what the registry says of this kind."""

    def refuse(what: str) -> None:
        raise DatasetError(f"{path}: {what}; remove it and run again")

    spec = KINDS[kind]
    missing = spec.variables.keys() - spec.optional - arrays.keys()
    unknown = arrays.keys() - spec.variables.keys()
    if missing or unknown:
        refuse(f"a {kind} dataset lacks {sorted(missing)} and must not hold {sorted(unknown)}")
    sizes: dict[str, int] = {}
    for name, values in arrays.items():
        variable, dims = VARIABLES[name], spec.variables[name]
        if not variable.fits(values.dtype):
            refuse(f"{name} has dtype {values.dtype}, not {variable.dtype}")
        if values.ndim != len(dims):
            refuse(f"{name} has {values.ndim} dimensions, not {dims}")
        for dim, size in zip(dims, values.shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                refuse(f"{name} has {size} along {dim!r}, another variable has {sizes[dim]}")
        if variable.dtype != "str" and values.size:
            outside = (values < variable.low) | (values > variable.high)
            if outside.any():
                refuse(f"{name} must lie within {variable.low:g} … {variable.high:g}")
