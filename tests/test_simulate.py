"""Scenarios and their logs: what is refused, what is reproducible, what is distributed how."""

import hashlib
import re
from dataclasses import asdict, replace
from itertools import combinations, permutations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseact import Scenario, simulate_trial
from sparseact.policy import RIDGE, draw_popular_sets
from sparseact.simulate import draw_sets, draw_states, latent_scales, simulate_trials
from sparseact.study.stages.trial import design_of

SINGLE = Scenario(design="single", n_actions=11, sparsity=3, latent_dim=2)
MULTI = Scenario(design="multi", n_actions=11, sparsity=3, latent_dim=2, actions_per_round=4)
SIGNED = Scenario(design="signed", n_actions=11, sparsity=3, latent_dim=2)
# Of p-values. The seeds are fixed; some sixty draws are tested, and none was picked to pass.
ALPHA = 1e-4

DESIGNS = [SINGLE, MULTI, SIGNED]
EQUICORRELATED = replace(SIGNED, structure="equicorrelated", strength=0.4)
TWIN = replace(SIGNED, structure="twin", strength=0.7)
AGGREGATE = replace(SIGNED, structure="aggregate", strength=1.0)
# A few of each kind; tests/test_departures.py says what each is.
DEPARTED = [
    *(replace(one, departure="student", departure_size=0.5) for one in DESIGNS),
    replace(SIGNED, departure="rademacher", departure_size=1.0),
    replace(MULTI, departure="heteroscedastic", departure_size=0.7),
    replace(SINGLE, departure="autocorrelated", departure_size=0.9),
    replace(SIGNED, departure="nonlinear", departure_size=0.8),
    replace(SIGNED, departure="bounded", departure_size=0.4),
    replace(MULTI, departure="noisy_latents", departure_size=0.6),
]
SCARCE = [replace(one, scarce_after=25) for one in (SINGLE, MULTI)]
ZIPF = [replace(one, policy="zipf", policy_level=1.5) for one in (SINGLE, MULTI)]
GREEDY = [replace(one, policy="greedy", policy_level=0.3) for one in (SINGLE, MULTI)]
LATE = replace(SIGNED, n_actions=20, arrives_after=25)
EVERY = [
    *(replace(one, weights=weights) for one in DESIGNS for weights in ("sphere", "gaussian")),
    *(EQUICORRELATED, TWIN, AGGREGATE, *SCARCE, *DEPARTED),
    *(*ZIPF, *GREEDY, replace(GREEDY[1], latent_dim=3, condition_number=9.0)),
    LATE,
    replace(SIGNED, condition_number=50.0, weights="aligned"),
    *(replace(one, tail=tail, tail_energy=0.3) for one in DESIGNS for tail in ("flat", "power")),
]

every_scenario = pytest.mark.parametrize("scenario", EVERY, ids=lambda one: one.name)
every_design = pytest.mark.parametrize("scenario", DESIGNS, ids=lambda one: one.design)


def arrays_of(log):
    return [log.latents, log.activations, log.support, log.weights, log.rewards, log.decoys]


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
        (
            {"weights": "cube"},
            r"weights must be one of \('sphere', 'gaussian', 'aligned'\), got 'cube'",
        ),
        ({"n_actions": 0}, "n_actions must be at least 1, got 0"),
        ({"sparsity": 0}, "sparsity must be at least 1, got 0"),
        ({"latent_dim": -2}, "latent_dim must be at least 1, got -2"),
        ({"condition_number": 0.5}, "condition_number must be at least 1, got 0.5"),
        ({"condition_number": np.inf}, "condition_number"),
        ({"condition_number": np.nan}, "condition_number"),
        ({"condition_number": 2.0, "latent_dim": 1}, "must be 1 where latent_dim d=1"),
        ({"structure": "tree"}, "structure must be one of"),
        ({"structure": "twin"}, "structure 'twin' goes with design 'signed' only"),
        ({"strength": 0.5}, "strength goes with a structure"),
        ({"strength": 1.5}, r"strength must lie within \[0, 1\], got 1.5"),
        ({"strength": np.nan}, "strength"),
        ({"scarce_after": -1}, "scarce_after must not be negative, got -1"),
        ({"scarce_after": 5, "actions_per_round": 11}, "rounds that leave actions out"),
        ({"scarce_after": 5, "design": "signed"}, "rounds that leave actions out"),
        ({"arrives_after": -1}, "arrives_after must not be negative, got -1"),
        ({"arrives_after": 5}, "arrives_after needs design 'signed', structure 'independent'"),
        (
            {"arrives_after": 5, "design": "signed", "sparsity": 1},
            "one of sparsity k=1 relevant ones among them, and k at least 2",
        ),
        (
            {"arrives_after": 5, "design": "signed", "n_actions": 3},
            "arrives_after needs n_actions M=3 of which a quarter can be late",
        ),
        (
            {"arrives_after": 5, "design": "signed", "n_actions": 11, "sparsity": 11},
            "arrives_after needs n_actions M=11 of which a quarter can be late",
        ),
        ({"departure": "late"}, "departure must be one of"),
        ({"departure_size": 0.5}, r"departure_size must be 0 with departure 'none' \(nothing dep"),
        ({"departure": "student"}, r"departure_size must be within \[0.001, 0.5\] with departure"),
        ({"departure": "student", "departure_size": 0.6}, "one over the degrees of freedom"),
        ({"departure": "rademacher", "departure_size": 0.5}, "must be 1 with departure 'rademach"),
        ({"departure": "heteroscedastic", "departure_size": 4.0}, r"within \[1e-06, 3\]"),
        ({"departure": "autocorrelated", "departure_size": 1.0}, r"within \[1e-06, 0.9999\]"),
        ({"departure": "nonlinear", "departure_size": -1.0}, r"within \[1e-06, 100\]"),
        ({"departure": "noisy_latents", "departure_size": np.nan}, "departure_size"),
        (
            {"departure": "nonlinear", "departure_size": 1.0, "condition_number": 2.0},
            "departure 'nonlinear' needs condition_number 1",
        ),
        ({"departure": "bounded", "departure_size": 0.3}, "'bounded' needs design 'signed'"),
        ({"policy": "thompson"}, r"policy must be one of \('uniform', 'zipf', 'greedy'\)"),
        ({"policy_level": 0.5}, "policy_level goes with a policy: zipf or greedy"),
        ({"policy_level": np.nan, "policy": "zipf"}, "policy_level"),
        ({"policy": "zipf"}, r"policy_level of zipf must lie within \(0, 3\], got 0.0"),
        ({"policy": "zipf", "policy_level": 3.1}, r"policy_level of zipf .* got 3.1"),
        ({"policy": "greedy", "policy_level": 1.1}, r"greedy must lie within \[0, 1\], got 1.1"),
        ({"policy": "greedy", "policy_level": -0.1}, r"greedy must lie within \[0, 1\], got -0.1"),
        ({"policy": "greedy", "design": "signed"}, "'greedy' goes with designs 'single' and"),
        ({"policy": "greedy", "scarce_after": 5}, "scarce_after does not go with policy 'greedy'"),
        ({"tail": "long"}, r"tail must be one of \('none', 'flat', 'power'\), got 'long'"),
        ({"tail_energy": 0.1}, "tail_energy goes with a tail: flat or power"),
        ({"tail": "flat", "tail_energy": -0.1}, "tail_energy must not be negative, got -0.1"),
        ({"tail": "flat", "tail_energy": np.nan}, "tail_energy"),
        ({"tail": "flat", "weights": "gaussian"}, "tail goes with weights of one norm"),
        ({"tail": "flat", "sparsity": 11}, "tail 'flat' needs actions that are not relevant"),
        # The largest small effect is b at τ = N/k and at τ = H/k, N = 8, H = 1 + 1/4 + … + 1/64.
        ({"tail": "flat", "tail_energy": 8 / 3}, r"1 times as large as a relevant.* below 2\.67"),
        ({"tail": "power", "tail_energy": 0.52}, r"1\.01 times as large .* below 0\.509"),
    ],
)
def test_bad_scenarios_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(MULTI, **changes)


@pytest.mark.parametrize(("structure", "n_decoys"), [("twin", 6), ("aggregate", 1)])
def test_decoys_need_room(structure, n_decoys):
    least = Scenario(
        design="signed", n_actions=6 + n_decoys, sparsity=6, latent_dim=1, structure=structure
    )
    assert least.n_decoys == n_decoys
    with pytest.raises(ValueError, match=f"6 relevant actions and {n_decoys} decoys"):
        replace(least, n_actions=5 + n_decoys)


def test_a_seeming_effect_needs_an_action():
    departed = replace(SIGNED, departure="bounded", departure_size=0.3)
    assert departed.n_decoys == 1
    with pytest.raises(ValueError, match="11 relevant actions and 1 decoys"):
        replace(departed, sparsity=11)


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
    weights=st.sampled_from(["sphere", "gaussian", "aligned"]),
)
conditioned = st.builds(
    replace, scenarios, latent_dim=st.just(2), condition_number=st.floats(1, 1e6)
)
structured = st.builds(
    Scenario,
    design=st.just("signed"),
    n_actions=st.integers(9, 12),
    sparsity=st.integers(1, 3),
    latent_dim=st.integers(1, 3),
    structure=st.sampled_from(["equicorrelated", "twin", "aggregate"]),
    strength=st.floats(0, 1),
)
scarce = st.builds(
    Scenario,
    design=st.sampled_from(["single", "multi"]),
    n_actions=st.integers(9, 12),
    sparsity=st.integers(1, 3),
    latent_dim=st.integers(1, 3),
    scarce_after=st.integers(0, 2**31),
)
late = st.builds(
    Scenario,
    design=st.just("signed"),
    n_actions=st.integers(9, 12),
    sparsity=st.integers(2, 3),
    latent_dim=st.integers(1, 3),
    arrives_after=st.integers(0, 2**31),
)
departed = st.builds(
    Scenario,
    design=st.just("signed"),
    n_actions=st.integers(9, 12),
    sparsity=st.integers(1, 3),
    latent_dim=st.integers(1, 3),
    departure=st.sampled_from(
        ["student", "heteroscedastic", "autocorrelated", "nonlinear", "bounded", "noisy_latents"]
    ),
    departure_size=st.floats(0.001, 0.5),
)
chosen = st.builds(
    Scenario,
    design=st.sampled_from(["single", "multi"]),
    n_actions=st.integers(9, 12),
    sparsity=st.integers(1, 3),
    latent_dim=st.integers(1, 3),
    actions_per_round=st.integers(1, 3),
    policy=st.sampled_from(["zipf", "greedy"]),
    policy_level=st.floats(0.01, 1),
)
scenarios |= conditioned | structured | scarce | departed | chosen
tailed = st.builds(
    replace,
    structured,
    tail=st.sampled_from(["flat", "power"]),
    tail_energy=st.floats(0, 0.4),
)
scenarios |= conditioned | structured | scarce | tailed
scenarios |= conditioned | structured | scarce | late | departed


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
    assert TWIN.name == "signed_M11_k3_d2_b1_s0.5_twin0.7"
    assert SCARCE[0].name == "single_M11_k3_d2_b1_s0.5_scarce25"
    assert ZIPF[1].name == "multi4_M11_k3_d2_b1_s0.5_zipf1.5"
    assert replace(GREEDY[0], policy_level=0).name == "single_M11_k3_d2_b1_s0.5_greedy0"
    worst = replace(AGGREGATE, weights="aligned", condition_number=50.0)
    assert worst.name == "signed_M11_k3_d2_b1_s0.5_aligned_c50_aggregate1"
    assert LATE.name == "signed_M20_k3_d2_b1_s0.5_arrives25"
    assert DEPARTED[0].name == "single_M11_k3_d2_b1_s0.5_student0.5"
    tail = replace(SIGNED, tail="power", tail_energy=0.1)
    assert tail.name == "signed_M11_k3_d2_b1_s0.5_power0.1"


def test_what_is_not_asked_for_changes_no_name():
    plain = {"condition_number": 1.0, "structure": "independent", "strength": 0.0}
    plain |= {"departure": "none", "departure_size": 0.0}
    plain |= {"tail": "none", "tail_energy": 0.0}
    for scenario in DESIGNS:
        told = replace(scenario, **plain, weights="sphere", scarce_after=0, policy_level=0.0)
        told = replace(scenario, **plain, weights="sphere", scarce_after=0, arrives_after=0)
        assert told == scenario
        assert told.name == scenario.name
        log = simulate_trial(scenario, 5, seed=0, trial=0)
        assert log.decoys.size == 0
        assert log.scarce is None
        assert log.tail is None
        assert log.newcomer is None
        assert log.late.size == 0


def test_draws_are_what_they_were():
    # Of logs as drawn before there were structures: another draw is another study.
    drawn = ("48bf29ef1a0fe455", "93345a0af555b457", "4d8be67c7cde75b0")
    for scenario, expected in zip(DESIGNS, drawn, strict=True):
        log = simulate_trial(scenario, 50, seed=20260108, trial=3)
        content = log.activations.tobytes() + log.support.astype("<i8").tobytes()
        assert hashlib.sha256(content).hexdigest()[:16] == expected, scenario.name
    states = draw_states(SIGNED, 50, seed=20260108, trial=3)
    assert hashlib.sha256(states.tobytes()).hexdigest()[:16] == "90e1cd0f2cd138a1"


# -- what is reproducible ----------------------------------------------------------------------


@every_scenario
@given(short=st.integers(1, 60), more=st.integers(1, 60), seed=st.integers(0, 2**40))
@settings(max_examples=12, deadline=None)
def test_a_longer_log_begins_with_the_shorter_one(scenario, short, more, seed):
    a = simulate_trial(scenario, short, seed=seed, trial=1)
    b = simulate_trial(scenario, short + more, seed=seed, trial=1)
    assert a.scarce == b.scarce
    for name in ("support", "weights", "decoys", "tail"):
        if getattr(a, name) is None:
            continue
    assert (a.scarce, a.newcomer) == (b.scarce, b.newcomer)
    for name in ("support", "weights", "decoys", "late"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes()
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


LINEAR = [one for one in EVERY if one.departure not in ("nonlinear", "bounded", "noisy_latents")]


@pytest.mark.parametrize("scenario", LINEAR, ids=lambda one: one.name)
def test_rewards_without_noise_are_the_dense_product(scenario):
    scenario = replace(scenario, noise_std=0.0)
    for trial in range(5):
        log = simulate_trial(scenario, 50, seed=1, trial=trial)
        weights = np.zeros((scenario.n_actions, scenario.latent_dim))
        weights += 0 if log.tail is None else log.tail
        weights[log.support] = log.weights
        design = design_of(scenario, log.latents, log.activations, log.late)
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


# -- structures --------------------------------------------------------------------------------

T = 20_000


def signs_of(scenario, n_rounds=T, trial=0):
    """Signs (T, M) of one log, and the log."""
    log = simulate_trial(scenario, n_rounds, seed=11, trial=trial)
    return design_of(scenario, log.latents, log.activations).activations, log


def assert_correlations(signs, expected):
    """Mean products of fair signs, against what they should be, within five standard errors."""
    found = signs.T @ signs / len(signs)
    reach = 5 * np.sqrt((1 - expected**2) / len(signs))
    assert (np.abs(found - expected) <= reach + 1e-12).all()
    assert (np.abs(signs.mean(axis=0)) <= 5 / np.sqrt(len(signs))).all()


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.81, 1.0])
def test_equicorrelated_actions_are_all_correlated_alike(strength):
    signs, log = signs_of(replace(EQUICORRELATED, strength=strength))
    expected = np.full((11, 11), strength)
    np.fill_diagonal(expected, 1)
    assert_correlations(signs, expected)
    assert log.decoys.size == 0


@pytest.mark.parametrize("strength", [0.0, 0.5, 0.9, 1.0])
def test_twins_follow_their_own_action_and_nothing_else(strength):
    signs, log = signs_of(replace(TWIN, strength=strength))
    assert len(log.decoys) == 3
    assert not set(log.decoys) & set(log.support)
    expected = np.eye(11)
    expected[log.support, log.decoys] = expected[log.decoys, log.support] = strength
    assert_correlations(signs, expected)


@pytest.mark.parametrize("sparsity", [1, 2, 3, 4])
def test_an_aggregate_decoy_takes_the_sign_of_the_sum(sparsity):
    signs, log = signs_of(replace(AGGREGATE, sparsity=sparsity))
    (decoy,) = log.decoys
    assert decoy not in log.support
    total, own = signs[:, log.support].sum(axis=1), signs[:, decoy]
    told = total != 0
    np.testing.assert_array_equal(own[told], np.sign(total[told]))
    assert told.all() == (sparsity % 2 == 1)
    if sparsity % 2 == 0:  # a tie is broken by a fair sign, which has nothing to do with the others
        tied = signs[~told]
        assert len(tied) > 0.3 * T
        assert abs(own[~told].mean()) <= 5 / np.sqrt(len(tied))
        with_each = tied[:, log.support].T @ own[~told] / len(tied)
        assert (np.abs(with_each) <= 5 / np.sqrt(len(tied))).all()


@pytest.mark.parametrize(("sparsity", "expected"), [(1, 1.0), (2, 0.5), (3, 0.5), (4, 0.375)])
@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0])
def test_an_aggregate_decoy_follows_each_action_as_much(sparsity, expected, strength):
    # E[s_1 sign(s_1 + … + s_k)], by hand.
    signs, log = signs_of(replace(AGGREGATE, sparsity=sparsity, strength=strength))
    correlations = np.eye(11)
    correlations[log.support, log.decoys] = correlations[log.decoys, log.support] = (
        strength * expected
    )
    assert_correlations(signs, correlations)


@pytest.mark.parametrize(
    ("condition_number", "latent_dim", "eigenvalues"),
    [(100.0, 3, [1, 0.1, 0.01]), (16.0, 2, [1, 1 / 16]), (1.0, 3, [1, 1, 1]), (1.0, 1, [1])],
)
def test_the_condition_number_gives_the_eigenvalues(condition_number, latent_dim, eigenvalues):
    scenario = replace(SIGNED, latent_dim=latent_dim, condition_number=condition_number)
    np.testing.assert_allclose(latent_scales(scenario) ** 2, eigenvalues)
    log = simulate_trial(scenario, T, seed=3, trial=0)
    assert log.latents.dtype == np.float32
    for latents in (log.latents, draw_states(scenario, T, seed=3, trial=0)):
        standard = latents / np.sqrt(eigenvalues)
        for column in standard.T:
            assert scipy.stats.kstest(column, scipy.stats.norm.cdf).pvalue > ALPHA
        gram = standard.T @ standard / T
        assert (np.abs(gram - np.eye(latent_dim)) <= 5 * np.sqrt(2 / T)).all()


def test_aligned_weights_are_all_the_same_on_the_sphere():
    scenario = replace(SIGNED, weights="aligned", signal=2.0)
    drawn = [simulate_trial(scenario, 1, seed=0, trial=trial).weights for trial in range(400)]
    for weights in drawn:
        np.testing.assert_allclose(np.linalg.norm(weights, axis=1), 2.0, rtol=1e-14)
        assert (weights == weights[0]).all()
    angles = np.arctan2(*np.array([weights[0] for weights in drawn]).T)
    uniform = scipy.stats.uniform(-np.pi, 2 * np.pi)
    assert scipy.stats.kstest(angles, uniform.cdf).pvalue > ALPHA


@pytest.mark.parametrize("scenario", SCARCE, ids=lambda one: one.design)
@pytest.mark.parametrize("after", [1, 25, 60])
def test_a_scarce_action_is_used_late_and_then_always(scenario, after):
    scenario = replace(scenario, scarce_after=after)
    for trial in range(10):
        log = simulate_trial(scenario, 60, seed=2, trial=trial)
        assert log.scarce in log.support
        used = (log.activations == log.scarce).any(axis=1)
        assert not used[:after].any()
        assert used[after:].all()
        assert (np.diff(log.activations.astype(int), axis=1) > 0).all()
        assert log.activations.shape == (60, scenario.actions_per_round)
        assert log.activations.max() < 11


def test_any_relevant_action_may_be_the_scarce_one():
    drawn = [simulate_trial(SCARCE[1], 1, seed=7, trial=trial) for trial in range(900)]
    ranks = [log.support.tolist().index(log.scarce) for log in drawn]
    assert scipy.stats.chisquare(np.bincount(ranks, minlength=3)).pvalue > ALPHA
    ids = [log.scarce for log in drawn]
    assert scipy.stats.chisquare(np.bincount(ids, minlength=11)).pvalue > ALPHA


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_actions_beside_a_scarce_one_are_uniform(size):
    scenario = Scenario(
        design="multi",
        n_actions=5,
        sparsity=2,
        latent_dim=1,
        actions_per_round=size,
        scarce_after=20_000,
    )
    log = simulate_trial(scenario, 40_000, seed=4, trial=1)
    others = sorted({*range(5)} - {log.scarce})
    for part, beside in ((log.activations[:20_000], size), (log.activations[20_000:], size - 1)):
        sets = [tuple(one for one in ids if one != log.scarce) for ids in part.tolist()]
        places = {one: i for i, one in enumerate(combinations(others, beside))}
        counts = np.bincount([places[one] for one in sets], minlength=len(places))
        assert len(counts) == 1 or scipy.stats.chisquare(counts).pvalue > ALPHA


# -- policies ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", EVERY, ids=lambda one: one.name)
def test_a_trial_is_the_same_alone_and_with_others(scenario):
    together = simulate_trials(scenario, 30, seed=5, trials=[4, 0, 9])
    for log, trial in zip(together, (4, 0, 9), strict=True):
        assert_same_bits(log, simulate_trial(scenario, 30, seed=5, trial=trial))
    assert simulate_trials(scenario, 30, seed=5, trials=[]) == []


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_popular_sets_are_drawn_one_after_another(size):
    popularity = np.array([8.0, 4.0, 2.0, 1.0])
    sets = draw_popular_sets(popularity, size, 40_000, np.random.default_rng(2))
    assert (np.diff(sets, axis=1) > 0).all()
    places = {one: i for i, one in enumerate(combinations(range(4), size))}
    expected = np.zeros(len(places))
    for path in permutations(range(4), size):
        chance, left = 1.0, popularity.sum()
        for action in path:
            chance *= popularity[action] / left
            left -= popularity[action]
        expected[places[tuple(sorted(path))]] += chance
    counts = np.bincount([places[tuple(one)] for one in sets.tolist()], minlength=len(places))
    assert size == 4 or scipy.stats.chisquare(counts, expected * len(sets)).pvalue > ALPHA


@pytest.mark.parametrize("level", [0.5, 1.0, 3.0])
def test_popularity_falls_with_a_power_of_the_rank(level):
    scenario = replace(SINGLE, policy="zipf", policy_level=level)
    ids = simulate_trial(scenario, 40_000, seed=8, trial=0).activations.ravel()
    counts = np.sort(np.bincount(ids, minlength=11))[::-1]
    shares = np.arange(1.0, 12) ** -level
    assert scipy.stats.chisquare(counts, 40_000 * shares / shares.sum()).pvalue > ALPHA


def test_what_is_popular_has_nothing_to_do_with_what_matters():
    scenario = replace(SINGLE, policy="zipf", policy_level=3.0)
    logs = simulate_trials(scenario, 20, seed=1, trials=range(1100))
    popular = [np.bincount(log.activations.ravel(), minlength=11).argmax() for log in logs]
    assert scipy.stats.chisquare(np.bincount(popular, minlength=11)).pvalue > ALPHA
    relevant = sum(one in log.support for one, log in zip(popular, logs, strict=True))
    assert scipy.stats.binomtest(relevant, 1100, 3 / 11).pvalue > ALPHA


def values_before(log, n_actions):
    """(T, M) ``⟨ŵ_j, z⟩`` by ridge regression on the rounds before, from scratch in each round."""
    latents, values = log.latents.astype(float), np.zeros((len(log.rewards), n_actions))
    for t in range(1, len(log.rewards)):
        for action in range(n_actions):
            z = latents[:t][(log.activations[:t] == action).any(axis=1)]
            r = log.rewards[:t][(log.activations[:t] == action).any(axis=1)]
            gram = z.T @ z + RIDGE * np.eye(z.shape[1])
            values[t, action] = np.linalg.solve(gram, z.T @ r) @ latents[t]
    return values


def shortfall(log, n_actions):
    """(T,) how much less the actions used look worth, in sum, than the best of as many."""
    values = values_before(log, n_actions)
    used = np.take_along_axis(values, log.activations.astype(int), axis=1).sum(axis=1)
    size = log.activations.shape[1]
    return np.sort(values, axis=1)[:, -size:].sum(axis=1) - used


@pytest.mark.parametrize("scenario", GREEDY, ids=lambda one: one.design)
@pytest.mark.parametrize("latent_dim", [1, 3])
def test_without_exploration_the_best_so_far_is_used(scenario, latent_dim):
    scenario = replace(scenario, policy_level=0.0, latent_dim=latent_dim)
    for trial in range(3):
        log = simulate_trial(scenario, 120, seed=6, trial=trial)
        assert (np.diff(log.activations.astype(int), axis=1) > 0).all()
        np.testing.assert_allclose(shortfall(log, 11), 0, atol=1e-9)


@pytest.mark.parametrize("level", [0.2, 0.7])
def test_rounds_explore_as_often_as_they_should(level):
    # Late, when no two actions look alike; one in eleven that explore uses the best all the same.
    scenario = replace(SINGLE, policy="greedy", policy_level=level)
    logs = simulate_trials(scenario, 150, seed=6, trials=range(20))
    explored = np.array([shortfall(log, 11)[50:] > 1e-9 for log in logs])
    expected = level * 10 / 11
    assert scipy.stats.binomtest(int(explored.sum()), explored.size, expected).pvalue > ALPHA


@pytest.mark.parametrize("scenario", GREEDY, ids=lambda one: one.design)
def test_a_log_that_always_explores_is_uniform(scenario):
    log = simulate_trial(replace(scenario, policy_level=1.0), 40_000, seed=3, trial=0)
    used = (log.activations[:, :, None] == np.arange(11)).any(axis=1)
    rate = scenario.use_rate
    variance = len(used) * rate * (1 - rate) * 11 / 10
    statistic = ((used.sum(axis=0) - len(used) * rate) ** 2).sum() / variance
    assert ALPHA < scipy.stats.chi2.sf(statistic, 10) < 1 - ALPHA
    for action in range(11):  # whatever the latent state
        assert scipy.stats.pearsonr(used[:, action], log.latents[:, 0]).pvalue > ALPHA


def test_equal_values_go_in_an_order_of_the_trials_own():
    scenario = replace(SINGLE, policy="greedy", policy_level=0.0)
    logs = simulate_trials(scenario, 1, seed=2, trials=range(1100))
    first = [int(log.activations[0, 0]) for log in logs]
    assert scipy.stats.chisquare(np.bincount(first, minlength=11)).pvalue > ALPHA
    relevant = sum(one in log.support for one, log in zip(first, logs, strict=True))
    assert scipy.stats.binomtest(relevant, 1100, 3 / 11).pvalue > ALPHA


def test_an_exploiting_log_earns_more_than_it_costs():
    means = [
        np.mean(
            [
                log.rewards[200:].mean()
                for log in simulate_trials(one, 600, seed=1, trials=range(20))
            ]
        )
        for one in (SINGLE, *(replace(GREEDY[0], policy_level=level) for level in (0.5, 0.1)))
    ]
    assert abs(means[0]) < 0.05
    assert means[1] > 0.2
    assert means[2] > means[1] + 0.1


# -- tails -------------------------------------------------------------------------------------

FLAT = replace(SIGNED, n_actions=40, tail="flat", tail_energy=0.5, signal=2.0)
POWER = replace(FLAT, tail="power", tail_energy=0.3)


@pytest.mark.parametrize("scenario", [FLAT, POWER], ids=lambda one: one.tail)
def test_a_tail_has_the_energy_and_the_norms_it_is_told(scenario):
    for trial in range(20):
        log = simulate_trial(scenario, 1, seed=0, trial=trial)
        assert log.tail.shape == (40, 2)
        assert not log.tail[log.support].any()
        energy = scenario.tail_energy * 3 * 2.0**2
        np.testing.assert_allclose(np.sum(log.tail**2), energy, rtol=1e-12)
        norms = np.sort(np.linalg.norm(log.tail, axis=1))[::-1][:37]
        if scenario.tail == "flat":
            np.testing.assert_allclose(norms, np.sqrt(energy / 37))
        else:
            np.testing.assert_allclose(norms, norms[0] / np.arange(1, 38))
        np.testing.assert_allclose(norms[0], 2 * scenario.largest_tail)
        # The relevant actions are those of the largest effects.
        assert norms[0] < np.linalg.norm(log.weights, axis=1).min()


def test_a_tail_points_anywhere_and_its_largest_effect_is_anyones():
    drawn = [simulate_trial(POWER, 1, seed=3, trial=trial) for trial in range(400)]
    weights = np.concatenate([log.tail[log.tail.any(axis=1)] for log in drawn])
    uniform = scipy.stats.uniform(-np.pi, 2 * np.pi)
    assert scipy.stats.kstest(np.arctan2(*weights.T), uniform.cdf).pvalue > ALPHA
    largest = [np.linalg.norm(log.tail, axis=1).argmax() for log in drawn]
    assert scipy.stats.chisquare(np.bincount(largest, minlength=40)).pvalue > ALPHA


def test_a_decoy_has_no_place_of_its_own_in_a_tail():
    scenario = replace(TWIN, tail="power", tail_energy=0.3)
    ranks = []
    for trial in range(600):
        log = simulate_trial(scenario, 1, seed=3, trial=trial)
        order = np.argsort(-np.linalg.norm(log.tail, axis=1))
        ranks += np.flatnonzero(np.isin(order, log.decoys)).tolist()
    assert scipy.stats.chisquare(np.bincount(ranks, minlength=11)[:8]).pvalue > ALPHA


def test_a_tail_is_drawn_apart_from_all_else():
    # The same name but for the tail would be the same draw: here the ingredients are compared.
    log = simulate_trial(FLAT, 4000, seed=0, trial=0)
    effect = design_of(FLAT, log.latents, log.activations).to_dense() @ log.tail.ravel()
    own = design_of(FLAT, log.latents, log.activations).blocks(log.support) @ log.weights.ravel()
    noise = log.rewards - effect - own
    assert scipy.stats.kstest(noise, scipy.stats.norm(scale=0.5).cdf).pvalue > ALPHA
    for one, other in combinations([noise, effect, own], 2):
        assert scipy.stats.pearsonr(one, other).pvalue > ALPHA
    # Its variance in a round is its energy, τ k b².
    spread = np.std(effect**2) / np.sqrt(len(effect))
    assert abs(np.mean(effect**2) - 0.5 * 3 * 4) <= 5 * spread


# -- fresh states ------------------------------------------------------------------------------


def test_fresh_states_are_in_no_log_and_reproducible():
    states = draw_states(SIGNED, 300, seed=5, trial=2)
    assert states.shape == (300, 2)
    np.testing.assert_array_equal(states, draw_states(SIGNED, 300, seed=5, trial=2))
    np.testing.assert_array_equal(states[:7], draw_states(SIGNED, 7, seed=5, trial=2))
    for other in (
        draw_states(SIGNED, 300, seed=5, trial=3),
        draw_states(SIGNED, 300, seed=6, trial=2),
        draw_states(replace(SIGNED, noise_std=1.0), 300, seed=5, trial=2),
        simulate_trial(SIGNED, 300, seed=5, trial=2).latents,
    ):
        for one, another in zip(states.T, other.T, strict=True):
            assert scipy.stats.pearsonr(one, another).pvalue > ALPHA
            assert not np.isclose(one, another, rtol=1e-6).any()


# -- late actions ------------------------------------------------------------------------------


def test_late_actions_are_a_quarter_and_one_of_them_is_relevant():
    for trial in range(20):
        log = simulate_trial(LATE, 30, seed=1, trial=trial)
        assert len(log.late) == LATE.n_late == 5
        assert (np.diff(log.late) > 0).all()
        assert np.intersect1d(log.late, log.support).tolist() == [log.newcomer]


def test_before_they_appear_late_actions_earn_nothing_and_then_what_others_do():
    silent = replace(LATE, noise_std=0.0)
    for trial in range(5):
        log = simulate_trial(silent, 60, seed=2, trial=trial)
        design = design_of(silent, log.latents, log.activations, log.late)
        assert not design.activations[:25, log.late].any()
        others = np.setdiff1d(np.arange(20), log.late)
        assert (np.abs(design.activations[:, others]) == 1).all()
        assert (np.abs(design.activations[25:]) == 1).all()
        weights = np.zeros((20, 2))
        weights[log.support] = log.weights
        np.testing.assert_allclose(design.to_dense() @ weights.ravel(), log.rewards, atol=1e-6)


def test_any_relevant_and_any_irrelevant_action_may_be_late():
    drawn = [simulate_trial(LATE, 1, seed=5, trial=t) for t in range(400)]
    ranks = [log.support.tolist().index(log.newcomer) for log in drawn]
    assert scipy.stats.chisquare(np.bincount(ranks, minlength=3)).pvalue > 1e-4
    ids = np.concatenate([np.setdiff1d(log.late, log.support) for log in drawn])
    assert scipy.stats.chisquare(np.bincount(ids, minlength=20)).pvalue > 1e-4
