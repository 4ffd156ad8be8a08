"""A log in parts: the answer of the whole log, however it is cut and whoever works on it."""

import itertools
import logging
import math

import numpy as np
import pytest
import scipy.sparse as sp
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseact import KhatriRaoDesign, block_omp, block_omp_in_parts
from sparseact.sources import dataset_parts

SELECTIONS = ("correlation", "whitened", "least_squares")


def log_of(seed, T=90, M=12, d=2, k=3, share=None, noise=0.3):
    """Latents, activations (dense, or sparse for a share in use) and rewards."""
    rng = np.random.default_rng(seed)
    latents, X = rng.standard_normal((T, d)), rng.standard_normal((T, M))
    if share is not None:
        X = sp.csr_array(X * (rng.random((T, M)) < share))
    weights = np.zeros((M, d))
    weights[rng.permutation(M)[:k]] = rng.standard_normal((k, d))
    design = KhatriRaoDesign(latents, X)
    return latents, X, design @ weights.ravel() + noise * rng.standard_normal(T)


def cut(log, cuts):
    ends = [0, *sorted(cuts), len(log[2])]
    return [tuple(one[a:b] for one in log) for a, b in itertools.pairwise(ends) if b > a]


def assert_same(found, whole, scale=1.0):
    assert found.support.tolist() == whole.support.tolist()
    assert (found.stop_reason, found.rank) == (whole.stop_reason, whole.rank)
    assert found.undiscoverable.tolist() == whole.undiscoverable.tolist()
    np.testing.assert_allclose(found.weights, whole.weights, rtol=1e-9, atol=1e-10 * scale)
    np.testing.assert_allclose(
        found.residual_norms, whole.residual_norms, rtol=1e-9, atol=1e-13 * whole.residual_norms[0]
    )


@pytest.mark.parametrize("share", [None, 0.02, 0.3])
@pytest.mark.parametrize("selection", SELECTIONS)
@given(seed=st.integers(0, 10_000), cuts=st.sets(st.integers(1, 89), max_size=5))
@settings(max_examples=15, deadline=None)
def test_the_answer_of_the_whole_log(share, selection, seed, cuts):
    M = 12 if share != 0.02 else 150
    log = log_of(seed, M=M, share=share)
    design = KhatriRaoDesign(*log[:2])
    # Of the least-squares rule, scores of blocks with a round or two are equal to rounding.
    k = 3 if selection == "correlation" or share != 0.02 else 1
    whole = block_omp(design, log[2], k, selection=selection)
    assert_same(block_omp_in_parts(cut(log, cuts), k, selection=selection), whole)


def test_parts_of_action_ids():
    rng = np.random.default_rng(0)
    ids = np.argsort(rng.random((400, 60)), axis=1)[:, :3]
    latents, y = rng.standard_normal((400, 3)), rng.standard_normal(400)
    whole = block_omp(KhatriRaoDesign.from_actions(latents, ids, 60), y, 20)
    parts = cut((latents, ids, y), [100, 250])
    assert_same(block_omp_in_parts(parts, 20, n_actions=60), whole)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_copies_unused_actions_and_short_blocks(selection):
    latents, X, _ = log_of(1, T=60, M=10, d=3)
    X[:, 4] = X[:, 2]  # a copy
    X[:, 5] = 0  # never used
    X[:, 6] = 0
    X[[3, 40], 6] = 5.0  # in fewer rounds than dimensions
    y = X[:, 2] * latents[:, 0] + 3 * X[:, 6] * latents[:, 1] + 0.5 * X[:, 8] * latents[:, 2]
    y += 0.1 * np.random.default_rng(2).standard_normal(60)
    whole = block_omp(KhatriRaoDesign(latents, X), y, 9, selection=selection)
    assert 6 in whole.support
    assert whole.stop_reason == "no_candidates"
    assert_same(block_omp_in_parts(cut((latents, X, y), [20, 41]), 9, selection=selection), whole)


def test_an_exact_fit_is_seen_to_working_precision():
    latents, X, y = log_of(3, T=200, noise=0.0)
    found = block_omp_in_parts(cut((latents, X, y), [70]), 9)
    assert found.stop_reason == "exact_fit"
    assert_same(found, block_omp(KhatriRaoDesign(latents, X), y, 9))


def test_a_tolerance_stops_it():
    latents, X, y = log_of(4)
    norms = block_omp(KhatriRaoDesign(latents, X), y, 6).residual_norms
    found = block_omp_in_parts(cut((latents, X, y), [31]), residual_tol=(norms[1] + norms[2]) / 2)
    assert (len(found.support), found.stop_reason) == (2, "residual")


@pytest.mark.parametrize("scale", [1e-25, 1e-3, 1e25])
def test_units_do_not_matter(scale):
    latents, X, y = log_of(5)
    one = block_omp_in_parts(cut((latents, X, y), [50]), 4, selection="whitened")
    other = block_omp_in_parts(cut((latents, X, scale * y), [50]), 4, selection="whitened")
    assert one.support.tolist() == other.support.tolist()
    np.testing.assert_allclose(other.weights, scale * one.weights, rtol=1e-9)


def test_sweeps_are_few_and_told(caplog):
    latents, X, y = log_of(6, M=40, T=300)
    asked = []

    def part():
        asked.append(1)
        return latents, X, y

    with caplog.at_level(logging.INFO, "sparseact"):
        block_omp_in_parts([part], 20)
    assert 2 <= len(asked) <= math.ceil(20 / 16) + 3
    assert len(caplog.records) == len(asked)
    assert caplog.records[0].getMessage() == "sweep 1: 300 rounds, 40 actions"


def test_bad_parts_are_named():
    latents, X, y = log_of(7)
    good, bad = (latents, X, y), (latents, X, y[:-1])
    with pytest.raises(ValueError, match=r"part 1: rewards must have shape \(90,\)"):
        block_omp_in_parts([good, bad], 2)
    with pytest.raises(ValueError, match=r"part 1 has \(11, 2\) actions and latent dimensions"):
        block_omp_in_parts([good, (latents, X[:, :-1], y)], 2)
    with pytest.raises(ValueError, match="at least one part"):
        block_omp_in_parts([], 2)
    with pytest.raises(ValueError, match="n_select must lie between 1 and 12"):
        block_omp_in_parts([good], 13)
    with pytest.raises(TypeError, match="part 0: actions must be integer ids"):
        block_omp_in_parts([good], 2, n_actions=12)


def test_rounds_of_a_netcdf_file(tmp_path):
    latents, X, y = log_of(9)
    variables = {
        "reward": ("round", y),
        "activation": (("round", "action"), X),
        "latent": (("round", "dimension"), latents),
    }
    xr.Dataset(variables).to_netcdf(tmp_path / "log.nc")
    with xr.open_dataset(tmp_path / "log.nc") as dataset:
        parts = dataset_parts(dataset, 40)
        assert len(parts) == 3
        assert_same(block_omp_in_parts(parts, 3), block_omp(KhatriRaoDesign(latents, X), y, 3))
        with pytest.raises(ValueError, match="the dataset has no 'z'"):
            dataset_parts(dataset, 40, latents="z")
        with pytest.raises(ValueError, match="must have 'time' as its first dimension"):
            dataset_parts(dataset, 40, dim="time")
