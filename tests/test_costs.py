"""What a study costs: the fit of unit costs, what is told from them, and how jobs share cores."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sparseact.study import costs
from sparseact.study.cell import ORACLE
from sparseact.study.config import load_study
from studies import TINY
from test_config import updated

ROOT = Path(__file__).resolve().parents[1]
STUDY = load_study(updated(yaml.safe_load((ROOT / "config/config.yaml").read_text()), TINY))
KNOWN = json.loads((ROOT / "workflow/costs.json").read_text())
CELL = STUDY.cells("phase_transition")[0]
RIVAL = next(cell for cell in STUDY.cells("coherence") if cell.selection == ORACLE)


def cell_of(stage):
    of = {"rival": "coherence", "bound": "lower_bounds", "dense": "sparsity_necessity"}
    of |= {"stop": "stopping", "follow": "dynamic_actions"}
    return RIVAL if stage == "rival" else STUDY.cells(of.get(stage, "phase_transition"))[0]


@given(st.integers(0, 100))
def test_factors_are_found_again_from_what_jobs_took(seed):
    rng = np.random.default_rng(seed)
    factors = np.array([2e-5, 1e-6, 3e-10])
    x = np.column_stack([10 ** rng.uniform(2, top, 40) for top in (5, 6, 10)])
    found = costs.measure([(row, 0.3 + float(row @ factors)) for row in x], 0.3)
    np.testing.assert_allclose(found, factors, rtol=1e-6)


def test_factors_are_never_below_zero_and_explain_the_total():
    rng = np.random.default_rng(3)
    jobs = [((n, n**2, 1 / n), 1 + rng.random()) for n in np.arange(1.0, 20)]
    for some in (jobs, jobs[:3]):
        factors = costs.measure(some, 0.5)
        assert min(factors) >= 0
        told = sum(0.5 + float(np.dot(factors, one)) for one, _ in some)
        assert told == pytest.approx(sum(took for _, took in some))
    assert factors[:2] == [0, 0]


@pytest.mark.parametrize("stage", KNOWN["stages"])
def test_more_trials_cost_more_of_everything(stage):
    cell = cell_of(stage)
    one, more = (costs.of_stage(KNOWN, STUDY, stage, replace(cell, trials=n)) for n in (10, 10_000))
    assert more.seconds > one.seconds > 0
    assert more.memory > one.memory > 200
    assert more.storage > one.storage > 0


def test_a_collection_costs_in_proportion_to_what_it_resamples():
    known = {
        "rules": {
            "collect_coverage": [3.0, 200.0, 10.0],
            "collect_coherence": [4.0, 180.0, 1e6],
            "judge": [2.0, 100.0, 1.0],
        }
    }

    def cost(rule, factor):
        study = STUDY.model_copy(update={"bootstrap": factor * STUDY.bootstrap})
        return costs.of_rule(known, rule, costs.size_of(rule, study, 0))

    assert cost("collect_coverage", 2).seconds == pytest.approx(
        2 * cost("collect_coverage", 1).seconds
    )
    # What the least of its like takes does not grow.
    once, twice, thrice = (cost("collect_coverage", n).memory for n in (1, 2, 3))
    assert thrice - twice == pytest.approx(twice - once)
    assert once > 200
    assert cost("judge", 1) == cost("judge", 2)
    assert cost("judge", 1).memory > 100
    unknown = cost("novel", 1)
    assert (unknown.seconds, unknown.memory) >= (4e-6, 200)
    assert costs.size_of("manifest", STUDY, 7e9) == 7e9


def test_jobs_that_took_no_time_teach_nothing():
    with pytest.raises(costs.CostsError, match="run a larger study"):
        costs.measure([((1.0, 1.0, 1.0), 0.2), ((2.0, 1.0, 1.0), 0.2)], 0.2)


@st.composite
def plans(draw):
    """Jobs with the seconds they take, each after some of those before it."""
    number = draw(st.integers(1, 25))
    seconds = {f"{i}": draw(st.floats(0.1, 10)) for i in range(number)}
    after = {
        f"{i}": [f"{j}" for j in draw(st.sets(st.integers(0, i - 1), max_size=3))] if i else []
        for i in range(number)
    }
    return seconds, after


@given(plans(), st.integers(1, 8))
def test_jobs_share_cores_within_the_bounds_of_any_greedy_plan(plan, cores):
    seconds, after = plan
    wall = costs.makespan(seconds, after, cores)
    ends = {}
    for job in seconds:
        ends[job] = seconds[job] + max((ends[one] for one in after[job]), default=0.0)
    longest, total = max(ends.values()), sum(seconds.values())
    assert wall >= max(longest, total / cores) - 1e-9
    # Graham (1966): no more than this for any list, whatever waits for what.
    assert wall <= total / cores + longest * (1 - 1 / cores) + 1e-9
    assert costs.makespan(seconds, after, 1) == pytest.approx(total)
    assert costs.makespan(seconds, after, 100) == pytest.approx(longest)


@given(plans(), st.integers(1, 8), st.floats(0, 2))
def test_submissions_come_one_after_another(plan, cores, submit):
    seconds, after = plan
    wall = costs.makespan(seconds, after, cores, submit)
    assert wall >= submit * len(seconds) + min(seconds.values()) - 1e-9
    assert wall >= costs.makespan(seconds, after, 100) - 1e-9
    assert wall <= sum(seconds.values()) + submit * len(seconds) + 1e-9


def test_jobs_are_put_together_as_snakemake_does():
    after = {"s1": [], "r1": ["s1"], "s2": [], "r2": ["s2"], "s3": [], "c": ["r1", "r2"], "end": []}
    group = {"s1": "a", "r1": "a", "s2": "a", "r2": "a", "s3": "a", "c": "b"}
    batch = costs.batches(after, group, {"a": 2, "b": 1})
    assert batch["s1"] == batch["r1"] == batch["s2"] == batch["r2"] != batch["s3"]
    assert batch["end"] == "end"
    seconds = {"s1": 1.0, "r1": 2.0, "s2": 3.0, "r2": 4.0, "s3": 5.0, "c": 6.0, "end": 7.0}
    took, waits = costs.batched(seconds, after, batch, 2, 0.5)
    assert took == {batch["s1"]: 7.5, batch["s3"]: 5.5, batch["c"]: 6.5, "end": 7.5}
    assert waits == {batch["s1"]: [], batch["s3"]: [], batch["c"]: [batch["s1"]], "end": []}


@given(plans(), st.integers(1, 4))
def test_batches_keep_all_work_and_all_waiting(plan, size):
    seconds, after = plan
    group = {job: "all" for job in seconds if int(job) % 3}
    batch = costs.batches(after, group, {"all": size})
    took, waits = costs.batched(seconds, after, batch, 1, 0.0)
    assert sum(took.values()) == pytest.approx(sum(seconds.values()))
    for job, others in after.items():
        for other in others:
            assert batch[other] == batch[job] or batch[other] in waits[batch[job]]
