"""Verdicts on the actions of a log: against explicit least squares, and what made the log."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseact import KhatriRaoDesign
from sparseact.discovery.beside import beside_alike, beside_all
from sparseact.discovery.companions import Companions, companions
from sparseact.discovery.evidence import Judged, detectable, evidence, noncentrality
from sparseact.discovery.grams import combined
from sparseact.discovery.judge import discover
from sparseact.discovery.robust import left_over, robust_p_values
from sparseact.discovery.states import Scale
from sparseact.partialled import Partialled


def usage(rng, n_rounds, n_actions, per_round=3):
    """(T, M) sets of actions of unequal popularity."""
    popularity = 1 / np.arange(1, n_actions + 1) ** 0.7
    keys = np.log(rng.exponential(size=(n_rounds, n_actions))) - np.log(popularity)
    used = np.zeros((n_rounds, n_actions))
    np.put_along_axis(used, np.argsort(keys, axis=1)[:, :per_round], 1.0, axis=1)
    return used


def made(seed, n_rounds=600, n_actions=12, latent_dim=2):
    """States, usage and rewards of a log in which actions 1 and 4 matter."""
    rng = np.random.default_rng(seed)
    latents = rng.standard_normal((n_rounds, latent_dim)) @ [[2, 1], [0, 0.5]] + 3
    used = usage(rng, n_rounds, n_actions)
    states = Scale.of(latents).augmented(latents)
    weights = np.zeros((n_actions, 3))
    weights[1], weights[4] = [0.6, 0.3, 0.0], [0.0, 0.6, -0.4]
    rewards = 2 + latents @ [0.5, -1] + np.einsum("tm,md,td->t", used, weights, states)
    return latents, used, rewards + 0.5 * rng.standard_normal(n_rounds)


def partialled(latents, used):
    states = Scale.of(latents).augmented(latents)
    return Partialled(KhatriRaoDesign(states, sp.csr_array(used)), states)


def alike(near, n_actions=12):
    """Actions that are taken for near-copies of some."""
    actions, coherence = np.full((n_actions, 3), -1), np.zeros((n_actions, 3))
    for action, others in near.items():
        actions[action, : len(others)], coherence[action, : len(others)] = others, 0.9
    return Companions(actions, coherence)


def explicit(design, rewards, action, others):
    """Gram and weights of an action beside others, by least squares on explicit columns."""
    blocks = design.design.to_dense().reshape(design.n_rounds, design.n_blocks, -1)
    controls = np.column_stack([design.basis, *(blocks[:, j] for j in others)])
    block, target = (
        it - controls @ np.linalg.lstsq(controls, it, rcond=None)[0]
        for it in (blocks[:, action], rewards)
    )
    gram = block.T @ block
    return gram, np.linalg.solve(gram, block.T @ target), target


# -- states ----------------------------------------------------------------------------------------


def test_states_are_brought_to_one_scale():
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((500, 3)) @ rng.standard_normal((3, 3)) + [5, 0, -2]
    latents = np.column_stack([latents, latents[:, 0] - latents[:, 1], np.full(500, 7.0)])
    scale = Scale.of(latents)
    states = scale.augmented(latents)
    assert states.shape == (500, 4)  # one follows from two others, one is constant
    np.testing.assert_allclose(states.T @ states / 500, np.eye(4), atol=1e-10)
    weights = rng.standard_normal((2, 4))
    effects = states @ weights.T
    slopes = scale.slopes(weights)
    np.testing.assert_allclose(effects, weights[:, 0] + (latents - scale.mean) @ slopes.T)
    np.testing.assert_allclose(
        np.sqrt((effects**2).mean(axis=0)), np.linalg.norm(weights, axis=1), rtol=1e-9
    )


# -- evidence --------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**20), st.lists(st.integers(0, 11), max_size=4, unique=True))
def test_evidence_is_that_of_explicit_least_squares(seed, selected):
    latents, used, rewards = made(seed, n_rounds=200)
    design = partialled(latents, used)
    near = {selected[0]: [11], 9: [2, 3]} if selected and selected[0] != 11 else {}
    judged = Judged.by(design, rewards)
    told, regression = evidence(judged, selected)
    if near:
        told = beside_alike(told, regression, judged, selected, alike(near), [9]).told
    for action in {0, 1, 4, 9, 11, *selected}:
        others = [j for j in selected if j != action]
        others += [j for j in near.get(action, ()) if j not in others and j != action]
        gram, weights, _ = explicit(design, rewards, action, others)
        inverse = np.linalg.inv(gram)
        np.testing.assert_allclose(told.weights[action], weights, atol=1e-9)
        noisier = told.noise_ratio[action] ** 2
        energy = weights @ gram @ weights / noisier
        np.testing.assert_allclose(told.energy[action], energy, rtol=1e-8)
        inverse = noisier * inverse
        spreads = np.linalg.eigvalsh(inverse)
        np.testing.assert_allclose(told.spread[action], spreads[-1], rtol=1e-8)
        np.testing.assert_allclose(told.narrowest[action], spreads[0], rtol=1e-8)
        np.testing.assert_allclose(told.total[action], spreads.sum(), rtol=1e-8)
        mean_state = design.design.latents[used[:, action] > 0].mean(axis=0)
        np.testing.assert_allclose(told.mean[action], weights @ mean_state, atol=1e-9)
        spread = mean_state @ inverse @ mean_state
        np.testing.assert_allclose(told.mean_spread[action], spread, rtol=1e-8)
    left = explicit(design, rewards, 0, selected)[2]
    np.testing.assert_allclose(regression.residual, left, atol=1e-10)
    np.testing.assert_allclose(told.noise, left @ left, rtol=1e-9)
    assert told.free == 200 - 3 - 3 * len(selected)
    own = (used.T @ left**2) / used.sum(axis=0) / (left @ left / 200)
    np.testing.assert_allclose(told.noise_ratio**2, np.maximum(own, 1.0), rtol=1e-8)


def p_values(design, rewards, selected, near):
    judged = Judged.by(design, rewards)
    found = beside_alike(*evidence(judged, selected), judged, selected, alike(near), [])
    return robust_p_values(judged, found.parts, found.within)


def f_test(design, rewards, action, others):
    """p-value of the F test of nested models."""
    without, within = (explicit(design, rewards, 0, it)[2] for it in (others, [*others, action]))
    d = design.block_size
    free = design.n_logged - d * (len(others) + 1)
    drop = without @ without - within @ within
    return scipy.stats.f.sf(drop / d / (within @ within / free), d, free)


@pytest.mark.parametrize("n_rounds", [150, 30_000])
def test_p_values_are_those_of_the_f_test_where_noise_is_alike_and_no_less(n_rounds):
    latents, used, rewards = made(5, n_rounds=n_rounds)
    rng = np.random.default_rng(5)
    # An effect that is there, but not so plain that all p-values vanish.
    rewards = rewards + rng.standard_normal(n_rounds) * np.sqrt(n_rounds) / 12
    design = partialled(latents, used)
    p = p_values(design, rewards, [1, 4, 7], {1: [2]})
    beside = {1: [4, 7, 2], 4: [1, 7], 7: [1, 4]}
    plain = [f_test(design, rewards, j, others) for j, others in beside.items()]
    assert (p >= 0.98 * np.array(plain)).all()
    if n_rounds > 1000:
        scores, expected = scipy.stats.norm.isf(p), scipy.stats.norm.isf(plain)
        np.testing.assert_allclose(scores, expected, atol=0.25)


@pytest.mark.parametrize("selected", [[], [1, 4]])
def test_where_rounds_are_many_every_action_is_told_beside_all_others(selected):
    latents, used, rewards = made(7, n_rounds=2000)
    used *= np.random.default_rng(7).random(used.shape) < 0.8  # not as many in every round
    design = partialled(latents, used)
    judged = Judged.by(design, rewards)
    found = beside_all(evidence(judged, selected)[0], judged, selected)
    assert found.everything
    assert not found.relative.any()
    for action in range(12):
        others = [j for j in range(12) if j != action]
        gram, weights, _ = explicit(design, rewards, action, others)
        within = explicit(design, rewards, action, range(12))[2]
        np.testing.assert_allclose(found.told.weights[action], weights, atol=1e-10)
        spread = np.linalg.eigvalsh(np.linalg.inv(gram))[-1]
        noisier = found.told.noise_ratio[action] ** 2
        np.testing.assert_allclose(found.told.spread[action], noisier * spread, rtol=1e-8)
        if action in selected:
            part = found.parts[selected.index(action)]
            np.testing.assert_allclose(part.gram, gram, rtol=1e-8)
            rows = combined(design, part.blocks, part.coefficients)
            np.testing.assert_allclose(rows.T @ rows, gram, rtol=1e-8, atol=1e-8)
            np.testing.assert_allclose(rows.T @ rewards, part.correlation, atol=1e-8)
    np.testing.assert_allclose(found.told.noise, within @ within, rtol=1e-10)
    assert found.told.free == 2000 - 3 - 36


def test_what_follows_from_a_few_others_is_not_told():
    latents, used, rewards = made(7, n_rounds=2000)
    used[:, 7] = used[:, 4]
    used[:, 11] = used.sum(axis=1) % 3 == 0
    used[:, 10] = 1 - used[:, 11]  # one of these two in every round
    design = partialled(latents, used)
    judged = Judged.by(design, rewards)
    found = beside_all(evidence(judged, [1, 4])[0], judged, [1, 4])
    assert not found.relative.any()
    assert np.flatnonzero(found.told.rank == 0).tolist() == [4, 7, 10, 11]
    assert robust_p_values(judged, found.parts, found.within)[1] == 1
    for action in (0, 1, 2):
        others = [j for j in range(12) if j not in (action, 7, 10)]  # which span the same
        gram, weights, _ = explicit(design, rewards, action, others)
        np.testing.assert_allclose(found.told.weights[action], weights, atol=1e-8)
        spread = found.told.noise_ratio[action] ** 2 * np.linalg.eigvalsh(np.linalg.inv(gram))[-1]
        np.testing.assert_allclose(found.told.spread[action], spread, rtol=1e-5)


@pytest.mark.parametrize("odd", [0, 1])
def test_where_every_round_uses_as_many_effects_are_differences_from_their_mean(odd):
    latents, used, _ = made(7, n_rounds=4000, n_actions=40)
    used[:odd, np.flatnonzero(used[0])[0]] = 0
    states = Scale.of(latents).augmented(latents)
    weights = np.random.default_rng(7).standard_normal((40, 3))
    rewards = np.einsum("tm,md,td->t", used, weights, states)
    design = partialled(latents, used)
    judged = Judged.by(design, rewards)
    found = beside_all(evidence(judged, [3])[0], judged, [3])
    assert found.relative.all()
    assert found.as_many == 3
    given = weights - found.told.weights
    spread_of = 0.2 if odd else 1e-8  # a single round tells, but hardly anything
    np.testing.assert_allclose(given, np.broadcast_to(given.mean(0), (40, 3)), atol=spread_of)
    by_use = np.trace(design.grams, axis1=1, axis2=2)
    by_use[3] = 0
    mean = by_use @ found.told.weights / by_use.sum()
    np.testing.assert_allclose(mean, 0, atol=1e-3)


@pytest.mark.parametrize("share", [1.0, 0.99, 0.9])
@pytest.mark.parametrize("case", ["parent", "slot"])
def test_what_few_others_stand_for_is_not_judged_as_if_they_did_nothing(case, share):
    """A parent that is used with any of its children, or one of five models in every round."""
    wrong = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        n, group = 4000, 8 if case == "parent" else 5
        used = (rng.random((n, 30)) < 0.1).astype(float)
        used[:, : group + 1] = 0
        child = rng.integers(1, group + 1, n)
        there = rng.random(n) < (0.5 if case == "parent" else share)
        used[np.flatnonzero(there), child[there]] = 1
        effects = np.zeros(30)
        effects[1 : group + 1] = 0.5
        if case == "parent":
            used[:, 0] = there & (rng.random(n) < share)
        else:
            effects[1] = 0
        rewards = used @ effects + 0.5 * rng.standard_normal(n)
        found = discover(
            KhatriRaoDesign(np.zeros((n, 1)), sp.csr_array(used)), rewards, threshold=0.3
        )
        verdict = found.verdicts.verdict
        wrong += (verdict[effects == 0] == "relevant").any()
        wrong += (verdict[effects > 0] == "prunable").any()
    assert wrong <= scipy.stats.binom.ppf(0.9999, 24, 0.05)


def test_noncentralities_invert_the_distribution_they_are_of():
    statistic = np.array([0.5, 6.0, 40.0, 900.0])
    degrees = np.array([1, 3, 17, 3])
    for probability in (1e-7, 0.05, 0.95):
        bound = noncentrality(statistic, degrees, probability)
        central = scipy.stats.chi2.cdf(statistic, degrees)
        assert (bound[central <= probability] == 0).all()
        some = central > probability
        back = scipy.stats.ncx2.cdf(statistic[some], degrees[some], bound[some])
        np.testing.assert_allclose(back, probability, rtol=1e-6)
    critical = scipy.stats.chi2.isf(1e-4, 5)
    assert scipy.stats.ncx2.sf(critical, 5, detectable(5, 1e-4, 0.8)) == pytest.approx(0.8)


def test_bounds_on_the_size_of_an_effect_hold_as_often_as_they_say():
    rng = np.random.default_rng(11)
    used = usage(rng, 150, 6)
    latents = rng.standard_normal((150, 2))
    design = partialled(latents, used)
    states = design.design.latents
    weights = np.zeros((6, 3))
    weights[1], weights[4] = [0.6, 0.3, 0.0], [0.0, 0.2, -0.1]
    clean = np.einsum("tm,md,td->t", used, weights, states)
    true = np.linalg.norm(weights, axis=1)
    mean = [weights[j] @ states[used[:, j] > 0].mean(axis=0) for j in range(6)]
    alpha, trials = 0.1, 1000
    missed = np.zeros((4, 6))
    for _ in range(trials):
        judged = Judged.by(design, clean + 0.5 * rng.standard_normal(150))
        told, _ = evidence(judged, [1, 4])
        low, high = told.size_interval(np.full(6, alpha))
        mean_low, mean_high = told.mean_interval(np.full(6, 2 * alpha))
        missed += [low > true, high < true, mean_low > mean, mean_high < mean]
    most = scipy.stats.binom.ppf(0.9999, trials, alpha)
    assert (missed <= most).all()
    # Exact for the mean, so not far from what they say either.
    assert (missed[2:] >= scipy.stats.binom.ppf(0.0001, trials, alpha)).all()


def test_near_copies_and_actions_without_rounds_have_no_bound():
    latents, used, rewards = made(3)
    used[:, 7], used[:, 8], used[:, 9] = used[:, 4], 1.0, 0.0
    design = partialled(latents, used)
    judged = Judged.by(design, rewards)
    told, alone = evidence(judged, [1, 4])
    assert np.isinf(told.spread[[7, 8, 9]]).all()
    assert told.rank[[7, 8, 9]].tolist() == [0, 0, 0]
    assert p_values(design, rewards, [1, 4], {4: [7]})[1] == 1
    assert p_values(design, rewards, [1, 8], {})[1] == 1
    low, high = told.size_interval(np.full(12, 0.1))
    assert (low[[7, 8, 9]] == 0).all()
    assert np.isinf(high[[7, 8, 9]]).all()
    apart = beside_alike(told, alone, judged, [1, 4], alike({4: [7]}), []).told
    assert apart.rank[4] == 0
    assert apart.rank[1] == 3


# -- companions ------------------------------------------------------------------------------------


def coherence_of(design, i, j):
    """Cosine of the smallest angle between what the baseline leaves of two blocks."""
    bases = []
    for action in (i, j):
        block = design.columns(np.array([action]), None)[0].T
        left, singular, _ = np.linalg.svd(block, full_matrices=False)
        bases.append(left[:, singular > 1e-7 * np.sqrt(design.energy[action])])
    if not bases[0].size or not bases[1].size:
        return 0.0
    return np.linalg.norm(bases[0].T @ bases[1], 2)


@pytest.mark.parametrize("seed", range(4))
def test_companions_have_the_coherence_of_their_blocks(seed):
    rng = np.random.default_rng(seed)
    latents = rng.standard_normal((400, 2))
    used = usage(rng, 400, 20)
    used[:, 9] = used[:, 4]  # the same
    used[:, 10] = np.where(rng.random(400) < 0.8, used[:, 3], used[:, 10])  # nearly
    used[:, 11] = 1 - used[:, 12]  # one or the other, in every round
    used[:, 13], used[:, 14] = 1.0, 0.0
    design = partialled(latents, used)
    found = companions(design)
    for j in range(20):
        for other, coherence in zip(found.actions[j], found.coherence[j], strict=True):
            expected = coherence_of(design, j, other) if other >= 0 else 0.0
            assert coherence == pytest.approx(expected, abs=1e-7)
    assert (np.diff(found.coherence) <= 0).all()
    assert found.actions[[4, 9, 3, 10, 11, 12], 0].tolist() == [9, 4, 10, 3, 12, 11]
    assert found.coherence[[4, 11], 0] == pytest.approx([1, 1])
    assert (found.actions[[13, 14]] == -1).all()


# -- verdicts --------------------------------------------------------------------------------------


def test_a_log_is_told_by_what_made_it():
    latents, used, rewards = made(1, n_rounds=6000)
    used[:, 9], used[:, 10], used[:, 11] = used[:, 4], 1.0, 0.0
    used[:, 8] = 0.0
    used[:20, 8] = 1.0
    names = [f"tool_{j}" for j in range(12)]
    design = KhatriRaoDesign(latents, sp.csr_array(used))
    found = discover(design, rewards, names=names, threshold=0.3)
    assert found.named("relevant") == ["tool_1"]
    assert found.named("prunable") == [f"tool_{j}" for j in (0, 2, 3, 5, 6, 7)]
    reasons = dict(zip(names, found.verdicts.reason.tolist(), strict=True))
    assert reasons["tool_4"] == reasons["tool_9"] == "confounded"  # one of them matters
    assert found.companions.actions[[4, 9], 0].tolist() == [9, 4]
    assert reasons["tool_10"] == "always"
    assert reasons["tool_11"] == "unused"
    assert reasons["tool_8"] == "rounds"
    assert found.verdicts.mean_low[1] < 0.6 < found.verdicts.mean_high[1]
    assert found.verdicts.size_low[1] < np.hypot(0.6, 0.3) < found.verdicts.size_high[1]
    assert found.noise_std == pytest.approx(0.5, rel=0.05)
    assert 0 < found.verdicts.more_uses[8] < 600
    assert np.isinf(found.verdicts.more_rounds[[4, 9, 10, 11]]).all()


def test_what_is_said_to_settle_an_action_does():
    """Logs as much longer as is advised settle it with the power that was asked for."""
    rng = np.random.default_rng(2)

    def log(n_rounds):
        latents = rng.standard_normal((n_rounds, 1))
        used = (rng.random((n_rounds, 10)) < 0.1).astype(float)
        design = KhatriRaoDesign(latents, sp.csr_array(used))
        return design, rng.standard_normal(n_rounds)

    advised = []
    for _ in range(8):  # each estimates σ for itself
        first = discover(*log(1000), threshold=0.4, power=0.8).verdicts
        assert (first.reason == "rounds").sum() >= 8
        advised.append(first.more_rounds[first.reason == "rounds"].mean())
    longer = int(1000 + np.mean(advised))
    settled = [
        np.mean(discover(*log(longer), threshold=0.4).verdicts.verdict == "prunable")
        for _ in range(40)
    ]
    assert 0.7 < np.mean(settled) < 0.97


def test_what_is_said_to_be_detectable_is_found():
    rng = np.random.default_rng(3)
    found, size = [], None
    for _ in range(60):
        latents = rng.standard_normal((1500, 1))
        used = (rng.random((1500, 20)) < 0.1).astype(float)
        design = KhatriRaoDesign(latents, sp.csr_array(used))
        rewards = rng.standard_normal(1500)
        size = size or float(np.median(discover(design, rewards).verdicts.detectable))
        rewards += size * used[:, 7]
        found.append(discover(design, rewards).verdicts.verdict[7] == "relevant")
    assert np.mean(found) > 0.7


def test_error_is_controlled_where_noise_is_not_alike():
    """Success fails often for a tenth of the requests, for which some tools are mainly used."""
    rng = np.random.default_rng(16)
    wrong = 0
    for trial in range(100):
        hard = (rng.random(4000) < 0.1).astype(float)
        share = np.where(np.arange(20) < 8, 0.3, 0.05)
        used = (rng.random((4000, 20)) < np.where(hard[:, None] > 0, share, 0.03)).astype(float)
        rewards = (rng.random(4000) < np.where(hard > 0, 0.5, 0.98)).astype(float)
        design = KhatriRaoDesign(hard[:, None], sp.csr_array(used))
        verdict = discover(design, rewards, alpha=0.1, seed=trial).verdicts.verdict
        wrong += (verdict == "relevant").any()
    assert wrong <= scipy.stats.binom.ppf(0.9999, 100, 0.1)


@pytest.mark.parametrize("reward", ["normal", "success"])
def test_error_is_controlled_over_all_actions(reward):
    """No action has an effect, but states and use depend on each other: nothing is relevant."""
    rng = np.random.default_rng(4)
    wrong = 0
    for trial in range(150):
        latents = rng.standard_normal((400, 2))
        prefers = latents @ rng.standard_normal((2, 25))
        used = (prefers + rng.standard_normal((400, 25)) > 1.5).astype(float)
        mean = 0.4 + 0.1 * latents[:, 0]
        if reward == "success":
            rewards = (rng.random(400) < np.clip(mean, 0, 1)).astype(float)
        else:
            rewards = mean + rng.standard_normal(400)
        design = KhatriRaoDesign(latents, sp.csr_array(used))
        verdict = discover(design, rewards, alpha=0.1, seed=trial).verdicts.verdict
        wrong += (verdict == "relevant").any()
    assert wrong <= scipy.stats.binom.ppf(0.9999, 150, 0.1)


def test_a_baseline_that_bends_is_told_and_allowed_for():
    rng = np.random.default_rng(3)
    states = rng.standard_normal((6000, 2)) * [1, 5] + [0, 20]
    used = rng.random((6000, 20)) < 0.1
    used[:, 7] = rng.random(6000) < np.where(np.abs(states[:, 0]) > 1.2, 0.5, 0.05)
    noise = 0.5 * rng.standard_normal(6000)
    straight = states @ [0.5, -0.2] + used[:, 0] + noise
    design = KhatriRaoDesign(states, sp.csr_array(used * 1.0))
    assert discover(design, straight).bend > 0.01
    bent = straight + 0.5 * states[:, 0] ** 2
    found = discover(design, bent)
    assert found.bend < 1e-9
    assert found.verdicts.verdict[7] == "relevant"  # for the bend
    allowed = discover(design, bent, baseline="squares")
    assert np.isnan(allowed.bend)
    assert allowed.named("relevant") == ["0"]


def test_a_score_test_of_the_baseline_has_its_level():
    latents, used, rewards = made(0, n_rounds=800)
    design = partialled(latents, used)
    rng = np.random.default_rng(1)
    squares, spread = ((latents - latents.mean(axis=0)) ** 2), 0.2 + np.abs(latents[:, 0])
    rejected = 0
    for _ in range(1000):
        noise = spread * rng.standard_normal(800)  # of unequal size
        _, within = evidence(Judged.by(design, rewards + noise), [1, 4])
        rejected += left_over(design, within, squares) < 0.05
    low, high = scipy.stats.binom.ppf([1e-4, 0.9999], 1000, 0.05)
    assert 0.4 * low <= rejected <= 1.3 * high


def test_a_tool_used_along_with_many_weak_ones_does_not_stand_for_them():
    relevant = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        states, used = rng.standard_normal((8000, 2)), rng.random((8000, 40)) < 0.1
        weak = used[:, 5:25].sum(axis=1)  # effects too small to be selected
        used[:, 39] = rng.random(8000) < np.where(weak >= 3, 0.8, 0.05)
        rewards = used[:, 0] * (0.5 + 0.3 * states[:, 0]) + 0.08 * weak
        rewards += 0.5 * rng.standard_normal(8000)
        found = discover(KhatriRaoDesign(states, sp.csr_array(used * 1.0)), rewards, seed=seed)
        assert found.everything
        assert found.verdicts.verdict[0] == "relevant"
        relevant += found.verdicts.verdict[39] == "relevant"
    assert relevant <= scipy.stats.binom.ppf(0.9999, 8, 0.05)


def test_an_effect_above_the_threshold_is_hardly_ever_pruned():
    rng = np.random.default_rng(6)
    wrong = 0
    for _ in range(150):
        latents = rng.standard_normal((600, 1))
        used = (rng.random((600, 10)) < 0.2).astype(float)
        states = np.column_stack([np.ones(600), latents])
        weights = 0.31 * np.array([np.cos(1.0), np.sin(1.0)])  # just above it
        rewards = used[:, 3] * (states @ weights) + 0.3 * rng.standard_normal(600)
        design = KhatriRaoDesign(latents, sp.csr_array(used))
        found = discover(design, rewards, threshold=0.3, alpha=0.2)
        wrong += found.verdicts.verdict[3] == "prunable"
    assert wrong <= scipy.stats.binom.ppf(0.9999, 150, 0.2 / 10)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**20), st.floats(0.01, 100), st.floats(-50, 50))
def test_units_and_order_change_nothing(seed, unit, shift):
    latents, used, rewards = made(seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(12)
    turned = latents @ (rng.standard_normal((2, 2)) + 3 * np.eye(2)) + shift
    one = discover(KhatriRaoDesign(latents, sp.csr_array(used)), rewards, threshold=0.3)
    other = discover(
        KhatriRaoDesign(turned, sp.csr_array(used[:, order])),
        unit * rewards + shift + 2 * unit * latents[:, 0],
        threshold=0.3 * unit,
    )
    assert other.verdicts.verdict.tolist() == one.verdicts.verdict[order].tolist()
    assert other.order.tolist() == one.order[order].tolist()
    for name in ("size_low", "size_high", "mean", "detectable"):
        was, now = getattr(one.verdicts, name)[order], getattr(other.verdicts, name)
        np.testing.assert_allclose(now / unit, was, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": 0.0}, "threshold must be above 0"),
        ({"alpha": 1.0}, "alpha must lie between 0 and 1"),
        ({"held_out": 0.0}, "held_out must lie between 0 and 1"),
        ({"power": -1.0}, "power must lie between 0 and 1"),
        ({"most": 0}, "most must be at least 1"),
        ({"names": ["a"]}, "names must be one for each of 12 actions, got 1"),
    ],
)
def test_what_cannot_be_asked_is_said(change, message):
    latents, used, rewards = made(0)
    with pytest.raises(ValueError, match=message):
        discover(KhatriRaoDesign(latents, sp.csr_array(used)), rewards, **change)


def test_a_log_that_cannot_be_used_is_said():
    latents, used, rewards = made(0)
    design = KhatriRaoDesign(latents, sp.csr_array(used))
    with pytest.raises(ValueError, match="rewards must differ: all 600 of them are 3"):
        discover(design, np.full(600, 3.0))
    with pytest.raises(ValueError, match="20 rounds are too few: with 2 latent dimensions"):
        discover(design.head(20), rewards[:20])


@pytest.mark.parametrize("used", ["one", "alike"])
def test_a_log_in_which_no_two_actions_meet(used):
    rng = np.random.default_rng(12)
    actions = np.zeros(900, dtype=int) if used == "one" else rng.integers(0, 30, 900)
    matrix = sp.csr_array((np.ones(900), actions, np.arange(901)), shape=(900, actions.max() + 1))
    design = KhatriRaoDesign(rng.standard_normal((900, 1)), matrix)
    found = discover(design, rng.standard_normal(900) + 3.0 * (actions == 7))
    assert (found.companions.actions == -1).all()
    assert found.verdicts.reason[0] == ("always" if used == "one" else "rounds")
    assert found.named("relevant") == ([] if used == "one" else ["7"])


@pytest.mark.parametrize(
    ("reason", "latent_dim"), [("unused", 4), ("always", 4), ("confounded", 2)]
)
def test_rounds_made_as_advised_settle_what_more_of_the_same_would_not(reason, latent_dim):
    rng = np.random.default_rng(13)
    settled = []
    for _ in range(30):
        latents = rng.standard_normal((3000, latent_dim))
        used = (rng.random((3000, 6)) < 0.3).astype(float)
        used[:, 0] = {"unused": 0.0, "always": 1.0, "confounded": used[:, 1]}[reason]
        first = discover(
            KhatriRaoDesign(latents, sp.csr_array(used)), rng.standard_normal(3000), threshold=0.4
        )
        assert first.verdicts.reason[0] == reason
        more = int(first.verdicts.more_uses[0])
        extra = (rng.random((more, 6)) < 0.3).astype(float)
        extra[:, 0] = 0.0 if reason == "always" else 1.0
        if reason == "confounded":
            extra[:, 1] = 0.0
        T = 3000 + more
        again = discover(
            KhatriRaoDesign(
                np.concatenate([latents, rng.standard_normal((more, latent_dim))]),
                sp.csr_array(np.concatenate([used, extra])),
            ),
            rng.standard_normal(T),
            threshold=0.4,
        )
        settled.append(again.verdicts.verdict[0] == "prunable")
    assert 0.55 < np.mean(settled) <= 1.0


def test_detectable_effects_are_those_of_selection_and_confirmation():
    """Whichever half is the smaller, an effect of that size is found as often as was asked."""
    rng = np.random.default_rng(14)
    for held_out in (0.15, 0.5, 0.8):
        found, size = [], None
        for _ in range(60):
            latents = rng.standard_normal((1500, 1))
            used = (rng.random((1500, 20)) < 0.15).astype(float)
            design = KhatriRaoDesign(latents, sp.csr_array(used))
            rewards = rng.standard_normal(1500)
            size = size or np.median(
                discover(design, rewards, held_out=held_out).verdicts.detectable
            )
            rewards += size * used[:, 7]
            told = discover(design, rewards, held_out=held_out)
            found.append(told.verdicts.verdict[7] == "relevant")
        assert np.mean(found) > 0.65


def test_a_pair_whose_effects_cancel_cannot_go():
    rng = np.random.default_rng(15)
    latents = rng.standard_normal((4000, 1))
    used = (rng.random((4000, 8)) < 0.3).astype(float)
    used[:, 1] = used[:, 0]
    rewards = 0.8 * used[:, 0] - 0.8 * used[:, 1] + 0.5 * rng.standard_normal(4000)
    found = discover(KhatriRaoDesign(latents, sp.csr_array(used)), rewards, threshold=0.2)
    assert found.verdicts.reason[:2].tolist() == ["confounded", "confounded"]
    assert found.companions.actions[:2, 0].tolist() == [1, 0]
    assert (found.verdicts.verdict[2:] == "prunable").all()
