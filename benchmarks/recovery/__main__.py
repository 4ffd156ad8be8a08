"""Measure block-sparse recovery against every peer, side by side in one run.

    python -m benchmarks.recovery                     # everything: about 35 minutes, two cores
    python -m benchmarks.recovery --sizes S M --threads 1 --no-growth
    python -m benchmarks.recovery --contenders ours adelie-free plain-sparse

Each contender runs on each log in a process of its own. Progress goes to stderr, the table to
stdout; benchmarks.json and benchmarks.html are written when all is done.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
from pathlib import Path

from . import logs, measure, report
from .contenders import CONTENDERS


def plan(words: list[str] | None = None) -> tuple[measure.Plan, Path]:
    """What the command line asks for, and where the report goes."""
    usual = measure.Plan((), (), ())
    what, _, how = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recovery",
        description=what,
        epilog=f"{how}\ncontenders:\n"
        + "\n".join(f"  {one.name:20} {one.label}" for one in CONTENDERS.values()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sizes", nargs="+", choices=logs.SIZES, default=list(logs.SIZES))
    parser.add_argument(
        "--contenders",
        nargs="+",
        choices=CONTENDERS,
        default=list(CONTENDERS),
        metavar="NAME",
        help="listed below; default: all",
    )
    parser.add_argument(
        "--repeats", type=_positive, default=usual.repeats, help="at most; default %(default)s"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=usual.seconds,
        help="after which a contender is not repeated on a log; default %(default)s",
    )
    parser.add_argument("--threads", nargs="+", type=_positive, default=[1, 2], help="default: 1 2")
    parser.add_argument("--no-growth", action="store_true", help="leave the growth of ours out")
    parser.add_argument(
        "--limit-seconds",
        type=float,
        default=usual.limits.seconds,
        help="that a run may take; default %(default)s",
    )
    parser.add_argument(
        "--limit-gigabytes",
        type=float,
        default=usual.limits.gigabytes,
        help="that it may map besides what is loaded; default %(default)s",
    )
    parser.add_argument("--output", type=Path, default=Path("reports"), help="default: reports")
    asked = parser.parse_args(words)
    return (
        measure.Plan(
            sizes=tuple(one for one in logs.SIZES if one in asked.sizes),
            contenders=tuple(one for one in CONTENDERS if one in asked.contenders),
            threads=tuple(sorted(set(asked.threads))),
            repeats=asked.repeats,
            seconds=asked.seconds,
            growth=not asked.no_growth,
            limits=measure.Limits(asked.limit_seconds, asked.limit_gigabytes),
        ),
        asked.output,
    )


def _positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def _write(path: Path, text: str) -> None:
    """All of it, or nothing."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def main() -> None:
    """Measure, print, and write the report."""
    asked, folder = plan()
    results = measure.run(asked)
    print(report.text(results))
    from .page import page

    folder.mkdir(parents=True, exist_ok=True)
    results["exponents"] = report.exponents(results)
    _write(folder / "benchmarks.json", json.dumps(results, indent=1) + "\n")
    _write(folder / "benchmarks.html", page(results))
    print(f"\nThe report is in {folder / 'benchmarks.html'}")


def _end(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)  # as Ctrl-C: no worker and no log stays behind
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("stopped; nothing was written") from None
