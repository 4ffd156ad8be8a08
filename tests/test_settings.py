"""Settings of discovery: closed, and every mistake named by its key."""

import inspect

import pytest

from sparseact.discovery import discover
from sparseact.discovery.settings import Settings, settings_of
from sparseact.mistakes import ConfigError

GOOD = {"path": "log.csv", "latents": ["z*"]}
TEXT = {"path": "log.csv", "text": "request"}


def test_settings_have_the_defaults_of_discover():
    found = settings_of(GOOD)
    assert found == Settings(**GOOD)
    parameters = inspect.signature(discover).parameters
    shared = parameters.keys() & Settings.model_fields.keys()
    assert shared == {"threshold", "alpha", "power", "held_out", "most", "baseline", "seed"}
    for name in shared:
        assert getattr(found, name) == parameters[name].default


def test_an_encoder_is_the_built_in_one_or_a_hook():
    assert settings_of(TEXT).encoder.dimensions == 16
    assert settings_of(TEXT | {"encoder": {"dimensions": 3}}).encoder.dimensions == 3
    assert settings_of(TEXT | {"encoder": "a.b:c"}).encoder == "a.b:c"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"latents": ["z"]}, "discover.path: this key is required"),
        (
            GOOD | {"thresold": 1.0},
            "discover.thresold: unknown key; `sparseact discover --help` explains those there are",
        ),
        (
            GOOD | {3: 4},
            "discover.3: unknown key; `sparseact discover --help` explains those there are",
        ),
        (
            {"path": "a"},
            "discover: give either latents (columns; none, if there is no state) or text (the "
            "column of the request)",
        ),
        (
            GOOD | TEXT,
            "discover: give either latents (columns; none, if there is no state) or text (the "
            "column of the request)",
        ),
        (GOOD | {"encoder": "a:b"}, "discover: encoder goes with text, not with latents"),
        (
            GOOD | {"reward": "actions"},
            "discover: reward and actions are one column, 'actions'",
        ),
        (
            GOOD | {"latents": ["z", "reward"]},
            "discover: column 'reward' cannot be a state: it is what is explained",
        ),
        (GOOD | {"latents": "z*"}, "discover.latents: must be a valid list (got 'z*')"),
        (GOOD | {"alpha": 1}, "discover.alpha: must be less than 1 (got 1)"),
        (GOOD | {"most": 0}, "discover.most: must be greater than or equal to 1 (got 0)"),
        (
            TEXT | {"encoder": "embed"},
            "discover.encoder: must name a function as package.module:function (got 'embed')",
        ),
        (
            TEXT | {"encoder": {"dimension": 2}},
            "discover.encoder.dimension: unknown key; `sparseact discover --help` explains those "
            "there are",
        ),
        (
            TEXT | {"encoder": {"seed": -1}},
            "discover.encoder.seed: must be greater than or equal to 0 (got -1)",
        ),
        (TEXT | {"encoder": 5}, "discover.encoder: must be a section with keys of its own"),
        (["a"], "discover: must be a section with keys of its own"),
    ],
)
def test_a_mistake_is_named_by_its_key(config, message):
    with pytest.raises(ConfigError) as error:
        settings_of(config)
    assert str(error.value) == message


def test_every_mistake_is_told():
    with pytest.raises(ConfigError) as error:
        settings_of(GOOD | {"threshold": -1.0, "held_out": 0.0, "seed": 1.5})
    told = str(error.value).splitlines()
    assert [line.partition(":")[0] for line in told] == [
        "discover.threshold",
        "discover.held_out",
        "discover.seed",
    ]
