"""Coherence against its definition on dense matrices, and the guarantee that it stands for."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseact import KhatriRaoDesign, block_omp
from sparseact import coherence as module
from sparseact.coherence import exact_recovery_coefficient, mutual_coherence

LOGS = ("single", "multi", "signed", "real")


def log(rng, kind, T=80, M=8, d=2):
    latents = rng.standard_normal((T, d))
    if kind == "single":
        return KhatriRaoDesign.from_actions(latents, rng.integers(0, M, T), M)
    if kind == "multi":
        sets = rng.permuted(np.tile(np.arange(M), (T, 1)), axis=1)[:, :3]
        return KhatriRaoDesign.from_actions(latents, sets, M)
    if kind == "signed":
        return KhatriRaoDesign(latents, rng.choice([-1.0, 1.0], (T, M)))
    spread = np.logspace(-1, 1, M)
    return KhatriRaoDesign(latents, sp.csr_array(rng.standard_normal((T, M)) * spread))


def exact_recovery_by_definition(design, support):
    d = design.block_size
    others = [j for j in range(design.n_blocks) if j not in support]
    blocks = [design.blocks([i]) for i in support]
    unit = [block / max(np.linalg.norm(block), 1e-300) for block in blocks]
    if np.linalg.matrix_rank(np.hstack(unit), tol=1e-5) < len(support) * d:
        return np.inf
    inverse = np.linalg.pinv(np.hstack(blocks))
    return max(
        sum(
            np.linalg.norm(block, 2)
            for block in (inverse @ design.blocks([j])).reshape(len(support), d, d)
        )
        for j in others
    )


def mutual_by_definition(design):
    blocks = [design.blocks([j]) for j in range(design.n_blocks) if design.coverage[j] > 0]
    ranges = [scipy.linalg.orth(block, rcond=1e-5) for block in blocks]
    return max(
        (
            np.cos(scipy.linalg.subspace_angles(one, other).min())
            for i, one in enumerate(ranges)
            for other in ranges[:i]
        ),
        default=0.0,
    )


def prefix(design, n):
    return KhatriRaoDesign(design.latents[:n], design.activations[:n])


@pytest.mark.parametrize("kind", LOGS)
@given(seed=st.integers(0, 10_000), d=st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_agree_with_the_definitions(kind, seed, d):
    rng = np.random.default_rng(seed)
    design = log(rng, kind, d=d)
    support = rng.permutation(8)[:3].tolist()
    # The definition's own error: an action used d times in all can be close to rank-deficient.
    blurred = 1e-15 * np.linalg.cond(design.blocks(support)) ** 2
    np.testing.assert_allclose(
        exact_recovery_coefficient(design, support),
        exact_recovery_by_definition(design, support),
        rtol=1e-9,
        atol=1e-12 + min(blurred, 1e-5),
    )
    np.testing.assert_allclose(mutual_coherence(design), mutual_by_definition(design), atol=1e-9)


@pytest.mark.parametrize("at_once", [7, 2048])
@pytest.mark.parametrize("kind", LOGS)
def test_prefixes_are_separate_computations(kind, at_once, monkeypatch):
    monkeypatch.setattr(module, "_ROUNDS_AT_ONCE", at_once)
    design = log(np.random.default_rng(1), kind, T=150)
    lengths = [1, 2, 3, 7, 20, 21, 60, 150]
    recovery = exact_recovery_coefficient(design, [5, 0, 3], lengths)
    mutual = mutual_coherence(design, lengths)
    assert recovery.shape == mutual.shape == (8,)
    for i, n in enumerate(lengths):
        alone = prefix(design, n)
        assert np.isclose(mutual[i], mutual_by_definition(alone), atol=1e-9)
        assert np.isclose(mutual[i], mutual_coherence(alone), atol=1e-12)
        expected = exact_recovery_by_definition(alone, [0, 3, 5])
        assert np.isclose(recovery[i], expected, rtol=1e-9, atol=1e-12)
        assert np.isclose(recovery[i], exact_recovery_coefficient(alone, [0, 3, 5]), atol=1e-12)
    assert np.isinf(recovery[0])
    assert np.isfinite(recovery[-1])


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_copy_is_exactly_coherent(d):
    design = log(np.random.default_rng(2), "signed", T=500, d=d)
    activations = design.activations.copy()
    activations[:, 6] = -3 * activations[:, 2]
    copied = KhatriRaoDesign(design.latents, activations)
    assert np.abs(mutual_coherence(copied, [40, 300, 500]) - 1).max() < 1e-10
    # Copy j of i has Ψ_S⁺Ψ_j equal to -3 in block i alone: the scale of the blocks counts.
    assert exact_recovery_coefficient(copied, [1, 2, 3]) == pytest.approx(3, abs=1e-10)
    assert exact_recovery_coefficient(copied, [1, 3, 6]) >= 1 / 3 - 1e-10
    assert exact_recovery_coefficient(copied, [2, 6]) == np.inf


@pytest.mark.parametrize("condition", [1.0, 1e4])
@pytest.mark.parametrize("flips", [1, 20])
def test_near_copies_keep_their_digits(flips, condition):
    rng = np.random.default_rng(3)
    signs = rng.choice([-1.0, 1.0], (4000, 2))
    signs[:, 1] = signs[:, 0]
    signs[100 : 100 + flips, 1] *= -1
    latents = rng.standard_normal((4000, 2)) * [1.0, 1 / condition]
    design = KhatriRaoDesign(latents, signs)
    # Q₁ᵀQ₂ = I - 2 Σ_flipped q_t q_tᵀ: its spectral norm is read off the latents alone.
    q = np.linalg.qr(latents)[0][100 : 100 + flips]
    expected = np.linalg.norm(np.eye(2) - 2 * q.T @ q, 2)
    found = mutual_coherence(design, [90, 1000, 4000])
    assert abs(found[0] - 1) < 1e-10
    assert abs(found[-1] - expected) < 1e-10


def test_orthogonal_blocks_have_none():
    design = log(np.random.default_rng(4), "single")
    assert mutual_coherence(design) < 1e-12
    assert exact_recovery_coefficient(design, [2, 4]) < 1e-12


def test_unused_and_rank_deficient_blocks():
    rng = np.random.default_rng(5)
    # Action 0 in one round alone (rank 1 of d = 2) and beside action 1; action 3 never.
    activations = np.zeros((30, 4))
    activations[0, 0] = 1
    activations[:15, 1] = 1
    activations[15:, 2] = 1
    design = KhatriRaoDesign(rng.standard_normal((30, 2)), activations)
    q = np.linalg.qr(design.latents[:15])[0]
    assert mutual_coherence(design) == pytest.approx(np.linalg.norm(q[0]), abs=1e-12)
    assert exact_recovery_coefficient(design, [1, 2]) == pytest.approx(
        exact_recovery_by_definition(design, [1, 2]), abs=1e-12
    )
    assert exact_recovery_coefficient(design, [0]) == np.inf
    assert exact_recovery_coefficient(design, [1, 3]) == np.inf
    assert (
        exact_recovery_coefficient(design, [2, 1], [10, 15, 16, 17, 30])[:3].tolist()
        == [np.inf] * 3
    )
    nothing = KhatriRaoDesign(design.latents, 0 * activations)
    assert mutual_coherence(nothing) == 0


def test_no_other_actions():
    design = log(np.random.default_rng(6), "signed", M=3)
    assert exact_recovery_coefficient(design, [2, 0, 1]) == 0
    assert exact_recovery_coefficient(prefix(design, 5), [2, 0, 1]) == np.inf
    assert mutual_coherence(log(np.random.default_rng(6), "signed", M=1)) == 0


def test_collinear_supports_are_infinite():
    # Three actions of which one is the sum of the others, each pair of them independent.
    rng = np.random.default_rng(7)
    X = rng.standard_normal((100, 5))
    X[:, 2] = X[:, 0] + X[:, 1]
    design = KhatriRaoDesign(rng.standard_normal((100, 2)), X)
    assert exact_recovery_coefficient(design, [0, 1, 2]) == np.inf
    # And of a decoy that imitates the sum of the relevant actions, μ_S is their number.
    assert exact_recovery_coefficient(design, [0, 1]) == pytest.approx(2, abs=1e-10)


# -- what the coefficient promises ----------------------------------------------------------------


def guaranteed(seed):
    """A random design, support and weights, and the coefficient."""
    rng = np.random.default_rng(seed)
    k, d = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    kind = str(rng.choice(LOGS))
    design = log(rng, kind, T=int(rng.integers(40, 400)), M=int(rng.integers(k + 1, 12)), d=d)
    latents = design.latents @ rng.standard_normal((d, d))  # not isotropic
    X = design.activations * np.exp(rng.uniform(-0.5, 0.5, design.n_blocks))  # not of one scale
    if kind in ("signed", "real") and rng.random() < 0.5:  # correlated
        X = sp.csr_array(X).toarray()
        X = X + rng.uniform(0, 0.6) * rng.standard_normal((len(X), 1))
    design = KhatriRaoDesign(latents, X)
    support = rng.permutation(design.n_blocks)[:k]
    weights = np.zeros((design.n_blocks, d))
    weights[support] = rng.standard_normal((k, d)) * np.exp(rng.uniform(-1, 1, (k, 1)))
    return design, support, weights, exact_recovery_coefficient(design, support)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=300, deadline=None)
def test_below_one_noiseless_recovery_is_certain(seed):
    design, support, weights, coefficient = guaranteed(seed)
    if coefficient < 1 - 1e-6:
        found = block_omp(design, design @ weights.ravel(), len(support), selection="correlation")
        assert sorted(found.support.tolist()) == sorted(support.tolist())


def test_the_promise_is_tested_on_both_sides():
    coefficients = np.array([guaranteed(seed)[3] for seed in range(200)])
    assert (coefficients < 1 - 1e-6).mean() > 0.4
    assert ((coefficients > 0.5) & (coefficients < 1 - 1e-6)).mean() > 0.1
    assert (coefficients > 1).mean() > 0.1


def test_of_residuals_in_the_span_the_bound_holds_and_the_whitened_rule_breaks_it():
    # Below one for the blocks as they are, yet the rule on orthonormalised blocks goes astray.
    rng = np.random.default_rng(8)
    X = rng.standard_normal((400, 3))
    X[:, 2] = 0.3 * (X[:, 0] + X[:, 1])  # a weak action that points at the sum of the two
    design = KhatriRaoDesign(rng.standard_normal((400, 2)), X)
    assert exact_recovery_coefficient(design, [0, 1]) == pytest.approx(0.6, abs=1e-10)
    y = design @ np.array([1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    assert sorted(block_omp(design, y, 2).support.tolist()) == [0, 1]
    assert block_omp(design, y, 1, selection="whitened").support.tolist() == [2]


def test_above_one_recovery_can_fail():
    rng = np.random.default_rng(9)
    X = rng.standard_normal((400, 3))
    X[:, 2] = 0.9 * (X[:, 0] + X[:, 1])
    design = KhatriRaoDesign(rng.standard_normal((400, 2)), X)
    assert exact_recovery_coefficient(design, [0, 1]) == pytest.approx(1.8, abs=1e-10)
    y = design @ np.array([1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    assert block_omp(design, y, 2).support[0] == 2


@pytest.mark.parametrize("measure", [mutual_coherence, None])
def test_bad_arguments_are_named(measure):
    design = log(np.random.default_rng(10), "signed")
    measure = measure or (lambda log, n: exact_recovery_coefficient(log, [0], n))
    for lengths in ([], [0, 5], [5, 5], [9, 5], [81]):
        with pytest.raises(ValueError, match="strictly ascending between 1 and 80"):
            measure(design, lengths)
    for support in ([], [-1], [8], [1, 1], [[0, 1]]):
        with pytest.raises(ValueError, match="distinct actions between 0 and 7"):
            exact_recovery_coefficient(design, support)
