"""The study on a real Slurm: the bytes of a local run, whatever happens to the cluster."""

import os
import re
import signal

import pytest

import cluster as slurm
from sparseact.study import store
from studies import Run, Study, assert_same, edit

pytestmark = pytest.mark.slurm

# Logs, recoveries and two datasets: some seconds' work.
SOME = (
    "simulate/signed_M8_k[12]_*",
    "recover/signed_M8_k[12]_*",
    "lower_bounds.nc",
)


BIG = "results/quick/recover/signed_M128_k2_d2_b1_s0.5_correlation.nc"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A Slurm of two nodes; its packages are installed where that is possible."""
    try:
        slurm.install()
    except RuntimeError as error:
        pytest.skip(str(error))
    with slurm.Cluster(tmp_path_factory.mktemp("rig")) as one:
        yield one


@pytest.fixture
def submitted(cluster):
    """Runs a study on the cluster, which must be as new when it is done."""

    def run(study, *arguments, **options):
        environment = {**cluster.environment, **options.pop("environment", {})}
        return Run(study, *arguments, profile="slurm", environment=environment, **options)

    yield run
    cluster.run("scancel", f"--user={slurm.USER}")
    cluster.wait_until(lambda: not cluster.run("squeue", "--noheader"), 30)


@pytest.fixture
def copy(quick, tmp_path):
    """The finished quick study, some of which is due again."""
    one = quick.copied(tmp_path / "copy")
    for name in SOME:
        for path in one.folder.glob(f"results/quick/{name}"):
            path.unlink()
    return one


def finished(run):
    code, said = run.end()
    assert code == 0, said
    return said


def refused(run):
    code, said = run.end()
    assert code != 0
    assert "Traceback" not in said, said
    return said


def jobs(cluster, *states):
    """Ids of the jobs in some states."""
    wanted = f"--states={','.join(states)}"
    return cluster.run("squeue", "--noheader", "--format=%i", wanted).split()


def running(cluster):
    return jobs(cluster, "RUNNING")


# -- from nothing ------------------------------------------------------------------------------


def test_from_nothing_it_leaves_the_bytes_of_a_local_run(quick, root, submitted, tmp_path):
    other = Study(root, tmp_path / "other", config=quick.config)
    finished(submitted(other))
    assert_same(quick, other)


# -- faults ------------------------------------------------------------------------------------


def test_a_node_is_lost_and_its_jobs_are_done_again(quick, copy, cluster, submitted):
    run = submitted(copy, "datasets")
    (first, *_) = run.until(lambda: running(cluster))
    node = cluster.run("squeue", "--noheader", "--format=%N", f"--jobs={first}")
    cluster.lose_node(node)
    try:
        said = finished(run)
    finally:
        cluster.return_node(node)
    assert cluster.job_state(first) == "NODE_FAIL"
    assert "Trying to restart" in said
    assert_same(quick, copy)


def hungry(study, megabytes):
    """Let every recovery of a study take more memory than it says."""
    edit(
        study.folder / "workflow/scripts/stage.py",
        "with job(snakemake) as params:\n",
        "with job(snakemake) as params:\n"
        f"    room = bytearray({megabytes} * 2**20) if snakemake.rule == 'recover' else None\n"
        "    import time; time.sleep(3 if room else 0)\n",
    )


def test_a_job_over_its_memory_is_tried_with_more(quick, copy, cluster, submitted):
    hungry(copy, 700)
    less = ["--set-resources", "recover:mem_mb=500*attempt"]
    path = copy.folder / BIG
    values = store.read(path, "recovery")
    path.unlink()
    said = finished(submitted(copy, BIG, *less))
    assert "Trying to restart" in said
    for name, found in store.read(path, "recovery").items():
        assert (found == values[name]).all()


def test_a_job_that_never_has_enough_is_reported_with_rule_scenario_and_log(
    copy, cluster, submitted
):
    hungry(copy, 2000)
    path = copy.folder / BIG
    path.unlink()
    less = ["--set-resources", "recover:mem_mb=400", "--retries", "1"]
    said = refused(submitted(copy, BIG, *less))
    assert "recover" in said
    assert "signed_M128_k2_d2_b1_s0.5_correlation" in said
    assert "logs/quick/recover/signed_M128_k2_d2_b1_s0.5_correlation.log" in said
    assert not path.exists()


def test_a_job_over_its_time_is_done_again(quick, copy, cluster, submitted):
    run = submitted(copy, "datasets")
    (first, *_) = run.until(lambda: running(cluster))
    stop_the_work(cluster, first)
    cluster.expire(first)
    said = finished(run)
    assert cluster.job_state(first) == "TIMEOUT"
    assert "Trying to restart" in said
    assert_same(quick, copy)


def stop_the_work(cluster, job):
    """Let a job stand still, as one does that takes too long."""
    name = cluster.run("squeue", "--noheader", "--format=%N", f"--jobs={job}")
    for process in cluster._job_processes([name]):
        if process.name() != "slurmstepd":
            process.suspend()


def test_a_job_cancelled_from_outside_is_done_again(quick, copy, cluster, submitted):
    run = submitted(copy, "datasets")
    (first, *_) = run.until(lambda: running(cluster))
    cluster.run("scancel", first)
    finished(run)
    assert cluster.job_state(first) == "CANCELLED"
    assert_same(quick, copy)


def test_the_submit_process_is_killed_and_nothing_runs_twice(quick, copy, cluster, submitted):
    run = submitted(copy, "datasets")
    run.until(lambda: running(cluster))
    run.send(signal.SIGKILL)
    run.end()
    said = refused(submitted(copy, "datasets"))
    assert re.search("in the queue; wait for them, or: scancel|a job that one left behind", said)
    cluster.wait_until(lambda: not jobs(cluster, "RUNNING", "PENDING", "COMPLETING"), 120)
    finished(submitted(copy, "datasets"))
    assert_same(quick, copy)


def test_the_controller_is_restarted_and_the_run_goes_on(quick, copy, cluster, submitted):
    run = submitted(copy, "datasets")
    run.until(lambda: running(cluster))
    cluster.restart_controller(down_for=6)
    finished(run)
    assert_same(quick, copy)


# -- what cannot be ----------------------------------------------------------------------------


def strict_sbatch(folder):
    """An sbatch as at a site that wants an account; to enforce one takes a database."""
    sbatch = folder / "sbatch"
    sbatch.write_text(
        "#!/bin/sh\necho 'sbatch: error: Invalid account or account/partition combination "
        "specified' >&2\nexit 1\n"
    )
    sbatch.chmod(0o755)
    return str(folder)


CANNOT = {
    "an unknown partition": "slurm_partition 'nowhere' in .* is not one of the site's: rig",
    "a missing account": "Slurm takes no job with slurm_account '' .*Invalid account",
    "no Slurm on the PATH": "sbatch, sinfo, squeue, scancel not found: load the site's Slurm",
    "no controller": "Slurm does not answer: ",
    "an unwritable folder": "results/label cannot be written to: ",
}


@pytest.mark.parametrize("what", CANNOT)
def test_what_cannot_be_is_told_before_anything_is_submitted(
    copy, cluster, submitted, tmp_path, what
):
    before = cluster.run("squeue", "--states=all", "--noheader")
    environment, options = {}, {}
    arguments = ["datasets"]
    if what == "an unknown partition":
        arguments += ["--default-resources", "slurm_partition=nowhere", "slurm_account=''"]
    elif what == "a missing account":
        path = cluster.environment["PATH"]
        environment["PATH"] = os.pathsep.join([strict_sbatch(tmp_path), path])
    elif what == "no Slurm on the PATH":
        environment["PATH"] = str(tmp_path)
    elif what == "no controller":
        configuration = cluster.configuration.read_text()
        port = re.search(r"SlurmctldPort=\d+", configuration)[0]
        (tmp_path / "slurm.conf").write_text(configuration.replace(port, "SlurmctldPort=1"))
        environment["SLURM_CONF"] = str(tmp_path / "slurm.conf")
    else:
        (copy.folder / "results/label").write_text("in the way")
        text = (copy.folder / copy.config).read_text()
        (copy.folder / "label.yaml").write_text(text.replace("label: quick", "label: label"))
        options["config"] = "label.yaml"
    said = refused(submitted(copy, *arguments, environment=environment, **options))
    assert re.search(CANNOT[what], said), said
    assert cluster.run("squeue", "--states=all", "--noheader") == before
