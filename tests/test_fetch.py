"""What pip fetches: kept if it is the pinned wheel, done without where it cannot be had."""

import json

import pytest

from catalogues import files, wheel
from sparseact.catalogue.sets import FOLDER, names_of
from sparseact.study.fetch import (
    FetchError,
    NotFetchedError,
    fetch,
    keep,
    keep_why,
    kept,
    was_skipped,
)

NAMES = names_of("live_simple")
MEMBERS = {name: f"{FOLDER}{name}" for name in NAMES}


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder that pip finds wheels in, and no other place; gives the pin of what is put there."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")

    def put(texts, digest=None):
        _, found = wheel(folder, texts)
        return pin(digest or found)

    def pin(digest="0" * 64):
        path = tmp_path / "pinned.txt"
        path.write_text(f"bfcl-eval==2026.3.23 --hash=sha256:{digest}\n")
        return path

    put.nothing = pin
    return put


def test_data_files_of_the_pinned_wheel_are_kept(shelf, tmp_path):
    texts = files(["live_simple"])
    pinned = shelf(texts)
    assert fetch(pinned, MEMBERS.values()) == {MEMBERS[name]: texts[name] for name in NAMES}
    path = tmp_path / "kept.json"
    keep(path, pinned, MEMBERS)
    assert kept(path.read_text()) == (texts, "")
    assert not was_skipped(path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["kept.json", "pinned.txt", "shelf"]


def test_what_cannot_be_had_is_told_and_nothing_is_overwritten(shelf, tmp_path):
    path = tmp_path / "kept.json"
    path.write_text("as before")
    with pytest.raises(NotFetchedError, match=r"^No matching distribution found") as caught:
        keep(path, shelf.nothing(), MEMBERS)
    assert path.read_text() == "as before"
    keep_why(path, str(caught.value))
    assert was_skipped(path)
    assert kept(path.read_text()) == ({}, str(caught.value))


def test_a_wheel_of_another_digest_is_an_error(shelf):
    with pytest.raises(FetchError, match=r"not the one that .*pinned\.txt pins") as caught:
        fetch(shelf(files(["live_simple"]), digest="1" * 64), MEMBERS.values())
    assert "\n" not in str(caught.value)


def test_a_wheel_without_the_files_is_an_error(shelf):
    with pytest.raises(FetchError, match="lacks a file"):
        fetch(shelf({"other.json": ""}), MEMBERS.values())


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"files": {}}', '{"skipped": ""}', '{"files": 1, "skipped": "x"}']
)
def test_what_is_neither_files_nor_a_reason_is_damaged(text):
    with pytest.raises(FetchError, match="damaged; remove it"):
        kept(text)


def test_a_file_that_is_missing_or_no_text_was_not_skipped(tmp_path):
    path = tmp_path / "kept.json"
    assert not was_skipped(path)
    path.write_bytes(b"\xff\xfe\x00")
    assert not was_skipped(path)
    path.write_text(json.dumps({"files": {"a": "b"}}))
    assert not was_skipped(path)
