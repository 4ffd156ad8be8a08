"""Recovery curves against closed formulas, known coefficients and a known truth."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from sparseact.curves import Curve, fit_curve, interpolated, interval, needed, wilson

Z = 1.959963984540054


# -- Wilson's interval -------------------------------------------------------------------------


@given(st.integers(1, 10**6), st.data())
def test_wilson_is_its_closed_formula(n, data):
    won = data.draw(st.integers(0, n))
    p = won / n
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    share, low, high = wilson(won, n)
    assert share == p
    np.testing.assert_allclose([low, high], [centre - half, centre + half], atol=1e-12)
    assert 0 <= low <= share <= high <= 1


@pytest.mark.parametrize("n", [1, 2, 10, 500])
def test_wilson_at_the_ends(n):
    share, low, high = wilson([0, n], [n, n])
    width = Z**2 / (n + Z**2)
    assert share.tolist() == [0, 1]
    assert low[0] == 0
    assert high[1] == 1
    np.testing.assert_allclose([high[0], 1 - low[1]], width, rtol=1e-9)


def test_wilson_without_trials_is_missing():
    share, low, high = wilson([0, 3, 0], [0, 4, 5])
    for values in (share, low, high):
        assert np.isnan(values).tolist() == [True, False, False]


def test_wilson_keeps_the_shape():
    won = np.arange(12).reshape(3, 4)
    assert [end.shape for end in wilson(won, 11)] == [(3, 4)] * 3


# -- the curve ---------------------------------------------------------------------------------

X = np.array([20, 25, 32, 40, 50, 64, 80, 101])


@pytest.mark.parametrize(
    ("intercept", "slope", "bend"),
    [(0.0, 3.0, 0.0), (0.5, 4.0, 1.0), (-1.0, 4.0, -1.5), (1.0, 6.0, 0.3)],
)
def test_a_fit_recovers_the_coefficients_of_expected_counts(intercept, slope, bend):
    trials = np.full(len(X), 10**6)
    centre = np.log(X).mean()
    s = np.log(X) - centre
    won = np.round(trials * expit(intercept + slope * s + bend * s**2))
    curve = fit_curve(X, won, trials)
    np.testing.assert_allclose(curve.centre, centre)
    np.testing.assert_allclose(curve.coefficients, [intercept, slope, bend], atol=2e-4)


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_fit_maximises_the_likelihood(seed):
    # Where the score, the likelihood's gradient, vanishes.
    rng = np.random.default_rng(seed)
    trials = rng.integers(1, 60, len(X))
    won = rng.binomial(trials, expit(rng.uniform(1, 6) * np.log(X / rng.uniform(30, 70))))
    curve = fit_curve(X, won, trials)
    if curve is not None:
        assert score(curve, X, won, trials) < 1e-3


def score(curve, x, won, trials):
    powers = np.vander(np.log(x) - curve.centre, 3, increasing=True)
    return np.abs(powers.T @ (won - trials * expit(powers @ curve.coefficients))).max()


@pytest.mark.parametrize(
    ("x", "won", "trials"),
    [
        ([16, 39, 40, 42, 43, 61, 96, 99], [0, 0, 0, 1, 4, 26, 28, 28], 28),
        ([13, 36, 44, 47, 51, 63, 94, 95], [0, 0, 0, 4, 9, 10, 10, 10], 10),
        ([7, 30, 38, 45, 68, 69, 85, 97], [0, 0, 0, 0, 22, 21, 22, 22], 22),
        ([18, 32, 33, 44, 56, 66, 73, 81], [0, 1, 0, 5, 5, 5, 5, 5], 5),
    ],
)
def test_a_fit_of_steep_data_does_not_diverge(x, won, trials):
    # Here plain reweighted least squares runs off to coefficients of 1e15 and says it converged.
    curve = fit_curve(x, won, np.full(len(x), trials))
    assert np.abs(curve.coefficients).max() < 100
    assert score(curve, x, np.array(won), trials) < 1e-3


def test_a_start_changes_nothing_but_the_way():
    won = np.array([1, 3, 8, 22, 31, 44, 48, 50])
    trials = np.full(len(X), 50)
    cold = fit_curve(X, won, trials)
    warm = fit_curve(X, won, trials, start=Curve(cold.centre, *np.add(cold.coefficients, 0.1)))
    np.testing.assert_allclose(warm.coefficients, cold.coefficients, atol=1e-5)


def test_places_without_trials_do_not_count():
    won = np.array([1, 3, 8, 22, 31, 44, 48, 50])
    trials = np.full(len(X), 50)
    padded = fit_curve([10, *X, 999], [0, *won, 0], [0, *trials, 0])
    assert padded == fit_curve(X, won, trials)


@pytest.mark.parametrize(
    "won",
    [
        [0, 0, 0, 0, 0, 0],
        [9, 9, 9, 9, 9, 9],
        [0, 0, 0, 9, 9, 9],  # a step between two places
        [0, 0, 0, 5, 9, 9],  # a step at one
        [0, 0, 0, 0, 0, 5],
        [5, 9, 9, 9, 9, 9],
        [9, 9, 9, 0, 0, 0],  # backwards
        [0, 0, 9, 9, 0, 0],  # which the square alone separates
        [9, 0, 0, 0, 0, 9],
    ],
)
def test_separated_data_determine_no_curve(won):
    assert fit_curve(X[:6], won, [9] * 6) is None


def test_two_places_determine_no_curve():
    assert fit_curve([10, 20], [3, 6], [9, 9]) is None
    assert fit_curve([10, 20, 30], [3, 6, 0], [9, 9, 0]) is None


# -- where it crosses --------------------------------------------------------------------------


def log_odds(curve, x):
    s = np.log(x) - curve.centre
    return curve.intercept + curve.slope * s + curve.bend * s**2


bends = st.floats(-5, 5) | st.sampled_from([0.0, 1e-300, -1e-16, 1e-12, -1e-9, 1e-6])
curves = st.builds(
    Curve,
    centre=st.floats(0, 8),
    intercept=st.floats(-4, 4),
    slope=st.floats(0.5, 20),
    bend=bends,
)
levels = st.floats(0.01, 0.99)


@given(curves, levels)
def test_crossing_inverts_the_curve_on_its_rising_branch(curve, level):
    (x,) = curve.crossing([level])
    target = logit(level) - curve.intercept
    margin = curve.slope**2 + 4 * curve.bend * target
    if margin < -1e-9:
        assert np.isnan(x)
    elif margin > 1e-6:
        np.testing.assert_allclose(log_odds(curve, x), logit(level), atol=1e-7)
        assert curve.slope + 2 * curve.bend * (np.log(x) - curve.centre) > 0


def test_crossing_is_exact_as_the_bend_vanishes():
    straight = Curve(4.0, -1.0, 3.0, 0.0).crossing([0.1, 0.5, 0.95])
    np.testing.assert_allclose(straight, np.exp(4 + (logit([0.1, 0.5, 0.95]) + 1) / 3), rtol=1e-14)
    for bend in (1e-14, -1e-14, 1e-200):
        bent = Curve(4.0, -1.0, 3.0, bend).crossing([0.1, 0.5, 0.95])
        np.testing.assert_allclose(bent, straight, rtol=1e-12)


def test_a_level_beyond_the_vertex_is_not_reached():
    curve = Curve(4.0, 0.0, 2.0, -1.0)  # its top is logit p = 1
    found = curve.crossing([0.5, expit(0.99), expit(1.01)])
    assert np.isnan(found).tolist() == [False, False, True]
    rising = Curve(4.0, 0.0, 2.0, 1.0)  # its bottom is logit p = -1
    assert np.isnan(rising.crossing([expit(-1.01), 0.5])).tolist() == [True, False]


def test_a_falling_curve_is_not_crossed():
    assert np.isnan(Curve(4.0, 0.0, -2.0, 0.0).crossing([0.2, 0.5, 0.9])).all()


@pytest.mark.parametrize("bend", [-1.0, 1.0])
def test_the_rising_branch_may_lie_beside_the_centre(bend):
    curve = Curve(4.0, 0.0, -1.0, bend)
    found = curve.crossing([expit(-0.2), expit(0.3)])
    reached = [True, bend > 0]
    assert np.isfinite(found).tolist() == reached
    np.testing.assert_allclose(log_odds(curve, found)[reached], np.array([-0.2, 0.3])[reached])
    assert (curve.slope + 2 * bend * (np.log(found) - 4.0) > 0).tolist() == reached


@given(curves)
def test_higher_levels_take_more(curve):
    found = curve.crossing(np.linspace(0.05, 0.95, 19))
    known = found[np.isfinite(found)]
    assert (np.diff(known) > 0).all()


# -- interpolation -----------------------------------------------------------------------------


def test_interpolation_is_linear_in_log_x():
    found = interpolated([10, 20, 40], [0.0, 0.5, 1.0], [0.25, 0.5, 0.75, 0.9])
    np.testing.assert_allclose(found, [10 * 2**0.5, 20, 20 * 2**0.5, 20 * 2**0.8])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=10, unique=True), levels)
def test_interpolation_of_monotone_data_is_numpys(shares, level):
    shares = np.sort(shares)
    x = np.geomspace(10, 500, len(shares))
    (found,) = interpolated(x, shares, [level])
    if shares[0] < level <= shares[-1]:
        np.testing.assert_allclose(found, np.exp(np.interp(level, shares, np.log(x))), rtol=1e-9)
    else:
        assert np.isnan(found)


def test_interpolation_pools_what_falls():
    falling = interpolated([10, 20, 40, 80], [0.0, 0.6, 0.4, 1.0], [0.25, 0.75])
    pooled = interpolated([10, 20, 40, 80], [0.0, 0.5, 0.5, 1.0], [0.25, 0.75])
    np.testing.assert_allclose(falling, pooled)


# -- percentile intervals ----------------------------------------------------------------------


def test_an_interval_is_the_middle_95_percent():
    low, high = interval(np.stack([np.arange(1001.0), 3 * np.arange(1001.0)]))
    np.testing.assert_allclose(low, [25, 75])
    np.testing.assert_allclose(high, [975, 2925])


def test_an_interval_is_missing_where_a_twentieth_is():
    replicates = np.tile(np.arange(100.0), (3, 1))
    replicates[0, :4] = np.nan
    replicates[1, :5] = np.nan
    replicates[2] = np.nan
    low, high = interval(replicates)
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [False, True, True]
    assert low[0] > 4


# -- what is needed ----------------------------------------------------------------------------

LADDER = np.round(np.geomspace(25, 180, 12)).astype(int)
MEDIAN, SPREAD = 60.0, 0.3


def nested_trials(n, rng):
    """Every trial recovers from its own number of rounds on, so its outcomes are one step."""
    thresholds = MEDIAN * np.exp(SPREAD * rng.standard_normal(n))
    won = (thresholds[:, None] <= LADDER).astype(np.int64)
    return won, np.ones_like(won)


def truth(quantiles):
    return MEDIAN * np.exp(SPREAD * scipy.stats.norm.ppf(quantiles))


def test_the_estimate_lies_within_its_interval_and_near_the_truth():
    won, tried = nested_trials(2000, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    estimate, drawn = needed(LADDER, won, tried, [0.25, 0.5, 0.9], replicates=99, rng=rng)
    low, high = interval(drawn)
    assert drawn.shape == (3, 99)
    assert (low < estimate).all()
    assert (estimate < high).all()
    np.testing.assert_allclose(estimate, truth([0.25, 0.5, 0.9]), rtol=0.05)


def test_the_same_generator_gives_the_same_replicates():
    won, tried = nested_trials(80, np.random.default_rng(2))
    runs = [
        needed(LADDER, won, tried, [0.5], replicates=20, rng=np.random.default_rng(seed))
        for seed in (3, 3, 4)
    ]
    assert runs[0][0] == runs[1][0] == runs[2][0]
    np.testing.assert_array_equal(runs[0][1], runs[1][1])
    assert (runs[0][1] != runs[2][1]).any()


def test_replicates_resample_trials_not_outcomes():
    # Rows all alike leave nothing to resample, however many outcomes they hold.
    won = np.repeat([[0, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1]], 40, axis=0)
    estimate, drawn = needed(
        LADDER, won, np.ones_like(won), [0.5], replicates=10, rng=np.random.default_rng(0)
    )
    np.testing.assert_allclose(drawn, estimate[0], rtol=1e-6)


@pytest.mark.parametrize("n", [3, 6, 30])
def test_replicates_are_what_fits_of_each_alone_find(n):
    # Of few trials some replicates are separated, or have places that nobody tried.
    won, tried = nested_trials(n, np.random.default_rng(11))
    tried[0, :4] = won[0, :4] = tried[1, 3:7] = won[1, 3:7] = 0
    tried[2:, 5] = won[2:, 5] = 0
    won[-1] = tried[-1] * ([0, 1] * 6)
    levels, size = [0.25, 0.5], 53
    _, found = needed(LADDER, won, tried, levels, replicates=size, rng=np.random.default_rng(5))
    draws = np.random.default_rng(5).multinomial(n, np.full(n, 1 / n), size=size)
    alone = [fit_curve(LADDER, one @ won, one @ tried) for one in draws]
    missing = [one is None for one in alone]
    assert any(missing) == (n < 30)
    assert not all(missing)
    for place, one in enumerate(alone):
        expected = [np.nan, np.nan] if one is None else one.crossing(levels)
        np.testing.assert_allclose(found[:, place], expected, rtol=1e-4)


def test_a_level_crossed_outside_the_range_is_missing():
    won, tried = nested_trials(400, np.random.default_rng(5))
    cut = LADDER < MEDIAN
    estimate, _ = needed(
        LADDER[cut],
        won[:, cut],
        tried[:, cut],
        [0.01, 0.1, 0.95],
        replicates=5,
        rng=np.random.default_rng(0),
    )
    assert np.isnan(estimate).tolist() == [False, False, True]
    above = LADDER > MEDIAN
    estimate, _ = needed(
        LADDER[above],
        won[:, above],
        tried[:, above],
        [0.1, 0.95],
        replicates=5,
        rng=np.random.default_rng(0),
    )
    assert np.isnan(estimate).tolist() == [True, False]


def test_without_a_curve_all_is_missing():
    won = np.zeros((30, len(LADDER)), dtype=np.int64)
    estimate, drawn = needed(
        LADDER, won, won + 1, [0.5, 0.9], replicates=7, rng=np.random.default_rng(0)
    )
    assert np.isnan(estimate).all()
    assert drawn.shape == (2, 7)
    assert np.isnan(drawn).all()


def test_bootstrap_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(6)
    quantiles = [0.5, 0.9]
    covered = np.zeros(2, dtype=int)
    for _ in range(60):
        won, tried = nested_trials(150, rng)
        _, drawn = needed(LADDER, won, tried, quantiles, replicates=100, rng=rng)
        low, high = interval(drawn)
        covered += (low <= truth(quantiles)) & (truth(quantiles) <= high)
    for count in covered:
        assert scipy.stats.binomtest(int(count), 60, 0.95).pvalue > 0.01, covered
