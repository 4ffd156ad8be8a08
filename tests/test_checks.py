"""What results must be whatever the data say: each check passes good data and stops bad data."""

import numpy as np
import pytest

from sparseact.study.checks import CheckError, check
from sparseact.study.experiments.grid import empty, put
from sparseact.study.variables import KINDS, VARIABLES

ROUNDS = [10, 20, 40, 80]
RISING = np.array([0.1, 0.4, 0.8, 1.0])


def around(values, half=0.02):
    values = np.asarray(values, dtype=float)
    return values, values - half, values + half


def signal_strength():
    ds = empty(
        "signal_strength",
        {
            "signal_to_noise": [0.5, 1.0, 2.0],
            "n_rounds": ROUNDS,
            "quantile": [0.5, 0.95],
            "regime": ["noise", "interference"],
        },
    )
    for i, ratio in enumerate(ds.signal_to_noise.values):
        put(ds, "recovery_probability", {"signal_to_noise": ratio}, around(RISING * 0.97))
        put(ds, "rounds_needed", {"signal_to_noise": ratio}, around([60 - 10 * i, 90 - 10 * i], 1))
    return ds


def coverage():
    ds = empty(
        "coverage", {"design": ["single"], "selection": ["whitened"], "coverage": [0, 1, 2, 4]}
    )
    put(ds, "miss_probability", {}, around([[[0.98, 0.8, 0.5, 0.3]]]))
    put(ds, "two_point_error", {}, around([[[0.5, 0.4, 0.25, 0.15]]]))
    put(ds, "le_cam_bound", {}, around([[0.5, 0.25, 0.15, 0.05]]))
    return ds


def coherence():
    ds = empty(
        "coherence",
        {
            "structure": ["twin", "aggregate"],
            "strength": [0.5],
            "n_rounds": ROUNDS,
            "quantile": [0.5],
            "false_positive": ["decoy", "other"],
        },
    )
    put(ds, "recovery_probability", {}, around([[RISING * 0.97], [RISING[::-1] * 0.97]]))
    put(ds, "erc", {}, around([[[0.9, 0.8, 0.7, 0.6]], [[1.9, 1.7, 1.6, 1.5]]]))
    return ds


def refit_error():
    ds = empty("refit_error", {"condition_number": [1.0, 10.0], "n_rounds": ROUNDS})
    put(ds, "recovery_probability", {}, around(np.full((2, 4), 0.995), 0.004))
    put(ds, "error_ratio_exact", {}, around(np.ones(4)))
    put(ds, "interval_coverage", {}, around(np.full((2, 4), 0.95), 0.01))
    return ds


def decision_regret():
    ds = empty("decision_regret", {"n_rounds": ROUNDS, "step": [0, 1, 2], "quantile": [0.5]})
    zero = np.zeros(4)
    put(ds, "bound_exceeded_share", {}, (zero, zero, zero + 0.01))
    put(ds, "mean_regret", {}, around(np.outer(1 - RISING / 2, [1, 1, 1])))
    return ds


def logging_policy():
    ds = empty(
        "logging_policy",
        {
            "design": ["single"],
            "policy": ["uniform", "greedy"],
            "policy_level": [0.0, 1.0],
            "selection": ["whitened"],
            "n_rounds": ROUNDS,
            "quantile": [0.5],
        },
    )
    for policy, level in (("uniform", 0.0), ("greedy", 1.0)):
        at = {"design": "single", "policy": policy, "policy_level": level, "selection": "whitened"}
        put(ds, "recovery_probability", at, around(RISING * 0.97))
        put(ds, "median_least_coverage", at, around(RISING * 100, 1))
    return ds


def lower_bounds():
    ds = empty(
        "lower_bounds",
        {
            "n_actions": [8],
            "sparsity": [2],
            "latent_dim": [2],
            "n_rounds": ROUNDS,
            "limit": ["bayes"],
            "quantile": [0.5],
            "axis": ["n_actions"],
        },
    )
    error = (1 - RISING).reshape(1, 1, 1, 4) * 0.9 + 0.05
    put(ds, "greedy_error_probability", {}, around(error + 0.01))
    put(ds, "bayes_error_probability", {}, around(error))
    put(ds, "map_error_probability", {}, around(error))
    put(ds, "fano_bound", {}, around(error / 3))
    return ds


def sparsity_necessity():
    ds = empty(
        "sparsity_necessity",
        {
            "n_actions": [8],
            "sparsity": [1, 8],
            "estimator": ["block_omp", "ridge", "least_squares"],
            "n_rounds": ROUNDS,
        },
    )
    error = 1.5 - np.multiply.outer(np.ones((1, 2, 3)), RISING)
    put(ds, "relative_error", {}, around(error))
    return ds


def approximate_sparsity():
    ds = empty(
        "approximate_sparsity",
        {
            "tail": ["flat"],
            "tail_energy": [0.0, 0.1],
            "n_rounds": ROUNDS,
            "quantile": [0.5],
            "estimator": ["block_omp"],
        },
    )
    curves = np.array([[RISING, RISING * 0.9]])
    put(ds, "recovery_probability", {}, around(curves))
    put(ds, "found_share", {}, around(curves))
    put(ds, "relative_regret", {}, around(1 - curves / 2))
    put(ds, "rounds_needed", {}, around(np.array([[[30], [40]]]), 2))
    return ds


def phase_transition():
    ds = empty(
        "phase_transition",
        {
            "design": ["signed"],
            "n_actions": [8],
            "sparsity": [2],
            "latent_dim": [1],
            "selection": ["correlation"],
            "n_rounds": ROUNDS,
            "quantity": ["rounds", "coverage"],
            "quantile": [0.5, 0.95],
        },
        replicate=20,
    )
    place = dict.fromkeys(("design", "n_actions", "sparsity", "latent_dim", "selection"), 0)
    at = {dim: ds[dim].values[i] for dim, i in place.items()}
    put(ds, "recovery_probability", at, around(RISING * 0.97))
    put(ds, "rounds_needed", at, around([30, 60], 2))
    return ds


def stopping():
    coords = {"design": ["signed"], "signal_to_noise": [2.0], "stopping": ["k known", "EBIC"]}
    ds = empty("stopping", {**coords, "n_rounds": ROUNDS, "quantile": [0.5]})
    put(ds, "recovery_probability", {}, around(RISING))
    for name in ("false_positives", "false_negatives"):
        put(ds, name, {}, around(2 - 2 * RISING))
    return ds


def robustness():
    ds = empty(
        "robustness",
        {
            "departure": ["none", "student", "bounded"],
            "departure_size": [0.0, 0.5],
            "n_rounds": ROUNDS,
            "quantile": [0.5, 0.95],
        },
    )
    ideal = {"departure": "none", "departure_size": 0.0}
    put(ds, "recovery_probability", ideal, around(np.full(4, 0.995), 0.004))
    put(ds, "interval_coverage", ideal, around(np.full(4, 0.95), 0.01))
    for departure, share in (("student", RISING), ("bounded", RISING[::-1])):
        at = {"departure": departure, "departure_size": 0.5}
        put(ds, "recovery_probability", at, around(share * 0.97))
        put(ds, "rounds_needed", at, around([30, 60], 2))
    return ds


def dynamic_actions():
    coords = {"arrives_after": [0, 64], "selection": ["whitened"], "since_arrival": ROUNDS}
    ds = empty("dynamic_actions", {**coords, "n_rounds": ROUNDS, "quantile": [0.5, 0.95]})
    put(ds, "discovery_probability", {}, around(RISING * 0.97))
    put(ds, "discovery_rounds", {}, around([30, 60], 2))
    ds["weight_difference"].loc[{}] = 1e-12
    return ds


def methods():
    coords = {"setting": ["plain", "decoy"], "method": ["correlation", "best_subset"]}
    ds = empty("methods", {**coords, "n_rounds": ROUNDS, "quantile": [0.5, 0.95]})
    put(ds, "recovery_probability", {}, around(RISING * 0.97))
    at = {"setting": "decoy", "method": "correlation"}
    put(ds, "recovery_probability", at, around(RISING[::-1] * 0.5))
    put(ds, "f1", {}, around(np.maximum(RISING, 0.6)))
    put(ds, "rounds_needed", {}, around([30, 60], 2))
    return ds


def beyond():
    """Two departures: one that spoils decisions before recovery, and one that spoils nothing."""
    outcomes = ["recovery", "decisions"]
    coords = {"departure": ["bad", "harmless"], "grade": [0, 1, 2], "outcome": outcomes}
    ds = empty("beyond", {**coords, "quantile": [0.5, 0.95]})
    ds["experiment"] = ("departure", ["robustness", "stopping"])
    ds["first_broken"] = ("departure", ["decisions or recovery", "nothing"])
    ds["departure_size"][...] = [[0.0, 0.5, 1.0], [np.nan, 0.5, 2.0]]
    ds["is_measured"][...] = 1
    put(ds, "breaking_size", {"departure": "bad"}, around([0.75, 0.25]))
    put(ds, "departure_factor", {}, around(np.ones((2, 3, 2))))
    return ds


def tool_catalogue():
    """Catalogues of one method that keep all they can once they are large."""
    coords = {"setting": ["reference"], "method": ["greedy"], "n_rounds": [100, 400]}
    coords |= {"catalogue_size": [1, 4, 16], "reward_share": [0.5], "logged": ["uniform"]}
    ds = empty("tool_catalogue", {**coords, "latent_dim": [2], "likeness": [0.8], "pair": [0]})
    put(ds, "kept_share", {}, around(np.array([[[[0.1, 0.5, 0.9], [0.2, 0.6, 0.9]]]])))
    return ds


GOOD = {
    one.__name__: one
    for one in (
        phase_transition,
        signal_strength,
        coverage,
        coherence,
        refit_error,
        decision_regret,
        logging_policy,
        lower_bounds,
        sparsity_necessity,
        stopping,
        robustness,
        approximate_sparsity,
        dynamic_actions,
        methods,
        beyond,
        tool_catalogue,
    )
}


@pytest.mark.parametrize("name", GOOD)
def test_good_results_pass(name):
    made = check(name, GOOD[name]())
    intervals = [one for one in KINDS[name].variables if f"{one}_low" in KINDS[name].variables]
    assert len(made) > len(intervals)  # more than that estimates lie within their intervals


@pytest.mark.parametrize(
    ("name", "variable", "spoil", "says"),
    [
        ("phase_transition", "recovery_probability", lambda v: v[..., ::-1], "recovery rises"),
        ("phase_transition", "rounds_needed", lambda v: v[..., ::-1], "rise with the quantile"),
        ("signal_strength", "recovery_probability", lambda v: v[..., ::-1], "recovery rises"),
        ("signal_strength", "rounds_needed", lambda v: v[::-1], "fall with the signal"),
        ("coverage", "two_point_error", lambda v: v / 3, "beats Le Cam"),
        ("coverage", "miss_probability", lambda v: v[..., ::-1], "misses fall"),
        ("coherence", "recovery_probability", lambda v: v[::-1], "while μ_S is below 1"),
        ("coherence", "erc", lambda v: v[..., ::-1], "coefficient falls"),
        ("refit_error", "error_ratio_exact", lambda v: v * 1.4, "error is the oracle's"),
        ("refit_error", "interval_coverage", lambda v: v - 0.1, "cover as they say"),
        ("decision_regret", "bound_exceeded_share", lambda v: v + 0.01, "exceeds its bound"),
        ("decision_regret", "mean_regret", lambda v: v[::-1], "regret falls"),
        ("logging_policy", "recovery_probability", lambda v: v[..., ::-1], "a uniform log rises"),
        ("logging_policy", "median_least_coverage", lambda v: v[..., ::-1], "coverage rises"),
        (
            "logging_policy",
            "recovery_probability",
            lambda v: v * np.array([1, 0.3])[:, None, None, None],
            "always explores is a uniform one",
        ),
        ("lower_bounds", "fano_bound", lambda v: v * 6, "Fano's bound"),
        ("lower_bounds", "greedy_error_probability", lambda v: v * 0.1, "does not beat"),
        ("lower_bounds", "map_error_probability", lambda v: v * 0.3, "calibrated"),
        ("lower_bounds", "map_error_probability", lambda v: v + 0.3, "overconfident"),
        ("stopping", "recovery_probability", lambda v: v[..., ::-1], "recovery rises"),
        ("stopping", "false_positives", lambda v: v + 0.1, "as many are missed as are wrong"),
        ("robustness", "recovery_probability", lambda v: v[..., ::-1], "but under a bounded"),
        ("robustness", "interval_coverage", lambda v: v - 0.1, "where nothing departs"),
        ("robustness", "rounds_needed", lambda v: v[..., ::-1], "rise with the quantile"),
        ("methods", "recovery_probability", lambda v: v[..., ::-1], "by best subset rises"),
        ("methods", "f1", lambda v: v / 3, "no less than exact recovery"),
        ("methods", "rounds_needed", lambda v: v[..., ::-1], "rise with the quantile"),
        ("dynamic_actions", "discovery_probability", lambda v: v[..., ::-1], "discovery rises"),
        ("dynamic_actions", "discovery_rounds", lambda v: v[..., ::-1], "rise with the quantile"),
        ("dynamic_actions", "weight_difference", lambda v: v + 1e-3, "to rounding"),
        (
            "sparsity_necessity",
            "relative_error",
            lambda v: v * np.array([1, 3, 1])[:, None],
            "no worse than least squares",
        ),
        (
            "sparsity_necessity",
            "relative_error",
            lambda v: v * np.array([0.1, 1, 1])[:, None],
            "nothing beats the posterior mean",
        ),
        (
            "approximate_sparsity",
            "found_share",
            lambda v: v[..., ::-1],
            "large effects found rises",
        ),
        ("approximate_sparsity", "rounds_needed", lambda v: v[:, ::-1], "rise with the tail"),
        ("beyond", "departure_size", lambda v: v[:, ::-1], "sizes ascend with the grade"),
        ("beyond", "breaking_size", lambda v: v[:, ::-1], "breaks at the least size"),
        ("tool_catalogue", "kept_share", lambda v: v[..., ::-1], "catalogue keeps no less"),
        ("beyond", "is_measured", lambda v: v * [0, 1], "has been measured"),
    ],
)
def test_bad_results_are_stopped_and_named(name, variable, spoil, says):
    ds = GOOD[name]()
    for end in ("", "_low", "_high"):
        if f"{variable}{end}" in ds:
            ds[f"{variable}{end}"][...] = spoil(ds[f"{variable}{end}"].values.copy())
    with pytest.raises(CheckError, match=says) as caught:
        check(name, ds)
    assert str(caught.value).startswith("it must be that ")
    assert "=" in str(caught.value)  # and where


def test_an_estimate_far_from_its_interval_is_stopped():
    ds = signal_strength()
    ds["recovery_probability"][1, 2] += 0.3
    with pytest.raises(CheckError, match=r"near its interval.*signal_to_noise=1.0, n_rounds=40"):
        check("signal_strength", ds)


def test_small_dips_are_chance():
    ds = signal_strength()
    for end in ("", "_low", "_high"):
        ds[f"recovery_probability{end}"][0, 3] = ds[f"recovery_probability{end}"][0, 2] - 0.02
    check("signal_strength", ds)


def test_every_experiment_has_checks_and_knows_its_variables():
    for name in GOOD:
        assert set(GOOD[name]().variables) <= set(VARIABLES)
