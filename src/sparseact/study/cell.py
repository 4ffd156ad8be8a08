"""A cell: one point of an experiment's grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from sparseact.scenario import Scenario
from sparseact.study.variables import KINDS

if TYPE_CHECKING:
    import numpy.typing as npt

# The method that is the group lasso with its penalty chosen with the truth at hand.
ORACLE = "oracle_group_lasso"


@dataclass(frozen=True)
class Cell:
    """One scenario of an experiment, and what is done with it, in trials ``first`` and on."""

    label: str
    scenario: Scenario
    selection: str
    n_rounds: tuple[int, ...]
    trials: int
    first: int = 0

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that can differ between cells, but for rounds and trials."""
        settings = {**asdict(self.scenario), "selection": self.selection}
        if self.scenario.design != "multi":  # there it is the design's, not anybody's choice
            del settings["actions_per_round"]
        return settings

    @property
    def name(self) -> str:
        """A file name that tells scenario and selection rule."""
        return f"{self.scenario.name}_{self.selection}"

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """What :func:`dataclasses.asdict` took apart."""
        scenario = Scenario(**fields["scenario"])
        return cls(**{**fields, "scenario": scenario, "n_rounds": tuple(fields["n_rounds"])})

    def pieces(self, size: int | None) -> tuple[Self, ...]:
        """The cell in pieces of ``size`` trials, the last one of what is left; whole if None."""
        if size is None:
            return (self,)
        return tuple(
            replace(self, first=first, trials=min(size, self.trials - first))
            for first in range(0, self.trials, size)
        )

    def cut(self, arrays: Mapping[str, npt.NDArray[Any]], kind: str) -> dict[str, Any]:
        """Keep the trials and rounds of the cell, of a dataset that may hold more of both."""
        import numpy as np

        kept: dict[str, Any] = {"trial": slice(self.trials)}
        if "n_rounds" in arrays:
            kept["n_rounds"] = np.searchsorted(arrays["n_rounds"], self.n_rounds)
        return {
            name: values[_place(KINDS[kind].variables[name], kept)]
            for name, values in arrays.items()
        }


def joined(
    pieces: Sequence[Mapping[str, npt.NDArray[Any]]], kind: str
) -> dict[str, npt.NDArray[Any]]:
    """Datasets of a kind that hold the trials of one cell in pieces, as one."""
    import numpy as np

    return {
        name: np.concatenate([piece[name] for piece in pieces])
        if KINDS[kind].variables[name][0] == "trial"
        else values
        for name, values in pieces[0].items()
    }


def _place(dims: tuple[str, ...], kept: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(kept.get(dim, slice(None)) for dim in dims)


def shared(cells: Iterable[Cell]) -> dict[str, Any]:
    """Settings that are the same in all of some cells."""
    first, *rest = (cell.settings for cell in cells)
    return {
        name: value for name, value in first.items() if all(one.get(name) == value for one in rest)
    }


def merged(cells: Iterable[Cell], *, by_selection: bool = True) -> dict[str, Cell]:
    """Cells by name, each with the rounds and trials that all who share it ask for.

    Names are those of scenarios unless ``by_selection``. What differs between cells that share a
    name is left empty, so that none of them moves the others' result.
    """
    together: dict[str, Cell] = {}
    for cell in cells:
        name = cell.name if by_selection else cell.scenario.name
        known = together.get(name, cell)
        together[name] = replace(
            known,
            label="",
            selection=cell.selection if by_selection else "",
            n_rounds=tuple(sorted({*known.n_rounds, *cell.n_rounds})),
            trials=max(known.trials, cell.trials),
        )
    return together
