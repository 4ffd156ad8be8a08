"""What the methods cost: time and memory of a call, on logs of a few sizes.

Unlike all other datasets of the study its numbers are of one machine and one moment.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any, get_args

import numpy as np

from sparseact.design import Floats, KhatriRaoDesign
from sparseact.omp import block_omp
from sparseact.rivals import RIVALS
from sparseact.rules import Selection
from sparseact.scenario import Scenario
from sparseact.simulate import TrialLog, simulate_trial
from sparseact.study.calls import Calls, NotConvergedError, measure
from sparseact.study.memory import RESOLUTION
from sparseact.study.stages.trial import design_of
from sparseact.study.store import Arrays

log = logging.getLogger(__name__)

# A method takes a design, the rewards (T,) and k.
Method = Callable[[KhatriRaoDesign, Floats, int], Any]

# What the others are compared with: the paper's rule.
REFERENCE = "correlation"
# The least log, for the call that comes first and does not count.
_LITTLE = {"n_actions": 8, "n_rounds": 64}
# Loaded before any call, and not by the first that needs it: it takes seconds.
_SLOW_TO_LOAD = ("celer.homotopy", "abess.linear")


def _greedy(selection: Selection) -> Method:
    return lambda design, rewards, k: block_omp(design, rewards, k, selection=selection)


def _rival(name: str) -> Method:
    def choose(design: KhatriRaoDesign, rewards: Floats, k: int) -> Any:
        chosen = RIVALS[name](design, rewards, k)
        if not chosen.converged:
            raise NotConvergedError(f"{name} ended before it had come to rest")
        return chosen

    return choose


METHODS: dict[str, Method] = {
    **{rule: _greedy(rule) for rule in get_args(Selection)},
    **{name: _rival(name) for name in RIVALS},
}


def collect(
    scenarios: Sequence[Mapping[str, Any]],
    n_rounds: Sequence[int],
    *,
    seed: int,
    repeats: int,
    seconds: float,
    methods: Mapping[str, Method] = METHODS,
) -> Arrays:
    """Measure every method on a log of each scenario, as the variables of ``method_costs``.

    Each runs in a process of its own, one after another, in one thread.

    Parameters
    ----------
    scenarios : sequence of mappings
        Fields of each :class:`~sparseact.Scenario`; they differ in M only, which ascends.
    n_rounds : sequence of int
        T of each log.
    seed : int
        The study's seed; the logs are those of trial 0.
    repeats : int
        Calls of each method on each log, at most.
    seconds : float
        Limit of a call. A method that was over it is not tried on larger logs.
    methods : mapping, optional
        By name; :data:`REFERENCE` must be among them.
    """
    for module in _SLOW_TO_LOAD:
        with suppress(ImportError):  # the method that needs it says so
            import_module(module)
    told: dict[tuple[str, int], Calls] = {}
    beyond: set[str] = set()
    for place, (fields, T) in enumerate(zip(scenarios, n_rounds, strict=True)):
        scenario = Scenario(**fields)
        drawn = simulate_trial(scenario, T, seed=seed, trial=0)
        little = Scenario(**{**fields, "n_actions": max(_LITTLE["n_actions"], scenario.sparsity)})
        rounds = max(_LITTLE["n_rounds"], 2 * scenario.sparsity * scenario.latent_dim)
        first = _given(little, simulate_trial(little, rounds, seed=seed, trial=0))
        for name, method in methods.items():
            if name in beyond:
                told[name, place] = Calls("not tried")
                continue
            calls = measure(
                method, partial(_given, scenario, drawn), first, repeats=repeats, seconds=seconds
            )
            told[name, place] = calls
            if calls.outcome == "over the time limit":
                beyond.add(name)
            log.info("M = %d, T = %d, %s: %s", scenario.n_actions, T, name, _brief(calls))
    table = [[told[name, place] for place in range(len(n_rounds))] for name in methods]
    return {
        "method": np.array([*methods], dtype=object),
        "n_actions": np.array([one["n_actions"] for one in scenarios], dtype=np.int32),
        "n_rounds": np.array(n_rounds, dtype=np.int32),
        "log_size": np.array(
            [
                _size(one["n_actions"], one["latent_dim"], T)
                for one, T in zip(scenarios, n_rounds, strict=True)
            ]
        ),
        "call_outcome": np.array([[calls.outcome for calls in row] for row in table], dtype=object),
        "n_calls": np.array([[len(calls.seconds) for calls in row] for row in table], np.int32),
        **summary(table, [*methods].index(REFERENCE)),
    }


def summary(table: Sequence[Sequence[Calls]], reference: int) -> Arrays:
    """Medians and ranges of (method, size) calls, and how they compare with one of the methods.

    The range of a ratio goes from its least to its greatest possible value. Memory below
    :data:`~sparseact.study.memory.RESOLUTION` is compared with nothing.
    """

    def of(how: Callable[[Any], Any], what: str) -> Floats:
        return np.array(
            [
                [how(getattr(one, what)) if one.outcome == "measured" else np.nan for one in row]
                for row in table
            ],
            dtype=np.float64,
        )

    time, least, most = (of(how, "seconds") for how in (np.median, np.min, np.max))
    # The first may also load code that the little log did without.
    memory = of(np.median, "memory")
    known = np.where(memory[reference] >= RESOLUTION, memory[reference], np.nan)
    return {
        "call_time": time,
        "call_time_least": least,
        "call_time_most": most,
        "call_memory": memory,
        "time_ratio": time / time[reference],
        "time_ratio_least": least / most[reference],
        "time_ratio_most": most / least[reference],
        "memory_ratio": memory / known,
    }


def _given(scenario: Scenario, drawn: TrialLog) -> tuple[KhatriRaoDesign, Floats, int]:
    """What a method takes: nothing that an earlier call left in the design is there."""
    design = design_of(scenario, drawn.latents, drawn.activations)
    return design, drawn.rewards, scenario.sparsity


def _size(n_actions: int, latent_dim: int, n_rounds: int) -> float:
    """Bytes of a log in memory: activations, latents and rewards, in double precision."""
    return 8.0 * n_rounds * (n_actions + latent_dim + 1)


def _brief(calls: Calls) -> str:
    if calls.outcome != "measured":
        return ": ".join(one for one in (calls.outcome, calls.why) if one)
    return (
        f"{np.median(calls.seconds):.4g} s, {np.median(calls.memory) / 1e6:.3g} MB, "
        f"{len(calls.seconds)} calls"
    )
