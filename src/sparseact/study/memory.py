"""What the operating system says of this process's memory."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from pathlib import Path

# Bytes that the system may be off by: some kernels count the pages of a thread 64 at a time.
RESOLUTION = 2**18

STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def settle() -> int:
    """Give back what is free, forget the peak so far, and say what is resident, in bytes.

    Where the peak cannot be forgotten (outside Linux) it is what is said, so that only what
    exceeds it counts.
    """
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        _RESET.write_text("5")
        return status("VmRSS")
    except (OSError, AttributeError):
        return peak()


def peak() -> int:
    """The most that was resident since :func:`settle`, in bytes."""
    if STATUS.exists():
        return status("VmHWM")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def status(name: str) -> int:
    """One entry of Linux's account of the process, in bytes."""
    lines = STATUS.read_text(encoding="ascii").splitlines()
    (line,) = (one for one in lines if one.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024
