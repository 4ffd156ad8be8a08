"""What would settle the actions that a log leaves undetermined."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from sparseact.discovery.judge import Discovery

# Actions and pairs that are named, at most.
NAMED = 10


@dataclass(frozen=True)
class Explore:
    """An action to use in more rounds, and in how many."""

    action: str
    uses: int


@dataclass(frozen=True)
class Apart:
    """A pair to use apart, in how many rounds, and how coherent it is."""

    action: str
    other: str
    uses: int
    coherence: float


@dataclass(frozen=True)
class Advice:
    """On a log as a whole.

    Attributes
    ----------
    verdicts, reasons : dict of int
        How many actions have each verdict, and how many undetermined ones each reason.
    settled_by_rounds : int
        Undetermined actions that more rounds, as they are logged, would settle.
    rounds_for_half, rounds_for_all : float
        How many would settle half of these, and all; NaN if there are none.
    explore : tuple of Explore
        Those that the fewest uses would settle first.
    apart : tuple of Apart
        Pairs that the log does not tell apart, the most coherent first.
    """

    verdicts: dict[str, int]
    reasons: dict[str, int]
    settled_by_rounds: int
    rounds_for_half: float
    rounds_for_all: float
    explore: tuple[Explore, ...]
    apart: tuple[Apart, ...]


def advice(found: Discovery) -> Advice:
    """What the verdicts on all actions amount to, and what to log next."""
    told = found.verdicts
    undetermined = told.verdict == "undetermined"
    rounds = told.more_rounds[undetermined & np.isfinite(told.more_rounds)]
    settled = {name: int((told.verdict == name).sum()) for name in _VERDICTS}
    return Advice(
        verdicts=settled,
        reasons=dict(Counter(told.reason[undetermined].tolist()).most_common()),
        settled_by_rounds=len(rounds),
        rounds_for_half=float(np.median(rounds)) if len(rounds) else float("nan"),
        rounds_for_all=float(rounds.max()) if len(rounds) else float("nan"),
        explore=_explore(found),
        apart=_apart(found),
    )


_VERDICTS = ("relevant", "prunable", "undetermined")


def _explore(found: Discovery) -> tuple[Explore, ...]:
    told = found.verdicts
    by_uses = np.isin(told.reason, ["unused", "rounds", "states", "borderline"])
    those = np.flatnonzero(by_uses & np.isfinite(told.more_uses))
    first = those[np.argsort(told.more_uses[those], kind="stable")[:NAMED]]
    return tuple(Explore(found.names[j], int(told.more_uses[j])) for j in first)


def _apart(found: Discovery) -> tuple[Apart, ...]:
    """Each pair once."""
    told, coherence = found.verdicts, found.companions.coherence
    confounded = [
        j for j in np.flatnonzero(told.reason == "confounded").tolist() if found.partner(j)
    ]
    pairs: dict[frozenset[str], Apart] = {}
    for j in sorted(confounded, key=lambda j: -coherence[j, 0]):
        one, other, uses = found.names[j], found.partner(j), told.more_uses[j]
        if len(pairs) < NAMED and np.isfinite(uses):
            apart = Apart(one, other, int(uses), float(coherence[j, 0]))
            pairs.setdefault(frozenset((one, other)), apart)
    return tuple(pairs.values())
