"""Measurements in processes of their own, each with its threads, ended when over a limit."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from time import monotonic
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_STARTING = 120.0  # seconds for imports, compiling and reading a log, which are not limited


class TooLongError(Exception):
    """It did not say in time what was waited for."""


class Worker:
    """A running `worker.py`; a context that leaves none behind."""

    def __init__(self, threads: int, **asked: Any) -> None:
        words = json.dumps(asked | {"threads": threads})
        numbers = ("OPENBLAS", "OMP", "MKL", "NUMBA", "BLIS", "VECLIB")
        environment = os.environ | {f"{one}_NUM_THREADS": str(threads) for one in numbers}
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.recovery.worker", words],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._stderr.close()

    def says(self, seconds: float = _STARTING) -> dict[str, Any] | None:
        """What it says next; None where it has ended."""
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise TooLongError from None
        return None if line is None else json.loads(line)

    def failed(self) -> str:
        """Why it ended badly; empty where it did not."""
        code = self._process.wait()
        if code == 0:
            return ""
        self._stderr.seek(0)
        lines = [line.strip() for line in self._stderr.read().splitlines() if line.strip()]
        return lines[-1] if lines else f"ended by signal {-code}" if code < 0 else f"status {code}"


def ask(threads: int, **asked: Any) -> dict[str, Any]:
    """The one answer of a worker that must have one."""
    with Worker(threads, **asked) as worker:
        said = worker.says()
        if said is None:
            raise RuntimeError(f"{asked['task']}: {worker.failed()}")
        return said


def contend(threads: int, *, limits: Any, truth: list[int], **asked: Any) -> dict[str, Any]:
    """What one contender did on one log: a record with ``outcome`` "done", or why there is none."""
    with Worker(threads, task="contend", memory_limit=limits.memory_bytes, **asked) as worker:
        record: dict[str, Any] = {"runs": []}
        try:
            ready = worker.says()
            if ready is None:
                return _ended(worker, record, limits)
            record |= ready
            started = monotonic()
            while (run := worker.says(limits.seconds + 1)) is not None:
                if not record["runs"]:
                    record |= {key: run.pop(key) for key in ("support", "peak_bytes")}
                record["runs"].append(run)
                if run["build"] + run["solve"] > limits.seconds:
                    break
            else:
                if not record["runs"]:
                    return _ended(worker, record, limits)
        except TooLongError:
            if "before_bytes" not in record:
                return record | {"outcome": f"over {_STARTING:.0f} s to import and compile"}
            if not record["runs"]:
                record["waited_seconds"] = monotonic() - started
                return record | {"outcome": limits.too_long}
    if max(run["build"] + run["solve"] for run in record["runs"]) > limits.seconds:
        return record | {"outcome": limits.too_long}
    record["found"] = len(set(record["support"]) & set(truth))
    record["exact"] = sorted(record["support"]) == sorted(truth)
    record["increase_bytes"] = record["peak_bytes"] - record["before_bytes"]
    return record | {"outcome": "done"}


def _ended(worker: Worker, record: dict[str, Any], limits: Any) -> dict[str, Any]:
    why = worker.failed()
    memory = any(word in why for word in ("MemoryError", "bad_alloc", "allocate", "signal 9"))
    return record | {"outcome": limits.too_large if memory else "failed", "why": why}
