#!/usr/bin/env python3
"""What Snakemake asks of Slurm: can it be used, take this job, how is that job.

It runs once for every question, and so imports nothing that is slow to load.
"""

import argparse
import fcntl
import getpass
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

# States of a job that goes on; COMPLETED is success, and any other is failure.
GOES_ON = {
    *("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING"),
    *("RESIZING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "STAGE_OUT"),
}
# Megabytes of the Snakemake that works on a job's rules, which none of them asks for.
SNAKEMAKE = 200
# Seconds that an answer of the controller serves all who ask: it must not be asked for each job.
FRESH = 2
# Seconds that a submission waits for a controller that is away or busy, or for room in the queue,
# and what Slurm says of these.
PATIENCE = 600
PASSES = ("contact slurm controller", "timed out", "temporarily", "submit limit", "SubmitJob")
# The study that jobs are of, whose lock it is, and the folder of its logs.
STUDY = Path(os.environ.get("STUDY_LOCK", "logs/.lock"))
LOGS = STUDY.parent / "slurm"
# What Slurm says of a job that no node can take now, as when all are drained: it may yet.
BUSY = "Requested node configuration is not available"
PROFILE = "workflow/profiles/slurm/config.yaml"


def ask(*command):
    """What a command of Slurm says, and why it failed."""
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stderr.replace(f"{command[0]}: ", "").replace("error: ", "").splitlines()
    return done.stdout, "; ".join(lines) if done.returncode else ""


def options(partition, account):
    """The site's options of sbatch, as far as they are set."""
    site = {"partition": partition, "account": account}
    return [f"--{name}={value}" for name, value in site.items() if value]


def check(partition, account):
    """Why Slurm cannot be used for this study, in a sentence; None if it can."""
    missing = [
        name for name in ("sbatch", "scontrol", "squeue", "scancel") if not shutil.which(name)
    ]
    if missing:
        return f"{', '.join(missing)} not found: load the site's Slurm, or use another profile"
    shown, failed = ask("scontrol", "show", "--oneliner", "partition")
    if failed:
        return f"Slurm does not answer: {failed}"
    partitions = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in shown.splitlines()]
    named = {one["PartitionName"]: one for one in partitions}
    if any(one not in named for one in partition.split(",") if one):
        known = ", ".join(named)
        return f"slurm_partition {partition!r} in {PROFILE} is not one of the site's: {known}"
    _, failed = ask("sbatch", "--test-only", *options(partition, account), "--wrap=true")
    if BUSY in failed:
        failed = ""
    # Where a site does not enforce limits at submission, a job of the wrong account waits for ever.
    first = partition.partition(",")[0]
    ours = named.get(first) or next((one for one in partitions if one["Default"] == "YES"), {})
    allowed = ours.get("AllowAccounts", "ALL")
    if not failed and allowed != "ALL" and (account or usual_account()) not in allowed.split(","):
        failed = f"the partition {ours['PartitionName']} is for {allowed}"
    if failed:
        return f"Slurm takes no job with slurm_account {account!r} (set it in {PROFILE}): {failed}"
    queue, failed = ask("squeue", "--me", "--noheader", "--format=%i|%Z|%k")
    if failed:
        return f"Slurm does not answer: {failed}"
    jobs = [line.split("|") for line in queue.splitlines()]
    left = " ".join(job for job, *of in jobs if of == [str(Path.cwd()), str(STUDY)])
    if left:
        return f"jobs of an earlier run are in the queue; wait for them, or: scancel {left}"
    return None


def usual_account():
    """The account of a job that names none; empty if Slurm does not tell."""
    if not shutil.which("sacctmgr"):
        return ""
    told, _ = ask(
        *("sacctmgr", "--noheader", "--parsable2", "show", "user", getpass.getuser()),
        "format=DefaultAccount",
    )
    return told.strip()


def submit(script, name, memory, minutes, margin, cpus, partition, account):
    """Submit a job, print its id, and return the exit code of sbatch."""
    LOGS.mkdir(parents=True, exist_ok=True)
    command = [
        *("sbatch", "--parsable", "--export=ALL", *options(partition, account)),
        # A job that lost its node is Snakemake's to submit again.
        *("--no-requeue", f"--job-name={name}", f"--comment={STUDY}"),
        f"--mem={int(memory) + SNAKEMAKE}",
        *(f"--time={int(minutes) + int(margin)}", f"--cpus-per-task={cpus}"),
        *(f"--output={LOGS}/%x-%j.log", script),
    ]
    deadline = time.monotonic() + PATIENCE
    while True:
        done = subprocess.run(command, capture_output=True, text=True)
        later = done.returncode and any(one in done.stderr for one in PASSES)
        if not later or time.monotonic() > deadline:
            break
        time.sleep(FRESH)
    print(done.stdout.partition(";")[0].strip())  # a site of many clusters names its own
    print(done.stderr, end="", file=sys.stderr)
    return done.returncode


def status(job):
    """``running``, ``success`` or ``failed``."""
    states = queue_since(time.time() - FRESH)
    if states is not None and job not in states:
        states = queue_since(time.time())
    if states is None:  # a controller that is away comes back
        return "running"
    state = states.get(job) or ended(job)
    if state == "COMPLETED":
        return "success"
    if state in GOES_ON:
        return "running"
    print(failure(job, state), file=sys.stderr)
    return "failed"


def failure(job, state):
    """What became of a job, what it was at, and where it says more, in a sentence."""
    said = f"Slurm job {job} ended as {state}" if state else f"Slurm does not know job {job}"
    for path in LOGS.glob(f"*-{job}.log"):
        log = path.read_text(errors="replace")
        if why := re.findall(r"^slurmstepd\S* error: \W*(.*?)\W*$", log, re.MULTILINE):
            said += f" ({why[-1]})"
        if at := "; ".join(at_work(log)):
            said += f", at work on {at}"
        said += f"; its log: {path}"
    return said


def at_work(log):
    """The rules, with their scenarios and logs, that a job's log says had begun and not ended."""
    done = re.findall(r"^Finished jobid: (\d+)", log, re.MULTILINE)
    begun = re.findall(r"^(?:local)?rule (\w+):\n((?: {4}.*\n)+)", log, re.MULTILINE)
    for rule, told in begun:
        facts = dict(line.strip().split(": ", 1) for line in told.splitlines() if ": " in line)
        if facts.get("jobid") not in done:
            scenario = facts.get("wildcards", "").removeprefix("cell=")
            yield f"{rule} {scenario} ({facts.get('log', 'no log')})".replace("  ", " ")


def queue_since(moment):
    """The state of every job, as Slurm told after a moment; None if it does not answer."""
    with (LOGS / ".queue").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        known = os.fstat(file.fileno())
        if not known.st_size or known.st_mtime < moment:
            asked = time.time()
            told, failed = ask(
                "squeue", "--me", "--states=all", "--array", "--noheader", "--format=%i %T"
            )
            if failed:
                return None
            file.truncate(0)
            file.write(told)
            file.flush()
            os.utime(file.fileno(), (asked, asked))
        file.seek(0)
        return dict(line.split() for line in file)


def ended(job):
    """The state of a job that ended so long ago that the queue forgot it; empty if none knows."""
    if not shutil.which("sacct"):
        return ""
    told, _ = ask("sacct", "--noheader", "--allocations", "--format=State", f"--jobs={job}")
    return told.split()[0] if told.split() else ""


def main():
    """Answer on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    questions = parser.add_subparsers(dest="question", required=True)
    of_check, of_submit, of_status = map(questions.add_parser, ("check", "submit", "status"))
    for one in (of_check, of_submit):
        one.add_argument("--partition", default="")
        one.add_argument("--account", default="")
    for name in ("name", "memory", "minutes", "margin", "cpus"):
        of_submit.add_argument(f"--{name}", required=True)
    of_submit.add_argument("script")
    of_status.add_argument("job")
    asked = vars(parser.parse_args())
    question = asked.pop("question")
    if question == "submit":
        return submit(**asked)
    if question == "status":
        print(status(**asked))
        return 0
    return check(**asked)


if __name__ == "__main__":
    sys.exit(main())
