"""The folders that a run writes to: its own, and one run at a time."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO


class WorkplaceError(RuntimeError):
    """A run cannot work here; the message says why."""


# Less room than this on a disk is none: what a workflow manager keeps of a run alone needs some.
_LEAST_ROOM = 10 * 2**20


def require_folders(folders: Iterable[str | Path]) -> None:
    """Make sure that nothing but a folder stands where one is wanted.

    Raises
    ------
    WorkplaceError
        If something does.
    """
    for folder in map(Path, folders):
        for one in (folder, *folder.parents):
            if one.exists() and not one.is_dir():
                raise WorkplaceError(f"{folder} cannot be written to: {one} is no folder")


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


def hold(path: str | Path, run: str) -> IO[str]:
    """Claim a study for a run, for as long as this process keeps what is returned.

    Jobs :func:`join`, so that the study is claimed until they have ended too. The system gives a
    claim back when its process ends, however it ends: a run that was killed leaves nothing to
    unlock, and is not followed by another while jobs that it left behind are still at work.

    Parameters
    ----------
    path : path
        The file that is locked.
    run : str
        What tells this run from others.

    Raises
    ------
    WorkplaceError
        If another process holds or has joined the study, or the file cannot be locked.
    """
    lock = _locked(path, _exclusive, _TAKEN)
    lock.truncate(0)
    lock.write(run)
    lock.flush()
    return _lock(lock, path, _shared, _TAKEN)


def require_free(path: str | Path) -> None:
    """Make sure that nobody holds a study; the file stays as it is.

    Raises
    ------
    WorkplaceError
        As :func:`hold`.
    """
    if Path(path).exists():
        _locked(path, _exclusive, _TAKEN).close()


def join(path: str | Path, run: str) -> IO[str]:
    """Take part in a run that holds a study, for as long as this process keeps what is returned.

    Raises
    ------
    WorkplaceError
        If that run is gone and another has begun, or the file cannot be locked.
    """
    gone = "the run that began this job is gone, and another has begun (it holds {path})"
    lock = _locked(path, _shared, gone)
    lock.seek(0)
    if lock.read() != run:
        raise WorkplaceError(gone.format(path=path))
    return lock


def alone(path: str | Path, job: str) -> IO[str]:
    """Wait until no other process does the same job, then do it for as long as this is kept.

    A cluster that forgot a job, or was long away, may have it done twice at a time. All jobs of a
    study share a file, of which each locks a byte of its own, chosen by the digest of its name.

    Raises
    ------
    WorkplaceError
        If the file cannot be locked.
    """
    place = int.from_bytes(hashlib.sha256(job.encode()).digest()[:7], "big")
    return _locked(path, lambda lock: fcntl.lockf(lock, fcntl.LOCK_EX, 1, place))


def _shared(lock: IO[str]) -> None:
    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _exclusive(lock: IO[str]) -> None:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


_TAKEN = (
    "another run, or a job that one left behind, is at work on this study (it holds {path}); wait "
    "until it has ended, or end it"
)


def _locked(path: str | Path, how: Callable[[IO[str]], None], taken: str = "") -> IO[str]:
    try:
        lock = Path(path).open("a+", encoding="utf-8")  # noqa: SIM115 — it stays open
    except OSError as error:
        raise WorkplaceError(f"{path} cannot be locked: {error.strerror}") from None
    return _lock(lock, path, how, taken)


def _lock(lock: IO[str], path: str | Path, how: Callable[[IO[str]], None], taken: str) -> IO[str]:
    try:
        how(lock)
    except BlockingIOError:
        raise WorkplaceError(taken.format(path=path)) from None
    except OSError as error:
        raise WorkplaceError(f"{path} cannot be locked: {error.strerror}") from None
    return lock
