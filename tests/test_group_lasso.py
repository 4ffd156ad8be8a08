"""The group lasso: its solutions are the minimisers, and its path is what is documented."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import lasso_path

from sparseact import KhatriRaoDesign
from sparseact import group_lasso as module
from sparseact.group_lasso import group_lasso_path


@pytest.fixture(autouse=True)
def _converges():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def problem(seed, T=120, M=10, d=2, k=3, noise=0.5, factor=0.0, sparse=False):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((T, M)) + factor * rng.standard_normal((T, 1))
    if sparse:
        X = sp.csr_array(X * (rng.random((T, M)) < 0.3))
    design = KhatriRaoDesign(rng.standard_normal((T, d)), X)
    weights = np.zeros((M, d))
    weights[rng.permutation(M)[:k]] = rng.standard_normal((k, d))
    return design, design @ weights.ravel() + noise * rng.standard_normal(T)


def violation(design, y, penalty, weights):
    """Largest distance from the optimality conditions, as a share of the penalty."""
    gradient = design.correlate(y - design @ weights.ravel())
    norms = np.linalg.norm(weights, axis=1)
    on = norms > 0
    tight = gradient[on] - penalty * weights[on] / norms[on, None]
    slack = np.linalg.norm(gradient[~on], axis=1) - penalty
    return max(np.linalg.norm(tight, axis=1).max(initial=0), slack.max(initial=0)) / penalty


@given(
    seed=st.integers(0, 10_000),
    T=st.sampled_from([15, 40, 300]),  # with fewer rounds than the 30 weights, too
    d=st.integers(1, 3),
    factor=st.sampled_from([0.0, 1.0, 3.0]),
    sparse=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_every_solution_is_optimal(seed, T, d, factor, sparse):
    design, y = problem(seed, T=T, d=d, factor=factor, sparse=sparse)
    path = group_lasso_path(design, y, n_penalties=30, least=0.02)
    assert path.active.shape == (30, 10)
    for penalty, weights in zip(path.penalties, path.weights, strict=True):
        assert violation(design, y, penalty, weights) < 3e-5


@given(seed=st.integers(0, 10_000), scale=st.floats(1e-4, 1e4))
@settings(max_examples=20, deadline=None)
def test_orthogonal_blocks_have_the_analytic_solution(seed, scale):
    # One action a round with latents of orthogonal columns: w_j = (1 - λ / ‖c_j‖)₊ c_j / n_j.
    rng = np.random.default_rng(seed)
    M, used = 8, rng.integers(3, 20, 8)
    latents = np.concatenate([np.linalg.qr(rng.standard_normal((n, 2)))[0] for n in used])
    latents *= np.sqrt(np.repeat(used, used))[:, None]
    design = KhatriRaoDesign.from_actions(latents, np.repeat(np.arange(M), used), M)
    y = scale * rng.standard_normal(used.sum())
    path = group_lasso_path(design, y, n_penalties=25, least=0.05)
    c = design.correlate(y)
    norms = np.linalg.norm(c, axis=1)
    for penalty, weights, active in zip(path.penalties, path.weights, path.active, strict=True):
        shrunk = np.maximum(1 - penalty / norms, 0)[:, None] * c / used[:, None]
        np.testing.assert_allclose(weights, shrunk, atol=1e-6 * scale)
        clear = np.abs(penalty / norms - 1) > 1e-6
        assert active[clear].tolist() == (norms > penalty)[clear].tolist()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_with_blocks_of_one_column_it_is_the_lasso(seed):
    design, y = problem(seed, d=1)
    path = group_lasso_path(design, y, n_penalties=20, least=0.05)
    _, theirs, _ = lasso_path(design.to_dense(), y, alphas=path.penalties / len(y), tol=1e-10)
    np.testing.assert_allclose(path.weights[:, :, 0], theirs.T, atol=1e-6)


def test_the_first_penalty_selects_nothing_and_the_next_the_best_correlated():
    for seed in range(20):
        design, y = problem(seed)
        path = group_lasso_path(design, y)
        norms = np.linalg.norm(design.correlate(y), axis=1)
        assert path.penalties[0] == pytest.approx(norms.max(), rel=1e-12)
        assert path.penalties[-1] == pytest.approx(1e-3 * norms.max(), rel=1e-12)
        np.testing.assert_allclose(np.diff(np.log(path.penalties)), np.log(1e-3) / 99)
        assert not path.active[0].any()
        entered = path.active[path.active.any(axis=1).argmax()]
        assert entered[norms.argmax()]


@pytest.mark.parametrize("T", [12, 300])
@pytest.mark.parametrize("sparse", [False, True])
def test_the_reduced_problem_is_the_full_one(T, sparse, monkeypatch):
    monkeypatch.setattr(module, "_ROUNDS_AT_ONCE", 50)
    design, y = problem(1, T=T, sparse=sparse)
    X, target = module._reduced(design, y)
    psi = design.to_dense()
    assert X.shape == (min(T, 20), 20)
    np.testing.assert_allclose(X.T @ X, psi.T @ psi, atol=1e-10)
    np.testing.assert_allclose(X.T @ target, psi.T @ y, atol=1e-10)
    # The solver given all rounds: neither reduced nor in pieces.
    path = group_lasso_path(design, y, n_penalties=12, least=0.05)
    # 1e-13 of the rewards' whole energy here: the unexplained part makes it looser than above.
    full = module._solve(np.asfortranarray(psi), y, path.penalties[1:], np.zeros((10, 2)))
    np.testing.assert_allclose(path.weights[1:], full, atol=1e-5)
    assert (path.active[1:] == (full != 0).any(axis=2)).all()


def test_a_strong_signal_is_recovered():
    design, y = problem(2, T=800, M=30, noise=0.1)
    weights, *_ = np.linalg.lstsq(design.to_dense(), y, rcond=None)
    support = np.argsort(-np.linalg.norm(weights.reshape(30, 2), axis=1))[:3]
    path = group_lasso_path(design, y, max_active=8)
    assert path.selects(support)
    assert not path.selects([*support[:2], *({0, 1, 2, 3} - set(support.tolist()))])
    assert path.selects([])  # by the first penalty


def test_the_path_ends_with_the_first_penalty_that_selects_too_many():
    design, y = problem(3, T=60, M=15, noise=2.0)
    whole = group_lasso_path(design, y)
    for most in (0, 1, 4, 7):
        cut = group_lasso_path(design, y, max_active=most)
        count = cut.active.sum(axis=1)
        assert (count[:-1] <= most).all()
        assert count[-1] > most
        np.testing.assert_array_equal(cut.penalties, whole.penalties[: len(count)])
        np.testing.assert_array_equal(cut.weights, whole.weights[: len(count)])
    assert len(group_lasso_path(design, y, max_active=15).penalties) == 100


def test_scaling_the_rewards_scales_the_answer():
    design, y = problem(4)
    one, other = group_lasso_path(design, y), group_lasso_path(design, 1e5 * y)
    np.testing.assert_allclose(other.penalties, 1e5 * one.penalties, rtol=1e-12)
    np.testing.assert_allclose(other.weights, 1e5 * one.weights, rtol=1e-5, atol=1e-1)
    assert (one.active == other.active).all()


def test_unused_actions_copies_and_rewards_without_signal():
    design, y = problem(5)
    X = design.activations.copy()
    X[:, 3] = 0
    X[:, 6] = X[:, 5]
    holed = KhatriRaoDesign(design.latents, X)
    path = group_lasso_path(holed, y, n_penalties=20, least=0.05)
    assert not path.active[:, 3].any()
    for penalty, weights in zip(path.penalties, path.weights, strict=True):
        assert violation(holed, y, penalty, weights) < 3e-5
    silent = group_lasso_path(design, np.zeros(120))
    assert silent.penalties.tolist() == [0.0]
    assert not silent.active.any()
    assert not group_lasso_path(design, y, n_penalties=1).active.any()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_penalties": 0}, ValueError, "n_penalties must be at least 1"),
        ({"n_penalties": 2.5}, TypeError, "n_penalties must be an integer"),
        ({"max_active": -1}, ValueError, "max_active must be at least 0"),
        ({"max_active": 1.0}, TypeError, "max_active must be an integer"),
        ({"least": 0.0}, ValueError, "least must lie between 0 and 1"),
        ({"least": 1.0}, ValueError, "least must lie between 0 and 1"),
    ],
)
def test_bad_parameters_are_named(arguments, error, message):
    design, y = problem(6)
    with pytest.raises(error, match=message):
        group_lasso_path(design, y, **arguments)


def test_bad_rewards_are_named():
    design, y = problem(7)
    with pytest.raises(ValueError, match=r"rewards must have shape \(120,\)"):
        group_lasso_path(design, y[:-1])
    with pytest.raises(ValueError, match="rewards must be finite"):
        group_lasso_path(design, np.where(np.arange(120) == 3, np.nan, y))


def test_the_solver_is_imported_when_first_used():
    code = "import sys, sparseact, sparseact.group_lasso; sys.exit('celer' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
