"""Real studies killed, starved and damaged: what they say, and that resumed they are the same.

Runs are started as `make` starts them. Some faults need root (a disk of a few megabytes, a folder
that is read-only even for root); without it these tests are skipped or make do with less.
"""

import os
import re
import resource
import shutil
import signal
from contextlib import suppress

import pytest

from sparseact.study import store
from studies import PATIENCE, Run, Study, assert_same, fail, finish, mounted, read_only

pytestmark = pytest.mark.faults


def lose(study, *names):
    """Remove some of the results, so that they are due again."""
    for name in names:
        for path in study.folder.glob(f"results/quick/{name}"):
            path.unlink()


# Logs, recoveries and two datasets: some seconds' work for two cores.
SOME = (
    "simulate/signed_M8_k[12]_*",
    "recover/signed_M8_k[12]_*",
    "signal_strength.nc",
    "lower_bounds.nc",
)


@pytest.fixture
def copy(quick, tmp_path):
    """The finished quick study again, free to be spoilt."""
    return quick.copied(tmp_path / "copy")


def partials(study):
    return [
        path for top in ("results", "reports") for path in (study.folder / top).rglob(".*.part*")
    ]


# -- killed ------------------------------------------------------------------------------------


def test_killed_at_several_moments_the_quick_study_resumes(quick, root, tmp_path):
    killed = Study(root, tmp_path / "killed", config=quick.config)
    moments = [
        ("results/quick/simulate/*.nc", 2),
        ("results/quick/recover/*.nc", 5),
        ("results/quick/*.nc", 1),
        ("reports/quick/*.html", 1),
    ]
    for seed, (files, number) in enumerate(moments):
        run = Run(killed, environment={"PYTHONHASHSEED": f"{seed}"})
        run.until(
            lambda run=run, files=files, number=number: (
                len(list(killed.folder.glob(files))) >= number and run.workers()
            )
        )
        run.send(signal.SIGKILL)
        run.end()
        for path in (killed.folder / "results").rglob("[!.]*.nc"):
            store.load(path)
    finish(killed)
    assert partials(killed) == []
    assert_same(quick, killed)


def test_killed_alone_its_jobs_end_before_another_run_begins(quick, copy):
    lose(copy, *SOME)
    run = Run(copy, "datasets")
    lock = str(copy.folder / "logs/quick/.lock")
    (worker, *_) = run.until(
        lambda: [one for one in run.workers() if lock in [file.path for file in one.open_files()]]
    )
    worker.suspend()  # a job that takes long
    run.process.kill()
    run.end()
    said = fail(copy, "datasets")
    assert "a job that one left behind, is at work on this study" in said
    worker.resume()
    worker.wait(PATIENCE)
    finish(copy, "datasets")
    assert_same(quick, copy)


def test_killed_alone_a_job_that_had_hardly_begun_does_nothing_more(quick, copy):
    lose(copy, *SOME)
    run = Run(copy, "datasets")
    (worker, *_) = run.until(run.workers)
    worker.suspend()
    assert "logs/quick/.lock" not in str(worker.open_files())
    run.process.kill()
    run.end()
    finish(copy, "datasets")
    first = Run(copy, "--forcerun", "check", "--until", "check")
    first.until(first.workers)
    worker.resume()
    worker.wait(PATIENCE)
    assert first.end()[0] == 0
    assert_same(quick, copy)


def test_a_worker_killed_fails_its_job_alone_and_is_done_again(quick, copy):
    lose(copy, *SOME)
    run = Run(copy, "datasets")
    run.until(run.workers)[0].kill()
    code, said = run.end()
    assert code != 0
    assert "died with <Signals.SIGKILL: 9>" in said
    finish(copy, "datasets")
    assert_same(quick, copy)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_asked_to_stop_needs_no_unlocking(quick, copy, number):
    lose(copy, *SOME)
    run = Run(copy, "datasets")
    run.until(run.workers)
    run.process.send_signal(number)
    code, said = run.end()
    assert code != 0
    assert "Traceback" not in said
    finish(copy, "datasets")
    assert_same(quick, copy)


def test_stopped_in_the_middle_of_a_write_nothing_half_written_counts(quick, copy):
    lose(copy, *SOME)
    results = copy.folder / "results/quick"
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

    left = run.until(caught, pause=0)  # a write is over in a moment
    run.send(signal.SIGKILL)
    run.end()
    for path in left:
        target = path.with_name(path.name[1:].rsplit(".", 3)[0] + ".nc")
        assert path.exists()
        assert not target.exists()
    finish(copy)
    assert partials(copy) == []
    assert_same(quick, copy)


# -- no room -----------------------------------------------------------------------------------


def fill(path):
    """Leave no room on a disk that others write to as well."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(2**16))


def test_on_a_full_disk_it_says_so_and_resumes_when_there_is_room(quick, copy):
    results = copy.folder / "results"
    results.rename(copy.folder / "aside")
    results.mkdir()
    with mounted(results, "-t", "tmpfs", "-o", "size=100m", "tmpfs"):
        shutil.copytree(copy.folder / "aside", results, dirs_exist_ok=True)
        shutil.rmtree(copy.folder / "aside")
        lose(copy, *SOME)
        filling = results / "filling"
        filling.write_bytes(bytes(shutil.disk_usage(results).free - 5 * 2**20))
        assert "has 5.0 MiB left" in fail(copy, "datasets")

        filling.unlink()
        run = Run(copy, "datasets")
        run.until(run.workers)
        fill(filling)
        code, said = run.end()
        assert code != 0
        assert "Traceback" not in said, said
        assert re.search(r"results/quick/\S+ cannot be written: .* MiB left", said), said
        for path in results.rglob("*.nc"):
            store.load(path)
        assert partials(copy) == []
        filling.unlink()
        finish(copy, "datasets")
        assert_same(quick, copy)


def test_a_file_that_may_not_grow_is_named(quick, copy):
    lose(copy, *SOME)
    limit = 64 * 1024  # of the logs, but not of what Snakemake runs
    said = fail(
        copy,
        "datasets",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert "cannot be written" in said
    assert partials(copy) == []
    finish(copy, "datasets")
    assert_same(quick, copy)


def test_results_that_are_read_only_are_named(quick, copy):
    lose(copy, *SOME)
    results = copy.folder / "results/quick"
    with read_only(results / "simulate"):
        code, said = Run(copy, "datasets").end()
        assert code != 0
        assert re.search(r"(Read-only|denied).*results/quick/simulate/signed_M8_k", said), said
    with read_only(results):  # what is there already, Snakemake itself looks at
        assert re.search("Write-protected.*results/quick", fail(copy, "datasets"), re.DOTALL)
    text = (copy.folder / quick.config).read_text()
    (copy.folder / "label.yaml").write_text(text.replace("label: quick", "label: label"))
    with read_only(results.parent):
        said = fail(copy, "datasets", config="label.yaml")
        assert "results/label cannot be written to: " in said
    finish(copy, "datasets")
    assert_same(quick, copy)
    with read_only(results.parent):
        finish(copy, "verify")


def test_a_home_that_cannot_be_written_is_not_needed(quick, copy):
    lose(copy, *SOME)
    (copy.folder / "reports/quick/sparsity.html").unlink()
    nowhere = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), "/proc/nowhere")
    finish(copy, "datasets", "reports/quick/sparsity.html", environment=nowhere)
    assert_same(quick, copy)


def test_a_missing_kernel_is_told(quick, copy):
    page = copy.folder / "reports/quick/sparsity.html"
    page.unlink()
    # In the path of every job and kernel of this copy.
    missing = copy.folder / "src/sitecustomize.py"
    missing.write_text("import sys\nsys.modules['ipykernel'] = None\n")
    code, said = Run(copy, "reports/quick/sparsity.html").end()
    assert code != 0
    assert "notebooks/sparsity.ipynb: its kernel is missing or died" in said
    assert "ipykernel" in said
    assert not page.exists()
    missing.unlink()
    finish(copy, "reports/quick/sparsity.html")
    assert_same(quick, copy)


# -- damaged -----------------------------------------------------------------------------------


def test_damaged_datasets_are_named_never_used_and_rebuilt(quick, copy):
    results = copy.folder / "results/quick"

    def of_another_seed(path):
        arrays, told = store.load(path)
        other = told["configuration"].replace('"seed": 20260108', '"seed": 7')
        store.write(path, "recovery", arrays, {**told, "configuration": other})
        return path.read_bytes()

    def with_a_bit_flipped(path):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        return content

    # Each is read by a job of its own, so that all are met in one run.
    victims = {
        "refit/signed_M32_k2_d2_b1_s0.5_c100_correlation.nc": with_a_bit_flipped,
        "decide/signed_M32_k2_d2_b1_s0.5_correlation.nc": lambda path: path.read_bytes()[:-500],
        "diagnose/signed_M16_k2_d2_b1_s0.5_twin0.nc": lambda path: b"",
        "dense/signed_M8_k1_d2_b1_s0.5_gaussian.nc": lambda path: b"Mon Tue Wed\n",
        "detect/single_M16_k2_d2_b1_s0.5_scarce300_whitened.nc": lambda path: (
            results / "coverage.nc"
        ).read_bytes(),
        "recover/signed_M32_k2_d2_b1_s4_correlation.nc": of_another_seed,
    }
    for name, damage in victims.items():
        (results / name).write_bytes(damage(results / name))
    said = fail(copy, "datasets")
    for name in victims:
        assert f"results/quick/{name} " in said, said
        (results / name).unlink()
    finish(copy, "datasets")
    assert_same(quick, copy)


def test_collected_datasets_that_are_damaged_are_named_by_all_that_read_them(quick, copy):
    path = copy.folder / "results/quick/lower_bounds.nc"
    content, then = path.read_bytes(), path.stat()
    path.write_bytes(content[:-200])
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))
    for reader in (
        "results/quick/checks.json",
        "reports/quick/claims.json",
        "reports/quick/lower_bounds.html",
    ):
        (copy.folder / reader).rename(copy.folder / "aside")
        assert "results/quick/lower_bounds.nc is damaged" in fail(copy, reader)
        (copy.folder / "aside").rename(copy.folder / reader)


# -- more than one -----------------------------------------------------------------------------


def test_a_second_run_of_the_same_study_is_refused_and_the_first_goes_on(quick, copy):
    lose(copy, *SOME)
    first = Run(copy, "datasets")
    first.until(first.workers)
    said = fail(copy, "datasets")
    assert "another run, or a job that one left behind, is at work" in said, said
    code, said = first.end()
    assert code == 0, said
    assert_same(quick, copy)


def test_studies_in_two_folders_and_two_labels_in_one_do_not_disturb_each_other(quick, tmp_path):
    copies = [quick.copied(tmp_path / name) for name in ("one", "other")]
    runs = []
    for copy in copies:
        lose(copy, *SOME)
        runs.append(Run(copy, "datasets"))
    text = (copies[0].folder / quick.config).read_text()
    (copies[0].folder / "label.yaml").write_text(text.replace("label: quick", "label: label"))
    runs.append(Run(copies[0], "results/label/coverage.nc", config="label.yaml"))
    for run in runs:
        code, said = run.end()
        assert code == 0, said
    ours = quick.products()["results/quick/coverage.nc"]
    assert (copies[0].folder / "results/label/coverage.nc").read_bytes() == ours
    shutil.rmtree(copies[0].folder / "results/label")
    for copy in copies:
        assert_same(quick, copy)
