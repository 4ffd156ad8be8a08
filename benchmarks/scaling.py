"""How studies scale: wall time and core-hours, here and through Slurm, and planning by jobs.

    python benchmarks/scaling.py [quick] [mid] [plan]

Slurm is a real one of two nodes on this machine, whose cores they share: it tells
what scheduling costs, not what more cores bring. `make test-slurm` installs the packages.
"""

import re
import resource
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/slurm")]

from cluster import Cluster  # noqa: E402
from studies import Run, Study, finish  # noqa: E402

# The quick grids, with as many trials as make jobs last some seconds.
STUDIES = {"quick": {}, "mid": {"trials": 1000}}
# Trials a job that cut the quick study into about 10², 10³ and 10⁴ jobs.
PLANS = {"as it is": None, "trials_per_job: 5": 5, "trials_per_job: 1, 150 trials": 1}


def study(folder, changes):
    """The quick study with some changes, in a folder of its own."""
    one = Study(ROOT, folder, config="changed.yaml")
    quick = yaml.safe_load((ROOT / "config/quick.yaml").read_text())
    (folder / "changed.yaml").write_text(yaml.safe_dump(quick | changes))
    return one


def here(folder, changes, cores):
    """Wall seconds and core-seconds of a study on this machine."""
    one, used = study(folder, changes), resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    finish(one, "--cores", str(cores))
    wall = time.monotonic() - started
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, ""


def through_slurm(folder, changes, cluster, together):
    """The same through Slurm, some scenarios to a job; core-seconds are those of the jobs."""
    one = study(folder, changes)
    before = {line.split()[0] for line in queue(cluster)}
    started = time.monotonic()
    components = ["--group-components", f"scenarios={together}", "collections=5", "renders=3"]
    code, said = Run(one, *components, profile="slurm", environment=cluster.environment).end()
    wall = time.monotonic() - started
    assert code == 0, said
    jobs = [line.split() for line in queue(cluster)]
    jobs = [job for job in jobs if job[0] not in before]
    held = sum((float(end) - float(start)) * int(cpus) for _, cpus, start, end in jobs)
    return wall, held, f"{len(jobs)} Slurm jobs"


def queue(cluster):
    """Each job with its processors, start and end."""
    form = "--format=%i %C %S %e"
    words = ("squeue", "--states=all", "--noheader", form)
    return cluster.run(*words, SLURM_TIME_FORMAT="%s").splitlines()


def measure(name, folder, cluster):
    """A table of one study, everywhere."""
    changes = STUDIES[name]
    ways = {
        "1 core": lambda to: here(to, changes, 1),
        "2 cores": lambda to: here(to, changes, 2),
        "Slurm, 1 scenario a job": lambda to: through_slurm(to, changes, cluster, 1),
        "Slurm, 8 scenarios a job": lambda to: through_slurm(to, changes, cluster, 8),
    }
    for number, (way, run) in enumerate(ways.items()):
        wall, used, more = run(folder / f"{name}{number}")
        print(f"{name:6} {way:26} {wall:7.0f} s wall {used:7.0f} core-seconds  {more}", flush=True)


def plan(folder):
    """How long it takes to plan many jobs."""
    for number, (what, size) in enumerate(PLANS.items()):
        changes = {"trials_per_job": size} | ({"trials": 150} if size == 1 else {})
        one = study(folder / f"plan{number}", changes)
        started = time.monotonic()
        done = one.run("--dry-run")
        took = time.monotonic() - started
        jobs = re.search(r"^total\s+(\d+)", done.stdout + done.stderr, re.MULTILINE)
        print(f"plan   {what:26} {took:7.1f} s for {jobs[1] if jobs else '?'} jobs", flush=True)


def main():
    """Measure what is named, or everything."""
    asked = sys.argv[1:] or [*STUDIES, "plan"]
    with tempfile.TemporaryDirectory() as name, Cluster(Path(name) / "rig") as cluster:
        for one in asked:
            if one == "plan":
                plan(Path(name))
            else:
                measure(one, Path(name), cluster)


if __name__ == "__main__":
    main()
