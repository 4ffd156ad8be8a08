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

from sparseact import Scenario, simulate_trial
from sparseact.omp import Selection
from sparseact.study.cell import Cell
from sparseact.study.config import SELECTIONS, ConfigError, RoundsRange, Study, load_study

BASE = yaml.safe_load(
    """
    label: ""
    seed: 1
    trials: 10
    experiments:
      phase_transition:
        signal: 1.0
        noise_std: 0.5
        weights: sphere
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
      scaling_law:
        quantiles: [0.5, 0.95]
        bootstrap: 40
    """
)
TRANSITION = "experiments.phase_transition"
GRID = f"{TRANSITION}.grids[0]"
MULTI = f"{TRANSITION}.grids[1]"
LAW = "experiments.scaling_law"
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
    assert study.cells()
    assert cut.cells()
    assert study.label != cut.label
    for one in (study, cut):
        names = [cell.name for cell in one.cells()]
        assert len(set(names)) == len(names)


def test_the_committed_schema_is_the_models(root):
    committed = json.loads((root / "workflow" / "schemas" / "config.schema.json").read_text())
    assert committed == Study.model_json_schema(by_alias=True)


def test_the_selection_rules_are_the_solvers():
    assert get_args(Selection) == SELECTIONS


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
    cells = load_study(BASE).cells()
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
    study = load_study(changed({f"{TRANSITION}.{key}": value for key, value in common.items()}))
    for cell in study.cells():
        assert {key: getattr(cell.scenario, key) for key in common} == common


def test_a_list_of_rounds_is_put_in_order():
    study = load_study(changed({f"{GRID}.n_rounds": [40, 20, 30]}))
    assert study.cells()[0].n_rounds == (20, 30, 40)


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
    cells = [cell for cell in load_study(config).cells() if cell.selection == "whitened"]
    assert [cell.scenario.actions_per_round for cell in cells] == per_round
    assert {cell.label for cell in cells} == {label}


def test_a_cell_survives_being_taken_apart():
    for cell in load_study(BASE).cells():
        assert Cell.from_dict(asdict(cell)) == cell


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
    ({f"{LAW}.extra": 1}, f"{LAW}.extra: {UNKNOWN}"),
    ({"seed": ...}, "seed: this key is required"),
    ({"experiments": ...}, "experiments: this key is required"),
    ({LAW: ...}, f"{LAW}: this key is required"),
    ({f"{TRANSITION}.signal": ...}, f"{TRANSITION}.signal: this key is required"),
    ({f"{GRID}.design": ...}, f"{GRID}.design: this key is required"),
    ({f"{MULTI}.rounds.to": ...}, f"{MULTI}.rounds.to: this key is required"),
    # types
    ({"seed": "1"}, "seed: Input should be a valid integer (got '1')"),
    ({"seed": True}, "seed: Input should be a valid integer (got True)"),
    ({"seed": 1.0}, "seed: Input should be a valid integer (got 1.0)"),
    ({"trials": "many"}, "trials: Input should be a valid integer (got 'many')"),
    ({"trials": True}, "trials: Input should be a valid integer (got True)"),
    ({"trials": 10.5}, "trials: Input should be a valid integer (got 10.5)"),
    ({"trials": None}, "trials: Input should be a valid integer (got None)"),
    ({"label": 7}, "label: Input should be a valid string (got 7)"),
    ({"label": None}, "label: Input should be a valid string (got None)"),
    ({f"{TRANSITION}.signal": "1.0"}, f"{TRANSITION}.signal: Input should be a valid number"),
    ({f"{TRANSITION}.noise_std": True}, f"{TRANSITION}.noise_std: Input should be a valid number"),
    ({f"{TRANSITION}.grids": {}}, f"{TRANSITION}.grids: Input should be a valid list"),
    ({f"{GRID}.n_actions": 16}, f"{GRID}.n_actions: Input should be a valid list (got 16)"),
    ({f"{GRID}.n_actions[1]": "32"}, f"{GRID}.n_actions[1]: Input should be a valid integer"),
    ({f"{GRID}.sparsity": [True]}, f"{GRID}.sparsity[0]: Input should be a valid integer"),
    ({f"{GRID}.latent_dim": [2.0]}, f"{GRID}.latent_dim[0]: Input should be a valid integer"),
    ({f"{GRID}.n_rounds": ["20"]}, f"{GRID}.n_rounds[0]: Input should be a valid integer"),
    ({f"{MULTI}.rounds": 3}, f"{MULTI}.rounds: must be a section"),
    ({f"{MULTI}.rounds.per_doubling": 3.0}, f"{MULTI}.rounds.per_doubling: Input should be a"),
    ({f"{LAW}.bootstrap": "40"}, f"{LAW}.bootstrap: Input should be a valid integer"),
    ({f"{LAW}.quantiles": 0.5}, f"{LAW}.quantiles: Input should be a valid list"),
    ({f"{LAW}.quantiles": ["0.5"]}, f"{LAW}.quantiles[0]: Input should be a valid number"),
    ({"experiments": []}, "experiments: must be a section"),
    # ranges
    ({"seed": -1}, "seed: Input should be greater than or equal to 0 (got -1)"),
    ({"trials": 0}, "trials: Input should be greater than or equal to 1 (got 0)"),
    ({f"{GRID}.trials": 0}, f"{GRID}.trials: Input should be greater than or equal to 1"),
    ({f"{GRID}.sparsity": [0]}, f"{GRID}.sparsity[0]: Input should be greater than or equal to 1"),
    ({f"{GRID}.n_rounds": [0]}, f"{GRID}.n_rounds[0]: Input should be greater than or equal to 1"),
    ({f"{TRANSITION}.noise_std": -0.1}, f"{TRANSITION}.noise_std: Input should be greater than or"),
    ({f"{TRANSITION}.noise_std": NAN}, f"{TRANSITION}.noise_std: Input should be"),
    ({f"{TRANSITION}.noise_std": INF}, f"{TRANSITION}.noise_std: Input should be a finite number"),
    ({f"{TRANSITION}.signal": 0}, f"{TRANSITION}.signal: Input should be greater than 0 (got 0)"),
    ({f"{TRANSITION}.signal": -1.0}, f"{TRANSITION}.signal: Input should be greater than 0"),
    ({f"{TRANSITION}.signal": NAN}, f"{TRANSITION}.signal: Input should be"),
    ({f"{TRANSITION}.signal": INF}, f"{TRANSITION}.signal: Input should be a finite number"),
    ({f"{LAW}.quantiles": [0.0]}, f"{LAW}.quantiles[0]: Input should be greater than 0"),
    ({f"{LAW}.quantiles": [1.0]}, f"{LAW}.quantiles[0]: Input should be less than 1"),
    ({f"{LAW}.quantiles": [NAN]}, f"{LAW}.quantiles[0]: Input should be"),
    ({f"{LAW}.bootstrap": 19}, f"{LAW}.bootstrap: Input should be greater than or equal to 20"),
    ({f"{LAW}.bootstrap": 10_001}, f"{LAW}.bootstrap: Input should be less than or equal to 10000"),
    # empty lists
    ({f"{TRANSITION}.grids": []}, f"{TRANSITION}.grids: List should have at least 1 item"),
    ({f"{GRID}.n_actions": []}, f"{GRID}.n_actions: List should have at least 1 item"),
    ({f"{GRID}.sparsity": []}, f"{GRID}.sparsity: List should have at least 1 item"),
    ({f"{GRID}.latent_dim": []}, f"{GRID}.latent_dim: List should have at least 1 item"),
    ({f"{GRID}.n_rounds": []}, f"{GRID}.n_rounds: List should have at least 1 item"),
    ({f"{GRID}.selection": []}, f"{GRID}.selection: List should have at least 1 item"),
    ({f"{LAW}.quantiles": []}, f"{LAW}.quantiles: List should have at least 1 item"),
    # choices
    ({f"{GRID}.design": "triple"}, f"{GRID}.design: Input should be 'single', 'multi' or 'signed'"),
    ({f"{TRANSITION}.weights": "cube"}, f"{TRANSITION}.weights: Input should be 'sphere' or"),
    ({f"{GRID}.selection": ["best"]}, f"{GRID}.selection[0]: must be one of"),
    ({f"{GRID}.selection": ["best"]}, "correlation, whitened, least_squares"),
    *(
        ({"label": label}, "label: may hold only a-z, 0-9 and -")
        for label in ("a/b", "../up", "..", "a.b", "Quick", "two words", "x\n", "x" * 41)
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
    ({f"{MULTI}.actions_per_round": 0}, f"{MULTI}.actions_per_round: Input should be greater than"),
    (
        {f"{MULTI}.actions_per_round": ...},
        f"{MULTI}: design 'multi' needs either actions_per_round",
    ),
    ({f"{MULTI}.actions_share": 0.5}, f"{MULTI}: design 'multi' needs either actions_per_round or"),
    ({f"{GRID}.actions_per_round": 2}, f"{GRID}: actions_per_round and actions_share do not go"),
    ({f"{GRID}.actions_share": 0.5}, f"{GRID}: actions_per_round and actions_share do not go with"),
    ({f"{MULTI}.design": "single"}, f"{MULTI}: actions_per_round and actions_share do not go with"),
    ({f"{GRID}.n_rounds": ...}, f"{GRID}: give either rounds (a range) or n_rounds (a list)"),
    ({f"{MULTI}.n_rounds": [20]}, f"{MULTI}: give either rounds (a range) or n_rounds (a list)"),
    # numbers of rounds
    ({f"{GRID}.n_rounds": [20, 30, 3]}, f"{GRID}.n_rounds asks for T=3 rounds of signed_M16_k2_d2"),
    ({f"{GRID}.n_rounds": [20, 30, 3]}, "T must be at least 4"),
    ({f"{MULTI}.rounds.from": 0.01}, f"{MULTI}.rounds asks for T="),
    (
        {f"{MULTI}.rounds.from": 0.01},
        "too few to fit k·d = 4 weights; T must be at least 4, 'from'",
    ),
    ({f"{MULTI}.rounds.from": 0}, f"{MULTI}.rounds.from: Input should be greater than 0 (got 0)"),
    ({f"{MULTI}.rounds.from": NAN}, f"{MULTI}.rounds.from: Input should be"),
    ({f"{MULTI}.rounds.to": NAN}, f"{MULTI}.rounds.to: Input should be"),
    ({f"{MULTI}.rounds.to": 0.5}, f"{MULTI}.rounds: 'to' (0.5) must exceed 'from' (0.5)"),
    ({f"{MULTI}.rounds.to": 1e12}, f"{MULTI}.rounds: 'to' asks for"),
    ({f"{MULTI}.rounds.to": INF}, "at most 2147483647 are possible"),
    ({f"{MULTI}.rounds.to": 0.50001}, f"{MULTI}.rounds holds no number of rounds for multi4_M16"),
    ({f"{MULTI}.rounds.per_doubling": 0}, f"{MULTI}.rounds.per_doubling: Input should be greater"),
    ({f"{MULTI}.rounds.per_doubling": 65}, f"{MULTI}.rounds.per_doubling: Input should be less"),
]


@pytest.mark.parametrize(
    ("changes", "message"), WRONG, ids=[f"{changes}"[:80] for changes, _ in WRONG]
)
def test_the_message_names_the_key_and_what_is_allowed(changes, message):
    assert message in message_of(changed(changes))


def test_the_message_names_every_key_at_fault():
    message = message_of(changed({"seed": -1, f"{LAW}.bootstrap": 1, f"{GRID}.extra": 2}))
    assert [line.split(":")[0] for line in message.splitlines()] == [
        "seed",
        f"{GRID}.extra",
        f"{LAW}.bootstrap",
    ]


def test_an_empty_configuration_names_what_is_required():
    message = message_of({})
    for key in ("label", "seed", "trials", "experiments"):
        assert f"{key}: this key is required" in message


def test_the_advice_on_the_shortest_range_works():
    message = message_of(changed({f"{MULTI}.rounds.from": 0.01}))
    advised = float(re.search(r"'from' at least ([\d.e-]+)", message)[1])
    load_study(changed({f"{MULTI}.rounds.from": 1.01 * advised}))


def test_quantiles_are_not_named_twice():
    # The datasets have an axis of them.
    assert f"{LAW}" in message_of(changed({f"{LAW}.quantiles": [0.5, 0.5]}))


def test_grids_that_overlap_are_named():
    again = copy.deepcopy(BASE["experiments"]["phase_transition"]["grids"][0])
    again |= {"n_actions": [64, 32], "n_rounds": [30, 40, 50]}
    config = copy.deepcopy(BASE)
    config["experiments"]["phase_transition"]["grids"].append(again)
    message = message_of(config)
    assert f"{TRANSITION}.grids[2] asks for signed_M32_k2_d1_b1_s0.5" in message
    assert f"{GRID} has it already" in message


def test_grids_overlap_by_share_and_number_alike():
    # Four of sixteen actions are a quarter: one file, but two sets of rounds and trials.
    again = copy.deepcopy(BASE["experiments"]["phase_transition"]["grids"][1])
    del again["actions_per_round"]
    again |= {"actions_share": 0.25, "trials": 50, "selection": ["correlation"]}
    config = copy.deepcopy(BASE)
    config["experiments"]["phase_transition"]["grids"].append(again)
    assert f"{TRANSITION}.grids[2]" in message_of(config)


def test_another_selection_is_no_overlap():
    again = copy.deepcopy(BASE["experiments"]["phase_transition"]["grids"][0])
    config = copy.deepcopy(BASE)
    config["experiments"]["phase_transition"]["grids"].append(again | {"selection": ["whitened"]})
    assert len(load_study(config).cells()) == len(load_study(BASE).cells()) + 4


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
    for cell in load_study(BASE).cells():
        log = simulate_trial(cell.scenario, cell.n_rounds[-1], seed=0, trial=0)
        assert np.isfinite(log.rewards).all()
