"""What methods cost: the dataset, on made-up methods and numbers."""

import time
from dataclasses import asdict
from typing import get_args

import numpy as np
import pytest

from sparseact.design import KhatriRaoDesign
from sparseact.rivals import RIVALS
from sparseact.rules import Selection
from sparseact.scenario import Scenario
from sparseact.study import machine, store
from sparseact.study.calls import Calls
from sparseact.study.experiments import method_costs
from sparseact.study.memory import RESOLUTION

LARGE = 64 * RESOLUTION


def scenarios(*n_actions):
    return [
        asdict(Scenario(design="signed", n_actions=M, sparsity=2, latent_dim=3)) for M in n_actions
    ]


def collect(methods, *, n_actions=(8, 16), n_rounds=(32, 64), repeats=2, seconds=60.0):
    return method_costs.collect(
        scenarios(*n_actions), n_rounds, seed=5, repeats=repeats, seconds=seconds, methods=methods
    )


def work(design, rewards, k):
    assert isinstance(design, KhatriRaoDesign)
    assert rewards.shape == (design.n_rounds,)
    assert k == 2
    return np.ones(LARGE // 8).sum()


def slow(design, rewards, k):
    if design.n_blocks == 16:
        time.sleep(10_000)


def broken(design, rewards, k):
    if design.n_blocks == 32:
        raise ValueError("no")


def test_what_was_not_measured_is_told_and_kept():
    made = {"correlation": work, "slow": slow, "broken": broken}
    arrays = collect(made, n_actions=(8, 16, 32), n_rounds=(32, 64, 128), seconds=2.0)
    assert arrays["call_outcome"].tolist() == [
        ["measured"] * 3,
        ["measured", "over the time limit", "not tried"],
        ["measured", "measured", "failed"],
    ]
    assert arrays["n_calls"].tolist() == [[2, 2, 2], [2, 0, 0], [2, 2, 0]]
    there = arrays["call_outcome"] == "measured"
    for name in ("call_time", "call_time_least", "call_time_most", "call_memory", "time_ratio"):
        assert (np.isfinite(arrays[name]) == there).all(), name
    assert abs(arrays["call_memory"][0] - LARGE).max() < 2 * RESOLUTION
    assert (arrays["memory_ratio"][0] == 1).all()


def test_a_dataset_is_written_and_says_nothing_of_where(tmp_path):
    arrays = collect({"correlation": work})
    assert arrays["n_rounds"].tolist() == [32, 64]
    # Activations, latents and rewards in double precision.
    assert arrays["log_size"].tolist() == [8 * 32 * (8 + 3 + 1), 8 * 64 * (16 + 3 + 1)]
    told = machine.describe()
    store.write(tmp_path / "costs.nc", "method_costs", arrays, told)
    ds = store.open_dataset(tmp_path / "costs.nc", "method_costs")
    assert ds.call_time.dims == ("method", "n_actions")
    assert ds.attrs["processor"]
    assert "numpy" in ds.attrs["versions"]
    import platform

    assert not any(platform.node() in str(value) for value in told.values() if platform.node())
    assert not any("/" in str(value) for name, value in told.items() if name != "processor")


def test_a_summary_is_of_the_calls_that_were_measured():
    ours = Calls("measured", (2.0, 4.0, 3.0), (LARGE, 2 * LARGE, LARGE))
    other = Calls("measured", (6.0, 9.0), (5 * LARGE, 3 * LARGE))
    light = Calls("measured", (1.0,), (RESOLUTION // 2,))
    lost = Calls("over the time limit")
    table = [[ours, light], [other, ours], [lost, other]]
    found = method_costs.summary(table, 0)
    expected = {
        "call_time": [[3, 1], [7.5, 3], [np.nan, 7.5]],
        "call_time_least": [[2, 1], [6, 2], [np.nan, 6]],
        "call_time_most": [[4, 1], [9, 4], [np.nan, 9]],
        "call_memory": [[LARGE, RESOLUTION // 2], [4 * LARGE, LARGE], [np.nan, 4 * LARGE]],
        "time_ratio": [[1, 1], [2.5, 3], [np.nan, 7.5]],
        "time_ratio_least": [[0.5, 1], [1.5, 2], [np.nan, 6]],
        "time_ratio_most": [[2, 1], [4.5, 4], [np.nan, 9]],
        # Beside memory that is too little to be told there is no ratio.
        "memory_ratio": [[1, np.nan], [4, np.nan], [np.nan, np.nan]],
    }
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, err_msg=name)


def test_every_rule_and_every_rival_is_among_the_methods():
    assert {*method_costs.METHODS} == {*get_args(Selection), *RIVALS}
    assert method_costs.REFERENCE in method_costs.METHODS


@pytest.mark.parametrize("name", ["correlation", "screening", "subspace_pursuit"])
def test_methods_find_what_is_there(name):
    (fields,) = scenarios(16)
    scenario = Scenario(**{**fields, "noise_std": 0.1})
    drawn = method_costs.simulate_trial(scenario, 400, seed=3, trial=0)
    found = method_costs.METHODS[name](*method_costs._given(scenario, drawn))
    assert {*found.support} == {*drawn.support}


def test_a_rival_that_has_not_come_to_rest_did_not_converge(monkeypatch):
    class Restless:
        converged = False

    monkeypatch.setitem(RIVALS, "screening", lambda design, rewards, k: Restless())
    arrays = collect(
        {"correlation": work, "restless": method_costs.METHODS["screening"]},
        n_actions=(8,),
        n_rounds=(32,),
    )
    assert arrays["call_outcome"].tolist() == [["measured"], ["did not converge"]]
    assert np.isnan(arrays["call_time"][1, 0])
