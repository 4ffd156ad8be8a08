"""The design against its definition, a matrix built column by column."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import aslinearoperator, lsqr

from sparseact import KhatriRaoDesign, block_omp, block_omp_nested


def definition(latents, activations):
    blocks = [np.diag(activations[:, j]) @ latents for j in range(activations.shape[1])]
    return np.hstack(blocks)


@st.composite
def problems(draw):
    T, M, d = draw(st.integers(1, 12)), draw(st.integers(1, 6)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    activations = rng.standard_normal((T, M)) * (rng.random((T, M)) < 0.6)
    return rng.standard_normal((T, d)), activations, rng


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, sp.coo_array])
@given(problem=problems())
@settings(max_examples=40, deadline=None)
def test_every_product_agrees_with_the_dense_matrix(form, problem):
    latents, activations, rng = problem
    design = KhatriRaoDesign(latents, form(activations))
    psi = definition(latents, activations)
    T, M, d = design.n_rounds, design.n_blocks, design.block_size
    u, w = rng.standard_normal(T), rng.standard_normal(M * d)
    assert design.shape == psi.shape
    np.testing.assert_allclose(design.to_dense(), psi, atol=1e-12)
    np.testing.assert_allclose(design @ w, psi @ w, atol=1e-12)
    np.testing.assert_allclose(design.T @ u, psi.T @ u, atol=1e-12)
    np.testing.assert_allclose(design.correlate(u).ravel(), psi.T @ u, atol=1e-12)
    np.testing.assert_allclose(design.coverage, (activations**2).sum(0), atol=1e-12)
    chosen = rng.permutation(M)[: max(1, M // 2)]
    expected = np.hstack([psi[:, j * d : (j + 1) * d] for j in chosen])
    np.testing.assert_allclose(design.blocks(chosen), expected, atol=1e-12)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
@given(problem=problems())
@settings(max_examples=40, deadline=None)
def test_products_over_prefixes_agree_with_the_truncated_matrix(form, problem):
    latents, activations, rng = problem
    design = KhatriRaoDesign(latents, form(activations))
    psi = definition(latents, activations)
    T, M, d = design.n_rounds, design.n_blocks, design.block_size
    lengths = np.unique(rng.integers(1, T + 1, size=6))
    within = np.arange(T)[None, :] < lengths[:, None]
    residuals = rng.standard_normal((len(lengths), T)) * within
    rewards = rng.standard_normal(T)
    start = design.correlate_start(rewards, lengths)
    actions, found = design.correlate_prefixes(residuals, lengths, None)
    assert actions is None
    grams = design.gram_prefixes(lengths)
    for i, n in enumerate(lengths):
        np.testing.assert_allclose(start[i].ravel(), psi[:n].T @ rewards[:n], atol=1e-12)
        np.testing.assert_allclose(found[i].ravel(), psi.T @ residuals[i], atol=1e-12)
        for j in range(M):
            block = psi[:n, j * d : (j + 1) * d]
            np.testing.assert_allclose(grams[i, j], block.T @ block, atol=1e-12)


def test_a_few_rounds_concern_the_actions_used_in_them():
    rng = np.random.default_rng(1)
    activations = sp.random_array((50, 200), density=0.02, rng=rng, format="csr")
    design = KhatriRaoDesign(rng.standard_normal((50, 3)), activations)
    rows = np.array([31, 4, 17])
    residuals = np.zeros((2, 50))
    residuals[:, rows] = rng.standard_normal((2, 3))
    residuals[0, 31] = 0.0  # beyond the shorter prefix
    lengths = np.array([20, 50])
    actions, some = design.correlate_prefixes(residuals[:, rows], lengths, rows)
    assert actions.tolist() == np.unique(activations[rows].indices).tolist()
    _, full = design.correlate_prefixes(residuals, lengths, None)
    np.testing.assert_allclose(some, full[:, actions], atol=1e-14)
    assert not np.delete(full, actions, axis=1).any()


def test_what_is_handed_in_stays_as_it_is():
    unsorted = sp.csr_array((np.ones(4), np.array([3, 1, 2, 2]), np.array([0, 2, 4])), shape=(2, 5))
    design = KhatriRaoDesign(np.ones((2, 1)), unsorted)
    assert unsorted.indices.tolist() == [3, 1, 2, 2]
    assert design.activations.toarray().tolist() == [[0, 1, 0, 1, 0], [0, 0, 2, 0, 0]]


def test_rows_in_any_order():
    rng = np.random.default_rng(0)
    activations = sp.random_array((20, 5), density=0.4, rng=rng)
    design = KhatriRaoDesign(rng.standard_normal((20, 2)), activations)
    rows, blocks = rng.permutation(20), np.array([3, 1])
    expected = design.columns(blocks, None)[:, :, rows]
    np.testing.assert_array_equal(design.columns(blocks, rows), expected)
    touched = np.flatnonzero((activations.toarray()[:, blocks] != 0).any(axis=1))
    np.testing.assert_array_equal(design.touched(blocks), touched)


def test_action_ids_are_the_indicator_design():
    rng = np.random.default_rng(1)
    latents = rng.standard_normal((30, 3))
    for n_actions, per_round in ((7, 1), (50, 3), (200, 1)):  # dense and sparse inside
        ids = np.stack([rng.choice(n_actions, per_round, replace=False) for _ in range(30)])
        indicator = np.zeros((30, n_actions))
        np.put_along_axis(indicator, ids, 1, axis=1)
        design = KhatriRaoDesign.from_actions(latents, ids, n_actions)
        np.testing.assert_array_equal(design.to_dense(), definition(latents, indicator))
    flat = KhatriRaoDesign.from_actions(latents, ids[:, 0], n_actions)
    np.testing.assert_array_equal(flat.coverage, np.bincount(ids[:, 0], minlength=n_actions))


def test_it_is_a_linear_operator_for_scipy():
    rng = np.random.default_rng(2)
    design = KhatriRaoDesign(rng.standard_normal((40, 2)), rng.standard_normal((40, 4)))
    y = rng.standard_normal(40)
    expected = np.linalg.lstsq(design.to_dense(), y, rcond=None)[0]
    found = lsqr(aslinearoperator(design), y, atol=1e-14, btol=1e-14)[0]
    np.testing.assert_allclose(found, expected, atol=1e-9)


LATENTS, ACTIVATIONS = np.ones((3, 2)), np.ones((3, 4))


@pytest.mark.parametrize(
    ("latents", "activations", "message"),
    [
        (np.full((3, 2), np.nan), ACTIVATIONS, "latents must be finite"),
        (LATENTS, np.full((3, 4), np.inf), "activations must be finite"),
        (LATENTS, sp.csr_array(np.full((3, 4), np.nan)), "activations must be finite"),
        (np.ones(3), ACTIVATIONS, "latents must be two-dimensional"),
        (LATENTS, np.ones((2, 4)), "one row a round"),
        (np.ones((0, 2)), np.ones((0, 4)), "at least one round"),
        (LATENTS, np.ones((3, 0)), "at least one round"),
        ([["a"]], [[1]], "latents must be a matrix of real numbers"),
    ],
)
def test_bad_arrays_are_named(latents, activations, message):
    with pytest.raises(ValueError, match=message):
        KhatriRaoDesign(latents, activations)


@pytest.mark.parametrize(
    ("actions", "error", "message"),
    [
        ([0, 1, 4], ValueError, "between 0 and n_actions - 1 = 3, got 4"),
        ([0, -1, 2], ValueError, "got -1"),
        ([[0, 1], [2, 2], [0, 1]], ValueError, "round 1 names an action twice"),
        ([0.0, 1.0, 2.0], TypeError, "integer ids"),
        (np.zeros((3, 0), int), ValueError, "shape"),
        ([0, 1], ValueError, "one row a round"),
    ],
)
def test_bad_ids_are_named(actions, error, message):
    with pytest.raises(error, match=message):
        KhatriRaoDesign.from_actions(LATENTS, actions, 4)


def test_bad_arguments_of_products_are_named():
    design = KhatriRaoDesign(LATENTS, ACTIVATIONS)
    with pytest.raises(ValueError, match="u must have shape"):
        design.correlate(np.ones(4))
    with pytest.raises(ValueError, match="u must be finite"):
        design.correlate([1, np.nan, 1])
    with pytest.raises(IndexError, match="between 0 and 3"):
        design.blocks([4])
    with pytest.raises(IndexError, match="between 0 and 3"):
        design.blocks([-1])


# -- compiled products, and activations of single precision ------------------------------------


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (8, 4096), (61, 4099), (16, 9001)])
def test_the_compiled_product_is_blas_and_the_same_on_any_threads(single, shape):
    from threadpoolctl import threadpool_limits

    from sparseact.compiled.product import narrow_product
    from sparseact.threads import serial_blas

    rng = np.random.default_rng(2)
    left, right = rng.standard_normal((5, shape[0])), rng.standard_normal(shape)
    right = right.astype(np.float32 if single else np.float64)
    found = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads), serial_blas():
            found.append(np.full((5, shape[1]), np.nan))
            narrow_product(left, right, found[-1])
    np.testing.assert_allclose(found[0], left @ right.astype(np.float64), atol=1e-12)
    assert found[0].tobytes() == found[1].tobytes()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("selection", ["correlation", "whitened", "least_squares"])
@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_single_precision_and_compiled_products_change_no_answer(compiled, selection, seed):
    rng = np.random.default_rng(seed)
    latents, y = rng.standard_normal((700, 2)), rng.standard_normal(700)
    stored = rng.standard_normal((700, 9)).astype(np.float32)
    plain = KhatriRaoDesign(latents, stored.astype(np.float64))
    design = KhatriRaoDesign(latents, stored, compiled=compiled)
    assert design.activations.dtype == np.float32
    assert design.activations is stored or design.activations.base is stored
    one = block_omp(plain, y, 4, selection=selection)
    other = block_omp(design, y, 4, selection=selection)
    assert one.support.tolist() == other.support.tolist()
    np.testing.assert_allclose(other.weights, one.weights, atol=1e-12)
    nested = block_omp_nested(design, y, [90, 600, 700], 4, selection=selection)
    assert nested.support[2].tolist() == one.support.tolist()
    np.testing.assert_allclose(design.coverage, plain.coverage, rtol=1e-12)
    np.testing.assert_allclose(
        design.head(650).correlate(y[:650]), plain.head(650).correlate(y[:650])
    )
