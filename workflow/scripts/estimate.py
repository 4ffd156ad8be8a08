"""Tell what a study will cost beside what it did cost, or learn what a unit of work costs."""

import csv
import json
import sys
from pathlib import Path

from _job import job
from sparseact.study import costs, store
from sparseact.study.cell import Cell
from sparseact.study.config import Study

CORES = (1, 2, 8, 64, 1000)


def benchmark(path):
    """Seconds and MiB that a job took; None where it has not run."""
    if not Path(path).exists():
        return None
    with Path(path).open(newline="") as file:
        row = next(csv.DictReader(file, delimiter="\t"))
    # What ended before anybody looked has no memory.
    return float(row["s"]), float(row["max_rss"]) if row["max_rss"] != "NA" else 0.0


with job(snakemake) as params:
    study, jobs = Study.model_validate(params["study"]), params["jobs"]
    cells = {key: Cell.from_dict(one["cell"]) for key, one in jobs.items() if one["cell"]}
    took = {key: benchmark(one["benchmark"]) for key, one in jobs.items()}
    complete = None not in took.values()
    stored = sum(costs.stored(jobs[key]["rule"], cell) for key, cell in cells.items())
    single = {key: one["rule"] for key, one in jobs.items() if key not in cells}
    sizes = {key: costs.size_of(rule, study, stored) for key, rule in single.items()}

    if params["measure"]:
        if not complete:
            missing = next(key for key, of_job in took.items() if of_job is None)
            raise costs.CostsError(f"{missing} has no benchmark: run the study to its end first")
        seen = {}
        for key, cell in cells.items():
            stage = jobs[key]["rule"]
            seen.setdefault(stage, []).append((costs.terms(study, stage, cell), took[key][0]))
        start = min(took[key][0] for key in cells)
        learnt = {
            "start": start,
            "stages": {stage: costs.measure(of_stage, start) for stage, of_stage in seen.items()},
            "rules": {rule: [*took[key], sizes[key]] for key, rule in single.items()},
        }
        store.write_text(params["costs"], json.dumps(learnt, indent=1) + "\n")

    known = json.loads(Path(params["costs"]).read_text())
    found = {
        key: costs.of_stage(known, study, one["rule"], cells[key])
        if key in cells
        else costs.of_rule(known, one["rule"], sizes[key])
        for key, one in jobs.items()
    }
    lines = [
        f"{'rule':28}{'jobs':>6}{'core-hours':>12}{'longest':>12}{'memory':>10}{'on disk':>12}"
    ]
    lines[0] += f"{'took':>12}" * complete
    for rule in dict.fromkeys(one["rule"] for one in jobs.values()):
        keys = [key for key, one in jobs.items() if one["rule"] == rule]
        of_rule = [found[key] for key in keys]
        line = f"{rule:28}{len(keys):6}{sum(one.seconds for one in of_rule) / 3600:12.3f}"
        line += f"{max(one.seconds for one in of_rule) / 60:8.1f} min"
        line += f"{max(one.memory for one in of_rule):7.0f} MB"
        line += f"{sum(one.storage for one in of_rule) / 2**20:9.0f} MB"
        lines.append(
            line + f"{sum(took[key][0] for key in keys) / 3600:12.3f}" if complete else line
        )
    hours = sum(one.seconds for one in found.values()) / 3600
    lines.append(f"in all {hours:.2f} core-hours and {stored / 2**30:.2f} GB on disk")
    if complete:
        real = sum(seconds for seconds, _ in took.values()) / 3600
        lines.append(
            f"it took {real:.2f} core-hours: the estimate is off by {hours / real - 1:+.0%}"
        )
    after = {key: one["after"] for key, one in jobs.items()}
    seconds = {key: one.seconds for key, one in found.items()}
    for cores in CORES:
        wall = costs.makespan(seconds, after, cores)
        share = 3600 * hours / (cores * wall)
        lines.append(f"on {cores:4} cores {wall / 60:8.1f} min, {share:4.0%} of them busy")
    print("\n".join(lines), file=sys.stderr)
