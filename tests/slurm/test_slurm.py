"""The study on a real Slurm: the bytes of a local run, whatever happens to the cluster."""

import math
import re
import signal
from contextlib import nullcontext

import pytest

import cluster as slurm
from sparseact.study.workplace import alone
from studies import Run, Study, assert_same, edit, read_only

pytestmark = pytest.mark.slurm

# Some seconds' work, for one or two Slurm jobs …
SOME = [
    f"results/quick/{stage}/signed_M8_k{k}_d{d}_b1_s0.5{rest}.nc"
    for k, d in ((1, 2), (2, 1), (2, 2))
    for stage, rest in (("simulate", "_gaussian"), ("recover", "_gaussian_correlation"))
]
# … and for one: the recovery that takes longest.
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


def due(quick, folder, names):
    """A copy of the finished quick study, some of which is due again."""
    one = quick.copied(folder)
    for name in names:
        (one.folder / name).unlink()
    return one


@pytest.fixture
def some(quick, tmp_path):
    return due(quick, tmp_path / "some", SOME)


@pytest.fixture
def big(quick, tmp_path):
    return due(quick, tmp_path / "big", [BIG])


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


def jobs_of(said):
    """Ids of the jobs that a run says it submitted."""
    return re.findall(r"jobid '(\d+)'", said)


def running(cluster):
    return jobs(cluster, "RUNNING")


# -- from nothing ------------------------------------------------------------------------------


def test_from_nothing_it_leaves_the_bytes_of_a_local_run(quick, root, cluster, submitted, tmp_path):
    other = Study(root, tmp_path / "other", config=quick.config)
    edit(
        other.folder / "workflow/profiles/slurm/config.yaml",
        "  - slurm_partition=''\n  - slurm_account=''\n",
        f"  - slurm_partition={slurm.PAID}\n  - slurm_account={slurm.ACCOUNT}\n",
    )
    said = finished(submitted(other, "datasets", "reports/quick/sparsity.html"))
    ours, theirs = quick.products(), other.products()
    assert len(theirs) > 100
    assert [name for name in theirs if theirs[name] != ours[name]] == []

    ran = jobs_of(said)
    assert "Trying to restart" not in said
    asked = ("sacct", "--allocations", "--noheader", "--parsable2", f"--jobs={','.join(ran)}")
    for line in cluster.run(*asked, "--format=State,Partition,Account").splitlines():
        assert line == f"COMPLETED|{slurm.PAID}|{slurm.ACCOUNT}"
    # All but what stays on the submit node.
    groups = [path.name for path in (other.folder / "logs/quick/slurm").glob("*.log")]
    assert len(groups) == len(ran)
    assert {name.partition("_")[0] for name in groups} == {"scenarios", "collections", "renders"}


# -- faults ------------------------------------------------------------------------------------


def test_a_node_is_lost_and_its_jobs_are_done_again(quick, some, cluster, submitted):
    run = submitted(some, *SOME)
    (first, *_) = run.until(lambda: running(cluster))
    node = cluster.run("squeue", "--noheader", "--format=%N", f"--jobs={first}")
    cluster.lose_node(node)
    try:
        said = finished(run)
    finally:
        cluster.return_node(node)
    assert cluster.job_state(first) == "NODE_FAIL"
    assert "Trying to restart" in said
    assert_same(quick, some)


# Slurm says so twice when it kills a job, first with the bytes; the log may end between the two.
MEMORY = "xceeded (?:job )?memory limit"
# Lets every job hold more memory than it asks for; results do not depend on that.
HUNGRY = """
if not workflow.is_main_process:
    import time

    held_room = bytearray({megabytes} * 2**20)
    time.sleep({seconds})
"""


def test_a_job_over_its_memory_is_tried_with_more(quick, big, cluster, submitted):
    with (big.folder / "Snakefile").open("a") as file:
        file.write(HUNGRY.format(megabytes=450, seconds=2))
    run = submitted(big, BIG)
    said = finished(run)
    first, second = jobs_of(said)
    assert re.search(rf"Slurm job {first} ended as \w+ \(.*{MEMORY}.*\)", said), said
    less, more = (float(memory(cluster, job)) for job in (first, second))
    assert more > 1.5 * less  # twice as much, but for what Snakemake takes
    assert_same(quick, big)


def memory(cluster, job):
    """Megabytes that a job asked for."""
    asked = cluster.run("scontrol", "show", "job", job)
    return re.search(r"mem=(\d+)M", asked)[1]


def log_of(name):
    """The log of the job that leaves something."""
    return name.replace("results/", "logs/").replace(".nc", ".log")


def at_it(study, name):
    """Do a job, for all that another can tell who is to do it, and so waits."""
    return alone(study.folder / "logs/quick/.jobs", log_of(name))


def assert_reported(said, job, why, name):
    """A job that failed is told with what it was at, which is named by what it was to leave."""
    _, stage, scenario = name.removesuffix(".nc").rsplit("/", 2)
    log = log_of(name)
    (line,) = re.findall(rf"^Slurm job {job} ended as .*", said, re.MULTILINE)
    assert re.search(why, line), line
    assert f"at work on {stage} {scenario} ({log})" in line, line
    assert re.search(rf"its log: logs/quick/slurm/\S+-{job}\.log$", line), line


def test_a_job_that_never_has_enough_memory_is_reported(quick, big, cluster, submitted):
    path, stage = big.folder / BIG, big.folder / "workflow/scripts/stage.py"
    text = stage.read_text()
    # Once it is at work.
    edit(
        stage,
        "with job(snakemake) as params:\n",
        "with job(snakemake) as params:\n"
        "    if snakemake.rule == 'recover':\n"
        "        import time; room = bytearray(2000 * 2**20); time.sleep(3)\n",
    )
    said = refused(submitted(big, BIG, "--retries", "1"))
    for job in jobs_of(said):
        assert_reported(said, job, MEMORY, BIG)
    assert said.count("Trying to restart") == 1
    assert not path.exists()

    stage.write_text(text)
    finished(submitted(big, BIG))
    assert_same(quick, big)


def let_time_pass(cluster, run, study, job):
    """Let the time of a job that is at work be up, and tell how many seconds it asked for."""
    (log,) = run.until(lambda: [*study.folder.glob(f"logs/quick/slurm/*-{job}.log")])
    run.until(lambda: re.search(r"^ +resources: ", log.read_text(), re.MULTILINE))
    limit = cluster.run("squeue", "--noheader", "--format=%l", f"--jobs={job}")
    cluster.expire(job)
    run.until(lambda: cluster.job_state(job) == "TIMEOUT")
    minutes, seconds = limit.split(":")
    return 60 * int(minutes) + int(seconds)


def test_a_job_over_its_time_is_tried_with_more_and_then_reported(quick, big, cluster, submitted):
    # A job waits for its double, which is this test, for as long as that takes.
    with at_it(big, BIG):
        run = submitted(big, BIG, "--retries", "1")
        (first, *_) = run.until(lambda: running(cluster))
        less = let_time_pass(cluster, run, big, first)
        (second,) = run.until(lambda: [one for one in running(cluster) if one != first])
        assert let_time_pass(cluster, run, big, second) == 2 * less
        said = refused(run)
    for job in (first, second):
        assert_reported(said, job, "DUE TO TIME LIMIT", BIG)
    assert not (big.folder / BIG).exists()

    finished(submitted(big, BIG))
    assert_same(quick, big)


def test_a_job_cancelled_from_outside_is_done_again(quick, some, cluster, submitted):
    run = submitted(some, *SOME)
    (first, *_) = run.until(lambda: running(cluster))
    cluster.run("scancel", first)
    finished(run)
    assert cluster.job_state(first) == "CANCELLED"
    assert_same(quick, some)


def when(cluster, jobs):
    """Start and end of some jobs, as seconds."""
    if not jobs:  # of which Slurm would show all
        return []
    shown = cluster.run(
        *("squeue", "--states=all", "--noheader", "--format=%S %e", f"--jobs={','.join(jobs)}"),
        SLURM_TIME_FORMAT="%s",
    )
    return [tuple(map(float, line.split())) for line in shown.splitlines()]


def test_the_submit_process_is_killed_while_jobs_run(quick, some, cluster, submitted):
    with at_it(some, SOME[0]):  # the job waits
        run = submitted(some, *SOME)
        run.until(lambda: running(cluster))
        run.send(signal.SIGKILL)
        run.end()
        said = refused(submitted(some, *SOME))
        assert re.search("in the queue; wait for them, or: scancel|a job that one left", said)
    left = jobs_of(run.said())
    cluster.wait_until(lambda: not jobs(cluster, "RUNNING", "PENDING", "COMPLETING"), 120)
    later = jobs_of(finished(submitted(some, *SOME)))
    # Nothing ran twice at the same time; where all was in the queue already, nothing ran again.
    assert max(end for _, end in when(cluster, left)) <= min(
        (start for start, _ in when(cluster, later)), default=math.inf
    )
    assert_same(quick, some)


def test_the_submit_process_is_killed_while_jobs_wait(quick, some, cluster, submitted):
    nodes = f"NodeName={','.join(cluster.nodes)}"
    cluster.run("scontrol", "update", nodes, "State=DRAIN", "Reason=test")
    try:
        run = submitted(some, *SOME)
        waiting = run.until(lambda: jobs(cluster, "PENDING"))
        run.send(signal.SIGKILL)
        run.end()
        said = refused(submitted(some, *SOME))
    finally:
        cluster.run("scontrol", "update", nodes, "State=RESUME")
    (told,) = re.findall(r"in the queue; wait for them, or: (scancel .*)", said)
    assert {*waiting} <= {*told.split()}
    cluster.run(*told.split())
    finished(submitted(some, *SOME))
    assert_same(quick, some)


@pytest.mark.parametrize("forgets", [False, True], ids=["", "and forgets"])
def test_the_controller_is_restarted_and_the_run_goes_on(quick, some, cluster, submitted, forgets):
    run = submitted(some, *SOME)
    run.until(lambda: running(cluster))
    cluster.restart_controller(down_for=2 if forgets else 6, forget=forgets)
    said = finished(run)
    assert ("Trying to restart" in said) == forgets
    assert_same(quick, some)


# -- what cannot be ----------------------------------------------------------------------------


CANNOT = {
    "an unknown partition": "slurm_partition 'nowhere' in .* is not one of the site's: ",
    "a missing account": "Slurm takes no job with slurm_account '' .* partition paid is for rig",
    "an unknown account": "Slurm takes no job with slurm_account 'nobody' .*Invalid account",
    "no Slurm on the PATH": "sbatch, scontrol, squeue, scancel not found: load the site's Slurm",
    "no controller": "Slurm does not answer: ",
    "an unwritable folder": "results/quick cannot be written to: Read-only file system",
}


@pytest.mark.parametrize("what", CANNOT)
def test_what_cannot_be_is_told_before_anything_is_submitted(
    some, cluster, submitted, tmp_path, what
):
    before = cluster.run("squeue", "--states=all", "--noheader")
    environment, where = {}, nullcontext()
    site = {"slurm_partition": "''", "slurm_account": "''"}
    if what == "an unknown partition":
        site["slurm_partition"] = "nowhere"
    elif what == "a missing account":
        site["slurm_partition"] = slurm.PAID
    elif what == "an unknown account":
        site["slurm_account"] = "nobody"
    elif what == "no Slurm on the PATH":
        environment["PATH"] = str(tmp_path)
    elif what == "no controller":
        configuration = cluster.configuration.read_text()
        port = re.search(r"SlurmctldPort=\d+", configuration)[0]
        (tmp_path / "slurm.conf").write_text(configuration.replace(port, "SlurmctldPort=1"))
        environment["SLURM_CONF"] = str(tmp_path / "slurm.conf")
    else:
        where = read_only(some.folder / "results/quick")
    set_to = (f"{name}={value}" for name, value in site.items())
    with where:
        run = submitted(some, *SOME, "--default-resources", *set_to, environment=environment)
        said = refused(run)
    assert re.search(CANNOT[what], said), said
    assert cluster.run("squeue", "--states=all", "--noheader") == before
