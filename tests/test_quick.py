"""The quick study, from nothing: the same bytes whatever the run, and the numbers on record."""

import json

import pytest
import yaml

from sparseact.study import store
from sparseact.study.cell import joined
from studies import Study, finish

pytestmark = pytest.mark.faults


def test_a_second_run_has_nothing_to_do(quick):
    assert quick.planned() == {}


def test_its_numbers_are_those_on_record(quick, root):
    done = quick.run("verify", AGAINST=str(root / "tests/quick_manifest.json"))
    print(done.stderr)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def other(root, tmp_path_factory):
    """The quick study again: one core, work in other pieces, another hash seed, folder and home."""
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
    cut = yaml.safe_load((one.folder / "config/quick.yaml").read_text()) | {"trials_per_job": 25}
    (one.folder / "cut.yaml").write_text(yaml.safe_dump(cut))
    environment = {"PYTHONHASHSEED": "7", "HOME": str(folder / "home")}
    finish(one, "--cores", "1", environment=environment)
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
        whole, told = store.load(path)
        folder = other.folder / path.parent.relative_to(quick.folder)
        pieces = sorted(
            folder.glob(f"{path.stem}_from*.nc"),
            key=lambda one: int(one.stem.rpartition("_from")[2]),
        )
        assert len(pieces) > (path.parent.name not in ("rival", "diagnose"))
        together = joined([store.load(one)[0] for one in pieces], told["sparseact_kind"])
        values = {name: store.fingerprint(array) for name, array in whole.items()}
        assert values == {name: store.fingerprint(array) for name, array in together.items()}, path
        compared += 1
    assert compared > 50
