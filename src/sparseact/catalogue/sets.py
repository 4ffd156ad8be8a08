"""The sets of single-turn requests that the Berkeley Function Calling Leaderboard publishes.

Read while the workflow is being planned, and light.
"""

from __future__ import annotations

from typing import Literal, get_args

SetName = Literal[
    "live_simple",
    "live_multiple",
    "live_parallel",
    "live_parallel_multiple",
    "simple_python",
    "multiple",
    "parallel",
    "parallel_multiple",
    "simple_java",
    "simple_javascript",
]
SETS: tuple[str, ...] = get_args(SetName)

# Where their files are inside the wheel.
FOLDER = "bfcl_eval/data/"


def names_of(name: str) -> tuple[str, str]:
    """The files of a set: requests, and right calls."""
    file = f"BFCL_v4_{name}.json"
    return file, f"possible_answer/{file}"
