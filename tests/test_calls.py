"""Time and memory of calls: what is measured of methods of known behaviour."""

import os
import signal
import time

import numpy as np
import pytest

from sparseact.study.calls import OUTCOMES, Calls, NotConvergedError, measure
from sparseact.study.memory import RESOLUTION

MB = 2**20


def allocate(megabytes):
    return np.ones(megabytes * MB // 8).sum()


def measured(work, argument, warm_up=0, *, repeats=3, seconds=60.0):
    return measure(work, lambda: (argument,), (warm_up,), repeats=repeats, seconds=seconds)


@pytest.mark.parametrize("megabytes", [4, 32, 128])
def test_the_peak_is_what_a_call_allocates(megabytes):
    calls = measured(allocate, megabytes)
    assert calls.outcome == "measured"
    assert len(calls.seconds) == len(calls.memory) == 3
    assert all(seconds > 0 for seconds in calls.seconds)
    for peak in calls.memory:
        assert abs(peak - megabytes * MB) < RESOLUTION + 0.02 * megabytes * MB


def test_peaks_do_not_mix():
    held = np.ones(64 * MB // 8)
    assert max(measured(allocate, 128).memory) > 120 * MB
    for warm_up in (0, 128):
        assert max(measured(allocate, 4, warm_up).memory) < 5 * MB
    # What is given is there before.
    large = measure(np.sum, lambda: (held.copy(),), (held[:9],), repeats=2, seconds=60.0)
    assert max(large.memory) < 2 * MB


def test_every_call_is_given_its_arguments_anew():
    def work(argument):
        assert argument in ([], ["warm"])
        argument.append("used")

    calls = measure(work, lambda: ([],), (["warm"],), repeats=4, seconds=60.0)
    assert len(calls.seconds) == 4


def test_calls_are_not_repeated_beyond_the_limit_of_one():
    calls = measured(time.sleep, 1.2, repeats=100, seconds=4.0)
    assert calls.outcome == "measured"
    assert 1 <= len(calls.seconds) <= 4


def test_a_call_over_the_limit_is_ended_and_has_no_numbers():
    assert measured(time.sleep, 10_000, seconds=0.2) == Calls("over the time limit")


def test_a_call_that_ends_just_after_the_limit_has_no_numbers_either(monkeypatch):
    # The parent hears of the call before it gives it up.
    monkeypatch.setattr("sparseact.study.calls._BEGINS", "a word that sets no limit")
    assert measured(time.sleep, 0.3, seconds=0.1) == Calls("over the time limit")


def test_what_is_raised_is_told():
    def refuse(argument):
        if argument:
            raise ValueError("too many")

    assert measured(refuse, 1) == Calls("failed", why="ValueError: too many")
    assert measured(refuse, 0, warm_up=1) == Calls("failed", why="ValueError: too many")

    def give_up(argument):
        if argument:
            raise NotConvergedError("still moving")

    assert measured(give_up, 1) == Calls("did not converge", why="still moving")


def test_a_process_that_dies_is_a_failure():
    def die(argument):
        if argument:
            os.kill(os.getpid(), signal.SIGKILL)

    calls = measured(die, 1)
    assert calls.outcome == "failed"
    assert calls.outcome in OUTCOMES
    assert "its process was ended" in calls.why
