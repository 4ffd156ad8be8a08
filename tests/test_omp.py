"""Block-OMP against an implementation straight from its definition, and what it must get right."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import OrthogonalMatchingPursuit
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from sparseact import BlockOMP, KhatriRaoDesign, block_omp, block_omp_nested
from sparseact.estimator import DenseBlocks

SELECTIONS = ("correlation", "whitened", "least_squares")


def by_definition(psi, d, y, k, selection):
    """One pass of the algorithm as written, on a dense matrix, with nothing shared or cached."""
    blocks = psi.reshape(len(psi), -1, d).transpose(1, 0, 2)
    support, residual = [], y.copy()
    for _ in range(k):
        scores = []
        for j, block in enumerate(blocks):
            if j in support:
                scores.append(-1.0)
            elif selection == "correlation":
                scores.append(np.linalg.norm(block.T @ residual))
            elif selection == "whitened":
                q = np.linalg.svd(block, full_matrices=False)[0][:, : np.linalg.matrix_rank(block)]
                scores.append(np.linalg.norm(q.T @ residual))
            else:
                joint = np.hstack([blocks[i] for i in [*support, j]])
                left = y - joint @ np.linalg.lstsq(joint, y, rcond=None)[0]
                scores.append(np.linalg.norm(residual) ** 2 - np.linalg.norm(left) ** 2)
        # What explains the same rounds ties, and the lowest index wins.
        support.append(int(np.argmax(np.array(scores) >= max(scores) * (1 - 1e-10))))
        joint = np.hstack([blocks[i] for i in support])
        solution = np.linalg.lstsq(joint, y, rcond=None)[0]
        residual = y - joint @ solution
    return support, solution.reshape(k, d), np.linalg.norm(residual)


def noisy_problem(seed, T=60, M=9, d=2, k=3, sparse=False, noise=0.3):
    rng = np.random.default_rng(seed)
    activations = rng.standard_normal((T, M))
    if sparse:
        activations *= rng.random((T, M)) < 0.3
    latents = rng.standard_normal((T, d))
    form = sp.csr_array if sparse else np.asarray
    design = KhatriRaoDesign(latents, form(activations))
    weights = np.zeros((M, d))
    weights[rng.permutation(M)[:k]] = rng.standard_normal((k, d))
    return design, design @ weights.ravel() + noise * rng.standard_normal(T), weights


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("selection", SELECTIONS)
@given(seed=st.integers(0, 10_000), d=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_agrees_with_the_definition(sparse, selection, seed, d):
    design, y, _ = noisy_problem(seed, d=d, sparse=sparse)
    support, weights, norm = by_definition(design.to_dense(), d, y, 3, selection)
    found = block_omp(design, y, 3, selection=selection)
    assert found.support.tolist() == support
    np.testing.assert_allclose(found.weights, weights, atol=1e-9)
    np.testing.assert_allclose(found.residual_norms[-1], norm, rtol=1e-9)
    assert found.stop_reason == "n_select"
    assert found.rank == 3 * d


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("selection", SELECTIONS)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_nested_rounds_are_separate_runs(sparse, selection, seed):
    design, y, _ = noisy_problem(seed, sparse=sparse)
    n_rounds = [7, 8, 15, 31, 32, 60]
    nested = block_omp_nested(design, y, n_rounds, 3, selection=selection)
    for i, n in enumerate(n_rounds):
        prefix = KhatriRaoDesign(design.latents[:n], design.activations[:n])
        alone = block_omp(prefix, y[:n], 3, selection=selection)
        m = len(alone.support)
        # In few rounds blocks that explain the same ones tie, and Grams of blocks all but
        # collinear there round the rule's scores by more than a tie's tolerance.
        if selection != "least_squares" or n >= 15:
            assert nested.support[i, :m].tolist() == alone.support.tolist()
        assert (nested.support[i, m:] == -1).all()
        assert nested.stop_reason[i] == alone.stop_reason
        np.testing.assert_allclose(
            nested.residual_norms[i, : m + 1], alone.residual_norms, rtol=1e-8, atol=1e-12
        )


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_with_blocks_of_one_unit_column_it_is_scikit_learns_omp(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((50, 12))
    X /= np.linalg.norm(X, axis=0)
    y = X[:, :3] @ [3.0, -2.0, 1.0] + 0.1 * rng.standard_normal(50)
    theirs = OrthogonalMatchingPursuit(n_nonzero_coefs=4, fit_intercept=False).fit(X, y)
    ours = BlockOMP(n_select=4).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-10)


@pytest.mark.parametrize("selection", SELECTIONS)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3))
@settings(max_examples=15, deadline=None)
def test_scaling_the_rewards_scales_the_answer(selection, seed, scale):
    design, y, _ = noisy_problem(seed)
    one = block_omp(design, y, 3, selection=selection)
    other = block_omp(design, scale * y, 3, selection=selection)
    assert one.support.tolist() == other.support.tolist()
    np.testing.assert_allclose(other.weights, scale * one.weights, rtol=1e-7, atol=1e-10 * scale)


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("exponent", [-1000, -600, 90])
def test_rewards_of_any_size_down_to_the_subnormal(selection, sparse, exponent):
    design, y, _ = noisy_problem(2, sparse=sparse)
    one = block_omp(design, y, 3, selection=selection)
    other = block_omp(design, np.ldexp(y, exponent), 3, selection=selection)
    assert one.support.tolist() == other.support.tolist()
    assert other.stop_reason == "n_select"
    assert (np.ldexp(other.weights, -exponent) == one.weights).all()
    assert (np.ldexp(other.residual_norms, -exponent) == one.residual_norms).all()


@pytest.mark.parametrize("sparse", [False, True])
@given(seed=st.integers(0, 10_000), d=st.integers(2, 4))
@settings(max_examples=25, deadline=None)
def test_blocks_short_of_rank_agree_with_the_definition(sparse, seed, d):
    # About three rounds an action.
    rng = np.random.default_rng(seed)
    activations = rng.standard_normal((40, 20)) * (rng.random((40, 20)) < 0.075)
    form = sp.csr_array if sparse else np.asarray
    design = KhatriRaoDesign(rng.standard_normal((40, d)), form(activations))
    y = rng.standard_normal(40)
    # A direction of hardly any energy counts for the definition, and not for the solver.
    used = np.flatnonzero(activations.any(axis=0))
    energy = [np.linalg.svd(design.blocks([j]), compute_uv=False) ** 2 for j in used]
    share = np.array([one / one.sum() for one in energy])
    assume(not ((share > 1e-15) & (share < 1e-6)).any())
    support, _, norm = by_definition(design.to_dense(), d, y, 3, "whitened")
    found = block_omp(design, y, 3, selection="whitened")
    assert found.support.tolist() == support
    np.testing.assert_allclose(found.residual_norms[-1], norm, rtol=1e-8)


@pytest.mark.parametrize("selection", ["correlation", "whitened"])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_score_that_is_higher_by_more_than_rounding_wins(selection, sparse):
    rng = np.random.default_rng(3)
    latents, once = rng.standard_normal((200, 2)), rng.standard_normal(200)
    for more, first in ((1e-8, 3), (1e-12, 1)):
        activations = np.zeros((200, 5))
        activations[:, 1] = once
        activations[:, 3] = once
        if selection == "correlation":
            activations[:, 3] *= 1 + more
        else:  # what is longer does not count, what fits the rewards does: off by an angle
            activations[:, 1] += np.sqrt(more) * rng.standard_normal(200)
        target = KhatriRaoDesign(latents, activations[:, [3]])
        form = sp.csr_array if sparse else np.asarray
        design = KhatriRaoDesign(latents, form(activations))
        found = block_omp(design, target @ np.array([1.0, -1.0]), 1, selection=selection)
        assert found.support.tolist() == [first]


@pytest.mark.parametrize("selection", ["whitened", "least_squares"])
def test_scaling_an_action_does_not_sway_the_normalised_rules(selection):
    # A past bug of peers: correlations compared between columns that are not of unit norm.
    design, y, _ = noisy_problem(3)
    scaled = KhatriRaoDesign(design.latents, design.activations * np.logspace(-3, 3, 9))
    one = block_omp(design, y, 3, selection=selection)
    other = block_omp(scaled, y, 3, selection=selection)
    assert one.support.tolist() == other.support.tolist()
    np.testing.assert_allclose(
        other.weights, one.weights / np.logspace(-3, 3, 9)[one.support, None], rtol=1e-6
    )


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("sparse", [False, True])
def test_residual_norms_never_rise_and_the_residual_is_orthogonal(selection, sparse):
    design, y, _ = noisy_problem(5, sparse=sparse)
    found = block_omp(design, y, 6, selection=selection)
    assert (np.diff(found.residual_norms) <= 1e-12).all()
    residual = y - design.blocks(found.support) @ found.weights.ravel()
    np.testing.assert_allclose(np.linalg.norm(residual), found.residual_norms[-1], rtol=1e-10)
    assert np.abs(design.blocks(found.support).T @ residual).max() < 1e-10


@pytest.mark.parametrize("selection", SELECTIONS)
def test_stopping_early_is_a_prefix_of_the_path(selection):
    design, y, _ = noisy_problem(6)
    long = block_omp(design, y, 6, selection=selection)
    short = block_omp(design, y, 2, selection=selection)
    assert short.support.tolist() == long.support[:2].tolist()


def test_the_tolerance_is_a_norm_not_its_square():
    # A past bug of peers.
    design, y, _ = noisy_problem(7)
    path = block_omp(design, y, 9).residual_norms
    tol = (path[2] + path[3]) / 2
    found = block_omp(design, y, residual_tol=tol)
    assert found.stop_reason == "residual"
    assert len(found.support) == 3
    assert found.residual_norms[-1] <= tol < found.residual_norms[-2]
    assert block_omp(design, y, 1, residual_tol=tol).stop_reason == "n_select"
    assert len(block_omp(design, y, residual_tol=2 * path[0]).support) == 0


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("sparse", [False, True])
def test_ties_go_to_the_lowest_index(selection, sparse):
    rng = np.random.default_rng(8)
    T, M = 301, 67  # no multiple of a vector width, where kernels round differently
    once = rng.standard_normal((T, 1)) * (rng.random((T, 1)) < 0.5)
    activations = np.repeat(once, M, axis=1)
    form = sp.csr_array if sparse else np.asarray
    design = KhatriRaoDesign(rng.standard_normal((T, 2)), form(activations))
    y = design @ rng.standard_normal(M * 2) + rng.standard_normal(T)
    found = block_omp(design, y, 5, selection=selection)
    assert found.support.tolist() == [0]
    assert found.stop_reason == "no_candidates"


@pytest.mark.parametrize("selection", SELECTIONS)
def test_unused_actions_are_never_selected_and_are_reported(selection):
    design, y, _ = noisy_problem(9)
    activations = design.activations.copy()
    activations[:, [0, 4]] = 0
    holed = KhatriRaoDesign(design.latents, activations)
    found = block_omp(holed, y, 9, selection=selection)
    assert found.undiscoverable.tolist() == [0, 4]
    assert not {0, 4} & set(found.support.tolist())
    assert found.stop_reason == "no_candidates"
    nothing = KhatriRaoDesign(design.latents, 0 * activations)
    assert block_omp(nothing, y, 2, selection=selection).support.size == 0


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("sparse", [False, True])
def test_more_weights_than_rounds(selection, sparse):
    design, y, _ = noisy_problem(10, T=5, M=20, d=3, sparse=sparse)
    found = block_omp(design, y, 10, selection=selection)
    assert found.stop_reason in ("exact_fit", "no_candidates")
    assert found.rank <= 5
    assert np.isfinite(found.weights).all()


@pytest.mark.parametrize("selection", SELECTIONS)
def test_a_block_used_less_often_than_its_size(selection):
    rng = np.random.default_rng(11)
    actions = np.array([0] * 2 + [1] * 40 + [2] * 40)  # action 0 twice, d = 3
    design = KhatriRaoDesign.from_actions(rng.standard_normal((82, 3)), actions, 3)
    y = design @ np.array([50.0, 50.0, 50.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    found = block_omp(design, y + 1e-3 * rng.standard_normal(82), 2, selection=selection)
    assert sorted(found.support.tolist()) == [0, 1]
    assert found.rank == 5
    position = found.support.tolist().index(0)
    block = design.blocks([0])
    smallest = np.linalg.pinv(block) @ (y - design.blocks([1]) @ np.array([1.0, 0, 0]))
    np.testing.assert_allclose(found.weights[position], smallest, atol=0.05)


def test_noiseless_recovery_stops_at_the_exact_fit():
    design, y, weights = noisy_problem(12, T=200, noise=0.0)
    found = block_omp(design, y, 9)
    assert found.stop_reason == "exact_fit"
    assert sorted(found.support.tolist()) == np.flatnonzero(weights.any(axis=1)).tolist()
    np.testing.assert_allclose(found.weights, weights[found.support], atol=1e-12)
    assert block_omp(design, 0 * y, 3).stop_reason == "exact_fit"


@pytest.mark.parametrize("selection", SELECTIONS)
def test_orthogonal_blocks_reduce_to_separate_regressions(selection):
    # One action a round: what a block explains does not depend on the others.
    rng = np.random.default_rng(13)
    actions = rng.integers(0, 6, 300)
    design = KhatriRaoDesign.from_actions(rng.standard_normal((300, 2)), actions, 6)
    y = design @ rng.standard_normal(12) + rng.standard_normal(300)
    found = block_omp(design, y, 6, selection=selection)
    for j, w in zip(found.support, found.weights, strict=True):
        rows = actions == j
        alone = np.linalg.lstsq(design.latents[rows], y[rows], rcond=None)[0]
        np.testing.assert_allclose(w, alone, atol=1e-10)


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_the_same_bits_with_any_number_of_threads(selection, form, compiled):
    # Large enough for BLAS to use threads, and no multiple of what it cuts.
    rng = np.random.default_rng(15)
    T, M, d, k = 1501, 2503, 4, 6
    X = rng.standard_normal((T, M))
    if form == "sparse":
        X = sp.csr_array(X * (rng.random((T, M)) < 0.1))
    design = KhatriRaoDesign(rng.standard_normal((T, d)), X, compiled=compiled)
    y = design.blocks(rng.permutation(M)[:k]).sum(axis=1) + rng.standard_normal(T)
    found = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            found.append(block_omp(design, y, k, selection=selection))
    assert found[0].support.tolist() == found[1].support.tolist()
    assert found[0].weights.tobytes() == found[1].weights.tobytes()
    assert found[0].residual_norms.tobytes() == found[1].residual_norms.tobytes()


def test_ill_conditioned_latents_keep_their_digits():
    rng = np.random.default_rng(14)
    latents = rng.standard_normal((400, 2)) @ np.array([[1.0, 1.0], [0.0, 1e-4]])
    design = KhatriRaoDesign(latents, rng.choice([-1.0, 1.0], (400, 10)))
    weights = np.zeros(20)
    weights[4:6] = [1.0, -2.0]
    found = block_omp(design, design @ weights, 1)
    assert found.support.tolist() == [2]
    # The normal equations would lose eight digits of sixteen, and four of these.
    np.testing.assert_allclose(found.weights[0], [1.0, -2.0], rtol=1e-10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_select": 0}, "n_select must lie between 1 and 9"),
        ({"n_select": 10}, "n_select must lie between 1 and 9"),
        ({}, "nothing says when to stop: give n_select, residual_tol or a stopping rule"),
        ({"residual_tol": -1.0}, "residual_tol"),
        ({"residual_tol": np.nan}, "residual_tol"),
        ({"n_select": 2, "selection": "magic"}, "selection must be one of"),
    ],
)
def test_bad_parameters_are_named(arguments, message):
    design, y, _ = noisy_problem(15)
    with pytest.raises(ValueError, match=message):
        block_omp(design, y, **arguments)


def test_bad_rewards_and_rounds_are_named():
    design, y, _ = noisy_problem(16)
    with pytest.raises(ValueError, match=r"rewards must have shape \(60,\)"):
        block_omp(design, y[:-1], 2)
    with pytest.raises(ValueError, match="rewards must be finite"):
        block_omp(design, np.where(np.arange(60) == 3, np.nan, y), 2)
    for n_rounds in ([], [0, 5], [5, 5], [9, 5], [61]):
        with pytest.raises(ValueError, match="strictly ascending"):
            block_omp_nested(design, y, n_rounds, 2)


# -- the estimator -----------------------------------------------------------------------------


@parametrize_with_checks([BlockOMP(), BlockOMP(selection="least_squares", residual_tol=1e-3)])
def test_scikit_learn_estimator_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_a_matrix_and_a_design_give_the_same(selection):
    design, y, _ = noisy_problem(17)
    of_design = BlockOMP(3, selection=selection).fit(design, y)
    of_matrix = BlockOMP(3, block_size=2, selection=selection).fit(design.to_dense(), y)
    assert of_design.support_.tolist() == of_matrix.support_.tolist()
    np.testing.assert_allclose(of_design.coef_, of_matrix.coef_, atol=1e-10)
    np.testing.assert_allclose(of_design.predict(design), of_matrix.predict(design.to_dense()))
    with pytest.raises(ValueError, match="was fitted on"):
        of_design.predict(KhatriRaoDesign(design.latents, design.activations[:, :4]))


def test_a_block_size_that_does_not_divide_is_named():
    with pytest.raises(ValueError, match="block_size=3 does not divide the 4 features"):
        BlockOMP(1, block_size=3).fit(np.eye(4), np.ones(4))


def test_dense_blocks_keep_the_block_design_contract():
    rng = np.random.default_rng(18)
    matrix = rng.standard_normal((20, 6))
    blocks = DenseBlocks(matrix, 2)
    lengths = np.array([4, 20])
    start = blocks.correlate_start(matrix[:, 0], lengths)
    np.testing.assert_allclose(start[0].ravel(), matrix[:4].T @ matrix[:4, 0])
    np.testing.assert_allclose(start[1].ravel(), matrix.T @ matrix[:, 0])
    assert blocks.unused.tolist() == []
