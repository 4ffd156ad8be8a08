"""Figures as files: in the formats asked for, and the same bytes every time."""

import matplotlib.pyplot as plt
import pytest

from sparseact.study import figures


@pytest.fixture(autouse=True)
def style():
    with plt.rc_context():
        figures.set_style()
        yield


def saved(folder):
    """What is left of a figure, by name."""
    fig, ax = plt.subplots(figsize=(figures.WIDTH, 3))
    ax.plot([1, 2, 3], [1, 4, 2], "o-", label="rounds $T^*$")
    fig.legend(loc="outside lower center")
    picture = figures.save(fig, "some", folder)
    left = {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}
    assert picture.data == left["some.png"]
    return left


def test_a_figure_is_the_same_bytes_at_any_time(tmp_path, monkeypatch):
    # What Matplotlib takes for the time of day.
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    first = saved(tmp_path / "once")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "2000000000")
    assert saved(tmp_path / "later") == first
    assert sorted(first) == ["some.pdf", "some.png", "some.svg"]
    assert first["some.pdf"].startswith(b"%PDF")


def test_formats_are_those_that_the_study_names(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_FORMATS", "png svg")
    assert sorted(saved(tmp_path)) == ["some.png", "some.svg"]
