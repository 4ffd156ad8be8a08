"""Steps taken ahead on dense logs against a step at a time: the same answer, in fewer looks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseact import KhatriRaoDesign
from sparseact.fast import recover
from sparseact.greedy import greedy

pytestmark = pytest.mark.usefixtures("large")

RULES = ("correlation", "whitened")


def assert_same(design, y, k, tol=-1.0, selection="correlation"):
    """Found by steps ahead, unless in doubt, and by a step at a time, which is returned."""
    lengths = np.array([design.n_rounds])
    supports, norms, reasons, state = greedy(design, y, lengths, k, tol, selection)
    expected = supports[0, supports[0] >= 0].tolist()
    sure = True
    for compiled in (False, True):
        same = KhatriRaoDesign(design.latents, design.activations, compiled=compiled)
        found = recover(same, y, k, tol, selection)
        if found is None:
            sure = False
            continue
        support, weights, found_norms, reason = found
        assert support.tolist() == expected
        assert reason == reasons[0]
        np.testing.assert_allclose(
            found_norms, norms[0, : len(expected) + 1], rtol=1e-9, atol=1e-11 * norms[0, 0]
        )
        plain = state.weights(len(expected))
        assert (weights is None) == (plain is None)
        if weights is not None:
            np.testing.assert_allclose(weights, plain, rtol=1e-8, atol=1e-9)
    return expected, reasons[0], sure


@pytest.mark.parametrize("selection", RULES)
@given(
    seed=st.integers(0, 10**6),
    T=st.integers(15, 150),
    d=st.integers(1, 3),
    noise=st.sampled_from([0.0, 0.1, 1.0, 10.0]),
    single=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_steps_ahead_change_nothing(selection, seed, T, d, noise, single):
    # From logs whose steps all stand to logs of noise, and to more weights than rounds.
    rng = np.random.default_rng(seed)
    M, k = int(rng.integers(8, 300)), 12
    X = rng.standard_normal((T, M)).astype(np.float32 if single else np.float64)
    design = KhatriRaoDesign(rng.standard_normal((T, d)), X)
    weights = rng.standard_normal((M, d)) * (np.arange(M) % (M // 6 + 1) == 0)[:, None]
    y = design @ weights.ravel() + noise * rng.standard_normal(T)
    assert_same(design, y, min(k, M), selection=selection)
    assert_same(design, y, M, 0.3 * float(np.linalg.norm(y)), selection)


@pytest.mark.parametrize("selection", RULES)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_ties_and_what_has_nothing_to_offer(selection, seed):
    rng = np.random.default_rng(seed)
    T, M = 30, 90
    X = rng.standard_normal((T, M))
    X[:, 60:] = X[:, :30] * rng.choice([-1.0, 1.0], 30)  # the same blocks again
    X[:, 40] = 0.0
    design = KhatriRaoDesign(rng.standard_normal((T, 2)), X)
    support, *_ = assert_same(design, rng.standard_normal(T), M, selection=selection)
    assert 40 not in support
    y = X[:, 70] * design.latents[:, 0]
    support, reason, _ = assert_same(design, y, M, selection=selection)
    assert reason == "exact_fit"
    assert 70 not in support or 10 in support


@pytest.mark.parametrize("compiled", [False, True])
def test_most_of_the_log_is_looked_at_twice(compiled):
    rng = np.random.default_rng(1)
    T, M, d, k = 400, 1200, 2, 9
    latents, X = rng.standard_normal((T, d)), rng.standard_normal((T, M))
    design = KhatriRaoDesign(latents, X, compiled=compiled)
    y = design.blocks(np.arange(k)) @ rng.choice([-3.0, 3.0], k * d) + rng.standard_normal(T)
    looks = []
    whole = design.correlate_prefixes
    design.correlate_prefixes = lambda *asked: looks.append(len(asked[0])) or whole(*asked)
    support, *_ = recover(design, y, k, -1.0, "correlation")
    assert sorted(support.tolist()) == list(range(k))
    assert looks == [k - 1]  # after the first, which is of the rewards


def test_a_step_that_does_not_stand_is_taken_back():
    # The best second action is no candidate: its score is made by the first, which is against it.
    rng = np.random.default_rng(2)
    T, M = 300, 400
    X = rng.standard_normal((T, M))
    latents = np.ones((T, 1))
    X[:, 5] = 0.9 * X[:, 0] + np.sqrt(1 - 0.9**2) * X[:, 5]
    y = X[:, 0] - 0.9 * X[:, 5] + 0.02 * (X[:, 20:60] @ rng.standard_normal(40))
    y = y + 1.0 * X[:, 1]
    design = KhatriRaoDesign(latents, X)
    start = np.abs(design.correlate(y)[:, 0])
    support, _, sure = assert_same(design, y, 6)
    assert sure
    assert {0, 5} <= set(support)
    assert start.argsort()[::-1].tolist().index(5) > 2 * 6 + 16  # not among the candidates
