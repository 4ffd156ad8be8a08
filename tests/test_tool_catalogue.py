"""The experiment on a catalogue of tools: on one that is made up, whose answers are known."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogues import files
from sparseact.catalogue.read import Catalogue, read
from sparseact.catalogue.worth import kept, oracle
from sparseact.study import store
from sparseact.study.checks import check
from sparseact.study.experiments.tool_catalogue import (
    DRAWN,
    GREEDY,
    LASSO,
    LEVEL,
    METHODS,
    ORACLE,
    POPULAR,
    RANDOM,
    REFERENCE,
    RETRIEVED,
    RETRIEVER_SHOWS,
    Asked,
    collect,
    nothing,
    rounds_to,
)

NAN = float("nan")
ASKED = Asked(
    latent_dim=2,
    tools_per_round=4,
    explored=0.5,
    near_copy=0.9,
    held_out=0.3,
    noise_std=[0.0, 0.2],
    n_rounds=[100, 400, 1600],
    trials=2,
    lasso_trials=2,
    most_tools=12,
    reward_share=[0.5, 0.8],
    fitted_dims=[1, 3],
)


@pytest.fixture(scope="module")
def catalogue():
    return read(files(["live_simple", "live_multiple"], n_requests=100), ["live_simple"])


@pytest.fixture(scope="module")
def dataset(catalogue):
    return collect(catalogue, ASKED, 1)


def test_it_is_what_the_registry_says(dataset, tmp_path):
    check("tool_catalogue", dataset)
    store.write(tmp_path / "d.nc", "tool_catalogue", dataset.variables)
    back = store.open_dataset(tmp_path / "d.nc", "tool_catalogue")
    assert back.tool_a.values.tolist() == dataset.tool_a.values.tolist()


def test_it_depends_on_the_seed_and_nothing_else(catalogue, dataset):
    again = collect(catalogue, ASKED, 1)
    assert again.identical(dataset)
    other = collect(catalogue, ASKED, 2)
    assert not other.kept_share.identical(dataset.kept_share)


def test_enough_rounds_find_what_the_answers_tell(catalogue):
    """Rewards without noise name the right tools, and so does the mean reward of each."""
    long = dataclasses.replace(ASKED, n_rounds=[400, 40_000], lasso_trials=0, reward_share=[0.5])
    at = collect(catalogue, long, 1).sel(setting=REFERENCE, reward_share=0.5)
    share = at.oracle_share.isel(n_rounds=-1)
    for method in (GREEDY, POPULAR):
        assert float(share.sel({"method": method})) > 0.9
        assert float(share.sel({"method": method})) > float(share.sel({"method": RANDOM})) + 0.3


def test_what_is_kept_grows_with_the_catalogue(dataset):
    assert {*dataset.method.values.tolist()} == {*METHODS}
    known = dataset.kept_share.dropna("setting", how="all")
    assert (known.diff("catalogue_size").fillna(0) >= -1e-12).all()
    assert dataset.kept_share.sel({"method": [GREEDY, POPULAR, ORACLE, RETRIEVED]}).notnull().all()
    # Random catalogues of m of M tools keep m/M in the mean.
    random = dataset.kept_share.sel({"setting": REFERENCE, "method": RANDOM}).isel(n_rounds=0)
    np.testing.assert_allclose(random, dataset.catalogue_size / int(dataset.n_tools))
    # The group lasso was solved once: on the longest log of the reference.
    lasso = dataset.kept_share.sel({"method": LASSO}).notnull().any("catalogue_size")
    assert int(lasso.sum()) == 1
    assert bool(lasso.sel(setting=REFERENCE).isel(n_rounds=-1))


def test_the_oracle_is_judged_on_requests_it_has_not_seen(catalogue, dataset):
    seen = kept(catalogue.right, oracle(catalogue.right))
    unseen = dataset.kept_share.sel({"setting": REFERENCE, "method": ORACLE}).isel(n_rounds=0)
    assert (unseen.values <= seen[dataset.catalogue_size.values] + 0.1).all()
    share = dataset.oracle_share.sel({"method": ORACLE})
    np.testing.assert_allclose(share, 1)
    assert (dataset.oracle_share.sel({"method": GREEDY}) <= 1.5).all()


def test_the_drawn_tools_are_those_of_the_retrievers_log(catalogue):
    """Without a retriever's choice both logs are one."""
    all_drawn = dataclasses.replace(ASKED, explored=1.0, lasso_trials=0)
    ds = collect(catalogue, all_drawn, 1)
    both = [ds.kept_share.sel(setting=one).values for one in (RETRIEVER_SHOWS, DRAWN)]
    np.testing.assert_array_equal(*both)
    none = dataclasses.replace(ASKED, explored=0.0)
    assert DRAWN not in none.settings
    assert RETRIEVER_SHOWS in none.settings


def test_near_copies_are_counted_and_merged():
    told = Catalogue(
        tuple(f"ask {i % 7} about {'rain' if i % 2 else 'songs'}" for i in range(60)),
        ("rain", "rain.", "song", *(f"other{i}" for i in range(5))),
        ("of rain", "of rain", "of songs", *(f"does thing{i}" for i in range(5))),
        np.array([np.eye(8)[int(i % 4 == 1) if i % 2 else 2] for i in range(60)]),
    )
    ds = collect(told, dataclasses.replace(ASKED, most_tools=4), 3)
    assert (int(ds.n_tools), int(ds.n_merged)) == (8, 7)
    assert (str(ds.tool_a[0].item()), str(ds.tool_b[0].item())) == ("rain", "rain.")
    assert ds.tools_with_copy.values[-1] == 2
    assert ds.requests_with_copy.values[-1] == pytest.approx(0.5)


def test_a_study_without_the_catalogue_has_its_places_and_no_numbers(dataset, tmp_path):
    ds = nothing(ASKED)
    check("tool_catalogue", ds)
    store.write(tmp_path / "d.nc", "tool_catalogue", ds.variables, {"skipped": "no network"})
    back = store.open_dataset(tmp_path / "d.nc", "tool_catalogue")
    assert back.attrs["skipped"] == "no network"
    assert back.kept_share.dims == dataset.kept_share.dims
    assert back.kept_share.shape == dataset.kept_share.shape
    assert back.kept_share.isnull().all()
    assert int(back.n_trials) == 0


def curve(values, reach=0.0):
    values = np.array(values, dtype=float)[:, None]
    return values, values - reach, values + reach


ROUNDS = [100, 1000, 10_000]


@pytest.mark.parametrize(
    ("values", "reach", "expected"),
    [
        ([0.5, LEVEL, 1.0], 0.0, (1000, 1000, 1000)),
        ([0.9, 1.0, 1.0], 0.0, (10**2.5, 10**2.5, 10**2.5)),
        ([1.0, 1.0, 1.0], 0.0, (100, 100, 100)),
        # Half of the way up in log T, and a tenth of the ends on either side.
        ([0.45, 1.45, 1.45], 0.1, (10**2.5, 10**2.4, 10**2.6)),
        # Not reached: more than the most rounds, or than where the upper end gets there.
        ([0.1, 0.2, 0.3], 0.1, (NAN, 10_000, NAN)),
        ([0.1, 0.2, 0.9], 0.1, (NAN, 10 ** (3 + 0.65 / 0.7), NAN)),
        # Reached, and not for certain.
        ([0.05, 0.05, 1.05], 0.2, (10**3.9, 10**3.7, NAN)),
        # Not known.
        ([NAN, NAN, NAN], 0.0, (NAN, NAN, NAN)),
        ([NAN, NAN, 1.0], 0.0, (10_000, 10_000, 10_000)),
    ],
)
def test_rounds_needed_are_where_the_curve_crosses(values, reach, expected):
    found = rounds_to(curve(values, reach), ROUNDS)
    np.testing.assert_allclose([end[0] for end in found], expected)


@given(st.lists(st.floats(0, 1.2), min_size=3, max_size=3), st.floats(0, 0.3))
def test_rounds_needed_lie_within_their_interval(values, reach):
    estimate, low, high = (end[0] for end in rounds_to(curve(values, reach), ROUNDS))
    assert np.isnan(estimate) or low <= estimate * (1 + 1e-12)
    assert np.isnan(high) or high >= estimate * (1 - 1e-12)
