"""What is asked of a log: where it is, what its columns mean, and the terms of the verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from sparseact.mistakes import checked

_UNKNOWN = "unknown key; `sparseact discover --help` explains those there are"
_TAGS = ("built-in encoder", "hook")
_HOOK = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"

# What the rewards of a state are, whatever the actions.
Baseline = Literal["linear", "squares"]
BASELINES: tuple[Baseline, ...] = get_args(Baseline)
Share = Annotated[float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Name = Annotated[str, Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Words(_Model):
    """The built-in encoder of texts: the words that they share, in a few dimensions.

    Attributes
    ----------
    dimensions : int
        d.
    seed : int
    rounds : int
        Texts that it is fitted on, at most, taken evenly over the log.
    """

    dimensions: Annotated[int, Field(ge=1, le=1000)] = 16
    seed: Seed = 0
    rounds: Annotated[int, Field(ge=2, le=10**7)] = 20_000


Encoder = Annotated[
    Annotated[Words, Tag(_TAGS[0])]
    | Annotated[str, Field(pattern=_HOOK, max_length=1000), Tag(_TAGS[1])],
    Discriminator(lambda given: _TAGS[isinstance(given, str)]),
]


class Settings(_Model):
    """Discovery on a log that is in a file.

    Attributes
    ----------
    path : str
        Parquet, CSV, JSON lines or netCDF, told by its suffix; a row a round.
    reward, actions : str
        Columns. The actions of a round are one id (an integer or a text) or several of them.
    separator : str, optional
        Of several ids in one text; None if a text is one id.
    latents : list of str, optional
        The columns of the latent state, or patterns of their names such as ``z*``. None at all, if
        the log has no state: then an action has one effect, whatever the state.
    text : str, optional
        Instead of latents: the column of the request, which ``encoder`` makes a state of.
    encoder : Words or str
        The built-in one, or ``package.module:function``: from a list of n texts to (n, d) states.
    catalogue : str, optional
        A text file with an action that is known a line: others are an error, and those that are
        never used are judged too.
    missing : {"refuse", "drop"}
        What is done about rounds without a reward or a part of their state.
    threshold, alpha, power, held_out, most, baseline, seed
        As in :func:`~sparseact.discovery.judge.discover`.
    """

    path: Name
    reward: Name = "reward"
    actions: Name = "actions"
    separator: Name | None = ";"
    latents: list[Name] | None = None
    text: Name | None = None
    encoder: Encoder = Words()
    catalogue: Name | None = None
    missing: Literal["refuse", "drop"] = "refuse"
    threshold: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    alpha: Share = 0.05
    power: Share = 0.8
    held_out: Share = 0.5
    most: Annotated[int, Field(ge=1, le=10_000)] = 50
    baseline: Baseline = "linear"
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0

    @model_validator(mode="after")
    def _columns_differ(self) -> Self:
        if (self.latents is None) == (self.text is None):
            raise ValueError(
                "give either latents (columns; none, if there is no state) or text (the column of "
                "the request)"
            )
        if self.text is None and "encoder" in self.model_fields_set:
            raise ValueError("encoder goes with text, not with latents")
        if self.reward == self.actions:
            raise ValueError(f"reward and actions are one column, {self.reward!r}")
        for column in (*(self.latents or ()), self.text):
            if column in (self.reward, self.actions):
                raise ValueError(f"column {column!r} cannot be a state: it is what is explained")
        return self


def settings_of(config: Mapping[str, Any]) -> Settings:
    """Check the section ``discover`` of a configuration, as read from YAML.

    Raises
    ------
    ConfigError
        One message that names every key at fault and says what is allowed.
    """
    return checked(Settings, config, _UNKNOWN, _allowed, "discover", _TAGS)


def _allowed(_: str) -> str:
    return "must name a function as package.module:function"
