"""The laws on data made by a law: each must recognise its own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseact.laws import (
    AXES,
    LAWS,
    PAPER,
    Law,
    LawFit,
    Points,
    aicc,
    fit_elasticity,
    fit_exponents,
    fit_growth,
    fit_law,
    leave_one_out,
)

every_law = pytest.mark.parametrize("name", LAWS)


def cross(n_actions=(32, 64, 256, 1024), sparsity=(2, 4, 8), latent_dim=(1, 2, 4), per_round=4):
    grid = np.meshgrid(n_actions, sparsity, latent_dim, indexing="ij")
    M, k, d = (axis.ravel().astype(float) for axis in grid)
    return Points(M, k, d, per_round / M)


def by_hand(name, p, a, c):
    log_m = np.log(p.n_actions)
    return {
        "k d log M": a * p.sparsity * p.latent_dim * log_m,
        "k (d + c log M)": a * p.sparsity * (p.latent_dim + c * log_m),
        "k log M": a * p.sparsity * log_m,
        "(d + c log M) / use rate": a * (p.latent_dim + c * log_m) / p.use_rate,
    }[name]


def noisy(name, seed):
    points = cross()
    noise = 0.1 * np.random.default_rng(seed).standard_normal(len(points))
    return points, by_hand(name, points, 3.0, 0.7) * np.exp(noise)


# -- rival laws --------------------------------------------------------------------------------


def test_the_papers_law_has_rivals():
    assert PAPER in LAWS
    assert LAWS[PAPER].has_constant is False
    assert len(LAWS) > 1


@every_law
@given(a=st.floats(1e-3, 1e3), c=st.floats(0.02, 50))
@settings(max_examples=15, deadline=None)
def test_a_law_recovers_its_constants_from_exact_data(name, a, c):
    points = cross()
    fit = fit_law(LAWS[name], points, by_hand(name, points, a, c))
    np.testing.assert_allclose(fit.scale, a, rtol=1e-3)
    np.testing.assert_allclose(fit.predict(points), by_hand(name, points, a, c), rtol=1e-3)
    assert fit.rss < 1e-6
    if LAWS[name].has_constant:
        np.testing.assert_allclose(fit.constant, c, rtol=1e-3)
    else:
        assert np.isnan(fit.constant)


@every_law
@pytest.mark.parametrize("true", LAWS)
def test_a_fit_leaves_the_least_squares(name, true):
    points, rounds = noisy(true, 1)
    fit = fit_law(LAWS[name], points, rounds)
    squares = np.sum(np.log(rounds / fit.predict(points)) ** 2)
    np.testing.assert_allclose(fit.rss, squares, rtol=1e-9)
    for scale in (0.99, 1.01):
        nudged = LawFit(fit.law, scale * fit.scale, fit.constant, fit.rss)
        assert np.sum(np.log(rounds / nudged.predict(points)) ** 2) > squares
    if fit.law.has_constant:
        for log_constant in np.linspace(-7, 7, 141):
            left = np.log(rounds / fit.law.shape(points, np.exp(log_constant)))
            assert fit.rss <= np.sum((left - left.mean()) ** 2) * (1 + 1e-6)


@every_law
def test_leave_one_out_is_zero_on_exact_data(name):
    points = cross()
    errors = leave_one_out(LAWS[name], points, by_hand(name, points, 3.0, 0.7))
    np.testing.assert_allclose(errors, 0, atol=1e-4)


@every_law
def test_leave_one_out_is_a_refit_to_the_others(name):
    points, rounds = noisy(name, 2)
    errors = leave_one_out(LAWS[name], points, rounds)
    for i in range(len(points)):
        kept = np.arange(len(points)) != i
        fit = fit_law(LAWS[name], points.take(kept), rounds[kept])
        expected = np.log(rounds[i]) - np.log(fit.predict(points)[i])
        np.testing.assert_allclose(errors[i], expected, atol=1e-9)


@every_law
def test_the_true_law_has_the_least_leave_one_out_error(name):
    total = dict.fromkeys(LAWS, 0.0)
    for seed in range(5):
        points, rounds = noisy(name, seed)
        for rival, law in LAWS.items():
            total[rival] += np.sum(leave_one_out(law, points, rounds) ** 2)
    assert min(total, key=total.get) == name


def test_points_are_taken_together():
    points = cross()
    some = points.take(np.array([3, 0]))
    assert len(some) == 2
    for name in ("n_actions", "sparsity", "latent_dim", "use_rate"):
        whole = getattr(points, name)
        assert getattr(some, name).tolist() == [whole[3], whole[0]]


def test_aicc_by_hand():
    without, with_one = (Law(lambda p, c: p.sparsity, constant) for constant in (False, True))
    # n ln(rss / n) + 2 m + 2 m (m + 1) / (n - m - 1), with m = 2 and 3
    np.testing.assert_allclose(
        aicc(LawFit(without, 1.0, np.nan, 0.5), 10), 10 * np.log(0.05) + 4 + 12 / 7
    )
    np.testing.assert_allclose(
        aicc(LawFit(with_one, 1.0, 2.0, 0.5), 10), 10 * np.log(0.05) + 6 + 24 / 6
    )


def test_aicc_needs_more_points_than_parameters():
    without, with_one = (Law(lambda p, c: p.sparsity, constant) for constant in (False, True))
    for law, least in ((without, 4), (with_one, 5)):
        assert np.isnan(aicc(LawFit(law, 1.0, 1.0, 0.5), least - 1))
        assert np.isfinite(aicc(LawFit(law, 1.0, 1.0, 0.5), least))


# -- free exponents ----------------------------------------------------------------------------


@given(st.tuples(*[st.floats(-3, 3)] * 3), st.floats(0.1, 100))
def test_exponents_are_recovered(exponents, a):
    points = cross()
    k, d, log_m = points.sparsity, points.latent_dim, np.log(points.n_actions)
    rounds = a * k ** exponents[0] * d ** exponents[1] * log_m ** exponents[2]
    found, predicted = fit_exponents(points, rounds)
    np.testing.assert_allclose(found, exponents, atol=1e-9)
    np.testing.assert_allclose(predicted, rounds, rtol=1e-9)
    assert AXES == ("sparsity", "latent_dim", "log_actions")


@pytest.mark.parametrize(
    ("held", "which"),
    [({"sparsity": (4,)}, 0), ({"latent_dim": (2,)}, 1), ({"n_actions": (64,)}, 2)],
)
def test_an_axis_not_varied_has_no_exponent(held, which):
    points = cross(**held)
    rounds = points.sparsity**1.5 * points.latent_dim**0.5 * np.log(points.n_actions) ** 2
    found, predicted = fit_exponents(points, rounds)
    expected = np.array([1.5, 0.5, 2.0])
    expected[which] = np.nan
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_allclose(predicted, rounds, rtol=1e-9)


def test_too_few_points_have_no_exponents():
    few = cross().take(np.array([0, 4, 17, 30]))
    rounds = np.array([10.0, 20.0, 35.0, 80.0])
    found, predicted = fit_exponents(few, rounds)
    assert np.isnan(found).all()
    np.testing.assert_array_equal(predicted, rounds)


def test_axes_varied_only_together_have_no_exponents():
    both = np.array([2.0, 4.0, 8.0, 16.0, 32.0])
    found, _ = fit_exponents(Points(np.full(5, 64.0), both, both, np.ones(5)), both**2)
    assert np.isnan(found).all()


# -- growth with M -----------------------------------------------------------------------------

GROWTHS = {
    "log M": (lambda p: np.log(p.n_actions), 0.0),
    "2 + log M": (lambda p: 2 + np.log(p.n_actions), 0.0),
    "M": (lambda p: p.n_actions, 1.0),
    "10 + M": (lambda p: 10 + p.n_actions, 1.0),
    "sqrt M": (lambda p: np.sqrt(p.n_actions), 0.5),
    "3 + sqrt M": (lambda p: 3 + np.sqrt(p.n_actions), 0.5),
}


@pytest.mark.parametrize("name", GROWTHS)
def test_growth_has_its_index_whatever_the_factors(name):
    shape, index = GROWTHS[name]
    points = cross()
    factors = points.sparsity**1.7 * np.exp(points.latent_dim)
    found = fit_growth(points, factors * shape(points))
    np.testing.assert_allclose(found[0], index, atol=0.01)
    smallest = shape(Points(np.array([32.0]), *3 * [np.ones(1)]))[0]
    per_step = shape(Points(np.array([32 * (1 + 1e-6)]), *3 * [np.ones(1)]))[0] - smallest
    np.testing.assert_allclose(found[1], np.log(per_step / 1e-6 / smallest), atol=0.05)


def test_growth_begins_where_it_is_told():
    points = cross()
    rounds = (2 + np.log(points.n_actions)) * points.sparsity
    cold = fit_growth(points, rounds)
    np.testing.assert_allclose(fit_growth(points, rounds, start=cold + 0.1), cold, atol=0.01)


def test_series_of_fewer_than_three_m_do_not_count_for_growth():
    long, short = cross(sparsity=(2,), latent_dim=(1,)), cross((32, 64), (4,), (1,))
    together = Points(
        *(
            np.concatenate([getattr(long, name), getattr(short, name)])
            for name in ("n_actions", "sparsity", "latent_dim", "use_rate")
        )
    )
    rounds = np.concatenate([np.log(long.n_actions), [1.0, 1e6]])
    np.testing.assert_allclose(fit_growth(together, rounds), fit_growth(long, rounds[:-2]))
    assert fit_elasticity(together, rounds) == fit_elasticity(long, rounds[:-2])


def test_fewer_than_three_m_have_no_growth():
    points = cross(n_actions=(32, 64))
    assert np.isnan(fit_growth(points, points.n_actions)).all()
    assert np.isnan(fit_elasticity(points, points.n_actions))


@given(st.floats(-2, 2))
def test_elasticity_is_the_power_of_m(power):
    points = cross()
    rounds = points.sparsity**1.7 * np.exp(points.latent_dim) * points.n_actions**power
    np.testing.assert_allclose(fit_elasticity(points, rounds), power, atol=1e-9)


def test_elasticity_is_the_common_slope_of_separate_factors():
    points, rounds = noisy("k d log M", 3)
    pairs = np.stack([points.sparsity, points.latent_dim], axis=1)
    series = (pairs[:, None] == np.unique(pairs, axis=0)).all(axis=2).astype(float)
    predictors = np.column_stack([np.log(points.n_actions), series])
    slope = np.linalg.lstsq(predictors, np.log(rounds), rcond=None)[0][0]
    np.testing.assert_allclose(fit_elasticity(points, rounds), slope, rtol=1e-9)
