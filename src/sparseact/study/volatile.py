"""What no two runs share: times, hosts and what was measured by a clock, told by a file's name.

All else that a study leaves is the same bytes whatever the run. What is volatile stays out of the
manifest, out of `verify` and out of the comparison of two runs; the volatile manifest lists it.
It is read while the workflow is being planned too, and must stay light.
"""

from __future__ import annotations

import re

# The word by which a path is known to be volatile, and the folder of what else has no such name.
VOLATILE = "volatile"


def is_volatile(path: str) -> bool:
    """Whether a path within a checkout says so: by a folder, or by a part of the file's name."""
    return VOLATILE in re.split(r"[/.]", path)
