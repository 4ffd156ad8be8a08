"""How fast recovery over nested rounds is, as ratios measured side by side in one run.

    python benchmarks/nested_recovery.py

*separate*: solving each prefix by itself, over solving all at once. *limit*: the time of solving
all at once over that of its matrix products alone (correlations of every step after the first) at
the rate of a large product on this machine; 1 would be nothing but BLAS at its best. It means
little for sparse logs, whose products are not dense.
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


def fastest(work):
    """Seconds of the fastest of some repeats."""
    times = []
    for _ in range(REPEATS):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return min(times)


def gemm_rate():
    """Floating-point operations a second in a large matrix product."""
    a = np.random.default_rng(0).standard_normal((1500, 1500))
    return 2 * 1500**3 / fastest(lambda: a @ a)


def row(scenario, rate):
    """One line of the table."""
    lengths = RoundsRange(**{"from": 0.9, "to": 3.6}).of(scenario)
    log = simulate_trial(scenario, lengths[-1], seed=0, trial=0)
    design = design_of(scenario, log.latents, log.activations)
    prefixes = [KhatriRaoDesign(design.latents[:n], design.activations[:n]) for n in lengths]
    k = scenario.sparsity

    def separately():
        for one in prefixes:
            block_omp(one, log.rewards[: one.n_rounds], k)

    nested = fastest(lambda: block_omp_nested(design, log.rewards, lengths, k))
    products = 2 * sum(lengths) * scenario.n_actions * scenario.latent_dim * (k - 1)
    limit = f"{nested * rate / products:7.1f}" if scenario.design == "signed" else f"{'–':>7}"
    ratio = fastest(separately) / nested
    return f"{scenario.name:34} {len(lengths):8} {1e3 * nested:8.2f} {ratio:8.1f}x {limit}"


def main():
    """Print a row a case."""
    rate = gemm_rate()
    print(f"{'scenario':34} {'prefixes':>8} {'ms':>8} {'separate':>9} {'limit':>7}")
    for scenario in CASES:
        print(row(scenario, rate))


if __name__ == "__main__":
    main()
