"""Files that are whole or not there: written under a temporary name, then renamed."""

from __future__ import annotations

import glob
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its name when all has gone well.

    It is on disk by then. What a killed process left half-written of the same path is removed.

    Raises
    ------
    OSError
        If it cannot be written; a file that was there is as it was.
    """
    target = Path(path)
    # As many marks as mkstemp draws: with any more this could be another target's.
    prefix, suffix = f".{target.stem}.", f".part{target.suffix}"
    for left in target.parent.glob(f"{glob.escape(prefix)}{'?' * 8}{glob.escape(suffix)}"):
        left.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=target.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.chmod(0o644)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
