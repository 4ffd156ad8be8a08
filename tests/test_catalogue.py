"""A catalogue of tools: read from its files, compared by its words, exposed, and pruned."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogues import files, line
from sparseact.catalogue.exposure import retrieved_sets, rewards, uniform_sets
from sparseact.catalogue.read import Catalogue, CatalogueError, read
from sparseact.catalogue.sets import SETS, names_of
from sparseact.catalogue.texts import Texts, near_copies
from sparseact.catalogue.worth import explained, kept, linear_weights, oracle, size_for, spread

ASKED, ANSWERED = names_of("live_simple")


def one_set(lines, calls):
    """Files of one set from lines of requests and the tools of the right calls, by id."""
    answers = [
        json.dumps({"id": key, "ground_truth": [{name: {}} for name in names]})
        for key, names in calls.items()
    ]
    return {ASKED: "\n".join(lines), ANSWERED: "\n".join(answers)}


def test_a_catalogue_is_requests_tools_and_what_is_right():
    lines = [
        line("a", "fly to Rome", [("fly", "To fly."), ("eat", "To eat.")]),
        line("b", "eat", [("eat", "To dine."), ("eat", "To dine.")]),
        line("c", "both", [("eat", "To eat."), ("fly", "To fly"), ("fly", "To fly.")]),
        line("d", "sleep", [("Eat", "Another."), ("eat", "To dine.")]),
    ]
    calls = {"d": ["Eat"], "c": ["fly", "eat", "fly"], "a": ["fly"], "b": ["eat"]}
    found = read(one_set(lines, calls), ["live_simple"])
    assert found.requests == ("fly to Rome", "eat", "both", "sleep")  # not what the system says
    assert found.tools == ("Eat", "eat", "fly")
    assert found.descriptions == ("Another.", "To dine.", "To fly.")
    np.testing.assert_array_equal(found.right, [[0, 0, 1], [0, 1, 0], [0, 0.5, 0.5], [1, 0, 0]])


def test_sets_are_put_together():
    texts = files(n_requests=20)
    every = read(texts, SETS)
    assert len(every.requests) == 20 * len(SETS)
    parts = [read(texts, [one]) for one in SETS]
    assert every.requests == tuple(said for part in parts for said in part.requests)
    assert set(every.tools) == {name for part in parts for name in part.tools}
    np.testing.assert_allclose(every.right.sum(axis=1), 1)
    total = dict.fromkeys(every.tools, 0.0)
    for part in parts:
        for name, share in zip(part.tools, part.right.sum(axis=0), strict=True):
            total[name] += share
    np.testing.assert_allclose(every.right.sum(axis=0), [total[name] for name in every.tools])


GOOD = line("a", "fly", [("fly", "To fly.")])
WRONG = [
    ([GOOD, "{"], {"a": ["fly"]}, f"{ASKED}, line 2: no JSON"),
    ([GOOD, "[]"], {"a": ["fly"]}, f"{ASKED}, line 2: has no id"),
    ([GOOD, GOOD], {"a": ["fly"]}, f"{ASKED}, line 2: the id 'a' comes twice"),
    ([GOOD], {"b": ["fly"]}, f"{ASKED}, line 1: request 'a' has no answer in {ANSWERED}"),
    ([GOOD], {"a": ["walk"]}, f"{ASKED}, line 1: the right tool 'walk' is not offered"),
    ([GOOD], {"a": []}, f"{ANSWERED}, line 1: ground_truth names no tool"),
    (['{"id": "a"}'], {"a": ["fly"]}, f"{ASKED}, line 1: question must be lists"),
    ([GOOD.replace('"name"', '"nom"')], {"a": ["fly"]}, f"{ASKED}, line 1: function must be"),
    ([GOOD.replace('"To fly."', "3")], {"a": ["fly"]}, f"{ASKED}, line 1: name and description"),
]


@pytest.mark.parametrize(("lines", "calls", "message"), WRONG)
def test_what_is_not_in_the_format_is_told_with_file_and_line(lines, calls, message):
    with pytest.raises(CatalogueError) as caught:
        read(one_set(lines, calls), ["live_simple"])
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_calls_that_are_no_calls_and_files_that_are_missing():
    texts = one_set([GOOD], {"a": ["fly"]})
    with pytest.raises(CatalogueError, match=f"{ANSWERED}, line 1: ground_truth must be a list"):
        read({**texts, ANSWERED: '{"id": "a", "ground_truth": ["fly"]}'}, ["live_simple"])
    with pytest.raises(CatalogueError, match=f"{ANSWERED} is missing"):
        read({ASKED: texts[ASKED]}, ["live_simple"])


TOLD = Catalogue(
    ("get weather", "get the weather in a town", "play music"),
    ("getWeather", "get_weather", "music.play"),
    ("The weather of a town", "The weather of a town.", "Plays a song"),
    np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]),
)


def test_tools_are_alike_by_the_words_of_names_and_descriptions():
    texts = Texts(TOLD)
    likeness = texts.likeness()
    np.testing.assert_allclose(likeness, [[0, 1, 0], [1, 0, 0], [0, 0, 0]], atol=1e-12)
    assert near_copies(likeness, 0.9).tolist() == [0, 0, 1]
    assert texts.retrieved(["some music", "the weather"]).tolist() == [[2, 0, 1], [0, 1, 2]]


def test_near_copies_of_near_copies_are_one_group():
    chain = np.zeros((5, 5))
    chain[0, 3] = chain[3, 0] = 0.8
    chain[3, 4] = chain[4, 3] = 0.9
    assert near_copies(chain, 0.8).tolist() == [0, 1, 2, 0, 0]
    assert near_copies(chain, 0.85).tolist() == [0, 1, 2, 3, 3]


def test_merged_tools_are_right_where_one_of_them_was():
    merged = TOLD.merged(np.array([1, 1, 0]))
    assert merged.tools == ("music.play", "getWeather")
    assert merged.descriptions == ("Plays a song", "The weather of a town")
    np.testing.assert_array_equal(merged.right, [[0, 1], [0, 1], [1, 0]])


def test_words_are_needed():
    nothing = Catalogue(("?",), ("+", "-"), ("", ""), np.ones((1, 2)))
    with pytest.raises(ValueError, match="hold no words"):
        Texts(nothing)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.integers(0, 1000))
def test_a_retriever_shows_its_best_and_others_by_chance(size, explored, seed):
    rng = np.random.default_rng(seed)
    retrieved = np.array([rng.permutation(12) for _ in range(5)])
    asked = rng.integers(5, size=40)
    sets = retrieved_sets(retrieved, asked, size, explored, rng)
    first = size - round(explored * size)
    assert sets.shape == (40, size)
    for round_, used in zip(asked, sets, strict=True):
        assert len({*used.tolist()}) == size
        assert used[:first].tolist() == retrieved[round_, :first].tolist()


def test_what_a_retriever_draws_is_uniform_on_the_rest():
    rng = np.random.default_rng(0)
    retrieved = np.array([[3, 1, 0, 2, 4, 5]])
    sets = retrieved_sets(retrieved, np.zeros(20_000, int), 3, 2 / 3, rng)
    counts = np.bincount(sets.ravel(), minlength=6) / 20_000
    np.testing.assert_allclose(counts, [0.4, 0.4, 0.4, 1.0, 0.4, 0.4], atol=0.02)


def test_a_set_is_no_larger_than_the_catalogue():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="size"):
        uniform_sets(3, 4, 10, rng)
    with pytest.raises(ValueError, match="size"):
        retrieved_sets(np.zeros((1, 3), int), np.zeros(2, int), 4, 0.5, rng)


def test_the_reward_is_the_share_of_right_tools_that_were_shown():
    right = np.array([[1.0, 0, 0], [0, 0.5, 0.5]])
    asked = np.array([0, 0, 1, 1])
    sets = np.array([[0, 1], [1, 2], [0, 1], [1, 2]])
    assert rewards(right, asked, sets).tolist() == [1, 0, 0.5, 1]


def test_what_a_catalogue_keeps():
    right = np.array([[1.0, 0, 0], [1, 0, 0], [0, 0.5, 0.5], [0, 0, 1]])
    assert oracle(right).tolist() == [0, 2, 1]
    np.testing.assert_allclose(kept(right, np.array([0, 2, 1])), [0, 0.5, 0.875, 1])
    # For each request its own.
    each = np.array([[0], [1], [1], [2]])
    np.testing.assert_allclose(kept(right, each), [0, (1 + 0 + 0.5 + 1) / 4])
    assert [size_for(right, share) for share in (0.5, 0.51, 0.875, 0.9, 1.0)] == [1, 2, 2, 3, 3]


def test_what_is_linear_is_explained_and_the_rest_is_not():
    rng = np.random.default_rng(1)
    states = np.column_stack([np.ones(500), rng.standard_normal((500, 2))])
    values = states @ rng.standard_normal((3, 8))
    np.testing.assert_allclose(explained(values, states @ linear_weights(states, values)), 1)
    noise = rng.standard_normal((500, 8))
    noise -= states @ linear_weights(states, noise)
    share = explained(values + noise, states @ linear_weights(states, values + noise))
    assert share == pytest.approx(spread(values) / (spread(values) + spread(noise)), abs=1e-3)


def test_the_spread_is_the_variance_over_sets():
    """Sums over all sets of 2 of 4 tools, enumerated."""
    values = np.random.default_rng(2).standard_normal((1, 4))
    sums = [values[0, i] + values[0, j] for i in range(4) for j in range(i)]
    np.testing.assert_allclose(np.var(sums), 2 * 2 / (4 * 3) * spread(values))
