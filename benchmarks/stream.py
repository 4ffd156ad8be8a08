"""What a solve costs as a log grows: of a stream that takes in the new rounds, and from scratch.

    python benchmarks/stream.py

A quarter of the actions, one relevant action among them, cannot be used in the first half of the
log. After every piece the log is solved with k known, incrementally (taking in the piece included)
and by a single solve of all rounds so far, each from activations that lie ready as numbers. Medians
of some logs; looks are those that the stream has taken back at old rounds since the last row.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from time import perf_counter

import numpy as np

from sparseact import Scenario, block_omp, simulate_trial
from sparseact.stream import Stream
from sparseact.study.stages.trial import design_of

REPEATS = 5
PIECE, ROUNDS = 1024, 16 * 1024
SHOWN = (1, 2, 4, 8, 9, 12, 16)  # pieces
SELECTIONS = ("correlation", "whitened")
SCENARIO = Scenario(
    design="signed", n_actions=256, sparsity=4, latent_dim=2, arrives_after=ROUNDS // 2
)


def growth(selection, trial):
    """Seconds of each piece, incrementally and from scratch, and the looks taken back."""
    log = simulate_trial(SCENARIO, ROUNDS, seed=0, trial=trial)
    whole = design_of(SCENARIO, log.latents, log.activations, log.late)
    stream, measured = Stream(selection), []
    for end in range(PIECE, ROUNDS + 1, PIECE):
        k = SCENARIO.sparsity - (end <= SCENARIO.arrives_after)
        piece, new = whole.rounds(slice(end - PIECE, end)), log.rewards[end - PIECE : end]
        looks, start = stream.n_looks, perf_counter()
        stream.add(piece, new)
        found = stream.solve(k)
        grown = perf_counter() - start
        prefix = whole.head(end)
        start = perf_counter()
        plain = block_omp(prefix, log.rewards[:end], k, selection=selection)
        scratch = perf_counter() - start
        assert {*found.support} == {*plain.support}
        measured.append((grown, scratch, stream.n_looks - looks))
    return measured


def main():
    """Print a row for each of some numbers of rounds."""
    print(f"{SCENARIO.name}, pieces of {PIECE} rounds")
    print(f"{'selection':12}{'rounds':>8}{'stream':>12}{'scratch':>12}{'ratio':>8}{'looks':>8}")
    for selection in SELECTIONS:
        growth(selection, 0)
        each = np.array([growth(selection, trial) for trial in range(REPEATS)])
        seconds, looks = np.median(each[..., :2], axis=0), each[..., 2].mean(axis=0)
        for before, piece in zip((0, *SHOWN), SHOWN, strict=False):
            grown, scratch = seconds[piece - 1]
            print(
                f"{selection:12}{piece * PIECE:8}{1e3 * grown:9.1f} ms{1e3 * scratch:9.1f} ms"
                f"{grown / scratch:8.2f}{looks[before:piece].sum():8.1f}"
            )


if __name__ == "__main__":
    main()
