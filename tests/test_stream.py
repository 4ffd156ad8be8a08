"""A log that grows is solved as if it had been there from the start."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseact import BlockOMP, KhatriRaoDesign, block_omp
from sparseact.estimator import DenseBlocks
from sparseact.stopping import EBIC, CrossValidation, NoiseTest
from sparseact.stream import Stream

SELECTIONS = ("correlation", "whitened", "least_squares")


def growing(rng, T=90, d=2, k=3, noise=0.3, sparse=True, n_pieces=4):
    """A log whose actions appear over time: latents, activations, rewards, and its pieces."""
    ends = [*np.sort(rng.choice(np.arange(1, T), n_pieces - 1, replace=False)).tolist(), T]
    widths = np.sort(rng.integers(4, 14, n_pieces)).tolist()
    M = widths[-1]
    latents = rng.standard_normal((T, d))
    used = (rng.random((T, M)) < 0.4).astype(float) if sparse else rng.choice([-1.0, 1.0], (T, M))
    start, pieces = 0, []
    for end, width in zip(ends, widths, strict=True):
        used[start:end, width:] = 0.0
        pieces.append((slice(start, end), width))
        start = end
    support = rng.choice(M, k, replace=False)
    weights = rng.standard_normal((k, d))
    rewards = np.einsum("tk,kd,td->t", used[:, support], weights, latents)
    return latents, used, rewards + noise * rng.standard_normal(T), pieces


def assert_same(found, plain):
    assert found.support.tolist() == plain.support.tolist()
    assert found.stop_reason == plain.stop_reason
    assert found.rank == plain.rank
    assert found.undiscoverable.tolist() == plain.undiscoverable.tolist()
    scale = plain.residual_norms[0]
    np.testing.assert_allclose(found.residual_norms, plain.residual_norms, atol=1e-9 * scale)
    np.testing.assert_allclose(found.weights, plain.weights, rtol=1e-6, atol=1e-9)


@settings(deadline=None, max_examples=80)
@given(
    seed=st.integers(0, 10**6),
    selection=st.sampled_from(SELECTIONS),
    sparse=st.booleans(),
    store=st.sampled_from([np.asarray, sp.csr_array]),
    rule=st.sampled_from([None, NoiseTest(0.1), EBIC(0.5)]),
)
def test_after_every_piece_the_answer_is_that_from_scratch(seed, selection, sparse, store, rule):
    rng = np.random.default_rng(seed)
    latents, used, rewards, pieces = growing(rng, sparse=sparse)
    stream = Stream(selection)
    for where, width in pieces:
        piece = KhatriRaoDesign(latents[where], store(used[where, :width]))
        stream.add(piece, rewards[where])
        whole = KhatriRaoDesign(latents[: where.stop], used[: where.stop, :width])
        k = min(3, width) if rule is None else 4
        plain = block_omp(whole, rewards[: where.stop], k, selection=selection, stopping=rule)
        assert_same(stream.solve(k, stopping=rule), plain)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_more_can_be_asked_for_later(selection):
    rng = np.random.default_rng(1)
    latents, used, rewards, pieces = growing(rng)
    stream = Stream(selection)
    for where, width in pieces:
        stream.add(KhatriRaoDesign(latents[where], used[where, :width]), rewards[where])
    whole = KhatriRaoDesign(latents, used)
    for k in (1, 5, 2, used.shape[1]):
        assert_same(stream.solve(k), block_omp(whole, rewards, k, selection=selection))


def test_old_rounds_are_not_looked_at_while_the_answer_holds():
    rng = np.random.default_rng(2)
    latents, signs = rng.standard_normal((2000, 2)), rng.choice([-1.0, 1.0], (2000, 30))
    effects = np.einsum("tk,kd,td->t", signs[:, :3], np.ones((3, 2)), latents)
    rewards = effects + 0.5 * rng.standard_normal(2000)
    stream = Stream()
    looks = []
    for start in range(0, 2000, 100):
        where = slice(start, start + 100)
        stream.add(KhatriRaoDesign(latents[where], signs[where]), rewards[where])
        assert {*stream.solve(3).support} == {0, 1, 2}
        looks.append(stream.n_looks)
    assert looks[0] == 1
    assert looks[-1] == looks[0]


def test_a_relevant_action_that_appears_later_is_found_and_old_weights_stay():
    rng = np.random.default_rng(3)
    latents, signs = rng.standard_normal((800, 2)), rng.choice([-1.0, 1.0], (800, 12))
    signs[:400, 8:] = 0.0
    weights = np.array([[1.0, 0.5], [0.0, 1.0], [1.0, -1.0]])
    rewards = np.einsum("tk,kd,td->t", signs[:, [1, 5, 10]], weights, latents)
    rewards += 0.1 * rng.standard_normal(800)
    stream = Stream("whitened")
    stream.add(KhatriRaoDesign(latents[:400], signs[:400, :8]), rewards[:400])
    assert {*stream.solve(2).support} == {1, 5}
    stream.add(KhatriRaoDesign(latents[400:], signs[400:]), rewards[400:])
    found = stream.solve(3)
    assert {*found.support} == {1, 5, 10}
    np.testing.assert_allclose(found.weights[np.argsort(found.support)], weights, atol=0.05)


def test_blocks_of_a_plain_matrix_can_arrive_in_pieces():
    rng = np.random.default_rng(4)
    matrix = rng.standard_normal((60, 12))
    rewards = matrix[:, 3:6].sum(axis=1) + 0.1 * rng.standard_normal(60)
    stream = Stream()
    for where in (slice(0, 25), slice(25, 60)):
        stream.add(DenseBlocks(matrix[where], 3), rewards[where])
    assert_same(stream.solve(2), block_omp(DenseBlocks(matrix, 3), rewards, 2))


def test_what_does_not_fit_is_refused_and_nothing_is_taken_in():
    rng = np.random.default_rng(5)
    latents, used = rng.standard_normal((20, 2)), rng.choice([-1.0, 1.0], (20, 5))
    design, rewards = KhatriRaoDesign(latents, used), rng.standard_normal(20)
    stream = Stream()
    with pytest.raises(ValueError, match="there are no rounds yet"):
        stream.solve(1)
    stream.add(design, rewards)
    before = stream.solve(2)
    with pytest.raises(ValueError, match="new rounds have 4 actions, earlier ones 5"):
        stream.add(KhatriRaoDesign(latents, used[:, :4]), rewards)
    with pytest.raises(ValueError, match="have 1 dimensions, those of earlier rounds 2"):
        stream.add(KhatriRaoDesign(latents[:, :1], used), rewards)
    with pytest.raises(ValueError, match="rewards must have shape"):
        stream.add(design, rewards[:-1])
    with pytest.raises(TypeError, match="cross-validation wants a log whose rounds are at hand"):
        stream.solve(stopping=CrossValidation())
    with pytest.raises(ValueError, match="selection must be one of"):
        Stream("best")
    assert_same(stream.solve(2), before)


def test_the_estimator_learns_in_pieces_what_it_learns_at_once():
    rng = np.random.default_rng(6)
    latents, used, rewards, pieces = growing(rng)
    model = BlockOMP(n_select=3, selection="whitened")
    for where, width in pieces:
        piece = KhatriRaoDesign(latents[where], used[where, :width])
        model.partial_fit(piece, rewards[where])
        assert model.n_features_in_ == 2 * width
    whole = KhatriRaoDesign(latents, used)
    at_once = BlockOMP(n_select=3, selection="whitened").fit(whole, rewards)
    assert model.support_.tolist() == at_once.support_.tolist()
    np.testing.assert_allclose(model.coef_, at_once.coef_, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(model.predict(whole), at_once.predict(whole), atol=1e-9)
    matrix = whole.to_dense()
    pieces = BlockOMP(n_select=3, block_size=2, selection="whitened")
    for where in (slice(0, 30), slice(30, 31), slice(31, 90)):
        pieces.partial_fit(matrix[where], rewards[where])
    np.testing.assert_allclose(pieces.coef_, at_once.coef_, rtol=1e-7, atol=1e-10)
    # A fit begins anew, and so does what is taken in after it.
    pieces.fit(matrix[:50], rewards[:50]).partial_fit(matrix, rewards)
    np.testing.assert_allclose(pieces.coef_, at_once.coef_, rtol=1e-7, atol=1e-10)


def test_a_failed_partial_fit_takes_in_nothing():
    rng = np.random.default_rng(6)
    latents, used, rewards, _ = growing(rng)
    design = KhatriRaoDesign(latents, used)
    estimator = BlockOMP(3).partial_fit(design.head(40), rewards[:40])
    for wrong in ({"n_select": 99}, {"stopping": CrossValidation()}, {"residual_tol": -1.0}):
        with pytest.raises((ValueError, TypeError)):
            estimator.set_params(**wrong).partial_fit(
                design.rounds(np.arange(90) >= 40), rewards[40:]
            )
        estimator.set_params(n_select=3, stopping=None, residual_tol=None)
    estimator.partial_fit(design.rounds(np.arange(90) >= 40), rewards[40:])
    np.testing.assert_allclose(estimator.coef_, BlockOMP(3).fit(design, rewards).coef_, atol=1e-9)
    first = BlockOMP(99)
    with pytest.raises(ValueError, match="n_select must lie between"):
        first.partial_fit(design, rewards)
    first.set_params(n_select=3).partial_fit(design, rewards)
    assert first.residual_norms_[0] == pytest.approx(np.linalg.norm(rewards))


@pytest.mark.parametrize("plain", [True, False])
def test_rounds_taken_in_are_copies(plain):
    rng = np.random.default_rng(7)
    latents, used, rewards, _ = growing(rng, sparse=False, k=5)
    whole = KhatriRaoDesign(latents, used)
    blocks = whole.to_dense()
    room, answers = np.empty((30, blocks.shape[1])), np.empty(30)
    states, actions = np.empty((30, 2)), np.empty((30, used.shape[1]))
    estimator = BlockOMP(1, block_size=2)
    for start in (0, 30, 60):
        part = slice(start, start + 30)
        room[:], answers[:], states[:], actions[:] = (
            blocks[part],
            rewards[part],
            latents[part],
            used[part],
        )
        estimator.partial_fit(room if plain else KhatriRaoDesign(states, actions), answers)
    room[:], answers[:], states[:], actions[:] = 0.0, 0.0, 0.0, 0.0
    estimator.set_params(n_select=6).partial_fit(
        *((blocks[:1], rewards[:1]) if plain else (whole.head(1), rewards[:1]))
    )
    again = np.concatenate([np.arange(90), [0]])
    at_once = BlockOMP(6, block_size=2).fit(blocks[again], rewards[again])
    assert estimator.support_.tolist() == at_once.support_.tolist()
    np.testing.assert_allclose(estimator.coef_, at_once.coef_, atol=1e-9)


def test_the_rule_of_selection_stays():
    rng = np.random.default_rng(8)
    latents, used, rewards, _ = growing(rng)
    design = KhatriRaoDesign(latents, used)
    estimator = BlockOMP(2).partial_fit(design, rewards)
    for other in ("whitened", "nonsense"):
        with pytest.raises(ValueError, match="selection cannot change from 'correlation'"):
            estimator.set_params(selection=other).partial_fit(design, rewards)
