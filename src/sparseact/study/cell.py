"""A cell: one point of an experiment's grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sparseact.scenario import Scenario


@dataclass(frozen=True)
class Cell:
    """One scenario of an experiment, and what is done with it."""

    label: str
    scenario: Scenario
    selection: str
    n_rounds: tuple[int, ...]
    trials: int

    @property
    def name(self) -> str:
        """A file name that tells scenario and selection rule."""
        return f"{self.scenario.name}_{self.selection}"

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """What :func:`dataclasses.asdict` took apart."""
        return cls(**{**fields, "scenario": Scenario(**fields["scenario"])})
