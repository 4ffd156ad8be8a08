"""Simulated logs: latents, activations, weights, noise and the rewards they give.

Every trial draws from its own generators, keyed by (study seed, scenario, trial) and separate for
each ingredient, and each ingredient is drawn round after round. So a log of more rounds begins
with the log of fewer, and neither the order of trials nor how they are cut into jobs matters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sparseact import departures
from sparseact.arguments import MOST_ROUNDS, instance, integer
from sparseact.policy import draw_popular_sets, exploit
from sparseact.scenario import Scenario

Floats = npt.NDArray[np.float64]
Activations = npt.NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class TrialLog:
    """One simulated log of T rounds.

    Attributes
    ----------
    latents : float32 array (T, d)
        Standard normal, drawn in single precision to keep logs small; arithmetic is in double.
    activations : array
        ``signed``: uint8 (T, ⌈M/8⌉), one bit an action, most significant first, 1 for +1 and 0 for
        -1; those of late actions before they appear mean nothing. Otherwise ascending action ids
        (T, B) in the smallest unsigned type that fits.
    support : int array (k,)
        S*, ascending.
    weights : array (k, d)
        Rows of W* on the support, in units of the reward.
    rewards : array (T,)
    decoys : int array (n_decoys,)
        Irrelevant actions that imitate relevant ones; for twins, in the order of ``support``.
    scarce : int or None
        The relevant action that is used late only, where the scenario has one.
    tail : array (M, d) or None
        Small weights of the actions that are not relevant, 0 at the others, where the scenario has
        a tail.
    late : int array (n_late,)
        Actions that appear late, ascending.
    newcomer : int or None
        The relevant one of them, where there are any.
    """

    latents: npt.NDArray[np.float32]
    activations: Activations
    support: npt.NDArray[np.intp]
    weights: Floats
    rewards: Floats
    decoys: npt.NDArray[np.intp]
    scarce: int | None
    tail: Floats | None
    late: npt.NDArray[np.intp]
    newcomer: int | None


def simulate_trial(scenario: Scenario, n_rounds: int, *, seed: int, trial: int) -> TrialLog:
    """Draw one trial of a scenario.

    Parameters
    ----------
    scenario : Scenario
    n_rounds : int
        T; the first T' rounds of a longer log are the log of T' rounds.
    seed : int
        The study's seed.
    trial : int
        Number of the trial, from 0.

    Raises
    ------
    ValueError
        If ``n_rounds`` is not within 1 … 2³¹ - 1, or ``seed`` or ``trial`` is negative.
    TypeError
        If one of them is not an integer, or ``scenario`` not a Scenario.
    """
    return simulate_trials(scenario, n_rounds, seed=seed, trials=[trial])[0]


def simulate_trials(
    scenario: Scenario, n_rounds: int, *, seed: int, trials: Sequence[int]
) -> list[TrialLog]:
    """Draw several trials of a scenario, each as :func:`simulate_trial` does, bit by bit.

    Where rounds depend on those before them (policy ``greedy``) it is much faster than one trial
    after another.

    Raises
    ------
    ValueError
        If ``n_rounds`` is not within 1 … 2³¹ - 1, or ``seed`` or a trial is negative.
    TypeError
        If one of them is not an integer, or ``scenario`` not a Scenario.
    """
    for trial in trials:
        for name, value in (("n_rounds", n_rounds), ("seed", seed), ("trial", trial)):
            integer(value, name)
        if n_rounds > MOST_ROUNDS:
            raise ValueError(f"n_rounds must be at most {MOST_ROUNDS}, got {n_rounds}")
        if n_rounds < 1 or seed < 0 or trial < 0:
            raise ValueError(
                "n_rounds must be positive, seed and trial not negative: "
                f"got {n_rounds}, {seed}, {trial}"
            )
    logs = [_draw(scenario, n_rounds, seed, trial) for trial in trials]
    if logs and scenario.policy == "greedy":
        policies = [_generator_of("policy", scenario, seed, trial) for trial in trials]
        logs = _exploited(scenario, logs, policies)
    return [_rewarded(scenario, log, seed, trial) for log, trial in zip(logs, trials, strict=True)]


def _draw(scenario: Scenario, n_rounds: int, seed: int, trial: int) -> TrialLog:
    """A log with all that does not depend on rewards, and with noise alone for rewards."""
    generators = _generators(scenario, seed, trial)
    weights_rng, latents_rng, actions_rng, noise_rng, structure_rng = generators
    order, k = weights_rng.permutation(scenario.n_actions), scenario.sparsity
    support, decoys = np.sort(order[:k]), order[k : k + scenario.n_decoys]
    scarce = int(order[0]) if scenario.scarce_after else None
    weights = _draw_weights(scenario, weights_rng)
    latents = latents_rng.standard_normal((n_rounds, scenario.latent_dim), dtype=np.float32)
    if scenario.condition_number != 1:
        latents *= latent_scales(scenario).astype(np.float32)
    if scenario.departure == "autocorrelated":
        latents = departures.follow(latents, scenario.departure_size)
    if scenario.design == "signed":
        activations = _draw_signs(scenario, n_rounds, support, decoys, actions_rng, structure_rng)
    else:
        policy_rng = _generator_of("policy", scenario, seed, trial)
        activations = _draw_sets_used(scenario, n_rounds, scarce, actions_rng, policy_rng)
    noise = departures.draw_noise(scenario, latents, noise_rng)
    late, newcomer = _draw_late(scenario, support, _generator_of("arrival", scenario, seed, trial))
    tail = None
    if scenario.tail != "none":
        tail = _draw_tail(scenario, support, _generator_of("tail", scenario, seed, trial))
    return TrialLog(
        latents, activations, support, weights, noise, decoys, scarce, tail, late, newcomer
    )


def _rewarded(scenario: Scenario, log: TrialLog, seed: int, trial: int) -> TrialLog:
    """The log with the rewards of its activations, given one whose rewards are noise."""
    used = _activations_of(scenario, log.activations, log.support)
    rewards, weights, latents = log.rewards, log.weights, log.latents
    if log.newcomer is not None:
        used[: scenario.arrives_after, log.support == log.newcomer] = 0.0
    for j in range(scenario.sparsity):
        for i in range(scenario.latent_dim):  # element by element: the same bits for every T
            rewards += used[:, j] * (weights[j, i] * latents[:, i].astype(np.float64))
    if log.tail is not None:
        states = latents.T.astype(np.float64)
        for j in np.setdiff1d(np.arange(scenario.n_actions), log.support):
            effect = log.tail[j, 0] * states[0]
            for i in range(1, scenario.latent_dim):
                effect += log.tail[j, i] * states[i]
            effect *= _activations_of(scenario, log.activations, np.array([j]))[:, 0]
            rewards += effect
    departure_rng = _generator_of("departure", scenario, seed, trial)
    if scenario.departure == "nonlinear":
        departures.add_curvature(rewards, scenario, used, weights, latents)
    elif scenario.departure == "bounded":
        decoy = _activations_of(scenario, log.activations, log.decoys)[:, 0]
        direction = departures.across(weights[0], departure_rng)
        departures.add_bounded(
            rewards, scenario, (decoy, used[:, 0]), (direction, weights[0]), latents
        )
    elif scenario.departure == "noisy_latents":
        errors = departure_rng.standard_normal(latents.shape, dtype=np.float32)
        latents = latents + np.float32(scenario.departure_size) * errors
    return replace(log, latents=latents, rewards=rewards)


def _exploited(
    scenario: Scenario, logs: list[TrialLog], policies: list[np.random.Generator]
) -> list[TrialLog]:
    """Logs whose activations, drawn for rounds that explore, are those of ε-greedy logging."""
    n, T, M = len(logs), len(logs[0].rewards), scenario.n_actions
    weights = np.zeros((n, M, scenario.latent_dim))
    for i, log in enumerate(logs):
        weights[i, log.support] = log.weights
    order = np.array([rng.permutation(M) for rng in policies])
    explores = np.array([rng.random(T) < scenario.policy_level for rng in policies])
    used = exploit(
        np.stack([log.latents for log in logs]),
        weights,
        np.stack([log.rewards for log in logs]),
        np.stack([log.activations for log in logs]),
        explores,
        order,
    )
    return [replace(log, activations=one) for log, one in zip(logs, used, strict=True)]


def latent_scales(scenario: Scenario) -> Floats:
    """(d,) standard deviations of the latent state along its axes.

    Raises
    ------
    TypeError
        If ``scenario`` is not a Scenario.
    """
    instance(scenario, Scenario, "scenario")
    powers = np.linspace(0.0, -1.0, scenario.latent_dim)
    return np.sqrt(scenario.condition_number**powers)


def draw_states(scenario: Scenario, n_states: int, *, seed: int, trial: int) -> Floats:
    """(n_states, d) latent states that are in no log of the trial.

    Raises
    ------
    ValueError
        If ``n_states`` is not within 0 … 2³¹ - 1, or ``seed`` or ``trial`` is negative.
    TypeError
        If one of them is not an integer, or ``scenario`` not a Scenario.
    """
    integer(n_states, "n_states", 0, MOST_ROUNDS)
    integer(seed, "seed", low=0)
    integer(trial, "trial", low=0)
    rng = _generators(scenario, seed, trial)[-1].spawn(1)[0]
    return rng.standard_normal((n_states, scenario.latent_dim)) * latent_scales(scenario)


def _generators(scenario: Scenario, seed: int, trial: int) -> list[np.random.Generator]:
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=_key(scenario, trial))
    return [np.random.default_rng(child) for child in sequence.spawn(5)]


def _generator_of(
    ingredient: str, scenario: Scenario, seed: int, trial: int
) -> np.random.Generator:
    """A generator that is the ingredient's own, whatever others there are."""
    key = (*_key(scenario, trial), *ingredient.encode())
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=key))


def _key(scenario: Scenario, trial: int) -> tuple[int, ...]:
    instance(scenario, Scenario, "scenario")
    digest = hashlib.sha256(scenario.name.encode()).digest()
    return (*np.frombuffer(digest[:16], dtype="<u4").tolist(), trial)


def _draw_weights(scenario: Scenario, rng: np.random.Generator) -> Floats:
    """(k, d) uniform on the sphere of radius b, or normal with the same mean square."""
    weights = rng.standard_normal((scenario.sparsity, scenario.latent_dim))
    if scenario.weights == "gaussian":
        return weights * (scenario.signal / np.sqrt(scenario.latent_dim))
    if scenario.weights == "aligned":
        weights[:] = weights[0]
    return weights * (scenario.signal / np.linalg.norm(weights, axis=1, keepdims=True))


def _draw_late(
    scenario: Scenario, support: npt.NDArray[np.intp], rng: np.random.Generator
) -> tuple[npt.NDArray[np.intp], int | None]:
    """The actions that appear late, and the relevant one among them."""
    if not scenario.arrives_after:
        return np.empty(0, dtype=np.intp), None
    newcomer = int(rng.choice(support))
    irrelevant = np.setdiff1d(np.arange(scenario.n_actions), support)
    others = rng.choice(irrelevant, scenario.n_late - 1, replace=False)
    return np.sort(np.append(others, newcomer)), newcomer


def _draw_tail(
    scenario: Scenario, support: npt.NDArray[np.intp], rng: np.random.Generator
) -> Floats:
    """(M, d) weights of the other actions, of norms in a random order and any direction."""
    ranked = rng.permutation(np.setdiff1d(np.arange(scenario.n_actions), support))
    directions = rng.standard_normal((len(ranked), scenario.latent_dim))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    norms = np.full(len(ranked), scenario.signal * scenario.largest_tail)
    if scenario.tail == "power":
        norms /= np.arange(1, len(ranked) + 1)
    tail = np.zeros((scenario.n_actions, scenario.latent_dim))
    tail[ranked] = directions * norms[:, None]
    return tail


def _draw_signs(
    scenario: Scenario,
    n_rounds: int,
    support: npt.NDArray[np.intp],
    decoys: npt.NDArray[np.intp],
    rng: np.random.Generator,
    structure_rng: np.random.Generator,
) -> Activations:
    """Bits (T, ⌈M/8⌉) of signs, independent but for what the structure lays over them."""
    M, rho = scenario.n_actions, scenario.strength
    width = -(-M // 8)
    bits = np.frombuffer(rng.bytes(n_rounds * width), dtype=np.uint8).reshape(n_rounds, width)
    if scenario.structure == "independent":
        return bits
    signs = np.unpackbits(bits, axis=1, count=M)
    if scenario.structure == "equicorrelated":
        # Each follows the factor with probability √ρ, so two of them both do with probability ρ.
        draws = structure_rng.random((n_rounds, M + 1))
        factor = (draws[:, :1] < 0.5).astype(np.uint8)
        signs = np.where(draws[:, 1:] < np.sqrt(rho), factor, signs)
    else:
        imitated = signs[:, support]
        if scenario.structure == "aggregate":
            twice = 2 * imitated.sum(axis=1, dtype=np.int64)[:, None]
            own = signs[:, decoys]  # breaks the ties of an even k
            imitated = np.where(twice == scenario.sparsity, own, twice > scenario.sparsity)
        imitates = structure_rng.random((n_rounds, len(decoys))) < rho
        signs[:, decoys] = np.where(imitates, imitated, signs[:, decoys])
    return np.packbits(signs, axis=1)


def _draw_sets_used(
    scenario: Scenario,
    n_rounds: int,
    scarce: int | None,
    rng: np.random.Generator,
    policy_rng: np.random.Generator,
) -> Activations:
    """Ascending ids (T, B) of the actions used; by ``greedy``, of those used to explore."""
    M, B = scenario.n_actions, scenario.actions_per_round
    if scenario.policy == "zipf":
        popularity = np.empty(M)
        popularity[policy_rng.permutation(M)] = np.arange(1.0, M + 1) ** -scenario.policy_level
        sets = draw_popular_sets(popularity, B, n_rounds, rng)
    elif scarce is None:
        sets = draw_sets(M, B, n_rounds, rng)
    else:
        before = min(n_rounds, scenario.scarce_after)
        # Drawn among the other M - 1; those from the scarce one on are numbered one higher.
        others = draw_sets(M - 1, B, before, rng)
        beside = draw_sets(M - 1, B - 1, n_rounds - before, rng)
        others, beside = (ids + (ids >= scarce) for ids in (others, beside))
        with_scarce = np.column_stack([np.full(len(beside), scarce), beside])
        sets = np.sort(np.concatenate([others, with_scarce]), axis=1)
    return sets.astype(np.min_scalar_type(M - 1))


def draw_sets(
    n_actions: int, size: int, n_rounds: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Sets of distinct actions (T, B), uniform and ascending: Floyd's algorithm, vectorised.

    The i-th draw is uniform on the first ``M - B + i + 1`` actions; one that is in the set already
    stands for the last of them, which cannot be.
    """
    last = np.arange(n_actions - size, n_actions)
    drawn = rng.integers(0, last + 1, size=(n_rounds, size))
    for i in range(1, size):
        repeated = (drawn[:, :i] == drawn[:, i : i + 1]).any(axis=1)
        drawn[repeated, i] = last[i]
    return np.sort(drawn, axis=1)


def _activations_of(
    scenario: Scenario, activations: Activations, actions: npt.NDArray[np.intp]
) -> Floats:
    """(T, m) activations of the actions named."""
    if scenario.design == "signed":
        bits = activations[:, actions // 8] >> (7 - actions % 8).astype(np.uint8) & 1
        return bits.astype(np.float64) * 2 - 1
    used = (activations[:, :, None] == actions).any(axis=1)
    return used.astype(np.float64)
