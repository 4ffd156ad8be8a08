"""A log to try discovery on, made up: tools of unequal use, and a few that matter."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from sparseact.arguments import integer, real
from sparseact.design import Floats, Ints

# What requests are about: a topic a line.
TOPICS = tuple(
    tuple(words.split())
    for words in (
        "flight hotel luggage passport train itinerary airport visa",
        "invoice refund payment card charge receipt discount balance",
        "function compile module exception branch variable script repository",
        "rain forecast storm temperature wind snow humidity sunshine",
        "recipe oven flour onion simmer dinner spice butter",
        "doctor symptom medicine fever clinic dose allergy appointment",
        "song guitar concert playlist melody drummer album lyrics",
        "tulip soil seedling prune compost lawn hedge watering",
    )
)
_PLAIN = (
    "please",
    "help",
    "find",
    "show",
    "check",
    "explain",
    "compare",
    "quickly",
    "today",
    "again",
)
# Rounds of which the use is drawn at a time, times actions.
_DRAWN = 2**24
# How unequal use is: the r-th tool is drawn in proportion to r to the power of minus this.
_ZIPF = 0.7
# Of the use that the rarest tool would have, what the one that is hardly used has.
_HARDLY = 0.02


class Example(NamedTuple):
    """A log, and what it was made with.

    Attributes
    ----------
    log : DataFrame
        A row a round: ``reward``, ``actions`` (list of str), and ``z1`` … or ``request``.
    relevant : tuple of str
        The tools that matter.
    together : tuple of str
        A pair that is always used together. The first matters too, but no such log can tell which.
    rare : str
        One that is hardly used, and does not matter.
    """

    log: pl.DataFrame
    relevant: tuple[str, ...]
    together: tuple[str, str]
    rare: str


def example_log(
    n_rounds: int = 20_000,
    n_actions: int = 200,
    n_relevant: int = 5,
    per_round: int = 3,
    latent_dim: int = 4,
    noise_std: float = 0.5,
    seed: int = 0,
    *,
    text: bool = False,
) -> Example:
    """Rounds that use ``per_round`` tools, and one more where the pair is among them.

    The reward is a baseline, which depends on the state, what each relevant tool adds in the
    average state and what it adds as the state differs, and Gaussian noise.

    Parameters
    ----------
    n_rounds, n_actions, n_relevant, per_round, latent_dim : int
        At least 1 each; three actions at least that are not relevant.
    noise_std : float
    seed : int
    text : bool
        States are shown as short requests; each of the latent dimensions is a topic, of which
        there are eight at most.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If a count is not an integer.
    """
    integer(n_rounds, "rounds", 1)
    integer(n_relevant, "relevant", 1)
    integer(n_actions, "actions", n_relevant + 3)
    integer(per_round, "per_round", 1, n_actions - 2)
    integer(latent_dim, "latent_dim", 1, len(TOPICS) if text else None)
    real(noise_std, "noise", 0.0)
    rng = np.random.default_rng(integer(seed, "seed", 0))
    # By rank of use: the relevant spread over the more used half, the pair between them.
    by_use = rng.permutation(n_actions)
    ranks = np.linspace(0, max(n_actions // 2, n_relevant + 1) - 1, n_relevant).astype(np.intp)
    relevant = by_use[ranks]
    pair = by_use[np.setdiff1d(np.arange(n_actions), ranks)[:2]]
    rare = by_use[-1]

    share = np.empty(n_actions)
    share[by_use] = np.arange(1, n_actions + 1) ** -_ZIPF
    share[rare] *= _HARDLY
    share[pair[1]] = 0.0  # only where the other is
    chosen = _chosen(rng, n_rounds, share, per_round)
    states = _topics(rng, n_rounds, latent_dim) if text else _gaussian(rng, n_rounds, latent_dim)

    rewards = 1.0 + states @ rng.normal(0, 0.3, latent_dim)
    for action in (*relevant, pair[0]):
        main = rng.choice([-1, 1]) * rng.uniform(0.5, 1.0)
        slopes = rng.standard_normal(latent_dim)
        slopes *= 0.5 / np.linalg.norm(slopes)
        rewards += (chosen == action).any(axis=1) * (main + states @ slopes)
    rewards += noise_std * rng.standard_normal(n_rounds)

    digits = len(str(n_actions - 1))
    names = np.array([f"tool_{j:0{max(digits, 3)}d}" for j in range(n_actions)], dtype=object)
    partner = {names[pair[0]]: names[pair[1]]}
    used = [[*row, *(partner[name] for name in row if name in partner)] for row in names[chosen]]
    shown = (
        {"request": _requests(rng, states)}
        if text
        else {f"z{i}": column for i, column in enumerate(states.T, 1)}
    )
    return Example(
        pl.DataFrame({"reward": rewards, "actions": used, **shown}),
        tuple(sorted(names[relevant])),
        (names[pair[0]], names[pair[1]]),
        names[rare],
    )


def _chosen(rng: np.random.Generator, n_rounds: int, share: Floats, n: int) -> Ints:
    """(T, n) distinct tools of each round, by exponential clocks."""
    chosen = np.empty((n_rounds, n), dtype=np.intp)
    rate = np.where(share > 0, 1 / np.where(share > 0, share, 1.0), np.inf)
    step = max(1, _DRAWN // len(share))
    for start in range(0, n_rounds, step):
        part = chosen[start : start + step]
        clocks = rng.exponential(size=(len(part), len(share))) * rate
        part[:] = np.argpartition(clocks, n - 1, axis=1)[:, :n]
    return chosen


def _gaussian(rng: np.random.Generator, n_rounds: int, d: int) -> Floats:
    return rng.standard_normal((n_rounds, d))


def _topics(rng: np.random.Generator, n_rounds: int, d: int) -> Floats:
    """(T, d) how much of each topic a request has: most of one, and some of another."""
    topics = np.zeros((n_rounds, d))
    rows = np.arange(n_rounds)
    topics[rows, rng.integers(d, size=n_rounds)] += 2.0
    topics[rows, rng.integers(d, size=n_rounds)] += 1.0
    return topics - topics.mean(axis=0)


def _requests(rng: np.random.Generator, topics: Floats) -> list[str]:
    """Words of the topics of each round, two for each third that a topic has."""
    amounts = np.rint(2 * (topics - topics.min(axis=0))).astype(int)
    plain = rng.integers(len(_PLAIN), size=(len(topics), 2))
    picked = rng.permuted(np.tile(np.arange(8), (len(topics), 1)), axis=1)
    return [
        " ".join(
            [_PLAIN[j] for j in few]
            + [TOPICS[i][j] for i, n in enumerate(amount) for j in order[:n]]
        )
        for few, amount, order in zip(plain, amounts, picked, strict=True)
    ]
