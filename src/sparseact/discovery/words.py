"""What was found, in words that terminal and page share."""

from __future__ import annotations

import math

# Why an action is undetermined.
REASONS = {
    "unused": "never used",
    "rounds": "too few rounds for the threshold",
    "states": "used in too few kinds of states",
    "always": "used nearly always",
    "confounded": "used with another",
    "borderline": "effect near the threshold",
}
# More rounds than this are not told by their number.
_MANY = 10**9


def rounds(n: float, more: str = "") -> str:
    """A number of rounds, or of ``more`` rounds."""
    number = "over a billion" if n > _MANY else f"{n:,.0f}"
    return f"{number} {more}round{'' if n == 1 else 's'}"


def settling(reason: str, uses: float, other: str) -> str:
    """What settles an action that is undetermined for a reason, with another if that is known."""
    if not math.isfinite(uses):
        return "nothing that can be counted"
    if reason in ("rounds", "borderline"):
        return f"{rounds(uses, 'more ')} with it"
    return {
        "unused": f"{rounds(uses)} with it",
        "states": f"{rounds(uses)} with it in all kinds of states",
        "always": f"{rounds(uses)} without it",
        "confounded": f"{rounds(uses)} with it and without {other or 'those used with it'}",
    }[reason]


def differences(n: int, as_many: float, noun: str) -> str:
    """Why only differences are told of n actions, which go by some noun."""
    why = f"{n:,} {noun}s are used in place of each other"
    if math.isfinite(as_many):
        why = f"Every round, or nearly, used {as_many:,.10g} {noun}{'' if as_many == 1 else 's'}"
    return (
        f"{why}: what is told of them is by how much they differ from the average, by use, of "
        "those not selected. Rounds without any of them would tell more."
    )
