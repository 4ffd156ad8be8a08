"""The real workflow, on a study of a few seconds."""

import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings

from sparseact.study import store
from studies import EXPERIMENTS, STAGES, TIMED, TINY, claims_of, edit, notebooks, page_of
from test_fuzz import mutated

# One worker, which runs the study that they share once.
pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("study")]


def test_it_leaves_datasets_figures_and_pages(study):
    products = study.products()
    for name in EXPERIMENTS:
        assert f"results/tiny/{name}.nc" in products
    for name in ("index.html", "claims.html", "claims.json"):
        assert f"reports/tiny/{name}" in products
    for name in notebooks(study):
        assert (f"{page_of(name)}.html" in products) == (name not in TIMED)
        assert (study.folder / f"{page_of(name)}.html").exists()
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
    done = study.run("--dry-run", PYTHONHASHSEED="11")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_links_of_the_index_lead_somewhere(study):
    reports = study.folder / "reports/tiny"
    pages = [*reports.rglob("*.html")]
    assert {page.parent for page in pages} == {reports, reports / "volatile"}
    for page in pages:
        for link in re.findall(r'(?:href|src)="([^"]+)"', page.read_text()):
            target, _, anchor = link.partition("#")
            if target and not target.startswith("data:"):
                assert (page.parent / target).exists(), f"{page.name}: {link}"
                if anchor:
                    assert f'id="{anchor}"' in (page.parent / target).read_text(), link


def test_pages_are_self_contained_and_say_nothing_of_this_machine(study):
    volatile = {
        str(path.relative_to(study.folder)): path.read_bytes()
        for path in (study.folder / "reports/tiny/volatile").rglob("*.*")
    }
    assert len(volatile) > 5
    for name, content in (study.products() | volatile).items():
        if name.endswith((".html", ".ipynb", ".json", ".svg")):
            text = content.decode()
            assert str(study.folder) not in text, name
            assert sys.prefix not in text, name
        if name.endswith(".html"):
            assert not re.search(r'(src|href)="https?://', text), name
    for name in notebooks(study):
        executed = json.loads((study.folder / f"{page_of(name)}.ipynb").read_text())
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


def test_verify_names_what_is_not_what_the_study_left(copy):
    folder = copy.folder / "results/tiny"
    (folder / "recover/of_an_older_grid.nc").write_bytes(b"")
    done = copy.run("verify")
    assert done.returncode == 0
    assert "not looked at: results/tiny/recover/of_an_older_grid.nc" in done.stderr
    touched, gone = folder / "coverage.nc", next((folder / "recover").iterdir())
    times = touched.stat()
    content = bytearray(touched.read_bytes())
    content[len(content) // 2] ^= 1
    touched.write_bytes(content)
    os.utime(touched, ns=(times.st_atime_ns, times.st_mtime_ns))
    gone.unlink()
    done = copy.run("verify")
    assert done.returncode != 0
    output = done.stdout + done.stderr
    assert "results/tiny/coverage.nc has changed since the study finished" in output
    assert f"{gone.relative_to(copy.folder)} cannot be read: No such file" in output
    assert "Traceback" not in output


def test_verify_compares_two_runs_by_value(copy, tmp_path):
    ours = copy.folder / "results/tiny/manifest.json"
    theirs = json.loads(ours.read_text())
    values = theirs["artefacts"]["results/tiny/coverage.nc"]
    values["sha256"] = "0" * 64
    (tmp_path / "theirs.json").write_text(json.dumps(theirs))
    done = copy.run("verify", AGAINST=str(tmp_path / "theirs.json"))
    assert done.returncode == 0
    assert "results/tiny/coverage.nc: other bytes" in done.stderr
    one = values["values"]["miss_probability"]
    one["floats"] = " ".join(repr(1.01 * float(number)) for number in one["floats"].split())
    theirs["configuration"]["trials"] = 99
    (tmp_path / "theirs.json").write_text(json.dumps(theirs))
    done = copy.run("verify", AGAINST=str(tmp_path / "theirs.json"))
    assert done.returncode != 0
    assert "results/tiny/coverage.nc: miss_probability differs by up to 9.9e-03" in done.stderr
    assert "configuration: trials is 16 here, 99 there" in done.stderr


def test_the_manifest_tells_what_made_everything(study):
    manifest = json.loads((study.folder / "results/tiny/manifest.json").read_text())
    assert {"requirements.lock", "config/claims.yaml"} <= manifest["sources"].keys()
    for path, digest in manifest["sources"].items():
        assert hashlib.sha256((study.folder / path).read_bytes()).hexdigest() == digest
    assert manifest["configuration"]["trials"] == TINY["trials"]
    products = study.products()
    del products["results/tiny/manifest.json"]
    by_rule = {}
    assert manifest["artefacts"].keys() == products.keys()
    for path, told in manifest["artefacts"].items():
        assert told["sha256"] == hashlib.sha256(products[path]).hexdigest()
        by_rule.setdefault(told["rule"], set()).add(told["code_digest"])
        if path.endswith(".nc") and told["rule"] != "beyond":  # which draws nothing
            assert told["configuration"]["seed"] == 20260108
    assert {len(digests) for digests in by_rule.values()} == {1}
    for rule, (digest,) in by_rule.items():
        receipt = f"results/tiny/receipts/{rule}.json"
        if receipt in products:
            assert json.loads(products[receipt])["code_digest"] == digest
    recovered = manifest["artefacts"]["results/tiny/recover/signed_M8_k1_d1_b1_s2_correlation.nc"]
    assert recovered["configuration"]["cell"]["scenario"]["noise_std"] == 2
    volatile = json.loads((study.folder / "results/tiny/manifest.volatile.json").read_text())
    assert volatile["packages"]["numpy"]
    assert volatile["durations"]["logs/tiny/check"]


def test_executed_notebooks_name_their_inputs(study):
    for name in notebooks(study):
        executed = json.loads((study.folder / f"{page_of(name)}.ipynb").read_text())
        origin = executed["metadata"]["sparseact"]["origin"]
        for what, digest in origin.items():
            if what.endswith(" (sha256)"):
                path = study.folder / what.removesuffix(" (sha256)")
                assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
                assert digest in (study.folder / f"{page_of(name)}.html").read_text()
        assert any(what.endswith(".nc (sha256)") for what in origin)


def test_what_is_volatile_stands_apart_and_is_held_against_nothing(copy, tmp_path):
    results = copy.folder / "results/tiny"
    steady = json.loads((results / "manifest.json").read_text())["artefacts"]
    volatile = json.loads((results / "manifest.volatile.json").read_text())["artefacts"]
    path = results / "volatile/method_costs.nc"
    costs, page = (
        "results/tiny/volatile/method_costs.nc",
        "reports/tiny/volatile/method_costs.html",
    )
    assert {costs, page} <= volatile.keys()
    assert not [one for one in steady if "volatile" in one]
    assert volatile[costs]["sha256"] == store.sha256(path)
    index = (copy.folder / "reports/tiny/index.html").read_text()
    assert 'href="volatile/method_costs.html"' in index
    # Another run has other numbers there, and that is no difference.
    arrays, told = store.load(path)
    arrays["call_time"] *= 2
    store.write(path, "method_costs", arrays, told)
    shutil.copy(results / "manifest.json", tmp_path / "theirs.json")
    done = copy.run("verify", AGAINST=str(tmp_path / "theirs.json"))
    assert done.returncode == 0, done.stderr
    assert "method_costs" not in done.stderr
    # But it is packed only as the run left it.
    done = copy.run("crate")
    assert done.returncode != 0
    assert f"{costs} has changed since the study finished" in done.stderr
    # And measured again, nothing else is done but what shows it.
    path.unlink()
    due = ("method_costs", "render_method_costs", "index", "manifest", "all")
    assert copy.planned() == dict.fromkeys(due, 1)
    before = copy.products()
    done = copy.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert copy.products() == before
    again = json.loads((results / "manifest.volatile.json").read_text())["artefacts"]
    assert again[costs]["sha256"] not in (volatile[costs]["sha256"], "")
    assert again[costs]["code_digest"] == volatile[costs]["code_digest"]


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


def test_mutated_configuration_files_run_or_their_keys_are_named(study, tmp_path):
    outcomes = []

    @settings(max_examples=12, derandomize=True, database=None)
    @given(mutated(TINY))
    def check(config):
        path = tmp_path / "mutated.yaml"
        try:
            path.write_text(yaml.safe_dump(config))
        except (yaml.YAMLError, UnicodeError, ValueError):  # no file holds it
            return
        done = study.run("--dry-run", "datasets", "--configfile", str(path))
        said = done.stdout + done.stderr
        assert "Traceback" not in said, said
        assert (done.returncode == 0) != ("The configuration cannot be used" in said), said
        outcomes.append(done.returncode)

    check()
    assert len(outcomes) > 5
    assert {0, 1} == set(outcomes)


def test_a_damaged_dataset_is_named_and_not_used(copy):
    victim = next((copy.folder / "results/tiny/recover").glob("signed*.nc"))
    victim.write_bytes(victim.read_bytes()[:-200])
    done = copy.run()
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert f"{victim.relative_to(copy.folder)} is damaged, or no dataset" in output
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
        f"{other.relative_to(copy.folder)} is not what belongs there: another configuration or "
        "other code made it" in output
    )


def test_final_datasets_of_another_study_are_refused_by_all_that_read_them(copy):
    path = copy.folder / "results/tiny/coverage.nc"
    arrays, told = store.load(path)
    other = told["configuration"].replace('"seed": 20260108', '"seed": 7')
    assert other != told["configuration"]
    store.write(path, "coverage", arrays, {**told, "configuration": other})
    done = copy.run("--keep-going")
    assert done.returncode != 0
    output = done.stdout + done.stderr
    for rule in ("check", "manifest"):
        done = copy.run("--forcerun", rule, "--until", rule)
        output = done.stdout + done.stderr
        assert "results/tiny/coverage.nc is not what belongs there" in output, rule
    claims = copy.folder / "config/claims.yaml"
    claims.write_text(claims.read_text() + "\n")
    assert "coverage.nc is not what belongs there" in copy.run("reports/tiny/claims.json").stderr


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("reports/tiny/figures/coherence.png", "manifest"),
        ("reports/tiny/sparsity.html", "manifest"),
        ("reports/tiny/claims.json", "index"),
        ("reports/tiny/claims.json", "render_sparsity"),
    ],
)
def test_what_is_not_as_its_job_left_it_is_named_and_not_used(copy, name, reader):
    (copy.folder / name).write_bytes(b"[]\n")
    done = copy.run("--until", reader)
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert f"{name} is not as its job left it; remove it and run again" in output
    (copy.folder / name).unlink()
    assert copy.run("--until", reader).returncode == 0


def test_without_snakemakes_memory_what_other_code_made_is_refused(copy):
    shutil.rmtree(copy.folder / ".snakemake")
    package = copy.folder / "src/sparseact"
    edit(package / "bounds.py", "MOST_SUPPORTS = 100_000", "MOST_SUPPORTS = 9_000")
    said = copy.run("verify").stderr
    assert re.search("the code of bound, .* has changed since the study finished", said), said
    (copy.folder / "results/tiny/manifest.json").unlink()
    done = copy.run()
    assert done.returncode != 0
    refusal = "(other code made it|made by other code); remove it and run again"
    assert re.search(refusal, done.stdout + done.stderr), done.stderr


def test_it_runs_where_the_snakefile_is(copy, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    done = copy.run("--directory", str(tmp_path / "elsewhere"))
    assert done.returncode != 0
    assert f"Run Snakemake in {copy.folder}, where the Snakefile is" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_study_of_one_design_is_rendered_too(copy):
    config = json.loads(json.dumps(TINY))
    single = config["experiments"]["phase_transition"]["grids"][1]
    config["experiments"]["phase_transition"]["grids"] = [{**single, "selection": ["correlation"]}]
    copy.configure(config)
    shutil.rmtree(copy.folder / "reports")
    done = copy.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert (copy.folder / "reports/tiny/index.html").exists()


def test_only_what_depends_on_an_edit_runs_again(copy):
    package = copy.folder / "src/sparseact"
    judged = {"check": 1, "judge": 1, "index": 1, "manifest": 1, "all": 1}
    judged |= {f"render_{name}": 1 for name in notebooks(copy)}
    edit(package / "greedy.py", "# A residual below", "# Said otherwise: a residual below")
    edit(package / "design.py", '"""The design of a log', '"""In other words, the design of a log')
    edit(
        package / "study/config.py",
        "tuple(self._expand(experiment))",
        "(*self._expand(experiment),)",
    )
    for name in ("README.md", "config/README.md", "docs.md"):
        (copy.folder / name).write_text("Something else.")
    assert copy.planned() == {}
    edit(copy.folder / "notebooks/rounds_needed.ipynb", "# Verdicts", "# The verdicts")
    assert copy.planned() == {
        "render_rounds_needed": 1,
        "index": 1,
        "manifest": 1,
        "all": 1,
    }
    edit(package / "study/templates/page.html.j2", "<body>", "<body >")
    pages = {f"render_{name}": 1 for name in notebooks(copy)}
    assert copy.planned() == {**pages, "index": 1, "manifest": 1, "all": 1}
    edit(package / "laws.py", "LOG_CONSTANT = (-7.0, 7.0)", "LOG_CONSTANT = (-7.0, 7.5)")
    expected = {"scaling_law": 1, **judged}
    assert copy.planned() == expected
    edit(package / "bounds.py", "MOST_SUPPORTS = 100_000", "MOST_SUPPORTS = 90_000")
    expected |= {"detect": 1, "bound": 1, "collect_coverage": 1, "collect_lower_bounds": 1}
    # Best subset counts sets of actions.
    expected |= {"compare": STAGES["compare"], "collect_methods": 1}
    expected |= {"method_costs": 1}
    assert copy.planned() == expected
    edit(package / "greedy.py", "TIE = 1e-10", "TIE = 1e-9")
    expected |= {stage: STAGES[stage] for stage in ("recover", "stop", "follow")}
    expected |= {stage: STAGES[stage] for stage in ("refit", "decide")}
    expected |= COLLECTED | {"tool_catalogue": 1}
    assert copy.planned() == expected
    edit(copy.folder / "workflow/scripts/_job.py", "level=logging.INFO", "level=logging.DEBUG")
    alone = {"method_costs": 1, "tool_catalogue": 1}
    assert copy.planned() == STAGES | COLLECTED | judged | alone


COLLECTED = {f"collect_{name}": 1 for name in TINY["experiments"]}
COLLECTED |= {"scaling_law": 1, "beyond": 1}
# What a change of a value in the configuration runs again, besides what asks for it.
CHANGES = {
    "the seed": ({"seed": 1}, STAGES | COLLECTED | {"tool_catalogue": 1}),
    "the trials": ({"trials": 17}, STAGES | COLLECTED),
    "the strength of the signal": ({"signal": 2.0}, STAGES | COLLECTED),
    "the bootstrap": ({"bootstrap": 30}, COLLECTED),
    "the quantiles": ({"quantiles": [0.5, 0.9]}, COLLECTED),
    "a scenario": (
        {"experiments.signal_strength.grids.0.noise_std": [0.5, 3.0]},
        {"simulate": 1, "recover": 1, "collect_signal_strength": 1},
    ),
    "a number of rounds, within the log": (
        {"experiments.signal_strength.grids.0.n_rounds": [4, 8, 17, 32, 64]},
        # One of its scenarios is the phase transition's as well.
        {
            "recover": 2,
            "collect_signal_strength": 1,
            "collect_phase_transition": 1,
            "scaling_law": 1,
        },
    ),
    "a selection rule": (
        {"experiments.coverage.grids.0.selection": ["whitened"]},
        {"detect": 1, "collect_coverage": 1},
    ),
    "the trials of a rival": (
        {"experiments.coherence.grids.1.trials": 5},
        {"rival": 1, "collect_coherence": 1},
    ),
    "the states decided on": (
        {"experiments.decision_regret.states": 200},
        {
            "decide": STAGES["decide"],
            "collect_decision_regret": 1,
            "collect_logging_policy": 1,
            "collect_approximate_sparsity": 1,
            "beyond": 1,
        },
    ),
    "the trials measured": (
        {"experiments.coherence.measured_trials": 5},
        {"diagnose": 2, "collect_coherence": 1},
    ),
    "an error asked for": (
        {"experiments.sparsity_necessity.relative_error": 0.2},
        {"collect_sparsity_necessity": 1},
    ),
    "what is asked of the catalogue": ({"tool_catalogue.near_copy": 0.7}, {"tool_catalogue": 1}),
    "a default spelt out": ({"experiments.coverage.grids.0.trials": TINY["trials"]}, {}),
}


def with_values(changes):
    """The tiny configuration with other values, by their dotted paths."""
    config = json.loads(json.dumps(TINY))
    for path, value in changes.items():
        *parents, key = (int(part) if part.isdigit() else part for part in path.split("."))
        inner = config
        for parent in parents:
            inner = inner[parent]
        inner[key] = value
    return config


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_value_runs_exactly_what_depends_on_it(study, what, tmp_path):
    changes, expected = CHANGES[what]
    (tmp_path / "changed.yaml").write_text(yaml.safe_dump(with_values(changes)))
    planned = study.planned("datasets", "--configfile", str(tmp_path / "changed.yaml"))
    planned.pop("datasets", None)
    assert planned == expected


def test_without_the_network_the_catalogue_is_skipped_until_it_can_be_had(copy):
    before = copy.products()
    (copy.folder / "results/tiny/tool_catalogue.nc").unlink()
    fetched = copy.folder / "resources/tool_catalogue.json"
    fetched.unlink()
    shelf = (copy.folder / "shelf").rename(copy.folder / "elsewhere")
    # All else goes on, and says so.
    done = copy.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tool_catalogue is skipped: No matching distribution found" in done.stderr
    (claim,) = (one for one in claims_of(copy) if one["id"] == "catalogue")
    assert claim["verdict"] == "inconclusive at this size"
    assert "could not be fetched: No matching distribution found" in claim["evidence"]
    page = (copy.folder / "reports/tiny/tool_catalogue.html").read_text()
    assert "The data were not there" in page
    # Another run tries again, and does nothing else.
    done = copy.run()
    assert "tool_catalogue is skipped" in done.stderr
    assert "Nothing to be done" in done.stdout + done.stderr
    shelf.rename(copy.folder / "shelf")
    done = copy.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert copy.products() == before


def test_a_wheel_that_is_not_the_pinned_one_stops_the_workflow(copy):
    (copy.folder / "resources/tool_catalogue.json").unlink()
    (copy.folder / "results/tiny/tool_catalogue.nc").unlink()
    pinned = copy.folder / "workflow/catalogue.txt"
    pinned.write_text(re.sub("sha256:.{8}", "sha256:00000000", pinned.read_text()))
    done = copy.run("results/tiny/tool_catalogue.nc")
    assert done.returncode != 0
    assert "is not the one that workflow/catalogue.txt pins" in done.stdout + done.stderr
    assert not (copy.folder / "results/tiny/tool_catalogue.nc").exists()


def test_the_claims_are_judged_again_when_they_change(copy):
    claims = copy.folder / "config/claims.yaml"
    edit(claims, "criterion: {above: 0.95}", "criterion: {above: 0.96}")
    # The page of volatile data tells no verdict.
    expected = {f"render_{name}": 1 for name in notebooks(copy) if name != "method_costs"}
    assert copy.planned() == expected | {"judge": 1, "index": 1, "manifest": 1, "all": 1}


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


def test_an_estimate_is_told_beside_what_it_took_and_learnt_from_that(copy):
    said = copy.run("estimate").stderr
    assert re.search(rf"^recover +{STAGES['recover']} ", said, re.MULTILINE)
    assert re.search(r"it took \d+\.\d\d core-hours: the estimate is off by [+-]\d+%", said), said
    assert re.search(r"^through Slurm \d+ jobs of ", said, re.MULTILINE), said
    rows = re.findall(r"^ +\d+ +([\d.]+) min +\d+% +([\d.]+) min +\d+%$", said, re.MULTILINE)
    assert len(rows) > 3
    for walls in zip(*rows, strict=True):
        assert [*walls] == sorted(walls, key=float, reverse=True)
    costs = copy.folder / "workflow/costs.json"
    before = costs.read_text()
    said = copy.run("estimate", MEASURE="1").stderr
    assert costs.read_text() != before
    assert "the estimate is off by +0%" in said or "off by -0%" in said
    (copy.folder / "logs/tiny/judge.tsv").unlink()
    assert "logs/tiny/judge.tsv is not there" in copy.run("estimate", MEASURE="1").stderr
    # What a job costs is no part of what it does.
    assert copy.planned() == {}


def test_snakemakes_own_report_is_written_offline(copy):
    done = copy.run("--report", "report.html")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (copy.folder / "report.html").stat().st_size > 100_000


def test_the_rule_graph_in_the_docs_shows_every_rule(study, root):
    done = study.run("--list-rules")
    beside = {"all", "datasets", "figures", "reports", "manifest", "verify", "crate", "estimate"}
    beside |= {"discover"}
    rules = set(done.stdout.split()) - beside
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
    made = {name: ds.attrs[name] for name in ("configuration", "code_digest")}
    store.write(path, "decision_regret", ds.variables, made)
    done = copy.run("--until", "judge")
    assert done.returncode != 0
    output = done.stdout + done.stderr
    assert "results/tiny/decision_regret.nc: it must be that no regret exceeds its bound" in output
