"""The real workflow, on a study of a few seconds."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sparseact.study import store

pytestmark = pytest.mark.workflow

PARTS = ("Snakefile", "environment.yml", "config", "workflow", "src", "notebooks")
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
            selection: [group_lasso]
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
    """
)
EXPERIMENTS = (*TINY["experiments"], "scaling_law")
# How many files each stage leaves.
STAGES = {
    "simulate": 11,
    "recover": 11,
    "rival": 1,
    "detect": 1,
    "refit": 4,
    "decide": 1,
    "dense": 2,
    "diagnose": 2,
    "bound": 1,
}


class Study:
    """A checkout of its own, with the tiny configuration."""

    def __init__(self, root, folder):
        self.folder = folder
        folder.mkdir(parents=True)
        for part in PARTS:
            copy = shutil.copytree if (root / part).is_dir() else shutil.copy
            copy(root / part, folder / part)
        self.configure(TINY)

    def configure(self, config):
        (self.folder / "tiny.yaml").write_text(yaml.safe_dump(config))

    def run(self, *arguments, cores=2, **environment):
        return subprocess.run(
            [
                *(sys.executable, "-m", "snakemake", "--cores", str(cores)),
                *("--configfile", "tiny.yaml", "--rerun-triggers", "mtime", "params", "input"),
                *arguments,
            ],
            cwd=self.folder,
            env={**os.environ, **environment},
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
        """Every dataset, figure and page, and its bytes."""
        found = {}
        for top in ("results", "reports"):
            for path in sorted((self.folder / top).rglob("*")):
                if path.is_file():
                    found[str(path.relative_to(self.folder))] = path.read_bytes()
        return found


def notebooks(study):
    """Names of the notebooks that are rendered."""
    return sorted(path.stem for path in (study.folder / "notebooks").glob("*.ipynb"))


def claims_of(study):
    return json.loads((study.folder / "reports/tiny/claims.json").read_text())


@pytest.fixture(scope="module")
def study(root, tmp_path_factory):
    one = Study(root, tmp_path_factory.mktemp("study") / "here")
    done = one.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return one


@pytest.fixture
def copy(study, tmp_path):
    """The finished study again, free to be spoilt; times of files are kept."""
    other = object.__new__(Study)
    other.folder = tmp_path / "copy"
    shutil.copytree(study.folder, other.folder, symlinks=True)
    return other


def test_it_leaves_datasets_figures_and_pages(study):
    products = study.products()
    for name in EXPERIMENTS:
        assert f"results/tiny/{name}.nc" in products
    for name in ("index.html", "claims.html", "claims.json"):
        assert f"reports/tiny/{name}" in products
    for name in notebooks(study):
        assert f"reports/tiny/{name}.html" in products
    for figure in {"rounds_needed", *(claim["figure"] for claim in claims_of(study))}:
        for suffix in ("pdf", "svg", "png"):
            assert f"reports/tiny/figures/{figure}.{suffix}" in products
    assert not [name for name in products if ".part" in name]


def test_what_experiments_share_is_made_once(study):
    left = {
        stage: len(list((study.folder / f"results/tiny/{stage}").iterdir())) for stage in STAGES
    }
    assert left == STAGES


def test_a_second_run_has_nothing_to_do(study):
    assert study.planned() == {}


def test_links_of_the_index_lead_somewhere(study):
    reports = study.folder / "reports/tiny"
    for page in reports.glob("*.html"):
        for link in re.findall(r'(?:href|src)="([^"]+)"', page.read_text()):
            target, _, anchor = link.partition("#")
            if target and not target.startswith("data:"):
                assert (reports / target).exists(), f"{page.name}: {link}"
                if anchor:
                    assert f'id="{anchor}"' in (reports / target).read_text(), link


def test_pages_are_self_contained_and_say_nothing_of_this_machine(study):
    for name, content in study.products().items():
        if name.endswith((".html", ".ipynb", ".json", ".svg")):
            text = content.decode()
            assert str(study.folder) not in text, name
            assert sys.prefix not in text, name
        if name.endswith(".html"):
            assert not re.search(r'(src|href)="https?://', text), name
    for name in notebooks(study):
        executed = json.loads((study.folder / f"reports/tiny/{name}.ipynb").read_text())
        streams = [
            out
            for cell in executed["cells"]
            for out in cell.get("outputs", [])
            if out["output_type"] in ("stream", "error")
        ]
        assert not streams, name


def test_claims_carry_the_agreed_fields(study):
    claims = claims_of(study)
    ledger = yaml.safe_load((study.folder / "config/claims.yaml").read_text())
    assert [claim["id"] for claim in claims] == [claim["id"] for claim in ledger]
    assert {"recovery", "log-actions", "rate"} <= {claim["id"] for claim in claims}
    fields = {"id", "verdict", "statistic", "value", "low", "high", "criterion", "experiment"}
    for claim in claims:
        assert fields <= claim.keys()


def test_other_cores_folder_hash_seed_and_home_give_the_same_bytes(study, root, tmp_path):
    # A home whose kernel and settings would break every notebook, if any were looked at.
    kernel = tmp_path / "home/.local/share/jupyter/kernels/python3"
    kernel.mkdir(parents=True)
    broken = {"argv": ["false"], "display_name": "broken", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(broken))
    startup = tmp_path / "home/.ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "00-broken.py").write_text("raise SystemExit('the home of the user was read')")

    other = Study(root, tmp_path / "elsewhere é")
    done = other.run(cores=1, PYTHONHASHSEED="7", HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stdout + done.stderr
    ours, theirs = study.products(), other.products()
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def changed(experiment="phase_transition", **grid):
    """The tiny configuration with keys of the first grid of an experiment changed."""
    config = json.loads(json.dumps(TINY))
    config["experiments"][experiment]["grids"][0].update(grid)
    return config


@pytest.mark.parametrize(
    ("config", "key", "allowed"),
    [
        ({**TINY, "trails": 3}, "trails", "unknown key"),
        ({**TINY, "trials": "many"}, "trials", "integer"),
        (changed(sparsity=[9]), "grids[0]", "must not exceed n_actions M=8"),
        (changed(noise_std=[0.5, 1.0]), "phase_transition.grids", "noise_std must be the same"),
        (changed(design="multi", actions_per_round=9), "grids[0]", "between 1 and n_actions M=8"),
        (changed(n_actions=[]), "grids[0].n_actions", "at least 1 item"),
        (changed(rounds=None, n_rounds=[0]), "grids[0].n_rounds[0]", "greater than or equal to 1"),
        (changed(latent_dim=[40]), "grids[0].rounds", "T must be at least 40"),
        ({**TINY, "noise_std": -1.0}, "noise_std", "greater than or equal to 0"),
    ],
)
def test_a_wrong_configuration_stops_before_any_job(study, config, key, allowed, tmp_path):
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(config))
    done = study.run("--configfile", str(tmp_path / "wrong.yaml"))
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert key in output
    assert allowed in output
    assert "Traceback" not in output
    assert "Select jobs" not in output


def test_a_damaged_dataset_is_named_and_not_used(copy):
    victim = next((copy.folder / "results/tiny/recover").glob("signed*.nc"))
    victim.write_bytes(victim.read_bytes()[:-200])
    done = copy.run()
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert f"{victim.relative_to(copy.folder)} cannot be read as netCDF" in output
    assert "remove it and run again" in output
    assert "Traceback" not in output
    victim.unlink()
    assert copy.run().returncode == 0


def test_a_result_of_another_scenario_is_named_and_not_used(copy):
    folder = copy.folder / "results/tiny/recover"
    one, other = sorted(folder.glob("signed*.nc"))[:2]
    shutil.copy(one, other)
    done = copy.run("--keep-going", "datasets")
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert (
        f"{other.relative_to(copy.folder)} is not what belongs there: scenario should be" in output
    )


def test_a_study_of_one_design_is_rendered_too(copy):
    config = json.loads(json.dumps(TINY))
    single = config["experiments"]["phase_transition"]["grids"][1]
    config["experiments"]["phase_transition"]["grids"] = [{**single, "selection": ["correlation"]}]
    copy.configure(config)
    shutil.rmtree(copy.folder / "reports")
    done = copy.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert (copy.folder / "reports/tiny/index.html").exists()


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_only_what_depends_on_an_edit_runs_again(copy):
    package = copy.folder / "src/sparseact"
    judged = {"check": 1, "judge": 1, "index": 1, "all": 1}
    judged |= {f"render_{name}": 1 for name in notebooks(copy)}
    edit(package / "omp.py", "# A residual below", "# Said otherwise: a residual below")
    edit(package / "design.py", '"""The design of a log', '"""In other words, the design of a log')
    edit(
        package / "study/config.py",
        "tuple(self._expand(experiment))",
        "(*self._expand(experiment),)",
    )
    (copy.folder / "config/README.md").write_text("")
    assert copy.planned() == {}
    edit(copy.folder / "notebooks/rounds_needed.ipynb", "# Verdicts", "# The verdicts")
    assert copy.planned() == {"render_rounds_needed": 1, "index": 1, "all": 1}
    edit(package / "laws.py", "LOG_CONSTANT = (-7.0, 7.0)", "LOG_CONSTANT = (-7.0, 7.5)")
    expected = {"scaling_law": 1, **judged}
    assert copy.planned() == expected
    edit(package / "bounds.py", "MOST_SUPPORTS = 100_000", "MOST_SUPPORTS = 90_000")
    expected |= {"detect": 1, "bound": 1, "collect_coverage": 1, "collect_lower_bounds": 1}
    assert copy.planned() == expected
    edit(package / "omp.py", "_TIE = 1e-10", "_TIE = 1e-9")
    expected |= {stage: STAGES[stage] for stage in ("recover", "refit", "decide")}
    expected |= {f"collect_{name}": 1 for name in TINY["experiments"]}
    assert copy.planned() == expected


@pytest.mark.parametrize(
    ("experiment", "changes", "stages"),
    [
        ("phase_transition", {"n_actions": [8, 16, 32]}, {"simulate": 1, "recover": 1}),
        (
            "refit_error",
            {"condition_number": [1.0, 5.0, 10.0]},
            {"simulate": 1, "recover": 1, "refit": 1},
        ),
        (
            "sparsity_necessity",
            {"sparsity": [1, 2, 8]},
            {"simulate": 1, "recover": 1, "refit": 1, "dense": 1},
        ),
        ("coherence", {"strength": [0.0, 0.5, 0.8]}, {"simulate": 1, "recover": 1, "diagnose": 1}),
    ],
)
def test_a_new_value_in_a_grid_runs_only_what_is_new(copy, experiment, changes, stages):
    copy.configure(changed(experiment, **changes))
    expected = {**stages, f"collect_{experiment}": 1, "datasets": 1}
    if experiment == "phase_transition":
        expected["scaling_law"] = 1
    assert copy.planned("datasets") == expected


def test_snakemakes_own_report_is_written_offline(copy):
    done = copy.run("--report", "report.html")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (copy.folder / "report.html").stat().st_size > 100_000


def test_the_rule_graph_in_the_docs_shows_every_rule(study, root):
    done = study.run("--list-rules")
    rules = set(done.stdout.split()) - {"datasets", "figures", "reports"}
    drawn = (root / "docs/rulegraph.svg").read_text()
    assert {"simulate", "recover", "judge"} <= rules
    missing = [rule for rule in rules if f">{rule}<" not in drawn]
    assert missing == [], "redraw it: make rulegraph"


def test_notebooks_are_committed_without_outputs(root):
    for path in Path(root / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        assert code
        assert not any(cell["outputs"] or cell["execution_count"] for cell in code), path.name


def test_results_that_cannot_be_stop_the_workflow_and_are_named(copy):
    path = copy.folder / "results/tiny/decision_regret.nc"
    ds = store.open_dataset(path, "decision_regret")
    for end in ("", "_low", "_high"):
        ds[f"bound_exceeded_share{end}"][...] = 0.5
    store.write(path, "decision_regret", ds.variables)
    done = copy.run("--until", "judge")
    assert done.returncode != 0
    output = done.stdout + done.stderr
    assert "results/tiny/decision_regret.nc: it must be that no regret exceeds its bound" in output
