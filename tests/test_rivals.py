"""Each rival of Block-OMP against another implementation, or a case that is known."""

import sys
import warnings
from itertools import combinations

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
from celer.homotopy import celer_path
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge, RidgeCV, orthogonal_mp

from sparseact import KhatriRaoDesign, Scenario, block_omp, rivals, simulate_trial
from sparseact.rivals import RIVALS, best_subset, ridge, subspace_pursuit
from sparseact.rivals.chosen import largest, standardised
from sparseact.study.stages.trial import design_of

M, D, K = 9, 2, 3
each_rival = pytest.mark.parametrize("name", RIVALS)


def a_log(n_rounds=40, noise=0.5, seed=0, n_actions=M, k=K, d=D):
    """Signed activations of any strength, and rewards of the first k actions of a shuffle."""
    rng = np.random.default_rng(seed)
    X = rng.choice([-1.0, 1.0], (n_rounds, n_actions)) * rng.uniform(0.5, 2.0, n_actions)
    design = KhatriRaoDesign(rng.standard_normal((n_rounds, d)), X)
    support = rng.permutation(n_actions)[:k]
    weights = rng.standard_normal((k, d))
    weights /= np.linalg.norm(weights, axis=1)[:, None]
    rewards = design.blocks(support) @ weights.ravel()
    return design, rewards + noise * rng.standard_normal(n_rounds), np.sort(support)


def scaled(design):
    """Ψ with blocks of unit energy."""
    psi = design.to_dense().reshape(design.n_rounds, design.n_blocks, -1)
    return (psi / np.linalg.norm(psi, axis=(0, 2))[:, None]).reshape(design.n_rounds, -1)


def residual(design, rewards, support):
    psi = design.blocks(support)
    return np.linalg.norm(rewards - psi @ np.linalg.lstsq(psi, rewards)[0])


def test_there_are_six():
    assert {*RIVALS} == {
        "group_lasso",
        "scalar_omp",
        "screening",
        "subspace_pursuit",
        "best_subset",
        "ridge",
    }
    assert not {*RIVALS} & {"correlation", "whitened", "least_squares"}


@each_rival
@pytest.mark.parametrize("seed", range(4))
def test_on_orthonormal_blocks_all_choose_the_k_strongest(name, seed):
    rng = np.random.default_rng(seed)
    Z = np.concatenate([scipy.linalg.qr(rng.standard_normal((D, D)))[0] for _ in range(M)])
    design = KhatriRaoDesign.from_actions(Z, np.repeat(np.arange(M), D), M)
    np.testing.assert_allclose(design.to_dense().T @ design.to_dense(), np.eye(M * D), atol=1e-12)
    # Every coordinate of a strong block is stronger than any of a weak one, for single columns.
    size = np.where(np.arange(M) < K, 1.0 + np.arange(M) / 10, 0.1 + np.arange(M) / 100)
    weights = rng.permutation(size[:, None] * rng.choice([-1.0, 1.0], (M, D)))
    strength = np.linalg.norm(weights, axis=1)
    found = RIVALS[name](design, design.matvec(weights.ravel()), K)
    assert found.converged
    assert found.support.tolist() == np.argsort(-strength)[:K].tolist()
    assert set(found.support) == set(block_omp(design, design @ weights.ravel(), K).support)


@each_rival
def test_strong_effects_in_little_noise_are_found(name):
    for seed in range(5):
        design, rewards, support = a_log(200, noise=0.05, seed=seed)
        found = RIVALS[name](design, rewards, K)
        assert np.sort(found.support).tolist() == support.tolist()
        assert found.support.dtype == np.intp
        assert found.converged


@each_rival
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_units_of_actions_and_rewards_change_nothing(name, data):
    seed, n_rounds = data.draw(st.integers(0, 99)), data.draw(st.sampled_from([12, 18, 40]))
    design, rewards, _ = a_log(n_rounds, seed=seed)
    units = np.array(data.draw(st.lists(st.floats(1e-3, 1e3), min_size=M, max_size=M)))
    other = KhatriRaoDesign(design.latents, design.activations * units)
    plain = RIVALS[name](design, rewards, K)
    same = RIVALS[name](other, data.draw(st.floats(1e-6, 1e6)) * rewards, K)
    assert same.support.tolist() == plain.support.tolist()


@each_rival
def test_names_of_actions_do_not_matter(name):
    design, rewards, _ = a_log(18, seed=3)
    order = np.random.default_rng(0).permutation(M)
    other = KhatriRaoDesign(design.latents, design.activations[:, order])
    plain = RIVALS[name](design, rewards, K).support
    assert order[RIVALS[name](other, rewards, K).support].tolist() == plain.tolist()


@each_rival
@pytest.mark.parametrize("n_rounds", [20, 60])
def test_sparse_and_dense_logs_give_the_same(name, n_rounds):
    scenario = Scenario(design="single", n_actions=12, sparsity=3, latent_dim=2)
    log = simulate_trial(scenario, n_rounds, seed=1, trial=0)
    design = design_of(scenario, log.latents, log.activations)
    assert sp.issparse(design.activations)
    dense = KhatriRaoDesign(log.latents, design.activations.toarray())
    one, other = (RIVALS[name](each, log.rewards, 3).support for each in (design, dense))
    assert one.tolist() == other.tolist()


@each_rival
def test_what_was_never_used_is_never_chosen(name):
    design, rewards, _ = a_log(40, seed=1)
    X = design.activations.copy()
    X[:, :7] = 0.0
    two = KhatriRaoDesign(design.latents, X)
    assert set(RIVALS[name](two, rewards, 5).support) <= {7, 8}
    none = KhatriRaoDesign(design.latents, np.zeros_like(X))
    for nothing in (RIVALS[name](none, rewards, 2), RIVALS[name](design, 0 * rewards, 2)):
        assert nothing.support.size == 0
        assert nothing.converged


@each_rival
def test_all_actions_may_be_asked_for(name):
    design, rewards, _ = a_log(60, seed=2)
    found = RIVALS[name](design, rewards, M).support
    assert len(set(found.tolist())) == len(found) <= M
    assert name in ("scalar_omp", "group_lasso") or len(found) == M


def test_screening_ranks_actions_by_what_each_explains_alone():
    design, rewards, _ = a_log(30, seed=5)
    left = [residual(design, rewards, [j]) for j in range(M)]
    assert RIVALS["screening"](design, rewards, M).support.tolist() == np.argsort(left).tolist()


@pytest.mark.parametrize("n_rounds", [12, 30])
@pytest.mark.parametrize("k", [1, 2, 3, 7])
def test_enumeration_finds_the_least_residual_of_all_subsets(n_rounds, k):
    for seed in range(4):
        design, rewards, _ = a_log(max(n_rounds, k * D), noise=1.0, seed=seed)
        found = RIVALS["best_subset"](design, rewards, k)
        least = min(residual(design, rewards, one) for one in combinations(range(M), k))
        assert residual(design, rewards, found.support) <= least * (1 + 1e-7) + 1e-7
        assert found.converged


def test_splicing_finds_the_enumerated_optimum_on_easy_logs():
    for seed in range(8):
        design, rewards, _ = a_log(80, seed=seed)
        log = standardised(design, rewards, K)
        assert best_subset.spliced(log, K).tolist() == best_subset.enumerated(log, K).tolist()


def test_beyond_what_can_be_enumerated_it_is_spliced(monkeypatch):
    design, rewards, support = a_log(80, noise=0.1)
    monkeypatch.setattr(best_subset, "MOST_SUPPORTS", 10)
    monkeypatch.setattr(best_subset, "enumerated", None)
    assert set(RIVALS["best_subset"](design, rewards, K).support) == set(support)


@pytest.mark.parametrize("n_rounds", [12, 17, 18, 60])
def test_ridge_is_tuned_by_generalised_cross_validation(n_rounds):
    design, rewards, _ = a_log(n_rounds, noise=1.0, seed=4)
    log = standardised(design, rewards, K)
    psi, y = scaled(design), log.rewards
    values = np.linalg.svd(psi, compute_uv=False) ** 2
    penalties = values.max() * ridge._GRID

    def score(penalty):
        hat = psi @ np.linalg.solve(psi.T @ psi + penalty * np.eye(psi.shape[1]), psi.T)
        off = y - hat @ y
        return n_rounds * (off @ off) / (n_rounds - np.trace(hat)) ** 2

    weights, penalty = ridge.solve(log)
    assert score(penalty) <= min(map(score, penalties)) * (1 + 1e-6)
    model = Ridge(alpha=penalty, fit_intercept=False, solver="svd").fit(psi, y)
    np.testing.assert_allclose(weights.ravel(), model.coef_, rtol=1e-6, atol=1e-9)


def test_the_penalty_of_ridge_is_much_that_of_leaving_one_out():
    for seed in range(4):
        design, rewards, _ = a_log(200, noise=1.0, seed=seed)
        log = standardised(design, rewards, K)
        psi = scaled(design)
        penalties = np.linalg.eigvalsh(psi.T @ psi).max() * ridge._GRID
        model = RidgeCV(penalties, fit_intercept=False, store_cv_results=True)
        by_one = model.fit(psi, log.rewards).cv_results_.mean(axis=0)
        penalty = ridge.solve(log)[1]
        assert by_one[np.argmin(abs(penalties - penalty))] <= 1.001 * by_one.min()
        assert 1 / 3 < penalty / model.alpha_ < 3


def test_subspace_pursuit_does_what_the_plain_one_does():
    moved = 0
    for seed in range(30):
        design, rewards, _ = a_log(16, noise=0.5, seed=seed)
        support, n_steps = plain_pursuit(design, rewards, K)
        found = RIVALS["subspace_pursuit"](design, rewards, K)
        assert set(found.support) == set(support)
        assert found.converged
        moved += n_steps > 0
    assert moved >= 10


def plain_pursuit(design, rewards, k):
    """Subspace pursuit on dense orthonormalised blocks."""
    blocks = [np.linalg.qr(design.blocks([j]))[0] for j in range(design.n_blocks)]

    def fit(support):
        psi = np.hstack([blocks[j] for j in support])
        weights = np.linalg.lstsq(psi, rewards)[0]
        return np.linalg.norm(weights.reshape(len(support), -1), axis=1), rewards - psi @ weights

    def strongest(u):
        return np.argsort([-np.linalg.norm(block.T @ u) for block in blocks])[:k].tolist()

    support, n_steps = strongest(rewards), 0
    _, u = fit(support)
    while True:
        wide = [*dict.fromkeys([*support, *strongest(u)])]
        sizes, _ = fit(wide)
        again = [wide[i] for i in np.argsort(-sizes)[:k]]
        _, other = fit(again)
        if not np.linalg.norm(other) < np.linalg.norm(u) * (1 - 1e-10):
            return support, n_steps
        support, u, n_steps = again, other, n_steps + 1


@pytest.mark.parametrize("n_rounds", [12, 17, 18, 19, 60])
def test_scalar_omp_is_that_of_scikit_learn(n_rounds):
    for seed in range(6):
        design, rewards, _ = a_log(n_rounds, noise=1.0, seed=seed)
        psi = scaled(design)
        norms = np.linalg.norm(psi, axis=0)
        weights = orthogonal_mp(psi / norms, rewards, n_nonzero_coefs=K * D, precompute=False)
        sizes = np.linalg.norm(weights.reshape(M, D), axis=1)
        found = RIVALS["scalar_omp"](design, rewards, K)
        assert found.support.tolist() == largest(sizes, K).tolist()


@pytest.mark.parametrize("n_rounds", [12, 60])
def test_the_group_lasso_chooses_what_celer_does(n_rounds):
    for seed in range(6):
        design, rewards, _ = a_log(n_rounds, noise=1.0, seed=seed)
        psi = np.asfortranarray(scaled(design))
        first = np.linalg.norm((psi.T @ rewards).reshape(M, D), axis=1).max() / n_rounds
        for penalty in np.geomspace(first, first / 1000, 100)[1:]:
            alone = celer_path(
                psi, rewards, "grouplasso", alphas=[penalty], groups=D, tol=1e-13, prune=1
            )
            sizes = np.linalg.norm(alone[1][:, 0].reshape(M, D), axis=1)
            if np.count_nonzero(sizes) >= K:
                break
        found = RIVALS["group_lasso"](design, rewards, K)
        assert found.support.tolist() == largest(sizes, K).tolist()


def test_more_groups_than_asked_for_are_cut_to_the_largest(monkeypatch):
    design, rewards, _ = a_log(60, noise=0.1)
    taken = rivals.group_lasso.group_lasso_path
    monkeypatch.setattr(
        rivals.group_lasso, "group_lasso_path", lambda *a, **_: taken(*a, n_penalties=2, least=0.01)
    )
    weights = taken(standardised(design, rewards, 1).design, rewards, n_penalties=2, least=0.01)
    sizes = np.linalg.norm(weights.weights[-1], axis=1)
    assert np.count_nonzero(sizes) > K
    found = RIVALS["group_lasso"](design, rewards, K).support
    assert found.tolist() == largest(sizes, K).tolist()


def test_what_did_not_come_to_rest_is_told(monkeypatch):
    design, rewards, _ = a_log(40, noise=1.0)
    monkeypatch.setattr(subspace_pursuit, "MOST_ITERATIONS", 0)
    assert not RIVALS["subspace_pursuit"](design, rewards, K).converged
    monkeypatch.setattr("sparseact.group_lasso._SWEEPS", 1)
    monkeypatch.setattr("sparseact.group_lasso._RESTARTS", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not RIVALS["group_lasso"](design, rewards, K).converged
        X = design.activations.copy()
        X[:, 1:] = X[:, :1]
        assert not RIVALS["scalar_omp"](KhatriRaoDesign(design.latents, X), rewards, K).converged


@pytest.mark.parametrize(("name", "module"), [("group_lasso", "celer"), ("best_subset", "abess")])
def test_a_missing_package_is_told_with_what_to_install(name, module, monkeypatch):
    design, rewards, _ = a_log(40)
    monkeypatch.setattr(best_subset, "MOST_SUPPORTS", 1)
    for part in (module, f"{module}.homotopy", f"{module}.linear"):
        monkeypatch.setitem(sys.modules, part, None)
    with pytest.raises(ImportError, match=r'pip install "sparseact\[rivals\]"'):
        RIVALS[name](design, rewards, K)


@each_rival
def test_bad_arguments_are_told(name):
    design, rewards, _ = a_log(40)
    with pytest.raises(ValueError, match="k must lie between 1 and 9, got 10"):
        RIVALS[name](design, rewards, 10)
    with pytest.raises(ValueError, match="rewards must have shape"):
        RIVALS[name](design, rewards[1:], K)
    with pytest.raises(TypeError, match="design must be a KhatriRaoDesign"):
        RIVALS[name](design.to_dense(), rewards, K)
