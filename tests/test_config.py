"""The configuration: what it expands to, and how it says what is wrong with it."""

import copy
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import get_args

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseact import Scenario, bounds, simulate_trial
from sparseact.rivals import RIVALS
from sparseact.rules import Selection
from sparseact.study import config as typed
from sparseact.study.cell import ORACLE, Cell
from sparseact.study.config import (
    METHODS,
    MOST_SUPPORTS,
    SELECTIONS,
    ConfigError,
    Experiments,
    RoundsRange,
    Study,
    load_study,
)

BASE = yaml.safe_load(
    """
    label: ""
    seed: 1
    trials: 10
    signal: 1.0
    noise_std: 0.5
    weights: sphere
    quantiles: [0.5, 0.95]
    bootstrap: 40
    experiments:
      phase_transition:
        grids:
          - design: signed
            n_actions: [16, 32]
            sparsity: [2]
            latent_dim: [1, 2]
            n_rounds: [20, 30, 40]
          - design: multi
            actions_per_round: 4
            n_actions: [16]
            sparsity: [2]
            latent_dim: [2]
            trials: 30
            selection: [correlation, whitened]
            rounds: {from: 0.5, to: 2.0, per_doubling: 3}
      signal_strength:
        grids:
          - &plain
            design: signed
            n_actions: [8]
            sparsity: [2]
            latent_dim: [2]
            noise_std: [0.0625, 4.0]
            n_rounds: [8, 16, 32]
      coverage:
        grids:
          - design: single
            n_actions: [8]
            sparsity: [2]
            latent_dim: [2]
            scarce: {after: 50, coverage: [4, 0, 2]}
          - design: multi
            actions_per_round: 2
            n_actions: [8]
            sparsity: [2]
            latent_dim: [2]
            selection: [whitened, least_squares]
            scarce: {after: 30, coverage: [0, 1, 8]}
      coherence:
        measured_trials: 4
        grids:
          - {<<: *plain, noise_std: [0.5], structure: twin, strength: [0.0, 0.5]}
          - {<<: *plain, noise_std: [0.5], structure: aggregate, strength: [1.0], weights: aligned}
          - <<: *plain
            noise_std: [0.5]
            structure: twin
            strength: [0.5]
            selection: [oracle_group_lasso]
      refit_error:
        grids:
          - {<<: *plain, noise_std: [0.5], condition_number: [1.0, 10.0]}
      decision_regret:
        states: 100
        grids:
          - {<<: *plain, noise_std: [0.5]}
      logging_policy:
        judged_trials: 4
        grids:
          - &logged {<<: *plain, noise_std: [0.5], design: single, selection: [whitened]}
          - {<<: *logged, policy: zipf, policy_level: [0.5, 3.0]}
          - {<<: *logged, policy: greedy, policy_level: [0.0, 0.5]}
      lower_bounds:
        grids:
          - {<<: *plain, noise_std: [0.5], weights: gaussian, sparsity: [1, 2], n_rounds: [1, 2, 3]}
      sparsity_necessity:
        relative_error: 0.1
        grids:
          - {<<: *plain, noise_std: [0.5], weights: gaussian, sparsity: [1, 8], n_rounds: [2, 4, 8]}
      stopping:
        alpha: 0.01
        improvement: 0.05
        folds: 5
        most_actions: 4
        grids:
          - {<<: *plain, n_rounds: [16, 32, 64]}
      robustness:
        grids:
          - {<<: *plain, noise_std: [0.5]}
          - {<<: *plain, noise_std: [0.5], departure: student, departure_size: [0.25, 0.5]}
          - {<<: *plain, noise_std: [0.5], departure: bounded, departure_size: [0.5]}
      approximate_sparsity:
        judged_trials: 4
        grids:
          - &tail
            <<: *plain
            noise_std: [0.5]
            weights: sphere
            tail: flat
            tail_energy: [0.0, 0.5, 2.0]
          - {<<: *tail, tail: power, tail_energy: [0.5]}
      dynamic_actions:
        grids:
          - &growing
            design: signed
            n_actions: [8]
            sparsity: [2]
            latent_dim: [2]
            selection: [whitened]
            arrives_after: [0, 70]
            since_arrival: [16, 4, 8]
      methods:
        states: 100
        grids:
          - {<<: *plain, noise_std: [0.5], setting: easy, selection: [correlation, ridge]}
    method_costs:
      sparsity: 2
      latent_dim: 2
      sizes: [{n_actions: 8, n_rounds: 32}, {n_actions: 16, n_rounds: 64}]
      repeats: 2
      seconds: 1.0
    tool_catalogue:
      sets: [live_simple]
      latent_dim: 2
      tools_per_round: 4
      explored: 0.5
      near_copy: 0.8
      held_out: 0.3
      noise_std: [0.0, 0.3]
      n_rounds: [100, 400]
      trials: 2
      lasso_trials: 1
      most_tools: 8
      reward_share: [0.5, 0.8]
      fitted_dims: [1, 2]
    """
)
EXPERIMENTS = tuple(BASE["experiments"])
TRANSITION = "experiments.phase_transition"
GRID = f"{TRANSITION}.grids[0]"
MULTI = f"{TRANSITION}.grids[1]"
SIGNAL = "experiments.signal_strength.grids[0]"
SINGLE = "experiments.coverage.grids[0]"
TWIN = "experiments.coherence.grids[0]"
REFIT = "experiments.refit_error.grids[0]"
BOUNDS = "experiments.lower_bounds.grids[0]"
LOGGED = "experiments.logging_policy.grids"
DENSE = "experiments.sparsity_necessity.grids[0]"
STOP = "experiments.stopping"
GROWING = "experiments.dynamic_actions.grids[0]"
STUDENT = "experiments.robustness.grids[1]"
TAIL = "experiments.approximate_sparsity.grids[0]"
NAN, INF = float("nan"), float("inf")


def steps(key):
    return [int(step) if step.isdigit() else step for step in re.findall(r"\w+", key)]


def changed(changes, base=BASE):
    """A copy with keys set, or removed where the value is ``...``."""
    config = copy.deepcopy(base)
    for key, value in changes.items():
        *path, last = steps(key)
        place = config
        for step in path:
            place = place[step]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return config


def message_of(config):
    with pytest.raises(ConfigError) as caught:
        load_study(config)
    return str(caught.value)


def updated(config, overlay):
    """As Snakemake lays a second configfile over the first."""
    result = dict(config)
    for key, value in overlay.items():
        old = result.get(key)
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        result[key] = updated(old, value) if both else value
    return result


# -- the committed files -----------------------------------------------------------------------


def test_the_committed_configuration_and_its_quick_cut_load(root):
    full, quick = (
        yaml.safe_load((root / "config" / name).read_text())
        for name in ("config.yaml", "quick.yaml")
    )
    study, cut = load_study(full), load_study(updated(full, quick))
    assert study.label != cut.label
    for one in (study, cut):
        sizes = [scenario.n_actions for scenario in one.method_costs.scenarios(one)]
        assert sizes == [size.n_actions for size in one.method_costs.sizes]
    for one in (study, cut):
        for experiment in Experiments.model_fields:
            names = [cell.name for cell in one.cells(experiment)]
            assert names
            assert len(set(names)) == len(names)


def test_the_committed_schema_is_the_models(root):
    committed = json.loads((root / "workflow" / "schemas" / "config.schema.json").read_text())
    assert committed == Study.model_json_schema(by_alias=True)


def test_what_is_too_heavy_to_import_is_the_same_here():
    assert get_args(Selection) == SELECTIONS
    assert tuple(RIVALS) == typed.RIVALS
    assert set(METHODS) == {*SELECTIONS, *RIVALS, ORACLE}
    assert MOST_SUPPORTS == bounds.MOST_SUPPORTS


def test_reading_it_loads_nothing_heavy():
    code = (
        "import sys, sparseact.study.config\n"
        "print(*{'numpy', 'scipy', 'xarray', 'pandas'} & {n.split('.')[0] for n in sys.modules})"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == []


# -- what it expands to ------------------------------------------------------------------------


def test_a_grid_is_the_cross_of_its_axes():
    cells = load_study(BASE).cells("phase_transition")
    assert len(cells) == 2 * 1 * 2 + 2
    crossed = {
        (c.scenario.n_actions, c.scenario.sparsity, c.scenario.latent_dim) for c in cells[:4]
    }
    assert crossed == {(16, 2, 1), (16, 2, 2), (32, 2, 1), (32, 2, 2)}
    assert {cell.label for cell in cells} == {"signed", "multi B=4"}
    assert [cell.trials for cell in cells] == [10] * 4 + [30] * 2
    assert [cell.selection for cell in cells] == ["correlation"] * 5 + ["whitened"]
    assert len({cell.name for cell in cells}) == len(cells)


def test_every_scenario_has_the_studys_signal_noise_and_weights():
    common = {"signal": 2.0, "noise_std": 0.0, "weights": "gaussian"}
    study = load_study(changed(common))
    for cell in study.cells("phase_transition"):
        assert {key: getattr(cell.scenario, key) for key in common} == common
        assert (cell.scenario.condition_number, cell.scenario.structure) == (1, "independent")
        assert (cell.scenario.strength, cell.scenario.scarce_after) == (0, 0)


def test_a_grid_has_its_own_noise_weights_and_trials_where_it_says_so():
    study = load_study(changed({f"{GRID}.noise_std": [2.0], f"{MULTI}.noise_std": [2.0]}))
    assert {cell.scenario.noise_std for cell in study.cells("phase_transition")} == {2.0}
    assert {cell.scenario.noise_std for cell in study.cells("refit_error")} == {0.5}
    assert {cell.scenario.weights for cell in study.cells("lower_bounds")} == {"gaussian"}
    assert {cell.scenario.weights for cell in study.cells("refit_error")} == {"sphere"}


@pytest.mark.parametrize(
    ("experiment", "field", "values"),
    [
        ("signal_strength", "noise_std", [0.0625, 4.0]),
        ("coherence", "strength", [0.0, 0.5, 1.0, 0.5]),
        ("coherence", "structure", ["twin", "twin", "aggregate", "twin"]),
        ("coherence", "weights", ["sphere", "sphere", "aligned", "sphere"]),
        ("refit_error", "condition_number", [1.0, 10.0]),
        ("coverage", "scarce_after", [50, 30, 30]),
        ("logging_policy", "policy", ["uniform", "zipf", "zipf", "greedy", "greedy"]),
        ("logging_policy", "policy_level", [0.0, 0.5, 3.0, 0.0, 0.5]),
        ("sparsity_necessity", "sparsity", [1, 8]),
        ("robustness", "departure", ["none", "student", "student", "bounded"]),
        ("robustness", "departure_size", [0.0, 0.25, 0.5, 0.5]),
        ("approximate_sparsity", "tail", ["flat", "flat", "flat", "power"]),
        ("approximate_sparsity", "tail_energy", [0.0, 0.5, 2.0, 0.5]),
        ("dynamic_actions", "arrives_after", [0, 70]),
    ],
)
def test_every_axis_of_a_grid_reaches_its_scenarios(experiment, field, values):
    cells = load_study(BASE).cells(experiment)
    assert [getattr(cell.scenario, field) for cell in cells] == values


def test_rounds_with_a_scarce_action_end_with_its_coverage():
    cells = load_study(BASE).cells("coverage")
    assert [cell.n_rounds for cell in cells] == [(50, 52, 54), (30, 31, 38), (30, 31, 38)]
    assert [cell.selection for cell in cells] == ["correlation", "whitened", "least_squares"]


def test_rounds_with_late_actions_end_with_those_since_arrival():
    cells = load_study(BASE).cells("dynamic_actions")
    assert [cell.n_rounds for cell in cells] == [(4, 8, 16), (4, 17, 70, 74, 78, 86)]


def test_a_list_of_rounds_is_put_in_order():
    study = load_study(changed({f"{GRID}.n_rounds": [40, 20, 30]}))
    assert study.cells("phase_transition")[0].n_rounds == (20, 30, 40)


@pytest.mark.parametrize(
    ("share", "per_round", "label"),
    [
        (0.1, [2, 6], "multi B=10% of M"),
        (0.125, [2, 8], "multi B=12.500% of M"),
        (0.001, [1, 1], "multi B=0.100% of M"),
        (1.0, [16, 64], "multi B=100% of M"),
    ],
)
def test_a_share_of_the_actions_is_rounded_and_at_least_one(share, per_round, label):
    changes = {"actions_per_round": ..., "actions_share": share, "n_actions": [16, 64]}
    config = changed({f"{MULTI}.{key}": value for key, value in changes.items()})
    cells = [
        cell
        for cell in load_study(config).cells("phase_transition")
        if cell.selection == "whitened"
    ]
    assert [cell.scenario.actions_per_round for cell in cells] == per_round
    assert {cell.label for cell in cells} == {label}


def test_a_cell_survives_being_taken_apart():
    for experiment in EXPERIMENTS:
        for cell in load_study(BASE).cells(experiment):
            assert Cell.from_dict(asdict(cell)) == cell
            assert Cell.from_dict(json.loads(json.dumps(asdict(cell)))) == cell


scenarios = st.builds(
    Scenario,
    design=st.sampled_from(["single", "multi", "signed"]),
    n_actions=st.integers(2, 2000),
    sparsity=st.integers(1, 2),
    latent_dim=st.integers(1, 9),
    actions_per_round=st.integers(1, 2),
)


@given(scenarios, st.floats(0.01, 5), st.floats(1.001, 20), st.integers(1, 64))
@settings(max_examples=60, deadline=None)
def test_rounds_are_all_of_one_ladder_within_the_range(scenario, low, ratio, per_doubling):
    asked = RoundsRange(**{"from": low, "to": low * ratio, "per_doubling": per_doubling})
    ladder = {round(2 ** (rung / per_doubling)) for rung in range(31 * per_doubling)}
    first, last = low * scenario.reference_rounds, low * ratio * scenario.reference_rounds
    expected = sorted(rung for rung in ladder if first <= rung <= last)
    assert list(asked.of(scenario)) == expected


def test_scenarios_share_their_rungs():
    asked = RoundsRange(**{"from": 0.5, "to": 8.0})
    one, other = (
        set(asked.of(Scenario(design="signed", n_actions=M, sparsity=2, latent_dim=2)))
        for M in (64, 100)
    )
    low, high = max(min(one), min(other)), min(max(one), max(other))
    assert {n for n in one if low <= n <= high} == {n for n in other if low <= n <= high}
    assert one != other


# -- what is refused ---------------------------------------------------------------------------

UNKNOWN = "unknown key; config/README.md lists the keys there are"

WRONG = [
    # unknown and missing keys, at each level
    ({"extra": 1}, f"extra: {UNKNOWN}"),
    ({"experiments.extra": 1}, f"experiments.extra: {UNKNOWN}"),
    ({f"{TRANSITION}.extra": 1}, f"{TRANSITION}.extra: {UNKNOWN}"),
    ({f"{GRID}.extra": 1}, f"{GRID}.extra: {UNKNOWN}"),
    ({f"{MULTI}.rounds.extra": 1}, f"{MULTI}.rounds.extra: {UNKNOWN}"),
    ({f"{SINGLE}.scarce.extra": 1}, f"{SINGLE}.scarce.extra: {UNKNOWN}"),
    ({"extra": {"../up": {1: 2}}}, f"extra.'../up'.1: {UNKNOWN}"),
    ({"experiments.scaling_law": {}}, f"experiments.scaling_law: {UNKNOWN}"),
    ({"seed": ...}, "seed: this key is required"),
    ({"experiments": ...}, "experiments: this key is required"),
    *(
        ({f"experiments.{name}": ...}, f"experiments.{name}: this key is required")
        for name in EXPERIMENTS
    ),
    ({"signal": ...}, "signal: this key is required"),
    ({f"{GRID}.design": ...}, f"{GRID}.design: this key is required"),
    ({f"{MULTI}.rounds.to": ...}, f"{MULTI}.rounds.to: this key is required"),
    # types
    ({"seed": "1"}, "seed: must be a valid integer (got '1')"),
    ({"seed": True}, "seed: must be a valid integer (got True)"),
    ({"seed": 1.0}, "seed: must be a valid integer (got 1.0)"),
    ({"trials": "many"}, "trials: must be a valid integer (got 'many')"),
    ({"trials": True}, "trials: must be a valid integer (got True)"),
    ({"trials": 10.5}, "trials: must be a valid integer (got 10.5)"),
    ({"trials": None}, "trials: must be a valid integer (got None)"),
    ({"label": 7}, "label: must be a valid string (got 7)"),
    ({"label": None}, "label: must be a valid string (got None)"),
    ({"signal": "1.0"}, "signal: must be a valid number"),
    ({"noise_std": True}, "noise_std: must be a valid number"),
    ({f"{TRANSITION}.grids": {}}, f"{TRANSITION}.grids: must be a valid list"),
    ({f"{GRID}.n_actions": 16}, f"{GRID}.n_actions: must be a valid list (got 16)"),
    ({f"{GRID}.n_actions[1]": "32"}, f"{GRID}.n_actions[1]: must be a valid integer"),
    ({f"{GRID}.sparsity": [True]}, f"{GRID}.sparsity[0]: must be a valid integer"),
    ({f"{GRID}.latent_dim": [2.0]}, f"{GRID}.latent_dim[0]: must be a valid integer"),
    ({f"{GRID}.n_rounds": ["20"]}, f"{GRID}.n_rounds[0]: must be a valid integer"),
    ({f"{MULTI}.rounds": 3}, f"{MULTI}.rounds: must be a section"),
    ({f"{MULTI}.rounds.per_doubling": 3.0}, f"{MULTI}.rounds.per_doubling: must be a"),
    ({"bootstrap": "40"}, "bootstrap: must be a valid integer"),
    ({"quantiles": 0.5}, "quantiles: must be a valid list"),
    ({"quantiles": ["0.5"]}, "quantiles[0]: must be a valid number"),
    ({"experiments": []}, "experiments: must be a section"),
    # ranges
    ({"seed": -1}, "seed: must be greater than or equal to 0 (got -1)"),
    ({"trials": 0}, "trials: must be greater than or equal to 1 (got 0)"),
    ({f"{GRID}.trials": 0}, f"{GRID}.trials: must be greater than or equal to 1"),
    ({f"{GRID}.sparsity": [0]}, f"{GRID}.sparsity[0]: must be greater than or equal to 1"),
    ({f"{GRID}.n_rounds": [0]}, f"{GRID}.n_rounds[0]: must be greater than or equal to 1"),
    ({"noise_std": -0.1}, "noise_std: must be greater than or"),
    ({"noise_std": NAN}, "noise_std: must be"),
    ({"noise_std": INF}, "noise_std: must be a finite number"),
    ({"signal": 0}, "signal: must be greater than 0 (got 0)"),
    ({"signal": -1.0}, "signal: must be greater than 0"),
    ({"signal": NAN}, "signal: must be"),
    ({"signal": INF}, "signal: must be a finite number"),
    ({"quantiles": [0.0]}, "quantiles[0]: must be greater than 0"),
    ({"quantiles": [1.0]}, "quantiles[0]: must be less than 1"),
    ({"quantiles": [NAN]}, "quantiles[0]: must be"),
    ({"bootstrap": 19}, "bootstrap: must be greater than or equal to 20"),
    ({"bootstrap": 100_001}, "bootstrap: must be less than or equal to 100000"),
    # empty lists
    ({f"{TRANSITION}.grids": []}, f"{TRANSITION}.grids: List should have at least 1 item"),
    ({f"{GRID}.n_actions": []}, f"{GRID}.n_actions: List should have at least 1 item"),
    ({f"{GRID}.sparsity": []}, f"{GRID}.sparsity: List should have at least 1 item"),
    ({f"{GRID}.latent_dim": []}, f"{GRID}.latent_dim: List should have at least 1 item"),
    ({f"{GRID}.n_rounds": []}, f"{GRID}.n_rounds: List should have at least 1 item"),
    ({f"{GRID}.selection": []}, f"{GRID}.selection: List should have at least 1 item"),
    ({"quantiles": []}, "quantiles: List should have at least 1 item"),
    # choices
    ({f"{GRID}.design": "triple"}, f"{GRID}.design: must be 'single', 'multi' or 'signed'"),
    ({"weights": "cube"}, "weights: must be 'sphere', 'gaussian' or"),
    ({f"{GRID}.selection": ["best"]}, f"{GRID}.selection[0]: must be one of"),
    ({f"{GRID}.selection": ["best"]}, "correlation, whitened, least_squares"),
    *(
        ({"label": label}, "label: may hold only a-z, 0-9 and -")
        for label in ("a/b", "../up", "..", "a.b", "Quick", "two words", "x\n", "x" * 41)
    ),
    ({"label": "volatile"}, "label: is where a study without a label keeps what no two runs share"),
    # what the methods cost
    ({"tool_catalogue": ...}, "tool_catalogue: this key is required"),
    ({"tool_catalogue.sets": ["dead"]}, "tool_catalogue.sets[0]: must be 'live_simple', "),
    ({"tool_catalogue.sets": ["multiple"] * 2}, "tool_catalogue: sets names a value twice"),
    ({"tool_catalogue.n_rounds": [400, 100]}, "tool_catalogue: n_rounds must ascend, none of it"),
    ({"tool_catalogue.reward_share": [0.5, 1.0]}, "tool_catalogue.reward_share[1]: must be"),
    ({"tool_catalogue.trials": 1}, "tool_catalogue.trials: must be greater than or equal"),
    ({"tool_catalogue.explore": 0.5}, "tool_catalogue.explore: unknown key"),
    (
        {"tool_catalogue.n_rounds": [100, 10**8]},
        "tool_catalogue.n_rounds takes about 21.9 GiB of memory in one job, most of it for a log",
    ),
    ({"method_costs": ...}, "method_costs: this key is required"),
    ({"method_costs.sizes": []}, "method_costs.sizes: List should have at least 1 item"),
    ({"method_costs.repeats": 0}, "method_costs.repeats: must be greater than or equal"),
    ({"method_costs.seconds": 0.0}, "method_costs.seconds: must be greater than 0"),
    (
        {"method_costs.sizes[1].n_actions": 8},
        "method_costs: n_actions of its sizes must ascend (got [8, 8])",
    ),
    ({"method_costs.sizes[0].trials": 8}, "method_costs.sizes[0].trials: unknown key"),
    ({"method_costs.sparsity": 9}, "method_costs.sizes[0]: sparsity k=9 must not exceed"),
    (
        {"method_costs.sizes[1].n_rounds": 3},
        "method_costs.sizes[1].n_rounds: must be at least k·d = 4 to fit the weights",
    ),
    (
        {"method_costs.sizes[1].n_actions": 10**6},
        "method_costs.sizes[1] takes about 1.19e+05 GiB of memory in one job, most of it for its "
        "Gram matrix",
    ),
    # duplicates
    ({f"{GRID}.n_actions": [16, 16]}, f"{GRID}: n_actions names a value twice: [16, 16]"),
    ({f"{GRID}.sparsity": [2, 2]}, f"{GRID}: sparsity names a value twice"),
    ({f"{GRID}.latent_dim": [1, 1]}, f"{GRID}: latent_dim names a value twice"),
    ({f"{GRID}.n_rounds": [20, 20]}, f"{GRID}: n_rounds names a value twice"),
    ({f"{MULTI}.selection": ["whitened"] * 2}, f"{MULTI}: selection names a value twice"),
    # what does not go together
    ({f"{GRID}.sparsity": [17]}, f"{GRID}: sparsity k=17 must not exceed n_actions M=16"),
    ({f"{MULTI}.actions_per_round": 17}, f"{MULTI}: actions_per_round B=17 must lie between 1 and"),
    ({f"{MULTI}.actions_per_round": 0}, f"{MULTI}.actions_per_round: must be greater than"),
    (
        {f"{MULTI}.actions_per_round": ...},
        f"{MULTI}: design 'multi' needs either actions_per_round",
    ),
    ({f"{MULTI}.actions_share": 0.5}, f"{MULTI}: design 'multi' needs either actions_per_round or"),
    ({f"{GRID}.actions_per_round": 2}, f"{GRID}: actions_per_round and actions_share do not go"),
    ({f"{GRID}.actions_share": 0.5}, f"{GRID}: actions_per_round and actions_share do not go with"),
    ({f"{MULTI}.design": "single"}, f"{MULTI}: actions_per_round and actions_share do not go with"),
    ({f"{GRID}.n_rounds": ...}, f"{GRID}: give either rounds (a range), n_rounds (a list) or"),
    ({f"{MULTI}.n_rounds": [20]}, f"{MULTI}: give either rounds (a range), n_rounds (a list) or"),
    # numbers of rounds
    ({f"{GRID}.n_rounds": [20, 30, 3]}, f"{GRID}.n_rounds asks for T=3 rounds of signed_M16_k2_d2"),
    ({f"{GRID}.n_rounds": [20, 30, 3]}, "T must be at least 4"),
    ({f"{MULTI}.rounds.from": 0.01}, f"{MULTI}.rounds asks for T="),
    (
        {f"{MULTI}.rounds.from": 0.01},
        "too few to fit k·d = 4 weights; T must be at least 4, 'from'",
    ),
    ({f"{MULTI}.rounds.from": 0}, f"{MULTI}.rounds.from: must be greater than 0 (got 0)"),
    ({f"{MULTI}.rounds.from": NAN}, f"{MULTI}.rounds.from: must be"),
    ({f"{MULTI}.rounds.to": NAN}, f"{MULTI}.rounds.to: must be"),
    ({f"{MULTI}.rounds.to": 0.5}, f"{MULTI}.rounds: 'to' (0.5) must exceed 'from' (0.5)"),
    ({f"{MULTI}.rounds.to": 1e12}, f"{MULTI}.rounds: 'to' asks for"),
    ({f"{MULTI}.rounds.to": INF}, "at most 2147483647 are possible"),
    ({f"{MULTI}.rounds.to": 0.50001}, f"{MULTI}.rounds holds no number of rounds for multi4_M16"),
    ({f"{MULTI}.rounds.per_doubling": 0}, f"{MULTI}.rounds.per_doubling: must be greater"),
    ({f"{MULTI}.rounds.per_doubling": 65}, f"{MULTI}.rounds.per_doubling: must be less"),
    ({f"{GRID}.n_rounds": [20, 30]}, "numbers of rounds [20, 30]; a curve needs at least 3"),
    ({f"{SINGLE}.scarce.coverage": [0, 2]}, "numbers of rounds [50, 52]; a curve needs at least 3"),
    # a scarce action
    ({f"{SINGLE}.scarce": ...}, f"{SINGLE}: give either rounds (a range), n_rounds (a list) or"),
    (
        {f"{SINGLE}.scarce": ..., f"{SINGLE}.n_rounds": [4, 5, 6]},
        "experiments.coverage: grids of the coverage experiment need 'scarce'",
    ),
    ({f"{SINGLE}.n_rounds": [4, 5, 6]}, f"{SINGLE}: give either rounds (a range), n_rounds (a"),
    (
        {f"{SINGLE}.scarce.after": 0},
        f"{SINGLE}.scarce.after: must be greater than or equal",
    ),
    ({f"{SINGLE}.scarce.coverage": [-1]}, f"{SINGLE}.scarce.coverage[0]: must be greater"),
    ({f"{SINGLE}.scarce.coverage": []}, f"{SINGLE}.scarce.coverage: List should have at least 1"),
    ({f"{SINGLE}.scarce.after": ...}, f"{SINGLE}.scarce.after: this key is required"),
    ({f"{SINGLE}.design": "signed"}, f"{SINGLE}: scarce_after needs rounds that leave actions out"),
    (
        {"experiments.coverage.grids[1].actions_per_round": 8},
        "experiments.coverage.grids[1]: scarce_after needs rounds that leave actions out",
    ),
    ({f"{SINGLE}.scarce.after": 3}, f"{SINGLE}.scarce asks for T=3 rounds of single_M8_k2_d2"),
    # noise, conditioning, correlation
    ({f"{SIGNAL}.noise_std": []}, f"{SIGNAL}.noise_std: List should have at least 1 item"),
    ({f"{SIGNAL}.noise_std": 1.0}, f"{SIGNAL}.noise_std: must be a valid list"),
    ({f"{SIGNAL}.noise_std": [-1.0]}, f"{SIGNAL}.noise_std[0]: must be greater than or eq"),
    ({f"{SIGNAL}.noise_std": [INF]}, f"{SIGNAL}.noise_std[0]: must be a finite number"),
    ({f"{SIGNAL}.noise_std": [1.0, 1.0]}, f"{SIGNAL}: noise_std names a value twice: [1.0, 1.0]"),
    ({f"{REFIT}.condition_number": [0.9]}, f"{REFIT}.condition_number[0]: must be greater"),
    (
        {f"{REFIT}.condition_number": [INF]},
        f"{REFIT}.condition_number[0]: must be a finite",
    ),
    ({f"{REFIT}.condition_number": [2.0] * 2}, f"{REFIT}: condition_number names a value twice"),
    ({f"{REFIT}.latent_dim": [1]}, f"{REFIT}: condition_number must be 1 where latent_dim d=1"),
    ({f"{TWIN}.strength": [1.1]}, f"{TWIN}.strength[0]: must be less than or equal to 1"),
    ({f"{TWIN}.strength": [NAN]}, f"{TWIN}.strength[0]: must be"),
    ({f"{TWIN}.strength": [0.5, 0.5]}, f"{TWIN}: strength names a value twice"),
    ({f"{TWIN}.structure": "tree"}, f"{TWIN}.structure: must be 'independent', 'equicorr"),
    ({f"{TWIN}.structure": "independent"}, f"{TWIN}: strength goes with a structure: equicorrelat"),
    ({f"{TWIN}.design": "single"}, f"{TWIN}: structure 'twin' goes with design 'signed' only"),
    ({f"{TWIN}.n_actions": [3]}, f"{TWIN}: n_actions M=3 must hold sparsity k=2 relevant"),
    ({f"{TWIN}.weights": "equal"}, f"{TWIN}.weights: must be 'sphere', 'gaussian' or"),
    # small effects
    ({f"{TAIL}.tail": "long"}, f"{TAIL}.tail: must be 'none', 'flat' or 'power'"),
    ({f"{TAIL}.tail_energy": []}, f"{TAIL}.tail_energy: List should have at least 1 item"),
    ({f"{TAIL}.tail_energy": [-0.1]}, f"{TAIL}.tail_energy[0]: must be greater than or eq"),
    ({f"{TAIL}.tail_energy": [INF]}, f"{TAIL}.tail_energy[0]: must be"),
    ({f"{TAIL}.tail_energy": [1e-12]}, f"{TAIL}.tail_energy[0]: must not be closer to 0 than"),
    ({f"{TAIL}.tail_energy": [0.5, 0.5]}, f"{TAIL}: tail_energy names a value twice"),
    ({f"{TAIL}.tail_energy": [3.0]}, f"{TAIL}: tail_energy=3 of a flat tail makes a small effect"),
    ({f"{TAIL}.weights": "gaussian"}, f"{TAIL}: tail goes with weights of one norm"),
    (
        {f"{TAIL}.tail": "none", f"{TAIL}.tail_energy": [0.0]},
        "grids of approximate_sparsity need 'tail: flat' or",
    ),
    ({f"{TWIN}.tail_energy": [0.1]}, f"{TWIN}: tail_energy goes with a tail: flat or power"),
    (
        {f"{REFIT}.tail": "flat", f"{REFIT}.tail_energy": [0.0, 0.1]},
        f"{REFIT}.tail: 'flat' does not go with refit_error",
    ),
    (
        {f"{DENSE}.tail": "flat", f"{DENSE}.weights": "sphere", f"{DENSE}.sparsity": [1]},
        f"{DENSE}.tail: 'flat' does not go with sparsity_necessity",
    ),
    # what each experiment needs
    (
        {"experiments.coherence.measured_trials": 0},
        "experiments.coherence.measured_trials: must be",
    ),
    ({"experiments.coherence.measured_trials": ...}, "coherence.measured_trials: this key is req"),
    (
        {"experiments.decision_regret.states": 99},
        "experiments.decision_regret.states: must be",
    ),
    (
        {"experiments.sparsity_necessity.relative_error": 1.0},
        "relative_error: must be less",
    ),
    (
        {"experiments.sparsity_necessity.relative_error": 0.0},
        "relative_error: must be grea",
    ),
    ({f"{STOP}.alpha": 1.0}, "experiments.stopping.alpha: must be less than 1"),
    ({f"{STOP}.folds": 1}, "experiments.stopping.folds: must be greater than or equal to"),
    ({f"{STOP}.improvement": -0.1}, "experiments.stopping.improvement: must be"),
    (
        {f"{STOP}.most_actions": 9},
        "stopping.grids: most_actions=9 must lie between sparsity k=2 and n_actions M=8",
    ),
    ({f"{STOP}.most_actions": 1}, "stopping.grids: most_actions=1 must lie between sparsity k=2"),
    (
        {f"{STOP}.grids[0].n_rounds": [8, 16, 32]},
        "T=8 rounds of signed_M8_k2_d2_b1_s0.0625_correlation leave 6 outside a fold, too few "
        "for the weights of most_actions=4 actions",
    ),
    (
        {"experiments.approximate_sparsity.judged_trials": 1},
        "approximate_sparsity.judged_trials: must be greater than or equal to 2",
    ),
    ({f"{BOUNDS}.weights": "sphere"}, "grids of lower_bounds need 'weights: gaussian', the prior"),
    ({f"{BOUNDS}.weights": ...}, "grids of lower_bounds need 'weights: gaussian', the prior"),
    (
        {f"{BOUNDS}.n_actions": [64], f"{BOUNDS}.sparsity": [2, 4]},
        "n_actions M=64 with sparsity k=4 has 635376 supports; all are enumerated, so at most",
    ),
    ({f"{BOUNDS}.sparsity": [9]}, f"{BOUNDS}: sparsity k=9 must not exceed n_actions M=8"),
    # departures
    ({f"{STUDENT}.departure": "late"}, f"{STUDENT}.departure: must be 'none', 'student',"),
    ({f"{STUDENT}.departure_size": []}, f"{STUDENT}.departure_size: List should have at least 1"),
    ({f"{STUDENT}.departure_size": [-0.1]}, f"{STUDENT}.departure_size[0]: must be great"),
    ({f"{STUDENT}.departure_size": [NAN]}, f"{STUDENT}.departure_size[0]: must be"),
    ({f"{STUDENT}.departure_size": [0.5] * 2}, f"{STUDENT}: departure_size names a value twice"),
    (
        {f"{STUDENT}.departure_size": [0.75]},
        f"{STUDENT}: departure_size must be within [0.001, 0.5] with departure 'student' (one over",
    ),
    ({f"{STUDENT}.departure_size": ...}, f"{STUDENT}: departure_size must be within [0.001, 0.5]"),
    ({f"{STUDENT}.departure": ...}, f"{STUDENT}: departure_size must be 0 with departure 'none'"),
    ({f"{STUDENT}.condition_number": [2.0]}, f"{STUDENT}: departure 'student' needs condition_num"),
    (
        {f"{DENSE}.departure": "student", f"{DENSE}.departure_size": [0.5]},
        f"{DENSE}.departure: 'student' does not go with sparsity_necessity",
    ),
    (
        {
            f"{STUDENT}.departure_size": [0.5],
            "experiments.robustness.grids[2].departure": "student",
        },
        "experiments.robustness.grids[2] asks for signed_M8_k2_d2_b1_s0.5_student0.5 with",
    ),
    (
        {
            "experiments.robustness.grids[0].departure": "rademacher",
            "experiments.robustness.grids[0].departure_size": [1.0],
        },
        "experiments.robustness.grids: one of them must have no departure, for comparison",
    ),
    ({f"{STUDENT}.noise_std": [1.0]}, "experiments.robustness.grids: noise_std must be the same"),
    ({f"{STUDENT}.noise_std": [0.0]}, f"{STUDENT}.noise_std: must be positive in robustness"),
    # late actions
    (
        {f"{GROWING}.arrives_after": [70]},
        "dynamic_actions.grids: arrives_after must be 0 in one of them with selection 'whitened'",
    ),
    (
        {f"{GROWING}.since_arrival": ..., f"{GROWING}.n_rounds": [4, 8, 16]},
        "grids of the dynamic_actions experiment need 'since_arrival'",
    ),
    ({f"{GROWING}.since_arrival": [1, 4, 8]}, f"{GROWING}.since_arrival asks for T=1 rounds of"),
    ({f"{GROWING}.since_arrival": [4, 4, 8]}, f"{GROWING}: since_arrival names a value twice"),
    ({f"{GROWING}.arrives_after": [0, -1]}, f"{GROWING}.arrives_after[1]: must be greater"),
    ({f"{GROWING}.n_actions": [3]}, f"{GROWING}: arrives_after needs n_actions M=3 of which"),
    ({f"{GROWING}.sparsity": [1]}, f"{GROWING}: arrives_after needs n_actions M=8 of which"),
    (
        {f"{GROWING}.design": "single", f"{GROWING}.arrives_after": [0]},
        "experiments.dynamic_actions.grids: design must be 'signed'",
    ),
    (
        {f"{REFIT}.arrives_after": [9]},
        f"{REFIT}: arrives_after and since_arrival do not go with refit_error",
    ),
    (
        {f"{REFIT}.n_rounds": ..., f"{REFIT}.since_arrival": [8, 9, 10]},
        f"{REFIT}: arrives_after and since_arrival do not go with refit_error",
    ),
    # what an experiment has no axis for
    (
        {f"{MULTI}.noise_std": [0.25]},
        f"{TRANSITION}.grids: noise_std must be the same in all of it, got [0.5, 0.25]; what may "
        "vary is actions_per_round, design, latent_dim, n_actions, selection, sparsity",
    ),
    (
        {f"{MULTI}.weights": "gaussian"},
        f"{TRANSITION}.grids: weights must be the same in all of it",
    ),
    ({f"{SIGNAL}.n_actions": [8, 9]}, "signal_strength.grids: n_actions must be the same"),
    ({f"{SIGNAL}.selection": ["correlation", "whitened"]}, "signal_strength.grids: selection must"),
    ({f"{SINGLE}.sparsity": [2, 3]}, "experiments.coverage.grids: sparsity must be the same"),
    ({f"{TWIN}.noise_std": [0.5, 1.0]}, "experiments.coherence.grids: noise_std must be the same"),
    ({f"{REFIT}.sparsity": [1, 2]}, "experiments.refit_error.grids: sparsity must be the same"),
    (
        {"experiments.decision_regret.grids[0].sparsity": [1, 2]},
        "decision_regret.grids: sparsity must be the same in all of it, got [1, 2]; what may vary "
        "is nothing",
    ),
    ({f"{LOGGED}[1].sparsity": [3]}, "experiments.logging_policy.grids: sparsity must be the same"),
    # policies
    ({f"{LOGGED}[1].policy_level": [0.0]}, f"{LOGGED}[1]: policy_level of zipf must lie within"),
    ({f"{LOGGED}[1].policy_level": [3.5]}, f"{LOGGED}[1].policy_level[0]: must be less"),
    ({f"{LOGGED}[2].policy_level": [1.5]}, f"{LOGGED}[2]: policy_level of greedy must lie within"),
    ({f"{LOGGED}[1].policy": "fair"}, f"{LOGGED}[1].policy: must be 'uniform', 'zipf'"),
    ({f"{LOGGED}[0].policy_level": [0.5]}, f"{LOGGED}[0]: policy_level goes with a policy"),
    ({f"{LOGGED}[1].design": "signed"}, f"{LOGGED}[1]: policy 'zipf' goes with designs 'single'"),
    (
        {f"{LOGGED}[2].selection": ["correlation"]},
        "_greedy0_correlation needs the same design and selection with policy 'uniform' too",
    ),
    (
        {LOGGED: [{**BASE["experiments"]["logging_policy"]["grids"][0], "design": "signed"}]},
        f"{LOGGED}: design must be single or multi",
    ),
    (
        {LOGGED: [BASE["experiments"]["logging_policy"]["grids"][2]] * 2},
        f"{LOGGED}[1] asks for single_M8_k2_d2_b1_s0.5_greedy0 with selection 'whitened' again",
    ),
    ({"experiments.logging_policy.judged_trials": 0}, "experiments.logging_policy.judged_trials:"),
    ({f"{BOUNDS}.noise_std": [0.5, 1.0]}, "experiments.lower_bounds.grids: noise_std must be the"),
    ({f"{STOP}.grids[0].sparsity": [1, 2]}, "stopping.grids: sparsity must be the same"),
    ({f"{DENSE}.latent_dim": [1, 2]}, "experiments.sparsity_necessity.grids: latent_dim must be"),
]


@pytest.mark.parametrize(
    ("changes", "message"), WRONG, ids=[f"{changes}"[:80] for changes, _ in WRONG]
)
def test_the_message_names_the_key_and_what_is_allowed(changes, message):
    assert message in message_of(changed(changes))


def test_the_message_names_every_key_at_fault():
    message = message_of(changed({"seed": -1, "bootstrap": 1, f"{GRID}.extra": 2}))
    assert [line.split(":")[0] for line in message.splitlines()] == [
        "seed",
        "bootstrap",
        f"{GRID}.extra",
    ]


def test_an_empty_configuration_names_what_is_required():
    message = message_of({})
    for key in ("label", "seed", "trials", "experiments", "method_costs"):
        assert f"{key}: this key is required" in message


def test_the_advice_on_the_shortest_range_works():
    message = message_of(changed({f"{MULTI}.rounds.from": 0.01}))
    advised = float(re.search(r"'from' at least ([\d.e-]+)", message)[1])
    load_study(changed({f"{MULTI}.rounds.from": 1.01 * advised}))


@pytest.mark.parametrize("quantiles", [[0.5, 0.5], [0.95, 0.5]])
def test_quantiles_ascend_and_are_not_named_twice(quantiles):
    # The datasets have an axis of them.
    assert "quantiles: must ascend, none of them twice" in message_of(
        changed({"quantiles": quantiles})
    )


def test_grids_that_overlap_are_named():
    again = copy.deepcopy(BASE["experiments"]["phase_transition"]["grids"][0])
    again |= {"n_actions": [64, 32], "n_rounds": [30, 40, 50]}
    config = copy.deepcopy(BASE)
    config["experiments"]["phase_transition"]["grids"].append(again)
    message = message_of(config)
    assert f"{TRANSITION}.grids[2] asks for signed_M32_k2_d1_b1_s0.5" in message
    assert f"{GRID} has its place" in message


def test_share_and_number_have_places_of_their_own():
    # Four of sixteen actions are a quarter: one log, under two names in the dataset.
    again = copy.deepcopy(BASE["experiments"]["phase_transition"]["grids"][1])
    del again["actions_per_round"]
    again |= {"actions_share": 0.25, "trials": 50, "selection": ["correlation"]}
    config = copy.deepcopy(BASE)
    config["experiments"]["phase_transition"]["grids"].append(again)
    cells = load_study(config).cells("phase_transition")
    same = [cell for cell in cells if cell.scenario == cells[-1].scenario]
    assert [cell.label for cell in same] == ["multi B=4", "multi B=4", "multi B=25% of M"]


def test_another_selection_is_no_overlap():
    again = copy.deepcopy(BASE["experiments"]["phase_transition"]["grids"][0])
    config = copy.deepcopy(BASE)
    config["experiments"]["phase_transition"]["grids"].append(again | {"selection": ["whitened"]})
    before, after = (load_study(one).cells("phase_transition") for one in (BASE, config))
    assert len(after) == len(before) + 4


def test_rounds_that_no_dataset_can_number_are_refused():
    # n_rounds is stored as int32, which a range of rounds is kept within.
    assert f"{GRID}.n_rounds" in message_of(changed({f"{GRID}.n_rounds": [20, 2**31]}))


def test_a_python_name_is_no_key():
    # The schema for editors knows `from` alone.
    renamed = {f"{MULTI}.rounds.from": ..., f"{MULTI}.rounds.from_": 0.5}
    assert f"{MULTI}.rounds.from_: {UNKNOWN}" in message_of(changed(renamed))


def test_a_checked_study_cannot_be_changed():
    study = load_study(BASE)
    with pytest.raises(ValueError, match="frozen"):
        study.seed = 2


def test_what_it_asks_for_can_be_simulated():
    for experiment in EXPERIMENTS:
        for cell in load_study(BASE).cells(experiment):
            log = simulate_trial(cell.scenario, cell.n_rounds[-1], seed=0, trial=0)
            assert np.isfinite(log.rewards).all()


def coherent(**changes):
    grid = {
        "design": "signed",
        "structure": "twin",
        "strength": [0.0, 0.5],
        "n_actions": [16],
        "sparsity": [2],
        "latent_dim": [2],
        "n_rounds": [20, 30, 40],
    }
    return grid | changes


@pytest.mark.parametrize(
    ("experiment", "grids", "says"),
    [
        ("phase_transition", [coherent(selection=["group_lasso"])], "'group_lasso' does not go"),
        ("coherence", [coherent(selection=["ridge"])], "'ridge' does not go with coherence"),
        (
            "coherence",
            [coherent(selection=["oracle_group_lasso"])],
            "no selection rule of Block-OMP",
        ),
        (
            "coherence",
            [coherent(), coherent(selection=["oracle_group_lasso"], n_rounds=[20, 30, 50])],
            "no selection rule of Block-OMP",
        ),
        (
            "coherence",
            [coherent(), coherent(selection=["oracle_group_lasso"], trials=999)],
            "no selection rule of Block-OMP",
        ),
        ("lower_bounds", [coherent(weights="gaussian", noise_std=[0.0])], "must be positive"),
    ],
)
def test_cells_that_do_not_go_together_are_named(experiment, grids, says):
    message = message_of(changed({f"experiments.{experiment}.grids": grids}))
    assert f"experiments.{experiment}.grids" in message
    assert says in message


def compared(**changes):
    return coherent(strength=[0.5], setting="twins", selection=["correlation", "ridge"]) | changes


@pytest.mark.parametrize(
    ("grids", "says"),
    [
        ([compared(setting=None)], "grids[0].setting: is required in methods"),
        ([compared(setting="a/b")], "grids[0].setting: must be letters"),
        ([compared(selection=["ridge"])], "setting 'twins' needs selection 'correlation' too"),
        ([compared(strength=[0.0, 0.5])], "setting 'twins' must be one scenario"),
        (
            [compared(), compared(selection=["screening"], trials=3)],
            "setting 'twins' must be one scenario, with the same rounds and trials for all",
        ),
        ([compared(), compared(selection=["screening"], n_rounds=[20, 30, 50])], "'screening' or"),
        ([compared(selection=["oracle_group_lasso"])], "'oracle_group_lasso' does not go"),
        ([compared(condition_number=[1.0, 2.0])], "condition_number must be the same"),
        ([compared(selection=["correlation", "lasso"])], "must be one of correlation, whitened"),
    ],
)
def test_methods_are_compared_on_the_same_logs(grids, says):
    message = message_of(changed({"experiments.methods.grids": grids}))
    assert message.startswith("experiments.methods.grids")
    assert says in message


def test_a_setting_is_what_a_scenario_of_methods_is_called():
    grids = [compared(), compared(setting="other", design="single", structure="independent")]
    grids[1]["strength"] = [0.0]
    study = load_study(changed({"experiments.methods.grids": grids}))
    cells = study.cells("methods")
    assert [(cell.label, cell.selection) for cell in cells] == [
        ("twins", "correlation"),
        ("twins", "ridge"),
        ("other", "correlation"),
        ("other", "ridge"),
    ]
    grid = compared(selection=["correlation"])
    message = message_of(changed({"experiments.coherence.grids": [grid]}))
    assert "experiments.coherence.grids[0].setting: does not go with coherence" in message


def test_structures_are_named_apart_by_their_weights():
    grids = [
        coherent(structure="aggregate", weights=weights) for weights in ("aligned", "sphere")
    ] + [coherent(weights=weights) for weights in ("sphere", "gaussian")]
    study = load_study(changed({"experiments.coherence.grids": grids}))
    labels = [cell.label for cell in study.cells("coherence")]
    assert list(dict.fromkeys(labels)) == [
        "aggregate",
        "aggregate, random weights",
        "twin",
        "twin, Gaussian weights",
    ]
