"""Real studies killed, starved and damaged: what they say, and that resumed they are the same.

Runs are started as `make` starts them. Some faults need root (a disk of a few megabytes, a folder
that is read-only even for root); without it these tests are skipped or make do with less.
"""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress

import psutil
import pytest

from sparseact.study import store
from tiny_study import Study

pytestmark = pytest.mark.faults

# No test waits longer than this for a run, in seconds.
PATIENCE = 600


class Run:
    """A run of a study that goes on while the test does, in a process group of its own."""

    def __init__(self, study, *arguments, config="tiny.yaml", environment=None, **options):
        cache = str(study.folder / ".snakemake/cache")
        self.output = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", config),
                *("--workflow-profile", "workflow/profiles/default", *arguments),
            ],
            cwd=study.folder,
            # Wide enough that no sentence is wrapped.
            env={**os.environ, "XDG_CACHE_HOME": cache, "COLUMNS": "1000", **(environment or {})},
            stdout=self.output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )

    def until(self, event):
        """What the event says once it says anything; the run must go on until then."""
        deadline = time.monotonic() + PATIENCE
        while not (seen := event()):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
        return seen

    def workers(self):
        """The processes of its jobs."""
        with suppress(psutil.Error):
            return [
                child
                for child in psutil.Process(self.process.pid).children()
                if any("/.snakemake/scripts/" in word for word in child.cmdline())
            ]
        return []

    def send(self, number):
        """Signal the whole group."""
        os.killpg(self.process.pid, number)

    def said(self):
        self.output.seek(0)
        return self.output.read()

    def end(self):
        """Exit code and output."""
        code = self.process.wait(PATIENCE)
        return code, self.said()


def finish(study, *arguments, **options):
    """Run to the end, which must be a good one."""
    code, said = Run(study, *arguments, **options).end()
    assert code == 0, said


def fail(study, *arguments, **options):
    """Run to an end that must be a failure, told without a traceback."""
    code, said = Run(study, *arguments, **options).end()
    assert code != 0
    assert "Traceback" not in said, said
    return said


def lose(study, *names):
    """Remove some of the results, so that they are due again."""
    for name in names:
        for path in study.folder.glob(f"results/tiny/{name}"):
            path.unlink()


# Logs, recoveries and two datasets: a few seconds' work for two cores.
SOME = (
    "simulate/signed_M8_k1_d1*",
    "recover/signed_M8_k1_d1*",
    "signal_strength.nc",
    "lower_bounds.nc",
)


def partials(study):
    return [
        path for top in ("results", "reports") for path in (study.folder / top).rglob(".*.part*")
    ]


def assert_same(study, other):
    ours, theirs = study.products(), other.products()
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


# -- killed ------------------------------------------------------------------------------------


def test_killed_at_several_moments_the_quick_study_resumes(root, tmp_path):
    quick = {"config": "config/quick.yaml"}
    undisturbed = Study(root, tmp_path / "undisturbed")
    finish(undisturbed, **quick)
    killed = Study(root, tmp_path / "killed")
    moments = [
        ("results/quick/simulate/*.nc", 2),
        ("results/quick/recover/*.nc", 5),
        ("results/quick/*.nc", 1),
        ("reports/quick/*.html", 1),
    ]
    for seed, (files, number) in enumerate(moments):
        run = Run(killed, environment={"PYTHONHASHSEED": f"{seed}"}, **quick)
        run.until(
            lambda run=run, files=files, number=number: (
                len(list(killed.folder.glob(files))) >= number and run.workers()
            )
        )
        run.send(signal.SIGKILL)
        run.end()
        for path in (killed.folder / "results").rglob("[!.]*.nc"):
            store.load(path)
    finish(killed, "--cores", "1", **quick)
    assert partials(killed) == []
    assert_same(undisturbed, killed)


def test_a_worker_killed_fails_its_job_alone_and_is_done_again(study, copy):
    lose(copy, *SOME)
    run = Run(copy, "datasets")
    run.until(run.workers)[0].kill()
    code, said = run.end()
    assert code != 0
    assert "died with <Signals.SIGKILL: 9>" in said
    finish(copy, "datasets")
    assert_same(study, copy)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_asked_to_stop_needs_no_unlocking(study, copy, number):
    lose(copy, *SOME)
    run = Run(copy, "datasets")
    run.until(run.workers)
    run.process.send_signal(number)
    code, said = run.end()
    assert code != 0
    assert "Traceback" not in said
    finish(copy, "datasets")
    assert_same(study, copy)


def test_stopped_in_the_middle_of_a_write_nothing_half_written_counts(study, copy):
    lose(copy, *SOME)
    results = copy.folder / "results/tiny"
    run = Run(copy, "datasets")

    def caught():
        """A file half-written while the whole run stands still."""
        if not any(path.name.startswith(".") for path in os.scandir(results / "simulate")):
            return []
        run.send(signal.SIGSTOP)
        left = list(results.glob("simulate/.*.part.nc"))
        if not left:
            run.send(signal.SIGCONT)
        return left

    left = run.until(caught)
    run.send(signal.SIGKILL)
    run.end()
    for path in left:
        target = path.with_name(path.name[1:].rsplit(".", 3)[0] + ".nc")
        assert path.exists()
        assert not target.exists()
    finish(copy)
    assert partials(copy) == []
    assert_same(study, copy)


# -- no room -----------------------------------------------------------------------------------


@contextmanager
def mounted(folder, *options):
    """A folder with something mounted on it."""
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not possible here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_on_a_full_disk_it_says_so_and_resumes_when_there_is_room(study, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk, "-t", "tmpfs", "-o", "size=100m", "tmpfs"):
        copy = study.copied(disk)
        lose(copy, *SOME)
        # Room for what Snakemake itself keeps of a run, and not for the logs.
        (disk / "filling").write_bytes(bytes(shutil.disk_usage(disk).free - 150_000))
        said = fail(copy, "datasets")
        assert "cannot be written" in said
        assert "MiB left" in said
        for path in (copy.folder / "results").rglob("*.nc"):
            store.load(path)
        assert partials(copy) == []
        (disk / "filling").unlink()
        finish(copy, "datasets")
        assert_same(study, copy)


def test_a_file_that_may_not_grow_is_named(study, copy):
    lose(copy, *SOME)
    limit = 16 * 1024
    said = fail(
        copy,
        "datasets",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert "cannot be written" in said
    assert partials(copy) == []
    finish(copy, "datasets")
    assert_same(study, copy)


@contextmanager
def read_only(folder):
    """A folder that nobody may write to."""
    if os.geteuid() == 0:
        with mounted(folder, "--bind", "-o", "ro", str(folder)):
            yield
    else:
        folder.chmod(0o555)
        try:
            yield
        finally:
            folder.chmod(0o755)


def test_results_that_are_read_only_are_named(study, copy):
    lose(copy, *SOME)
    results = copy.folder / "results/tiny"
    with read_only(results / "simulate"):
        code, said = Run(copy, "datasets").end()
        assert code != 0
        assert re.search(r"(Read-only|denied).*results/tiny/simulate/signed_M8_k1_d1", said), said
    with read_only(results):  # what is there already, Snakemake itself looks at
        assert re.search("Write-protected.*results/tiny", fail(copy, "datasets"), re.DOTALL)
    text = (copy.folder / "tiny.yaml").read_text()
    (copy.folder / "label.yaml").write_text(text.replace("label: tiny", "label: label"))
    with read_only(results.parent):
        said = fail(copy, "datasets", config="label.yaml")
        assert "results/label cannot be written to: " in said
    finish(copy, "datasets")
    assert_same(study, copy)


def test_a_home_that_cannot_be_written_is_not_needed(study, copy):
    lose(copy, *SOME)
    (copy.folder / "reports/tiny/sparsity.html").unlink()
    nowhere = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), "/proc/nowhere")
    finish(copy, "datasets", "reports/tiny/sparsity.html", environment=nowhere)
    assert_same(study, copy)


def test_a_missing_kernel_is_told(study, copy):
    page = copy.folder / "reports/tiny/sparsity.html"
    page.unlink()
    # In the path of every job and kernel of this copy.
    missing = copy.folder / "src/sitecustomize.py"
    missing.write_text("import sys\nsys.modules['ipykernel'] = None\n")
    code, said = Run(copy, "reports/tiny/sparsity.html").end()
    assert code != 0
    assert "notebooks/sparsity.ipynb: its kernel is missing or died" in said
    assert "ipykernel" in said
    assert not page.exists()
    missing.unlink()
    finish(copy, "reports/tiny/sparsity.html")
    assert_same(study, copy)


# -- damaged -----------------------------------------------------------------------------------


def flipped(content, bit):
    """The content with one bit the other way."""
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def seen(path):
    """All that a reader gets of a dataset; None if it is refused, with its name."""
    try:
        arrays, told = store.load(path)
    except store.DatasetError as error:
        if str(path) not in str(error):
            raise
        return None
    return {name: values.tolist() for name, values in arrays.items()}, told


@pytest.mark.parametrize(
    "name",
    [
        "simulate/signed_M8_k1_d1_b1_s0.5.nc",
        "recover/single_M8_k1_d2_b1_s0.5_correlation.nc",
        "lower_bounds.nc",
    ],
)
def test_a_dataset_cut_short_or_with_a_bit_flipped_is_refused_or_reads_the_same(
    study, name, tmp_path
):
    path = study.folder / "results/tiny" / name
    content, whole = path.read_bytes(), repr(seen(path))
    damaged = tmp_path / "damaged.nc"
    for length in range(0, len(content), len(content) // 50):
        damaged.write_bytes(content[:length])
        assert seen(damaged) is None, length
    refused = 0
    # An odd step meets every bit of a byte.
    for bit in range(0, 8 * len(content), len(content) // 50 | 1):
        damaged.write_bytes(flipped(content, bit))
        found = seen(damaged)
        refused += found is None
        assert found is None or repr(found) == whole, bit
    assert refused > 0


def test_damaged_datasets_are_named_never_used_and_rebuilt(study, copy):
    results = copy.folder / "results/tiny"

    def of_another_seed(path):
        arrays, told = store.load(path)
        told = {name: value for name, value in told.items() if name != "content_sha256"}
        store.write(path, "recovery", arrays, {**told, "seed": 7})
        return path.read_bytes()

    def with_a_bit_flipped(path):
        content = path.read_bytes()
        for bit in range(4 * len(content), 8 * len(content), 99):
            path.write_bytes(flipped(content, bit))
            if seen(path) is None:
                return path.read_bytes()
        raise AssertionError

    # Each is read by a job of its own, so that all are met in one run.
    victims = {
        "refit/signed_M8_k1_d2_b1_s0.5_c10_correlation.nc": with_a_bit_flipped,
        "decide/signed_M8_k1_d2_b1_s0.5_correlation.nc": lambda path: path.read_bytes()[:-500],
        "diagnose/signed_M8_k1_d2_b1_s0.5_twin0.nc": lambda path: b"",
        "dense/signed_M8_k1_d1_b1_s0.5_gaussian.nc": lambda path: b"Mon Tue Wed\n",
        "detect/single_M8_k1_d2_b1_s0.5_scarce20_correlation.nc": lambda path: (
            results / "coverage.nc"
        ).read_bytes(),
        "recover/signed_M8_k1_d1_b1_s2_correlation.nc": of_another_seed,
    }
    for name, damage in victims.items():
        (results / name).write_bytes(damage(results / name))
    said = fail(copy, "datasets")
    for name in victims:
        assert f"results/tiny/{name} " in said, said
        (results / name).unlink()
    finish(copy, "datasets")
    assert_same(study, copy)


def test_collected_datasets_that_are_damaged_are_named_by_all_that_read_them(study, copy):
    path = copy.folder / "results/tiny/lower_bounds.nc"
    content, then = path.read_bytes(), path.stat()
    path.write_bytes(content[:-200])
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))
    for reader in (
        "results/tiny/checks.json",
        "reports/tiny/claims.json",
        "reports/tiny/lower_bounds.html",
    ):
        (copy.folder / reader).rename(copy.folder / "aside")
        assert "results/tiny/lower_bounds.nc cannot be read as netCDF" in fail(copy, reader)
        (copy.folder / "aside").rename(copy.folder / reader)


# -- more than one -----------------------------------------------------------------------------


def test_a_second_run_of_the_same_study_is_refused_and_the_first_goes_on(study, copy):
    lose(copy, *SOME)
    first = Run(copy, "datasets")
    first.until(first.workers)
    assert "another run is at work on this study" in fail(copy, "datasets")
    code, said = first.end()
    assert code == 0, said
    assert_same(study, copy)


def test_studies_in_two_folders_and_two_labels_in_one_do_not_disturb_each_other(study, tmp_path):
    copies = [study.copied(tmp_path / name) for name in ("one", "other")]
    runs = []
    for copy in copies:
        lose(copy, *SOME)
        runs.append(Run(copy, "datasets"))
    text = (copies[0].folder / "tiny.yaml").read_text()
    (copies[0].folder / "label.yaml").write_text(text.replace("label: tiny", "label: label"))
    runs.append(Run(copies[0], "results/label/coverage.nc", config="label.yaml"))
    for run in runs:
        code, said = run.end()
        assert code == 0, said
    ours = study.products()["results/tiny/coverage.nc"]
    assert (copies[0].folder / "results/label/coverage.nc").read_bytes() == ours
    shutil.rmtree(copies[0].folder / "results/label")
    for copy in copies:
        assert_same(study, copy)
