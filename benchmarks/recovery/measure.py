"""The whole benchmark: the machine, every contender on every log, and how ours grows."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from . import logs, machine, processes
from .contenders import CONTENDERS

# With more threads, only contenders within this factor of the fastest peer with one are run again.
_WORTH_THREADS = 10.0
# T, M, B of the logs by which growth is measured (d = 8, k = 20): each over two decades.
GROWTH = {
    "T": [(T, 10_000, 4) for T in (10_000, 30_000, 100_000, 300_000, 1_000_000)],
    "M": [(100_000, M, 4) for M in (10_000, 30_000, 100_000, 300_000, 1_000_000)],
    "B": [(10_000, 10_000, B) for B in (4, 12, 40, 120, 400)],
}


@dataclass(frozen=True)
class Limits:
    """What a contender may take, from the raw log to the support."""

    seconds: float = 120.0
    gigabytes: float = 16.0

    @property
    def memory_bytes(self) -> int:
        """The same in bytes."""
        return int(self.gigabytes * 1e9)

    @property
    def too_long(self) -> str:
        """What is written for more seconds."""
        return f"over {self.seconds:g} s"

    @property
    def too_large(self) -> str:
        """What is written for more memory."""
        return f"over {self.gigabytes:g} GB"


@dataclass(frozen=True)
class Plan:
    """What is asked for."""

    sizes: tuple[str, ...]
    contenders: tuple[str, ...]
    threads: tuple[int, ...]
    repeats: int = 7
    seconds: float = 5.0
    growth: bool = True
    limits: Limits = Limits()


def run(plan: Plan) -> dict[str, Any]:
    """All that was measured, as it stands in ``benchmarks.json``."""
    results: dict[str, Any] = {
        "plan": asdict(plan),
        "machine": machine.description(),
        "versions": versions(plan.contenders),
        "rates": {},
        "logs": [],
        "records": [],
        "growth": {},
    }
    for threads in plan.threads:
        _tell(f"rates of the machine, {_threads(threads)}")
        results["rates"][threads] = processes.ask(threads, task="rates")
    beyond: dict[tuple[str, str], str] = {}  # contenders that were over a limit, and where
    for name in plan.sizes:
        size = logs.SIZES[name]
        for kind in logs.kinds(size):
            with _log(size, kind) as (folder, drawn):
                about = {"size": name, "kind": kind, **asdict(size), **drawn, "passes": {}}
                for threads in plan.threads:
                    _tell(f"{name} {kind}: one pass, {_threads(threads)}")
                    about["passes"][threads] = processes.ask(
                        threads,
                        task="one_pass",
                        folder=folder,
                        gemm=results["rates"][threads]["gemm"],
                    )
                results["logs"].append(about)
                results["records"] += _on_one_log(plan, size, kind, folder, drawn, beyond)
    if plan.growth and "ours" in plan.contenders:
        results["growth"] = _growth(plan)
    return results


def _on_one_log(plan, size, kind, folder, drawn, beyond) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for threads in plan.threads:
        best = min((_total(one) for one in records if _is_peer(one) and _done(one)), default=None)
        for name in plan.contenders:
            one = CONTENDERS[name]
            if kind not in one.kinds:
                continue
            record = {"contender": name, "size": size.name, "kind": kind, "threads": threads}
            if threads > plan.threads[0]:
                (alone,) = (
                    r for r in records if r["contender"] == name and r["threads"] == plan.threads[0]
                )
                slow = best is not None and _done(alone) and _total(alone) > _WORTH_THREADS * best
                if not _done(alone) or (slow and _is_peer(record)):
                    continue
            needs = one.needs(size)
            if needs > plan.limits.memory_bytes:
                record["outcome"] = plan.limits.too_large
                record["why"] = f"{one.on} alone takes {needs / 1e9:,.0f} GB"
            elif (kind, name) in beyond:
                record["outcome"] = "not tried"
                record["why"] = beyond[kind, name]
            else:
                record |= processes.contend(
                    threads,
                    limits=plan.limits,
                    truth=drawn["support"],
                    contender=name,
                    kind=kind,
                    folder=folder,
                    repeats=plan.repeats,
                    seconds=plan.seconds,
                )
                if record["outcome"].startswith("over"):
                    beyond[kind, name] = f"{record['outcome']} at size {size.name}"
            records.append(summed(record))
            _tell(f"{size.name} {kind} {one.label}, {_threads(threads)}: {brief(record)}")
    return records


def summed(record: dict[str, Any]) -> dict[str, Any]:
    """A record with the medians of its runs."""
    if record["outcome"] == "done":
        runs = record["runs"]
        for part in ("build", "solve"):
            record[part] = statistics.median(one[part] for one in runs)
        record["total"] = statistics.median(one["build"] + one["solve"] for one in runs)
    return record


def brief(record: dict[str, Any]) -> str:
    """A record in a few words."""
    if record["outcome"] != "done":
        return "; ".join(one for one in (record["outcome"], record.get("why", "")) if one)
    return f"{record['total']:.4g} s, {record['increase_bytes'] / 1e6:,.0f} MB more"


def _growth(plan: Plan) -> dict[str, Any]:
    found = {}
    for along, points in GROWTH.items():
        found[along] = []
        for T, M, B in points:
            size = logs.Size(f"T{T} M{M} B{B}", T, M, 8, 20, B)
            with _log(size, "hot") as (folder, drawn):
                record = summed(
                    processes.contend(
                        plan.threads[0],
                        limits=plan.limits,
                        truth=drawn["support"],
                        contender="ours",
                        kind="hot",
                        folder=folder,
                        repeats=min(plan.repeats, 5),
                        seconds=plan.seconds,
                    )
                )
            record |= {"T": T, "M": M, "B": B, "log_bytes": drawn["bytes"]}
            found[along].append(record)
            _tell(f"growth in {along}: {size.name}: {brief(record)}")
    return found


def versions(names: tuple[str, ...]) -> dict[str, str]:
    """Versions of the packages that take part."""
    packages = {CONTENDERS[one].package for one in names} | {"numpy", "scipy", "numba"}
    found = {}
    for one in sorted(packages):
        try:
            found[one] = metadata.version(one)
        except metadata.PackageNotFoundError:
            found[one] = "not installed"
    return found


@contextmanager
def _log(size: logs.Size, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with tempfile.TemporaryDirectory(prefix="sparseact-bench-") as folder:
        yield folder, processes.ask(1, task="draw", size=asdict(size), kind=kind, folder=folder)


def _is_peer(record: dict[str, Any]) -> bool:
    return CONTENDERS[record["contender"]].package != "sparseact"


def _done(record: dict[str, Any]) -> bool:
    return record["outcome"] == "done"


def _total(record: dict[str, Any]) -> float:
    return record["total"]


def _threads(number: int) -> str:
    return f"{number} thread" + "s" * (number > 1)


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
