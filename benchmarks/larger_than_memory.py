"""A log on disk, solved in parts: its time against the disk's own, its memory against the log's.

    PYTHONPATH=src .venv-parts/bin/python benchmarks/larger_than_memory.py [--activations 100000000]

The log is a Parquet file of rounds with four distinct actions each out of 10⁵, and eight latent
dimensions; twenty actions matter. *read* is reading the file's bytes once, after the system was
told to forget them; *decode* is reading it as arrays once, without doing anything with them; a
sweep is that and the sums over it.
"""

import argparse
import logging
import os
import resource
import tempfile
from pathlib import Path
from time import perf_counter

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sparseact import block_omp_in_parts
from sparseact.sources import parquet_parts

ACTIONS, PER_ROUND, DIMENSIONS, RELEVANT = 10**5, 4, 8, 20
ROUNDS_A_GROUP = 250_000
LATENTS = [f"z{i}" for i in range(DIMENSIONS)]


def write(path, n_rounds):
    """Write a log, and tell which actions matter."""
    rng = np.random.default_rng(0)
    support = rng.choice(ACTIONS, RELEVANT, replace=False)
    weights = np.zeros((ACTIONS, DIMENSIONS))
    drawn = rng.standard_normal((RELEVANT, DIMENSIONS))
    weights[support] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    writer = None
    for start in range(0, n_rounds, ROUNDS_A_GROUP):
        n = min(ROUNDS_A_GROUP, n_rounds - start)
        # One action from each quarter of them: distinct, and each as likely.
        quarter = ACTIONS // PER_ROUND
        ids = rng.integers(0, quarter, (n, PER_ROUND)) + quarter * np.arange(PER_ROUND)
        z = rng.standard_normal((n, DIMENSIONS))
        reward = np.einsum("tbd,td->t", weights[ids], z) + 0.5 * rng.standard_normal(n)
        offsets = np.arange(0, PER_ROUND * n + 1, PER_ROUND, dtype=np.int32)
        columns = {
            "reward": reward,
            "actions": pa.ListArray.from_arrays(offsets, ids.ravel().astype(np.int32)),
            **dict(zip(LATENTS, z.T, strict=True)),
        }
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="none")
        writer.write_table(table, row_group_size=ROUNDS_A_GROUP)
    writer.close()
    return support


def read(path):
    """Seconds of reading a file's bytes from the disk."""
    with path.open("rb", buffering=0) as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        start = perf_counter()
        while file.read(2**24):
            pass
        return perf_counter() - start


def decode(parts):
    """Seconds of reading all parts as arrays."""
    start = perf_counter()
    for part in parts:
        part()
    return perf_counter() - start


def main():
    """Print what was measured, a line an item."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--activations", type=int, default=10**8, help="on disk (default: 10⁸)")
    parser.add_argument("--folder", help="where to write the log (default: the system's own)")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        path = Path(folder) / "log.parquet"
        support = write(path, max(1, asked.activations // PER_ROUND))
        size = path.stat().st_size
        parts = parquet_parts(path, ACTIONS, latents=LATENTS)
        reading, decoding = read(path), decode(parts)
        start = perf_counter()
        found = block_omp_in_parts(parts, RELEVANT)
        solving = perf_counter() - start
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"log           {size / 1e9:8.2f} GB in {len(parts)} parts")
    print(f"read          {reading:8.1f} s, {size / 1e9 / reading:.2f} GB/s")
    print(f"decode        {decoding:8.1f} s")
    print(f"solve         {solving:8.1f} s, {solving / reading:.1f} times the read")
    print(f"peak memory   {peak / 1e9:8.2f} GB")
    print(f"support found {set(found.support.tolist()) == set(support.tolist())}")


if __name__ == "__main__":
    main()
