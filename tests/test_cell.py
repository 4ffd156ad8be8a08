"""Cells: what is kept of a dataset that holds more, and what cells that share a file ask for."""

from itertools import permutations

import numpy as np
import pytest

from sparseact import Scenario
from sparseact.study.cell import Cell, merged

SCENARIO = Scenario(design="signed", n_actions=8, sparsity=2, latent_dim=3)


def cell(n_rounds=(10, 20, 40), trials=5, *, label="signed", selection="correlation", **scenario):
    fields = {"design": "signed", "n_actions": 8, "sparsity": 2, "latent_dim": 3, **scenario}
    return Cell(label, Scenario(**fields), selection, n_rounds, trials)


def numbered(*shape):
    return np.arange(np.prod(shape)).reshape(shape)


# -- cut -----------------------------------------------------------------------------------------


def test_a_cut_keeps_the_cells_own_rounds_and_trials():
    arrays = {
        "n_rounds": np.array([5, 10, 15, 20, 30, 40, 50], dtype=np.int32),
        "exact_recovery": numbered(9, 7),
        "selected": numbered(9, 7, 2),
    }
    kept = cell((10, 20, 40), 4).cut(arrays, "recovery")
    assert kept.keys() == arrays.keys()
    assert kept["n_rounds"].tolist() == [10, 20, 40]
    assert kept["n_rounds"].dtype == np.int32
    np.testing.assert_array_equal(kept["exact_recovery"], numbered(9, 7)[:4][:, [1, 3, 5]])
    np.testing.assert_array_equal(kept["selected"], numbered(9, 7, 2)[:4][:, [1, 3, 5]])


def test_a_cut_leaves_other_axes_alone():
    decision = {
        "n_rounds": np.array([10, 20, 40, 80]),
        "mean_regret": numbered(6, 4, 3),
        "best_value": numbered(6),
    }
    kept = cell((20, 80), 2).cut(decision, "decision")
    np.testing.assert_array_equal(kept["mean_regret"], numbered(6, 4, 3)[:2][:, [1, 3], :])
    np.testing.assert_array_equal(kept["best_value"], [0, 1])


def test_a_cut_of_a_log_keeps_all_its_rounds():
    log = {
        "latent": numbered(6, 50, 3),
        "activation_bits": numbered(6, 50, 1),
        "support": numbered(6, 2),
        "scarce": numbered(6),
    }
    kept = cell((10, 20), 4).cut(log, "log")
    for name, values in log.items():
        np.testing.assert_array_equal(kept[name], values[:4])


def test_a_cut_of_what_is_no_more_is_the_same():
    arrays = {"n_rounds": np.array([10, 20, 40]), "erc": numbered(3, 3)}
    kept = cell((10, 20, 40), 5).cut(arrays, "diagnosis")  # coherence is measured in few trials
    for name, values in arrays.items():
        np.testing.assert_array_equal(kept[name], values)


# -- merged --------------------------------------------------------------------------------------


def test_cells_that_share_a_file_ask_for_all_that_any_of_them_asks_for():
    cells = [cell((10, 40), 5), cell((20, 40), 3, label="other"), cell((5,), 9)]
    ((name, one),) = merged(cells).items()
    assert name == cells[0].name == "signed_M8_k2_d3_b1_s0.5_correlation"
    assert one.n_rounds == (5, 10, 20, 40)
    assert one.trials == 9
    assert (one.scenario, one.selection) == (SCENARIO, "correlation")


def test_what_differs_between_them_is_left_empty_and_their_order_makes_no_difference():
    cells = [
        cell((10, 40), 5),
        cell((20,), 3, label="other", selection="whitened"),
        cell((7,), 4, n_actions=9),
    ]
    for by_selection in (True, False):
        found = [merged(some, by_selection=by_selection) for some in permutations(cells)]
        assert all(one == found[0] for one in found)
        assert {one.label for one in found[0].values()} == {""}


def test_selection_rules_share_a_log_and_have_results_of_their_own():
    cells = [cell(selection="correlation"), cell((80,), 7, selection="whitened")]
    assert merged(cells).keys() == {one.name for one in cells}
    assert [one.n_rounds for one in merged(cells).values()] == [(10, 20, 40), (80,)]
    ((name, one),) = merged(cells, by_selection=False).items()
    assert name == SCENARIO.name
    assert (one.selection, one.n_rounds, one.trials) == ("", (10, 20, 40, 80), 7)


def test_other_scenarios_are_other_cells():
    cells = [cell(), cell(noise_std=1.0), cell(structure="twin", strength=0.5)]
    together = merged(cells, by_selection=False)
    assert {name: one.scenario for name, one in together.items()} == {
        one.scenario.name: one.scenario for one in cells
    }


@pytest.mark.parametrize("by_selection", [True, False])
def test_one_cell_or_none_stays_what_it_is(by_selection):
    assert merged([], by_selection=by_selection) == {}
    (one,) = merged([cell()], by_selection=by_selection).values()
    assert (one.scenario, one.n_rounds, one.trials) == (SCENARIO, (10, 20, 40), 5)
