"""Tell what a study will cost beside what it did cost, or learn what a unit of work costs."""

import csv
import json
import sys
from pathlib import Path

import yaml

from _job import job
from sparseact.study import costs, store
from sparseact.study.cell import Cell
from sparseact.study.config import Study

CORES = (1, 2, 4, 8, 64, 1000)


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
    known = json.loads(Path(params["costs"]).read_text())

    if params["measure"]:
        if not complete:
            missing = next(key for key, of_job in took.items() if of_job is None)
            raise costs.CostsError(
                f"{jobs[missing]['benchmark']} is not there: run the study to its end first"
            )
        seen = {}
        for key, cell in cells.items():
            stage = jobs[key]["rule"]
            seen.setdefault(stage, []).append((costs.terms(study, stage, cell), took[key][0]))
        start = min(took[key][0] for key in cells)
        known = {
            **known,
            "start": start,
            "stages": {stage: costs.measure(of_stage, start) for stage, of_stage in seen.items()},
            "rules": {rule: [*took[key], sizes[key]] for key, rule in single.items()},
        }
        store.write_text(params["costs"], json.dumps(known, indent=1) + "\n")

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
    after = {key: one["after"] for key, one in jobs.items()}
    seconds = {key: one.seconds for key, one in found.items()}
    if complete:
        seconds = {key: took[key][0] for key in jobs}
        real = sum(seconds.values()) / 3600
        lines.append(
            f"it took {real:.2f} core-hours: the estimate is off by {hours / real - 1:+.0%}; "
            "what follows is from what its jobs took"
        )
        hours = real

    # How many scenarios, collections and renders go together in a Slurm job.
    profile = yaml.safe_load(Path(params["profile"]).read_text())
    of_rule, together = (
        dict(pair.split("=") for pair in profile[key]) for key in ("groups", "group-components")
    )
    group = {key: of_rule[one["rule"]] for key, one in jobs.items() if one["rule"] in of_rule}
    together = {name: int(number) for name, number in together.items()}
    batch = costs.batches(after, group, together)
    slurm, width = known["slurm"], profile["cores"]
    of_batch = costs.batched(seconds, after, batch, width, slurm["start"])
    # What is in no group stays on the submit node.
    of_batch[0].update({key: seconds[key] for key in jobs if key not in group})
    lasts = sorted(of_batch[0][one] for one in {batch[key] for key in group})
    lines.append(
        f"through Slurm {len(lasts)} jobs of {lasts[0]:.0f} to {lasts[-1]:.0f} s, "
        f"{lasts[len(lasts) // 2]:.0f} s in the middle"
    )
    lines.append(f"{'cores':>6}{'here':>12}{'busy':>6}{'by Slurm':>12}{'busy':>6}")
    for cores in CORES:
        walls = [costs.makespan(seconds, after, cores)]
        if cores >= width:
            walls.append(costs.makespan(*of_batch, cores // width, slurm["submit"]))
        shares = (3600 * hours / (cores * wall) for wall in walls)
        told = (
            f"{wall / 60:8.1f} min{share:6.0%}" for wall, share in zip(walls, shares, strict=True)
        )
        lines.append(f"{cores:6}{''.join(told)}")
    print("\n".join(lines), file=sys.stderr)
