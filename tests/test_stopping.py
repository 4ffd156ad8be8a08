"""Stopping rules: against textbook formulas, and as a choice among the prefixes of one path."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LinearRegression

from sparseact import BlockOMP, KhatriRaoDesign, block_omp, refit
from sparseact.inference import path_weights
from sparseact.simulate import draw_sets
from sparseact.stopping import (
    EBIC,
    CrossValidation,
    Log,
    NoiseTest,
    RelativeImprovement,
    ResidualNorm,
)

RULES = [
    ResidualNorm(0.5),
    RelativeImprovement(0.1),
    NoiseTest(),
    NoiseTest(0.05, noise_std=0.5),
    EBIC(),
    EBIC(0.0),
    CrossValidation(4),
    CrossValidation(4, one_standard_error=True),
]


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def signed(rng, T=120, M=15, d=2, k=3, noise=0.5):
    """A dense log of signs, its rewards and its support."""
    latents, signs = rng.standard_normal((T, d)), rng.choice([-1.0, 1.0], (T, M))
    support = rng.choice(M, k, replace=False)
    effects = np.einsum("tk,kd,td->t", signs[:, support], rng.standard_normal((k, d)), latents)
    return KhatriRaoDesign(latents, signs), effects + noise * rng.standard_normal(T), support


def naive_rss(design, y, support):
    """‖y - Ψ_S ŵ‖² for each prefix of a support."""
    psi = design.to_dense().reshape(design.n_rounds, design.n_blocks, -1)
    found = [y @ y]
    for m in range(1, len(support) + 1):
        columns = psi[:, support[:m]].reshape(design.n_rounds, -1)
        found.append(np.sum((y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]) ** 2))
    return np.array(found)


def test_p_values_are_those_of_the_f_and_the_chi_squared_test(rng):
    design, y, _ = signed(rng)
    path = block_omp(design, y, 6, selection="least_squares")
    rss, log = naive_rss(design, y, path.support), Log(design, y, "least_squares")
    T, M, d = 120, 15, 2
    for m in range(6):
        free = T - (m + 1) * d
        f = scipy.stats.f.sf((rss[m] - rss[m + 1]) / d / (rss[m + 1] / free), d, free)
        chi2 = scipy.stats.chi2.sf((rss[m] - rss[m + 1]) / 0.25, d)
        told = NoiseTest().p_values(log, path.residual_norms)[m]
        assert told == pytest.approx(min(1, f * (M - m)), rel=1e-6)
        told = NoiseTest(noise_std=0.5).p_values(log, path.residual_norms)[m]
        assert told == pytest.approx(min(1, chi2 * (M - m)), rel=1e-6)


@pytest.mark.parametrize("noise_std", [None, 0.7])
@pytest.mark.parametrize("k", [0, 2])
def test_the_noise_test_adds_nothing_false_but_with_probability_alpha(rng, noise_std, k):
    alpha, n = 0.2, 400
    more = 0
    for _ in range(n):
        design, y, support = signed(rng, T=60, M=12, k=k, noise=0.7)
        y = y + 50 * design.blocks(support) @ np.ones((k, 2)).ravel() if k else y
        rule = NoiseTest(alpha, noise_std)
        found = block_omp(design, y, selection="least_squares", stopping=rule)
        assert {*support} <= {*found.support}
        more += len(found.support) > k
    # Bonferroni's bound is nearly met where blocks are nearly independent.
    nearly = 1 - (1 - alpha / (12 - k)) ** (12 - k)
    assert scipy.stats.binomtest(more, n, alpha, alternative="greater").pvalue > 1e-3
    assert scipy.stats.binomtest(more, n, nearly).pvalue > 1e-3


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_ebic_is_its_formula(rng, gamma):
    design, y, _ = signed(rng)
    path = block_omp(design, y, 6)
    rss, T, M, d = naive_rss(design, y, path.support), 120, 15, 2
    choices = [scipy.special.comb(M, m, exact=True) for m in range(7)]
    plain = T * np.log(rss / T) + np.arange(7) * d * np.log(T) + 2 * gamma * np.log(choices)
    told = EBIC(gamma).criterion(Log(design, y, "correlation"), path.residual_norms)
    np.testing.assert_allclose(told, plain, rtol=1e-9)


def test_cross_validation_is_that_of_least_squares_on_each_fold(rng):
    design, y, _ = signed(rng)
    psi = design.to_dense().reshape(120, 15, 2)
    rule = CrossValidation(4)
    errors = rule.errors(Log(design, y, "whitened"), 5)
    for fold, held in enumerate(rule.folds(120)):
        outside, inside = np.flatnonzero(~held), np.flatnonzero(held)
        train = KhatriRaoDesign(design.latents[outside], design.activations[outside])
        support = block_omp(train, y[outside], 5, selection="whitened").support
        assert errors[fold, 0] == pytest.approx(np.mean(y[inside] ** 2))
        for m in range(1, 6):
            columns = psi[:, support[:m]].reshape(120, -1)
            model = LinearRegression(fit_intercept=False).fit(columns[outside], y[outside])
            missed = y[inside] - model.predict(columns[inside])
            assert errors[fold, m] == pytest.approx(np.mean(missed**2))


def test_one_standard_error_keeps_the_fewest_that_do_nearly_as_well(rng):
    design, y, _ = signed(rng, noise=2.0)
    log = Log(design, y, "correlation")
    norms = block_omp(design, y, 10).residual_norms
    errors = CrossValidation(6).errors(log, 10)
    mean = errors.mean(axis=0)
    least = CrossValidation(6).count(log, norms)
    kept = CrossValidation(6, one_standard_error=True).count(log, norms)
    reach = mean[least] + errors[:, least].std(ddof=1) / np.sqrt(6)
    assert mean[least] == mean.min()
    assert kept <= least
    assert mean[kept] <= reach
    assert (mean[:kept] > reach).all()


def test_residual_norm_stops_where_the_noise_begins(rng):
    design, y, support = signed(rng, T=400, noise=0.5)
    found = block_omp(design, y, stopping=ResidualNorm(0.5))
    level = 0.5 * np.sqrt(400 + 2 * np.sqrt(400 * np.log(400)))
    assert found.residual_norms[-1] <= level < found.residual_norms[-2]
    assert {*found.support} <= {*support}
    assert found.stop_reason == "residual_norm"


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    rule=st.sampled_from(RULES),
    storage=st.sampled_from(["dense", "sparse", "compiled", "ids"]),
    selection=st.sampled_from(["correlation", "whitened", "least_squares"]),
    most=st.sampled_from([None, 1, 3, 9]),
)
def test_what_is_kept_is_a_prefix_of_the_path(seed, rule, storage, selection, most):
    rng = np.random.default_rng(seed)
    T, M, k = 60, 12, int(rng.integers(0, 5))
    latents, actions = rng.standard_normal((T, 2)), draw_sets(M, 3, T, rng)
    used = np.zeros((T, M))
    np.put_along_axis(used, actions, 1.0, axis=1)
    if storage == "dense":
        design = KhatriRaoDesign(latents, used)
    elif storage == "ids":
        design = KhatriRaoDesign.from_actions(latents, actions, M, compiled=True)
    else:
        design = KhatriRaoDesign(latents, sp.csr_array(used), compiled=storage == "compiled")
    weights = rng.standard_normal((k, 2))
    y = np.einsum("tk,kd,td->t", used[:, :k], weights, latents) + 0.3 * rng.standard_normal(T)
    found = block_omp(design, y, most, selection=selection, stopping=rule)
    m = len(found.support)
    limit = min(M, T // 4) if most is None else most
    assert m <= limit
    path = block_omp(design, y, limit, selection=selection)
    assert found.support.tolist() == path.support[:m].tolist()
    np.testing.assert_allclose(found.residual_norms, path.residual_norms[: m + 1], rtol=1e-9)
    if m:
        again = block_omp(design, y, m, selection=selection)
        np.testing.assert_allclose(found.weights, again.weights, rtol=1e-7, atol=1e-9)
        assert found.rank == again.rank
    # A rule that stopped the path chose so on all of it, unless a longer path would not be taken.
    if found.stop_reason == rule.name and not isinstance(rule, EBIC | CrossValidation):
        assert rule.count(Log(design, y, selection), path.residual_norms) == m


def test_the_path_is_made_longer_until_the_answer_is_settled(rng):
    design, y, support = signed(rng, T=2000, M=60, k=20, noise=0.1)
    for rule in (NoiseTest(), EBIC(), CrossValidation(), ResidualNorm(0.1)):
        found = block_omp(design, y, stopping=rule)
        assert {*found.support} >= {*support}
        assert found.stop_reason == rule.name
    assert len(block_omp(design, y, 15, stopping=EBIC()).support) == 15
    assert block_omp(design, y, 15, stopping=EBIC()).stop_reason == "n_select"


def test_half_of_the_rounds_bound_a_rule_that_would_go_on(rng):
    design, y, _ = signed(rng, T=40, M=30, k=0)
    found = block_omp(design, y, stopping=RelativeImprovement(0.0))
    assert len(found.support) == 40 // 4
    assert found.stop_reason == "n_rounds"


def test_rewards_without_noise_are_met_and_no_more(rng):
    design, y, support = signed(rng, noise=0.0)
    for rule in (NoiseTest(), NoiseTest(noise_std=0.0), EBIC(), ResidualNorm(0.0)):
        found = block_omp(design, y, stopping=rule)
        assert {*found.support} == {*support}
    for rule in RULES:
        nothing = block_omp(design, np.zeros(120), stopping=rule)
        assert nothing.support.size == 0
        assert nothing.weights.shape == (0, 2)
        assert nothing.stop_reason == "exact_fit"


@pytest.mark.parametrize("short", [False, True])
def test_weights_along_a_path_are_those_of_refits(rng, short):
    design, y, _ = signed(rng, T=7 if short else 50, M=10)
    support = rng.permutation(10)[:5]
    along = path_weights(design, y, support)
    for m in range(6):
        expected = refit(design, y, support[:m]).weights.ravel()
        np.testing.assert_allclose(along[m, : 2 * m], expected, rtol=1e-8, atol=1e-10)
        assert not along[m, 2 * m :].any()


def test_the_estimator_takes_a_rule(rng):
    design, y, support = signed(rng, T=400)
    for X in (design, design.to_dense()):
        model = clone(BlockOMP(block_size=2, stopping=NoiseTest())).fit(X, y)
        assert {*model.support_} == {*support}
        assert model.stop_reason_ == "noise_test"
        folded = BlockOMP(block_size=2, stopping=CrossValidation(3)).fit(X, y)
        assert {*folded.support_} >= {*support}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: NoiseTest(0.0), "alpha must lie between 0 and 1"),
        (lambda: NoiseTest(noise_std=-1.0), "noise_std must be at least 0"),
        (lambda: EBIC(-0.1), "gamma must be at least 0"),
        (lambda: CrossValidation(1), "n_folds must be at least 2"),
        (lambda: RelativeImprovement(1.0), "least must be below 1"),
        (lambda: ResidualNorm(float("nan")), "noise_std must be finite"),
    ],
)
def test_a_rule_that_makes_no_sense_says_so(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_what_is_no_rule_is_refused(rng):
    design, y, _ = signed(rng)
    with pytest.raises(TypeError, match="stopping must be a StoppingRule, got str"):
        block_omp(design, y, stopping="ebic")
    with pytest.raises(ValueError, match="n_folds must be at most T=120, got 121"):
        block_omp(design, y, stopping=CrossValidation(121))


def test_folds_share_no_period_with_the_log():
    """A log in which actions take turns: each must be in all folds."""
    rng = np.random.default_rng(9)
    T, M = 1200, 60
    actions, latents = np.arange(T) % M, rng.standard_normal((T, 2))
    design = KhatriRaoDesign.from_actions(latents, actions, n_actions=M)
    weights = np.zeros((M, 2))
    weights[[3, 20, 41]] = [[3, 0], [0, 3], [2, 2]]
    rewards = design @ weights.ravel() + 0.1 * rng.standard_normal(T)
    rule = CrossValidation(5)
    for fold in rule.folds(T):
        assert len(set(actions[fold])) > 0.9 * M
    assert set(block_omp(design, rewards, stopping=rule).support.tolist()) >= {3, 20, 41}


@given(st.integers(2, 9), st.integers(1, 80), st.integers(0, 30))
def test_folds_are_even_and_those_of_a_longer_log(n_folds, n_rounds, more):
    rule = CrossValidation(n_folds)
    folds = np.array([*rule.folds(n_rounds)])
    longer = np.array([*rule.folds(n_rounds + more)])
    assert (folds.sum(axis=0) == 1).all()
    assert np.ptp(folds.sum(axis=1)) <= 1
    assert (folds == longer[:, :n_rounds]).all()
