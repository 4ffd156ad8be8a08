"""Least squares on dense logs by cross Grams, against products of the directions with the log."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseact import KhatriRaoDesign, block_omp, greedy, rules
from sparseact.overlaps import Overlaps

pytestmark = pytest.mark.usefixtures("large")


class Direct(rules.LeastSquares):
    """The rule with a product of all directions for every selection."""

    def __init__(self, design, state):
        super().__init__(design, state)
        self._overlaps = None


def solve(design, y, k, rule, tol=-1.0):
    """Support, norms, the reason, weights, and the scores before each step."""
    scores = []

    def first_best(one):
        scores.append(one[0].copy())
        return best_of(one)

    best_of, lengths = greedy.first_best, np.array([design.n_rounds])
    with (
        patch.dict(rules.RULES, {"least_squares": rule}),
        patch.object(greedy, "first_best", first_best),
    ):
        supports, norms, reasons, state = greedy.greedy(design, y, lengths, k, tol, "least_squares")
    support = supports[0, supports[0] >= 0]
    return support, norms[0, : len(support) + 1], reasons[0], state.weights(len(support)), scores


def assert_same(design, y, k, tol=-1.0):
    """The same by both ways; the scores by products."""
    expected, norms, reason, weights, scores = solve(design, y, k, Direct, tol)
    support, found_norms, found_reason, found_weights, found_scores = solve(
        design, y, k, rules.LeastSquares, tol
    )
    assert support.tolist() == expected.tolist()
    assert found_reason == reason
    np.testing.assert_allclose(found_norms, norms, rtol=1e-9, atol=1e-11 * norms[0])
    assert (found_weights is None) == (weights is None)
    if weights is not None:
        np.testing.assert_allclose(found_weights, weights, rtol=1e-8, atol=1e-9)
    return scores, found_scores


def problem(rng, activations, d, k, noise):
    """A design, and rewards by k of its actions."""
    design = KhatriRaoDesign(rng.standard_normal((len(activations), d)), activations)
    signal = design.blocks(rng.permutation(design.n_blocks)[:k]) @ rng.standard_normal(k * d)
    return design, signal + noise * rng.standard_normal(len(signal))


NOISE = st.sampled_from([0.0, 1e-6, 0.1, 1.0, 10.0, 1e6])


@given(
    seed=st.integers(0, 10**6),
    T=st.integers(150, 400),
    M=st.integers(6, 300),
    d=st.integers(1, 6),
    noise=NOISE,
    kind=st.sampled_from(["normal", "single", "0/1", "positive", "scaled"]),
)
@settings(max_examples=60, deadline=None)
def test_answers_are_those_of_products_and_scores_far_from_a_tie(seed, T, M, d, noise, kind):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((T, M))
    X = {
        "normal": X,
        "single": X.astype(np.float32),
        "0/1": (X > 0).astype(np.float64),
        "positive": np.abs(X),
        "scaled": X * 10 ** rng.uniform(-3, 3, M),
    }[kind]
    design, y = problem(rng, X, d, 5, noise)
    scores, found = assert_same(design, y, 6)
    for one, other in zip(scores, found, strict=True):
        if one.max() > 1e-6 * scores[0].max():  # rounding is that of the residual, not of the score
            np.testing.assert_allclose(other, one, rtol=0, atol=1e-11 * one.max())
    assert_same(design, y, M, tol=0.3 * float(np.linalg.norm(y)))


@given(
    seed=st.integers(0, 10**6),
    T=st.integers(6, 120),
    M=st.integers(3, 120),
    d=st.integers(1, 5),
    k=st.integers(1, 25),
    noise=NOISE,
    kind=st.sampled_from(["normal", "near", "copies", "short", "zeros", "clusters"]),
)
@settings(max_examples=100, deadline=None)
def test_where_blocks_depend_on_each_other_choices_score_the_same(seed, T, M, d, k, noise, kind):
    # Short of rounds or rank, what explains the same rounds ties, to the rounding of either way.
    rng = np.random.default_rng(seed)
    X, Z = rng.standard_normal((T, M)), rng.standard_normal((T, d))
    like = rng.integers(0, max(1, M // 3), M)
    if kind == "near":
        X = X[:, like] + 10.0 ** rng.uniform(-9, -1) * X
    elif kind == "copies":
        X = X[:, like] * rng.choice([-1.0, 1.0, 3.0], M)
    elif kind == "short":
        Z = Z[:, rng.integers(0, d, d)]
    elif kind == "zeros":
        X *= rng.random((T, M)) < 0.1
    elif kind == "clusters":
        X = X[:, like % 5] + 0.1 * X
    design = KhatriRaoDesign(Z, X)
    y = X[:, :3].sum(axis=1) * Z.sum(axis=1) + noise * rng.standard_normal(T)
    k = min(k, M)
    expected, norms, _, _, scores = solve(design, y, k, Direct)
    found, found_norms, *_ = solve(design, y, k, rules.LeastSquares)
    same = int(np.append(expected[: len(found)] == found[: len(expected)], False).argmin())
    np.testing.assert_allclose(
        found_norms[: same + 1], norms[: same + 1], rtol=1e-7, atol=1e-10 * norms[0]
    )
    if same < min(len(expected), len(found)) and norms[same] > 1e-9 * norms[0]:
        one, other = scores[same][expected[same]], scores[same][found[same]]
        assert other >= (1 - 1e-4) * one


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("d", [1, 3])
def test_cross_grams_are_those_of_the_blocks(d, single):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 9)).astype(np.float32 if single else np.float64)
    design = KhatriRaoDesign(rng.standard_normal((50, d)), X)
    row, column = np.tril_indices(d)
    blocks = design.to_dense().reshape(50, 9, d)
    whole = np.einsum("tse,tjf->sefj", blocks[:, [4, 0]], blocks)
    np.testing.assert_allclose(
        design.cross_grams(np.array([4, 0])), whole[:, row, column], rtol=1e-12, atol=1e-12
    )


def looks_of(design, y, k):
    """Actions in each product of cross Grams, and directions in each other product after two."""
    grams, others = [], []
    cross, products = design.cross_grams, design.correlate_prefixes
    design.cross_grams = lambda actions: grams.append(len(actions)) or cross(actions)
    design.correlate_prefixes = lambda *asked: others.append(len(asked[0])) or products(*asked)
    found = block_omp(design, y, k, selection="least_squares")
    return found.support, grams, others


def test_cross_grams_of_clear_selections_come_in_one_product():
    rng = np.random.default_rng(1)
    k = 7
    design, y = problem(rng, rng.standard_normal((600, 300)), 3, k, 0.3)
    _, grams, others = looks_of(design, y, k)
    assert grams == [k - 1]
    assert others == []


def test_guesses_that_fail_are_not_made_again():
    # What scores as high as the best before it is selected has nothing to offer after it.
    rng = np.random.default_rng(2)
    X = np.repeat(rng.standard_normal((400, 6)), 20, axis=1)
    design, y = problem(rng, X + 1e-2 * rng.standard_normal(X.shape), 2, 0, 1.0)
    y += (X[:, ::20] @ np.array([6.0, 5.0, 4.0, 3.0, 2.0, 1.0])) * design.latents[:, 0] * 3
    support, grams, _ = looks_of(design, y, 6)
    assert sorted(support // 20) == list(range(6))
    assert grams[0] == 5
    assert grams[1:] == [1] * len(grams[1:])


def test_directions_that_a_gram_would_lose_are_multiplied_themselves():
    rng = np.random.default_rng(3)
    latents = rng.standard_normal((300, 2)) @ np.array([[1.0, 1.0], [0.0, 1e-3]])
    design = KhatriRaoDesign(latents, rng.standard_normal((300, 40)))
    _, grams, others = looks_of(design, rng.standard_normal(300), 4)
    assert grams == []
    assert others == [2] * 3


def test_what_is_kept_does_not_outgrow_the_log():
    rng = np.random.default_rng(4)
    design, y = problem(rng, rng.standard_normal((40, 60)), 3, 5, 1.0)
    sizes = []
    add = Overlaps.add

    def watched(self, *arguments):
        overlaps = add(self, *arguments)
        sizes.append(self._table.size + sum(gram.size for gram in self._grams.values()))
        return overlaps

    with patch.object(Overlaps, "add", watched):
        block_omp(design, y, 12, selection="least_squares")
    assert max(sizes) <= 2 * design.activations.size
    assert_same(design, y, 12)
