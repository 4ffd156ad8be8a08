"""Logging policies: which actions the rounds of a ``single`` or ``multi`` log use.

A uniform log uses every action alike (:func:`sparseact.simulate.draw_sets`). Two others do not:

- *popularity*: some actions are used more often than others, whatever the latent state;
- *exploitation* (ε-greedy): what looks best so far in the latent state is used, so that the
  activations depend on the latent state and on past rewards.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Penalty λ of the running estimates, in units of a latent coordinate's variance: one round's worth.
RIDGE = 1.0
# Random numbers that are held at a time.
_AT_ONCE = 2**20


def draw_popular_sets(
    popularity: Floats, size: int, n_rounds: int, rng: np.random.Generator
) -> Ints:
    """Sets of distinct actions (T, B), ascending, drawn one after another by popularity.

    Each draw takes an action in proportion to its popularity among those left: the first B to
    arrive of independent exponential arrivals with these rates (Efraimidis and Spirakis 2006).

    Parameters
    ----------
    popularity : positive array (M,)
        In any unit.
    size : int
        B, at most M.
    n_rounds : int
        T; the first T' rounds of a longer log are the log of T' rounds.
    rng : numpy Generator
    """
    M = len(popularity)
    step = max(1, _AT_ONCE // M)
    sets = np.empty((n_rounds, size), dtype=np.int64)
    for start in range(0, n_rounds, step):
        part = sets[start : start + step]
        arrivals = rng.standard_exponential((len(part), M)) / popularity
        first = np.argpartition(arrivals, size - 1, axis=1)[:, :size]
        part[:] = np.sort(first, axis=1)
    return sets


def exploit(
    latents: npt.NDArray[np.float32],
    weights: Floats,
    noise: Floats,
    explored: npt.NDArray[np.integer],
    explores: npt.NDArray[np.bool_],
    order: Ints,
) -> npt.NDArray[np.integer]:
    """Sets of actions (n, T, B), ascending, that ε-greedy logging uses in n trials.

    In a round that does not explore, the B actions with the greatest ``⟨ŵ_j, z⟩`` are used. ŵ_j is
    the ridge regression (penalty :data:`RIDGE`) of the reward on the latent state over the rounds
    in which the action was used, and 0 before: all that an agent knows that keeps one model an
    action. Under ``multi`` rewards add up over the set, so that ŵ_j takes in what the actions used
    beside j do. Equal values go by ``order``. Estimates are updated as in recursive least squares
    (Sherman and Morrison 1950).

    Trials go side by side and element by element, so that each has the same bits whatever others
    it is simulated with.

    Parameters
    ----------
    latents : float32 array (n, T, d)
    weights : array (n, M, d)
        W*, in units of the reward.
    noise : array (n, T)
        What is added to the reward.
    explored : int array (n, T, B)
        The sets, ascending, that are used where a round explores.
    explores : bool array (n, T)
    order : int array (n, M)
        An order of the actions in each trial.
    """
    n, T, B = explored.shape
    M, d = weights.shape[1:]
    used = explored.copy()
    estimates = np.zeros((d, n, M))
    inverses = np.zeros((d, d, n, M))
    inverses[range(d), range(d)] = 1 / RIDGE
    every = np.arange(n)
    for t in range(T):
        z = latents[:, t].T.astype(np.float64)
        exploits = every[~explores[:, t]]
        if len(exploits):
            values = _product(estimates[:, exploits], z[:, exploits, None])
            used[exploits, t] = _best(values, order[exploits], B)
        reward = noise[:, t].copy()
        for action in used[:, t].T:
            for i in range(d):
                reward += weights[every, action, i] * z[i]
        for action in used[:, t].T:
            at = (slice(None), every, action)
            reach = np.array([_product(row[at], z) for row in inverses])  # P z
            scale = 1 + _product(reach, z)
            error = reward - _product(estimates[at], z)
            estimates[at] += reach * (error / scale)
            for i in range(d):
                inverses[i][at] -= reach * (reach[i] / scale)
    return used


def _product(one: Floats, other: Floats) -> Floats:
    """Sum of products along the first axis, in its order."""
    total: Floats = one[0] * other[0]
    for i in range(1, len(one)):
        total += one[i] * other[i]
    return total


def _best(values: Floats, order: Ints, size: int) -> Ints:
    """(n, B) ascending ids of the greatest values (n, M); equal ones go by order."""
    values = np.take_along_axis(values, order, axis=1)
    rows, best = np.arange(len(values)), []
    for _ in range(size):
        place = values.argmax(axis=1)
        values[rows, place] = -np.inf
        best.append(order[rows, place])
    return np.sort(np.stack(best, axis=1), axis=1)
