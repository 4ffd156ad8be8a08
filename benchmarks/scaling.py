"""How studies scale: wall time and core-hours, here and through Slurm, and starting many jobs.

    python benchmarks/scaling.py [quick] [mid] [full] [plan]

Slurm is a real one of two nodes on this machine, whose cores they share: it tells
what scheduling costs, not what more cores bring. Beside what a run through Slurm took
stands what `make estimate` makes of what its jobs took. `make test-slurm` installs
the packages.
"""

import re
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/slurm")]

from cluster import Cluster  # noqa: E402
from studies import Run, Study, edit, finish  # noqa: E402

# The quick grids, with as many trials as make jobs last some seconds; and the full study.
STUDIES = {
    "quick": ("quick", {}),
    "mid": ("quick", {"trials": 600}),
    "full": ("config", {}),
}
# Cores here, and scenarios in a Slurm job.
CORES = {"quick": (1, 2), "mid": (1, 2), "full": (2,)}
TOGETHER = {"quick": (1, 4, 16), "mid": (4, 16), "full": (16,)}
PROFILE = "workflow/profiles/slurm/config.yaml"
# Trials a job that cut the quick study into about 10², 10³ and 10⁴ jobs.
PLANS = {"as it is": None, "trials_per_job: 5": 5, "trials_per_job: 1, 150 trials": 1}


def study(folder, like, changes):
    """A study with some changes, in a folder of its own."""
    one = Study(ROOT, folder, config="changed.yaml")
    whole = yaml.safe_load((ROOT / f"config/{like}.yaml").read_text())
    (folder / "changed.yaml").write_text(yaml.safe_dump(whole | changes))
    return one


def here(one, cores):
    """Wall seconds and core-seconds of a study on this machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    finish(one, "--cores", str(cores))
    wall = time.monotonic() - started
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, ""


def through_slurm(one, cluster, together):
    """The same through Slurm, some scenarios to a job; core-seconds are those of the jobs."""
    edit(one.folder / PROFILE, "scenarios=16", f"scenarios={together}")
    before = {line.split()[0] for line in queue(cluster)}
    started = time.monotonic()
    code, said = Run(one, profile="slurm", environment=cluster.environment).end()
    wall = time.monotonic() - started
    assert code == 0, said
    jobs = [line.split() for line in queue(cluster)]
    lasted = [
        (float(end) - float(start), int(cpus))
        for job, cpus, start, end in jobs
        if job not in before
    ]
    middle = sorted(seconds for seconds, _ in lasted)[len(lasted) // 2]
    told = one.run("estimate").stderr
    (simulated,) = re.findall(r"^ +4 +\S+ min +\d+% +(\S+) min", told, re.MULTILINE)
    more = f"{len(lasted)} Slurm jobs, {middle:.0f} s in the middle; simulated: {simulated} min"
    return wall, sum(seconds * cpus for seconds, cpus in lasted), more


def queue(cluster):
    """Each job with its processors, start and end."""
    form = "--format=%i %C %S %e"
    words = ("squeue", "--states=all", "--noheader", form)
    return cluster.run(*words, SLURM_TIME_FORMAT="%s").splitlines()


def measure(name, folder, cluster):
    """A table of one study, everywhere."""
    ways = {f"cores: {cores}": lambda one, cores=cores: here(one, cores) for cores in CORES[name]}
    for number in TOGETHER[name]:
        ways[f"Slurm, scenarios a job: {number}"] = lambda one, number=number: through_slurm(
            one, cluster, number
        )
    for number, (way, run) in enumerate(ways.items()):
        one = study(folder / f"{name}{number}", *STUDIES[name])
        wall, used, more = run(one)
        print(f"{name:6} {way:26} {wall:7.0f} s wall {used:7.0f} core-seconds  {more}", flush=True)


def plan(folder):
    """How long it takes to plan many jobs, and until the first of them runs."""
    for number, (what, size) in enumerate(PLANS.items()):
        changes = {"trials_per_job": size} | ({"trials": 150} if size == 1 else {})
        one = study(folder / f"plan{number}", "quick", changes)
        started = time.monotonic()
        done = one.run("--dry-run")
        planned = time.monotonic() - started
        jobs = re.search(r"^total\s+(\d+)", done.stdout + done.stderr, re.MULTILINE)
        started = time.monotonic()
        run = Run(one)
        run.until(run.workers)
        first = time.monotonic() - started
        memory = psutil.Process(run.process.pid).memory_info().rss / 2**20
        run.send(signal.SIGKILL)
        run.end()
        print(
            f"plan   {what:26} {planned:7.1f} s for {jobs[1] if jobs else '?'} jobs; "
            f"{first:.1f} s until the first runs, {memory:.0f} MiB",
            flush=True,
        )


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
