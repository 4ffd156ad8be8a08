"""What the operating system says of this process's memory, and a limit to it."""

from __future__ import annotations

import resource

from sparseact.study.memory import STATUS, peak, settle, status

__all__ = ["limit", "peak", "settle"]


def limit(more: int) -> None:
    """Let the process map so many bytes more than it has, and no others."""
    mapped = status("VmSize") if STATUS.exists() else 0
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + more, hard))
