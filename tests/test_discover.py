"""`snakemake discover`, on a log that the project makes itself."""

import json
import shutil

import polars as pl
import pytest
import yaml

from sparseact.discovery import Settings, discover_log
from sparseact.discovery.example import example_log
from sparseact.discovery.table import table_of
from sparseact.discovery.writing import write_log
from sparseact.study.store import open_dataset
from studies import Study

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("discover")]
CONFIG = "config/my-log.yaml"


@pytest.fixture(scope="module")
def logged(root, tmp_path_factory):
    """A checkout with a log, of which nothing was asked yet."""
    one = Study(root, tmp_path_factory.mktemp("discover") / "here", config=CONFIG)
    write_log(example_log(n_rounds=4000, n_actions=40).log, one.folder / "my-log.parquet")
    return one


@pytest.fixture(scope="module")
def discovered(logged):
    done = logged.run("discover")
    assert done.returncode == 0, done.stdout + done.stderr
    return logged


def test_it_leaves_what_the_function_finds_and_nothing_of_the_study(discovered):
    names = {name for name in discovered.products() if "receipts" not in name}
    assert names == {
        *(f"results/my-log/discovery.{suffix}" for suffix in ("nc", "csv", "parquet")),
        *(f"reports/my-log/discovery.{suffix}" for suffix in ("html", "ipynb")),
        *(
            f"reports/my-log/figures/{figure}.{suffix}"
            for figure in ("tool_effects", "tool_bounds")
            for suffix in ("pdf", "svg", "png")
        ),
    }
    asked = yaml.safe_load((discovered.folder / CONFIG).read_text())["discover"]
    found = discover_log(Settings(**{**asked, "path": str(discovered.folder / asked["path"])}))
    left = pl.read_parquet(discovered.folder / "results/my-log/discovery.parquet")
    assert left.equals(table_of(found), null_equal=True)
    ds = open_dataset(discovered.folder / "results/my-log/discovery.nc", "discovery")
    assert ds.verdict.values.tolist() == left["verdict"].to_list()
    assert ds.attrs["threshold"] == found.terms.threshold
    assert len(found.named("relevant")) >= 3
    page = (discovered.folder / "reports/my-log/discovery.html").read_text()
    for name in found.named("relevant"):
        assert name in page
    assert discovered.planned("discover") == {}


def test_another_threshold_and_another_log_run_it_again(discovered, tmp_path):
    copy = discovered.copied(tmp_path / "copy")
    everything = {"discovery": 1, "discovery_page": 1, "discover": 1}
    config = yaml.safe_load((copy.folder / CONFIG).read_text())
    (copy.folder / CONFIG).write_text(
        yaml.safe_dump({**config, "discover": {**config["discover"], "threshold": 0.4}})
    )
    assert copy.planned("discover") == everything
    (copy.folder / CONFIG).write_text(yaml.safe_dump(config))
    write_log(example_log(n_rounds=3000, n_actions=40).log, copy.folder / "my-log.parquet")
    assert copy.planned("discover") == everything


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reward": "score"}, "has no column 'score'"),
        ({"latents": ["q*"]}, "'q*'"),
        ({"path": "elsewhere.parquet"}, "discover.path: there is no file elsewhere.parquet"),
        ({"treshold": 0.1}, "discover.treshold: unknown key"),
        (None, "The configuration names no log"),
    ],
)
def test_what_cannot_be_used_is_said_and_what_was_found_stays(
    discovered, tmp_path, change, message
):
    copy = discovered.copied(tmp_path / "copy")
    before = copy.products()
    config = yaml.safe_load((copy.folder / CONFIG).read_text())
    changed = {**config["discover"], **change} if change else None
    (copy.folder / CONFIG).write_text(yaml.safe_dump({**config, "discover": changed}))
    done = copy.run("discover")
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert copy.products() == before


def test_a_page_needs_nothing_but_its_dataset(discovered, tmp_path):
    copy = discovered.copied(tmp_path / "copy")
    shutil.rmtree(copy.folder / "reports")
    (copy.folder / "my-log.parquet").touch()
    done = copy.run("discover")
    assert done.returncode == 0, done.stdout + done.stderr
    assert copy.products() == discovered.products()
    notebook = json.loads((copy.folder / "reports/my-log/discovery.ipynb").read_text())
    assert notebook["metadata"]["sparseact"]["origin"]
