"""Departures: that each is what it says, and that what theory says of it is so in the logs."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from sparseact import Scenario, simulate_trial
from sparseact.departures import across, limit_error, score_variance, student_scale
from sparseact.inference import refit
from sparseact.study.stages.trial import design_of

IDEAL = Scenario(design="signed", n_actions=9, sparsity=3, latent_dim=2, noise_std=2.0)
T = 20_000
ALPHA = 1e-4  # of p-values; the seeds are fixed and none was picked to pass


def departed(departure, size, **changes):
    return replace(IDEAL, departure=departure, departure_size=size, **changes)


def drawn(scenario, n_rounds=T, trial=0):
    """A log, its design, and what its rewards hold besides linear effects of what is logged."""
    log = simulate_trial(scenario, n_rounds, seed=6, trial=trial)
    design = design_of(scenario, log.latents, log.activations)
    return log, design, log.rewards - design.blocks(log.support) @ log.weights.ravel()


# -- noise -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("nu", [2.0, 2.5, 4.0, 1000.0])
def test_student_noise_has_the_quartiles_of_the_ideal(nu):
    scale = student_scale(nu)
    quartiles = scipy.stats.t.ppf([0.25, 0.75], nu) * scale
    np.testing.assert_allclose(quartiles, scipy.stats.norm.ppf([0.25, 0.75]), rtol=1e-9)
    _, _, noise = drawn(departed("student", 1 / nu))
    assert scipy.stats.kstest(noise / (2 * scale), scipy.stats.t(nu).cdf).pvalue > ALPHA


def test_rademacher_noise_takes_two_values():
    _, _, noise = drawn(departed("rademacher", 1.0))
    np.testing.assert_allclose(np.abs(noise), 2.0, rtol=1e-12)
    assert scipy.stats.binomtest(int((noise > 0).sum()), T).pvalue > ALPHA


@pytest.mark.parametrize("size", [0.3, 1.0])
def test_heteroscedastic_noise_is_normal_given_the_state(size):
    log, _, noise = drawn(departed("heteroscedastic", size))
    deviation = 2 * np.exp(size * log.latents[:, 0].astype(float) - size**2)
    assert scipy.stats.kstest(noise / deviation, scipy.stats.norm.cdf).pvalue > ALPHA


@pytest.mark.parametrize("size", [0.1, 0.5, 1.0])
def test_heteroscedastic_noise_keeps_its_mean_square(size):
    square, _ = scipy.integrate.quad(
        lambda z: np.exp(2 * (size * z - size**2)) * scipy.stats.norm.pdf(z), -12, 12
    )
    np.testing.assert_allclose(square, 1, rtol=1e-9)


# -- latent states ---------------------------------------------------------------------------------


@pytest.mark.parametrize("phi", [0.3, 0.8, 0.99])
def test_autocorrelated_states_are_a_stationary_process(phi):
    scenario = departed("autocorrelated", phi)
    latents = drawn(scenario)[0].latents.astype(float)
    innovations = (latents[1:] - phi * latents[:-1]) / np.sqrt(1 - phi**2)
    for column in innovations.T:
        assert scipy.stats.kstest(column, scipy.stats.norm.cdf).pvalue > ALPHA
    assert scipy.stats.pearsonr(*innovations.T).pvalue > ALPHA
    for late in (0, 40):  # of unit variance from the first round on
        states = [drawn(scenario, late + 1, trial)[0].latents[late] for trial in range(400)]
        assert scipy.stats.kstest(np.ravel(states), scipy.stats.norm.cdf).pvalue > ALPHA


def test_logged_states_are_noisy_and_rewards_are_not():
    scenario = departed("noisy_latents", 0.5, noise_std=0.0, sparsity=1, latent_dim=1)
    log, design, _ = drawn(scenario)
    used = design.activations_of(log.support)[:, 0]
    states = log.rewards * used / log.weights[0, 0]  # what the rewards were made from
    errors = (log.latents[:, 0] - states) / 0.5
    for one in (states, errors):
        assert scipy.stats.kstest(one, scipy.stats.norm.cdf).pvalue > ALPHA
    assert scipy.stats.pearsonr(states, errors).pvalue > ALPHA


# -- rewards ---------------------------------------------------------------------------------------


def test_non_linear_effects_are_smooth_centred_and_no_linear_ones():
    scenario = departed("nonlinear", 0.7, noise_std=0.0, signal=3.0)
    log, design, effect = drawn(scenario)
    used, latents = design.activations_of(log.support), log.latents.astype(float)
    along = latents @ (log.weights / 3.0).T
    expected = (used * (along**2 - 1) / np.sqrt(2)).sum(axis=1) * 0.7 * 3
    np.testing.assert_allclose(effect, expected, atol=1e-12)
    # Each action's has mean 0, deviation size·b, and no correlation with the states.
    curved = (along[:, 0] ** 2 - 1) / np.sqrt(2)
    assert abs(curved.mean()) < 5 / np.sqrt(T)
    np.testing.assert_allclose(curved.std(), 1, atol=5 * np.sqrt(14 / T) / 2)
    assert (np.abs(curved @ latents / T) < 5 * np.sqrt(5 / T)).all()


@pytest.mark.parametrize("latent_dim", [1, 2, 5])
def test_the_bounded_error_moves_as_much_to_the_decoy_as_it_takes(latent_dim):
    scenario = departed("bounded", 0.4, noise_std=0.0, signal=2.0, latent_dim=latent_dim)
    log, design, error = drawn(scenario)
    size = np.abs(error)
    # In one dimension the two effects are equal or opposite: half of the rounds tell nothing.
    np.testing.assert_allclose(size[size > 1e-9], 0.8, rtol=1e-9)
    np.testing.assert_allclose((size > 1e-9).mean(), 1 if latent_dim > 1 else 0.5, atol=0.02)
    correlation = [design.blocks([one]).T @ error / T for one in range(scenario.n_actions)]
    moved = 0.8 / np.sqrt(np.pi) if latent_dim > 1 else 0.8 / np.sqrt(2 * np.pi)
    chance = 5 * 0.8 / np.sqrt(T)
    (decoy,) = log.decoys
    assert decoy not in log.support
    for action, found in enumerate(correlation):
        if action == log.support[0]:
            expected = -moved * log.weights[0] / 2.0
            np.testing.assert_allclose(found, expected, atol=chance)
        elif action == decoy:
            np.testing.assert_allclose(np.linalg.norm(found), moved, atol=2 * chance)
            if latent_dim > 1:
                assert abs(found @ log.weights[0]) < 2 * 2 * chance
        else:
            assert (np.abs(found) < chance).all()


def test_no_other_direction_does_more():
    # E|A - B| for unit v at an angle to u_j: greatest where they are orthogonal.
    rng = np.random.default_rng(0)
    z = rng.standard_normal((100_000, 2))
    signs = rng.choice([-1.0, 1.0], (100_000, 2))
    means = [
        np.abs(signs[:, 0] * (z @ [np.cos(a), np.sin(a)]) - signs[:, 1] * z[:, 0]).mean()
        for a in np.linspace(0, np.pi / 2, 4)
    ]
    assert (np.diff(means) > 0.02).all()
    np.testing.assert_allclose(means[-1], 2 / np.sqrt(np.pi), atol=0.01)


def test_the_direction_of_the_decoy_is_orthogonal_and_random():
    rng = np.random.default_rng(1)
    given = np.array([1.0, 2.0, -1.0])
    directions = np.array([across(given, rng) for _ in range(500)])
    np.testing.assert_allclose(directions @ given, 0, atol=1e-12)
    assert (np.abs(directions.mean(axis=0)) < 0.25).all()
    np.testing.assert_array_equal(across(given[:1], rng), given[:1])


# -- theory ----------------------------------------------------------------------------------------

SCORED = [
    IDEAL,
    departed("student", 0.1),
    departed("rademacher", 1.0),
    departed("heteroscedastic", 0.4),
    departed("autocorrelated", 0.5),
    departed("nonlinear", 0.8),
    departed("noisy_latents", 0.7),
    departed("heteroscedastic", 0.4, latent_dim=3, signal=2.0),
    departed("nonlinear", 0.8, latent_dim=1),
]


@pytest.mark.parametrize("scenario", SCORED, ids=lambda one: one.name)
def test_the_variance_of_a_score_is_as_told(scenario):
    squares = []
    for trial in range(40):
        log = simulate_trial(scenario, 2000, seed=8, trial=trial)
        squares.append((log.rewards**2 * (log.latents.astype(float) ** 2).mean(axis=1)).mean())
    error = np.std(squares, ddof=1) / np.sqrt(len(squares))
    assert abs(np.mean(squares) - score_variance(scenario)) < 4 * error


def test_scores_have_no_variance_where_noise_has_none():
    assert score_variance(departed("student", 0.5)) == np.inf
    for scenario in (departed("bounded", 0.5), replace(IDEAL, design="single")):
        with pytest.raises(ValueError, match="signed logs without a bounded departure"):
            score_variance(scenario)


@pytest.mark.parametrize(
    "scenario",
    [
        departed("noisy_latents", 0.7),
        departed("bounded", 0.8),
        departed("bounded", 0.8, latent_dim=1),
        departed("nonlinear", 0.5),
        IDEAL,
    ],
    ids=lambda one: one.name,
)
def test_what_remains_of_the_error_is_as_told(scenario):
    scenario = replace(scenario, noise_std=0.1)
    errors = []
    for trial in range(4):
        log, design, _ = drawn(scenario, trial=trial)
        found = refit(design, log.rewards, log.support).weights
        errors.append(np.sum((found - log.weights) ** 2) / np.sum(log.weights**2))
    np.testing.assert_allclose(np.mean(errors), limit_error(scenario), rtol=0.1, atol=1e-3)
