import os

for variable in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{variable}_NUM_THREADS", "1")

import signal
from pathlib import Path

import pytest
from hypothesis import settings

from studies import Study, finish

# How long an example takes says more of the machine's other work than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# What a shell starts in the background ignores Ctrl-C, and so would the runs that tests stop.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def study(root, tmp_path_factory):
    one = Study(root, tmp_path_factory.mktemp("study") / "here")
    done = one.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return one


@pytest.fixture(scope="session")
def quick(root, tmp_path_factory):
    """The quick study, from nothing, on two cores."""
    one = Study(root, tmp_path_factory.mktemp("quick") / "here", config="config/quick.yaml")
    finish(one)
    return one


@pytest.fixture
def copy(study, tmp_path):
    """The finished study again, free to be spoilt."""
    return study.copied(tmp_path / "copy")


@pytest.fixture(scope="module")
def large():
    """Small dense logs are worked on as large ones are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sparseact.design._LARGE", 0)
        yield
