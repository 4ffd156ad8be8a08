"""Bounds against simulated tests, densities, integrals and brute force."""

from itertools import combinations

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from sparseact import KhatriRaoDesign, block_omp, bounds
from sparseact.bounds import (
    enumerate_supports,
    fano_error,
    information_bound,
    le_cam_error,
    posterior,
    support_evidence,
)


def blocks_of(psi, support, d):
    return np.hstack([psi[:, j * d : (j + 1) * d] for j in support])


def brute_force_densities(psi, rewards, supports, d, tau, sigma):
    """log p(r | S), from the covariance of the rewards itself."""
    out = []
    for support in supports:
        own = blocks_of(psi, support, d)
        cov = sigma**2 * np.eye(len(psi)) + tau**2 * own @ own.T
        out.append(scipy.stats.multivariate_normal(cov=cov).logpdf(rewards))
    return np.array(out)


def problem(seed, m, d, lengths):
    rng = np.random.default_rng(seed)
    psi, rewards = rng.standard_normal((max(lengths), m * d)), rng.standard_normal(max(lengths))
    gram = np.array([psi[:n].T @ psi[:n] for n in lengths])
    projection = np.array([psi[:n].T @ rewards[:n] for n in lengths])
    return psi, rewards, gram, projection


# -- Le Cam --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("effect", "sigma"), [(0.3, 1.0), (2.0, 1.0), (3.0, 0.7), (0.0, 1.0)])
def test_le_cam_is_the_error_of_the_likelihood_ratio_test(effect, sigma):
    rng = np.random.default_rng(1)
    trials, signal = 40_000, rng.standard_normal(5)
    signal *= effect / np.linalg.norm(signal)
    present = rng.random(trials) < 0.5
    rewards = sigma * rng.standard_normal((trials, 5)) + present[:, None] * signal
    normal = scipy.stats.norm(scale=sigma)
    ratio = normal.logpdf(rewards - signal).sum(1) - normal.logpdf(rewards).sum(1)
    wrong = ((ratio > 0) != present).mean()
    stated = le_cam_error(effect, sigma)
    assert abs(wrong - stated) <= 4 * np.sqrt(stated * (1 - stated) / trials)


def test_le_cam_is_one_minus_the_total_variation():
    # ½(miss + false alarm) = ½(1 - TV), with TV by integration.
    x = np.linspace(-20, 25, 200_001)
    for effect in (0.1, 1.0, 4.0):
        gap = np.abs(scipy.stats.norm.pdf(x) - scipy.stats.norm.pdf(x - effect))
        distance = np.trapezoid(gap, x) / 2
        np.testing.assert_allclose(le_cam_error(effect, 1.0), (1 - distance) / 2, atol=1e-7)


def test_le_cam_broadcasts_and_has_its_limits():
    found = le_cam_error([0.0, 1e-300, 1.0, 50.0], [[0.0], [1e-320], [1.0]])
    np.testing.assert_allclose(found[0], [0.5, 0, 0, 0])
    np.testing.assert_allclose(found[1], [0.5, 0, 0, 0])
    np.testing.assert_allclose(found[2, :2], 0.5)
    assert 0 < found[2, 3] < 1e-100


@pytest.mark.parametrize("bad", [(-1.0, 1.0), (1.0, -1.0), (np.nan, 1.0), (1.0, np.inf)])
def test_le_cam_rejects(bad):
    with pytest.raises(ValueError, match="must be finite and not negative"):
        le_cam_error(*bad)


# -- supports ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "k"), [(1, 1), (5, 1), (5, 2), (7, 4), (6, 6)])
def test_supports_are_all_combinations(m, k):
    assert enumerate_supports(m, k).tolist() == [list(s) for s in combinations(range(m), k)]


def test_too_many_supports_are_refused():
    assert len(enumerate_supports(100_000, 1)) == 100_000
    with pytest.raises(ValueError, match="100001 ways, more than the 100000"):
        enumerate_supports(100_001, 1)


@pytest.mark.parametrize("k", [0, -1, 4])
def test_supports_of_no_size_are_refused(k):
    with pytest.raises(ValueError, match="between 1 and 3"):
        enumerate_supports(3, k)


# -- evidence ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("m", "k", "d"), [(4, 1, 3), (5, 2, 2), (6, 3, 2), (6, 4, 1), (7, 5, 2), (4, 4, 2), (1, 1, 2)]
)
def test_evidence_is_the_density_of_the_rewards(m, k, d):
    tau, sigma, lengths = 0.8, 0.6, [1, 4, 9, 30]  # fewer rounds than columns, and more
    psi, rewards, gram, projection = problem(m + k, m, d, lengths)
    supports = enumerate_supports(m, k)
    found = support_evidence(
        gram, projection, supports, block_size=d, prior_variance=tau**2, noise_std=sigma
    )
    assert found.log_evidence.shape == found.log_dets.shape == (4, len(supports))
    for i, n in enumerate(lengths):
        density = brute_force_densities(psi[:n], rewards[:n], supports, d, tau, sigma)
        common = density - found.log_evidence[i]
        np.testing.assert_allclose(common, common[0], rtol=1e-9, atol=1e-9)
        for s, support in enumerate(supports):
            own = blocks_of(psi[:n], support, d)
            _, expected = np.linalg.slogdet(np.eye(n) + (tau / sigma) ** 2 * own @ own.T)
            np.testing.assert_allclose(found.log_dets[i, s], expected, rtol=1e-9)


def test_any_selection_of_supports_in_any_order_gives_the_same():
    _, _, gram, projection = problem(3, 7, 2, [5, 20])
    scales = {"block_size": 2, "prior_variance": 1.3, "noise_std": 0.5}
    supports = enumerate_supports(7, 4)
    some = np.random.default_rng(0).permutation(len(supports))[:11]
    full = support_evidence(gram, projection, supports, **scales)
    part = support_evidence(gram, projection, supports[some].tolist(), **scales)
    np.testing.assert_allclose(part.log_evidence, full.log_evidence[:, some], rtol=1e-12)
    np.testing.assert_allclose(part.log_dets, full.log_dets[:, some], rtol=1e-12)


@pytest.mark.parametrize("chunk", [1, 500, 10**9])
def test_chunks_change_nothing(monkeypatch, chunk):
    _, _, gram, projection = problem(4, 6, 2, [3, 5, 8, 13, 21])
    scales = {"block_size": 2, "prior_variance": 0.4, "noise_std": 0.9}
    supports = enumerate_supports(6, 3)
    expected = support_evidence(gram, projection, supports, **scales)
    monkeypatch.setattr(bounds, "_CHUNK", chunk)
    found = support_evidence(gram, projection, supports, **scales)
    np.testing.assert_allclose(found.log_evidence, expected.log_evidence, rtol=1e-12)
    np.testing.assert_allclose(found.log_dets, expected.log_dets, rtol=1e-12)


def test_prefixes_may_share_a_gram_matrix():
    _, _, gram, projection = problem(5, 5, 2, [6, 12])
    scales = {"block_size": 2, "prior_variance": 1.0, "noise_std": 1.0}
    supports = enumerate_supports(5, 2)
    shared = support_evidence(gram[1], projection, supports, **scales)
    twice = support_evidence(gram[[1, 1]], projection, supports, **scales)
    np.testing.assert_array_equal(shared.log_evidence, twice.log_evidence)
    np.testing.assert_allclose(
        information_bound(gram[1], shared.log_dets, sparsity=2, **scales),
        information_bound(gram[[1, 1]], shared.log_dets, sparsity=2, **scales),
    )


def test_almost_noiseless_rewards_leave_no_doubt():
    psi, _, gram, _ = problem(6, 6, 2, [20])
    rewards = blocks_of(psi, [1, 4], 2) @ np.array([1.0, -0.5, 0.7, 0.2])
    supports = enumerate_supports(6, 2)
    found = support_evidence(
        gram, (psi.T @ rewards)[None], supports, block_size=2, prior_variance=1.0, noise_std=1e-5
    )
    assert supports[found.log_evidence[0].argmax()].tolist() == [1, 4]
    assert posterior(found.log_evidence).max() == 1


def test_without_effects_all_supports_are_alike():
    _, _, gram, projection = problem(7, 5, 2, [9])
    supports = enumerate_supports(5, 2)
    scales = {"block_size": 2, "prior_variance": 0.0, "noise_std": 1.0}
    found = support_evidence(gram, projection, supports, **scales)
    np.testing.assert_array_equal(posterior(found.log_evidence), 1 / 10)
    assert information_bound(gram, found.log_dets, sparsity=2, **scales) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise_std": 0.0}, "noise_std must be finite and positive"),
        ({"noise_std": np.nan}, "noise_std must be finite and positive"),
        ({"prior_variance": -1.0}, "prior_variance must be"),
        ({"block_size": 0}, "block_size must be"),
        ({"block_size": 3}, "projection must have shape"),
        ({"projection": np.zeros(8)}, "projection must have shape"),
        ({"gram": np.zeros((3, 8, 8))}, "gram must have shape"),
        ({"supports": [0, 1]}, "supports must be integers"),
        ({"supports": [[0.0, 1.0]]}, "supports must be integers"),
        ({"supports": np.zeros((0, 2), dtype=int)}, "supports must be integers"),
        ({"supports": [[1, 1]]}, "must ascend within 0 … 3"),
        ({"supports": [[2, 4]]}, "must ascend within 0 … 3"),
        ({"supports": [[-1, 2]]}, "must ascend within 0 … 3"),
    ],
)
def test_evidence_rejects(change, message):
    arguments = {
        "gram": np.zeros((2, 8, 8)),
        "projection": np.zeros((2, 8)),
        "supports": [[0, 1]],
        "block_size": 2,
        "prior_variance": 1.0,
        "noise_std": 1.0,
    }
    with pytest.raises(ValueError, match=message):
        support_evidence(**{**arguments, **change})


# -- posterior -----------------------------------------------------------------------------------


def test_posterior_is_bayes_rule():
    psi, rewards, gram, projection = problem(8, 5, 2, [6])
    supports = enumerate_supports(5, 2)
    found = support_evidence(
        gram, projection, supports, block_size=2, prior_variance=0.49, noise_std=1.2
    )
    likelihood = np.exp(brute_force_densities(psi, rewards, supports, 2, 0.7, 1.2))
    np.testing.assert_allclose(
        posterior(found.log_evidence)[0], likelihood / likelihood.sum(), rtol=1e-9
    )


def test_posterior_does_not_overflow():
    found = posterior([[1e5, 1e5 - np.log(3), -1e5], [-1e5, -1e5, -1e5]])
    np.testing.assert_allclose(found, [[0.75, 0.25, 0], [1 / 3] * 3], atol=1e-10)


@pytest.fixture(scope="module")
def ensemble():
    """Many small signed logs of the Gaussian ensemble, and what was made of each."""
    rng = np.random.default_rng(20)
    trials, n, m, k, d, tau, sigma = 4000, 12, 5, 2, 2, 1.0, 0.7
    supports = enumerate_supports(m, k)
    truth = rng.integers(len(supports), size=trials)
    latents = rng.standard_normal((trials, n, d))
    activations = rng.choice([-1.0, 1.0], (trials, n, m))
    weights = np.zeros((trials, m, d))
    weights[np.arange(trials)[:, None], supports[truth]] = tau * rng.standard_normal((trials, k, d))
    rewards = np.einsum("tnm,tmd,tnd->tn", activations, weights, latents)
    rewards += sigma * rng.standard_normal(rewards.shape)
    psi = (activations[..., None] * latents[:, :, None, :]).reshape(trials, n, m * d)
    gram = psi.transpose(0, 2, 1) @ psi
    projection = np.einsum("tnc,tn->tc", psi, rewards)
    scales = {"block_size": d, "prior_variance": tau**2, "noise_std": sigma}
    evidence = support_evidence(gram, projection, supports, **scales)
    probability = posterior(evidence.log_evidence)
    greedy = [
        sorted(block_omp(KhatriRaoDesign(z, x), r, k).support.tolist())
        for z, x, r in zip(latents, activations, rewards, strict=True)
    ]
    return {
        "stated": 1 - probability.max(axis=1),
        "map_wrong": probability.argmax(axis=1) != truth,
        "greedy_wrong": (np.array(greedy) != supports[truth]).any(axis=1),
        "information": information_bound(gram, evidence.log_dets, sparsity=k, **scales),
        "n": len(supports),
    }


def standard_error(values):
    return np.std(values) / np.sqrt(len(values))


def test_the_stated_error_is_the_observed_error(ensemble):
    difference = ensemble["map_wrong"] - ensemble["stated"]
    assert 0.1 < ensemble["stated"].mean() < 0.6  # where there is something to tell
    assert abs(difference.mean()) <= 4 * standard_error(difference)


def test_the_stated_error_is_right_at_every_level(ensemble):
    order = np.argsort(ensemble["stated"])
    for part in np.array_split(order, 5):
        difference = ensemble["map_wrong"][part] - ensemble["stated"][part]
        assert abs(difference.mean()) <= 4 * standard_error(difference)


def test_greedy_selection_does_not_beat_bayes(ensemble):
    excess = ensemble["greedy_wrong"] - ensemble["stated"]
    assert excess.mean() >= -4 * standard_error(excess)


def test_fano_lies_below_the_bayes_error_of_the_ensemble(ensemble):
    floor = fano_error(ensemble["information"], ensemble["n"])
    assert floor.mean() <= ensemble["stated"].mean() + 4 * standard_error(ensemble["stated"])


# -- information ---------------------------------------------------------------------------------


def integrated(psi, supports, d, tau, sigma):
    """Mutual information and Bayes error of two rounds, by integrals over the plane."""
    axis = np.linspace(-25, 25, 1001)
    rewards = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    log_density = brute_force_densities(psi, rewards, supports, d, tau, sigma)
    density = np.exp(log_density)
    log_mixture = scipy.special.logsumexp(log_density, axis=0) - np.log(len(supports))
    cell = (axis[1] - axis[0]) ** 2
    assert abs(density.mean(axis=0).sum() * cell - 1) < 1e-9
    information = (density * (log_density - log_mixture)).mean(axis=0).sum() * cell
    return information, 1 - (density.max(axis=0) / len(supports)).sum() * cell


@pytest.mark.parametrize(("m", "k", "sigma"), [(3, 1, 0.3), (3, 2, 0.5), (4, 2, 0.3), (2, 1, 2.0)])
def test_information_and_error_against_exact_integrals(m, k, sigma):
    psi = np.random.default_rng(m + k).standard_normal((2, m))
    supports = enumerate_supports(m, k)
    exact, error = integrated(psi, supports, 1, 1.0, sigma)
    gram = psi.T @ psi
    scales = {"block_size": 1, "prior_variance": 1.0, "noise_std": sigma}
    log_dets = support_evidence(gram, np.zeros((1, m)), supports, **scales).log_dets
    (bound,) = information_bound(gram, log_dets, sparsity=k, **scales)
    assert 0 < exact <= bound <= np.log(len(supports))
    floors = fano_error([exact, bound], len(supports))
    assert floors[1] <= floors[0] <= error


def test_information_bound_is_its_formula_in_the_space_of_rounds():
    psi, _, gram, projection = problem(9, 5, 2, [4, 11])
    supports = enumerate_supports(5, 2)
    scales = {"block_size": 2, "prior_variance": 0.01, "noise_std": 0.9}
    log_dets = support_evidence(gram, projection, supports, **scales).log_dets
    found = information_bound(gram, log_dets, sparsity=2, **scales)
    for i, n in enumerate([4, 11]):
        covs = [
            0.81 * np.eye(n) + 0.01 * own @ own.T
            for own in (blocks_of(psi[:n], support, 2) for support in supports)
        ]
        entropies = [scipy.stats.multivariate_normal(cov=cov).entropy() for cov in covs]
        together = scipy.stats.multivariate_normal(cov=np.mean(covs, axis=0)).entropy()
        np.testing.assert_allclose(found[i], together - np.mean(entropies), rtol=1e-8)


def test_information_is_at_most_the_entropy_of_the_support():
    _, _, gram, projection = problem(10, 4, 2, [40])
    scales = {"block_size": 2, "prior_variance": 1.0, "noise_std": 1e-3}
    log_dets = support_evidence(gram, projection, enumerate_supports(4, 2), **scales).log_dets
    assert information_bound(gram, log_dets, sparsity=2, **scales) == np.log(6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gram": np.zeros((8, 6))}, "gram must be square"),
        ({"gram": np.zeros(8)}, "gram must be square"),
        ({"block_size": 3}, "gram must be square"),
        ({"sparsity": 5}, "sparsity must lie between 1 and 4"),
        ({"sparsity": 1}, "log_dets must have shape"),
        ({"log_dets": np.zeros((3, 6))}, "log_dets must have shape"),
        ({"noise_std": 0.0}, "noise_std must be"),
    ],
)
def test_information_bound_rejects(change, message):
    arguments = {
        "gram": np.zeros((2, 8, 8)),
        "log_dets": np.zeros((2, 6)),
        "sparsity": 2,
        "block_size": 2,
        "prior_variance": 1.0,
        "noise_std": 1.0,
    }
    with pytest.raises(ValueError, match=message):
        information_bound(**{**arguments, **change})


# -- Fano ----------------------------------------------------------------------------------------


@given(st.floats(0.001, 0.999), st.integers(2, 10**6))
def test_fano_holds_with_equality(share, n):
    information = share * np.log(n)
    p = fano_error(information, n)
    left = scipy.stats.entropy([p, 1 - p]) + p * np.log(n - 1)
    np.testing.assert_allclose(left, np.log(n) - information, rtol=1e-9, atol=1e-12)
    assert 0 < p < 1 - 1 / n
    # The usual form, weakened by h(p) ≤ log 2, says less.
    assert p >= 1 - (information + np.log(2)) / np.log(n)


@given(st.floats(0, 20), st.floats(0, 20), st.integers(1, 10**6))
def test_fano_falls_with_information(one, other, n):
    little, much = fano_error(sorted([one, other]), n)
    assert 0 <= much <= little <= 1 - 1 / n


def test_fano_has_its_limits():
    n = np.array([2, 3, 100, 10**5])
    np.testing.assert_allclose(fano_error(0.0, n), 1 - 1 / n, atol=1e-6)
    np.testing.assert_allclose(fano_error(np.log(n), n), 0, atol=1e-15)
    assert fano_error([[5.0], [np.inf]], [1, 2]).tolist() == [[0, 0], [0, 0]]
    assert fano_error([0.0, 1.0], 1).tolist() == [0, 0]


def test_fano_is_attained_when_errors_are_spread_evenly():
    # A symmetric channel, whose information and Bayes error are known.
    for n, error in ((2, 0.1), (7, 0.3), (50, 0.02)):
        rows = np.full((n, n), error / (n - 1))
        np.fill_diagonal(rows, 1 - error)
        information = np.log(n) - scipy.stats.entropy(rows[0])
        np.testing.assert_allclose(fano_error(information, n), error, rtol=1e-9)


@pytest.mark.parametrize(
    ("information", "n", "message"),
    [(-0.1, 3, "information must"), (np.nan, 3, "information must"), (1.0, 0, "n_hypotheses must")],
)
def test_fano_rejects(information, n, message):
    with pytest.raises(ValueError, match=message):
        fano_error(information, n)
