"""Manifests: what they say of a file, and how two runs are told apart from what they say."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseact.study import manifest, store
from sparseact.study.values import fingerprint, tell

TRIALS, LENGTHS = 40, 25
MADE = {"code_digest": "abc", "configuration": json.dumps({"seed": 3})}


def small_dense(seed=0, change=None):
    rng = np.random.default_rng(seed)
    arrays = {
        "n_rounds": np.arange(1, LENGTHS + 1, dtype=np.int32),
        "ridge_error": rng.random((TRIALS, LENGTHS)),
        "least_squares_error": 5 * rng.random((TRIALS, LENGTHS)),
    }
    arrays["ridge_error"][3, 4] = np.nan
    for name, changed in (change or {}).items():
        arrays[name] = changed(arrays[name])
    return arrays


def manifest_of(folder, name, arrays):
    """A manifest of one dataset, under the same path whatever the file was called."""
    store.write(folder / name, "dense", arrays, MADE)
    return {"artefacts": {"results/dense.nc": manifest.entry(folder / name)}}


def test_an_entry_tells_bytes_origin_and_values(tmp_path):
    store.write(tmp_path / "one.nc", "dense", small_dense(), MADE)
    told = manifest.entry(tmp_path / "one.nc")
    assert told["sha256"] == store.sha256(tmp_path / "one.nc")
    assert told["values"] == tell(store.read(tmp_path / "one.nc", "dense"))
    assert told["code_digest"] == "abc"
    assert told["configuration"] == {"seed": 3}
    assert told["values"].keys() == small_dense().keys()
    assert json.loads(json.dumps(told)) == told
    assert told["values"]["n_rounds"] == fingerprint(small_dense()["n_rounds"])
    assert told["values"]["ridge_error"].keys() == {"pattern", "norm", "sketch"}
    (tmp_path / "page.html").write_text("a page")
    assert manifest.entry(tmp_path / "page.html").keys() == {"sha256"}


def test_an_entry_of_claims_tells_verdicts_and_numbers(tmp_path):
    path, part = tmp_path / "claims.json", {"verdict": "supported", "value": 2.0, "high": 3.0}
    claim = {"verdict": "not supported", "value": None, "low": 0.25, "high": 0.5}
    path.write_text(json.dumps([{**claim, "parts": [{**part, "low": 1.0}]}]))
    told = manifest.entry(path)["values"]
    assert told["value"] == {"floats": "nan 2.0"}
    assert told["low"] == {"floats": "0.25 1.0"}
    path.write_text(path.read_text().replace("not supported", "supported"))
    assert manifest.entry(path)["values"]["verdict"] != told["verdict"]


def test_few_floats_are_told_outright_and_small_ones_beside_huge_ones_count():
    values = np.array([1e10, 0.5, np.nan, np.inf, -0.1, 1e-9])
    one = {"artefacts": {"a": {"sha256": "1", "values": tell({"x": values})}}}
    assert json.loads(json.dumps(one)) == one

    def far(change):
        other = values.copy()
        change(other)
        told = {"sha256": "2", "values": tell({"x": other})}
        return manifest.compare(one, {"artefacts": {"a": told}})

    def swap(x):
        x[[0, 1]] = x[[1, 0]]

    assert far(lambda x: None)[0][0] == "a: other bytes"
    assert far(lambda x: x.__setitem__(1, 0.7))[1]
    assert far(swap)[1]
    assert far(lambda x: x.__setitem__(2, 0.0))[1] == ["a: x is another"]
    # Rounding of what the huge one swamps.
    lines, wrong = far(lambda x: x.__setitem__(5, 3e-9))
    assert "x differs by up to" in lines[0]
    assert wrong == []


def test_a_damaged_dataset_has_no_entry(tmp_path):
    store.write(tmp_path / "one.nc", "dense", small_dense(), MADE)
    content = (tmp_path / "one.nc").read_bytes()
    (tmp_path / "one.nc").write_bytes(content[:-100])
    with pytest.raises(store.DatasetError, match=r"one\.nc"):
        manifest.entry(tmp_path / "one.nc")


@given(st.integers(0, 1000), st.floats(-13, 0))
def test_a_sketch_tells_how_far_apart_floats_are(seed, power):
    rng, far = np.random.default_rng(seed), 10.0**power
    one = small_dense(seed)
    noise = rng.standard_normal((TRIALS, LENGTHS))
    other = small_dense(seed, {"least_squares_error": lambda v: v + far * noise})
    difference = other["least_squares_error"] - one["least_squares_error"]
    exact = np.linalg.norm(difference) / np.linalg.norm(one["least_squares_error"])
    ours, theirs = (
        {"artefacts": {"a": {"sha256": name, "values": tell(arrays)}}}
        for name, arrays in (("one", one), ("other", other))
    )
    lines, wrong = manifest.compare(ours, theirs)
    (line,) = [line for line in lines if "least_squares_error" in line]
    stated = float(line.split("about ")[1].split()[0])
    assert exact / 4 < stated < 4 * exact
    assert not any("ridge_error" in line for line in lines)
    if abs(stated / manifest.TOLERANCE - 1) > 0.1:  # it is rounded
        assert bool(wrong) == (stated > manifest.TOLERANCE)


def test_sums_of_signs_have_the_square_of_the_distance_in_the_mean():
    # The claim behind the sketch, over many draws of the array instead of the signs.
    rng = np.random.default_rng(1)
    ratios = []
    for _ in range(300):
        values = rng.standard_normal(200) * rng.random(200)
        sketch = tell({"x": values})["x"]["sketch"]
        ratios.append(np.mean(np.square(sketch)) / np.sum(values**2))
    assert abs(np.mean(ratios) - 1) < 0.08


def test_arrays_of_any_length_are_sketched_in_pieces(monkeypatch):
    some = np.random.default_rng(4).standard_normal(1000).astype(np.float32)
    (whole,) = tell({"x": some}).values()
    monkeypatch.setattr("sparseact.study.values._AT_ONCE", 77)
    (pieces,) = tell({"x": some}).values()
    assert whole["pattern"] == pieces["pattern"]
    np.testing.assert_allclose(whole["sketch"], pieces["sketch"], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(whole["norm"], np.linalg.norm(some.astype(float)))


def test_datasets_at_hand_are_compared_themselves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("results/dense.nc")
    manifests = []
    for folder, change in (("here", {}), ("there", {"ridge_error": lambda v: v * (1 + 2e-7)})):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        store.write(path, "dense", small_dense(change=change), MADE)
        manifests.append({"artefacts": {str(path): manifest.entry(path)}})
    monkeypatch.chdir(tmp_path / "here")
    lines, wrong = manifest.compare(*manifests, tmp_path / "there")
    assert lines[0] == f"{path}: ridge_error differs by up to 2.0e-07 (relative)"
    assert wrong == lines[:1]
    # What is no longer what its manifest says is not looked at.
    store.write(tmp_path / "there" / path, "dense", small_dense(), MADE)
    lines, _ = manifest.compare(*manifests, tmp_path / "there")
    assert "differs by about" in lines[0]


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_arrays_of_any_shape_are_compared(shape):
    one = np.full(shape, 2.0)
    for other, far in (
        (one, 0.0),
        (one * (1 + 1e-6), 1e-6),
        (one * np.nan, np.inf),
        (None, np.inf),
    ):
        assert manifest._arrays_apart(one, other)[0] == pytest.approx(far, rel=1e-5)
    whole = np.full(shape, 3)
    assert manifest._arrays_apart(whole, whole.copy())[0] == 0
    assert manifest._arrays_apart(whole, whole + 1)[0] == np.inf


def test_what_made_two_runs_and_differs_is_named():
    told = {"rule": "recover", "code_digest": "1"}
    ours = {
        "configuration": {"trials": 3, "experiments": {"a": {"grids": [{"x": [1, 2]}]}}},
        "sources": {"requirements.lock": "1", "notebooks/a.ipynb": "2"},
        "artefacts": {"one": told, "other": {"rule": "judge", "code_digest": "1"}},
    }
    theirs = json.loads(json.dumps(ours))
    assert list(manifest.origins(ours, theirs)) == []
    theirs["configuration"]["experiments"]["a"]["grids"][0]["x"] = [1]
    theirs["sources"]["requirements.lock"] = "3"
    theirs["artefacts"]["one"]["code_digest"] = "2"
    assert list(manifest.origins(ours, theirs)) == [
        "configuration: experiments.a.grids[0].x is [1, 2] here, [1] there",
        "requirements.lock is another",
        "the code of recover is another",
    ]


def test_datasets_of_another_grid_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("results/one.nc", "results/recover/one.nc", "results/other/one.nc"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    told = {"artefacts": {"results/one.nc": {}, "results/recover/two.nc": {}}}
    assert manifest.strays(told) == ["results/recover/one.nc"]


def set_at(place, value):
    def change(values):
        values = values.copy()
        values[place] = value
        return values

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n_rounds": set_at(24, 30)}, "n_rounds is another"),
        ({"ridge_error": set_at((0, 0), np.nan)}, "ridge_error is another"),
        ({"ridge_error": set_at((3, 4), 0.5)}, "ridge_error is another"),
        ({"ridge_error": set_at((0, 0), np.inf)}, "ridge_error is another"),
        ({"least_squares_error": lambda v: v * (1 + 1e-5)}, "least_squares_error differs by about"),
    ],
)
def test_what_rounding_does_not_explain_is_wrong(tmp_path, change, says):
    ours = manifest_of(tmp_path, "one.nc", small_dense())
    theirs = manifest_of(tmp_path, "other.nc", small_dense(change=change))
    lines, wrong = manifest.compare(ours, theirs)
    assert len(wrong) == 1
    assert wrong[0].startswith(f"results/dense.nc: {says}")
    assert wrong[0] in lines


def test_rounding_is_told_and_not_wrong(tmp_path):
    ours = manifest_of(tmp_path, "one.nc", small_dense())
    change = {"least_squares_error": lambda v: v * (1 + 1e-13)}
    theirs = manifest_of(tmp_path, "other.nc", small_dense(change=change))
    lines, wrong = manifest.compare(ours, theirs)
    assert wrong == []
    assert "least_squares_error differs by about" in lines[0]
    assert lines[-1] == "0 of 1 artefacts are the same byte for byte"
    assert manifest.compare(ours, ours) == (["1 of 1 artefacts are the same byte for byte"], [])


def test_an_artefact_that_one_run_lacks_is_wrong(tmp_path):
    ours = manifest_of(tmp_path, "one.nc", small_dense())
    other = {"artefacts": {"results/else.nc": {"sha256": "0"}}}
    _, wrong = manifest.compare(ours, other)
    assert wrong == [
        "results/dense.nc: the other run has none",
        "results/else.nc: this run has none",
    ]


def test_mismatches_name_what_changed_and_what_is_gone(tmp_path):
    for name in ("kept", "changed", "gone"):
        (tmp_path / name).write_text(name)
    paths = [str(tmp_path / name) for name in ("kept", "changed", "gone")]
    told = {"artefacts": {path: manifest.entry(path) for path in paths}}
    assert list(manifest.mismatches(told)) == []
    (tmp_path / "changed").write_text("chanced")
    (tmp_path / "gone").unlink()
    changed, gone = manifest.mismatches(told)
    assert changed.startswith(f"{paths[1]} has changed")
    assert gone.startswith(f"{paths[2]} cannot be read")


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"artefacts": 3}', "\x00", "folder"])
def test_what_is_no_manifest_is_refused_with_a_sentence(tmp_path, content):
    path = tmp_path / "manifest.json"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    with pytest.raises(manifest.ManifestError, match=r"manifest\.json"):
        manifest.read(path)
