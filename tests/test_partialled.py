"""What is left of a log beside its baseline, against least squares on explicit columns."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from sparseact import KhatriRaoDesign, block_omp, block_omp_nested
from sparseact.partialled import Partialled
from sparseact.stopping import NoiseTest


def log(seed, n_rounds=60, n_actions=8, latent_dim=2, sparse=True):
    rng = np.random.default_rng(seed)
    latents = rng.standard_normal((n_rounds, latent_dim))
    used = (rng.random((n_rounds, n_actions)) < 0.3).astype(float)
    controls = np.column_stack([np.ones(n_rounds), latents, 2 * latents[:, 0] - 1])
    design = KhatriRaoDesign(latents, sp.csr_array(used) if sparse else used)
    return design, controls, rng.standard_normal(n_rounds)


def rest(columns, controls):
    """By least squares on the controls."""
    return columns - controls @ np.linalg.lstsq(controls, columns, rcond=None)[0]


@pytest.mark.parametrize("sparse", [True, False])
def test_blocks_and_rewards_are_what_least_squares_on_the_controls_leaves(sparse):
    design, controls, rewards = log(1, sparse=sparse)
    partialled = Partialled(design, controls)
    assert partialled.n_logged == 57  # one of the four controls follows from the others
    np.testing.assert_allclose(partialled.rest_of(rewards), rest(rewards, controls), atol=1e-12)
    left = rest(design.to_dense(), controls)
    blocks = left.reshape(60, 8, 2).transpose(1, 2, 0)
    whole = np.array([60])
    np.testing.assert_allclose(partialled.columns(np.arange(8), None), blocks, atol=1e-12)
    np.testing.assert_allclose(
        partialled.gram_prefixes(whole)[0], blocks @ blocks.transpose(0, 2, 1), atol=1e-11
    )
    np.testing.assert_allclose(
        partialled.correlate_start(rewards, whole)[0], blocks @ rest(rewards, controls), atol=1e-11
    )


@given(st.integers(0, 2**20), st.sampled_from(["correlation", "whitened", "least_squares"]))
def test_a_solve_is_that_of_the_explicit_columns(seed, selection):
    design, controls, rewards = log(seed)
    partialled = Partialled(design, controls)
    left = rest(design.to_dense(), controls)
    found = block_omp(partialled, partialled.rest_of(rewards), 3, selection=selection)
    # An orthonormal basis of what the controls leave, in which the log has fewer rounds.
    outside = np.linalg.qr(np.column_stack([controls[:, :3], np.eye(60)]))[0][:, 3:]
    residual, chosen = rest(rewards, controls), []
    for _ in range(3):
        scores = []
        for j in range(8):
            block = outside.T @ left[:, 2 * j : 2 * j + 2]
            target = outside.T @ residual
            if selection == "least_squares" and chosen:
                taken = outside.T @ np.column_stack([left[:, 2 * i : 2 * i + 2] for i in chosen])
                block = rest(block, taken)
            if selection == "correlation":
                scores.append(np.linalg.norm(block.T @ target))
            else:
                scores.append(np.linalg.norm(block @ np.linalg.lstsq(block, target, rcond=None)[0]))
            if j in chosen:
                scores[-1] = 0.0
        chosen.append(int(np.argmax(scores)))
        taken = np.column_stack([left[:, 2 * i : 2 * i + 2] for i in chosen])
        residual = rest(rest(rewards, controls), taken)
    assert found.support.tolist() == chosen
    np.testing.assert_allclose(found.residual_norms[-1], np.linalg.norm(residual), rtol=1e-9)


@given(st.integers(0, 2**20), st.lists(st.floats(-100, 100), min_size=4, max_size=4))
def test_what_the_controls_explain_changes_nothing(seed, by):
    design, controls, rewards = log(seed)
    partialled = Partialled(design, controls)
    shifted = rewards + controls @ np.array(by)
    one, other = (
        block_omp(partialled, partialled.rest_of(y), 3, selection="whitened")
        for y in (rewards, shifted)
    )
    assert one.support.tolist() == other.support.tolist()
    np.testing.assert_allclose(one.weights, other.weights, atol=1e-9)


def test_an_action_that_every_round_uses_is_the_baseline_and_is_not_selected():
    design, _, rewards = log(3)
    used = design.activations.toarray()
    used[:, 5], used[:, 6] = 1.0, used[:, 2]
    design = KhatriRaoDesign(design.latents, sp.csr_array(used))
    partialled = Partialled(design, np.column_stack([np.ones(60), design.latents]))
    assert not partialled.gram_prefixes(np.array([60]))[0, 5].any()
    found = block_omp(partialled, partialled.rest_of(rewards), 8, selection="whitened")
    assert 5 not in found.support
    assert len({2, 6} & set(found.support.tolist())) == 1
    assert found.stop_reason == "no_candidates"


def test_a_stopping_rule_knows_what_the_baseline_used_up():
    rng = np.random.default_rng(8)
    design, controls, _ = log(4, n_rounds=400)
    partialled = Partialled(design, controls)
    kept = [
        len(
            block_omp(
                partialled,
                partialled.rest_of(rng.standard_normal(400) + 5),
                selection="whitened",
                stopping=NoiseTest(0.2),
            ).support
        )
        for _ in range(400)
    ]
    # A family-wise error of 0.2: 80 of 400 at most, but for chance.
    assert np.count_nonzero(kept) <= 80 + 3 * 8


def test_what_it_cannot_do_is_said():
    design, controls, rewards = log(5)
    partialled = Partialled(design, controls)
    with pytest.raises(ValueError, match="take the rounds of a prefix first"):
        block_omp_nested(partialled, rewards, [30, 60], 2)
    with pytest.raises(ValueError, match="controls must have shape"):
        Partialled(design, controls[:-1])
    with pytest.raises(TypeError, match="design must be a KhatriRaoDesign"):
        Partialled(design.to_dense(), controls)
