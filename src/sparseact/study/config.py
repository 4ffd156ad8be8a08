"""The study's configuration: typed, closed, and expanded into the scenarios it asks for.

Nothing here computes; it is read while the workflow is being planned and must stay light.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sparseact.scenario import Design, Scenario, Weights
from sparseact.study.cell import Cell

# Also `sparseact.omp.Selection`, which is too heavy to import here; a test keeps them the same.
SELECTIONS = ("correlation", "whitened", "least_squares")

LARGEST = 2**31 - 1  # what the axes of a dataset can number
Positive = Annotated[int, Field(ge=1, le=LARGEST)]
Selection = Annotated[str, Field(pattern=f"^({'|'.join(SELECTIONS)})$")]


class ConfigError(ValueError):
    """The configuration cannot be used; the message names every key at fault."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RoundsRange(_Model):
    """Numbers of rounds, on a ladder shared by all scenarios.

    ``from_`` and ``to`` are multiples of the scenario's reference, a rough guess at the rounds
    needed (:attr:`sparseact.Scenario.reference_rounds`).
    """

    from_: Annotated[float, Field(gt=0, alias="from")]
    to: Annotated[float, Field(gt=0)]
    per_doubling: Annotated[int, Field(ge=1, le=64)] = 6

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.to <= self.from_:
            raise ValueError(f"'to' ({self.to:g}) must exceed 'from' ({self.from_:g})")
        return self

    def of(self, scenario: Scenario) -> tuple[int, ...]:
        """Ladder values within the range, ascending."""
        low, high = (edge * scenario.reference_rounds for edge in (self.from_, self.to))
        if high > LARGEST:
            raise ValueError(f"'to' asks for {high:.3g} rounds; at most {LARGEST} are possible")
        rungs = range(
            max(0, math.floor(math.log2(max(low, 1)) * self.per_doubling)),
            math.ceil(math.log2(max(high, 1)) * self.per_doubling) + 1,
        )
        ladder = {round(2 ** (rung / self.per_doubling)) for rung in rungs}
        return tuple(sorted(n for n in ladder if low <= n <= high))


class Grid(_Model):
    """A cross of scenarios of one design."""

    design: Design
    n_actions: Annotated[list[Positive], Field(min_length=1)]
    sparsity: Annotated[list[Positive], Field(min_length=1)]
    latent_dim: Annotated[list[Positive], Field(min_length=1)]
    actions_per_round: Positive | None = None
    actions_share: Annotated[float, Field(gt=0, le=1)] | None = None
    rounds: RoundsRange | None = None
    n_rounds: Annotated[list[Positive], Field(min_length=1)] | None = None
    trials: Positive | None = None
    selection: Annotated[list[Selection], Field(min_length=1)] = ["correlation"]

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        given = (self.actions_per_round is not None) + (self.actions_share is not None)
        if self.design == "multi" and given != 1:
            raise ValueError("design 'multi' needs either actions_per_round or actions_share")
        if self.design != "multi" and given:
            raise ValueError(f"actions_per_round and actions_share do not go with {self.design!r}")
        if (self.rounds is None) == (self.n_rounds is None):
            raise ValueError("give either rounds (a range) or n_rounds (a list)")
        for axis in ("n_actions", "sparsity", "latent_dim", "n_rounds", "selection"):
            values = getattr(self, axis) or []
            if len(set(values)) != len(values):
                raise ValueError(f"{axis} names a value twice: {values}")
        return self

    @property
    def label(self) -> str:
        """What the dataset's ``design`` axis calls it."""
        if self.actions_share is not None:
            return f"multi B={self.actions_share:.3%}".replace(".000%", "%").replace("%", "% of M")
        if self.actions_per_round is not None:
            return f"multi B={self.actions_per_round}"
        return self.design


class PhaseTransition(_Model):
    """Where is recovery possible?"""

    signal: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    noise_std: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    weights: Weights
    grids: Annotated[list[Grid], Field(min_length=1)]


class ScalingLaw(_Model):
    """Which law do the rounds needed follow?"""

    quantiles: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)]
    bootstrap: Annotated[int, Field(ge=20, le=10_000)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.quantiles)) != len(self.quantiles):
            raise ValueError(f"quantiles names a value twice: {self.quantiles}")
        return self


class Experiments(_Model):
    """The experiments, each with its own keys."""

    phase_transition: PhaseTransition
    scaling_law: ScalingLaw


class Study(_Model):
    """The whole configuration."""

    label: Annotated[str, Field(pattern=r"^[a-z0-9-]{0,40}$")]
    seed: Annotated[int, Field(ge=0)]
    trials: Positive
    experiments: Experiments

    def cells(self) -> tuple[Cell, ...]:
        """Every scenario of ``phase_transition`` with its rounds, trials and selection rules."""
        return tuple(self._expand())

    def _expand(self) -> Iterator[Cell]:
        experiment = self.experiments.phase_transition
        seen: dict[tuple[Any, ...], str] = {}
        for index, grid in enumerate(experiment.grids):
            key = f"experiments.phase_transition.grids[{index}]"
            for scenario in self._scenarios(experiment, grid, key):
                n_rounds = _rounds(grid, scenario, key)
                for selection in grid.selection:
                    place = (scenario.name, selection)
                    if place in seen:
                        raise ConfigError(
                            f"{key} asks for {scenario.name} with selection {selection!r} again; "
                            f"{seen[place]} has it already"
                        )
                    seen[place] = key
                    yield Cell(
                        grid.label, scenario, selection, n_rounds, grid.trials or self.trials
                    )

    @staticmethod
    def _scenarios(experiment: PhaseTransition, grid: Grid, key: str) -> Iterator[Scenario]:
        for M in grid.n_actions:
            for k in grid.sparsity:
                for d in grid.latent_dim:
                    if grid.actions_share is not None:
                        per_round = max(1, round(grid.actions_share * M))
                    else:
                        per_round = grid.actions_per_round or 1
                    try:
                        yield Scenario(
                            design=grid.design,
                            n_actions=M,
                            sparsity=k,
                            latent_dim=d,
                            actions_per_round=per_round,
                            signal=experiment.signal,
                            noise_std=experiment.noise_std,
                            weights=experiment.weights,
                        )
                    except ValueError as error:
                        raise ConfigError(f"{key}: {error}") from None


def load_study(config: Mapping[str, Any]) -> Study:
    """Check a configuration as read from YAML.

    Raises
    ------
    ConfigError
        One message that names every key at fault and says what is allowed.
    """
    try:
        study = Study.model_validate(dict(config))
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(one) for one in error.errors())) from None
    study.cells()
    return study


def _rounds(grid: Grid, scenario: Scenario, key: str) -> tuple[int, ...]:
    least = scenario.sparsity * scenario.latent_dim
    if grid.n_rounds is not None:
        n_rounds, key = tuple(sorted(grid.n_rounds)), f"{key}.n_rounds"
    else:
        assert grid.rounds is not None
        key = f"{key}.rounds"
        try:
            n_rounds = grid.rounds.of(scenario)
        except ValueError as error:
            raise ConfigError(f"{key}: {error}") from None
        if not n_rounds:
            raise ConfigError(f"{key} holds no number of rounds for {scenario.name}; widen it")
    if len(n_rounds) < 3:
        raise ConfigError(
            f"{key} gives {scenario.name} the numbers of rounds {list(n_rounds)}; a recovery curve "
            "needs at least 3"
        )
    if n_rounds[0] < least:
        raise ConfigError(
            f"{key} asks for T={n_rounds[0]} rounds of {scenario.name}, too few to fit "
            f"k·d = {least} weights; T must be at least {least}"
            + (
                ""
                if grid.n_rounds
                else f", 'from' at least {least / scenario.reference_rounds:.3g}"
            )
        )
    return n_rounds


def _explain(error: Any) -> str:
    path = ""
    for part in error["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    if error["type"] == "extra_forbidden":
        return f"{path}: unknown key; config/README.md lists the keys there are"
    if error["type"] == "missing":
        return f"{path}: this key is required"
    if error["type"] in ("model_type", "dict_type"):
        return f"{path}: must be a section with keys of its own"
    if error["type"] == "string_pattern_mismatch":
        allowed = (
            "may hold only a-z, 0-9 and -, at most 40 of them"
            if path == "label"
            else f"must be one of {', '.join(SELECTIONS)}"
        )
        return f"{path}: {allowed} (got {error['input']!r})"
    message = error["msg"].removeprefix("Value error, ")
    given = error["input"]
    shown = "" if isinstance(given, dict | list) and given else f" (got {given!r})"
    return f"{path}: {message}{shown}"


def schema() -> str:
    """JSON schema of the configuration, for editors and for ``workflow/schemas``."""
    return json.dumps(Study.model_json_schema(by_alias=True), indent=2) + "\n"


if __name__ == "__main__":
    print(schema(), end="")
