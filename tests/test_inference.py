"""The refit: against other people's least squares, by simulation, and at its edges."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseact import KhatriRaoDesign
from sparseact.inference import decide, least_eigenvalue, oracle_error, refit

SUPPORT = [4, 1, 2]  # in no order: that of a path


def problem(seed=0, T=40, M=6, d=2, sigma=0.7):
    rng = np.random.default_rng(seed)
    design = KhatriRaoDesign(rng.standard_normal((T, d)), rng.choice([-1.0, 1.0], (T, M)))
    weights = np.zeros((M, d))
    weights[SUPPORT] = rng.standard_normal((3, d))
    rewards = design.to_dense() @ weights.ravel() + sigma * rng.standard_normal(T)
    return design, weights, rewards


def blocks_of(design, support):
    psi, d = design.to_dense(), design.block_size
    return np.hstack([psi[:, j * d : (j + 1) * d] for j in support])


def within(values, expected):
    """Whether a mean of independent draws is within four standard errors of what it should be."""
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return abs(np.mean(values) - expected) <= 4 * error


# -- weights and intervals -----------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.0, 0.7, 30.0])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_refit_is_ordinary_least_squares(d, sigma):
    design, _, rewards = problem(d=d, sigma=sigma)
    fit = refit(design, rewards, SUPPORT)
    expected = sm.OLS(rewards, blocks_of(design, SUPPORT)).fit()
    np.testing.assert_allclose(fit.weights.ravel(), expected.params, atol=1e-12 + 1e-12 * sigma)
    np.testing.assert_allclose(fit.standard_errors.ravel(), expected.bse, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(fit.noise_std**2, expected.scale, rtol=1e-10, atol=1e-25)
    assert fit.degrees_of_freedom == expected.df_resid == 40 - 3 * d
    for level in (0.5, 0.95, 0.999):
        low, high = fit.interval(level)
        ends = expected.conf_int(1 - level)
        np.testing.assert_allclose(low.ravel(), ends[:, 0], atol=1e-11 + 1e-11 * sigma)
        np.testing.assert_allclose(high.ravel(), ends[:, 1], atol=1e-11 + 1e-11 * sigma)


def test_a_refit_follows_the_order_of_its_support():
    design, _, rewards = problem()
    one, other = (refit(design, rewards, s) for s in (SUPPORT, SUPPORT[::-1]))
    np.testing.assert_allclose(one.weights, other.weights[::-1])
    np.testing.assert_allclose(one.standard_errors, other.standard_errors[::-1])


def test_badly_scaled_latents_change_neither_fit_nor_errors():
    design, _, rewards = problem()
    scales = np.array([1.0, 1e-9])
    scaled = KhatriRaoDesign(design.latents * scales, design.activations)
    one, other = (refit(where, rewards, SUPPORT) for where in (design, scaled))
    np.testing.assert_allclose(other.weights * scales, one.weights, rtol=1e-9)
    np.testing.assert_allclose(other.standard_errors * scales, one.standard_errors, rtol=1e-9)


def test_intervals_hold_the_truth_as_often_as_they_say():
    design, weights, _ = problem(T=10, sigma=0)
    rng, mean = np.random.default_rng(1), design.to_dense() @ weights.ravel()
    inside = []
    for _ in range(1500):
        fit = refit(design, mean + 0.8 * rng.standard_normal(10), SUPPORT)
        low, high = fit.interval(0.9)
        inside.append(np.mean((low <= weights[SUPPORT]) & (weights[SUPPORT] <= high)))
    # On four degrees of freedom the normal's 1.64 in place of Student's 2.13 would give 0.82.
    assert within(inside, 0.9)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 95, np.nan])
def test_levels_that_are_none_are_refused(level):
    design, _, rewards = problem()
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        refit(design, rewards, SUPPORT).interval(level)


# -- the oracle ----------------------------------------------------------------------------------


def test_the_oracles_error_is_the_mean_squared_error_with_the_support_known():
    sigma = 0.7
    design, weights, _ = problem(T=15, sigma=0)
    mean, rng = design.to_dense() @ weights.ravel(), np.random.default_rng(2)
    errors = []
    for _ in range(1500):
        fit = refit(design, mean + sigma * rng.standard_normal(15), SUPPORT)
        errors.append(np.sum((fit.weights - weights[SUPPORT]) ** 2))
    assert within(errors, oracle_error(design, SUPPORT, sigma))


def test_the_oracles_error_is_its_trace():
    design, _, _ = problem()
    own = blocks_of(design, SUPPORT)
    expected = 0.3**2 * np.trace(np.linalg.inv(own.T @ own))
    np.testing.assert_allclose(oracle_error(design, SUPPORT, 0.3), expected, rtol=1e-12)
    assert oracle_error(design, SUPPORT, 0.0) == 0


# -- conditioning --------------------------------------------------------------------------------


@pytest.mark.parametrize("support", [[0], SUPPORT, [5, 4, 3, 2, 1, 0]])
def test_the_least_eigenvalue_is_the_gram_matrices(support):
    design, _, _ = problem()
    own = blocks_of(design, support)
    expected = np.linalg.eigvalsh(own.T @ own / 40)[0]
    np.testing.assert_allclose(least_eigenvalue(design, support), expected, rtol=1e-10)


def test_the_error_blows_up_as_the_least_eigenvalue_vanishes():
    rng = np.random.default_rng(3)
    latents, activations = rng.standard_normal((60, 2)), rng.choice([-1.0, 1.0], (60, 3))
    found = []
    for scale in (1.0, 0.1, 0.01):
        design = KhatriRaoDesign(latents * [1, scale], activations)
        found.append((least_eigenvalue(design, [0, 1]), oracle_error(design, [0, 1], 1.0)))
    for (eigenvalue, error), (smaller, larger) in pairwise(found):
        np.testing.assert_allclose(smaller / eigenvalue, 0.01, rtol=0.2)
        assert larger > 20 * error
        assert error >= 1 / (60 * eigenvalue)  # the trace holds the largest of its terms


def copies(T=30):
    """A design whose actions 0 and 1 are copies, and whose action 3 was never used."""
    rng = np.random.default_rng(4)
    activations = rng.choice([-1.0, 1.0], (T, 4))
    activations[:, 1] = activations[:, 0]
    activations[:, 3] = 0
    return KhatriRaoDesign(rng.standard_normal((T, 2)), activations), rng.standard_normal(T)


@pytest.mark.parametrize(
    ("support", "n_rounds"),
    [([0, 1], None), ([2, 3], None), ([2, 0, 1], None), ([0, 2], 3), ([3], None)],
)
def test_what_is_not_identified_is_not_stated(support, n_rounds):
    design, rewards = copies()
    fit = refit(design, rewards, support, n_rounds)
    assert np.isnan(fit.standard_errors).all()
    assert np.isnan(fit.noise_std)
    assert np.isnan(fit.interval()).all()
    assert oracle_error(design, support, 1.0, n_rounds) == np.inf
    assert least_eigenvalue(design, support, n_rounds) < 1e-12
    # The smallest of all weights that fit best.
    own = blocks_of(design, support)[:n_rounds]
    expected = np.linalg.pinv(own, rcond=1e-8) @ rewards[:n_rounds]
    assert fit.weights.shape == (len(support), 2)
    np.testing.assert_allclose(fit.weights.ravel(), expected, atol=1e-10)


def test_a_fit_without_a_round_to_spare_has_weights_but_no_errors():
    design, _, rewards = problem(seed=28, T=6)
    own = blocks_of(design, SUPPORT)
    assert np.linalg.cond(own) < 1e3
    fit = refit(design, rewards, SUPPORT)
    expected = np.linalg.solve(own, rewards)
    np.testing.assert_allclose(fit.weights.ravel(), expected, rtol=1e-8)
    assert fit.degrees_of_freedom == 0
    assert np.isnan(fit.standard_errors).all()
    assert np.isnan(fit.interval()).all()
    assert np.isfinite(oracle_error(design, SUPPORT, 1.0))


def test_an_empty_support_leaves_the_rewards_as_noise():
    design, _, rewards = problem()
    fit = refit(design, rewards, [])
    assert fit.weights.shape == fit.standard_errors.shape == (0, 2)
    assert fit.degrees_of_freedom == 40
    np.testing.assert_allclose(fit.noise_std, np.sqrt(np.mean(rewards**2)))
    low, high = fit.interval()
    assert low.shape == high.shape == (0, 2)


def test_an_empty_support_leaves_nothing_to_estimate():
    design, _, _ = problem()
    assert oracle_error(design, [], 1.0) == 0
    assert least_eigenvalue(design, []) >= 0


@pytest.mark.parametrize("n_rounds", [1, 5, 6, 7, 23, 40])
def test_a_prefix_is_a_shorter_log(n_rounds):
    design, _, rewards = problem()
    shorter = KhatriRaoDesign(design.latents[:n_rounds], design.activations[:n_rounds])
    one = refit(design, rewards, SUPPORT, n_rounds)
    other = refit(shorter, rewards[:n_rounds], SUPPORT)
    np.testing.assert_allclose(one.weights, other.weights, rtol=1e-10)
    np.testing.assert_allclose(one.standard_errors, other.standard_errors, rtol=1e-10)
    assert one.degrees_of_freedom == other.degrees_of_freedom == n_rounds - 6
    for measure in (
        lambda where, n=None: oracle_error(where, SUPPORT, 0.5, n),
        lambda where, n=None: least_eigenvalue(where, SUPPORT, n),
    ):
        np.testing.assert_allclose(measure(design, n_rounds), measure(shorter), rtol=1e-10)


# -- decisions -----------------------------------------------------------------------------------


def test_decisions_are_the_best_of_the_support_or_nothing():
    weights = np.array([[1.0, 0.0], [0.0, 2.0]])
    states = np.array([[1.0, 0.1], [1.0, 0.6], [-1.0, 3.0], [-1.0, -1.0], [0.0, 0.0], [2.0, 1.0]])
    # The last but one is worth nothing whatever is done, the last is a tie.
    assert decide(weights, np.array([7, 3]), states).tolist() == [7, 3, 3, -1, -1, 7]


def test_without_a_support_nothing_is_done():
    assert decide(np.zeros((0, 2)), np.array([], dtype=int), np.ones((3, 2))).tolist() == [-1] * 3


numbers = st.floats(-5, 5, allow_subnormal=False)


@given(st.integers(0, 4), st.integers(1, 3), st.data())
@settings(max_examples=150, deadline=None)
def test_decisions_are_by_brute_force(m, d, data):
    draw = lambda n: np.array(  # noqa: E731
        data.draw(st.lists(st.lists(numbers, min_size=d, max_size=d), min_size=n, max_size=n))
    ).reshape(n, d)
    weights, states = draw(m), draw(3)
    support = np.array(data.draw(st.permutations(range(9)))[:m], dtype=int)
    for state, action in zip(states, decide(weights, support, states), strict=True):
        values = {int(j): float(w @ state) for j, w in zip(support, weights, strict=True)}
        if action == -1:
            assert max(values.values(), default=0.0) <= 1e-9
        else:
            assert values[action] > 0
            assert values[action] >= max(values.values()) - 1e-9


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 3), st.floats(0, 10))
@settings(max_examples=150, deadline=None)
def test_regret_never_exceeds_its_bound(seed, n_actions, d, error):
    # Whatever was selected and however wrong its weights: the bound is on the worst of all errors,
    # those of relevant actions left out among them.
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((n_actions, d)) * (rng.random(n_actions) < 0.7)[:, None]
    chosen = np.flatnonzero(rng.random(n_actions) < 0.6)
    estimate = np.zeros((n_actions, d))
    estimate[chosen] = truth[chosen] + error * rng.standard_normal((len(chosen), d))
    states = rng.standard_normal((30, d))
    action = decide(estimate[chosen], chosen, states)
    values = np.column_stack([states @ truth.T, np.zeros(30)])
    regret = values.max(axis=1) - values[np.arange(30), action]
    bound = 2 * np.linalg.norm(states, axis=1) * np.linalg.norm(estimate - truth, axis=1).max()
    assert (regret >= 0).all()
    assert (regret <= bound + 1e-12).all()


def test_the_bound_on_the_regret_is_reached():
    # One action overrated, the other underrated, along the same state: no smaller factor would do.
    truth, estimate = np.array([[1.0], [0.0]]), np.array([[0.5], [0.5 + 1e-12]])
    (action,) = decide(estimate, np.array([0, 1]), np.array([[1.0]]))
    assert action == 1
    regret, bound = 1.0, 2 * np.abs(estimate - truth).max()
    assert regret >= (1 - 1e-9) * bound


@given(st.integers(0, 10_000))
@settings(max_examples=100)
def test_only_rounds_that_used_an_action_tell_of_it(seed):
    # A sparse log is worked on where its actions were used, a dense one everywhere.
    rng = np.random.default_rng(seed)
    T, M, d = rng.integers(3, 60), 8, rng.integers(1, 4)
    X = rng.standard_normal((T, M)) * (rng.random((T, M)) < 0.2)
    Z, y = rng.standard_normal((T, d)), rng.standard_normal(T)
    sparse, dense = KhatriRaoDesign(Z, sp.csr_array(X)), KhatriRaoDesign(Z, X)
    support, n = rng.permutation(M)[: rng.integers(0, 4)], int(rng.integers(1, T + 1))
    ours, theirs = (refit(design, y, support, n) for design in (sparse, dense))
    assert (ours.rank, ours.degrees_of_freedom) == (theirs.rank, theirs.degrees_of_freedom)
    for name in ("weights", "standard_errors", "noise_std"):
        np.testing.assert_allclose(
            getattr(ours, name), getattr(theirs, name), rtol=1e-6, atol=1e-9, err_msg=name
        )
    for measure in (partial(oracle_error, noise_std=1.0), least_eigenvalue):
        here, everywhere = (measure(one, support, n_rounds=n) for one in (sparse, dense))
        np.testing.assert_allclose(here, everywhere, rtol=1e-6, atol=1e-12)
