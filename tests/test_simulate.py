"""Scenarios and their logs: what is refused, what is reproducible, what is distributed how."""

import re
from dataclasses import asdict, replace
from itertools import combinations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseact import Scenario, simulate_trial
from sparseact.simulate import draw_sets
from sparseact.study.recovery import design_of

SINGLE = Scenario(design="single", n_actions=11, sparsity=3, latent_dim=2)
MULTI = Scenario(design="multi", n_actions=11, sparsity=3, latent_dim=2, actions_per_round=4)
SIGNED = Scenario(design="signed", n_actions=11, sparsity=3, latent_dim=2)
# Of p-values. The seeds are fixed; some sixty draws are tested, and none was picked to pass.
ALPHA = 1e-4

DESIGNS = [SINGLE, MULTI, SIGNED]
EVERY = [replace(one, weights=weights) for one in DESIGNS for weights in ("sphere", "gaussian")]

every_scenario = pytest.mark.parametrize("scenario", EVERY, ids=lambda one: one.name)
every_design = pytest.mark.parametrize("scenario", DESIGNS, ids=lambda one: one.design)


def arrays_of(log):
    return [log.latents, log.activations, log.support, log.weights, log.rewards]


def assert_same_bits(one, other):
    for mine, yours in zip(arrays_of(one), arrays_of(other), strict=True):
        assert mine.dtype == yours.dtype
        assert mine.shape == yours.shape
        assert mine.tobytes() == yours.tobytes()


# -- scenarios ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sparsity": 12}, "sparsity k=12 must not exceed n_actions M=11"),
        ({"actions_per_round": 12}, "actions_per_round B=12 must lie between 1 and n_actions M=11"),
        ({"actions_per_round": 0}, "actions_per_round B=0"),
        ({"noise_std": -0.1}, "noise_std must not be negative, got -0.1"),
        ({"noise_std": np.nan}, "noise_std"),
        ({"noise_std": np.inf}, "noise_std"),
        ({"signal": 0.0}, "signal must be positive and finite, got 0.0"),
        ({"signal": -1.0}, "signal"),
        ({"signal": np.nan}, "signal"),
        ({"signal": np.inf}, "signal"),
        ({"design": "triple"}, r"design must be one of \('single', 'multi', 'signed'\)"),
        ({"weights": "cube"}, r"weights must be one of \('sphere', 'gaussian'\), got 'cube'"),
        ({"n_actions": 0}, "n_actions must be at least 1, got 0"),
        ({"sparsity": 0}, "sparsity must be at least 1, got 0"),
        ({"latent_dim": -2}, "latent_dim must be at least 1, got -2"),
    ],
)
def test_bad_scenarios_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(MULTI, **changes)


def test_the_bounds_themselves_are_allowed():
    assert replace(MULTI, sparsity=11, actions_per_round=11, noise_std=0.0).use_rate == 1
    assert replace(MULTI, n_actions=1, sparsity=1, latent_dim=1, actions_per_round=1).use_rate == 1


def test_actions_per_round_follow_from_single_and_signed():
    assert replace(SINGLE, actions_per_round=5) == SINGLE
    assert replace(SIGNED, actions_per_round=5) == SIGNED
    rates = [one.use_rate for one in DESIGNS]
    np.testing.assert_allclose(rates, [1 / 11, 4 / 11, 1])


def test_harder_scenarios_have_more_reference_rounds():
    for changes in ({"n_actions": 90}, {"noise_std": 2.0}, {"latent_dim": 5}, {"signal": 0.2}):
        for scenario in DESIGNS:
            assert replace(scenario, **changes).reference_rounds > scenario.reference_rounds
    for scenario in (MULTI, SIGNED):
        assert replace(scenario, sparsity=6).reference_rounds > scenario.reference_rounds


positive = st.floats(1e-6, 1e6) | st.sampled_from([1e-5, 0.1, 0.5, 1.0, 2.0])
scenarios = st.builds(
    Scenario,
    design=st.sampled_from(["single", "multi", "signed"]),
    n_actions=st.integers(9, 12) | st.just(1024),
    sparsity=st.integers(1, 3),
    latent_dim=st.integers(1, 3),
    actions_per_round=st.integers(1, 3),
    signal=positive,
    noise_std=positive | st.just(0.0),
    weights=st.sampled_from(["sphere", "gaussian"]),
)


@given(scenarios, scenarios)
def test_names_differ_where_scenarios_do(one, other):
    assert (one == other) == (one.name == other.name)


@pytest.mark.parametrize("field", ["signal", "noise_std"])
def test_names_tell_every_digit(field):
    assert replace(SIGNED, **{field: 1.0}).name != replace(SIGNED, **{field: 1.0000001}).name


@given(scenarios)
def test_names_are_file_names_and_workflow_wildcards(scenario):
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,100}", scenario.name)  # as in workflow/rules/common.smk
    assert not scenario.name.startswith(".")


def test_a_name_is_what_it_was():
    # It keys the random numbers: another name is another study.
    assert SIGNED.name == "signed_M11_k3_d2_b1_s0.5"
    assert replace(MULTI, weights="gaussian").name == "multi4_M11_k3_d2_b1_s0.5_gaussian"


# -- what is reproducible ----------------------------------------------------------------------


@every_scenario
@given(short=st.integers(1, 60), more=st.integers(1, 60), seed=st.integers(0, 2**40))
@settings(max_examples=12, deadline=None)
def test_a_longer_log_begins_with_the_shorter_one(scenario, short, more, seed):
    a = simulate_trial(scenario, short, seed=seed, trial=1)
    b = simulate_trial(scenario, short + more, seed=seed, trial=1)
    for mine, yours in ((a.support, b.support), (a.weights, b.weights)):
        assert mine.tobytes() == yours.tobytes()
    for name in ("latents", "activations", "rewards"):
        mine, yours = getattr(a, name), getattr(b, name)
        assert mine.dtype == yours.dtype
        assert len(yours) == short + more
        assert mine.tobytes() == yours[:short].tobytes()


@every_scenario
def test_the_same_key_gives_the_same_bits_in_any_order(scenario):
    forward = [simulate_trial(scenario, 40, seed=5, trial=trial) for trial in range(4)]
    copy = Scenario(**asdict(scenario))
    backward = [simulate_trial(copy, 40, seed=5, trial=trial) for trial in range(3, -1, -1)]
    for one, other in zip(forward, reversed(backward), strict=True):
        assert_same_bits(one, other)


@every_scenario
def test_another_trial_seed_or_scenario_is_another_draw(scenario):
    logs = [
        simulate_trial(scenario, 40, seed=5, trial=0),
        simulate_trial(scenario, 40, seed=5, trial=1),
        simulate_trial(scenario, 40, seed=6, trial=0),
        simulate_trial(replace(scenario, noise_std=0.25), 40, seed=5, trial=0),
        simulate_trial(replace(scenario, n_actions=12), 40, seed=5, trial=0),
    ]
    for name in ("latents", "activations", "weights", "rewards"):
        drawn = [getattr(log, name).tobytes() for log in logs]
        assert len(set(drawn)) == len(drawn), name


def test_the_ingredients_of_a_trial_are_independent_draws():
    scenario = replace(SIGNED, sparsity=1, latent_dim=1, noise_std=1.0)
    log = simulate_trial(scenario, 4000, seed=0, trial=0)
    used = design_of(scenario, log.latents, log.activations).activations_of(log.support)[:, 0]
    signal = used * log.latents[:, 0] * log.weights[0, 0]
    noise = log.rewards - signal
    for one, other in combinations([log.latents[:, 0], noise, used], 2):
        assert scipy.stats.pearsonr(one, other).pvalue > ALPHA


def test_global_random_state_neither_sways_a_trial_nor_is_swayed():
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one = simulate_trial(MULTI, 20, seed=0, trial=0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert_same_bits(one, simulate_trial(MULTI, 20, seed=0, trial=0))


@pytest.mark.parametrize(
    ("n_rounds", "key"),
    [(0, {"seed": 0, "trial": 0}), (5, {"seed": -1, "trial": 0}), (5, {"seed": 0, "trial": -1})],
)
def test_bad_keys_are_named(n_rounds, key):
    with pytest.raises(ValueError, match="n_rounds must be positive, seed and trial not negative"):
        simulate_trial(SINGLE, n_rounds, **key)


# -- activations -------------------------------------------------------------------------------


@given(st.integers(1, 40), st.data())
@settings(deadline=None)
def test_action_sets_are_distinct_in_range_and_ascending(n_actions, data):
    size = data.draw(st.integers(1, n_actions))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    sets = draw_sets(n_actions, size, 25, rng)
    assert sets.shape == (25, size)
    assert sets.min() >= 0
    assert sets.max() < n_actions
    assert (np.diff(sets, axis=1) > 0).all()


@pytest.mark.parametrize(("n_actions", "size"), [(4, 1), (5, 2), (6, 3), (6, 5), (7, 4)])
def test_every_action_set_is_equally_likely(n_actions, size):
    sets = draw_sets(n_actions, size, 40_000, np.random.default_rng(1))
    places = {one: i for i, one in enumerate(combinations(range(n_actions), size))}
    counts = np.bincount([places[tuple(one)] for one in sets.tolist()], minlength=len(places))
    assert scipy.stats.chisquare(counts).pvalue > ALPHA


@pytest.mark.parametrize("scenario", [SINGLE, MULTI], ids=lambda one: one.design)
def test_every_action_is_used_equally_often(scenario):
    ids = simulate_trial(scenario, 40_000, seed=3, trial=0).activations
    T, B = ids.shape
    M = scenario.n_actions
    counts = np.bincount(ids.ravel(), minlength=M)
    # Within a round actions exclude each other: the counts' variance is that of M - 1 of M sums.
    variance = T * (B / M) * (1 - B / M) * M / (M - 1)
    statistic = ((counts - T * B / M) ** 2).sum() / variance
    assert ALPHA < scipy.stats.chi2.sf(statistic, M - 1) < 1 - ALPHA


@pytest.mark.parametrize("n_actions", [1, 7, 8, 9, 16, 21])
def test_sign_bits_are_fair_and_take_the_least_whole_bytes(n_actions):
    scenario = Scenario(design="signed", n_actions=n_actions, sparsity=1, latent_dim=1)
    log = simulate_trial(scenario, 20_000, seed=4, trial=0)
    assert log.activations.dtype == np.uint8
    assert log.activations.shape == (20_000, (n_actions + 7) // 8)
    signs = design_of(scenario, log.latents, log.activations).activations
    assert signs.shape == (20_000, n_actions)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    sums = signs.sum(axis=0)
    assert scipy.stats.chi2.sf((sums**2).sum() / 20_000, n_actions) > ALPHA
    gram = np.triu(signs.T @ signs, 1)
    pairs = n_actions * (n_actions - 1) // 2
    assert pairs == 0 or scipy.stats.chi2.sf((gram**2).sum() / 20_000, pairs) > ALPHA


def test_the_first_action_is_the_most_significant_bit():
    scenario = replace(SIGNED, n_actions=9)
    stored = np.array([[0b10000001, 0b10000000], [0b00000010, 0]], dtype=np.uint8)
    signs = design_of(scenario, np.ones((2, 2)), stored).activations
    np.testing.assert_array_equal(
        signs, [[1, -1, -1, -1, -1, -1, -1, 1, 1], [-1, -1, -1, -1, -1, -1, 1, -1, -1]]
    )


@pytest.mark.parametrize(
    ("n_actions", "dtype"),
    [(2, np.uint8), (256, np.uint8), (257, np.uint16), (65_536, np.uint16), (65_537, np.uint32)],
)
def test_ids_take_the_smallest_unsigned_type(n_actions, dtype):
    for design in ("single", "multi"):
        scenario = Scenario(
            design=design, n_actions=n_actions, sparsity=1, latent_dim=1, actions_per_round=2
        )
        ids = simulate_trial(scenario, 3000, seed=0, trial=0).activations
        assert ids.dtype == dtype
        assert ids.max() > 0.99 * (n_actions - 1) - 1  # nothing wrapped round


# -- weights, rewards and noise ----------------------------------------------------------------


@pytest.mark.parametrize("latent_dim", [1, 2, 7])
@pytest.mark.parametrize("signal", [0.3, 1.0, 20.0])
def test_weights_on_the_sphere_have_norm_b(latent_dim, signal):
    scenario = replace(SIGNED, latent_dim=latent_dim, signal=signal)
    for trial in range(20):
        weights = simulate_trial(scenario, 1, seed=0, trial=trial).weights
        np.testing.assert_allclose(np.linalg.norm(weights, axis=1), signal, rtol=1e-14)


def test_weights_on_the_sphere_point_anywhere():
    drawn = [simulate_trial(SIGNED, 1, seed=0, trial=trial).weights for trial in range(400)]
    angles = np.arctan2(*np.concatenate(drawn).T)
    uniform = scipy.stats.uniform(-np.pi, 2 * np.pi)
    assert scipy.stats.kstest(angles, uniform.cdf).pvalue > ALPHA


@pytest.mark.parametrize("latent_dim", [1, 4])
def test_gaussian_weights_are_normal_with_mean_square_b_squared(latent_dim):
    scenario = replace(SIGNED, latent_dim=latent_dim, signal=3.0, weights="gaussian")
    weights = np.concatenate(
        [simulate_trial(scenario, 1, seed=0, trial=trial).weights for trial in range(600)]
    )
    normal = scipy.stats.norm(scale=3.0 / np.sqrt(latent_dim))
    assert scipy.stats.kstest(weights.ravel(), normal.cdf).pvalue > ALPHA
    # The mean square of n rows, over b²/d, is χ² with n·d degrees of freedom over n.
    n = weights.size
    assert ALPHA < scipy.stats.chi2.sf((weights**2).sum() * latent_dim / 9, n) < 1 - ALPHA


@every_scenario
def test_rewards_without_noise_are_the_dense_product(scenario):
    scenario = replace(scenario, noise_std=0.0)
    for trial in range(5):
        log = simulate_trial(scenario, 50, seed=1, trial=trial)
        weights = np.zeros((scenario.n_actions, scenario.latent_dim))
        weights[log.support] = log.weights
        design = design_of(scenario, log.latents, log.activations)
        np.testing.assert_allclose(log.rewards, design.to_dense() @ weights.ravel(), atol=1e-13)


@every_design
@pytest.mark.parametrize("noise_std", [0.5, 3.0])
def test_noise_is_normal_with_the_given_deviation(scenario, noise_std):
    scenario = replace(scenario, noise_std=noise_std)
    log = simulate_trial(scenario, 20_000, seed=2, trial=0)
    design = design_of(scenario, log.latents, log.activations)
    noise = log.rewards - design.blocks(log.support) @ log.weights.ravel()
    assert scipy.stats.kstest(noise, scipy.stats.norm(scale=noise_std).cdf).pvalue > ALPHA
    assert ALPHA < scipy.stats.chi2.sf((noise**2).sum() / noise_std**2, len(noise)) < 1 - ALPHA


def test_latents_are_standard_normal():
    latents = simulate_trial(SIGNED, 20_000, seed=2, trial=0).latents
    assert latents.dtype == np.float32
    assert latents.shape == (20_000, 2)
    for column in latents.T:
        assert scipy.stats.kstest(column, scipy.stats.norm.cdf).pvalue > ALPHA
    assert scipy.stats.pearsonr(*latents.T).pvalue > ALPHA


def test_the_support_is_ascending_and_uniform_over_sets_of_actions():
    scenario = Scenario(design="single", n_actions=5, sparsity=2, latent_dim=1)
    places = {one: i for i, one in enumerate(combinations(range(5), 2))}
    drawn = [simulate_trial(scenario, 1, seed=7, trial=trial).support for trial in range(2000)]
    counts = np.bincount([places[tuple(one.tolist())] for one in drawn], minlength=10)
    assert scipy.stats.chisquare(counts).pvalue > ALPHA
