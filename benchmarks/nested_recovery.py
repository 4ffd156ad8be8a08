"""How many trials of a scenario a second, on all numbers of rounds at once and one by one.

    python benchmarks/nested_recovery.py

A trial is a log that was drawn, stopped after several numbers of rounds. *nested* solves them all
together, as the study does; *one by one* is the sum of single solves, by NumPy and *compiled*. From
the raw log every time; medians, in one run. *limit* is the time of the nested solve over that of
its matrix products alone (correlations of every step after the first) at the rate of a large
product on this machine; 1 would be nothing but BLAS at its best. It means little for sparse logs.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from time import perf_counter

import numpy as np

from sparseact import KhatriRaoDesign, Scenario, block_omp, block_omp_nested, simulate_trial
from sparseact.study.config import RoundsRange
from sparseact.study.stages.trial import design_of

REPEATS = 7
CASES = (
    Scenario(design="signed", n_actions=256, sparsity=4, latent_dim=2),
    Scenario(design="signed", n_actions=1024, sparsity=16, latent_dim=2),
    Scenario(design="signed", n_actions=4096, sparsity=4, latent_dim=2),
    Scenario(design="single", n_actions=256, sparsity=4, latent_dim=2),
)


def typical(work):
    """Median seconds of some repeats, after one."""
    work()
    times = []
    for _ in range(REPEATS):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return float(np.median(times))


def gemm_rate():
    """Floating-point operations a second in a large matrix product."""
    a = np.random.default_rng(0).standard_normal((1500, 1500))
    return 2 * 1500**3 / typical(lambda: a @ a)


def row(scenario, rate):
    """One line of the table."""
    lengths = RoundsRange(**{"from": 0.9, "to": 3.6}).of(scenario)
    log = simulate_trial(scenario, lengths[-1], seed=0, trial=0)
    k = scenario.sparsity

    signed = scenario.design == "signed"
    used = design_of(scenario, log.latents, log.activations).activations if signed else None

    def design(n, compiled=False):
        latents = log.latents[:n]
        if signed:
            return KhatriRaoDesign(latents, used[:n], compiled=compiled)
        ids, M = log.activations[:n], scenario.n_actions
        return KhatriRaoDesign.from_actions(latents, ids, M, compiled=compiled)

    def one_by_one(compiled):
        for n in lengths:
            block_omp(design(n, compiled), log.rewards[:n], k)

    nested = typical(lambda: block_omp_nested(design(lengths[-1]), log.rewards, lengths, k))
    products = 2 * sum(lengths) * scenario.n_actions * scenario.latent_dim * (k - 1)
    limit = f"{nested * rate / products:7.1f}" if signed else f"{'–':>7}"
    plain, compiled = (typical(lambda how=how: one_by_one(how)) for how in (False, True))
    rates = "".join(f"{1 / one:12.1f}" for one in (nested, plain, compiled))
    return f"{scenario.name:34} {len(lengths):8} {rates} {limit}"


def main():
    """Print a row a case."""
    rate = gemm_rate()
    print(
        f"{'trials a second':34} {'prefixes':>8} {'nested':>12}{'one by one':>12}{'compiled':>12}"
        f" {'limit':>7}"
    )
    for scenario in CASES:
        print(row(scenario, rate))


if __name__ == "__main__":
    main()
