"""The machine that something was measured on, without its name."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

_PACKAGES = ("numpy", "scipy", "scikit-learn", "celer", "abess")


def describe() -> dict[str, str | int]:
    """Processor and versions, as attributes of a dataset."""
    versions = {"Python": platform.python_version()}
    for one in _PACKAGES:
        try:
            versions[one] = metadata.version(one)
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "processor_cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    if about.exists():
        for line in about.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()
