"""Whose a file is: the origin of datasets, the receipts of all else, and locks of runs."""

import json
import select
import subprocess
import sys

import numpy as np
import pytest

from sparseact.study import receipt, store
from sparseact.study.origin import origin, provenance
from sparseact.study.workplace import (
    WorkplaceError,
    alone,
    hold,
    join,
    require_folders,
    require_free,
)

ASKED = {"seed": 3, "cells": [{"n_rounds": (1, 2)}]}


def written(path, asked=ASKED, code="abc"):
    arrays = {"n_rounds": np.arange(1, 3, dtype=np.int32)}
    arrays |= {name: np.ones((2, 2)) for name in ("ridge_error", "least_squares_error")}
    store.write(path, "dense", arrays, provenance(asked, code))
    return path


def test_a_dataset_is_read_by_its_origin_and_no_other(tmp_path):
    path = written(tmp_path / "one.nc")
    assert store.read(path, "dense", origin(ASKED, "abc")).keys()
    for other in (origin({**ASKED, "seed": 4}, "abc"), origin(ASKED, "abd"), origin({}, "")):
        with pytest.raises(store.DatasetError, match=r"one\.nc is not what belongs there: another"):
            store.read(path, "dense", other)


def test_an_origin_minds_values_and_not_their_order():
    other = dict(reversed(ASKED.items()))
    assert origin(other, "abc") == origin(json.loads(json.dumps(ASKED)), "abc")
    assert origin({"a": 1, "b": 2}, "") != origin({"a": 2, "b": 1}, "")


@pytest.fixture
def receipted(tmp_path):
    for name in ("page.html", "figure.png"):
        (tmp_path / name).write_text(name)
    path = tmp_path / "receipts/render.json"
    receipt.write(path, "abc", [tmp_path / "page.html", tmp_path / "figure.png"])
    return path


def test_a_receipt_tells_what_is_as_it_was_left(receipted, tmp_path):
    told = receipt.check(receipted, "abc")
    page = tmp_path / "page.html"
    assert told[str(page)] == store.sha256(page)
    page.write_text("another page")
    with pytest.raises(store.DatasetError, match=r"page\.html is not as its job left it"):
        receipt.check(receipted, "abc")
    page.unlink()
    with pytest.raises(store.DatasetError, match=r"page\.html cannot be read"):
        receipt.check(receipted, "abc")


def test_a_receipt_of_other_code_is_refused(receipted):
    with pytest.raises(store.DatasetError, match="made by other code"):
        receipt.check(receipted, "abd")


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"files": 3, "code_digest": "abc"}'])
def test_what_is_no_receipt_is_named(tmp_path, content):
    path = tmp_path / "receipt.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(store.DatasetError, match=r"receipt\.json is no receipt"):
        receipt.check(path, "abc")


def test_a_study_is_held_until_its_run_and_all_its_jobs_have_ended(tmp_path):
    path = tmp_path / ".lock"
    require_free(path)
    run = hold(path, "first")
    job = join(path, "first")
    for closing in (run, job):
        for claim in (lambda: hold(path, "second"), lambda: require_free(path)):
            with pytest.raises(WorkplaceError, match="is at work on this study"):
                claim()
        closing.close()
    require_free(path)
    with hold(path, "second"), pytest.raises(WorkplaceError, match="another has begun"):
        join(path, "first")


AT_IT = """
import sys
from sparseact.study.workplace import alone

with alone(sys.argv[1], sys.argv[2]):
    print("at it", flush=True)
    sys.stdin.read()
"""


def test_a_job_waits_for_its_double_and_for_no_other(tmp_path):
    def started(job):
        return subprocess.Popen(
            [sys.executable, "-c", AT_IT, tmp_path / "jobs", job],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    with started("recover/a.log") as first:
        assert first.stdout.readline() == "at it\n"
        with started("recover/a.log") as double:
            for _ in range(2):
                with started("recover/b.log") as other:
                    assert other.communicate("")[0] == "at it\n"
            assert select.select([double.stdout], [], [], 0.5)[0] == []
            first.kill()
            assert double.communicate("")[0] == "at it\n"


def test_what_stands_in_the_way_of_a_folder_is_named(tmp_path):
    (tmp_path / "folder").mkdir()
    require_folders([tmp_path / "folder", tmp_path / "folder/deep", tmp_path / "new"])
    (tmp_path / "file").write_text("")
    for wanted in ("file", "file/deep"):
        with pytest.raises(WorkplaceError, match=f"{wanted} cannot be written to: .*file is no"):
            require_folders([tmp_path / wanted])


def test_a_lock_that_cannot_be_had_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for claim in (lambda p: hold(p, "run"), lambda p: join(p, "run"), lambda p: alone(p, "job")):
        with pytest.raises(WorkplaceError, match="cannot be locked: Not a directory"):
            claim(tmp_path / "file/.lock")
