"""The manifest of a study: what it left, byte for byte and by value, and what made it.

Bytes are told by SHA-256, values as :mod:`sparseact.study.values` tells them, so that two runs can
be compared from their manifests alone. Where the files of both are at hand, these are compared.
What is volatile (:mod:`sparseact.study.volatile`) stands in a file of its own and is not compared.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sparseact.study.store import Arrays, DatasetError, head, load, sha256
from sparseact.study.values import fingerprint, pattern, tell

# How far floats of two runs may be apart, as a share of their size, before it is no longer the
# rounding of another BLAS.
TOLERANCE = 1e-8
# What is smaller than this share of a variable's root mean square counts as being that large.
_SMALL = 1e-5

Entry = dict[str, Any]


class ManifestError(ValueError):
    """A manifest cannot be used; the message names the file and says what to do."""


def entry(path: str | Path, origin: str | None = None) -> Entry:
    """What a manifest says of a file: its digest, and of data what made them and their values.

    Raises
    ------
    DatasetError
        If a dataset is damaged, or of another origin than the one named.
    """
    if Path(path).suffix == ".nc":
        digest, attributes = head(path, origin)
        return {
            "sha256": digest,
            "code_digest": attributes["code_digest"],
            **{one: json.loads(str(attributes[one])) for one in ("configuration", "values")},
        }
    told: Entry = {"sha256": sha256(path)}
    if Path(path).name == "claims.json":
        told["values"] = tell(_of_claims(path))
    return told


def _of_claims(path: str | Path) -> Arrays:
    """Verdicts and numbers of all claims and their parts; sentences only repeat these."""
    claims = json.loads(Path(path).read_text(encoding="utf-8"))
    judged = [one for claim in claims for one in (claim, *claim["parts"])]
    ends = ("value", "low", "high")
    return {
        "verdict": np.array([one["verdict"] for one in judged]),
        **{end: np.array([one[end] for one in judged], dtype=np.float64) for end in ends},
    }


def read(path: str | Path) -> dict[str, Any]:
    """A manifest.

    Raises
    ------
    ManifestError
        If there is none, or it is something else.
    """
    try:
        told: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        parts = [told[name] for name in ("artefacts", "configuration", "sources")]
        entries = [*told["artefacts"].values()]
        if not all(isinstance(part, dict) for part in parts) or not entries:
            raise TypeError
        _ = [(entry["sha256"], entry["rule"], entry["code_digest"]) for entry in entries]
    except FileNotFoundError:
        raise ManifestError(
            f"there is no manifest {path}: a finished study writes one, so run it first"
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ManifestError(f"{path} is not the manifest of a study") from None
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from None
    return told


def read_volatile(path: str | Path) -> dict[str, Any]:
    """The volatile part of a manifest, which also lists the files that are volatile.

    Raises
    ------
    ManifestError
        If there is none, or it is something else.
    """
    try:
        told: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        _ = [(entry["sha256"], entry["rule"]) for entry in told["artefacts"].values()]
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ManifestError(f"{path} is not the volatile part of a manifest") from None
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


def changes(
    manifest: Mapping[str, Any],
    configuration: Mapping[str, Any],
    code_digests: Mapping[str, str],
) -> Iterator[str]:
    """A sentence for each thing that made the study and is not, or no longer, what it was.

    Parameters
    ----------
    manifest : mapping
        Of the finished study.
    configuration : mapping
        As it is asked for now.
    code_digests : mapping of str to str
        Digest of the code behind each rule, as it is now.
    """
    if manifest["configuration"] != configuration:
        yield "the configuration is not the one that the study ran with; run it again"
    for path, digest in manifest["sources"].items():
        if not Path(path).exists() or sha256(path) != digest:
            yield f"{path} has changed since the study finished; run it again"
    ran = {told["rule"]: told["code_digest"] for told in manifest["artefacts"].values()}
    other = sorted(rule for rule, digest in ran.items() if digest != code_digests.get(rule))
    if other:
        yield f"the code of {', '.join(other)} has changed since the study finished; run it again"


def strays(manifest: Mapping[str, Any]) -> list[str]:
    """Datasets that stand among the study's and are none of them: those of an older grid."""
    known = {Path(path) for path in manifest["artefacts"] if path.endswith(".nc")}
    beside = {path for folder in {one.parent for one in known} for path in folder.glob("[!.]*.nc")}
    return sorted(path.as_posix() for path in beside - known)


def origins(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each thing that made two runs and differs between them."""
    here, there = (dict(_leaves(one.get("configuration", {}))) for one in (ours, theirs))
    for key in sorted({*here, *there}):
        if here.get(key) != there.get(key):
            yield f"configuration: {key} is {here.get(key)!r} here, {there.get(key)!r} there"
    here, there = (one.get("sources", {}) for one in (ours, theirs))
    yield from (
        f"{path} is another"
        for path in sorted({*here, *there})
        if here.get(path) != there.get(path)
    )
    here, there = (
        {told.get("rule"): told.get("code_digest") for told in one["artefacts"].values()}
        for one in (ours, theirs)
    )
    if other := sorted(rule for rule in {*here} & {*there} if here[rule] != there[rule]):
        yield f"the code of {', '.join(other)} is another"


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """What stands in a configuration, by its dotted path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{place}]")
    else:
        yield path, value


def compare(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], root: Path | None = None
) -> tuple[list[str], list[str]]:
    """Two runs from their manifests: all that differs, and of that what should not.

    Parameters
    ----------
    ours, theirs : mapping
        The manifests.
    root : path, optional
        Where the artefacts of the other run stand, if they are at hand: datasets that differ are
        then compared themselves, as far as they are what the manifests say.

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
    other = [
        path
        for path in shared
        if ours["artefacts"][path]["sha256"] != theirs["artefacts"][path]["sha256"]
    ]
    for path in other:
        lines = dict(_differences(path, ours, theirs, root))
        told += [f"{path}: {line}" for line in lines] or [f"{path}: other bytes"]
        wrong += [f"{path}: {line}" for line, far in lines.items() if far > TOLERANCE]
    for one, manifest in (("the other run", theirs), ("this run", ours)):
        missing = {*ours["artefacts"], *theirs["artefacts"]} - {*manifest["artefacts"]}
        wrong += [f"{path}: {one} has none" for path in sorted(missing)]
    same = len(shared) - len(other)
    return [*told, f"{same} of {len(shared)} artefacts are the same byte for byte"], wrong


def _differences(
    path: str, ours: Mapping[str, Any], theirs: Mapping[str, Any], root: Path | None
) -> Iterator[tuple[str, float]]:
    """A line for each variable of an artefact that differs, and by how much it does."""
    here, there = (one["artefacts"][path].get("values", {}) for one in (ours, theirs))
    measure = _apart
    if root is not None and path.endswith(".nc"):
        files = {Path(path): ours, root / path: theirs}
        try:
            if all(sha256(file) == one["artefacts"][path]["sha256"] for file, one in files.items()):
                (here, _), (there, _) = (load(file) for file in files)
                measure = _arrays_apart
        except (OSError, DatasetError):
            pass  # the manifests must do
    for name in sorted({*here, *there}):
        far, how = measure(here.get(name), there.get(name))
        if math.isinf(far):
            yield f"{name} is another", far
        elif far > 0:
            yield f"{name} differs by {how} {far:.1e} (relative)", far


def _apart(mine: Any, other: Any) -> tuple[float, str]:
    """Relative difference of two values as manifests tell them; infinite if of another kind."""
    if mine == other:
        return 0.0, ""
    if isinstance(mine, dict) and isinstance(other, dict) and mine.keys() == other.keys():
        if "floats" in mine:
            arrays = (np.array(one["floats"].split(), dtype=np.float64) for one in (mine, other))
            return _arrays_apart(*arrays)
        if mine["pattern"] == other["pattern"]:
            distance = np.sqrt(np.mean(np.subtract(mine["sketch"], other["sketch"]) ** 2))
            return float(distance / max(mine["norm"], other["norm"])), "about"
    return math.inf, ""


def _arrays_apart(
    mine: npt.NDArray[Any] | None, other: npt.NDArray[Any] | None
) -> tuple[float, str]:
    """Greatest relative difference of two arrays; infinite if of another kind."""
    if mine is None or other is None or (mine.shape, mine.dtype) != (other.shape, other.dtype):
        return math.inf, ""
    if mine.dtype.kind != "f":
        return (0.0 if fingerprint(mine) == fingerprint(other) else math.inf), ""
    if (pattern(mine) != pattern(other)).any():
        return math.inf, ""
    known = np.isfinite(mine)
    here, there = (one[known].astype(np.float64) for one in (mine, other))
    if np.array_equal(here, there):
        return 0.0, ""
    size = np.maximum(abs(here), abs(there))
    size = np.maximum(size, _SMALL * np.sqrt(np.mean(size**2)))
    return float((abs(here - there) / size).max()), "up to"
