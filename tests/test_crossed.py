"""Block-OMP from products alone: what the rounds themselves would say."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseact import KhatriRaoDesign, block_omp
from sparseact.crossed import Crossed
from sparseact.partialled import Partialled
from sparseact.simulate import draw_sets


def problem(seed, T=400, M=12, d=3, B=4, relevant=4):
    """States with a constant, sets, and rewards with a baseline."""
    rng = np.random.default_rng(seed)
    states = np.column_stack([np.ones(T), rng.standard_normal((T, d - 1))])
    sets = draw_sets(M, B, T, rng)
    weights = np.zeros((M, d))
    weights[rng.permutation(M)[:relevant]] = rng.standard_normal((relevant, d))
    rewards = np.einsum("tbd,td->t", weights[sets], states) + rng.standard_normal(T)
    return states, sets, rewards + states @ rng.standard_normal(d) * 5


def crossed(states, sets, *rewards, n_actions=12, cuts=()):
    sums = Crossed(n_actions, states.shape[1], len(rewards))
    ends = [0, *cuts, len(states)]
    for start, end in itertools.pairwise(ends):
        sums.add(states[start:end], sets[start:end], np.array(rewards)[:, start:end])
    return sums.whitened()


def partialled(states, sets, n_actions=12):
    return Partialled(KhatriRaoDesign.from_actions(states, sets, n_actions=n_actions), states)


def whitened_blocks(states, sets, n_actions=12):
    """(T, M, d) orthonormal bases of what the states leave of each block, by QR."""
    base, _ = np.linalg.qr(states)
    bases = []
    for j in range(n_actions):
        block = (sets == j).any(axis=1)[:, None] * states
        bases.append(np.linalg.qr(block - base @ (base.T @ block))[0])
    return np.stack(bases, axis=1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 6))
def test_the_path_is_that_of_the_rounds(seed, d, B):
    states, sets, rewards = problem(seed, d=d, B=B)
    rounds = partialled(states, sets)
    found = block_omp(rounds, rounds.rest_of(rewards), n_select=8, selection="whitened")
    path = crossed(states, sets, rewards, cuts=(1, 150)).path(0, 8)
    assert path.tolist() == found.support.tolist()


def test_rewards_on_one_log_are_solved_for_each_by_itself():
    states, sets, rewards = problem(3)
    other = np.random.default_rng(5).standard_normal(len(rewards))
    both = crossed(states, sets, rewards, other)
    for i, one in enumerate((rewards, other)):
        assert both.path(i, 6).tolist() == crossed(states, sets, one).path(0, 6).tolist()


def test_an_action_that_was_never_used_is_never_selected():
    states, sets, rewards = problem(1)
    white = crossed(states, sets, rewards, n_actions=14)
    path = white.path(0, 14)
    assert not {12, 13} & {*path.tolist()}
    # Sets of one size add up to the baseline, so that the last block has nothing left.
    assert len(path) == 11


def test_actions_that_are_used_in_every_round_are_the_baseline():
    states, sets, rewards = problem(2)
    always = np.column_stack([np.full(len(sets), 12), sets])
    assert 12 not in crossed(states, always, rewards, n_actions=13).path(0, 13)


def test_products_and_correlations_are_of_orthonormal_blocks():
    states, sets, rewards = problem(7)
    white = crossed(states, sets, rewards)
    Q = whitened_blocks(states, sets)
    for j in range(12):
        length = np.linalg.norm(Q[:, j].T @ rewards)
        np.testing.assert_allclose(np.linalg.norm(white.correlations[0, j]), length)
    first, second = np.triu_indices(12, 1)
    norms = [np.linalg.norm(Q[:, i].T @ Q[:, j], 2) for i, j in zip(first, second, strict=True)]
    np.testing.assert_allclose(white.coherence(first, second), norms)
    assert white.mutual_coherence() == pytest.approx(max(norms))


def test_the_exact_recovery_coefficient_is_that_of_orthonormal_blocks():
    states, sets, rewards = problem(11, d=2)
    white = crossed(states, sets, rewards)
    Q = whitened_blocks(states, sets)
    S, rest = [1, 4, 7], [j for j in range(12) if j not in (1, 4, 7)]
    within = Q[:, S].reshape(len(Q), -1)
    solved = np.linalg.pinv(within) @ Q[:, rest].reshape(len(Q), -1)
    blocks = solved.reshape(3, 2, len(rest), 2)
    sums = [sum(np.linalg.norm(blocks[i, :, j], 2) for i in range(3)) for j in range(len(rest))]
    assert white.exact_recovery_coefficient(S) == pytest.approx(max(sums))
    # All blocks together are the baseline, so that the last follows from the others.
    assert white.exact_recovery_coefficient(range(12)) == np.inf


def test_the_factor_has_the_same_products():
    states, sets, rewards = problem(13)
    white = crossed(states, sets, rewards)
    X, y = white.factor(0)
    np.testing.assert_allclose(X.T @ X, white.products, atol=1e-9)
    np.testing.assert_allclose(X.T @ y, white.correlations[0].ravel(), atol=1e-7)
    assert len(X) == 11 * 3  # one block follows from the others


@pytest.mark.parametrize(
    ("add", "message"),
    [
        ((np.ones((3, 2)), np.zeros((2, 1), int), np.ones((1, 3))), r"sets must have shape \(3, B"),
        ((np.ones((3, 1)), np.zeros((3, 1), int), np.ones((1, 3))), "latents"),
        ((np.ones((3, 2)), np.zeros((3, 1), int), np.ones((2, 3))), "rewards"),
        ((np.ones((3, 2)), np.full((3, 1), 4), np.ones((1, 3))), "actions from 0 to 3"),
        ((np.full((3, 2), np.nan), np.zeros((3, 1), int), np.ones((1, 3))), "latents"),
    ],
)
def test_what_does_not_fit_is_refused(add, message):
    with pytest.raises(ValueError, match=message):
        Crossed(4, 2).add(*add)
    with pytest.raises(ValueError, match="n_actions"):
        Crossed(0, 2)
