"""What the jobs of a study cost: seconds, memory and storage, told before they run.

How much work a job is follows from its cell. How long a unit of work takes is measured on the
benchmarks of finished studies and kept in ``workflow/costs.json``. All but the measuring is read
while the workflow is being planned, and must stay light.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparseact.study.cell import Cell
from sparseact.study.config import Study, n_supports

# MiB that a stage's job takes before it does anything, and how often what it keeps, or what the job
# of a rule did take, it may take: more than any job that was measured, from 90 to 2,900 MiB.
_MEMORY, _MARGIN = 300, 1.5
# Bytes of a file without its values.
_FILE = 25_000

# Jobs that it takes to tell terms apart.
_ENOUGH = 10

# The experiment whose memory tells that of a stage; the others keep what all of them do.
_KEEPS = {
    "decide": "decision_regret",
    "rival": "methods",
    "dense": "sparsity_necessity",
    "diagnose": "coherence",
    "bound": "lower_bounds",
    "stop": "stopping",
    "follow": "dynamic_actions",
}


class CostsError(RuntimeError):
    """Costs cannot be told or learnt; the message says why."""


@dataclass(frozen=True)
class Cost:
    """Seconds of one core, MiB of memory, and bytes on disk."""

    seconds: float
    memory: float
    storage: float


def terms(study: Study, stage: str, cell: Cell) -> tuple[float, ...]:
    """What the time of a stage's job is a sum of, each up to a factor that is the stage's own.

    Trials, with all that is done once for each number of rounds and step; rounds read; and the
    operations of the stage. With T rounds in p prefixes, M actions of which B are used in a
    round, k of them relevant, and latent dimension d.
    """
    one, N, T, p = cell.scenario, cell.trials, cell.n_rounds[-1], len(cell.n_rounds)
    M, k, d, B = one.n_actions, one.sparsity, one.latent_dim, one.actions_per_round
    # The first correlations read the log once; later ones the rounds that were touched.
    touched = min(1.0, k * one.use_rate)
    # Other policies than the uniform one look at every action.
    considered = 1 if one.policy == "uniform" else M
    whitening = 1 if cell.selection == "correlation" else d
    recovery = (T * B * d * (1 + (k - 1) * p * touched) + p * M * d * k) * whitening
    operations = {
        "simulate": T * (B + d) * considered,
        "recover": recovery,
        "detect": recovery,
        "rival": sum(cell.n_rounds) * M * d,
        "stop": sum(cell.n_rounds)
        * M
        * d
        * study.experiments.stopping.folds
        * study.experiments.stopping.most_actions,
        "follow": (sum(cell.n_rounds) * k + T) * M * d * whitening,
        "refit": p * T * (k * d) ** 2,
        "decide": p * k * study.experiments.decision_regret.states * k * d,
        "dense": T * (M * d) ** 2 + p * (M * d) ** 3,
        "diagnose": (T + p * k * d) * (M * d) ** 2,
    }
    if stage == "bound":
        operations[stage] = p * int(n_supports(M, k)) * (k * d) ** 2
    return (N * (1.0 + p * k), float(N * T), float(N * operations[stage]))


def of_stage(costs: Mapping[str, Any], study: Study, stage: str, cell: Cell) -> Cost:
    """What a stage's job will cost, by what a unit of work did cost."""
    factors = costs["stages"][stage]
    parts = zip(factors, terms(study, stage, cell), strict=True)
    seconds = costs["start"] + sum(factor * term for factor, term in parts)
    kept = sum(study.memory(_KEEPS.get(stage, "refit_error"), cell).values())
    return Cost(seconds, _MEMORY + _MARGIN * kept / 2**20, stored(stage, cell))


def of_rule(costs: Mapping[str, Any], rule: str, size: float) -> Cost:
    """What the one job of a rule will cost: time, and memory beyond what its like take, by size.

    See :func:`size_of`. A rule that was never measured is taken for the costliest that was.
    """
    known = costs["rules"]
    seconds, memory, measured = known.get(rule) or map(max, zip(*known.values(), strict=True))
    like = rule.partition("_")[0]
    least = min((one for name, (_, one, _) in known.items() if name.startswith(like)), default=0.0)
    grown = least + (memory - least) * max(1.0, size / measured)
    return Cost(seconds * size / measured, _MARGIN * grown, 0.0)


def size_of(rule: str, study: Study, stored: float) -> float:
    """What the time of a rule's one job grows with; 1 of a rule whose time hardly grows.

    A collection goes through trials, rounds and replicates; the manifest reads all that is
    ``stored``, in bytes.
    """
    if rule == "manifest":
        return stored
    if not rule.startswith("collect_"):
        return 1.0
    cells = study.cells(rule.removeprefix("collect_"))
    return float(study.bootstrap * sum(cell.trials * len(cell.n_rounds) for cell in cells))


def stored(stage: str, cell: Cell) -> float:
    """Bytes that a stage leaves of a cell."""
    one, N, T, p = cell.scenario, cell.trials, cell.n_rounds[-1], len(cell.n_rounds)
    if stage != "simulate":
        return _FILE + 4.0 * N * p * (one.sparsity + 4)
    width = 1 if one.n_actions <= 256 else 2 if one.n_actions <= 65536 else 4
    used = one.n_actions / 8 if one.design == "signed" else width * one.actions_per_round
    tail = 0 if one.tail == "none" else 8.0 * one.n_actions * one.latent_dim
    return _FILE + N * (T * (used + 4.0 * one.latent_dim + 8) + tail)


def makespan(
    seconds: Mapping[str, float],
    after: Mapping[str, Sequence[str]],
    places: int,
    submit: float = 0.0,
) -> float:
    """Seconds that jobs take together in some places, each as soon as it can; the longest first.

    Parameters
    ----------
    seconds : mapping of str to float
        How long each job takes.
    after : mapping of str to sequence of str
        What each job waits for.
    places : int
        How many jobs run at a time: cores, or shares of a cluster.
    submit : float
        Seconds that it takes to submit a job that is ready, one after another.
    """
    waits = {job: len(after[job]) for job in seconds}
    then: dict[str, list[str]] = {job: [] for job in seconds}
    for job, others in after.items():
        for other in others:
            then[other].append(job)
    ready = [(-seconds[job], job) for job, number in waits.items() if not number]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = submitted = 0.0
    while ready or running:
        while ready and len(running) < places:
            _, job = heapq.heappop(ready)
            submitted = max(now, submitted) + submit
            heapq.heappush(running, (submitted + seconds[job], job))
        now, ended = heapq.heappop(running)
        for job in then[ended]:
            waits[job] -= 1
            if not waits[job]:
                heapq.heappush(ready, (-seconds[job], job))
    return now


def batches(
    after: Mapping[str, Sequence[str]], group: Mapping[str, str], together: Mapping[str, int]
) -> dict[str, str]:
    """The batch that each job is submitted in, as Snakemake puts jobs together.

    Jobs of a group that wait for each other belong together, and so many of such sets make a batch.

    Parameters
    ----------
    after : mapping of str to sequence of str
        What each job waits for.
    group : mapping of str to str
        The group of each job that is in one.
    together : mapping of str to int
        How many sets of a group make a batch.
    """
    root = {job: job for job in after}

    def find(job: str) -> str:
        while root[job] != job:
            job = root[job]
        return job

    for job, others in after.items():
        for other in others:
            if group.get(job) == group.get(other) is not None:
                root[find(job)] = find(other)
    sets: dict[str, dict[str, int]] = {}
    batch = {}
    for job in after:
        if name := group.get(job):
            of_group = sets.setdefault(name, {})
            number = of_group.setdefault(find(job), len(of_group))
            batch[job] = f"{name} {number // together[name]}"
        else:
            batch[job] = job
    return batch


def batched(
    seconds: Mapping[str, float],
    after: Mapping[str, Sequence[str]],
    batch: Mapping[str, str],
    cores: int,
    start: float,
) -> tuple[dict[str, float], dict[str, list[str]]]:
    """How long each batch takes and what it waits for; see :func:`batches`.

    Parameters
    ----------
    seconds, after : mappings
        Of the jobs.
    batch : mapping of str to str
    cores : int
        Jobs of a batch that are worked on at a time.
    start : float
        Seconds that a batch takes besides its jobs.
    """
    inside: dict[str, list[str]] = {}
    for job in seconds:
        inside.setdefault(batch[job], []).append(job)
    took, waits = {}, {}
    for name, jobs in inside.items():
        own = {job: [one for one in after[job] if batch[one] == name] for job in jobs}
        took[name] = start + makespan({job: seconds[job] for job in jobs}, own, cores)
        waits[name] = sorted({batch[one] for job in jobs for one in after[job]} - {name})
    return took, waits


def measure(jobs: Sequence[tuple[Sequence[float], float]], start: float) -> list[float]:
    """Factors of the :func:`terms` of a stage's jobs, from the seconds that the jobs took.

    Least squares of relative errors, no factor below zero; then scaled as a whole, so that all jobs
    together take as long as they did. Of few jobs, operations alone must explain the time.

    Parameters
    ----------
    jobs : sequence of (terms, seconds)
    start : float
        Seconds that a job takes before it does anything.

    Raises
    ------
    CostsError
        If the jobs took no time to speak of.
    """
    import numpy as np
    from scipy.optimize import nnls

    x = np.array([one for one, _ in jobs])
    took = np.array([seconds for _, seconds in jobs])
    x[:, : x.shape[1] - 1] *= len(took) >= _ENOUGH
    weights = 1 / took
    scale = x.max(axis=0) + (x.max(axis=0) == 0)
    factors = nnls(x / scale * weights[:, None], (took - start) * weights)[0] / scale
    explained = (x @ factors).sum()
    if not explained > 0:
        raise CostsError("no job took longer than its start: run a larger study, and learn from it")
    return [float(factor) for factor in factors * (took - start).sum() / explained]
