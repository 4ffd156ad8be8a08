"""Studies in checkouts of their own, one of a few seconds among them, for tests of the workflow."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import yaml

from catalogues import VERSION, files, wheel
from sparseact.study.volatile import is_volatile

PARTS = ("Snakefile", "environment.yml", "requirements.lock")
PARTS += ("config", "workflow", "profiles", "src", "notebooks")
# No test waits longer than this for a run, in seconds.
PATIENCE = 1500
TINY = yaml.safe_load(
    """
    label: tiny
    trials: 16
    bootstrap: 20
    experiments:
      phase_transition:
        grids:
          - design: signed
            n_actions: [8, 16]
            sparsity: [1]
            latent_dim: [1]
            rounds: {from: 0.5, to: 4.0, per_doubling: 2}
          - design: single
            n_actions: [8]
            sparsity: [1]
            latent_dim: [2]
            rounds: {from: 0.3, to: 4.0, per_doubling: 2}
            selection: [correlation, whitened]
      signal_strength:
        grids:
          - design: signed
            n_actions: [8]
            sparsity: [1]
            latent_dim: [1]
            noise_std: [0.5, 2.0]
            n_rounds: [4, 8, 16, 32, 64]
      coverage:
        grids:
          - design: single
            n_actions: [8]
            sparsity: [1]
            latent_dim: [2]
            scarce: {after: 20, coverage: [0, 2, 8, 32]}
      coherence:
        measured_trials: 4
        grids:
          - design: signed
            structure: twin
            strength: [0.0, 0.8]
            n_actions: [8]
            sparsity: [1]
            latent_dim: [2]
            n_rounds: [8, 16, 64]
          - design: signed
            structure: twin
            strength: [0.8]
            n_actions: [8]
            sparsity: [1]
            latent_dim: [2]
            trials: 4
            selection: [oracle_group_lasso]
            n_rounds: [8, 16, 64]
      refit_error:
        grids:
          - design: signed
            condition_number: [1.0, 10.0]
            n_actions: [8]
            sparsity: [1]
            latent_dim: [2]
            n_rounds: [8, 16, 32, 64]
      decision_regret:
        states: 100
        grids:
          - design: signed
            n_actions: [8]
            sparsity: [1]
            latent_dim: [2]
            n_rounds: [4, 8, 16, 64]
      logging_policy:
        judged_trials: 4
        grids:
          - &logged
            design: single
            n_actions: [8]
            sparsity: [1]
            latent_dim: [2]
            selection: [whitened]
            n_rounds: [8, 16, 64]
          - {<<: *logged, policy: greedy, policy_level: [0.2]}
      lower_bounds:
        grids:
          - design: signed
            weights: gaussian
            n_actions: [8]
            sparsity: [1]
            latent_dim: [1]
            n_rounds: [2, 8, 32, 64]
      sparsity_necessity:
        grids:
          - design: signed
            weights: gaussian
            n_actions: [8]
            sparsity: [1, 8]
            latent_dim: [1]
            n_rounds: [8, 16, 32, 64]
      stopping:
        folds: 3
        most_actions: 3
        grids:
          - design: signed
            n_actions: [8]
            sparsity: [1]
            latent_dim: [1]
            n_rounds: [16, 32, 64]
      robustness:
        grids:
          - design: signed
            noise_std: [1.0]
            n_actions: [8]
            sparsity: [1]
            latent_dim: [2]
            n_rounds: [8, 16, 32, 64]
          - design: signed
            noise_std: [1.0]
            departure: bounded
            departure_size: [0.5]
            n_actions: [8]
            sparsity: [1]
            latent_dim: [2]
            n_rounds: [8, 16, 32, 64]
      approximate_sparsity:
        judged_trials: 4
        grids:
          - design: signed
            tail: flat
            tail_energy: [0.0, 0.5]
            n_actions: [8]
            sparsity: [1]
            latent_dim: [2]
            n_rounds: [8, 16, 32, 64]
      dynamic_actions:
        grids:
          - design: signed
            n_actions: [8]
            sparsity: [2]
            latent_dim: [1]
            arrives_after: [0, 32]
            since_arrival: [4, 16, 64]
      methods:
        states: 100
        grids:
          - setting: reference
            design: signed
            n_actions: [8]
            sparsity: [2]
            latent_dim: [1]
            trials: 8
            selection: [correlation, screening, ridge]
            n_rounds: [4, 16, 64]
    method_costs:
      sparsity: 1
      latent_dim: 2
      sizes:
        - {n_actions: 8, n_rounds: 32}
        - {n_actions: 16, n_rounds: 64}
      repeats: 2
      seconds: 1.0
    tool_catalogue:
      sets: [live_simple, live_multiple]
      latent_dim: 1
      tools_per_round: 4
      n_rounds: [100, 400]
      trials: 2
      lasso_trials: 1
      most_tools: 8
      fitted_dims: [1, 2]
    """
)
EXPERIMENTS = (*TINY["experiments"], "scaling_law", "beyond", "tool_catalogue")
# Datasets, and pages, of what is measured by a clock.
TIMED = ("method_costs",)
# How many files each stage leaves.
STAGES = {
    "simulate": 18,
    "recover": 16,
    "rival": 1,
    "compare": 3,
    "detect": 1,
    "stop": 1,
    "follow": 2,
    "refit": 10,
    "decide": 5,
    "dense": 4,
    "diagnose": 4,
    "bound": 1,
}


class Study:
    """A checkout of its own, with the tiny configuration beside the others."""

    def __init__(self, root, folder, config="tiny.yaml"):
        self.folder, self.config = folder, config
        folder.mkdir(parents=True)
        for part in PARTS:
            copy = shutil.copytree if (root / part).is_dir() else shutil.copy
            copy(root / part, folder / part)
        self.configure(TINY)
        self.publish()

    def publish(self):
        """Pin a wheel with a catalogue of tools that is made up, on a shelf beside."""
        shelf = self.folder / "shelf"
        shelf.mkdir()
        _, digest = wheel(shelf, files())
        pinned = f"bfcl-eval=={VERSION} --hash=sha256:{digest}\n"
        (self.folder / "workflow/catalogue.txt").write_text(pinned)

    def environment(self, more):
        """This process's, and more; pip looks for wheels on the shelf and nowhere else."""
        # As an address: pip takes a path with spaces for several.
        shelf = (self.folder / "shelf").as_uri()
        return {**os.environ, **more, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": shelf}

    def copied(self, folder):
        """The study again, free to be spoilt; times of files are kept."""
        other = object.__new__(Study)
        other.folder, other.config = folder, self.config
        shutil.copytree(self.folder, folder, symlinks=True, dirs_exist_ok=True)
        return other

    def configure(self, config):
        (self.folder / "tiny.yaml").write_text(yaml.safe_dump(config))

    def configuration(self):
        """What its configuration lays over the full study's."""
        return yaml.safe_load((self.folder / self.config).read_text())

    def run(self, *arguments, cores=2, **environment):
        return subprocess.run(
            [
                *(sys.executable, "-m", "snakemake", "--configfile", self.config),
                *("--cores", str(cores), *arguments),
            ],
            cwd=self.folder,
            env=self.environment(environment),
            capture_output=True,
            text=True,
        )

    def planned(self, *arguments):
        """Rules that a dry run would run, and how often."""
        done = self.run("--dry-run", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        output = done.stdout + done.stderr
        table = re.search(r"^job\s+count\n-+.*\n((?:\S+\s+\d+\n)+)", output, re.MULTILINE)
        if table is None:
            assert "Nothing to be done" in output, output
            return {}
        counts = {line.split()[0]: int(line.split()[1]) for line in table[1].splitlines()}
        del counts["total"]
        return counts

    def products(self):
        """Every dataset, figure and page, and its bytes, but for what is volatile."""
        found = {}
        for top in ("results", "reports"):
            for path in sorted((self.folder / top).rglob("*")):
                name = str(path.relative_to(self.folder))
                if path.is_file() and not is_volatile(name):
                    found[name] = path.read_bytes()
        return found


class Run:
    """A run as `make` starts it that goes on while the test does, in a process group of its own."""

    def __init__(
        self, study, *arguments, config=None, environment=None, profile="local", **options
    ):
        cache = str(study.folder / ".snakemake/cache")
        self.output = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "snakemake", "--configfile", config or study.config),
                *("--workflow-profile", f"workflow/profiles/{profile}", "--cores", "2", *arguments),
            ],
            cwd=study.folder,
            # Wide enough that no sentence is wrapped.
            env=study.environment(
                {"XDG_CACHE_HOME": cache, "COLUMNS": "1000", **(environment or {})}
            ),
            stdout=self.output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )

    def until(self, event, pause=0.05):
        """What the event says once it says anything; the run must go on until then."""
        deadline = time.monotonic() + PATIENCE
        while not (seen := event()):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(pause)
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


def edit(path, old, new):
    """Replace what a file says once."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def assert_same(study, other):
    """All that two studies left is the same, byte for byte; what differs is listed."""
    ours, theirs = study.products(), other.products()
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def notebooks(study):
    """Names of the notebooks of the study, not of a log of one's own."""
    there = {path.stem for path in (study.folder / "notebooks").glob("*.ipynb")}
    return sorted(there - {"discovery"})


def page_of(name):
    """Where the page of a notebook is, but for its suffix."""
    return f"reports/tiny/volatile/{name}" if name in TIMED else f"reports/tiny/{name}"


def claims_of(study):
    return json.loads((study.folder / "reports/tiny/claims.json").read_text())


def record(path):
    """Put the numbers of the quick study on record, its catalogue of tools made up."""
    root = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        one = Study(root, Path(folder) / "here", config="config/quick.yaml")
        finish(one)
        told = json.loads((one.folder / "results/quick/manifest.json").read_text())
    # A line a value, as the study writes it, without the blanks before.
    Path(path).write_text(json.dumps(told, indent=0, ensure_ascii=False) + "\n")
