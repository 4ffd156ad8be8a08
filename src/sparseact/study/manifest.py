"""The manifest of a study: what it left, byte for byte and by value, and what made it.

Bytes are told by SHA-256. Values are told so that two runs can be compared from their manifests
alone: whole numbers and text by a digest; floats by their norm and a sketch, eight sums of all of
them under random signs. The sums of two arrays differ by sums of the differences, whose mean
square is the square of the distance between the arrays (Alon, Matias and Szegedy 1999), so that
eight of them tell the root-mean-square difference to within a factor of two or so.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sparseact.study.store import Arrays, fingerprint, load

_SIGNS = 8
# How far floats of two runs may be apart, as a share of their size, before it is no longer the
# rounding of another BLAS.
TOLERANCE = 1e-8

Entry = dict[str, Any]


class ManifestError(ValueError):
    """A manifest cannot be used; the message names the file and says what to do."""


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def entry(path: str | Path) -> Entry:
    """What a manifest says of a file: its digest and, of a dataset, its origin and its values.

    The values of logs are left out: what is made of them tells whether they are the same.

    Raises
    ------
    DatasetError
        If a dataset is damaged.
    """
    told: Entry = {"sha256": sha256(path)}
    if Path(path).suffix == ".nc":
        arrays, attributes = load(path)
        told["code_digest"] = attributes["code_digest"]
        told["configuration"] = json.loads(str(attributes["configuration"]))
        if attributes["sparseact_kind"] != "log":
            told["values"] = values(arrays)
    return told


def values(arrays: Arrays) -> dict[str, Any]:
    """Every variable by value: a digest, or a sketch with what is needed to read it."""
    return {name: _value(array) for name, array in sorted(arrays.items())}


def _value(array: npt.NDArray[Any]) -> Any:
    if array.dtype.kind != "f":
        return fingerprint(array)
    flat = array.astype(np.float64).ravel()
    known = np.where(np.isfinite(flat), flat, 0.0)
    kinds = [np.isfinite(flat), np.isnan(flat), flat == np.inf, flat == -np.inf]
    return {
        # Where values are missing or infinite is compared exactly.
        "pattern": fingerprint(np.argmax(kinds, axis=0).astype(np.uint8).reshape(array.shape)),
        # Exactly rounded sums: of equal arrays they are equal, whatever the machine.
        "norm": math.sqrt(math.fsum(known**2)),
        "sketch": [math.fsum(known * signs) for signs in _signs(len(flat))],
    }


def _signs(n: int) -> Iterator[npt.NDArray[np.float64]]:
    """Eight times n random signs, the same on every machine."""
    bits = np.random.PCG64(20260108).random_raw(n)
    for place in np.arange(_SIGNS, dtype=np.uint64):
        yield 1.0 - 2.0 * ((bits >> place) & 1).astype(np.float64)


def read(path: str | Path) -> dict[str, Any]:
    """A manifest.

    Raises
    ------
    ManifestError
        If there is none, or it is something else.
    """
    try:
        told: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        _ = [entry["sha256"] for entry in told["artefacts"].values()]
    except FileNotFoundError:
        raise ManifestError(
            f"there is no manifest {path}: a finished study writes one, so run it first"
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ManifestError(f"{path} is not the manifest of a study") from None
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from None
    return told


def mismatches(manifest: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each artefact that is not, or no longer, what the manifest says."""
    for path, told in manifest["artefacts"].items():
        try:
            found = sha256(path)
        except OSError as error:
            yield f"{path} cannot be read: {error.strerror}"
        else:
            if found != told["sha256"]:
                yield f"{path} has changed since the study finished; remove it and run again"


def compare(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Two runs from their manifests: all that differs, and of that what should not.

    Returns
    -------
    told : list of str
        A line for each variable of each dataset, and each other file, that differs.
    wrong : list of str
        The lines of those that two machines do not explain: whole numbers, text or missing values
        that differ, floats further apart than :data:`TOLERANCE`, and artefacts that one run lacks.
    """
    told: list[str] = []
    wrong: list[str] = []
    shared = [path for path in ours["artefacts"] if path in theirs["artefacts"]]
    for path in shared:
        mine, other = ours["artefacts"][path], theirs["artefacts"][path]
        if mine["sha256"] == other["sha256"]:
            continue
        here, there = mine.get("values", {}), other.get("values", {})
        far = {name: _apart(here.get(name), there.get(name)) for name in sorted({*here, *there})}
        lines = {
            name: f"{path}: {name} "
            + ("is another" if np.isinf(how) else f"differs by about {how:.1e} (relative)")
            for name, how in far.items()
            if how > 0
        }
        told += lines.values() or [f"{path}: other bytes"]
        wrong += [line for name, line in lines.items() if far[name] > TOLERANCE]
    for one, manifest in (("the other run", theirs), ("this run", ours)):
        missing = {*ours["artefacts"], *theirs["artefacts"]} - {*manifest["artefacts"]}
        wrong += [f"{path}: {one} has none" for path in sorted(missing)]
    same = len(shared) - len({line.partition(": ")[0] for line in told})
    return [*told, f"{same} of {len(shared)} artefacts are the same byte for byte"], wrong


def _apart(mine: Any, other: Any) -> float:
    """Relative difference of two values as a manifest tells them; infinite if of another kind."""
    if mine == other:
        return 0.0
    if not isinstance(mine, dict) or not isinstance(other, dict):
        return float("inf")
    if mine["pattern"] != other["pattern"]:
        return float("inf")
    distance = np.sqrt(np.mean(np.subtract(mine["sketch"], other["sketch"]) ** 2))
    return float(distance / max(mine["norm"], other["norm"]))
