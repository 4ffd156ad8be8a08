"""Receipts: what a job left that cannot say itself whether it is whole, and whose it is."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from sparseact.study.store import DatasetError, sha256, write_text


def write(path: str | Path, code: str, files: Iterable[str | Path]) -> None:
    """Write down what a job left that does not tell itself whether it is whole and whose it is.

    Parameters
    ----------
    path : path
        Where the receipt goes.
    code : str
        Digest of the code that made the files.
    files : iterable of paths
        They must be there.
    """
    told = {"code_digest": code, "files": {str(one): sha256(one) for one in sorted(files, key=str)}}
    write_text(path, json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def check(path: str | Path, code: str) -> dict[str, str]:
    """SHA-256 of each file of a receipt, all of them as they were left, by the code that is named.

    Raises
    ------
    DatasetError
        If one is not, naming it.
    """
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8"))
        digests, made_by = dict(told["files"]), told["code_digest"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DatasetError(f"{path} is no receipt ({error}); remove it and run again") from None
    for name, digest in digests.items():
        try:
            found = sha256(name)
        except OSError as error:
            raise DatasetError(f"{name} cannot be read: {error.strerror}; run again") from None
        if made_by != code or found != digest:
            what = "made by other code" if made_by != code else "not as its job left it"
            raise DatasetError(f"{name} is {what}; remove it and run again")
    return digests
