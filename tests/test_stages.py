"""The stages: what they leave is what the registry says, and what the mathematics says."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import scipy.stats

from sparseact import KhatriRaoDesign, Scenario, block_omp, bounds
from sparseact.coherence import exact_recovery_coefficient, mutual_coherence
from sparseact.inference import oracle_error
from sparseact.rivals import RIVALS
from sparseact.simulate import draw_states, simulate_trial
from sparseact.stream import Stream
from sparseact.study import store
from sparseact.study.cell import ORACLE, Cell, joined
from sparseact.study.config import SELECTIONS
from sparseact.study.stages import (
    bound,
    decide,
    dense,
    detect,
    diagnose,
    follow,
    recover,
    refit,
    rival,
    simulate,
    stop,
)
from sparseact.study.stages.trial import design_of, recovered, replay

SEED, TRIALS, STATES = 3, 4, 200
SIGNED = Scenario(design="signed", n_actions=10, sparsity=2, latent_dim=2)
TWIN = replace(SIGNED, structure="twin", strength=0.8)
TAIL = replace(SIGNED, tail="power", tail_energy=0.3)
GAUSSIAN = replace(SIGNED, weights="gaussian")
BOUNDED = replace(SIGNED, departure="bounded", departure_size=0.5)
SINGLE = Scenario(design="single", n_actions=6, sparsity=2, latent_dim=2, scarce_after=80)
MULTI = replace(SINGLE, design="multi", actions_per_round=3)
GREEDY = replace(MULTI, scarce_after=0, policy="greedy", policy_level=0.2)


def cell_of(scenario, n_rounds=(8, 20, 60), trials=TRIALS, selection="correlation"):
    return Cell("", scenario, selection, n_rounds, trials)


def log_of(cell):
    return simulate.run(cell, seed=SEED)


def standard_error(values):
    return np.std(values, ddof=1) / np.sqrt(len(values))


# -- what is left --------------------------------------------------------------------------------

LATE = (80, 81, 84, 100)
GROWING = replace(SIGNED, n_actions=12, arrives_after=30)
STOPPING = {"alpha": 0.05, "improvement": 0.1, "folds": 3, "most_actions": 5}
STAGES = {
    "simulate": ("log", TWIN, (8, 20, 60)),
    "simulate, scarce": ("log", MULTI, LATE),
    "simulate, greedy": ("log", GREEDY, (8, 20, 60)),
    "simulate, tail": ("log", TAIL, (8, 20, 60)),
    "simulate, late": ("log", GROWING, (20, 30, 40)),
    "recover, late": ("recovery", GROWING, (20, 30, 40)),
    "follow": ("followed", SIGNED, (8, 20, 60)),
    "follow, late": ("followed", GROWING, (20, 30, 33, 60)),
    "recover": ("recovery", SIGNED, (8, 20, 60)),
    "recover, multi": ("recovery", MULTI, LATE),
    "recover, greedy": ("recovery", GREEDY, (8, 20, 60)),
    "rival, whitened": ("rival", TAIL, (8, 20, 60)),
    **{f"rival, {name}": ("rival", TWIN, (8, 20, 60)) for name in (*RIVALS, ORACLE)},
    "detect": ("detection", SINGLE, LATE),
    "stop": ("stopped", SIGNED, (20, 33, 60)),
    "refit": ("refit", SIGNED, (2, 4, 8, 60)),
    "simulate, bounded": ("log", BOUNDED, (8, 20, 60)),
    "refit, bounded": ("refit", BOUNDED, (4, 8, 60)),
    "refit, tail": ("refit", TAIL, (2, 4, 8, 60)),
    "decide": ("decision", SIGNED, (2, 4, 60)),
    "decide, tail": ("decision", TAIL, (2, 4, 60)),
    "dense": ("dense", GAUSSIAN, (2, 10, 20, 60)),
    "dense, tail": ("dense", TAIL, (2, 10, 20, 60)),
    "diagnose": ("diagnosis", TWIN, (8, 20, 60)),
    "bound": ("bound", GAUSSIAN, (2, 8, 60)),
}


def left_by(case, cell, log=None):
    """What a stage leaves of a cell, with the stages before it; of a rival's, by its method."""
    stage = case.split(",")[0]
    if case.startswith("rival"):
        cell = replace(cell, selection=case.split(", ")[1])
    log = log_of(cell) if log is None else log
    recovery = recover.run(cell, log=log) if stage in ("refit", "decide") else None
    return {
        "simulate": lambda: log,
        "recover": lambda: recover.run(cell, log=log),
        "rival": lambda: rival.run(cell, log=log, n_states=STATES, seed=SEED),
        "detect": lambda: detect.run(cell, log=log),
        "stop": lambda: stop.run(cell, log=log, **STOPPING),
        "follow": lambda: follow.run(cell, log=log),
        "refit": lambda: refit.run(cell, log=log, recovery=recovery),
        "decide": lambda: decide.run(cell, log=log, recovery=recovery, n_states=STATES, seed=SEED),
        "dense": lambda: dense.run(cell, log=log),
        "diagnose": lambda: diagnose.run(cell, log=log),
        "bound": lambda: bound.run(cell, log=log),
    }[stage]()


@pytest.mark.parametrize("case", STAGES)
def test_what_a_stage_leaves_is_what_the_registry_says(tmp_path, case):
    kind, scenario, n_rounds = STAGES[case]
    arrays = left_by(case, cell_of(scenario, n_rounds))
    store.write(tmp_path / "data.nc", kind, arrays)
    found = store.read(tmp_path / "data.nc", kind)
    for name, values in arrays.items():
        np.testing.assert_array_equal(found[name], values)
    ds = store.open_dataset(tmp_path / "data.nc", kind)
    assert ds.sizes["trial"] == TRIALS
    if kind == "log":
        assert ds.sizes["round"] == n_rounds[-1]
    else:
        assert ds["n_rounds"].values.tolist() == list(n_rounds)


@pytest.mark.parametrize("case", [case for case in STAGES if not case.startswith("simulate")])
def test_a_longer_log_of_more_trials_gives_the_same(case):
    # Logs are shared by experiments that ask for different lengths and numbers of trials.
    _, scenario, n_rounds = STAGES[case]
    cell = cell_of(scenario, n_rounds, trials=2)
    longer = log_of(replace(cell, n_rounds=(n_rounds[-1] + 37,), trials=3))
    own, shared = left_by(case, cell), left_by(case, cell, longer)
    for name, values in own.items():
        if values.dtype.kind == "U":
            np.testing.assert_array_equal(shared[name], values)
        else:
            np.testing.assert_allclose(shared[name], values, rtol=1e-9, atol=1e-12, err_msg=name)


def test_every_trial_is_its_own_draw():
    cell = cell_of(MULTI, LATE)
    log = log_of(cell)
    for i in range(TRIALS):
        one = simulate_trial(MULTI, 100, seed=SEED, trial=i)
        np.testing.assert_array_equal(log["reward"][i], one.rewards)
        np.testing.assert_array_equal(log["action"][i], one.activations)
        assert log["scarce"][i] == one.scarce
    for i, trial in enumerate(replay(cell, log, "looked at")):
        assert (trial.number, trial.scarce) == (i, log["scarce"][i])
        mean = trial.design.to_dense() @ trial.all_weights().ravel()
        assert np.std(trial.rewards - mean) < 2 * MULTI.noise_std


def test_exploiting_logs_are_the_same_in_batches_and_pieces(monkeypatch):
    cell = cell_of(GREEDY, trials=5)
    whole = log_of(cell)
    monkeypatch.setattr(simulate, "SIDE_BY_SIDE", 2)
    for other in (log_of(cell), joined([log_of(one) for one in cell.pieces(3)], "log")):
        for name, values in whole.items():
            np.testing.assert_array_equal(other[name], values)


def test_grams_of_prefixes_are_those_of_shorter_logs():
    cell = cell_of(SIGNED)
    (trial, *_) = replay(cell, log_of(cell), "looked at")
    gram, projection = trial.grams(np.array(cell.n_rounds))
    psi = trial.design.to_dense()
    for i, n in enumerate(cell.n_rounds):
        np.testing.assert_allclose(gram[i], psi[:n].T @ psi[:n], atol=1e-10)
        np.testing.assert_allclose(projection[i], psi[:n].T @ trial.rewards[:n], atol=1e-10)


# -- recovery and its rival ----------------------------------------------------------------------


def test_recovery_is_block_omp_on_each_prefix():
    cell = cell_of(TWIN, selection="whitened")
    log = log_of(cell)
    found = recover.run(cell, log=log)
    for i in range(TRIALS):
        for j, n in enumerate(cell.n_rounds):
            design = design_of(TWIN, log["latent"][i, :n], log["activation_bits"][i, :n])
            one = block_omp(design, log["reward"][i, :n], 2, selection="whitened")
            np.testing.assert_array_equal(found["selected"][i, j], one.support)
            correct = set(one.support.tolist()) & set(log["support"][i].tolist())
            assert found["n_correct"][i, j] == len(correct)
            assert found["exact_recovery"][i, j] == (len(correct) == 2)
    assert (found["least_coverage"] == cell.n_rounds).all()


def test_the_least_coverage_counts_rounds_with_the_least_used_relevant_action():
    cell = cell_of(MULTI, LATE)
    log = log_of(cell)
    least = recover.run(cell, log=log)["least_coverage"]
    for i in range(TRIALS):
        used = log["action"][i][:, :, None] == log["support"][i]
        for j, n in enumerate(LATE):
            assert least[i, j] == used[:n].any(axis=1).sum(axis=0).min()
    assert least[:, 0].max() == 0


def test_an_early_stop_is_no_recovery():
    selected = np.array([[[3, 1], [3, -1], [1, 2]]], dtype=np.int32)
    found = recovered(selected, np.array([[1, 3]], dtype=np.uint8))
    assert found["exact_recovery"].tolist() == [[1, 0, 0]]
    assert found["n_correct"].tolist() == [[2, 1, 1]]


@pytest.mark.parametrize("method", [*RIVALS, ORACLE])
def test_the_rival_finds_what_is_plain_and_never_more_than_k(method):
    cell = cell_of(replace(SIGNED, noise_std=0.01), (60, 70, 80), selection=method)
    log = log_of(cell)
    found = rival.run(cell, log=log, n_states=STATES, seed=SEED)
    assert found["exact_recovery"].all()
    np.testing.assert_array_equal(np.sort(found["selected"][:, 0]), log["support"])
    hopeless = cell_of(replace(SIGNED, noise_std=50.0), (4, 6, 8), selection=method)
    wrong = rival.run(hopeless, log=log_of(hopeless), n_states=STATES, seed=SEED)
    assert not wrong["exact_recovery"].all()
    for one in wrong["selected"].reshape(-1, 2):
        chosen = one[one >= 0]
        assert len(set(chosen.tolist())) == len(chosen)


@pytest.mark.parametrize("scenario", [TWIN, TAIL, replace(MULTI, scarce_after=0)])
@pytest.mark.parametrize("selection", SELECTIONS)
def test_among_rivals_block_omp_is_what_it_is_alone(scenario, selection):
    cell = cell_of(scenario, selection=selection)
    log = log_of(cell)
    alone = recover.run(cell, log=log)
    found = rival.run(cell, log=log, n_states=STATES, seed=SEED)
    for name in ("n_rounds", "selected", "exact_recovery", "n_correct"):
        np.testing.assert_array_equal(found[name], alone[name])
    fit = refit.run(cell, log=log, recovery=alone)
    decided = decide.run(cell, log=log, recovery=alone, n_states=STATES, seed=SEED)
    np.testing.assert_allclose(found["squared_error"], fit["squared_error"], rtol=1e-12)
    np.testing.assert_allclose(found["mean_regret"], decided["mean_regret"][:, :, -1], atol=1e-12)
    np.testing.assert_allclose(found["best_value"], decided["best_value"], rtol=1e-12)
    assert found["converged"].all()


@pytest.mark.parametrize("method", RIVALS)
def test_a_rival_sees_the_rounds_so_far_and_is_judged_like_the_others(method):
    cell = cell_of(TWIN, selection=method)
    log = log_of(cell)
    found = rival.run(cell, log=log, n_states=STATES, seed=SEED)
    for trial in replay(cell, log, "compared"):
        for i, n in enumerate(cell.n_rounds):
            alone = RIVALS[method](trial.design.head(n), trial.rewards[:n], 2)
            kept = found["selected"][trial.number, i]
            assert kept[kept >= 0].tolist() == alone.support.tolist()
            assert found["converged"][trial.number, i] == alone.converged
    judged = {"n_rounds": found["n_rounds"], **recovered(found["selected"], log["support"])}
    fit = refit.run(cell, log=log, recovery=judged)
    decided = decide.run(cell, log=log, recovery=judged, n_states=STATES, seed=SEED)
    np.testing.assert_allclose(found["squared_error"], fit["squared_error"], rtol=1e-12)
    np.testing.assert_allclose(found["mean_regret"], decided["mean_regret"][:, :, -1], atol=1e-12)


# -- a scarce action -----------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", [SIGNED, replace(SIGNED, noise_std=3.0)])
def test_rules_keep_what_they_would_of_each_log_alone(scenario):
    cell = replace(cell_of(scenario, (20, 33, 60)), selection="whitened")
    log = log_of(cell)
    found = stop.run(cell, log=log, **STOPPING)
    compared = stop.rules(scenario.noise_std, alpha=0.05, improvement=0.1, folds=3)
    assert found["stopping"].tolist() == list(compared)
    for trial in replay(cell, log, "looked at"):
        for i, n in enumerate(cell.n_rounds):
            design, rewards = trial.design.head(n), trial.rewards[:n]
            for place, rule in enumerate(compared.values()):
                most = scenario.sparsity if rule is None else 5
                one = block_omp(design, rewards, most, selection="whitened", stopping=rule)
                assert found["n_selected"][trial.number, i, place] == len(one.support)
                right = np.isin(one.support, trial.support).sum()
                assert found["n_correct"][trial.number, i, place] == right


@pytest.fixture(scope="module")
def detection():
    cell = cell_of(SINGLE, LATE, trials=400)
    log = log_of(cell)
    return cell, log, detect.run(cell, log=log)


def test_no_test_errs_less_than_le_cam_says(detection):
    _, _, found = detection
    excess = (found["missed"] + found["false_alarm"]) / 2.0 - found["least_error"]
    for column in excess.T:
        assert column.mean() >= -4 * standard_error(column) - 1e-12
    assert (found["least_error"][:, 0] == 0.5).all()  # it was never used
    assert found["least_error"][:, -1].mean() < 0.01
    assert found["missed"][:, 0].all()
    assert not found["false_alarm"][:, 0].any()
    assert found["missed"][:, -1].mean() < 0.2  # it can be found


def test_le_cam_is_told_the_size_of_the_effect(detection):
    cell, log, found = detection
    for i in range(5):
        which = log["support"][i].tolist().index(log["scarce"][i])
        for j, n in enumerate(LATE):
            effect = log["latent"][i, 80:n].astype(float) @ log["weights"][i, which]
            expected = bounds.le_cam_error(np.linalg.norm(effect), cell.scenario.noise_std)
            np.testing.assert_allclose(found["least_error"][i, j], expected)


def test_without_its_effect_the_scarce_action_has_none(monkeypatch):
    # What is solved for the false alarm must not depend on the scarce action's weights.
    seen = []

    def watched(design, rewards, lengths, k, *, selection):
        seen.append(rewards)
        return solver(design, rewards, lengths, k, selection=selection)

    solver = detect.block_omp_nested
    monkeypatch.setattr(detect, "block_omp_nested", watched)
    cell = cell_of(MULTI, LATE, trials=60)
    log = log_of(cell)
    found = detect.run(cell, log=log)
    residual, products = [], []
    for i, (as_is, without) in enumerate(zip(seen[::2], seen[1::2], strict=True)):
        np.testing.assert_array_equal(as_is, log["reward"][i])
        np.testing.assert_array_equal(without[:80], as_is[:80])  # not used before
        which = log["support"][i].tolist().index(log["scarce"][i])
        states = log["latent"][i, 80:].astype(float)
        np.testing.assert_allclose(as_is[80:] - without[80:], states @ log["weights"][i, which])
        other = log["support"][i][1 - which]
        used = (log["action"][i] == other).any(axis=1)
        rest = used * (log["latent"][i].astype(float) @ log["weights"][i, 1 - which])
        residual.append(without - rest)
        products.append(residual[-1][80:] @ states)
    normal = scipy.stats.norm(scale=MULTI.noise_std)
    assert scipy.stats.kstest(np.concatenate(residual), normal.cdf).pvalue > 1e-4
    spread = MULTI.noise_std * np.sqrt(20 * len(products))
    assert (np.abs(np.sum(products, axis=0)) < 4 * spread).all()
    assert found["false_alarm"].mean() < found["missed"][:, 0].mean()


# -- the refit -----------------------------------------------------------------------------------


def test_without_noise_a_refit_on_the_support_has_no_error():
    cell = cell_of(replace(SIGNED, noise_std=0.0), (20, 40, 60))
    found = left_by("refit", cell)
    exact = found["exact_recovery"] == 1
    assert exact.any()
    assert found["squared_error"][exact].max() < 1e-20
    assert (found["oracle_error"] == 0).all()
    assert (found["least_eigenvalue"] > 0).all()


def test_a_refit_is_least_squares_on_what_was_selected():
    cell = cell_of(SIGNED, (6, 20, 60))
    log = log_of(cell)
    recovery = recover.run(cell, log=log)
    recovery["selected"][0, 1] = [7, -1]  # stopped early
    recovery["selected"][1, 1] = [-1, -1]
    found = refit.run(cell, log=log, recovery=recovery)
    for trial in replay(cell, log, "looked at"):
        psi = trial.design.to_dense()
        for j, n in enumerate(cell.n_rounds):
            chosen = [one for one in recovery["selected"][trial.number, j] if one >= 0]
            columns = [2 * one + i for one in chosen for i in range(2)]
            estimate = np.zeros(20)
            estimate[columns] = np.linalg.lstsq(psi[:n, columns], trial.rewards[:n])[0]
            error = np.sum((estimate - trial.all_weights().ravel()) ** 2)
            place = (trial.number, j)
            np.testing.assert_allclose(found["squared_error"][place], error, rtol=1e-9)
            expected = oracle_error(trial.design, trial.support, 0.5, n)
            np.testing.assert_allclose(found["oracle_error"][place], expected)
            assert found["n_intervals"][place] == len(columns)
    assert (found["n_covered"] <= found["n_intervals"]).all()


def test_the_refit_on_the_support_has_the_oracles_error_and_honest_intervals():
    cell = cell_of(SIGNED, (12, 30, 60), trials=300)
    log = log_of(cell)
    recovery = recover.run(cell, log=log)
    recovery["selected"] = np.repeat(log["support"][:, None, :].astype(np.int32), 3, axis=1)
    found = refit.run(cell, log=log, recovery=recovery)
    for j in range(3):
        ratio = found["squared_error"][:, j] / found["oracle_error"][:, j]
        assert abs(ratio.mean() - 1) <= 4 * standard_error(ratio)
        covered = found["n_covered"][:, j] / found["n_intervals"][:, j]
        assert abs(covered.mean() - 0.95) <= 4 * standard_error(covered)


def test_what_too_few_rounds_cannot_tell_is_missing():
    found = left_by("refit", cell_of(SIGNED, (2, 3, 60)))
    assert np.isnan(found["oracle_error"][:, :2]).all()
    assert (found["n_intervals"][:, :2] == 0).all()
    assert np.isfinite(found["squared_error"]).all()
    assert (found["least_eigenvalue"][:, :2] < 1e-12).all()


# -- decisions -----------------------------------------------------------------------------------


def test_regret_starts_at_the_best_value_and_stays_within_its_bound():
    cell = cell_of(SIGNED, (2, 6, 12, 60), trials=20)
    found = left_by("decide", cell)
    np.testing.assert_allclose(
        found["mean_regret"][:, :, 0], np.repeat(found["best_value"][:, None], 4, axis=1)
    )
    assert not found["bound_exceeded"].any()
    assert (found["mean_regret"][:, :, -1] <= found["regret_bound"]).all()
    assert (found["regret_95"][:, 0] > 0).any()
    assert found["mean_regret"][:, -1, -1].mean() < 0.1 * found["best_value"].mean()
    assert found["optimal_share"][:, -1].mean() > found["optimal_share"][:, 0].mean()
    assert (found["n_correct"][:, :, 0] == 0).all()
    np.testing.assert_array_equal(found["n_correct"][:, :, -1] == 2, found["exact_recovery"] == 1)


def test_decisions_without_noise_are_optimal():
    cell = cell_of(replace(SIGNED, noise_std=0.0), (20, 40, 60))
    found = left_by("decide", cell)
    exact = found["exact_recovery"] == 1
    assert exact.any()
    assert (found["optimal_share"][exact] == 1).all()
    np.testing.assert_allclose(found["mean_regret"][..., -1][exact], 0, atol=1e-12)
    np.testing.assert_allclose(found["regret_bound"][exact], 0, atol=1e-12)


def test_regret_is_what_a_decision_by_hand_loses():
    cell = cell_of(SIGNED, (12, 20, 60), trials=2)
    log = log_of(cell)
    recovery = recover.run(cell, log=log)
    found = left_by("decide", cell, log)
    for trial in replay(cell, log, "looked at"):
        psi, truth = trial.design.to_dense(), trial.all_weights()
        states = draw_states(SIGNED, STATES, seed=SEED, trial=trial.number)
        best = np.maximum(states @ truth.T, 0).max(axis=1)
        np.testing.assert_allclose(found["best_value"][trial.number], best.mean())
        for j, n in enumerate(cell.n_rounds):
            for step in range(3):
                estimate = np.zeros((10, 2))
                for_these = recovery["selected"][trial.number, j, :step]
                columns = [2 * one + i for one in for_these for i in range(2)]
                fitted = np.linalg.lstsq(psi[:n, columns], trial.rewards[:n])[0]
                estimate[for_these] = fitted.reshape(-1, 2)
                # Whatever is not selected is worth 0, and taken where nothing is worth more.
                stated = states @ estimate.T
                chosen = stated.argmax(axis=1)
                gained = np.where(
                    stated.max(axis=1) > 0, (states @ truth.T)[range(STATES), chosen], 0.0
                )
                place = (trial.number, j, step)
                np.testing.assert_allclose(
                    found["mean_regret"][place], np.mean(best - gained), rtol=1e-9, atol=1e-12
                )
            error = np.linalg.norm(estimate - truth, axis=1).max()
            place = (trial.number, j)
            expected = 2 * np.linalg.norm(states, axis=1).mean() * error
            np.testing.assert_allclose(found["regret_bound"][place], expected)
            np.testing.assert_allclose(
                found["regret_95"][place], np.quantile(best - gained, 0.95), atol=1e-12
            )


# -- without sparsity ----------------------------------------------------------------------------


def test_ridge_is_the_posterior_mean_and_least_squares_the_smallest_solution():
    cell = cell_of(replace(GAUSSIAN, n_actions=5, sparsity=5, noise_std=0.8), (3, 10, 40))
    log = log_of(cell)
    found = dense.run(cell, log=log)
    for trial in replay(cell, log, "looked at"):
        psi, truth = trial.design.to_dense(), trial.all_weights().ravel()
        for j, n in enumerate(cell.n_rounds):
            own, rewards = psi[:n], trial.rewards[:n]
            # The mean of weights N(0, b²/d) given rewards, from their joint covariance.
            prior = np.eye(10) / 2
            joint = own @ prior @ own.T + 0.8**2 * np.eye(n)
            posterior = prior @ own.T @ np.linalg.solve(joint, rewards)
            smallest = np.linalg.pinv(own) @ rewards
            for name, estimate in (("ridge", posterior), ("least_squares", smallest)):
                error = np.sum((estimate - truth) ** 2)
                np.testing.assert_allclose(
                    found[f"{name}_error"][trial.number, j], error, rtol=1e-6
                )


def test_ridge_errs_less_than_least_squares_where_all_weights_are_normal():
    scenario = replace(GAUSSIAN, n_actions=5, sparsity=5)
    found = dense.run(cell := cell_of(scenario, (5, 14, 60), trials=200), log=log_of(cell))
    gain = found["least_squares_error"] - found["ridge_error"]
    for column in gain.T:
        assert column.mean() >= -4 * standard_error(column)
    assert gain[:, 1].mean() > 0
    # What is expected of the posterior mean: the trace of the posterior's covariance.
    expected = []
    for trial in replay(cell, log_of(cell), "looked at"):
        gram = trial.grams(np.array([60]))[0][0]
        expected.append(np.trace(np.linalg.inv(gram / 0.25 + 2 * np.eye(10))))
    excess = found["ridge_error"][:, -1] - expected
    assert abs(excess.mean()) <= 4 * standard_error(excess)


def test_the_ridge_penalty_knows_how_few_actions_are_relevant():
    # Over all supports a coordinate has variance k b²/(M d): half of the actions, half of that.
    cell = cell_of(GAUSSIAN, (10, 30, 60), trials=2)
    log = log_of(cell)
    found = dense.run(cell, log=log)["ridge_error"]
    for trial in replay(cell, log, "looked at"):
        gram, projection = trial.grams(np.array(cell.n_rounds))
        for j in range(3):
            penalty = 0.25 / (2 / (10 * 2))
            ridged = np.linalg.solve(gram[j] + penalty * np.eye(20), projection[j])
            error = np.sum((ridged - trial.all_weights().ravel()) ** 2)
            np.testing.assert_allclose(found[trial.number, j], error)


# -- small effects elsewhere ---------------------------------------------------------------------


def test_a_tail_is_part_of_all_weights_and_of_nothing_without_one():
    cell = cell_of(TAIL)
    log = log_of(cell)
    for trial in replay(cell, log, "looked at"):
        weights = trial.all_weights()
        np.testing.assert_array_equal(trial.effects(), weights)
        np.testing.assert_array_equal(weights[trial.support], trial.weights)
        others = np.setdiff1d(np.arange(10), trial.support)
        np.testing.assert_array_equal(weights[others], log["tail_weights"][trial.number, others])
        np.testing.assert_allclose(np.sum(weights**2), 2 * 1.3)
        noise = trial.rewards - trial.design.to_dense() @ weights.ravel()
        assert scipy.stats.kstest(noise, scipy.stats.norm(scale=0.5).cdf).pvalue > 1e-4
    for trial in replay(cell := cell_of(SIGNED), log_of(cell), "looked at"):
        assert trial.effects() is trial.weights


def test_the_k_term_error_is_what_is_expected_of_least_squares_on_the_support():
    # Noise drawn anew on one log: the mean squared error of all weights.
    cell = cell_of(TAIL, (12, 30, 60), trials=1)
    log = log_of(cell)
    found = refit.run(cell, log=log, recovery=recover.run(cell, log=log))["k_term_error"][0]
    (trial,) = replay(cell, log, "looked at")
    psi, truth = trial.design.to_dense(), trial.all_weights().ravel()
    rng = np.random.default_rng(5)
    columns = [2 * one + i for one in trial.support for i in range(2)]
    for j, n in enumerate(cell.n_rounds):
        rewards = (psi[:n] @ truth)[:, None] + 0.5 * rng.standard_normal((n, 4000))
        estimate = np.zeros((20, 4000))
        estimate[columns] = np.linalg.lstsq(psi[:n, columns], rewards)[0]
        errors = np.sum((estimate - truth[:, None]) ** 2, axis=0)
        assert abs(errors.mean() - found[j]) <= 4 * standard_error(errors)


def test_a_tail_counts_for_the_best_action_but_not_for_what_is_known():
    cell = cell_of(TAIL, (12, 20, 60))
    log = log_of(cell)
    found = left_by("decide", cell, log)
    for trial in replay(cell, log, "looked at"):
        states = draw_states(TAIL, STATES, seed=SEED, trial=trial.number)
        values = states @ trial.all_weights().T
        best = np.maximum(values.max(axis=1), 0).mean()
        known = np.maximum(values[:, trial.support].max(axis=1), 0).mean()
        np.testing.assert_allclose(found["best_value"][trial.number], best)
        np.testing.assert_allclose(found["known_regret"][trial.number], best - known)
    assert (found["known_regret"] > 0).all()
    assert not found["bound_exceeded"].any()


def test_the_ridge_penalty_counts_the_tail():
    # A coordinate has variance k b² (1 + τ)/(M d) over all places and directions.
    cell = cell_of(TAIL, (10, 30, 60), trials=2)
    log = log_of(cell)
    found = dense.run(cell, log=log)
    assert "least_squares_error" not in found
    for trial in replay(cell, log, "looked at"):
        gram, projection = trial.grams(np.array(cell.n_rounds))
        for j in range(3):
            penalty = 0.25 / (2 * 1.3 / (10 * 2))
            ridged = np.linalg.solve(gram[j] + penalty * np.eye(20), projection[j])
            error = np.sum((ridged - trial.all_weights().ravel()) ** 2)
            np.testing.assert_allclose(found["ridge_error"][trial.number, j], error)


def test_no_other_penalty_of_ridge_does_better_on_average():
    scenario = replace(TAIL, tail="flat", tail_energy=0.8)
    cell = cell_of(scenario, (10, 30, 60), trials=300)
    log = log_of(cell)
    found = dense.run(cell, log=log)["ridge_error"]
    best = 0.25 / (2 * 1.8 / 20)
    for factor in (0.3, 3.0):
        gain = np.empty_like(found)
        for trial in replay(cell, log, "looked at"):
            gram, projection = trial.grams(np.array(cell.n_rounds))
            damped = gram + factor * best * np.eye(20)
            ridged = np.linalg.solve(damped, projection[..., None])[..., 0]
            errors = np.sum((ridged - trial.all_weights().ravel()) ** 2, axis=1)
            gain[trial.number] = errors - found[trial.number]
        for column in gain.T:
            assert column.mean() > -4 * standard_error(column)
        assert gain[:, 0].mean() > 0


# -- coherence and bounds ------------------------------------------------------------------------


def test_coherence_is_measured_on_each_prefix():
    cell = cell_of(TWIN)
    log = log_of(cell)
    found = diagnose.run(cell, log=log)
    for i in range(TRIALS):
        for j, n in enumerate(cell.n_rounds):
            design = design_of(TWIN, log["latent"][i, :n], log["activation_bits"][i, :n])
            erc = exact_recovery_coefficient(design, log["support"][i].astype(int), [n])
            np.testing.assert_allclose(found["erc"][i, j], erc[0], rtol=1e-9)
            mutual = mutual_coherence(design, [n])
            np.testing.assert_allclose(found["mutual_coherence"][i, j], mutual[0], rtol=1e-9)


@pytest.fixture(scope="module")
def bounded():
    cell = cell_of(replace(GAUSSIAN, n_actions=6), (3, 8, 25), trials=500)
    return bound.run(cell, log=log_of(cell))


def test_the_posterior_is_calibrated(bounded):
    for j in range(3):
        excess = bounded["map_correct"][:, j] - bounded["map_probability"][:, j]
        assert abs(excess.mean()) <= 4 * standard_error(excess)
    # From little more than a guess among fifteen to something.
    assert 1.5 / 15 < bounded["map_probability"][:, 0].mean() < 0.2
    assert bounded["map_correct"][:, 2].mean() > 0.4


def test_the_posterior_is_bayes_rule_on_the_rewards_themselves():
    scenario = replace(GAUSSIAN, n_actions=4, latent_dim=3, signal=2.0)
    cell = cell_of(scenario, (2, 5, 12), trials=6)
    log = log_of(cell)
    found = bound.run(cell, log=log)
    for trial in replay(cell, log, "looked at"):
        psi = trial.design.to_dense()
        for j, n in enumerate(cell.n_rounds):
            density = {}
            for support in combinations(range(4), 2):
                own = np.hstack([psi[:n, 3 * one : 3 * one + 3] for one in support])
                cov = 2.0**2 / 3 * own @ own.T + 0.5**2 * np.eye(n)
                normal = scipy.stats.multivariate_normal(cov=cov)
                density[support] = normal.pdf(trial.rewards[:n])
            likeliest = max(density, key=density.get)
            expected = density[likeliest] / sum(density.values())
            place = (trial.number, j)
            np.testing.assert_allclose(found["map_probability"][place], expected, rtol=1e-8)
            assert found["map_correct"][place] == (likeliest == tuple(trial.support))


def test_fano_is_below_what_the_best_method_errs(bounded):
    error = 1 - bounded["map_probability"]
    for j in range(3):
        excess = error[:, j] - bounded["fano_error"][:, j]
        assert excess.mean() >= -4 * standard_error(excess)
    np.testing.assert_allclose(bounded["fano_error"], bounds.fano_error(bounded["information"], 15))
    assert bounded["fano_error"][:, 0].mean() > 0


def test_bounds_need_the_prior_that_they_assume():
    cell = cell_of(SIGNED)
    with pytest.raises(ValueError, match=r"signed_M10_k2_d2_b1_s0\.5: lower bounds need weights"):
        bound.run(cell, log=log_of(cell))


# -- a log that grows ----------------------------------------------------------------------------


@pytest.mark.parametrize("selection", ["correlation", "whitened", "least_squares"])
def test_a_log_is_followed_as_block_omp_would_each_time(selection):
    cell = cell_of(replace(GROWING, noise_std=0.2), (10, 30, 33, 60, 120), 12, selection)
    log = log_of(cell)
    found = follow.run(cell, log=log)
    for trial in replay(cell, log, "looked at"):
        assert trial.newcomer in trial.support
        for i, n in enumerate(cell.n_rounds):
            there = {*trial.support.tolist()} - ({trial.newcomer} if n <= 30 else set())
            one = block_omp(
                trial.design.head(n), trial.rewards[:n], len(there), selection=selection
            )
            chosen = set(one.support.tolist())
            assert found["exact_recovery"][trial.number, i] == (chosen == there)
            assert found["newcomer_found"][trial.number, i] == (trial.newcomer in chosen)
    assert found["same_support"].all()
    assert found["weight_difference"].max() < 1e-9
    assert not found["newcomer_found"][:, :2].any()
    assert found["newcomer_found"][:, -1].all()


def test_rounds_read_are_new_ones_and_all_of_them_for_each_look(monkeypatch):
    cell = cell_of(replace(GROWING, noise_std=0.2), (10, 30, 33, 60, 120), 2)
    looks, look = [], Stream._look

    def counted(self, known, fresh):
        looks.append(self._opening.n_rounds)
        return look(self, known, fresh)

    monkeypatch.setattr(Stream, "_look", counted)
    found = follow.run(cell, log=log_of(cell))
    assert found["rounds_read_anew"].tolist() == [[10, 40, 73, 133, 253]] * 2
    assert found["rounds_read"][:, -1].sum() == 2 * 120 + sum(looks)
    assert (np.diff(found["rounds_read"], axis=1) >= np.diff(cell.n_rounds)).all()


def test_late_actions_may_be_columns_of_zeros_or_not_there_yet():
    # The late ones last, so that early pieces can do without them.
    cell = cell_of(replace(GROWING, noise_std=0.2), (20, 30, 45), 4)
    for trial in replay(cell, log_of(cell), "looked at"):
        late = np.flatnonzero(~trial.design.activations[:30].any(axis=0))
        order = np.append(np.setdiff1d(np.arange(12), late), late)
        used, answers = trial.design.activations[:, order], []
        for width in (12, 9):
            stream = Stream("whitened")
            first = KhatriRaoDesign(trial.design.latents[:30], used[:30, :width])
            stream.add(first, trial.rewards[:30])
            early = stream.solve(1)
            stream.add(KhatriRaoDesign(trial.design.latents[30:], used[30:]), trial.rewards[30:])
            answers.append((early, stream.solve(2)))
        for one, other in zip(*answers, strict=True):
            np.testing.assert_array_equal(one.support, other.support)
            np.testing.assert_allclose(one.weights, other.weights, atol=1e-12)
