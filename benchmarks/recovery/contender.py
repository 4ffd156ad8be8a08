"""What a contender is: how it prepares a log, and how it finds the support in what it prepared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import psi
from .logs import Log, Size


@dataclass(frozen=True)
class Contender:
    """One way to find the support.

    Attributes
    ----------
    name : str
        As on the command line.
    label : str
        As in the table.
    package : str
        The distribution whose version is reported; empty for what is written here.
    prepare : function of a Log and a number of threads
        From the raw log to what the solver takes: its time is the build time.
    solve : function of what was prepared, the Log and a number of threads
        Indices of the actions found.
    kinds : tuple of str
        Logs that it can take.
    needs : function of a Size, optional
        Bytes of its largest array; where they exceed the limit it is not started.
    on : str
        What it works on: ``dense Ψ`` is how it is used out of the box.
    """

    name: str
    label: str
    package: str
    prepare: Callable[[Log, int], Any]
    solve: Callable[[Any, Log, int], np.ndarray]
    kinds: tuple[str, ...] = ("hot", "dense")
    needs: Callable[[Size], int] = lambda size: 0
    on: str = "matrix-free"


def on_psi(
    name: str, label: str, package: str, solve: Callable[[Any, Log, int], np.ndarray]
) -> list[Contender]:
    """A solver that takes Ψ as it is: once with a dense one, once with a sparse one."""
    return [
        Contender(
            f"{name}-dense",
            f"{label}, dense Ψ",
            package,
            lambda log, threads: psi.dense(log),
            solve,
            needs=psi.dense_bytes,
            on="dense Ψ",
        ),
        Contender(
            f"{name}-sparse",
            f"{label}, sparse Ψ",
            package,
            lambda log, threads: psi.sparse(log),
            solve,
            kinds=("hot",),
            needs=psi.sparse_bytes,
            on="sparse Ψ",
        ),
    ]


def largest(weights: np.ndarray, k: int) -> np.ndarray:
    """The at most k actions of the largest weights (M, d), ascending."""
    norms = np.linalg.norm(weights, axis=1)
    best = np.argsort(-norms, kind="stable")[:k]
    return np.sort(best[norms[best] > 0])


def grid(first: float, penalties: int) -> np.ndarray:
    """Descending penalties over two decades, after the first, which selects nothing.

    Each penalised contender gets the number of 10, 30 or 100 that was fastest on size M, adelie of
    more, on S to L: fewer are fewer solves, but each starts further from its end. Their defaults
    are around a hundred.
    """
    return first * np.geomspace(1, 1e-2, penalties)[1:]
