"""Compiled code against what it stands in for: the same support, and weights to rounding."""

import sys

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseact import KhatriRaoDesign, block_omp, rules
from sparseact import greedy as reference
from sparseact.compiled import greedy, log
from sparseact.compiled.greedy import Log
from sparseact.simulate import draw_sets

RULES = ("correlation", "whitened")


def assert_same(latents, activations, y, k=None, *, n_actions=None, selection="correlation", **how):
    """Found by compiled code and by the reference, which is returned."""

    def design(compiled):
        if n_actions is None:
            return KhatriRaoDesign(latents, sp.csr_array(activations), compiled=compiled)
        return KhatriRaoDesign.from_actions(latents, activations, n_actions, compiled=compiled)

    plain = block_omp(design(False), y, k, selection=selection, **how)
    found = block_omp(design(True), y, k, selection=selection, **how)
    assert found.support.tolist() == plain.support.tolist()
    assert found.stop_reason == plain.stop_reason
    assert found.rank == plain.rank
    assert found.undiscoverable.tolist() == plain.undiscoverable.tolist()
    scale = np.abs(plain.weights).max(initial=0.0)
    np.testing.assert_allclose(found.weights, plain.weights, rtol=1e-8, atol=1e-9 * scale)
    np.testing.assert_allclose(
        found.residual_norms, plain.residual_norms, rtol=1e-9, atol=1e-11 * plain.residual_norms[0]
    )
    return plain


def hot_log(rng, T, M, d, B, k, noise=0.5):
    """Latents, ids and rewards of a log that uses B of M actions a round."""
    latents = rng.standard_normal((T, d))
    ids = draw_sets(M, B, T, rng)
    design = KhatriRaoDesign.from_actions(latents, ids, M)
    weights = np.zeros((M, d))
    weights[rng.choice(M, k, replace=False)] = rng.standard_normal((k, d))
    return latents, ids, design @ weights.ravel() + noise * rng.standard_normal(T)


@pytest.mark.parametrize("selection", RULES)
@given(
    seed=st.integers(0, 10**6),
    d=st.integers(1, 5),
    B=st.integers(1, 6),
    T=st.integers(20, 300),
    noise=st.sampled_from([0.01, 0.5, 3.0]),
)
@settings(max_examples=60, deadline=None)
def test_action_ids_give_what_the_reference_gives(selection, seed, d, B, T, noise):
    rng = np.random.default_rng(seed)
    M = int(rng.integers(8 * B + 1, 80))
    latents, ids, y = hot_log(rng, T, M, d, B, k=5, noise=noise)
    assert_same(latents, ids, y, 6, n_actions=M, selection=selection)


def test_a_score_may_be_beyond_its_bound_by_rounding():
    # As many rounds as dimensions, and these nearly dependent.
    rng = np.random.default_rng(6975)
    latents, ids, y = hot_log(rng, 36, int(rng.integers(25, 80)), 5, 3, k=5, noise=0.01)
    found = assert_same(latents, ids, y, 6, n_actions=36, selection="whitened")
    assert len(found.support) == 6


@pytest.mark.parametrize("selection", RULES)
@given(seed=st.integers(0, 10**6), noise=st.sampled_from([0.1, 1.0, 4.0]))
@settings(max_examples=30, deadline=None)
def test_bounds_that_spare_looks_at_large_logs_change_nothing(selection, seed, noise):
    rng = np.random.default_rng(seed)
    T, M, d, B, k = 1500, 300, 3, 12, 8
    latents, ids, y = hot_log(rng, T, M, d, B, k, noise=noise)
    assert_same(latents, ids, y, 12, n_actions=M, selection=selection)


@pytest.mark.parametrize("selection", RULES)
@given(
    seed=st.integers(0, 10**6),
    d=st.integers(1, 4),
    share=st.floats(0.02, 0.5),
    spread=st.sampled_from([0.0, 3.0]),
)
@settings(max_examples=60, deadline=None)
def test_activations_of_any_values_give_what_the_reference_gives(selection, seed, d, share, spread):
    rng = np.random.default_rng(seed)
    T, M = int(rng.integers(20, 300)), int(rng.integers(7, 60))
    X = rng.standard_normal((T, M)) * (rng.random((T, M)) < share)
    X *= 10 ** (spread * rng.uniform(-1, 1, M))  # some actions a thousand times as strong as others
    latents = rng.standard_normal((T, d))
    w = rng.standard_normal((M, d)) * (rng.random((M, 1)) < 0.1)
    y = ((X @ w) * latents).sum(axis=1) + 0.3 * rng.standard_normal(T)
    assert_same(latents, X, y, 5, selection=selection)


@pytest.mark.parametrize("selection", RULES)
@given(seed=st.integers(0, 10**6), tol=st.floats(0.1, 0.95))
@settings(max_examples=30, deadline=None)
def test_it_stops_where_the_reference_stops(selection, seed, tol):
    rng = np.random.default_rng(seed)
    latents, ids, y = hot_log(rng, 120, 30, 3, 2, k=4)
    how = {"n_actions": 30, "selection": selection}
    assert_same(latents, ids, y, residual_tol=tol * np.linalg.norm(y), **how)
    assert_same(latents, ids, y, 3, residual_tol=tol * np.linalg.norm(y), **how)
    _, _, clean = hot_log(np.random.default_rng(seed), 120, 30, 3, 2, k=4, noise=0.0)
    assert_same(latents, ids, clean, residual_tol=0.0, **how)


@pytest.mark.parametrize("selection", RULES)
def test_every_action_can_be_selected(selection):
    # More blocks than the room that is taken at first, and as many weights as rounds.
    rng = np.random.default_rng(0)
    latents, ids, y = hot_log(rng, 400, 40, 2, 3, k=4)
    found = assert_same(latents, ids, y, n_actions=40, residual_tol=0.0, selection=selection)
    assert len(found.support) == 40
    assert found.stop_reason == "no_candidates"
    latents, ids, y = hot_log(rng, 30, 40, 4, 1, k=4)
    assert_same(latents, ids, y, 12, n_actions=40, selection=selection)


@pytest.mark.parametrize("selection", RULES)
@given(seed=st.integers(0, 10**6), apart=st.sampled_from([0.0, 1e-14, 1e-8, 1e-6]))
@settings(max_examples=30, deadline=None)
def test_ties_go_to_the_lowest_index(selection, seed, apart):
    # Actions used in the same rounds, and as strongly but for a little.
    rng = np.random.default_rng(seed)
    T, M = 200, 40
    X = rng.standard_normal((T, M)) * (rng.random((T, M)) < 0.1)
    X[:, 30] = X[:, 7] * (1 + apart)
    X[:, 7] = -X[:, 7]
    latents = rng.standard_normal((T, 3))
    y = X[:, 30] * latents[:, 0] * 3 + 0.1 * rng.standard_normal(T)
    found = assert_same(latents, X, y, 1, selection=selection)
    if selection == "whitened" or apart < 1e-10:
        assert 30 not in found.support


@pytest.mark.parametrize("selection", RULES)
def test_what_was_never_used_or_has_no_latents_is_never_selected(selection):
    rng = np.random.default_rng(3)
    T, M = 60, 20
    X = rng.standard_normal((T, M)) * (rng.random((T, M)) < 0.2)
    X[:, [2, 5]] = 0.0
    latents = rng.standard_normal((T, 3))
    latents[X[:, 9] != 0] = 0.0
    latents[:, 2] = latents[:, 1]  # blocks that are short of rank
    found = assert_same(latents, X, rng.standard_normal(T), residual_tol=0.0, selection=selection)
    assert not {2, 5, 9} & set(found.support.tolist())
    assert found.undiscoverable.tolist() == [2, 5]


@pytest.mark.parametrize("selection", RULES)
@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e-160, 1e-3, 1e29])
def test_rewards_of_any_size(selection, scale):
    rng = np.random.default_rng(4)
    latents, ids, y = hot_log(rng, 100, 30, 2, 2, k=3)
    y = np.round(y / np.abs(y).max() * 8) * scale if scale < 1e-300 else y / np.abs(y).max() * scale
    assert_same(latents, ids, y, 4, n_actions=30, selection=selection)


@pytest.mark.parametrize("selection", RULES)
def test_no_rewards_are_an_exact_fit(selection):
    latents, ids, y = hot_log(np.random.default_rng(5), 50, 20, 2, 2, k=3)
    found = assert_same(latents, ids, 0 * y, 3, n_actions=20, selection=selection)
    assert found.stop_reason == "exact_fit"


@pytest.mark.parametrize("selection", RULES)
def test_a_few_weak_actions_behind_a_strong_one(selection):
    # The residual falls by ten orders of magnitude: what was shown before it fell is stale.
    rng = np.random.default_rng(6)
    latents, ids, _ = hot_log(rng, 400, 60, 3, 2, k=3)
    weights = np.zeros((60, 3))
    for step, j in enumerate((11, 3, 48, 20)):
        weights[j] = 10.0 ** (-3 * step) * rng.standard_normal(3)
    y = KhatriRaoDesign.from_actions(latents, ids, 60) @ weights.ravel()
    found = assert_same(latents, ids, y, 4, n_actions=60, selection=selection)
    assert found.support.tolist() == [11, 3, 48, 20]


@pytest.mark.parametrize("selection", RULES)
def test_coverage_from_one_round_to_nearly_all(selection):
    rng = np.random.default_rng(7)
    T, M = 500, 40
    X = (rng.random((T, M)) < np.geomspace(1 / T, 0.9, M)).astype(float)
    latents = rng.standard_normal((T, 3))
    w = rng.standard_normal((M, 3)) * (np.arange(M) % 7 == 0)[:, None]
    y = ((X @ w) * latents).sum(axis=1) + 0.2 * rng.standard_normal(T)
    assert_same(latents, X, y, 8, selection=selection)


def test_its_thresholds_are_those_of_the_reference():
    # Written there again, because numba would not notice that an imported one has changed.
    assert (greedy._TIE, greedy._EXACT) == (reference.TIE, reference.EXACT)
    assert (greedy._NONE, greedy._CLEAR, greedy._RANK) == (rules._NONE, rules.WELL, rules.RANK)


def test_what_is_nearly_short_of_rank_is_left_to_the_reference():
    rng = np.random.default_rng(8)
    T, M = 200, 20
    latents = rng.standard_normal((T, 2)) @ np.array([[1.0, 1.0], [0.0, 3e-6]])
    X = rng.standard_normal((T, M)) * (rng.random((T, M)) < 0.2)
    y = X[:, 3] * (latents @ [1.0, -2.0]) + 0.1 * rng.standard_normal(T)
    design = KhatriRaoDesign(latents, sp.csr_array(X), compiled=True)
    assert isinstance(design.compiled_log(y), Log)
    stop, *_ = greedy.solve(design.compiled_log(y), 2, -1.0, False, np.empty((0, 0)))
    assert stop == 4  # in doubt
    assert_same(latents, X, y, 2)


def test_the_same_ids_are_refused_with_the_same_words():
    latents = np.ones((2, 1))
    for ids in ([[0, 20], [1, 2]], [[0, -1], [1, 2]], [[0, 1], [3, 3]]):
        said = []
        for compiled in (False, True):
            with pytest.raises(
                ValueError, match=r"action ids must|names an action twice"
            ) as raised:
                KhatriRaoDesign.from_actions(latents, ids, 20, compiled=compiled)
            said.append(str(raised.value))
        assert said[0] == said[1]


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint64])
def test_ids_of_any_integers(kind):
    latents, ids, y = hot_log(np.random.default_rng(9), 100, 40, 2, 3, k=3)
    assert_same(latents, ids.astype(kind), y, 3, n_actions=40)
    compiled = KhatriRaoDesign.from_actions(latents, ids.astype(kind), 40, compiled=True)
    plain = KhatriRaoDesign.from_actions(latents, ids, 40)
    assert (compiled.to_dense() == plain.to_dense()).all()
    assert (compiled.coverage == plain.coverage).all()
    assert (compiled.head(7).to_dense() == plain.head(7).to_dense()).all()
    assert (compiled.correlate(y) == plain.correlate(y)).all()


def test_an_index_of_more_entries_than_short_integers_count_is_the_same():
    rng = np.random.default_rng(3)
    table, starts, _ = log.table_of(draw_sets(30, 4, 50, rng).astype(np.int64), 30)
    rows = np.arange(0, table.size + 1, 4), table.ravel(), np.empty(0)
    short, _ = log.by_action(*rows, starts)
    wide, _ = log._fill(*rows, starts[:-1].copy())
    np.testing.assert_array_equal(short, wide)
    for j in range(30):
        used = short[starts[j] : starts[j + 1]]
        np.testing.assert_array_equal(used, np.flatnonzero((table == j).any(axis=1)))


def test_without_numba_it_is_said_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("sparseact.compiled")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(ImportError, match=r"pip install 'sparseact\[fast\]'"):
        KhatriRaoDesign(np.ones((3, 1)), np.ones((3, 2)), compiled=True)
