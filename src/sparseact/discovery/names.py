"""The names of actions: as a log is read, or as a catalogue has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from sparseact.discovery.pieces import LogError


class Names:
    """Names of actions as they are met, or those of a catalogue.

    Attributes
    ----------
    dtype : Categorical or Enum
        What turns names into codes: an enumeration if only those of the catalogue may occur.
    """

    def __init__(self, known: Sequence[str] | None) -> None:
        self._known = known
        self._met = pl.Categories.random()
        self.dtype = pl.Categorical(self._met) if known is None else pl.Enum(known)
        self._holds = pl.Series([], dtype=self.dtype)  # else names are forgotten with their pieces

    def ordered(self) -> tuple[tuple[str, ...], npt.NDArray[np.int32]]:
        """All names, ascending, and (n,) the place of each code."""
        names = self._met.to_series().to_list() if self._known is None else list(self._known)
        ascending = _ascending(names)
        order = {name: place for place, name in enumerate(ascending)}
        return tuple(ascending), np.array([order[name] for name in names], dtype=np.int32)


def _ascending(names: Sequence[str]) -> list[str]:
    if all(re.fullmatch(r"-?\d+", name, re.ASCII) for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def catalogue(path: str) -> list[str]:
    """The actions that a file names, one a line.

    Raises
    ------
    LogError
        If it cannot be read, or names none.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise LogError(f"catalogue {path} cannot be read: {reason}") from None
    names = dict.fromkeys(line.strip() for line in lines)
    names.pop("", None)
    if not names:
        raise LogError(f"catalogue {path} names no action")
    return list(names)
