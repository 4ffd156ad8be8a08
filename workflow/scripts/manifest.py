"""Write down what the study left, and, apart from that, when and where."""

import csv
import json
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path

from _job import job
from sparseact.study import manifest, receipt, store
from sparseact.study.volatile import is_volatile


def commit():
    """The commit of the checkout, marked if it has changed since; None outside of one."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()


def durations(logs):
    """Seconds that each job took, by its log."""
    took = {}
    for path in sorted(Path(logs).rglob("*.tsv")):
        with path.open(newline="") as file:
            took[path.with_suffix("").as_posix()] = [
                float(row["s"]) for row in csv.DictReader(file, delimiter="\t")
            ]
    return took


def write(path, content):
    """Write JSON with a line an item, so that two runs can be compared by eye too."""
    store.write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


with job(snakemake) as params:
    for rule, path in params["receipts"].items():
        receipt.check(path, params["code_digests"][rule])
    artefacts = {
        path: {
            "rule": rule,
            "code_digest": params["code_digests"][rule],
            **manifest.entry(path, params["origins"].get(path)),
        }
        for path, rule in sorted(params["made_by"].items())
    }
    told = {
        "sources": {path: store.sha256(path) for path in snakemake.input.sources},
        "configuration": params["configuration"],
        "artefacts": {path: one for path, one in artefacts.items() if not is_volatile(path)},
    }
    write(snakemake.output.manifest, told)
    volatile = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {
            one.name: one.version for one in sorted(distributions(), key=lambda d: d.name)
        },
        "commit": commit(),
        "durations": durations(params["logs"]),
        "artefacts": {path: one for path, one in artefacts.items() if is_volatile(path)},
    }
    write(snakemake.output.volatile, volatile)
