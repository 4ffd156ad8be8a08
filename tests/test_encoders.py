"""States from texts: the built-in encoder, and one's own."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseact.discovery import LogError, Settings, discover_log, read_log
from sparseact.discovery.encoders import TextEncoder, evenly
from sparseact.discovery.example import example_log
from sparseact.discovery.hooks import Hook
from sparseact.discovery.writing import write_log

TEXTS = ["book a flight", "cancel the flight", "refund my card", "charge my card"] * 5


def test_texts_of_the_same_words_have_the_same_state():
    states = TextEncoder(3).fit(TEXTS).transform(["flight", "flight flight", "card", "", "xyzzy"])
    cosine = states[0] @ states[1] / np.linalg.norm(states[0]) / np.linalg.norm(states[1])
    assert cosine == pytest.approx(1)
    assert abs(states[0] @ states[2]) < 1e-9  # no text has both
    assert (states[3:] == 0).all()


def test_the_encoder_keeps_the_products_of_texts_as_far_as_its_dimensions_go():
    """As many dimensions as there are tell all that the words' weights do."""
    encoder = TextEncoder(5).fit(TEXTS)
    weights = encoder._words.transform(TEXTS).toarray()
    states = encoder.transform(TEXTS)
    assert states.shape[1] == np.linalg.matrix_rank(weights)
    np.testing.assert_allclose(states @ states.T, weights @ weights.T, atol=1e-9)


def test_fewer_dimensions_than_asked_for_are_said(caplog):
    assert TextEncoder(2).fit(TEXTS).transform(TEXTS).shape == (20, 2)
    assert not caplog.messages
    d = TextEncoder(16).fit(TEXTS).transform(TEXTS).shape[1]
    assert caplog.messages == [f"texts have {d} dimensions, not the 16 asked for"]
    assert d < 16


def test_texts_without_words_are_refused():
    with pytest.raises(ValueError, match="no word occurs in two of 3 texts"):
        TextEncoder().fit(["", "the", "!?"])
    with pytest.raises(ValueError, match="a single word occurs in two of 2 texts"):
        TextEncoder().fit(["card", "card"])


@given(st.integers(0, 300), st.integers(2, 40))
def test_a_sample_lies_evenly_over_the_log(n, most):
    kept = [int(text) for text in evenly(map(str, range(n)), most)]
    assert min(n, most) / 2 <= len(kept) <= most
    assert set(np.diff(kept)) <= {kept[1] - kept[0]} if len(kept) > 1 else True
    assert not kept or (kept[0] == 0 and n - kept[-1] <= 2 * -(-n // len(kept)))


# -- in a log --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    made = example_log(6000, 25, 3, text=True)
    path = tmp_path_factory.mktemp("texts") / "log.parquet"
    write_log(made.log, path)
    return str(path), made


def test_states_of_a_log_do_not_depend_on_its_pieces(log):
    asked = Settings(path=log[0], text="request", encoder={"dimensions": 5, "rounds": 1000})
    one, other = (read_log(asked, rounds_at_a_time=n) for n in (6000, 700))
    assert one.latents.shape == (6000, 5)
    assert one.latent_names == tuple(f"request[{i}]" for i in range(5))
    np.testing.assert_array_equal(one.latents, other.latents)


def test_what_matters_is_found_from_words(log):
    path, made = log
    found = discover_log(
        Settings(path=path, text="request", encoder={"dimensions": 8}, threshold=0.5)
    )
    assert set(found.named("relevant")) == set(made.relevant)


@pytest.fixture
def hook(tmp_path, monkeypatch):
    """A module of one's own with one function."""

    def write(body):
        (tmp_path / "own_encoder.py").write_text(f"import numpy as np\n\n{body}\n")
        monkeypatch.delitem(sys.modules, "own_encoder", raising=False)

    monkeypatch.syspath_prepend(tmp_path)
    yield write
    sys.modules.pop("own_encoder", None)


def test_a_hook_makes_the_states(log, hook):
    hook("def lengths(texts): return [[len(text), text.count(' ')] for text in texts]")
    asked = Settings(path=log[0], text="request", encoder="own_encoder:lengths")
    found = read_log(asked, rounds_at_a_time=700)
    texts = log[1].log["request"].to_list()
    np.testing.assert_array_equal(found.latents, [[len(one), one.count(" ")] for one in texts])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("f = 3", "must be a function, got int"),
        ("g = 3", "cannot be imported: AttributeError: module 'own_encoder' has no attribute 'f'"),
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("def f(texts): raise KeyError", "failed: KeyError"),
        ("def f(texts): return ['a'] * len(texts)", "failed: TypeError: an array of numbers is"),
        ("def f(texts): return np.ones(3)", r"must return an array of shape \(3, d\) for 3 texts"),
        ("def f(texts): return np.ones((2, 2))", r"for 3 texts, got \(2, 2\)"),
        ("def f(texts): return np.ones((3, 0))", r"for 3 texts, got \(3, 0\)"),
        ("def f(texts): return np.full((3, 2), np.nan)", "must return finite numbers"),
    ],
)
def test_a_hook_that_fails_is_told(hook, body, message):
    hook(body)
    with pytest.raises(LogError, match=f"^encoder 'own_encoder:f' .*{message}"):
        Hook("own_encoder:f")(["a", "b", "c"])


def test_a_hook_must_return_as_many_columns_each_time(hook):
    hook("def f(texts): return np.ones((len(texts), len(texts)))")
    own = Hook("own_encoder:f")
    own(["a", "b"])
    with pytest.raises(LogError, match="must return as many columns each time, got 2 and 3"):
        own(["a", "b", "c"])
    with pytest.raises(LogError, match=r"cannot be imported: ModuleNotFoundError: No module named"):
        Hook("no_such_module:f")
