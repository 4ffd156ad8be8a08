"""Departures side by side, from made-up datasets of the experiments whose answer is known."""

import ast
from typing import get_args

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sparseact.scenario import Departure
from sparseact.study import store
from sparseact.study.checks import check
from sparseact.study.experiments import beyond, grid
from sparseact.study.experiments.beyond import breaking_size, first_broken

NAN = float("nan")
QUANTILES = (0.5, 0.95)
ROUNDS = (100, 200, 400)


def around(values, by=0.0):
    """Estimates with ends that are so much lower and higher."""
    values = np.asarray(values, dtype=float)
    return values, values - by, values + by


def made_up(kind, **coords):
    """A dataset of an experiment that has 10 trials at all of its places, and nothing else."""
    ds = grid.empty(kind, {"n_rounds": ROUNDS, "quantile": QUANTILES, **coords})
    ds["n_trials"][...] = 10
    return ds


def robustness():
    """A log that departs; recovery of the ideal one takes 100 rounds, never known exactly."""
    names = ["none", "student", "bounded", "rademacher"]
    ds = made_up("robustness", departure=names, departure_size=[0.0, 0.25, 0.5, 1.0])
    ds["n_trials"][...] = 0
    grid.put(ds, "recovery_probability", {}, around(np.ones(ds["recovery_probability"].shape)))
    tried = {"none": [0.0], "student": [0.25, 0.5], "bounded": [0.5], "rademacher": [1.0]}
    for name, sizes in tried.items():
        ds["n_trials"].loc[{"departure": name, "departure_size": sizes}] = 10
    ideal = {"departure": "none", "departure_size": 0.0}
    grid.put(ds, "rounds_needed", ideal, (100.0, 80.0, 125.0))
    grid.put(ds, "rounds_factor", ideal, around([1.0, 1.0]))
    grid.put(ds, "interval_coverage", ideal, around([0.95] * 3, 0.01))
    # Errors fall with rounds; it is the last that counts.
    grid.put(ds, "relative_error", ideal, (np.array([9, 4, 2]), [8, 3, 1.6], [10, 5, 2.5]))
    student = {"departure": "student", "departure_size": [0.25, 0.5]}
    grid.put(ds, "rounds_factor", student, around([[1.1, 1.2], [1.4, 2.0]], 0.05))
    grid.put(ds, "interval_coverage", student, around(np.full((2, 3), 0.93), 0.01))
    # Three times the error after the most rounds, of the size 0.5.
    error = np.array([[9, 4, 2.0], [27, 12, 6]])
    grid.put(ds, "relative_error", student, (error, error / 1.25, error * 1.25))
    grid.put(ds, "harmful_size", {"departure": "student"}, (0.35, 0.3, 0.4))
    grid.put(ds, "undercovering_size", {"departure": "student"}, (NAN, 0.5, NAN))
    bounded = {"departure": "bounded", "departure_size": 0.5}
    few = (np.array([0.1, 0.2, 0.3]), [0.05, 0.1, 0.2], [0.3, 0.4, 0.6])
    grid.put(ds, "recovery_probability", bounded, few)
    two = {"departure": "rademacher", "departure_size": 1.0}
    grid.put(ds, "rounds_factor", two, around([1.0, 1.0], 0.1))
    grid.put(ds, "interval_coverage", two, around([0.95] * 3, 0.01))
    grid.put(ds, "relative_error", two, (np.array([9, 4, 2.0]), [9, 4, 2.0], [9, 4, 2.0]))
    for name in ("harmful_size", "undercovering_size"):
        grid.put(ds, name, {"departure": "rademacher"}, (NAN, 1.0, NAN))
    return ds


def approximate_sparsity():
    """A flat tail of which recovery suffers at 0.2, and a power tail that was not grown."""
    coords = {"tail": ["flat", "power"], "tail_energy": [0.0, 0.1, 0.3]}
    ds = made_up("approximate_sparsity", **coords, estimator=["block_omp"])
    ds["n_trials"].loc[{"tail": "power", "tail_energy": [0.1, 0.3]}] = 0
    flat = {"tail": "flat"}
    grid.put(ds, "recovery_probability", flat, around(np.ones((3, 3))))
    grid.put(ds, "rounds_factor", flat, around([[1, 1], [1, 1.0], [1, 2.0]]))
    grid.put(ds, "k_term_ratio", flat, around(np.ones((3, 3)), 0.1))
    grid.put(ds, "value_share", flat, around([[1, 1, 1], [0, 0, 0.99], [1, 1, 0.91]], 0.02))
    return ds


def dynamic_actions():
    """Discovery that gets harder and then fails under one rule, and easier under the other."""
    rules = ["correlation", "whitened"]
    coords = {"arrives_after": [0, 64, 1024], "selection": rules}
    ds = made_up("dynamic_actions", **coords, since_arrival=[8, 16, 32])
    shares = np.ones((3, 2, 3))
    shares[2, 0] = [0.0, 0.1, 0.2]
    grid.put(ds, "discovery_probability", {}, around(shares))
    grid.put(ds, "discovery_rounds", {"arrives_after": 0}, around(np.full((2, 2), 8.0), 2.0))
    factors = np.array([[[1, 1], [1, 1]], [[1, 1.25], [1, 0.5]], [[NAN, NAN], [1, 0.25]]])
    grid.put(ds, "discovery_factor", {}, around(factors))
    return ds


def logging_policy():
    """A greedy log with two ε, of fewer rounds than the uniform one, and a popular one."""
    coords = {"policy": ["uniform", "zipf", "greedy"], "policy_level": [0.0, 0.1, 0.5, 1.0]}
    selections = ["correlation", "whitened"]
    ds = made_up("logging_policy", design=["single"], selection=selections, **coords)
    ds["n_trials"][...] = 0
    tried = [("uniform", 0.0, 1.0), ("zipf", 1.0, 3.0), ("greedy", 0.1, NAN), ("greedy", 0.5, 1.25)]
    for policy, level, factor in tried:
        here = {"policy": policy, "policy_level": level, "selection": "whitened"}
        ds["n_trials"].loc[here] = 10
        at = {**here, "n_rounds": [100, 200] if policy == "greedy" else [*ROUNDS]}
        n = len(at["n_rounds"])
        grid.put(ds, "recovery_probability", at, around(np.ones((1, n))))
        grid.put(ds, "rounds_factor", here, around([[factor, factor]], 0.125))
        # After the rounds that a greedy log has, decisions lose 1 - ε of a tenth.
        lost = (1 - level) / 10 if policy == "greedy" else 0.0
        grid.put(ds, "relative_regret", at, around([[1.0] * (n - 1) + [lost]], 0.01))
        grid.put(ds, "interval_coverage", at, around(np.full((1, n), 0.95)))
    exploits = {"policy": "greedy", "policy_level": 0.1, "selection": "whitened"}
    grid.put(ds, "rounds_factor", exploits, (NAN, 8.0, NAN))
    return ds


def stopping():
    """EBIC, with a price that is known for little noise, and a bound for much; and the known k."""
    rules = ["k known", "EBIC"]
    ds = made_up("stopping", design=["signed"], signal_to_noise=[0.5, 2.0], stopping=rules)
    place = {"stopping": "EBIC", "signal_to_noise": 2.0}
    grid.put(ds, "price", place, around([[1.0, 1.25]], 0.125))
    grid.put(ds, "price", {**place, "signal_to_noise": 0.5}, (NAN, 4.0, NAN))
    return ds


DATASETS = {
    "robustness": robustness,
    "approximate_sparsity": approximate_sparsity,
    "dynamic_actions": dynamic_actions,
    "logging_policy": logging_policy,
    "stopping": stopping,
}


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """The table, written, checked against the registry and read again."""
    ds = beyond.join({name: make() for name, make in DATASETS.items()})
    path = tmp_path_factory.mktemp("beyond") / "beyond.nc"
    store.write(path, "beyond", ds.variables)
    return store.open_dataset(path, "beyond")


def ends(ds, name, at):
    return [float(ds[f"{name}{end}"].sel(at)) for end in grid.ENDS]


def broken_at(ds, departure, outcome):
    return ends(ds, "breaking_size", {"departure": departure, "outcome": outcome})


def test_the_table_has_a_row_for_each_departure_that_was_tried(joined):
    assert joined["departure"].values.tolist() == [
        *("student", "bounded", "rademacher"),
        "flat tail",
        *("late arrival, correlation", "late arrival, whitened"),
        *("zipf log, single", "greedy log, single"),
        "k unknown, EBIC, signed",
    ]
    assert joined["experiment"].values.tolist() == [
        *(["robustness"] * 3),
        "approximate_sparsity",
        *(["dynamic_actions"] * 2),
        *(["logging_policy"] * 2),
        "stopping",
    ]
    assert check("beyond", joined)


def test_sizes_go_from_the_ideal_to_the_largest(joined):
    sizes = {str(one.departure.values): one.values for one in joined["departure_size"]}
    np.testing.assert_array_equal(sizes["student"], [0, 0.25, 0.5])
    np.testing.assert_array_equal(sizes["bounded"], [0, 0.5, NAN])
    np.testing.assert_array_equal(sizes["late arrival, whitened"], [0, 64, 1024])
    # What exploits is what does not explore, and σ/b has no ideal to grow from.
    np.testing.assert_array_equal(sizes["greedy log, single"], [0, 0.5, 0.9])
    np.testing.assert_array_equal(sizes["k unknown, EBIC, signed"], [NAN, 0.5, 2])
    mild = dict(zip(joined["departure"].values, joined["mild_grade"].values, strict=True))
    assert mild["student"] == 1
    assert mild["bounded"] == 1  # the mild size was not tried
    assert mild["late arrival, correlation"] == 2
    assert mild["greedy log, single"] == 2


def test_factors_are_those_of_the_experiments_or_what_they_exceed(joined):
    def factor(departure, grade):
        at = {"departure": departure, "grade": grade, "quantile": 0.95}
        return ends(joined, "departure_factor", at)

    np.testing.assert_allclose(factor("student", 0), [1, 1, 1])
    np.testing.assert_allclose(factor("student", 2), [2, 1.95, 2.05])
    # Recovery stays below 0.6 after 400 rounds; the ideal needs 125 at the most …
    np.testing.assert_allclose(factor("bounded", 1), [NAN, 400 / 125, NAN])
    # … but with probability 0.5 that is not clear.
    at = {"departure": "bounded", "grade": 1, "quantile": 0.5}
    np.testing.assert_allclose(ends(joined, "departure_factor", at), [NAN] * 3)
    # Rounds since the arrival count, 32 of them, over the 10 from the start.
    np.testing.assert_allclose(factor("late arrival, correlation", 2), [NAN, 3.2, NAN])
    np.testing.assert_allclose(factor("late arrival, whitened", 2), [0.25] * 3)
    np.testing.assert_allclose(factor("greedy log, single", 2), [NAN, 8, NAN])
    np.testing.assert_allclose(factor("k unknown, EBIC, signed", 1), [1.25, 1.125, 1.375])
    np.testing.assert_allclose(factor("k unknown, EBIC, signed", 2), [NAN, 4, NAN])
    np.testing.assert_allclose(factor("k unknown, EBIC, signed", 0), [NAN] * 3)


def test_errors_are_over_the_ideals_with_an_interval_of_the_ratio(joined):
    at = {"departure": "student", "outcome": "error"}
    np.testing.assert_allclose(ends(joined, "outcome_value", {**at, "grade": 0}), [1, 1, 1])
    # 6 [4.8, 7.5] over 2 [1.6, 2.5]: ends a factor 1.25 away each, √2 powers of that together.
    expected = [3, 3 / 1.25 ** np.sqrt(2), 3 * 1.25 ** np.sqrt(2)]
    np.testing.assert_allclose(ends(joined, "outcome_value", {**at, "grade": 2}), expected)


def test_what_is_judged_is_what_the_most_rounds_left(joined):
    def value(departure, outcome, grade):
        at = {"departure": departure, "outcome": outcome, "grade": grade}
        return ends(joined, "outcome_value", at)

    np.testing.assert_allclose(value("flat tail", "decisions", 1), [0.99, 0.97, 1.01])
    # A greedy log ends after 200 rounds, the uniform one after 400; regret is what is lost.
    np.testing.assert_allclose(value("greedy log, single", "decisions", 2), [0.91, 0.9, 0.92])
    np.testing.assert_allclose(value("greedy log, single", "decisions", 0), [1, 0.99, 1.01])
    measured = joined["is_measured"].sum("departure")
    assert dict(zip(joined["outcome"].values, measured.values, strict=True)) == {
        "recovery": 9,
        "intervals": 5,
        "error": 4,
        "decisions": 3,
    }


def test_what_breaks_first_and_at_which_size(joined):
    first = dict(zip(joined["departure"].values, joined["first_broken"].values, strict=True))
    # Robustness knows two of its sizes itself; the error passes 1.5 a quarter of the way to 3.
    np.testing.assert_allclose(broken_at(joined, "student", "recovery"), [0.35, 0.3, 0.4])
    np.testing.assert_allclose(broken_at(joined, "student", "intervals"), [NAN, 0.5, NAN])
    estimate, low, high = broken_at(joined, "student", "error")
    np.testing.assert_allclose(estimate, 0.25 + 0.25 * 0.25)
    assert 0.25 < low < estimate < 0.35 < high < 0.5
    assert first["student"] == "error or recovery"
    assert first["rademacher"] == "nothing"
    np.testing.assert_allclose(broken_at(joined, "flat tail", "recovery"), [0.2, 0.2, 0.2])
    np.testing.assert_allclose(broken_at(joined, "flat tail", "decisions"), [0.2, 0.15, 0.25])
    assert first["flat tail"] == "recovery or decisions"
    # Linear to what it exceeds; it may have broken as soon as it was last seen whole.
    at = 64 + 960 * (1.5 - 1.25) / (3.2 - 1.25)
    np.testing.assert_allclose(
        broken_at(joined, "late arrival, correlation", "recovery")[:2], [at, 64]
    )
    assert first["late arrival, correlation"] == "recovery"
    assert first["late arrival, whitened"] == "nothing"
    np.testing.assert_allclose(
        broken_at(joined, "late arrival, whitened", "recovery"), [NAN, 1024, NAN]
    )
    np.testing.assert_allclose(broken_at(joined, "zipf log, single", "recovery")[0], 0.25)
    assert first["zipf log, single"] == "recovery"
    np.testing.assert_allclose(broken_at(joined, "greedy log, single", "decisions")[0], 0.5)
    assert first["greedy log, single"] == "decisions or recovery"
    assert first["bounded"] == "not determined"
    assert first["k unknown, EBIC, signed"] == "recovery"


RISING = np.array([0.0, 1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # A line 1 + x/2 with ends 1/4 away passes 1.5 at 1, within 1/2 and 3/2.
        (around(1 + RISING / 2, 0.25), (1, 0.5, 1.5)),
        # Exactly at the level counts, at the first of several such sizes.
        (around([1, 1.5, 1.5, 1.5]), (1, 1, 1)),
        (around([2, 2, 2, 2]), (0, 0, 0)),
        # Not reached; nor by the upper end, or by that at 2.
        (around([1, 1, 1.2, 1.2], 0.1), (NAN, 3, NAN)),
        ((np.ones(4), np.ones(4), np.array([1, 1, 1.5, 1.2])), (NAN, 2, NAN)),
        # Only a lower end is known, above the level or below.
        (([1, 1, NAN, NAN], [1, 1, 2, 4], [1, 1, NAN, NAN]), (1.5, 1, 1.5)),
        (([1, 1, NAN, NAN], [1, 1, 1.2, 1.4], [1, 1, NAN, NAN]), (NAN, 1, NAN)),
        # An estimate without an interval; nothing between two estimates; nothing at all.
        (([1, 2, 2, 2], [1, NAN, NAN, NAN], [1, NAN, NAN, NAN]), (0.5, 0, NAN)),
        (([1, NAN, 2, 2], [1, NAN, 2, 2], [1, NAN, 2, 2]), (1, 0, 2)),
        (([1, NAN, NAN, NAN],) * 3, (NAN, NAN, NAN)),
    ],
)
def test_a_size_breaks_where_a_measure_passes_a_level(values, expected):
    np.testing.assert_allclose(breaking_size(RISING, values, 1.5, falls=False), expected)


def test_what_falls_breaks_as_what_rises():
    value, low, high = around(1 + RISING / 2, 0.25)
    falling = (2 - value, 2 - high, 2 - low)
    np.testing.assert_allclose(breaking_size(RISING, falling, 0.5, falls=True), (1, 0.5, 1.5))


maybe = st.one_of(st.floats(0, 3), st.just(NAN))
measures = st.lists(st.tuples(maybe, maybe, maybe), min_size=2, max_size=5)


@given(measures, st.floats(0.1, 2.9), st.booleans(), st.sampled_from([1.0, 4.0]))
def test_a_breaking_size_is_within_its_interval_and_in_the_units_of_sizes(rows, level, falls, unit):
    # Ends around the estimate, as far as they are known; or a lower end alone.
    value, below, above = np.array(rows).T
    low = np.where(np.isnan(value), below, value - below)
    high = value + above
    sizes = np.arange(len(rows), dtype=float)
    found = breaking_size(sizes, (value, low, high), level, falls=falls)
    estimate, first, last = found
    if np.isfinite(estimate):
        assert 0 <= first <= estimate <= sizes[-1]
        assert np.isnan(last) or estimate <= last <= sizes[-1]
    else:
        assert np.isnan(last)
        assert np.isnan(first) or 0 <= first <= sizes[-1]
    again = breaking_size(unit * sizes, (value, low, high), level, falls=falls)
    np.testing.assert_allclose(again, unit * np.array(found), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("breaking", "expected"),
    [
        ({"recovery": (1, 0.9, 1.1), "error": (2, 1.5, 2.5)}, "recovery"),
        ({"recovery": (2, 1.5, 2.5), "error": (1, 0.9, 1.1)}, "error"),
        ({"recovery": (2, 1, 2.5), "error": (1, 0.9, 1.1)}, "error or recovery"),
        ({"recovery": (1, 1, 1), "error": (1, 1, 1)}, "recovery or error"),
        ({"recovery": (1, 0.9, NAN), "error": (3, 2.9, 3.0)}, "recovery or error"),
        ({"recovery": (1, 0.9, 1.1), "error": (NAN, 0.5, NAN)}, "recovery"),
        ({"recovery": (NAN, 3, NAN), "error": (3, 3, 3)}, "error"),
        ({"recovery": (NAN, 3, NAN), "error": (NAN, 3, NAN)}, "nothing"),
        ({"recovery": (NAN, 3, NAN), "error": (NAN, 2, NAN)}, "not determined"),
        ({"recovery": (NAN, 3, NAN), "error": (NAN, NAN, NAN)}, "not determined"),
    ],
)
def test_the_first_to_break_is_named_or_those_that_may_be(breaking, expected):
    assert first_broken(breaking, 3.0) == expected


def test_a_study_with_little_in_it_is_joined_all_the_same():
    datasets = {name: make() for name, make in DATASETS.items()}
    for name in ("robustness", "approximate_sparsity", "dynamic_actions", "logging_policy"):
        datasets[name]["n_trials"][...] = 0
    datasets["robustness"] = datasets["robustness"].sel(departure=["none"], departure_size=[0.0])
    ds = beyond.join(datasets)
    assert ds["departure"].values.tolist() == ["k unknown, EBIC, signed"]
    assert check("beyond", ds)


def test_mild_sizes_are_the_ledgers(root):
    claims = yaml.safe_load((root / "config/claims.yaml").read_text())
    of_many = [one for one in claims if "parts" in one]
    parts = {one["id"]: [part["select"] for part in one["parts"]] for one in of_many}
    assert {*get_args(Departure)} - {"none"} <= beyond.MILD.keys()
    for at in parts["robustness"]:
        assert beyond.MILD[at["departure"]] == at["departure_size"]
    energies = {at["tail_energy"] for at in parts["approximate"] if "tail_energy" in at}
    assert energies == {beyond.MILD["tail"]}
    assert {at["arrives_after"] for at in parts["dynamic"] if "arrives_after" in at} == {
        beyond.MILD["late arrival"]
    }
    logged = [*parts["logging"], *parts["popularity"]]
    for at in (one for one in logged if one["policy_level"] > 0):
        size = 1 - at["policy_level"] if at["policy"] == "greedy" else at["policy_level"]
        assert beyond.MILD[f"{at['policy']} log"] == pytest.approx(size)
    assert {at["signal_to_noise"] for at in parts["unknown-k"]} == {1 / beyond.MILD["k unknown"]}
    assert {at["stopping"] for at in parts["unknown-k"]} == {*beyond.RULES}


def test_the_workflow_joins_what_has_a_reader(root):
    _, _, told = (root / "workflow/rules/collect.smk").read_text().partition("PAST_THEORY = ")
    assert [*ast.literal_eval(told[: told.index(")") + 1])] == [*beyond.READERS]
