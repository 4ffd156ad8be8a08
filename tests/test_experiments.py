"""What each experiment collects, from outcomes whose answer is known."""

from itertools import combinations

import numpy as np
import pytest
import xarray as xr
from scipy.special import expit, logit

from sparseact import Scenario
from sparseact.curves import wilson
from sparseact.departures import student_scale
from sparseact.study import store
from sparseact.study.cell import ORACLE, Cell
from sparseact.study.experiments import (
    approximate_sparsity,
    coherence,
    coverage,
    decision_regret,
    dynamic_actions,
    grid,
    logging_policy,
    lower_bounds,
    methods,
    phase_transition,
    refit_error,
    robustness,
    scaling_law,
    signal_strength,
    sparsity_necessity,
    stopping,
)

QUANTILES = (0.5, 0.95)
SETTINGS = grid.Settings(QUANTILES, 20, 7)
TRIALS = 2000
# Of the logit in log T. Shares of TRIALS are whole numbers, so they follow the law to 1/4000.
STEEP = 3.0


def cell_of(n_rounds, *, label=None, selection="correlation", trials=TRIALS, **scenario):
    fields = {"design": "signed", "n_actions": 32, "sparsity": 2, "latent_dim": 2, **scenario}
    label = label or fields.get("structure", fields["design"])
    return Cell(label, Scenario(**fields), selection, n_rounds, trials)


def ladder(needed, steps=6):
    """Numbers of rounds around the one that is needed."""
    return tuple(round(needed * 2 ** (i / 2)) for i in range(-steps, steps + 1))


def needed_for(needed, quantile):
    return needed * np.exp(logit(quantile) / STEEP)


def outcomes(n_rounds, needed, trials=TRIALS):
    """Successes (trial, T), their shares logistic in log T, one half at ``needed``."""
    share = expit(STEEP * np.log(np.array(n_rounds) / needed))
    return first(share, trials)


def first(shares, trials=TRIALS):
    """(trial, T) 1 in the first of the trials, in the shares given."""
    return (np.arange(trials)[:, None] < np.round(np.array(shares) * trials)).astype(np.uint8)


def recovery(cell, exact, selected=None, least=None):
    k = cell.scenario.sparsity
    if selected is None:
        selected = np.zeros((*exact.shape, k), dtype=np.int32)
    if least is None:
        least = np.broadcast_to(np.array(cell.n_rounds, dtype=np.int32), exact.shape)
    return {
        "n_rounds": np.array(cell.n_rounds, dtype=np.int32),
        "exact_recovery": exact,
        "n_correct": (exact * k).astype(np.int32),
        "selected": selected,
        "least_coverage": least,
    }


def reading(**stages):
    """Reads what a stage left of a cell, by the cell's name."""
    return lambda stage, cell: stages[stage][cell.name]


def on_disk(tmp_path, kind, ds):
    """The dataset written, checked against the registry and read again."""
    store.write(tmp_path / f"{kind}.nc", kind, ds.variables)
    found = store.open_dataset(tmp_path / f"{kind}.nc", kind)
    xr.testing.assert_equal(found.drop_attrs(), ds.drop_attrs())
    return found


def assert_estimate(ds, name, at, expected, rtol=0.01):
    """An estimate is what it should be, and within its interval."""
    value, low, high = (float(ds[f"{name}{end}"].sel(at)) for end in grid.ENDS)
    np.testing.assert_allclose(value, expected, rtol=rtol, atol=rtol)
    room = 0.02 * abs(expected) + 1e-3
    assert low - room <= value <= high + room


def missing(ds, name, at=None):
    return all(bool(ds[f"{name}{end}"].sel(at or {}).isnull().all()) for end in grid.ENDS)


# -- what they share -----------------------------------------------------------------------------


def test_means_have_students_intervals():
    values = np.array([[1.0, 5.0], [2.0, np.nan], [6.0, 7.0]])
    estimate, low, high = grid.mean(values, np.isfinite(values))
    np.testing.assert_allclose(estimate, [3, 6])
    # t(0.975) is 4.3027 on two degrees of freedom and 12.7062 on one.
    reach = [4.302653 * np.sqrt(7 / 3), 12.706205 * np.sqrt(2 / 2)]
    np.testing.assert_allclose(high - estimate, reach, rtol=1e-6)
    np.testing.assert_allclose(estimate - low, reach, rtol=1e-6)
    for end in grid.mean(values, [[1, 0], [0, 0], [0, 0]]):
        assert np.isnan(end).all()


def test_shares_have_wilsons_intervals():
    flags = first([0.25, 1.0], 8)
    np.testing.assert_array_equal(grid.share(flags), wilson([2, 8], [8, 8]))


def test_random_numbers_depend_on_their_key_alone():
    draws = [
        settings.rng(*key).random()
        for settings in (SETTINGS, grid.Settings(QUANTILES, 20, 8))
        for key in (("a",), ("b",), ("a", "b"), ())
    ]
    assert len(set(draws)) == len(draws)
    assert SETTINGS.rng("a", "b").random() == draws[2]


def test_a_bootstrap_is_of_the_statistic_given():
    values = np.random.default_rng(0).standard_normal((400, 2)) * [1, 5] + [3, -2]
    settings = grid.Settings(QUANTILES, 500, 1)
    estimate, low, high = grid.bootstrap(lambda n: n @ values / n.sum(), 400, settings, "mean")
    np.testing.assert_allclose(estimate, values.mean(axis=0))
    error = values.std(axis=0) / 20
    np.testing.assert_allclose((high - low) / (2 * 1.96 * error), 1, atol=0.15)


def test_slopes_and_places():
    x = np.array([0.0, 1.0, 4.0])
    np.testing.assert_allclose(grid.slope(x, np.array([2 * x + 1, -x])), [2, -1])
    ds = grid.empty(
        "signal_strength",
        {"signal_to_noise": [1.0], "n_rounds": [1, 2], "quantile": [0.5], "regime": ["noise"]},
    )
    assert ds["n_trials"].dtype == np.int32
    assert ds["rounds_needed"].isnull().all()
    grid.put(ds, "recovery_probability", {"n_rounds": 2}, (0.5, 0.25, 0.75))
    ends = [end.sel(n_rounds=2).item() for end in grid.take(ds, "recovery_probability")]
    assert ends == [0.5, 0.25, 0.75]
    assert missing(ds, "recovery_probability", {"n_rounds": 1})


# -- phase_transition and scaling_law ------------------------------------------------------------


def test_phase_transition_finds_the_rounds_put_in(tmp_path):
    signed = {(M, k): 40.0 * k * np.log(M) for M, k in ((16, 1), (64, 1), (64, 3))}
    cells = {
        key: cell_of(ladder(at), n_actions=key[0], sparsity=key[1], latent_dim=3)
        for key, at in signed.items()
    }
    single = cell_of(
        tuple(16 * n for n in ladder(100)),
        design="single",
        n_actions=16,
        sparsity=1,
        latent_dim=3,
        trials=1000,
    )
    left = {
        one.name: recovery(one, outcomes(one.n_rounds, signed[key])) for key, one in cells.items()
    }
    each = np.array(single.n_rounds, dtype=np.int32) // 16
    left[single.name] = recovery(
        single,
        outcomes(single.n_rounds, 1600, 1000),
        least=np.broadcast_to(each, (1000, len(each))),
    )
    ds = phase_transition.collect([*cells.values(), single], reading(recover=left), SETTINGS)
    ds = on_disk(tmp_path, "phase_transition", ds)
    where = {"latent_dim": 3, "selection": "correlation"}
    for (M, k), at in signed.items():
        place = {"design": "signed", "n_actions": M, "sparsity": k, **where}
        for q in QUANTILES:
            at_quantile = {**place, "quantile": q}
            assert_estimate(ds, "rounds_needed", at_quantile, needed_for(at, q))
            assert abs(float(ds["curve_misfit"].sel(at_quantile))) < 0.05
        assert missing(ds, "coverage_needed", place)  # every action is in every round
        curve = ds["recovery_probability"].sel(place).dropna("n_rounds")
        assert tuple(curve["n_rounds"].values) == cells[M, k].n_rounds
        np.testing.assert_allclose(curve, outcomes(cells[M, k].n_rounds, at).mean(axis=0))
        assert int(ds["n_trials"].sel(place)) == TRIALS
    place = {"design": "single", "n_actions": 16, "sparsity": 1, **where}
    assert int(ds["n_trials"].sel(place)) == 1000
    for q in QUANTILES:
        assert_estimate(ds, "rounds_needed", {**place, "quantile": q}, needed_for(1600, q))
        assert_estimate(ds, "coverage_needed", {**place, "quantile": q}, needed_for(100, q))
    for empty in ({"n_actions": 16, "sparsity": 3}, {"design": "single", "n_actions": 64}):
        for name in ("recovery_probability", "rounds_needed", "coverage_needed"):
            assert missing(ds, name, empty)
        assert (ds["n_trials"].sel(empty) == 0).all()
    used = ds["mean_least_coverage"].sel(place).dropna("n_rounds")
    np.testing.assert_array_equal(used * 16, used["n_rounds"])


def test_the_final_probability_is_the_least_after_the_most_rounds(tmp_path):
    shares = {16: [0.1, 0.5, 0.9], 32: [0.0, 0.2, 0.8], 64: [0.3, 0.9, 1.0]}
    cells = [cell_of((10, 20, 30 + M), n_actions=M, trials=10) for M in shares]
    left = {one.name: recovery(one, first(shares[one.scenario.n_actions], 10)) for one in cells}
    ds = phase_transition.collect(cells, reading(recover=left), SETTINGS)
    ds = on_disk(tmp_path, "phase_transition", ds)
    found = [end.item() for end in grid.take(ds, "final_recovery_probability")]
    np.testing.assert_allclose(found, [float(end) for end in wilson(8, 10)])


def test_scaling_law_returns_the_law_put_in(tmp_path):
    sizes = [
        (16, 1, 1),
        (64, 1, 1),
        (256, 1, 1),
        (1024, 1, 1),
        (64, 3, 1),
        (64, 9, 1),
        (64, 1, 3),
        (64, 1, 9),
        (256, 3, 3),
    ]
    needed = {size: 30.0 * size[1] * size[2] * np.log(size[0]) for size in sizes}
    cells = {
        size: cell_of(ladder(at, 4), n_actions=size[0], sparsity=size[1], latent_dim=size[2])
        for size, at in needed.items()
    }
    left = {
        one.name: recovery(one, outcomes(one.n_rounds, needed[size])) for size, one in cells.items()
    }
    collected = phase_transition.collect([*cells.values()], reading(recover=left), SETTINGS)
    ds = on_disk(tmp_path, "scaling_law", scaling_law.fit(collected, [*cells.values()], seed=1))
    at = {"design": "signed", "quantity": "rounds", "quantile": 0.5}
    for axis in ds["axis"].values:
        assert_estimate(ds, "exponent", {**at, "axis": axis}, 1.0, rtol=0.03)
    assert_estimate(ds, "growth_index", at, 0.0, rtol=0.1)
    assert float(ds["paper_excess_error"].sel(at)) < -1  # no rival comes near
    paper = ds.sel(at).sel(law=scaling_law.PAPER)
    np.testing.assert_allclose(float(paper["law_scale"]), 30, rtol=0.01)
    for (M, k, d), rounds in needed.items():
        there = paper["law_prediction"].sel(n_actions=M, sparsity=k, latent_dim=d)
        np.testing.assert_allclose(there, rounds, rtol=0.02)
    assert missing(ds, "exponent", {"quantity": "coverage"})


# -- signal_strength -----------------------------------------------------------------------------


def test_signal_strength_finds_the_exponent_of_each_regime(tmp_path):
    # Interference has variance 1 here: noise is above ten times that, below a tenth, or between.
    sigmas = [8.0, 5.0, 3.5, 1.0, 0.3, 0.2, 0.1]
    needed = {s: 20 * s**1.6 if s > 3 else 150 * s**0.25 for s in sigmas}
    cells = [cell_of(ladder(needed[s]), noise_std=s, n_actions=64) for s in sigmas]
    left = {
        one.name: recovery(one, outcomes(one.n_rounds, needed[one.scenario.noise_std]))
        for one in cells
    }
    ds = signal_strength.collect(cells, reading(recover=left), SETTINGS)
    ds = on_disk(tmp_path, "signal_strength", ds)
    np.testing.assert_allclose(ds["signal_to_noise"], 1 / np.array(sigmas))
    for q in QUANTILES:
        assert_estimate(ds, "signal_exponent", {"regime": "noise", "quantile": q}, -1.6)
        assert_estimate(ds, "signal_exponent", {"regime": "interference", "quantile": q}, -0.25)
        for s in sigmas:
            place = {"signal_to_noise": 1 / s, "quantile": q}
            assert_estimate(ds, "rounds_needed", place, needed_for(needed[s], q))
        # The condition's own square law, through the middle of where noise dominates.
        middle = np.exp(np.mean([np.log(needed_for(needed[s], q) / s**2) for s in sigmas[:3]]))
        condition = ds["condition_rounds"].sel(quantile=q)
        np.testing.assert_allclose(condition, middle * np.array(sigmas) ** 2, rtol=0.01)


def test_one_scenario_of_a_regime_has_no_exponent(tmp_path):
    cells = [cell_of(ladder(100.0), noise_std=s) for s in (8.0, 0.1, 0.05)]
    left = {one.name: recovery(one, outcomes(one.n_rounds, 100.0)) for one in cells}
    ds = signal_strength.collect(cells, reading(recover=left), SETTINGS)
    ds = on_disk(tmp_path, "signal_strength", ds)
    assert missing(ds, "signal_exponent", {"regime": "noise"})
    assert ds["condition_rounds"].isnull().all()
    assert_estimate(ds, "signal_exponent", {"regime": "interference", "quantile": 0.5}, 0.0)


# -- coverage ------------------------------------------------------------------------------------


def test_coverage_tells_errors_and_where_they_fall(tmp_path):
    used = np.array([0, 1, 2, 4, 8, 16])
    single = cell_of(tuple(300 + used), design="single", scarce_after=300, trials=100)
    multi = cell_of(
        tuple(50 + used[:4]),
        design="multi",
        label="multi B=4",
        actions_per_round=4,
        scarce_after=50,
        selection="whitened",
        trials=40,
    )
    missed, alarmed = [1.0, 0.7, 0.5, 0.3, 0.1, 0.0], [0.0, 0.1, 0.1, 0.1, 0.0, 0.0]
    floors = [0.5, 0.3, 0.2, 0.05, 0.01, 0.0]
    left = {
        single.name: {
            "n_rounds": np.array(single.n_rounds),
            "missed": first(missed, 100),
            "false_alarm": first(alarmed, 100),
            "least_error": np.tile(floors, (100, 1)),
        },
        multi.name: {
            "n_rounds": np.array(multi.n_rounds),
            "missed": first([1, 1, 1, 1], 40),
            "false_alarm": first([0, 0, 0, 0], 40),
            "least_error": np.tile(floors[:4], (40, 1)),
        },
    }
    ds = coverage.collect([single, multi], reading(detect=left), SETTINGS)
    ds = on_disk(tmp_path, "coverage", ds)
    assert ds["coverage"].values.tolist() == used.tolist()
    at = {"design": "single", "selection": "correlation"}
    np.testing.assert_allclose(ds["miss_probability"].sel(at), missed)
    np.testing.assert_allclose(ds["false_alarm_probability"].sel(at), alarmed)
    errors = (np.array(missed) + alarmed) / 2
    np.testing.assert_allclose(ds["two_point_error"].sel(at), errors)
    np.testing.assert_allclose(ds["le_cam_bound"].sel(design="single"), floors)
    np.testing.assert_allclose(ds["excess_error"].sel(at), np.mean(errors - floors))
    # From 0.2 to 0.05 between 4 and 8 rounds; the bound from 0.2 to 0.05 between 2 and 4.
    assert_estimate(ds, "test_coverage", at, 4 * 2 ** (0.1 / 0.15), rtol=1e-9)
    assert_estimate(ds, "least_test_coverage", {"design": "single"}, 2 * 2 ** (0.1 / 0.15), 1e-9)
    whitened = {"design": "multi B=4", "selection": "whitened"}
    assert missing(ds, "test_coverage", whitened)  # it never falls so low
    assert ds["miss_probability"].sel(whitened).isnull().values.tolist() == [False] * 4 + [True] * 2
    for empty in (
        {"design": "single", "selection": "whitened"},
        {"design": "multi B=4", "selection": "correlation"},
    ):
        assert missing(ds, "miss_probability", empty)
        assert int(ds["n_trials"].sel(empty)) == 0


# -- coherence -----------------------------------------------------------------------------------


def diagnosis(cell, erc, mutual, trials=3):
    shape = (trials, len(cell.n_rounds))
    return {
        "n_rounds": np.array(cell.n_rounds, dtype=np.int32),
        "erc": np.full(shape, erc),
        "mutual_coherence": np.full(shape, mutual),
        "has_copies": np.full(shape, mutual >= 1 - 1e-9, dtype=np.uint8),
    }


def test_a_paired_difference_has_an_interval_even_where_all_pairs_agree():
    estimate, low, high = grid.paired_difference([np.zeros(200)])
    assert estimate == 0
    assert -0.02 < low < -0.005
    assert high == -low
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        gains = [rng.choice([-1, 0, 1], 150, p=[p, 0.9 - 2 * p, 0.1 + p]) for p in (0.02, 0.1)]
        _, low, high = grid.paired_difference(gains)
        held += low <= 0.1 <= high
    assert 0.92 < held / 400 < 0.98


def test_coherence_finds_the_exponent_of_twins(tmp_path):
    strengths = [0.0, 0.8, 0.9, 0.95, 1.0]
    needed = {rho: 50 * (1 - rho) ** -1.5 for rho in strengths[1:-1]} | {0.0: 90.0, 1.0: 1e9}
    rounds = tuple(2**i for i in range(3, 16))
    cells = [cell_of(rounds, structure="twin", strength=rho) for rho in strengths]
    decoys = np.tile(np.array([20, 21], dtype=np.uint8), (TRIALS, 1))
    recovered, diagnosed = {}, {}
    for one in cells:
        exact = outcomes(rounds, needed[one.scenario.strength])
        # Where it fails, one relevant action comes with a decoy, or with another at strength 0.
        wrong = 21 if one.scenario.strength else 30
        selected = np.where(exact[..., None] == 1, [3, 4], [3, wrong]).astype(np.int32)
        recovered[one.name] = recovery(one, exact, selected)
        recovered[one.name]["n_correct"] = 1 + exact.astype(np.int32)
        copies = one.scenario.strength == 1
        erc = np.inf if copies else one.scenario.strength
        diagnosed[one.name] = diagnosis(one, erc, 1.0 if copies else 0.5)
    logs = {name: {"decoy": decoys} for name in recovered}
    left = {"recover": recovered, "diagnose": diagnosed, "simulate": logs}
    ds = on_disk(tmp_path, "coherence", coherence.collect(cells, reading(**left), SETTINGS))
    for q in QUANTILES:
        assert_estimate(ds, "twin_exponent", {"quantile": q}, -1.5)
        place = {"structure": "twin", "strength": 0.8, "quantile": q}
        assert_estimate(ds, "rounds_needed", place, needed_for(needed[0.8], q))
    assert missing(ds, "rounds_needed", {"strength": 1.0})
    assert missing(ds, "erc", {"strength": 1.0})  # infinite: no number
    np.testing.assert_allclose(ds["erc"].sel(strength=0.8), 0.8)
    copied = ds["copy_share"].sel(structure="twin").mean("n_rounds")
    np.testing.assert_array_equal(copied, [0, 0, 0, 0, 1])
    for rho, kind, none in ((0.8, "decoy", "other"), (0.0, "other", "decoy")):
        wrong = ds["false_positives"].sel(structure="twin", strength=rho)
        failed = 1 - ds["recovery_probability"].sel(structure="twin", strength=rho)
        np.testing.assert_allclose(wrong.sel(false_positive=kind), failed, atol=1e-12)
        np.testing.assert_allclose(wrong.sel(false_positive=none), 0)
    assert missing(ds, "convex_advantage")


def test_coherence_finds_where_recovery_breaks(tmp_path):
    finals = {0.0: (0.3, 1.0), 0.4: (0.6, 0.9), 0.6: (0.8, 0.8), 0.8: (1.2, 0.3), 1.0: (2.0, 0.1)}
    cells, left = [], {"recover": {}, "diagnose": {}, "simulate": {}, "rival": {}}
    for weights in ("aligned", "sphere"):
        for rho, (erc, share) in finals.items():
            one = cell_of(
                (10, 20, 40),
                label="aggregate" if weights == "aligned" else "aggregate, random weights",
                structure="aggregate",
                strength=rho,
                weights=weights,
            )
            shares = np.array([0.1, 0.5, 1.0]) * (share if weights == "aligned" else 1)
            exact = first(shares)
            left["recover"][one.name] = recovery(one, exact)
            left["recover"][one.name]["selected"] = np.full((TRIALS, 3, 2), -1, dtype=np.int32)
            left["recover"][one.name]["n_correct"] = np.zeros((TRIALS, 3), dtype=np.int32)
            left["diagnose"][one.name] = diagnosis(one, erc, 0.5)
            left["simulate"][one.name] = {"decoy": np.zeros((TRIALS, 1), dtype=np.uint8)}
            cells.append(one)
    for rho, gained in ((0.4, 1.0), (0.8, 0.0)):
        one = cell_of(
            (10, 40),
            structure="aggregate",
            strength=rho,
            weights="aligned",
            selection=ORACLE,
            trials=500,
        )
        left["rival"][one.name] = recovery(one, first([gained, gained], 500))
        cells.append(one)
    ds = on_disk(tmp_path, "coherence", coherence.collect(cells, reading(**left), SETTINGS))
    assert ds["structure"].values.tolist() == ["aggregate", "aggregate, random weights"]
    at = {"structure": "aggregate"}
    # From 0.8 at μ_S = 0.8 to 0.3 at 1.2.
    assert_estimate(ds, "breaking_erc", at, 0.8 + 0.4 * 0.3 / 0.5, rtol=1e-9)
    assert_estimate(ds, "recovery_below_one", at, 0.8, rtol=1e-9)
    assert_estimate(ds, "recovery_beyond_one", at, 0.3, rtol=1e-9)
    random = {"structure": "aggregate, random weights"}
    # It never breaks: all that is known is that it would beyond the greatest coefficient.
    ends = [float(ds[f"breaking_erc{end}"].sel(random)) for end in grid.ENDS]
    np.testing.assert_equal(ends, [np.nan, 2.0, np.nan])
    assert_estimate(ds, "recovery_beyond_one", random, 1.0, rtol=1e-9)
    # Among the same 500 trials Block-OMP succeeds in 180 and all after 10 and 40 rounds at
    # strength 0.4, and in 60 and all 500 at 0.8.
    gained = ds["convex_difference"].sel(at)
    for rho, n, expected in ((0.4, 10, 0.64), (0.4, 40, 0), (0.8, 10, -0.12), (0.8, 40, -1)):
        np.testing.assert_allclose(gained.sel(strength=rho, n_rounds=n), expected, atol=1e-9)
    # Only at 0.8 is μ_S above 1, and 40 rounds are the most.
    assert_estimate(ds, "convex_advantage", at, -1, rtol=1e-9)
    assert missing(ds, "convex_advantage", random)
    there = ds["convex_recovery_probability"].sel(at).sel(strength=0.4)
    np.testing.assert_array_equal(there, [1, np.nan, 1])
    assert missing(ds, "twin_exponent")


# -- refit_error ---------------------------------------------------------------------------------


def refit_of(cell, oracle, eigenvalue, exact=None, ratio=1.0, trials=100):
    n = np.array(cell.n_rounds, dtype=np.int32)
    shape = (trials, len(n))
    return {
        "n_rounds": n,
        "exact_recovery": np.ones(shape, dtype=np.uint8) if exact is None else exact,
        "squared_error": np.broadcast_to(ratio * oracle, shape).copy(),
        "oracle_error": np.broadcast_to(oracle, shape).copy(),
        "least_eigenvalue": np.full(shape, eigenvalue),
        "n_covered": np.full(shape, 3, dtype=np.int32),
        "n_intervals": np.full(shape, 4, dtype=np.int32),
    }


def test_refit_error_finds_ratio_rate_and_conditioning(tmp_path):
    n = np.array([10, 20, 40, 80, 160])
    plain = cell_of(tuple(n))
    cells = [plain, *(cell_of(tuple(n[2:]), condition_number=c) for c in (10.0, 100.0))]
    exact = first([0.5, 0.9, 1, 1, 1], 100)
    left = {plain.name: refit_of(plain, 5 * n**-1.5, 1.0, exact)}
    # Where recovery is not nearly certain the error is no matter of the rate; what was not
    # selected exactly errs a hundred times as much, and covers nothing.
    off = np.array([3, 3, 1, 1, 1])
    left[plain.name]["squared_error"] *= off
    left[plain.name]["squared_error"][exact == 0] *= 100
    left[plain.name]["n_covered"][exact == 0] = 0
    for one in cells[1:]:
        eigenvalue = 1 / one.scenario.condition_number
        oracle = 5 * n[2:] ** -1.5 * eigenvalue**-0.7
        left[one.name] = refit_of(one, oracle, eigenvalue)
    ds = on_disk(tmp_path, "refit_error", refit_error.collect(cells, reading(refit=left), SETTINGS))
    np.testing.assert_allclose(ds["error_ratio_exact"], off)
    np.testing.assert_allclose(ds["error_ratio"], [3 * 50.5, 3 * 10.9, 1, 1, 1])
    assert_estimate(ds, "final_error_ratio", {}, 1.0, rtol=1e-9)
    assert_estimate(ds, "rate_exponent", {}, -1.5, rtol=1e-9)
    assert_estimate(ds, "conditioning_exponent", {}, -0.7, rtol=1e-9)
    assert_estimate(ds, "final_interval_coverage", {}, 0.75, rtol=1e-9)
    np.testing.assert_allclose(ds["claimed_error"], 0.25 * 4 / n)
    well = ds.sel(condition_number=1.0)
    np.testing.assert_allclose(well["interval_coverage"], 0.75)
    np.testing.assert_allclose(well["interval_coverage_all"], [0.375, 0.675, 0.75, 0.75, 0.75])
    np.testing.assert_allclose(well["squared_error"], 5 * n**-1.5 * off)  # given exact recovery
    np.testing.assert_allclose(well["recovery_probability"], [0.5, 0.9, 1, 1, 1])
    ill = ds.sel(condition_number=10.0)
    assert ill["squared_error"].isnull().values.tolist() == [True, True, False, False, False]
    np.testing.assert_allclose(ill["least_eigenvalue"][2:], 0.1)


def test_refit_error_leaves_out_what_has_no_oracle(tmp_path):
    one = cell_of((2, 20, 40))
    left = {one.name: refit_of(one, np.array([1.0, 2.0, 1.0]), 0.5, ratio=1.5)}
    left[one.name]["oracle_error"][:, 0] = np.nan
    left[one.name]["n_intervals"][:, 0] = 0
    ds = refit_error.collect([one], reading(refit=left), SETTINGS)
    ds = on_disk(tmp_path, "refit_error", ds)
    np.testing.assert_allclose(ds["error_ratio"], [np.nan, 1.5, 1.5])
    np.testing.assert_allclose(ds["interval_coverage_all"][0], [np.nan, 0.75, 0.75])
    assert missing(ds, "conditioning_exponent")  # of one condition number


# -- decision_regret -----------------------------------------------------------------------------


def test_decision_regret_tells_what_is_gained(tmp_path):
    one = cell_of(ladder(100.0), sparsity=4)
    n, steps = np.array(one.n_rounds), np.arange(5)
    exact = outcomes(n, 100.0)
    # What is gained is linear in log T and in the step, so it is known at any number of rounds.
    gained = (0.5 + 0.1 * np.log(n / 100))[:, None] * steps / 4
    best = np.linspace(1, 3, TRIALS)
    shape = (TRIALS, len(n))
    left = {
        "n_rounds": n.astype(np.int32),
        "exact_recovery": exact,
        "mean_regret": best[:, None, None] * (1 - gained),
        "n_correct": np.broadcast_to(np.array([0, 1, 1, 2, 3]), (*shape, 5)).astype(np.int32),
        "best_value": best,
        "regret_95": np.full(shape, 0.25),
        "regret_bound": np.full(shape, 4.0),
        "bound_exceeded": np.zeros(shape, dtype=np.uint8),
        "optimal_share": np.broadcast_to(np.linspace(0.2, 0.8, len(n)), shape),
    }
    read = reading(decide={one.name: left})
    ds = on_disk(tmp_path, "decision_regret", decision_regret.collect([one], read, SETTINGS))
    np.testing.assert_allclose(ds["gained_share"], gained, atol=1e-12)
    np.testing.assert_allclose(ds["step_precision"][0], [0, 1, 1 / 2, 2 / 3, 3 / 4])
    np.testing.assert_allclose(ds["mean_regret"], 2 * (1 - gained))
    assert_estimate(ds, "best_value", {}, 2.0, rtol=1e-9)
    assert_estimate(ds, "final_optimal_share", {}, 0.8, rtol=1e-9)
    assert float(ds["final_bound_exceeded"]) == 0
    for q in QUANTILES:
        at = {"quantile": q}
        assert_estimate(ds, "rounds_needed", at, needed_for(100, q))
        there = 0.5 + 0.1 * logit(q) / STEEP
        assert_estimate(ds, "gained_at_recovery", at, there)
        assert_estimate(ds, "gained_halfway", at, there / 2)
        assert_estimate(ds, "precision_halfway", at, 0.5)


def test_decisions_without_a_threshold_have_no_value_there(tmp_path):
    one = cell_of((10, 20, 40), trials=30)
    shape = (30, 3)
    left = {
        "n_rounds": np.array([10, 20, 40], dtype=np.int32),
        "exact_recovery": np.zeros(shape, dtype=np.uint8),
        "mean_regret": np.ones((*shape, 3)),
        "n_correct": np.zeros((*shape, 3), dtype=np.int32),
        "best_value": np.ones(30),
        **{name: np.ones(shape) for name in ("regret_95", "regret_bound", "optimal_share")},
        "bound_exceeded": first([0.1, 0.2, 0.3], 30),
    }
    read = reading(decide={one.name: left})
    ds = on_disk(tmp_path, "decision_regret", decision_regret.collect([one], read, SETTINGS))
    for name in ("rounds_needed", "gained_at_recovery", "gained_halfway", "precision_halfway"):
        assert missing(ds, name)
    np.testing.assert_allclose(ds["gained_share"], 0)
    np.testing.assert_allclose(ds["bound_exceeded_share"], [0.1, 0.2, 0.3])
    np.testing.assert_allclose(float(ds["final_bound_exceeded"]), 0.3)


# -- logging_policy ------------------------------------------------------------------------------


def logged(**policy):
    scenario = {"design": "single", "n_actions": 6, "sparsity": 3, "trials": 200, **policy}
    return cell_of(ladder(200.0, 8), selection="whitened", **scenario)


def log_of(cell, earns, trials=200):
    """A log that earns a share of what the best sets of actions are worth in each round."""
    one, rng = cell.scenario, np.random.default_rng(5)
    latent = rng.standard_normal((trials, cell.n_rounds[-1], 2)).astype(np.float32)
    weights = rng.standard_normal((trials, one.sparsity, 2))
    values = np.zeros((trials, cell.n_rounds[-1], one.n_actions))
    values[:, :, : one.sparsity] = np.einsum("ntd,nkd->ntk", latent, weights)
    sets = combinations(range(one.n_actions), one.actions_per_round)
    best = np.max([values[:, :, list(those)].sum(axis=2) for those in sets], axis=0)
    return {"latent": latent, "weights": weights, "reward": earns * best}


def judged(cell, regret, covered):
    shape = (50, len(cell.n_rounds))
    best = np.linspace(1, 3, 50)
    exact = np.ones(shape, dtype=np.uint8)
    exact[25:] = 0
    decision = {
        "mean_regret": best[:, None, None] * np.full((*shape, 4), regret),
        "best_value": best,
    }
    decision["mean_regret"][:, :, :-1] = 9.0  # before the end of the path
    refit = {
        "exact_recovery": exact,
        "n_intervals": np.full(shape, 4, dtype=np.int32),
        "n_covered": np.where(exact, covered, 0).astype(np.int32),
    }
    return decision, refit


@pytest.mark.parametrize("design", [{}, {"design": "multi", "actions_per_round": 4}])
def test_logging_policies_are_held_against_the_uniform_log(tmp_path, design):
    uniform, zipf = logged(**design), logged(**design, policy="zipf", policy_level=1.0)
    greedy = {
        level: logged(**design, policy="greedy", policy_level=level)
        for level in (0.5, 0.3, 0.1, 0.0)
    }
    wanted = {uniform.name: 100.0, zipf.name: 250.0}
    wanted |= {one.name: 100 * level**-0.8 for level, one in greedy.items() if level}
    cells = [uniform, *greedy.values(), zipf]
    left = {stage: {} for stage in ("simulate", "recover", "refit", "decide", "diagnose")}
    for i, one in enumerate(cells):
        exact = outcomes(one.n_rounds, wanted.get(one.name, 1e9), 200)
        least = np.tile(np.array(one.n_rounds) // (i + 1), (200, 1))
        left["recover"][one.name] = recovery(one, exact, least=least)
        left["simulate"][one.name] = log_of(one, 0.1 * i)
        left["decide"][one.name], left["refit"][one.name] = judged(one, 0.02 * i, 3)
        left["diagnose"][one.name] = {
            "erc": np.full((50, len(one.n_rounds)), 0.3 * i),
            "mutual_coherence": np.full((50, len(one.n_rounds)), 0.1 * i),
        }
    read = reading(**left)
    ds = logging_policy.collect(cells, read, SETTINGS, judged="whitened")
    ds = on_disk(tmp_path, "logging_policy", ds)
    assert ds["policy"].values.tolist() == ["uniform", "zipf", "greedy"]
    for i, one in enumerate(cells):
        at = {
            "design": one.label,
            "policy": one.scenario.policy,
            "policy_level": one.scenario.policy_level,
            "selection": "whitened",
        }
        n = np.array(one.n_rounds)
        assert int(ds["n_trials"].sel(at)) == 200
        np.testing.assert_allclose(ds["earned_share"].sel(at).sel(n_rounds=n), 0.1 * i)
        np.testing.assert_allclose(ds["relative_regret"].sel(at).sel(n_rounds=n), 0.02 * i)
        np.testing.assert_allclose(ds["interval_coverage"].sel(at).sel(n_rounds=n), 0.75)
        np.testing.assert_allclose(ds["erc"].sel(at).sel(n_rounds=n), 0.3 * i)
        np.testing.assert_allclose(ds["mutual_coherence"].sel(at).sel(n_rounds=n), 0.1 * i)
        np.testing.assert_allclose(
            ds["median_least_coverage"].sel(at).sel(n_rounds=n), n // (i + 1)
        )
        exact = left["recover"][one.name]["exact_recovery"].mean(axis=0)
        np.testing.assert_allclose(ds["found_share"].sel(at).sel(n_rounds=n), exact)
        assert_estimate(ds, "recovery_at_end", at, exact[-1], rtol=1e-9)
        middle = {**at, "quantile": 0.5}
        if one.name in wanted:
            assert_estimate(ds, "rounds_needed", middle, wanted[one.name], rtol=0.03)
            assert_estimate(ds, "rounds_factor", middle, wanted[one.name] / 100, rtol=0.03)
    never = {**middle, "policy": "greedy", "policy_level": 0.0}
    for name, most in (("rounds_needed", n[-1]), ("rounds_factor", n[-1] / 100)):
        value, low, high = (float(end.sel(never)) for end in grid.take(ds, name))
        assert np.isnan([value, high]).all()
        assert 0.85 * most < low <= most  # of what the uniform log needs at most
    at = {"design": uniform.label, "selection": "whitened", "quantile": 0.5}
    assert_estimate(ds, "exploration_exponent", at, -0.8, rtol=0.03)
    assert_estimate(ds, "least_exploration", at, 2 ** (-1 / 0.8), rtol=0.03)
    assert_estimate(ds, "final_least_exploration", at, 0.1, rtol=1e-9)


def test_a_uniform_log_alone_says_nothing_of_exploration(tmp_path):
    one = logged()
    left = {
        "simulate": {one.name: log_of(one, 1.0)},
        "recover": {one.name: recovery(one, outcomes(one.n_rounds, 100.0, 200))},
    }
    ds = logging_policy.collect([one], reading(**left), SETTINGS, judged="correlation")
    ds = on_disk(tmp_path, "logging_policy", ds)
    np.testing.assert_allclose(ds["rounds_factor"], 1)
    for name in ("least_exploration", "exploration_exponent", "relative_regret"):
        assert missing(ds, name)


def test_the_least_level_that_is_enough():
    levels = [1.0, 0.25, 0.0625, 0.0]
    least = logging_policy.least_level
    for values, expected in (
        ([9, 8, 7, 6], 0.0),
        ([9, 8, 7, 4], 0.0625),  # no logarithm of zero
        ([9, 6, 4, 9], 0.125),  # beyond a gap, enough does not count
        ([9, 5, 4, 0], 0.25),
        ([6, 4, 9, 9], 0.5),
        ([9, 8, -np.inf, -np.inf], 0.25),
        ([4, 9, 9, 9], np.nan),
    ):
        np.testing.assert_allclose(least(levels, np.array(values, dtype=float), 5.0), expected)


# -- lower_bounds --------------------------------------------------------------------------------


def test_lower_bounds_find_factor_constants_and_trends(tmp_path):
    sizes = [(8, 1, 2), (32, 1, 2), (128, 1, 2), (32, 4, 2), (32, 2, 2), (32, 1, 8), (8, 2, 1)]
    claimed = {size: size[1] * size[2] * np.log(size[0] / size[1]) for size in sizes}
    bayes = {(M, k, d): 30 * claimed[M, k, d] * d**-0.5 * k**0.25 for M, k, d in sizes}
    cells, left = [], {"recover": {}, "bound": {}}
    for M, k, d in sizes:
        at = bayes[M, k, d]
        one = cell_of(ladder(at, 8), n_actions=M, sparsity=k, latent_dim=d, weights="gaussian")
        n = np.array(one.n_rounds)
        # Rounded, because an exact logistic curve is a perfect fit, which counts as none.
        stated = np.round(expit(STEEP * np.log(n / at)), 3)
        left["recover"][one.name] = recovery(one, outcomes(n, 2 * at))
        left["bound"][one.name] = {
            "n_rounds": n.astype(np.int32),
            "map_probability": np.tile(stated, (TRIALS, 1)),
            "map_correct": outcomes(n, at),
            "information": np.zeros((TRIALS, len(n))),
            # Falls by steps of log T, to a half after a quarter of the rounds.
            "fano_error": np.tile(np.clip(0.5 - 0.1 * np.log(4 * n / at), 0, 1), (TRIALS, 1)),
        }
        cells.append(one)
    ds = on_disk(tmp_path, "lower_bounds", lower_bounds.collect(cells, reading(**left), SETTINGS))
    assert ds["quantile"].values.tolist() == [0.5, 2 / 3, 0.95]
    for size, one in zip(sizes, cells, strict=True):
        place = dict(zip(lower_bounds.AXES, size, strict=True))
        at = bayes[size]
        for q in (0.5, 2 / 3):
            here = {**place, "quantile": q}
            assert_estimate(ds, "greedy_factor", here, 2.0)
            for limit, where in (("greedy", 2 * at), ("bayes", at)):
                expected = needed_for(where, q)
                assert_estimate(ds, "rounds_needed", {**here, "limit": limit}, expected)
        fano = float(ds["rounds_needed"].sel({**place, "quantile": 0.5, "limit": "fano"}))
        np.testing.assert_allclose(fano, at / 4, rtol=1e-6)
        constant = needed_for(at, 2 / 3) / claimed[size]
        assert_estimate(ds, "rate_constant", {**place, "limit": "bayes"}, constant)
        n = np.array(one.n_rounds)
        curves = ds.sel(place).sel(n_rounds=n)
        stated = expit(STEEP * np.log(n / at))
        np.testing.assert_allclose(curves["bayes_error_probability"], 1 - stated, atol=1e-3)
        np.testing.assert_allclose(curves["map_error_probability"], 1 - stated, atol=1e-3)
        greedy = expit(STEEP * np.log(n / at / 2))
        np.testing.assert_allclose(curves["greedy_error_probability"], 1 - greedy, atol=1e-3)
    for limit, factor in (("greedy", 2), ("bayes", 1)):
        at = {"limit": limit}
        least = min(bayes[size] / claimed[size] for size in sizes)
        expected = needed_for(factor * least, 2 / 3)
        assert_estimate(ds, "largest_constant", at, expected)
        for axis, trend in (("n_actions", 0.0), ("sparsity", 0.25), ("latent_dim", -0.5)):
            assert_estimate(ds, "constant_trend", {**at, "axis": axis}, trend)
    empty = {"n_actions": 128, "sparsity": 4}
    assert missing(ds, "greedy_error_probability", empty)
    assert ds["fano_bound"].sel(empty).isnull().all()


def test_lower_bounds_of_few_sizes_have_no_trends(tmp_path):
    # Four sizes, one with nothing to choose, so that the claimed rate is no rounds at all.
    cells, left = [], {"recover": {}, "bound": {}}
    for M, k in ((8, 1), (16, 1), (8, 2), (8, 8)):
        one = cell_of(ladder(100.0), n_actions=M, sparsity=k, weights="gaussian", trials=200)
        shape = (200, len(one.n_rounds))
        left["recover"][one.name] = recovery(one, outcomes(one.n_rounds, 100.0, 200))
        left["bound"][one.name] = {
            "n_rounds": np.array(one.n_rounds, dtype=np.int32),
            "map_probability": outcomes(one.n_rounds, 100.0, 200).astype(float),
            "information": np.zeros(shape),
            "map_correct": outcomes(one.n_rounds, 100.0, 200),
            "fano_error": np.zeros(shape),
        }
        cells.append(one)
    ds = on_disk(tmp_path, "lower_bounds", lower_bounds.collect(cells, reading(**left), SETTINGS))
    assert missing(ds, "constant_trend")
    assert missing(ds, "largest_constant")
    assert missing(ds, "rate_constant", {"sparsity": 8})
    assert missing(ds, "rounds_needed", {"limit": "fano"})  # Fano's bound says nothing


# -- sparsity_necessity --------------------------------------------------------------------------


def test_sparsity_necessity_finds_break_even_and_growth(tmp_path):
    n = (5, 20, 80, 320, 1280, 5120)
    sizes = [(64, 1), (64, 4), (64, 16), (64, 64), (8, 1), (8, 8), (16, 1), (16, 16)]
    # Rounds for a relative error of 1, which falls as 1/T: a tenth takes ten times as many.
    unit = {
        "block_omp": lambda M, k: 4 * k * (M / 64) ** 0.3,
        "ridge": lambda M, k: 20 * (M / 64) ** 0.9,
        "least_squares": lambda M, k: 30 * M / 64,
    }
    cells, left = [], {"refit": {}, "dense": {}}
    for M, k in sizes:
        one = cell_of(n, n_actions=M, sparsity=k, weights="gaussian", signal=3.0, trials=50)
        # The trials differ; their mean is k b² times the relative error.
        spread = np.linspace(0.5, 1.5, 50)[:, None] * 9 * k
        error = {name: spread * rounds(M, k) / np.array(n) for name, rounds in unit.items()}
        left["refit"][one.name] = {"squared_error": error["block_omp"]}
        left["dense"][one.name] = {
            f"{name}_error": error[name] for name in ("ridge", "least_squares")
        }
        cells.append(one)
    ds = sparsity_necessity.collect(cells, reading(**left), SETTINGS, relative_error=0.1)
    ds = on_disk(tmp_path, "sparsity_necessity", ds)
    assert float(ds["relative_error_wanted"]) == 0.1
    for M, k in sizes:
        for name, rounds in unit.items():
            place = {"n_actions": M, "sparsity": k, "estimator": name}
            np.testing.assert_allclose(
                ds["relative_error"].sel(place), rounds(M, k) / np.array(n), rtol=1e-12
            )
            expected = 10 * rounds(M, k)
            value, low, high = (end.sel(place).item() for end in grid.take(ds, "rounds_needed"))
            np.testing.assert_allclose(value, expected, rtol=1e-9)
            assert low < value < high
    # 4 k of 64 against 20: even where five actions matter.
    assert_estimate(ds, "break_even_share", {"n_actions": 64}, 5 / 64, rtol=1e-9)
    assert missing(ds, "break_even_share", {"n_actions": 8})  # of two points
    assert_estimate(ds, "dense_exponent", {"estimator": "ridge"}, 0.9, rtol=1e-9)
    assert_estimate(ds, "dense_exponent", {"estimator": "least_squares"}, 1.0, rtol=1e-9)
    assert_estimate(ds, "sparse_exponent", {"estimator": "block_omp"}, 0.3, rtol=1e-9)
    assert missing(ds, "rounds_needed", {"n_actions": 16, "sparsity": 4})


@pytest.mark.parametrize("relative_error", [1e-6, 1e6])
def test_an_error_outside_the_range_tried_needs_no_known_number_of_rounds(tmp_path, relative_error):
    cells = [cell_of((10, 20, 40), n_actions=8, sparsity=k, trials=20) for k in (1, 4, 8)]
    error = np.tile(100 / np.array([10, 20, 40]), (20, 1))
    left = {
        "refit": {one.name: {"squared_error": error} for one in cells},
        "dense": {one.name: {"ridge_error": error, "least_squares_error": error} for one in cells},
    }
    read = reading(**left)
    ds = sparsity_necessity.collect(cells, read, SETTINGS, relative_error=relative_error)
    ds = on_disk(tmp_path, "sparsity_necessity", ds)
    for name in ("rounds_needed", "break_even_share", "dense_exponent", "sparse_exponent"):
        assert missing(ds, name)
    assert ds["relative_error"].notnull().all()


# -- stopping ------------------------------------------------------------------------------------


def test_stopping_prices_each_rule_against_a_known_number(tmp_path):
    n_rounds = ladder(100)
    cell = cell_of(n_rounds, noise_std=0.5)
    known, dearer = outcomes(n_rounds, 100), outcomes(n_rounds, 150)
    # Where the dearer rule errs it keeps one action too many in even trials, one too few in odd.
    odd = np.arange(TRIALS)[:, None] % 2
    selected = np.stack([2 * np.ones_like(known), 2 + (1 - dearer) * (1 - 2 * odd)], axis=-1)
    correct = np.stack([1 + known, 2 - (1 - dearer) * odd], axis=-1)
    left = {
        "n_rounds": np.array(n_rounds, dtype=np.int32),
        "stopping": np.array([stopping.KNOWN, "dearer"]),
        "n_selected": selected.astype(np.int32),
        "n_correct": correct.astype(np.int32),
    }
    ds = stopping.collect([cell], reading(stop={cell.name: left}), SETTINGS)
    ds = on_disk(tmp_path, "stopping", ds).sel(design="signed", signal_to_noise=2.0)
    assert int(ds["n_trials"]) == TRIALS
    for rule, exact in ((stopping.KNOWN, known), ("dearer", dearer)):
        of = ds.sel(stopping=rule)
        np.testing.assert_allclose(of["recovery_probability"], exact.mean(axis=0))
        assert of["final_recovery_probability"] == exact[:, -1].mean()
    of = ds.sel(stopping="dearer")
    wrong = 1 - dearer.mean(axis=0)
    np.testing.assert_allclose(of["false_positives"] + of["false_negatives"], wrong, atol=1e-12)
    np.testing.assert_allclose(of["false_positives"], of["false_negatives"], atol=1e-3)
    np.testing.assert_allclose(of["price"], 1.5, rtol=0.01)
    assert (of["price_low"] < 1.5).all()
    assert (of["price_high"] > 1.5).all()
    free = ds.sel(stopping=stopping.KNOWN)
    for end in ("", "_low", "_high"):
        np.testing.assert_allclose(free[f"price{end}"], 1.0)
    # Paired: far closer than if the two had been drawn independently.
    needed = of["rounds_needed_high"] - of["rounds_needed_low"]
    apart = (of["price_high"] - of["price_low"]) / of["price"]
    assert (apart < needed / of["rounds_needed"]).all()


def test_a_rule_that_never_gets_there_costs_more_than_was_tried(tmp_path):
    n_rounds = ladder(100)
    cell = cell_of(n_rounds, noise_std=0.5)
    exact = np.stack([outcomes(n_rounds, 100), first(np.full(len(n_rounds), 0.7))], axis=-1)
    left = {
        "n_rounds": np.array(n_rounds, dtype=np.int32),
        "stopping": np.array([stopping.KNOWN, "capped"]),
        "n_selected": np.full(exact.shape, 2, dtype=np.int32),
        "n_correct": (1 + exact).astype(np.int32),
    }
    ds = stopping.collect([cell], reading(stop={cell.name: left}), SETTINGS)
    of = on_disk(tmp_path, "stopping", ds).sel(
        design="signed", signal_to_noise=2.0, stopping="capped", quantile=0.95
    )
    assert np.isnan(of["price"])
    tried = 800 / needed_for(100, 0.95)  # over what is needed where k is known, at its upper end
    assert 0.9 * tried < of["price_low"] <= tried
    assert np.isnan(of["price_high"])


# -- robustness ----------------------------------------------------------------------------------


def refitted(cell, exact, covered, error):
    """A refit whose intervals, ten a trial, cover in the shares given for every T."""
    shape = exact.shape
    return {
        "n_rounds": np.array(cell.n_rounds, dtype=np.int32),
        "exact_recovery": exact,
        "squared_error": np.full(shape, error),
        "oracle_error": np.ones(shape),
        "least_eigenvalue": np.ones(shape),
        "n_covered": np.broadcast_to(np.round(10 * np.array(covered)).astype(np.int32), shape),
        "n_intervals": np.full(shape, 10, dtype=np.int32),
    }


def robust(needed, covered, error=1.0, hopeless=()):
    """Collected from cells by (departure, size), with the rounds needed for one half of each."""
    rounds = ladder(300)
    read_recovery, read_refit, cells = {}, {}, []
    for (departure, size), at in needed.items():
        one = cell_of(rounds, noise_std=2.0, departure=departure, departure_size=size)
        exact = outcomes(rounds, at)
        if (departure, size) in hopeless:
            exact = first(np.full(len(rounds), 0.01))
        cells.append(one)
        read_recovery[one.name] = recovery(one, exact)
        cover = covered.get((departure, size), 0.9)
        read_refit[one.name] = refitted(one, exact, cover, error)
    return robustness.collect(
        cells, reading(recover=read_recovery, refit=read_refit), SETTINGS
    ), cells


IDEAL = ("none", 0.0)


def test_robustness_finds_factors_and_where_they_hurt(tmp_path):
    needed = {
        IDEAL: 200,
        ("student", 0.2): 240,
        ("student", 0.4): 400,
        ("nonlinear", 0.5): 200,
        ("nonlinear", 1.0): 220,
        ("bounded", 0.5): 250,
        ("bounded", 1.5): 300,
    }
    covered = {IDEAL: 1.0, ("student", 0.2): 1.0, ("student", 0.4): 0.8, ("nonlinear", 0.5): 0.7}
    ds, cells = robust(needed, covered, error=0.5, hopeless=[("bounded", 1.5)])
    ds = on_disk(tmp_path, "robustness", ds)
    for (departure, size), at in needed.items():
        place = {"departure": departure, "departure_size": size}
        assert int(ds["n_trials"].sel(place)) == TRIALS
        np.testing.assert_allclose(ds["relative_error"].sel(place), 0.25)  # k b² is 2
        for q in QUANTILES:
            there = {**place, "quantile": q}
            if (departure, size) == ("bounded", 1.5):
                assert missing(ds, "rounds_factor", there)
                continue
            assert_estimate(ds, "rounds_needed", there, needed_for(at, q))
            assert_estimate(ds, "rounds_factor", there, at / 200)
    # 1.2 at size 0.2 and 2 at 0.4: 1.5 in between, at three eighths of the way.
    half = {"quantile": 0.5}
    assert_estimate(ds, "harmful_size", {"departure": "student", **half}, 0.275)
    assert_estimate(ds, "undercovering_size", {"departure": "student"}, 0.3)
    assert_estimate(ds, "undercovering_size", {"departure": "nonlinear"}, 1 / 6)
    # Never so many: more than the greatest size.
    mild = ds.sel(departure="nonlinear", **half)
    assert np.isnan(mild["harmful_size"])
    assert float(mild["harmful_size_low"]) == 1.0
    # Rounds needed beyond all that were tried count as the most.
    most = cells[0].n_rounds[-1] / 200
    crossing = 0.5 + (1.5 - 1.25) / (most - 1.25)
    assert_estimate(ds, "harmful_size", {"departure": "bounded", **half}, crossing)
    for name in ("harmful_size", "undercovering_size"):
        assert missing(ds, name, {"departure": "none"})
    # As selected there are two irrelevant actions where recovery is not exact.
    wrong = ds["false_positives"].sel(departure="none", departure_size=0.0)
    share = ds["recovery_probability"].sel(departure="none", departure_size=0.0)
    np.testing.assert_allclose(wrong, 2 * (1 - share), atol=1e-12)


def test_robustness_has_its_theory_beside_it():
    needed = {IDEAL: 200, ("student", 0.25): 240, ("student", 0.5): 300, ("bounded", 0.5): 250}
    ds, _ = robust(needed, {})
    factor = ds["variance_factor"]
    # Two effects of norm 1 in two dimensions and noise of variance 4: 2 (1 + 2/2) + 4.
    noise = 4 * student_scale(4) ** 2 * 2
    np.testing.assert_allclose(
        factor.sel(departure="student", departure_size=0.25), (4 + noise) / 8
    )
    assert np.isnan(factor.sel(departure="student", departure_size=0.5))  # without a variance
    assert np.isnan(factor.sel(departure="bounded", departure_size=0.5))  # not through variance
    np.testing.assert_allclose(factor.sel(departure="none", departure_size=0.0), 1)
    limit = ds["limit_error"].sel(departure="bounded", departure_size=0.5)
    np.testing.assert_allclose(limit, 0.25 / (2 * np.pi))


def test_intervals_that_never_fail_have_no_such_size():
    needed = {IDEAL: 200, ("rademacher", 1.0): 200}
    ds, _ = robust(needed, {IDEAL: 1.0, ("rademacher", 1.0): 1.0})
    found = ds.sel(departure="rademacher")
    assert np.isnan(found["undercovering_size"])
    assert float(found["undercovering_size_low"]) == 1.0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 1.2, 2.0], 1 + (1.5 - 1.2) / 0.8),
        ([1.0, np.nan, 2.0], 1.0),
        ([1.0, 1.1, 1.2], np.inf),
        ([1.0, np.nan, 1.2], np.nan),
        ([1.6, 1.1, 1.2], 0.0),
        ([np.nan] * 3, np.nan),
    ],
)
def test_where_a_level_is_first_reached(values, expected):
    found = robustness.crossing(np.array([0.0, 1.0, 2.0]), np.array(values), 1.5)
    np.testing.assert_allclose(found, expected)


# -- approximate_sparsity ------------------------------------------------------------------------

ENERGIES = (0.0, 0.01, 0.1, 1.0)


def tailed(energy, n_rounds, *, tail="flat", trials=TRIALS, judged=400, needed=100.0):
    """A cell and what its stages might leave: all errors fall as 1/T towards the tail's energy."""
    scenario = {"n_actions": 32, "sparsity": 2, "signal": 3.0, "noise_std": 0.5}
    one = cell_of(n_rounds, tail=tail, tail_energy=energy, trials=trials, **scenario)
    n, unit = np.array(n_rounds), 2 * 9.0  # k b²
    spread = np.resize([0.5, 1.5], trials)[:, None]
    known = energy * unit + 10 / n
    best = np.full(judged, 4.0)
    regret = np.zeros((judged, len(n), 3))
    regret[:, :, 2] = 0.4 + 20 / n
    left = {
        "recover": recovery(one, outcomes(n_rounds, needed, trials)),
        "refit": {
            "squared_error": spread * (known + 5 / n),
            "k_term_error": spread * known,
        },
        # Ridge errs as little as Block-OMP where the tail has 20/T of the energy.
        "dense": {"ridge_error": np.tile(20 * unit / n + 15 / n, (trials, 1))[:judged]},
        "decide": {
            "n_rounds": n,
            "mean_regret": regret,
            "best_value": best,
            "known_regret": np.full(judged, 0.4),
        },
    }
    left["refit"] |= {"n_rounds": n}
    return one, left


def collected(tmp_path, made):
    stages = ("recover", "refit", "dense", "decide")
    left = {stage: {one.name: of_one[stage] for one, of_one in made} for stage in stages}
    cells = [one for one, _ in made]
    ds = approximate_sparsity.collect(cells, reading(**left), SETTINGS)
    return on_disk(tmp_path, "approximate_sparsity", ds)


def test_approximate_sparsity_holds_a_tail_against_no_tail_and_the_best_k_terms(tmp_path):
    n = ladder(200.0, 5)
    made = [tailed(energy, n, needed=100.0 * (1 + 2 * energy)) for energy in ENERGIES]
    ds = collected(tmp_path, made)
    at = np.array(n)
    for energy in ENERGIES:
        place = {"tail": "flat", "tail_energy": energy}
        assert int(ds["n_trials"].sel(place)) == TRIALS
        assert int(ds["n_judged"].sel(place)) == 400
        for q in QUANTILES:
            here = {**place, "quantile": q}
            assert_estimate(ds, "rounds_needed", here, needed_for(100 * (1 + 2 * energy), q))
            assert_estimate(ds, "rounds_factor", here, 1 + 2 * energy)
        share = outcomes(n, 100 * (1 + 2 * energy)).mean(axis=0)
        np.testing.assert_allclose(ds["found_share"].sel(place), share)
        total = 18 * (1 + energy)
        known = 18 * energy + 10 / at
        for name, error in (
            ("k_largest", known),
            ("block_omp", known + 5 / at),
            ("ridge", 375 / at),
        ):
            found = ds["relative_error"].sel({**place, "estimator": name})
            np.testing.assert_allclose(found, error / total)
        np.testing.assert_allclose(ds["k_term_ratio"].sel(place), 1 + 5 / at / known)
        np.testing.assert_allclose(ds["relative_regret"].sel(place), 0.1 + 5 / at)
        np.testing.assert_allclose(ds["known_relative_regret"].sel(place), 0.1)
        np.testing.assert_allclose(ds["value_share"].sel(place), (3.6 - 20 / at) / 3.6)
    for n_rounds in n:
        here = {"tail": "flat", "n_rounds": n_rounds}
        estimate = float(ds["break_even_energy"].sel(here))
        # Linear in log τ between the energies tried.
        ratio = np.log([(18 * one + 15 / n_rounds) / (375 / n_rounds) for one in ENERGIES[1:]])
        np.testing.assert_allclose(
            np.interp(np.log(estimate), np.log(ENERGIES[1:]), ratio), 0, atol=1e-9
        )
    # From 1.2 at a tenth to 3 at 1, a power law between.
    twice = 0.1 ** (1 - np.log(2 / 1.2) / np.log(3 / 1.2))
    for q in QUANTILES:
        assert_estimate(ds, "doubling_energy", {"tail": "flat", "quantile": q}, twice, rtol=0.03)
    last = at[-1]
    worst = 1 + 5 / (18 * 0.01 * last + 10)  # at the least energy but 0
    assert_estimate(ds, "final_k_term_ratio", {"tail": "flat"}, worst)
    assert_estimate(ds, "final_value_share", {"tail": "flat"}, (3.6 - 20 / last) / 3.6)


def test_a_tail_that_never_pays_for_ridge_is_known_to_break_even_further_on(tmp_path):
    # With few rounds Block-OMP errs less at all energies tried; with a great many at none.
    made = [tailed(energy, (10, 400, 10**6), trials=50, judged=50) for energy in ENERGIES]
    ds = collected(tmp_path, made).sel(tail="flat")
    first = ds.sel(n_rounds=10)
    assert np.isnan(first["break_even_energy"])
    assert float(first["break_even_energy_low"]) == ENERGIES[-1]
    assert np.isfinite(ds["break_even_energy"].sel(n_rounds=400))
    assert missing(ds, "break_even_energy", {"n_rounds": 10**6})


def test_a_tail_of_few_energies_or_without_its_baseline_has_no_more_than_it_can(tmp_path):
    ds = collected(tmp_path, [tailed(0.1, (50, 100, 200), tail="power", trials=60, judged=10)])
    assert missing(ds, "rounds_factor")
    assert missing(ds, "break_even_energy")
    assert np.isfinite(ds["final_k_term_ratio"].sel(tail="power"))
    np.testing.assert_allclose(
        ds["largest_tail"].item(), np.sqrt(0.2 / np.sum(np.arange(1, 31) ** -2.0))
    )


def test_a_cell_without_a_tail_is_the_baseline_of_all_tails_without_one_of_their_own(tmp_path):
    n = ladder(200.0, 5)
    made = [
        tailed(0.0, n),
        tailed(0.1, n, needed=120.0),
        tailed(0.1, n, tail="power", needed=150.0),
    ]
    ds = collected(tmp_path, made)
    bare = ds[[name for name in ds if "tail_energy" in ds[name].dims]].sel(tail_energy=0.0)
    xr.testing.assert_identical(*(bare.sel(tail=one, drop=True) for one in ("flat", "power")))
    for tail, factor in (("flat", 1.2), ("power", 1.5)):
        for q in QUANTILES:
            here = {"tail": tail, "tail_energy": 0.1, "quantile": q}
            assert_estimate(ds, "rounds_factor", here, factor)
    own = collected(tmp_path, [*made, tailed(0.0, n, tail="power", needed=75.0)])
    for q in QUANTILES:
        here = {"tail": "power", "tail_energy": 0.1, "quantile": q}
        assert_estimate(own, "rounds_factor", here, 2.0)
        assert_estimate(own, "rounds_factor", {**here, "tail": "flat"}, 1.2)


def test_a_tail_multiplies_the_noise_in_a_correlation_as_stated():
    scenario = Scenario(
        design="signed", n_actions=6, sparsity=2, latent_dim=2, tail="flat", tail_energy=0.9
    )
    bare = Scenario(design="signed", n_actions=6, sparsity=2, latent_dim=2)
    first, last = approximate_sparsity.noise_factors(scenario)
    # By hand: fresh rounds, an action of no effect, and all that is left in the residual.
    rng = np.random.default_rng(3)
    n = 400_000
    states, noise = rng.standard_normal((n, 2)), 0.5 * rng.standard_normal(n)
    signs = rng.choice([-1.0, 1.0], (n, 7))
    directions = rng.standard_normal((6, 2))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    norms = np.array([1.0, 1.0, *[scenario.largest_tail] * 4])
    effects = signs[:, :6] * (states @ (directions * norms[:, None]).T)

    def variance(*left):
        product = states * (signs[:, 6] * (effects[:, left].sum(axis=1) + noise))[:, None]
        return np.mean(product**2)

    tail = (2, 3, 4, 5)
    np.testing.assert_allclose(variance(0, 1, *tail) / variance(0, 1), first, rtol=0.03)
    np.testing.assert_allclose(variance(1, *tail) / variance(1), last, rtol=0.03)
    assert approximate_sparsity.noise_factors(bare) == (1, 1)
    other = Scenario(design="single", n_actions=6, sparsity=2, latent_dim=2)
    assert np.isnan(approximate_sparsity.noise_factors(other)).all()


# -- dynamic actions -----------------------------------------------------------------------------


def followed(cell, found, read, same=1):
    """A log followed: the newcomer found since arrival, and a share of the rounds read."""
    lengths = np.array(cell.n_rounds, dtype=np.int32)
    exact = np.ones((len(found), len(lengths)), dtype=np.uint8)
    exact[:, lengths > cell.scenario.arrives_after] = found
    anew = np.broadcast_to(np.cumsum(lengths), exact.shape)
    difference = np.full(exact.shape, 1e-12)
    difference[0, 0] = 0.5 if same == 0 else 1e-10
    agrees = np.ones_like(exact)
    agrees[0, 0] = same
    return {
        "n_rounds": lengths,
        "exact_recovery": exact,
        "newcomer_found": exact,
        "same_support": agrees,
        "weight_difference": difference,
        "rounds_read": (anew * read).astype(np.int64),
        "rounds_read_anew": anew,
    }


def test_dynamic_actions_find_factors_and_what_is_read(tmp_path):
    since = ladder(100)
    needed = {(0, "whitened"): 80, (1000, "whitened"): 40, (0, "correlation"): 80}
    needed |= {(1000, "correlation"): 120}
    cells, left = [], {}
    for (arrival, selection), at in needed.items():
        before = (250, 1000) if arrival else ()
        rounds = (*before, *(arrival + n for n in since))
        one = cell_of(rounds, selection=selection, arrives_after=arrival)
        cells.append(one)
        same = 0 if (arrival, selection) == (0, "correlation") else 1
        left[one.name] = followed(one, outcomes(since, at), 0.25 if arrival else 0.5, same)
    ds = dynamic_actions.collect(cells, reading(follow=left), SETTINGS)
    ds = on_disk(tmp_path, "dynamic_actions", ds)
    assert ds["since_arrival"].values.tolist() == list(since)
    for (arrival, selection), at in needed.items():
        place = {"arrives_after": arrival, "selection": selection}
        assert int(ds["n_trials"].sel(place)) == TRIALS
        for q in QUANTILES:
            there = {**place, "quantile": q}
            assert_estimate(ds, "discovery_rounds", there, needed_for(at, q))
            assert_estimate(ds, "discovery_factor", there, at / 80)
        read = ds["read_share"].sel(place).dropna("n_rounds").values
        np.testing.assert_allclose(read, 0.25 if arrival else 0.5, atol=0.02)
        # Where the selected sets differ, weights are not compared.
        expected = 1e-12 if (arrival, selection) == (0, "correlation") else 1e-10
        assert float(ds["weight_difference"].sel(place)) == expected
    assert float(ds["same_support_share"].sel(selection="whitened")) == 1.0
    share = 1 - 1 / len(since) / (2 * TRIALS)
    one = ds.sel(selection="correlation")
    assert float(one["same_support_share"]) == pytest.approx(share)
    assert float(one["same_support_share_low"]) > 0.99
    np.testing.assert_allclose(ds["final_read_share"], 0.25, atol=0.01)
    assert np.isnan(ds["predicted_rounds"].sel(arrives_after=0)).all()


def test_a_newcomer_has_to_pass_what_old_rounds_add_to_the_scores():
    scenario = cell_of((1,), n_actions=128, sparsity=4, arrives_after=1).scenario
    # 31 late, 93 old irrelevant actions, and the median of the largest of m draws of χ² with d = 2.
    late, old = (-2 * np.log(1 - 0.5 ** (1 / m)) for m in (31, 93))

    def predicted(arrival, selection="correlation"):
        one = Scenario(**{**vars(scenario), "arrives_after": arrival})
        return dynamic_actions.predicted_rounds(one, selection)

    # Where little is old, what the newcomer adds to old actions' scores counts too.
    n = predicted(1, "whitened")
    assert n == pytest.approx((0.25 + n / (1 + n)) * old, rel=1e-6)
    for arrival in (100, 10**4, 10**8):
        assert predicted(arrival, "whitened") == pytest.approx(1.25 * late, rel=1e-6)
        n = predicted(arrival)
        assert n**2 == pytest.approx((0.25 * (arrival + n) + n) * old, rel=1e-6)
    assert predicted(10**8) / predicted(10**6) == pytest.approx(10, rel=0.02)


# -- methods -------------------------------------------------------------------------------------


def chosen(cell, exact, *, error=0.5, regret=0.25, unconverged=0):
    """What a method chose: all k where it is exact, else one of them and one that is wrong."""
    k, shape = cell.scenario.sparsity, exact.shape
    converged = np.ones(shape, dtype=np.uint8)
    converged[:unconverged] = 0
    return {
        **recovery(cell, exact),
        "n_correct": np.where(exact == 1, k, 1).astype(np.int32),
        "converged": converged,
        "squared_error": np.full(shape, error),
        "mean_regret": np.full(shape, regret),
        "best_value": np.full(len(exact), 2.0),
    }


def test_methods_are_held_against_the_papers_rule_on_the_same_logs(tmp_path):
    rounds = ladder(100)
    needed = {"correlation": 100.0, "whitened": 80.0, "ridge": 200.0, "best_subset": 60.0}
    cells, left = [], {}
    for method, at in needed.items():
        one = cell_of(rounds, label="plain", selection=method)
        cells.append(one)
        left[one.name] = chosen(one, outcomes(rounds, at), unconverged=20 * (method == "ridge"))
    ds = methods.collect(cells, reading(compare=left), SETTINGS)
    ds = on_disk(tmp_path, "methods", ds)
    assert ds["method"].values.tolist() == [*needed]
    assert ds["n_trials"].values.tolist() == [TRIALS]
    assert (ds["n_actions"].values.tolist(), ds["sparsity"].values.tolist()) == ([32], [2])
    for method, at in needed.items():
        place = {"setting": "plain", "method": method}
        share = expit(STEEP * np.log(np.array(rounds) / at))
        found = ds["recovery_probability"].sel(place)
        np.testing.assert_allclose(found, share, atol=1e-3)
        # One right and one wrong of two is an F1 of a half.
        np.testing.assert_allclose(ds["f1"].sel(place), (1 + share) / 2, atol=1e-3)
        np.testing.assert_allclose(ds["relative_error"].sel(place), 0.25)
        np.testing.assert_allclose(ds["relative_regret"].sel(place), 0.125)
        np.testing.assert_allclose(ds["unconverged_share"].sel(place), 0.01 * (method == "ridge"))
        for q in QUANTILES:
            there = {**place, "quantile": q}
            assert_estimate(ds, "rounds_needed", there, needed_for(at, q), rtol=0.02)
            assert_estimate(ds, "method_factor", there, at / 100, rtol=0.02)
        if method == "correlation":
            assert missing(ds, "recovery_gain", place)
            continue
        gain = share - expit(STEEP * np.log(np.array(rounds) / 100))
        for i, n in enumerate(rounds):
            assert_estimate(ds, "recovery_gain", {**place, "n_rounds": n}, gain[i])
            assert_estimate(ds, "f1_gain", {**place, "n_rounds": n}, gain[i] / 2)
    for q in QUANTILES:
        assert_estimate(ds, "rival_factor", {"setting": "plain", "quantile": q}, 60 / 80, rtol=0.02)


def test_the_same_trials_are_resampled_for_all_methods(tmp_path):
    rounds = ladder(100)
    exact = outcomes(rounds, 100, trials=40)
    cells = [
        cell_of(rounds, label="plain", selection=one, trials=40) for one in ("correlation", "ridge")
    ]
    left = {one.name: chosen(one, exact) for one in cells}
    ds = on_disk(tmp_path, "methods", methods.collect(cells, reading(compare=left), SETTINGS))
    # With the same outcomes on every trial no resampling can tell the methods apart.
    at = {"setting": "plain", "method": "ridge"}
    for name in ("method_factor", "rival_factor"):
        for end in grid.take(ds.sel(at), name):
            np.testing.assert_allclose(end.sel(quantile=0.5), 1.0, rtol=1e-9)
    assert all(bool((end.sel(at) == 0).all()) for end in grid.take(ds, "f1_gain"))
    _, low, high = (end.sel(at) for end in grid.take(ds, "recovery_gain"))
    assert bool(((low < 0) & (high > 0)).all())  # agreement on 40 logs is not agreement for certain


def test_differences_by_hand():
    one = cell_of((10, 20, 40), label="plain", selection="ridge", trials=4)
    paper = cell_of((10, 20, 40), label="plain", trials=4)
    left = {
        paper.name: chosen(paper, np.array([[0, 0, 1], [0, 1, 1], [0, 0, 0], [1, 1, 1]], np.uint8)),
        one.name: chosen(one, np.array([[1, 1, 1], [0, 0, 1], [0, 0, 1], [1, 1, 1]], np.uint8)),
    }
    left[one.name]["selected"][:, :, 1] = -1  # one action alone
    left[one.name]["n_correct"] = np.ones((4, 3), dtype=np.int32)
    ds = methods.collect([paper, one], reading(compare=left), SETTINGS).sel({"method": "ridge"})
    np.testing.assert_allclose(ds["recovery_gain"].values.ravel(), [0.25, 0.0, 0.25])
    # 2/3 throughout against 1/2 or 1.
    np.testing.assert_allclose(ds["f1"].values.ravel(), 2 / 3)
    papers = [0.5 * 0.75 + 0.25, 0.5 * 0.5 + 0.5, 0.5 * 0.25 + 0.75]
    np.testing.assert_allclose(ds["f1_gain"].values.ravel(), 2 / 3 - np.array(papers))
    np.testing.assert_allclose(ds["rival_gain"].values, 0.25)


def test_where_one_side_never_recovers_one_end_of_the_factor_is_known(tmp_path):
    rounds = ladder(100)
    shares = {"never": np.zeros(len(rounds)), "needs": expit(STEEP * np.log(np.array(rounds) / 60))}
    cells, left = [], {}
    for label, papers, rivals in (("decoy", "never", "needs"), ("other", "needs", "never")):
        # Another noise for another scenario.
        noise = {"noise_std": 1.0 if label == "decoy" else 2.0}
        for method, of in (("correlation", papers), ("ridge", rivals)):
            one = cell_of(rounds, label=label, selection=method, **noise)
            cells.append(one)
            left[one.name] = chosen(one, first(shares[of]))
    ds = on_disk(tmp_path, "methods", methods.collect(cells, reading(compare=left), SETTINGS))
    half = ds.sel(quantile=0.5)
    ends = {
        label: [float(end.sel(setting=label)) for end in grid.take(half, "rival_factor")]
        for label in ("decoy", "other")
    }
    np.testing.assert_allclose(ends["decoy"], [np.nan, np.nan, 60 / rounds[-1]], rtol=0.1)
    np.testing.assert_allclose(ends["other"], [np.nan, rounds[-1] / 60, np.nan], rtol=0.1)
    assert_estimate(ds, "rival_gain", {"setting": "decoy"}, shares["needs"][-1])
    assert_estimate(ds, "rival_gain", {"setting": "other"}, -shares["needs"][-1])


def test_a_method_whose_curve_is_not_determined_counts_if_it_may_be_the_first(tmp_path):
    rounds = (10, 20, 40, 80, 160)
    steps = {early: (np.array(rounds) > early).astype(float) for early in (15, 90)}
    for early, known in ((15, False), (90, True)):
        cells, left = [], {}
        shares = {"correlation": 60.0, "ridge": 50.0, "screening": steps[early]}
        for method, of in shares.items():
            one = cell_of(rounds, label="plain", selection=method)
            cells.append(one)
            share = expit(STEEP * np.log(np.array(rounds) / of)) if method != "screening" else of
            left[one.name] = chosen(one, first(share))
        ds = methods.collect(cells, reading(compare=left), SETTINGS)
        ds = on_disk(tmp_path, "methods", ds)
        at = {"setting": "plain", "quantile": 0.5}
        assert np.isnan(float(ds["rounds_needed"].sel({**at, "method": "screening"})))
        if known:
            assert_estimate(ds, "rival_factor", at, 50 / 60, rtol=0.03)
        else:
            assert missing(ds, "rival_factor", at)


def test_without_rivals_there_is_nothing_to_compare(tmp_path):
    one = cell_of(ladder(100), label="plain")
    left = {one.name: chosen(one, outcomes(one.n_rounds, 100))}
    ds = on_disk(tmp_path, "methods", methods.collect([one], reading(compare=left), SETTINGS))
    assert missing(ds, "rival_factor")
    assert missing(ds, "rival_gain")
