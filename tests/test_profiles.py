"""The profiles: what they share, and what Snakemake asks of Slurm by way of one of them."""

import os
import subprocess
import sys

import pytest
import yaml

PROFILES = ("default", "local", "slurm")
# What must be the same however jobs run, or other things would run again.
SHARED = ("rerun-triggers", "keep-going", "rerun-incomplete", "nolock", "scheduler")


def profile(root, name):
    return yaml.safe_load((root / f"workflow/profiles/{name}/config.yaml").read_text())


def test_profiles_agree_on_what_runs_and_when(root):
    default, *others = (profile(root, name) for name in PROFILES)
    assert {*default} == {*SHARED}
    for other in others:
        assert {name: other[name] for name in SHARED} == default


def test_snakemake_finds_the_default_profile(root):
    assert (root / "profiles").resolve() == root / "workflow/profiles"


@pytest.mark.workflow
@pytest.mark.xdist_group("study")
def test_every_rule_is_grouped_for_the_cluster_or_stays_on_the_submit_node(study, root):
    grouped = dict(pair.split("=") for pair in profile(root, "slurm")["groups"])
    rules = set(study.run("--list-rules").stdout.split())
    listed = (root / "Snakefile").read_text().partition("localrules:\n")[2].partition("\n\n")[0]
    local = {line.strip(" ,") for line in listed.splitlines()}
    assert rules == {*grouped} | local
    assert not {*grouped} & local
    components = dict(pair.split("=") for pair in profile(root, "slurm")["group-components"])
    assert components.keys() == set(grouped.values())


@pytest.fixture
def ask(root, tmp_path):
    """Ask about a job, where squeue is a script."""
    script = root / "workflow/profiles/slurm/slurm.py"
    asked = tmp_path / "asked"

    def ask(job, squeue):
        for name, text in {"squeue": squeue, "sacct": "exit 1"}.items():
            path = tmp_path / name
            path.write_text(f"#!/bin/sh\necho {name} >> {asked}\n{text}\n")
            path.chmod(0o755)
        (tmp_path / "logs/slurm").mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, script, "status", job],
            cwd=tmp_path,
            env={"PATH": os.pathsep.join([str(tmp_path), os.defpath]), "STUDY_LOCK": "logs/.lock"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip(), asked.read_text().split()

    return ask


@pytest.mark.parametrize(
    ("state", "means"),
    [
        ("COMPLETED", "success"),
        ("RUNNING", "running"),
        ("PENDING", "running"),
        ("COMPLETING", "running"),
        ("FAILED", "failed"),
        ("NODE_FAIL", "failed"),
        ("TIMEOUT", "failed"),
        ("OUT_OF_MEMORY", "failed"),
        ("CANCELLED", "failed"),
        ("PREEMPTED", "failed"),
    ],
)
def test_states_of_slurm_mean_what_snakemake_knows(ask, state, means):
    assert ask("12", f"echo 11 RUNNING; echo 12 {state}; echo 121 FAILED")[0] == means


def test_a_controller_that_is_away_does_not_end_a_job(ask):
    assert ask("12", "echo 'Unable to contact slurm controller' >&2; exit 1")[0] == "running"


def test_a_job_that_slurm_has_forgotten_failed(ask):
    said, asked = ask("12", "echo 11 RUNNING")
    assert said == "failed"
    assert asked == ["squeue", "squeue", "sacct"]


def test_one_answer_of_the_controller_serves_many_questions(ask):
    for job in ("11", "12", "11"):
        said, asked = ask(job, "echo 11 RUNNING; echo 12 COMPLETED")
        assert said == {"11": "running", "12": "success"}[job]
    assert asked == ["squeue"]


@pytest.fixture
def submit(root, tmp_path):
    """Submit a job, where sbatch is a script; what it was asked stands in a file."""

    def submit(text):
        sbatch = tmp_path / "sbatch"
        sbatch.write_text(f'#!/bin/sh\necho "$@" >> asked\n{text}\n')
        sbatch.chmod(0o755)
        of_job = ("--name=n", "--memory=300", "--minutes=4", "--margin=3", "--cpus=2", "script.sh")
        return subprocess.run(
            [sys.executable, root / "workflow/profiles/slurm/slurm.py", "submit", *of_job],
            cwd=tmp_path,
            env={"PATH": os.pathsep.join([str(tmp_path), os.defpath])},
            capture_output=True,
            text=True,
        )

    return submit


@pytest.mark.parametrize(
    "busy",
    ["Unable to contact slurm controller (connect failure)", "Socket timed out on send/recv"],
)
def test_a_submission_waits_for_a_controller_that_is_away_or_busy(submit, tmp_path, busy):
    done = submit(
        f"[ $(wc -l < asked) -gt 1 ] && echo '7;site' && exit 0\n"
        f"echo 'sbatch: error: {busy}' >&2\nexit 1"
    )
    assert (done.returncode, done.stdout) == (0, "7\n"), done.stderr
    first, second = (tmp_path / "asked").read_text().splitlines()
    assert first == second
    assert "--mem=500 --time=7 --cpus-per-task=2" in first


def test_a_submission_that_slurm_refuses_does_not_wait(submit, tmp_path):
    done = submit("echo 'sbatch: error: Invalid qos specification' >&2\nexit 1")
    assert done.returncode == 1
    assert "Invalid qos" in done.stderr
    assert len((tmp_path / "asked").read_text().splitlines()) == 1
