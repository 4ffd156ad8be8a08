"""The folders that a run writes to: its own, and one run at a time."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO


class WorkplaceError(RuntimeError):
    """A run cannot work here; the message says why."""


# Less room than this on a disk is none: what a workflow manager keeps of a run alone needs some.
_LEAST_ROOM = 10 * 2**20


def require_writable(folders: Iterable[str | Path]) -> None:
    """Make sure that files can be made in each folder, which is made if there is none.

    Raises
    ------
    WorkplaceError
        If one cannot be written to, or its disk is full.
    """
    for folder in folders:
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
            free = shutil.disk_usage(folder).free
        except OSError as error:
            raise WorkplaceError(f"{folder} cannot be written to: {error.strerror}") from None
        if free < _LEAST_ROOM:
            raise WorkplaceError(
                f"the disk of {folder} has {free / 2**20:.1f} MiB left; make room and run again"
            )


def hold(path: str | Path) -> IO[str]:
    """Claim a study for this process, for as long as it keeps what is returned.

    Jobs :func:`join`, so that the study is claimed until they have ended too. The system gives a
    claim back when its process ends, however it ends: a run that was killed leaves nothing to
    unlock, and is not followed by another while jobs that it left behind are still at work.

    Raises
    ------
    WorkplaceError
        If another process holds or has joined the study, or the file cannot be locked.
    """
    return _locked(
        path,
        (fcntl.LOCK_EX, fcntl.LOCK_SH),  # nobody else is there; now for this run and its jobs
        f"another run, or a job that one left behind, is at work on this study (it holds {path}); "
        "wait until it has ended, or end it",
    )


def join(path: str | Path) -> IO[str]:
    """Take part in the run that holds a study, for as long as this process keeps what is returned.

    Raises
    ------
    WorkplaceError
        If the run that this is a job of is gone and another begins, or the file cannot be locked.
    """
    return _locked(path, (fcntl.LOCK_SH,), f"this job's run is gone, and another begins ({path})")


def _locked(path: str | Path, hows: Iterable[int], taken: str) -> IO[str]:
    try:
        lock = Path(path).open("a+")  # noqa: SIM115 — it stays open
        for how in hows:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WorkplaceError(taken) from None
    except OSError as error:
        raise WorkplaceError(f"{path} cannot be locked: {error.strerror}") from None
    return lock
