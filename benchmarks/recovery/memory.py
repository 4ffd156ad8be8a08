"""What the operating system says of this process's memory."""

from __future__ import annotations

import ctypes
import gc
import resource
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def settle() -> int:
    """Give back what is free, forget the peak so far, and say what is resident, in bytes.

    The peak of imports, of compiling and of loading would otherwise hide that of the work. Where
    it cannot be reset (outside Linux) it stays in what `peak` says.
    """
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        _RESET.write_text("5")
        return _status("VmRSS")
    except (OSError, AttributeError):
        return peak()


def peak() -> int:
    """The most that was resident since `settle`, in bytes."""
    if _STATUS.exists():
        return _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def limit(more: int) -> None:
    """Let the process map so many bytes more than it has, and no others."""
    mapped = _status("VmSize") if _STATUS.exists() else 0
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + more, hard))


def _status(name: str) -> int:
    (line,) = (one for one in _STATUS.read_text().splitlines() if one.startswith(name + ":"))
    return int(line.split()[1]) * 1024
