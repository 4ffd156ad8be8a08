"""The entries of a sparse log by rounds, and by actions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def table_of(ids, n_actions):  # type: ignore[no-untyped-def]
    """Action ids (T, B) as short integers, and how many entries there are before each action.

    Also whether they are what they must be: in range, and distinct within a round.
    """
    table = np.empty(ids.shape, np.int32)
    starts = np.zeros(n_actions + 1, np.int64)
    last = np.full(n_actions, -1, np.int32)  # round in which an action was seen
    for t in range(len(ids)):
        for b in range(ids.shape[1]):
            j = ids[t, b]
            if j < 0 or j >= n_actions or last[j] == t:
                return table, starts, False
            last[j] = t
            starts[j + 1] += 1
            table[t, b] = j
    for j in range(n_actions):
        starts[j + 1] += starts[j]
    return table, starts, True


def by_action(pointers: Any, actions: Any, values: Any, starts: Any) -> tuple[Any, Any]:
    """Rounds and values of the entries of each action, one action after another."""
    short = np.uint32 if starts[-1] < 2**32 else np.int64
    return _fill(pointers, actions, values, starts[:-1].astype(short))


@njit(cache=True, nogil=True)
def _fill(pointers, actions, values, place):  # type: ignore[no-untyped-def]
    rounds = np.empty(actions.size, np.int32)
    strengths = np.empty(values.size)
    for t in range(pointers.size - 1):
        first, last = pointers[t], pointers[t + 1]
        if values.size:
            for entry in range(first, last):
                j = np.uint32(actions[entry])
                strengths[place[j]] = values[entry]
                rounds[place[j]] = t
                place[j] += 1
        else:
            for j in actions[first:last]:
                rounds[place[np.uint32(j)]] = t
                place[np.uint32(j)] += 1
    return rounds, strengths
