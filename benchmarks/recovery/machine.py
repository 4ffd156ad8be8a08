"""The machine's own limits: its rates, and the time of one pass over a log.

One pass is Xᵀ (r ⊙ Z), the correlations of every block with the rewards. Any method that looks at
the whole log does at least this once.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from . import psi
from .logs import Log

_SECONDS = 0.5  # that a measurement goes on for, and at least so often:
_TIMES = 3


def typical(work: Callable[[], Any]) -> float:
    """Median seconds of some work, after once to warm up."""
    work()
    times: list[float] = []
    while len(times) < _TIMES or (sum(times) < _SECONDS and len(times) < 1000):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return float(np.median(times))


def description() -> dict[str, Any]:
    """The machine, without its name."""
    cpu = platform.processor() or platform.machine()
    about = Path("/proc/cpuinfo")
    if about.exists():
        names = [one for one in about.read_text().splitlines() if one.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    return {
        "processor": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def rates() -> dict[str, float]:
    """GEMM in floating-point operations a second, and bandwidth in bytes a second."""
    rng = np.random.default_rng(0)
    n = 2000
    a, b, c = rng.standard_normal((3, n, n))
    gemm = 2 * n**3 / typical(lambda: np.matmul(a, b, out=c))
    x, y, z = (np.ones(50_000_000) for _ in range(3))
    read = x.nbytes / typical(lambda: np.dot(x, x))

    def triad() -> None:
        np.multiply(y, 3.0, out=x)
        np.add(x, z, out=x)

    # NumPy takes two goes: read y, write x; read x and z, write x.
    return {"gemm": gemm, "read": read, "triad": 5 * x.nbytes / typical(triad)}


def one_pass(log: Log, threads: int, gemm: float) -> dict[str, Any]:
    """Seconds of one pass by each kernel; for dense logs also the share of the roofline."""
    kernels = _dense_kernels(log) if log.ids is None else _sparse_kernels(log)
    expected = None
    seconds = {}
    for name, kernel in kernels.items():
        got = np.asarray(kernel())
        got = got if got.shape[0] == log.n_actions else got.T
        expected = got if expected is None else expected
        np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-6, err_msg=name)
        seconds[name] = typical(kernel)
    best = min(seconds, key=seconds.get)
    numpy_only = {one: value for one, value in seconds.items() if not one.startswith("numba")}
    found = {
        "seconds": seconds[best],
        "kernel": best,
        "without_numba": min(numpy_only.values()),
        "kernels": seconds,
    }
    if log.ids is None:
        flat = log.activations.ravel()
        read = flat.nbytes / typical(lambda: np.dot(flat, flat))
        operations = 2 * log.activations.size * log.latents.shape[1]
        least = {"bandwidth": flat.nbytes / read, "GEMM": operations / gemm}
        binds = max(least, key=least.get)
        found["roofline"] = {
            "read": read,
            "binds": binds,
            "seconds": least[binds],
            "share": least[binds] / seconds[best],
        }
    return found


def _sparse_kernels(log: Log) -> dict[str, Callable[[], np.ndarray]]:
    import numba

    X, Z, r = psi.activations(log), log.latents, log.rewards
    by_action = X.T.tocsr()  # its rows are actions
    csc = X.tocsc()
    flat = np.ascontiguousarray(Z.T)
    ids = log.ids.astype(np.uint32)
    M, d = log.n_actions, Z.shape[1]

    @numba.njit(parallel=True)
    def gathered(pointers, rounds, r, Z):
        out = np.zeros((len(pointers) - 1, Z.shape[1]))
        for j in numba.prange(len(pointers) - 1):
            for at in range(pointers[j], pointers[j + 1]):
                t = rounds[at]
                for i in range(Z.shape[1]):
                    out[j, i] += r[t] * Z[t, i]
        return out

    @numba.njit
    def scattered(ids, r, Z, M):
        d = Z.shape[1]
        out = np.zeros((M, d))
        weighted = np.empty(d)
        for t in range(ids.shape[0]):
            for i in range(d):
                weighted[i] = r[t] * Z[t, i]
            for j in ids[t]:
                row = out[j]
                for i in range(d):
                    row[i] += weighted[i]
        return out

    def by_dimension() -> np.ndarray:
        out = np.empty((d, M))
        for i in range(d):
            out[i] = by_action @ (flat[i] * r)
        return out

    return {
        "scipy csr.T @ dense": lambda: X.T @ (r[:, None] * Z),
        "scipy csc.T @ dense": lambda: csc.T @ (r[:, None] * Z),
        "scipy csr of Xᵀ @ dense": lambda: by_action @ (r[:, None] * Z),
        "scipy csr of Xᵀ, one dimension at a time": by_dimension,
        "numba by action": lambda: gathered(by_action.indptr, by_action.indices, r, Z),
        "numba by round": lambda: scattered(ids, r, Z, M),
    }


def _dense_kernels(log: Log) -> dict[str, Callable[[], np.ndarray]]:
    from sparseact.compiled.product import narrow_product
    from sparseact.threads import serial_blas

    X, Z, r = log.activations, log.latents, log.rewards
    flat = np.ascontiguousarray(Z.T)
    T, M = X.shape
    d = Z.shape[1]

    def by_rows(rows: int) -> Callable[[], np.ndarray]:
        def work() -> np.ndarray:
            weighted = flat * r
            out = weighted[:, :rows] @ X[:rows]
            for start in range(rows, T, rows):
                out += weighted[:, start : start + rows] @ X[start : start + rows]
            return out

        return work

    def by_columns(columns: int) -> Callable[[], np.ndarray]:
        def work() -> np.ndarray:
            weighted = flat * r
            out = np.empty((d, M))
            for start in range(0, M, columns):
                out[:, start : start + columns] = weighted @ X[:, start : start + columns]
            return out

        return work

    def streamed() -> np.ndarray:
        out = np.empty((d, M))
        with serial_blas():  # whose threads are the product's
            narrow_product(flat * r, X, out)
        return out

    kernels = {
        "X.T @ (r ⊙ Z)": lambda: X.T @ (r[:, None] * Z),
        "(r ⊙ Z).T @ X": lambda: (r[:, None] * Z).T @ X,
        "(Zᵀ ⊙ r) @ X": lambda: (flat * r) @ X,
        "numba, streamed": streamed,
    }
    for rows in (64, 256, 1024):
        if rows < T:
            kernels[f"(Zᵀ ⊙ r) @ X, {rows} rounds at a time"] = by_rows(rows)
    for columns in (128, 512):
        if columns < M:
            kernels[f"(Zᵀ ⊙ r) @ X, {columns} actions at a time"] = by_columns(columns)
    return kernels
