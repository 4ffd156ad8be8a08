"""The folders that a run writes to: its own, and one run at a time."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO


class WorkplaceError(RuntimeError):
    """A run cannot work here; the message says why."""


def require_writable(folders: Iterable[str | Path]) -> None:
    """Make sure that files can be made in each folder, which is made if there is none.

    Raises
    ------
    WorkplaceError
        If one cannot be written to.
    """
    for folder in folders:
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise WorkplaceError(f"{folder} cannot be written to: {error.strerror}") from None


def hold(path: str | Path) -> IO[str]:
    """Lock a file for as long as this process keeps what is returned.

    The system gives the lock back when the process ends, however it ends, so that a run that was
    killed leaves nothing to unlock.

    Raises
    ------
    WorkplaceError
        If another process holds it, or it cannot be locked.
    """
    try:
        lock = Path(path).open("a")  # noqa: SIM115 — it stays open
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WorkplaceError(
            f"another run is at work on this study (it holds {path}); wait until it has ended, or "
            "end it"
        ) from None
    except OSError as error:
        raise WorkplaceError(f"{path} cannot be locked: {error.strerror}") from None
    return lock
