"""The ledger: what an interval says of a criterion, and what the parts say together."""

import json
import re
from itertools import product

import numpy as np
import pytest
import xarray as xr
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from sparseact.study.ledger import (
    Claim,
    Criterion,
    LedgerError,
    evidence,
    judge,
    judge_all,
    load_claims,
    numbers,
)
from sparseact.study.variables import KINDS

SUPPORTED, REFUTED = "supported", "not supported"
OPEN, CONDITIONAL = "inconclusive at this size", "supported under a stated condition"
OUTCOMES = (SUPPORTED, REFUTED, OPEN)

# Intervals on each side of "above 0.5".
INTERVALS = {SUPPORTED: (0.6, 0.7, 0.8), REFUTED: (0.2, 0.3, 0.4), OPEN: (0.4, 0.5, 0.6)}
NAN = float("nan")


def entry(**changes):
    part = {
        "condition": "one action a round",
        "variable": "share",
        "select": {"design": "single", "quantile": 0.95},
        "criterion": {"above": 0.5},
    }
    return {
        "id": "some-claim",
        "statement": "It works.",
        "source": "Theorem 1",
        "experiment": "trial",
        "figure": "successes",
        "statistic": "share of successes",
        "evidence": "It works with probability {0}.",
        "holds_if": "every",
        "parts": [part],
        **changes,
    }


def part(**changes):
    return {**entry()["parts"][0], **changes}


def load(**changes):
    return load_claims([entry(**changes)])[0]


def dataset(*intervals):
    """One design for each (low, value, high), named 0, 1, 2 …"""
    low, value, high = (np.array(ends)[:, None] for ends in zip(*intervals, strict=True))
    dims = ("design", "quantile")
    return xr.Dataset(
        {"share": (dims, value), "share_low": (dims, low), "share_high": (dims, high)},
        {"design": [str(i) for i in range(len(intervals))], "quantile": [0.95]},
    )


def verdict_of(holds_if, intervals):
    parts = [
        part(condition=f"part {i}", select={"design": str(i), "quantile": 0.95})
        for i in range(len(intervals))
    ]
    return judge(load(holds_if=holds_if, parts=parts), dataset(*intervals))


# -- one criterion -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("criterion", "low", "high", "outcome"),
    [
        ({"above": 0.5}, 0.6, 0.7, SUPPORTED),
        ({"above": 0.5}, 0.3, 0.4, REFUTED),
        ({"above": 0.5}, 0.4, 0.6, OPEN),
        ({"above": 0.5}, 0.5, 0.6, OPEN),  # the range is open: its edge is outside
        ({"above": 0.5}, 0.4, 0.5, REFUTED),
        ({"below": 0.5}, 0.3, 0.4, SUPPORTED),
        ({"below": 0.5}, 0.6, 0.7, REFUTED),
        ({"below": 0.5}, 0.4, 0.6, OPEN),
        ({"below": 0.5}, 0.4, 0.5, OPEN),
        ({"below": 0.5}, 0.5, 0.6, REFUTED),
        ({"above": 0.8, "below": 1.2}, 0.9, 1.1, SUPPORTED),
        ({"above": 0.8, "below": 1.2}, 0.5, 0.7, REFUTED),
        ({"above": 0.8, "below": 1.2}, 1.3, 1.4, REFUTED),
        ({"above": 0.8, "below": 1.2}, 0.7, 1.0, OPEN),
        ({"above": 0.8, "below": 1.2}, 1.0, 1.3, OPEN),
        ({"above": 0.8, "below": 1.2}, 0.7, 1.3, OPEN),
        ({"above": 0.5}, NAN, 0.7, OPEN),
        ({"above": 0.5}, 0.6, NAN, OPEN),
        ({"above": 0.5}, NAN, NAN, OPEN),
    ],
)
def test_an_interval_is_held_against_a_criterion(criterion, low, high, outcome):
    assert Criterion(**criterion).judge(low, high) == outcome


ends = st.floats(-10, 10)


@given(st.tuples(ends, ends).map(sorted), st.tuples(ends, ends).map(sorted))
def test_a_criterion_is_decided_only_where_every_value_agrees(edges, interval):
    above, below = edges
    assume(above < below)
    outcome = Criterion(above=above, below=below).judge(*interval)
    inside = [above < value < below for value in (*interval, *np.linspace(*interval, 7))]
    if outcome == SUPPORTED:
        assert all(inside)
    elif outcome == REFUTED:
        assert not any(inside)
    else:
        low, high = interval
        assert low <= above < high or low < below <= high


@pytest.mark.parametrize(
    ("criterion", "text"),
    [
        ({"above": 0.95}, "above 0.95"),
        ({"below": 0.1}, "below 0.1"),
        ({"above": 0.8, "below": 1.2}, "between 0.8 and 1.2"),
    ],
)
def test_a_criterion_reads_as_a_sentence(criterion, text):
    assert str(Criterion(**criterion)) == text


# -- parts together ----------------------------------------------------------------------------


@pytest.mark.parametrize("outcomes", [o for n in (1, 2, 3) for o in product(OUTCOMES, repeat=n)])
def test_every_part_must_hold(outcomes):
    verdict = verdict_of("every", [INTERVALS[one] for one in outcomes])
    assert [one["verdict"] for one in verdict["parts"]] == list(outcomes)
    if any(one == REFUTED for one in outcomes):
        assert verdict["verdict"] == REFUTED
    elif all(one == SUPPORTED for one in outcomes):
        assert verdict["verdict"] == SUPPORTED
    else:
        assert verdict["verdict"] == OPEN


@pytest.mark.parametrize("outcomes", [o for n in (1, 2, 3) for o in product(OUTCOMES, repeat=n)])
def test_each_part_is_a_condition(outcomes):
    verdict = verdict_of("condition", [INTERVALS[one] for one in outcomes])
    assert [one["verdict"] for one in verdict["parts"]] == list(outcomes)
    if all(one == SUPPORTED for one in outcomes):
        assert verdict["verdict"] == SUPPORTED
    elif any(one == SUPPORTED for one in outcomes):
        assert verdict["verdict"] == CONDITIONAL
    elif all(one == REFUTED for one in outcomes):
        assert verdict["verdict"] == REFUTED
    else:
        assert verdict["verdict"] == OPEN


def test_the_deciding_part_is_the_first_that_does_not_hold():
    verdict = verdict_of("every", [INTERVALS[SUPPORTED], (0.1, 0.2, 0.3), (0.2, 0.3, 0.4)])
    assert verdict["deciding"] == "part 1"
    assert [verdict[key] for key in ("low", "value", "high")] == [0.1, 0.2, 0.3]
    verdict = verdict_of("every", [(0.6, 0.7, 0.8), (0.7, 0.8, 0.9)])
    assert verdict["deciding"] == "part 0"
    assert [verdict[key] for key in ("low", "value", "high")] == [0.6, 0.7, 0.8]


def test_a_verdict_tells_its_claim():
    claim = load()
    verdict = judge(claim, dataset((0.6, 0.7, 0.8)).assign_coords(design=["single"]))
    for key in ("id", "statement", "source", "experiment", "figure", "statistic", "holds_if"):
        assert verdict[key] == getattr(claim, key)
    assert verdict["evidence"] == "It works with probability 0.700 [0.600, 0.800]."
    assert verdict["criterion"] == "above 0.5"
    assert verdict["parts"][0]["select"] == {"design": "single", "quantile": 0.95}


@pytest.mark.parametrize(
    "interval",
    [(0.6, 0.7, 0.8), (NAN, 0.7, NAN), (NAN, NAN, NAN), (0.6, np.inf, np.inf), (-np.inf, 0.7, 1)],
)
@pytest.mark.parametrize("holds_if", ["every", "condition"])
def test_a_verdict_is_plain_json(holds_if, interval):
    verdict = verdict_of(holds_if, [interval, INTERVALS[SUPPORTED]])
    assert json.loads(json.dumps(verdict, allow_nan=False)) == verdict


def test_evidence_is_a_sentence_with_the_numbers_of_its_parts():
    parts = [part(select={"design": str(i), "quantile": 0.95}) for i in range(3)]
    claim = load(parts=parts, evidence="First {0}, last {2}, again {0}, between {1}.")
    verdict = judge(claim, dataset((0.6, 0.7, 0.8), (NAN, 0.25, NAN), (NAN, NAN, NAN)))
    assert verdict["evidence"] == (
        "First 0.700 [0.600, 0.800], last (not measured), again 0.700 [0.600, 0.800], "
        "between 0.25 (interval not determined)."
    )
    where_nothing_is = load(parts=[part(select={"design": "9", "quantile": 0.95})])
    verdict = judge(where_nothing_is, dataset((0.6, 0.7, 0.8)))
    assert verdict["evidence"] == "It works with probability (not measured)."


def test_a_variable_without_dimensions_is_one_place():
    source = xr.Dataset({"share": 0.7, "share_low": 0.6, "share_high": 0.8})
    verdict = judge(load(parts=[part(select={})]), source)
    assert (verdict["verdict"], verdict["value"]) == (SUPPORTED, 0.7)
    with pytest.raises(LedgerError, match=r"claim some-claim: .* a value of each of \[\]; got"):
        judge(load(), source)


def test_an_experiment_is_opened_once_for_all_its_claims():
    claims = load_claims(
        [entry(), entry(id="another"), entry(id="elsewhere", experiment="other")],
    )
    opened = []

    def open_experiment(name):
        opened.append(name)
        interval = INTERVALS[SUPPORTED if name == "trial" else REFUTED]
        return dataset(interval).assign_coords(design=["single"])

    verdicts = judge_all(claims, open_experiment)
    assert opened == ["trial", "other"]
    assert [one["id"] for one in verdicts] == ["some-claim", "another", "elsewhere"]
    assert [one["verdict"] for one in verdicts] == [SUPPORTED, SUPPORTED, REFUTED]


def test_a_skipped_experiment_leaves_its_claims_open_and_says_why():
    ds = dataset((NAN, NAN, NAN)).assign_coords(design=["single"])
    ds.attrs["skipped"] = "there was no network"
    told = judge(load(), ds)
    assert told["verdict"] == OPEN
    assert told["evidence"] == "Not measured: there was no network."


# -- what cannot be read or judged -------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"statement": None}, "statement"),
        ({"source": 4}, "source"),
        ({"holds_if": "any"}, "holds_if"),
        ({"figure": None}, "figure"),
        ({"evidence": 1}, "evidence"),
        ({"evidence": "Only {1} of it."}, ".*evidence must be a sentence with"),
        ({"evidence": "The {share} of it."}, ".*evidence must be a sentence with"),
        ({"evidence": "Not closed {0."}, ".*evidence must be a sentence with"),
        ({"parts": []}, "parts"),
        ({"parts": "none"}, "parts"),
        ({"verdict": "supported"}, "verdict"),
        ({"parts": [part(criterion={})]}, r"parts\.0\.criterion"),
        ({"parts": [part(criterion={"above": 2.0, "below": 1.0})]}, r"parts\.0\.criterion"),
        ({"parts": [part(criterion={"above": 1.0, "below": 1.0})]}, r"parts\.0\.criterion"),
        ({"parts": [part(criterion={"above": NAN})]}, r"parts\.0\.criterion"),
        ({"parts": [part(criterion={"over": 1.0})]}, r"parts\.0\.criterion\.over"),
        ({"parts": [part(criterion={"above": "much"})]}, r"parts\.0\.criterion\.above"),
        ({"parts": [part(), part(variable=None)]}, r"parts\.1\.variable"),
        ({"parts": [part(select=["single"])]}, r"parts\.0\.select"),
        ({"parts": [part(note="")]}, r"parts\.0\.note"),
    ],
)
def test_malformed_entries_name_the_claim_and_the_key(changes, key):
    with pytest.raises(LedgerError, match=rf"^claim some-claim: {key}"):
        load(**changes)


@pytest.mark.parametrize("key", sorted(Claim.model_fields.keys() - {"id"}))
def test_missing_keys_are_named(key):
    incomplete = entry()
    del incomplete[key]
    with pytest.raises(LedgerError, match=f"^claim some-claim: {key}: Field required"):
        load_claims([incomplete])


def test_ids_are_required_plain_and_unique():
    nameless = entry()
    del nameless["id"]
    with pytest.raises(LedgerError, match="claim a claim without id: id: Field required"):
        load_claims([nameless])
    with pytest.raises(LedgerError, match="claim Some Claim: id"):
        load(id="Some Claim")
    with pytest.raises(LedgerError, match="names a claim twice"):
        load_claims([entry(), entry()])


@pytest.mark.parametrize("entries", [None, {}, entry(), "claims"])
def test_a_ledger_is_a_list(entries):
    with pytest.raises(LedgerError, match="must be a list of claims"):
        load_claims(entries)
    with pytest.raises(LedgerError, match="claim 'claims'"):
        load_claims(["claims"])


@pytest.mark.parametrize("missing", ["share", "share_low", "share_high"])
def test_missing_variables_name_the_claim(missing):
    source = dataset((0.6, 0.7, 0.8)).assign_coords(design=["single"])
    with pytest.raises(LedgerError, match=f"claim some-claim: trial has no variable '{missing}'"):
        judge(load(), source.drop_vars(missing))


@pytest.mark.parametrize(
    "select",
    [
        {},
        {"design": "single"},
        {"design": "single", "quantile": 0.95, "law": "paper"},
        {"design": "single", "quantil": 0.95},
    ],
)
def test_a_selection_of_other_than_one_place_names_the_claim(select):
    source = dataset((0.6, 0.7, 0.8)).assign_coords(design=["single"])
    message = r"claim some-claim: .* a value of each of \['design', 'quantile'\]; got"
    with pytest.raises(LedgerError, match=message):
        judge(load(parts=[part(select=select)]), source)


def test_a_selection_of_another_type_names_the_claim():
    source = dataset((0.6, 0.7, 0.8)).assign_coords(design=["single"])
    with pytest.raises(LedgerError, match="claim some-claim"):
        judge(load(parts=[part(select={"design": "single", "quantile": "high"})]), source)


@pytest.mark.parametrize(
    "select", [{"design": "multi", "quantile": 0.95}, {"design": "single", "quantile": 0.9}]
)
@pytest.mark.parametrize("holds_if", ["every", "condition"])
def test_a_place_that_a_study_does_not_have_is_inconclusive(holds_if, select):
    source = dataset((0.6, 0.7, 0.8)).assign_coords(design=["single"])
    verdict = judge(load(holds_if=holds_if, parts=[part(select=select)]), source)
    assert verdict["verdict"] == OPEN
    assert verdict["value"] is verdict["low"] is verdict["high"] is None
    assert evidence(verdict)[0].startswith("one action a round: (not measured), inconclusive")


# -- the committed ledger ----------------------------------------------------------------------


def test_the_committed_claims_ask_for_what_the_experiments_hold(root):
    claims = load_claims(yaml.safe_load((root / "config" / "claims.yaml").read_text()))
    assert claims
    for claim in claims:
        places = {int(number) for number in re.findall(r"{(\d+)}", claim.evidence)}
        assert places <= set(range(len(claim.parts))), claim.id
        assert places, claim.id
        variables = KINDS[claim.experiment].variables
        for one in claim.parts:
            for end in ("", "_low", "_high"):
                assert set(variables[one.variable + end]) == set(one.select), claim.id


# -- evidence ----------------------------------------------------------------------------------


def test_evidence_is_one_line_of_numbers_a_part():
    verdict = verdict_of("every", [(0.6123, 0.7, 0.8), (NAN, 0.25, NAN), (NAN, NAN, NAN)])
    lines = evidence(verdict)
    assert len(lines) == 3
    assert lines[0] == "part 0: 0.700 [0.612, 0.800], supported (above 0.5)"
    assert lines[1].startswith("part 1: 0.25 (interval not determined), inconclusive")
    assert lines[2] == "part 2: (not measured), inconclusive at this size (above 0.5)"


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (1.2, NAN, "not supported"),  # it is at least 1.2, whatever it is
        (1.0, NAN, "inconclusive at this size"),
        (NAN, 0.8, "not supported"),
        (NAN, 1.0, "inconclusive at this size"),
        (NAN, NAN, "inconclusive at this size"),
    ],
)
def test_one_known_end_can_be_enough_to_refute(low, high, outcome):
    assert Criterion(above=0.9, below=1.1).judge(low, high) == outcome


def test_a_bound_is_told_as_one():
    assert numbers({"value": None, "low": 1.5, "high": None}) == "more than 1.500"


def test_a_value_known_only_to_exceed_the_criterion_counts():
    # The criterion is below nothing and above 0.5: what is at most 0.2 fails it, value or none.
    verdict = verdict_of("condition", [(0.6, 0.7, 0.8), (NAN, NAN, 0.2)])
    assert verdict["verdict"] == "supported under a stated condition"
