"""The ledger of claims: criteria fixed in advance, verdicts read off the datasets.

A claim is tested by one or more *parts*. Each names a variable of an experiment's dataset, whose
95 % interval (``_low``, ``_high``) is held against a criterion: inside it the part is supported,
outside it is not, and across its edge it is inconclusive. ``holds_if`` says what the parts mean
together: ``every`` part must hold, or each part is a ``condition`` under which the claim may hold.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

if TYPE_CHECKING:
    import xarray as xr

Outcome = Literal["supported", "not supported", "inconclusive at this size"]
CONDITIONAL = "supported under a stated condition"
SUPPORTED, REFUTED, OPEN = "supported", "not supported", "inconclusive at this size"


class LedgerError(ValueError):
    """A claim cannot be read or judged; the message names it."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Criterion(_Model):
    """An open range that the statistic must lie in."""

    above: float = -math.inf
    below: float = math.inf

    @model_validator(mode="after")
    def _is_range(self) -> Self:
        if not self.above < self.below or (self.above, self.below) == (-math.inf, math.inf):
            raise ValueError("a criterion needs 'above', 'below', or both in order")
        return self

    def __str__(self) -> str:
        if self.above == -math.inf:
            return f"below {self.below:g}"
        if self.below == math.inf:
            return f"above {self.above:g}"
        return f"between {self.above:g} and {self.below:g}"

    def judge(self, low: float, high: float) -> Outcome:
        """What an interval says; an end that is NaN is not known."""
        if low >= self.below or high <= self.above:
            return "not supported"
        if math.isnan(low) or math.isnan(high):
            return "inconclusive at this size"
        if self.above < low and high < self.below:
            return "supported"
        return "inconclusive at this size"


class Part(_Model):
    """One statistic and what it must be."""

    condition: str
    variable: str
    select: dict[str, str | float]
    criterion: Criterion


class Claim(_Model):
    """One entry of the ledger."""

    id: Annotated[str, Field(pattern="^[a-z-]+$")]
    statement: str
    source: str
    experiment: str
    figure: Annotated[str, Field(pattern="^[a-z_]+$")]
    statistic: str
    evidence: str
    holds_if: Literal["every", "condition"]
    parts: Annotated[list[Part], Field(min_length=1)]

    @model_validator(mode="after")
    def _evidence_names_parts(self) -> Self:
        places = {str(i) for i in range(len(self.parts))}
        try:
            fields = {field for _, field, _, _ in string.Formatter().parse(self.evidence)}
        except ValueError:
            fields = {""}
        if not fields <= {None, *places}:
            raise ValueError(
                "evidence must be a sentence with {0}, {1}, … for the numbers of the parts"
            )
        return self


def load_claims(entries: Any) -> tuple[Claim, ...]:
    """The ledger's claims from parsed YAML.

    Raises
    ------
    LedgerError
        If an entry is malformed, naming its key, or an id comes twice.
    """
    if not isinstance(entries, list):
        raise LedgerError("the ledger must be a list of claims")
    claims = []
    for entry in entries:
        name = entry.get("id", "a claim without id") if isinstance(entry, dict) else repr(entry)
        try:
            claims.append(Claim.model_validate(entry))
        except ValidationError as error:
            first = error.errors()[0]
            where = [str(name), ".".join(str(part) for part in first["loc"]), first["msg"]]
            raise LedgerError("claim " + ": ".join(part for part in where if part)) from None
    ids = [claim.id for claim in claims]
    if len(set(ids)) != len(ids):
        twice = sorted({one for one in ids if ids.count(one) > 1})
        raise LedgerError(f"the ledger names a claim twice: {', '.join(twice)}")
    return tuple(claims)


def judge(claim: Claim, dataset: xr.Dataset) -> dict[str, Any]:
    """The verdict on a claim from its experiment's dataset, ready for JSON.

    The entry's ``value``, ``low``, ``high`` and ``criterion`` are those of its deciding part: the
    first measured part whose own verdict is the claim's; under a condition, the first supported.
    ``conditions`` names the parts that are supported.

    Raises
    ------
    LedgerError
        If the dataset lacks a variable, or a part does not select one place of it. A place that the
        study does not have is not an error: the part is inconclusive.
    """
    parts = [_judge_part(claim, part, dataset) for part in claim.parts]
    # Where a value is not known, an end of its interval may be.
    measured = [part for part in parts if {part["value"], part["low"], part["high"]} != {None}]
    outcomes = [part["verdict"] for part in parts]
    if claim.holds_if == "condition" and measured:  # a design not studied is no condition
        outcomes = [part["verdict"] for part in measured]
    combine = _every if claim.holds_if == "every" else _conditions
    verdict = combine(outcomes)
    sought = SUPPORTED if verdict == CONDITIONAL else verdict
    deciding = next((part for part in measured if part["verdict"] == sought), parts[0])
    return {
        "id": claim.id,
        "verdict": verdict,
        "statistic": claim.statistic,
        **{key: deciding[key] for key in ("value", "low", "high", "criterion")},
        "experiment": claim.experiment,
        "figure": claim.figure,
        "evidence": _skipped(dataset) or claim.evidence.format(*(numbers(one) for one in parts)),
        "statement": claim.statement,
        "source": claim.source,
        "holds_if": claim.holds_if,
        "deciding": deciding["condition"],
        "conditions": [part["condition"] for part in parts if part["verdict"] == SUPPORTED],
        "parts": parts,
    }


def _skipped(dataset: xr.Dataset) -> str:
    """Why an experiment was skipped, in a sentence; nothing if it was not."""
    why = dataset.attrs.get("skipped", "")
    return f"Not measured: {why}." if why else ""


def _every(outcomes: list[str]) -> str:
    if REFUTED in outcomes:
        return REFUTED
    return OPEN if OPEN in outcomes else SUPPORTED


def _conditions(outcomes: list[str]) -> str:
    if set(outcomes) == {SUPPORTED}:
        return SUPPORTED
    if SUPPORTED in outcomes:
        return CONDITIONAL
    return OPEN if OPEN in outcomes else REFUTED


def _judge_part(claim: Claim, part: Part, dataset: xr.Dataset) -> dict[str, Any]:
    def number(name: str) -> float:
        if name not in dataset:
            raise LedgerError(f"claim {claim.id}: {claim.experiment} has no variable {name!r}")
        dims = dataset[name].dims
        if set(part.select) != set(dims):
            raise LedgerError(
                f"claim {claim.id}: select must name one place of {name}, that is a value of each "
                f"of {list(dims)}; got {part.select}"
            )
        try:
            return float(dataset[name].sel(part.select))
        except KeyError:  # a study of other designs or sizes has no such place
            return math.nan
        except (TypeError, ValueError) as error:
            raise LedgerError(f"claim {claim.id}: cannot select {part.select}: {error}") from None

    value, low, high = (number(f"{part.variable}{end}") for end in ("", "_low", "_high"))
    return {
        "condition": part.condition,
        "verdict": part.criterion.judge(low, high),
        "variable": part.variable,
        "select": dict(part.select),
        "criterion": str(part.criterion),
        "value": _plain(value),
        "low": _plain(low),
        "high": _plain(high),
    }


def _plain(number: float) -> float | None:
    return number if math.isfinite(number) else None


def judge_all(
    claims: tuple[Claim, ...], open_experiment: Callable[[str], xr.Dataset]
) -> list[dict[str, Any]]:
    """Verdicts on all claims; ``open_experiment`` gives an experiment's dataset by name.

    Raises
    ------
    LedgerError
        As :func:`judge`, or if a claim names an experiment that there is not.
    """
    opened: dict[str, Any] = {}
    for claim in claims:
        if claim.experiment not in opened:
            try:
                opened[claim.experiment] = open_experiment(claim.experiment)
            except KeyError:
                raise LedgerError(
                    f"claim {claim.id}: experiment: there is none that is called "
                    f"{claim.experiment!r}"
                ) from None
    return [judge(claim, opened[claim.experiment]) for claim in claims]


def numbers(part: Mapping[str, Any]) -> str:
    """Estimate and interval of a part, in words fit for a sentence."""
    if part["value"] is None and part["low"] is not None:
        return f"more than {part['low']:.3f}"
    if part["value"] is None:
        return "(not measured)"
    if part["low"] is None:
        return f"{part['value']:.3g} (interval not determined)"
    return f"{part['value']:.3f} [{part['low']:.3f}, {part['high']:.3f}]"


def evidence(verdict: Mapping[str, Any]) -> list[str]:
    """One line of numbers for each part of a verdict."""
    return [
        f"{part['condition']}: {numbers(part)}, {part['verdict']} ({part['criterion']})"
        for part in verdict["parts"]
    ]
