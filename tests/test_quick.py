"""The quick study, from nothing: the same bytes whatever the run, and the numbers on record."""

import json

import pytest
import yaml

from sparseact.study import store
from sparseact.study.cell import joined
from sparseact.study.values import fingerprint
from sparseact.study.variables import KINDS
from sparseact.study.volatile import is_volatile
from studies import Study, edit, finish

pytestmark = pytest.mark.faults
# Trials of a job, where work is cut into other pieces: most scenarios have 40.
PIECE = 25


def test_a_second_run_has_nothing_to_do(quick):
    assert quick.planned() == {}


# A change of the configuration, and the jobs that it makes due again.
CHANGES = {
    "a scenario": (
        ("signal_strength", 0, "noise_std", [7.0, 4.0, 0.25]),
        {"simulate": 1, "recover": 1, "collect_signal_strength": 1},
    ),
    "one value more in a grid": (
        ("coherence", 0, "strength", [0.0, 0.7, 0.8, 0.9]),
        {"simulate": 1, "recover": 1, "diagnose": 1, "collect_coherence": 1},
    ),
    "a selection rule": (
        ("phase_transition", 4, "selection", ["correlation", "whitened", "least_squares"]),
        {"recover": 2, "collect_phase_transition": 1, "scaling_law": 1},
    ),
    "one selection rule less": (
        ("coverage", 0, "selection", ["correlation", "whitened"]),
        {"collect_coverage": 1},
    ),
    "the trials of a rival": (
        ("coherence", 2, "trials", 21),
        {"rival": 2, "collect_coherence": 1},
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_value_runs_exactly_what_depends_on_it(quick, what, tmp_path):
    (experiment, grid, key, value), expected = CHANGES[what]
    config = quick.configuration()
    config["experiments"][experiment]["grids"][grid][key] = value
    assert planned(quick, config, tmp_path) == expected


@pytest.mark.parametrize("key", ["seed", "trials"])
def test_a_change_of_all_logs_runs_everything(quick, key, tmp_path):
    everything = planned(quick, quick.configuration(), tmp_path, "--forceall")
    assert everything["simulate"] > 30
    # What was fetched stays; the real catalogue has trials of its own.
    for other in ("fetch_catalogue", *(["tool_catalogue"] if key == "trials" else [])):
        del everything[other]
    assert planned(quick, {**quick.configuration(), key: 61}, tmp_path) == everything


def planned(study, config, folder, *arguments):
    """The jobs for the datasets of a study with another configuration."""
    (folder / "changed.yaml").write_text(yaml.safe_dump(config))
    jobs = study.planned("datasets", "--configfile", str(folder / "changed.yaml"), *arguments)
    return {rule: count for rule, count in jobs.items() if rule != "datasets"}


def test_only_what_depends_on_an_edit_runs_again(quick, tmp_path):
    copy = quick.copied(tmp_path / "copy")
    package = copy.folder / "src/sparseact"
    (copy.folder / "README.md").write_text("Something else.")
    edit(package / "greedy.py", "# A best block", "# Said otherwise: a best block")
    edit(package / "design.py", '"""The design of a log', '"""In other words, the design of a log')
    edit(package / "study/crate.py", '_BIOSCHEMAS = "', '_BIOSCHEMAS = "" "')
    assert copy.planned() == {}
    edit(copy.folder / "notebooks/coherence.ipynb", "# Verdicts", "# The verdicts")
    assert copy.planned() == {"render_coherence": 1, "index": 1, "manifest": 1, "all": 1}
    edit(package / "bounds.py", "MOST_SUPPORTS = 100_000", "MOST_SUPPORTS = 90_000")
    of_bounds = {"detect": 3, "bound": 3, "collect_coverage": 1, "collect_lower_bounds": 1}
    of_bounds |= {"compare": 6, "collect_methods": 1}  # best subset enumerates as they do
    assert copy.planned("datasets") == {**of_bounds, "datasets": 1}


def test_its_numbers_are_those_on_record(quick, root):
    done = quick.run("verify", AGAINST=str(root / "tests/quick_manifest.json"))
    print(done.stderr)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def other(root, tmp_path_factory):
    """The quick study again: three cores, other pieces, another hash seed, folder and home."""
    folder = tmp_path_factory.mktemp("elsewhere")
    # A home whose kernel and settings would break every notebook, if any were looked at.
    kernel = folder / "home/.local/share/jupyter/kernels/python3"
    kernel.mkdir(parents=True)
    broken = {"argv": ["false"], "display_name": "broken", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(broken))
    startup = folder / "home/.ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "00-broken.py").write_text("raise SystemExit('the home of the user was read')")

    one = Study(root, folder / "with spaces and é", config="cut.yaml")
    cut = yaml.safe_load((one.folder / "config/quick.yaml").read_text()) | {"trials_per_job": PIECE}
    (one.folder / "cut.yaml").write_text(yaml.safe_dump(cut))
    environment = {"PYTHONHASHSEED": "7", "HOME": str(folder / "home")}
    finish(one, "--cores", "3", environment=environment)
    return one


def of_stages(name):
    """Whether a file is what a stage left of a cell, which is cut where work is."""
    return name.startswith("results/") and name.count("/") == 3


def test_other_cores_pieces_folder_hash_seed_and_home_give_the_same_bytes(quick, other):
    ours, theirs = (
        {
            name: content
            for name, content in one.products().items()
            # The manifest names what the stages left.
            if not of_stages(name) and not name.endswith("/manifest.json")
        }
        for one in (quick, other)
    )
    assert len(ours) > 100
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_the_pieces_of_what_the_stages_left_are_the_whole(quick, other):
    compared = 0
    for path in (quick.folder / "results/quick").glob("*/*.nc"):
        if is_volatile(path.relative_to(quick.folder).as_posix()):
            continue
        whole, told = store.load(path)
        folder = other.folder / path.parent.relative_to(quick.folder)
        pieces = sorted(
            folder.glob(f"{path.stem}_from*.nc"),
            key=lambda one: int(one.stem.rpartition("_from")[2]),
        )
        by_trial = KINDS[told["sparseact_kind"]].variables
        n_trials = next(len(whole[name]) for name in whole if by_trial[name][0] == "trial")
        assert len(pieces) == -(-n_trials // PIECE)
        together = joined([store.load(one)[0] for one in pieces], told["sparseact_kind"])
        values = {name: fingerprint(array) for name, array in whole.items()}
        assert values == {name: fingerprint(array) for name, array in together.items()}, path
        compared += 1
    assert compared > 50
