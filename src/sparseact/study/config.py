"""The study's configuration: typed, closed, and expanded into the scenarios it asks for.

What it accepts can be run: what no ordinary machine could hold is refused too, by an estimate of
what the largest job of a scenario keeps in memory (:meth:`Experiment.memory`).

Nothing here computes; it is read while the workflow is being planned and must stay light.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from sparseact.arguments import MOST_ACTIONS
from sparseact.catalogue.sets import SetName
from sparseact.discovery.settings import Settings
from sparseact.mistakes import ConfigError, checked, shown
from sparseact.scenario import (
    STEEPEST,
    Departure,
    Design,
    Policy,
    Scenario,
    Structure,
    Tail,
    Weights,
)
from sparseact.study.cell import ORACLE, Cell, merged
from sparseact.study.volatile import VOLATILE

# Also `sparseact.rules.Selection`, which is too heavy to import here; a test keeps them the same.
SELECTIONS = ("correlation", "whitened", "least_squares")
# Also the names of `sparseact.rivals.RIVALS`, likewise.
RIVALS = (
    "group_lasso",
    "scalar_omp",
    "screening",
    "subspace_pursuit",
    "best_subset",
    "ridge",
)
METHODS = (*SELECTIONS, *RIVALS, ORACLE)

LARGEST = 2**31 - 1  # what the axes of a dataset can number
MOST_SUPPORTS = 100_000  # also `sparseact.bounds.MOST_SUPPORTS`
MOST_CELLS = 5_000  # of an experiment: more jobs than a workflow manager plans in minutes
MOST_MEMORY = 8 * 2**30  # bytes that a job may keep
MOST_EVIDENCE = 1e12  # of the 1e16 that doubles tell from 1
Positive = Annotated[int, Field(ge=1, le=LARGEST)]
NActions = Annotated[int, Field(ge=1, le=MOST_ACTIONS)]
NotNegative = Annotated[int, Field(ge=0, le=LARGEST)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]  # an attribute of every dataset


def _not_tiny(value: float) -> float:
    if 0 < value < 1e-9:
        raise ValueError("must not be closer to 0 than 1e-9")
    return value


# Powers of signal, noise and their ratio stay far from where doubles end.
Signal = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False), AfterValidator(_not_tiny)]
NoiseStd = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False), AfterValidator(_not_tiny)]
# Latent states are stored in single precision.
ConditionNumber = Annotated[float, Field(ge=1, le=1e12, allow_inf_nan=False)]
Strength = Annotated[float, Field(ge=0, le=1)]
DepartureSize = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PolicyLevel = Annotated[float, Field(ge=0, le=STEEPEST)]
TailEnergy = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False), AfterValidator(_not_tiny)]
Some = Field(min_length=1, max_length=1000)
Method = Annotated[str, Field(pattern=f"^({'|'.join(METHODS)})$")]
Setting = Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9 .,=-]{0,39}$")]


def _not_a_folder_of_another(label: str) -> str:
    if label == VOLATILE:
        raise ValueError("is where a study without a label keeps what no two runs share")
    return label


_UNKNOWN = "unknown key; config/README.md lists the keys there are"


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


class Scarce(_Model):
    """One relevant action is held back for ``after`` rounds, then used in every round."""

    after: Positive
    coverage: Annotated[list[NotNegative], Some]


class Grid(_Model):
    """A cross of scenarios of one design."""

    design: Design
    n_actions: Annotated[list[NActions], Some]
    sparsity: Annotated[list[Positive], Some]
    latent_dim: Annotated[list[Positive], Some]
    actions_per_round: Positive | None = None
    actions_share: Annotated[float, Field(gt=0, le=1)] | None = None
    noise_std: Annotated[list[NoiseStd], Some] | None = None
    weights: Weights | None = None
    condition_number: Annotated[list[ConditionNumber], Some] = [1.0]
    structure: Structure = "independent"
    strength: Annotated[list[Strength], Some] = [0.0]
    departure: Departure = "none"
    departure_size: Annotated[list[DepartureSize], Some] = [0.0]
    policy: Policy = "uniform"
    policy_level: Annotated[list[PolicyLevel], Some] = [0.0]
    tail: Tail = "none"
    tail_energy: Annotated[list[TailEnergy], Some] = [0.0]
    arrives_after: Annotated[list[NotNegative], Some] = [0]
    rounds: RoundsRange | None = None
    since_arrival: Annotated[list[Positive], Some] | None = None
    n_rounds: Annotated[list[Positive], Some] | None = None
    scarce: Scarce | None = None
    trials: Positive | None = None
    setting: Setting | None = None
    selection: Annotated[list[Method], Some] = ["correlation"]

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        given = (self.actions_per_round is not None) + (self.actions_share is not None)
        if self.design == "multi" and given != 1:
            raise ValueError("design 'multi' needs either actions_per_round or actions_share")
        if self.design != "multi" and given:
            raise ValueError(f"actions_per_round and actions_share do not go with {self.design!r}")
        lengths = (self.rounds, self.n_rounds, self.scarce, self.since_arrival)
        if sum(one is not None for one in lengths) != 1:
            raise ValueError(
                "give either rounds (a range), n_rounds (a list) or one of scarce, since_arrival"
            )
        for axis in (*_AXES, "n_rounds", "since_arrival", "selection"):
            values = getattr(self, axis) or []
            if len(set(values)) != len(values):
                raise ValueError(f"{axis} names a value twice: {shown(values)}")
        return self

    @property
    def size(self) -> int:
        """Number of points of the cross."""
        axes = (getattr(self, axis) or [None] for axis in (*_AXES, "selection"))
        return math.prod(len(values) for values in axes)


# What scenarios of a few experiments are told by, and what it is in all others.
_KINDS = {"departure": "none", "policy": "uniform", "tail": "none"}
# What a grid is a cross of.
_AXES = (
    "n_actions",
    "sparsity",
    "latent_dim",
    "noise_std",
    "condition_number",
    "strength",
    "departure_size",
    "policy_level",
    "tail_energy",
    "arrives_after",
)


class Experiment(_Model):
    """What every experiment on a grid has."""

    grids: Annotated[list[Grid], Some]

    # What may differ between its scenarios: the axes of its dataset have no place for more.
    varies: ClassVar[frozenset[str]] = frozenset()
    # Whether the fewest rounds must be enough to determine k·d weights.
    fits_weights: ClassVar[bool] = True
    # Whether what it measures is relative to the noise.
    needs_noise: ClassVar[bool] = False
    methods: ClassVar[tuple[str, ...]] = SELECTIONS
    # Whether its grids have names of their own.
    by_setting: ClassVar[bool] = False

    def check(self, cells: Sequence[Cell]) -> None:
        """Raise a ValueError if the cells do not go together."""

    def taken(self, stage: str, cell: Cell) -> Cell | None:
        """What a stage works on of a cell: all of it, fewer trials, or None of it."""
        return cell

    def memory(self, cell: Cell, study: Study) -> dict[str, int]:
        """Bytes of what the jobs of a cell keep, by what it is.

        No more than an estimate from above, of all that grows with the configuration.
        """
        one, T, p, N = cell.scenario, cell.n_rounds[-1], len(cell.n_rounds), cell.trials
        M, k, d, B = one.n_actions, one.sparsity, one.latent_dim, one.actions_per_round
        stored = -(-M // 8) if one.design == "signed" else 4 * B
        at_once = min(N, study.trials_per_job or N)
        # As ids of eight bytes; and what a greedy policy keeps of each action.
        drawn = 0 if one.policy == "uniform" else 24 * B
        running = 24 * at_once * M * d * (d + 2) if one.policy == "greedy" else 0
        tail = 16 * M * d if one.tail != "none" else 0
        whitening = d if cell.selection in ("whitened", "least_squares") else 1
        return {
            "the logs of a job": at_once * (T * (2 * (stored + 4 * d + 8) + drawn) + tail),
            "the running estimates": running,
            "the design of a trial": 24 * T * (min(M, 20 * B) + d),
            "the residuals of a trial": 16 * p * T * (k * d + 4),
            "the correlations of a trial": 32 * p * M * d * whitening,
            "the selected actions": N * p * k * (8 + k),
            "the bootstrap": 24 * study.bootstrap * N,
        }


def _fewer(cell: Cell, trials: int) -> Cell:
    """The first trials of a cell."""
    return replace(cell, trials=min(cell.trials, trials))


def _grams(cell: Cell) -> dict[str, int]:
    """Ψ of a trial, and its Gram matrix after every number of rounds."""
    width = cell.scenario.n_actions * cell.scenario.latent_dim
    numbers = width * (cell.n_rounds[-1] + len(cell.n_rounds) * width)
    return {"the Gram matrices of a trial": 24 * numbers}


def _decisions(cell: Cell, study: Study, states: int) -> dict[str, int]:
    """Every state is held against all that was selected, and all that has an effect."""
    one, path = cell.scenario, len(cell.n_rounds) * (cell.scenario.sparsity + 1)
    effects = one.sparsity if one.tail == "none" else one.n_actions
    return {
        "the decisions of a trial": 16 * states * (2 * one.latent_dim + effects + 4),
        "the regret of all trials": 8 * path * (2 * cell.trials + study.bootstrap),
    }


class PhaseTransition(Experiment):
    """Where is recovery possible? And, from it, which law do the rounds needed follow?"""

    varies: ClassVar[frozenset[str]] = frozenset(
        {"design", "actions_per_round", "n_actions", "sparsity", "latent_dim", "selection"}
    )

    def check(self, cells: Sequence[Cell]) -> None:
        """Laws are fitted to the rounds that the paper's rule needs."""
        if all(cell.selection != "correlation" for cell in cells):
            raise ValueError("one of them needs selection 'correlation', for the scaling laws")
        if any(cell.scenario.n_actions == 1 for cell in cells):
            raise ValueError("n_actions must be at least 2, for laws in log M")

    def memory(self, cell: Cell, study: Study) -> dict[str, int]:
        """Recovery is counted at every coverage that occurs."""
        coverages = min(cell.n_rounds[-1], cell.trials * len(cell.n_rounds))
        counts = 16 * coverages * (2 * cell.trials + study.bootstrap)
        return super().memory(cell, study) | {"outcomes by coverage": counts}


class SignalStrength(Experiment):
    """How do signal and noise set the rounds needed?"""

    varies: ClassVar[frozenset[str]] = frozenset({"noise_std"})
    needs_noise: ClassVar[bool] = True


class Coverage(Experiment):
    """How often must a relevant action have been used?"""

    varies: ClassVar[frozenset[str]] = frozenset(
        {"design", "actions_per_round", "scarce_after", "selection"}
    )

    @model_validator(mode="after")
    def _has_a_scarce_action(self) -> Self:
        if any(grid.scarce is None for grid in self.grids):
            raise ValueError("grids of the coverage experiment need 'scarce'")
        return self


class Coherence(Experiment):
    """How does recovery degrade as actions come to resemble each other?"""

    varies: ClassVar[frozenset[str]] = frozenset({"structure", "strength", "weights", "selection"})
    methods: ClassVar[tuple[str, ...]] = (*SELECTIONS, ORACLE)

    def check(self, cells: Sequence[Cell]) -> None:
        """The rival is compared with Block-OMP on the same logs, and the dataset holds one rule."""
        rules = sorted({cell.selection for cell in cells} & {*SELECTIONS})
        if len(rules) > 1:
            raise ValueError(f"selection must be one rule of Block-OMP in all of it, got {rules}")
        greedy = {cell.scenario: cell for cell in cells if cell.selection in SELECTIONS}
        for cell in cells:
            same = greedy.get(cell.scenario)
            if same is None or cell.trials > same.trials or {*cell.n_rounds} - {*same.n_rounds}:
                raise ValueError(
                    f"{cell.name} has trials or rounds that no selection rule of Block-OMP has for "
                    "the same scenario"
                )

    def taken(self, stage: str, cell: Cell) -> Cell | None:
        """The rival goes its own way, and coherence is measured in some trials."""
        if (stage == "rival") != (cell.selection == ORACLE):
            return None
        return _fewer(cell, self.measured_trials) if stage == "diagnose" else cell

    def memory(self, cell: Cell, study: Study) -> dict[str, int]:
        """Mutual coherence compares all columns of Ψ, some thousand rounds at a time."""
        width = cell.scenario.n_actions * cell.scenario.latent_dim
        compared = 100 * width * (width + 1024)
        return super().memory(cell, study) | {"the coherence of a trial": compared}

    # Trials in which the coherence itself is measured; it varies far less than recovery does.
    measured_trials: Positive


class RefitError(Experiment):
    """Does the refit reach the oracle's error, and do its intervals cover?"""

    varies: ClassVar[frozenset[str]] = frozenset({"condition_number"})
    needs_noise: ClassVar[bool] = True


class DecisionRegret(Experiment):
    """Are decisions built on the refit near-optimal on new latent states?"""

    states: Annotated[int, Field(ge=100, le=10**7)]

    def memory(self, cell: Cell, study: Study) -> dict[str, int]:
        """Every state is held against all that was selected."""
        return super().memory(cell, study) | _decisions(cell, study, self.states)


class LoggingPolicy(Experiment):
    """What do unequal and exploiting logs do to discovery?"""

    # Trials in which decisions, intervals and coherence are judged, which vary less than recovery.
    judged_trials: Positive

    judged_selection: ClassVar[str] = "whitened"
    varies: ClassVar[frozenset[str]] = frozenset(
        {"design", "actions_per_round", "policy", "policy_level", "selection"}
    )
    needs_noise: ClassVar[bool] = True

    def check(self, cells: Sequence[Cell]) -> None:
        """Logs are held against the uniform one, which has a place of its own."""
        if any(cell.scenario.design == "signed" for cell in cells):
            raise ValueError("design must be single or multi: signed rounds choose no actions")
        plain = {(one.label, one.selection) for one in cells if one.scenario.policy == "uniform"}
        for cell in cells:
            if (cell.label, cell.selection) not in plain:
                raise ValueError(
                    f"{cell.name} needs the same design and selection with policy 'uniform' too"
                )

    def taken(self, stage: str, cell: Cell) -> Cell | None:
        """One rule is judged, in some trials."""
        if stage in ("simulate", "recover"):
            return cell
        judged = cell.selection == self.judged_selection
        return _fewer(cell, self.judged_trials) if judged else None

    def memory(self, cell: Cell, study: Study) -> dict[str, int]:
        """Decisions and coherence are judged as in the experiments on them."""
        others = (study.experiments.decision_regret, study.experiments.coherence)
        return others[0].memory(cell, study) | others[1].memory(cell, study)


class LowerBounds(Experiment):
    """How far is greedy from the best that any method can do?"""

    fits_weights: ClassVar[bool] = False
    varies: ClassVar[frozenset[str]] = frozenset({"n_actions", "sparsity", "latent_dim"})
    needs_noise: ClassVar[bool] = True

    @model_validator(mode="after")
    def _can_be_enumerated(self) -> Self:
        for grid in self.grids:
            if grid.weights != "gaussian":
                raise ValueError("grids of lower_bounds need 'weights: gaussian', the prior")
            for M, k in itertools.product(grid.n_actions, grid.sparsity):
                if k <= M and n_supports(M, k) > MOST_SUPPORTS:
                    raise ValueError(
                        f"n_actions M={M} with sparsity k={k} has {n_supports(M, k):g} supports; "
                        f"all are enumerated, so at most {MOST_SUPPORTS} are possible, also of "
                        "fewer actions"
                    )
        return self

    def check(self, cells: Sequence[Cell]) -> None:
        """Evidence is a difference of numbers as large as the rewards' energy over the noise's."""
        for cell in cells:
            one, T = cell.scenario, cell.n_rounds[-1]
            if (one.signal / one.noise_std) ** 2 * T > MOST_EVIDENCE:
                raise ValueError(
                    f"noise_std={one.noise_std:g} of {cell.name} is too small: T (b/σ)² must not "
                    f"exceed {MOST_EVIDENCE:g}, beyond which rounding hides the evidence"
                )

    def memory(self, cell: Cell, study: Study) -> dict[str, int]:
        """Every support has an evidence after every number of rounds."""
        one, p = cell.scenario, len(cell.n_rounds)
        n = max(one.n_actions**2, int(n_supports(one.n_actions, one.sparsity)))
        evidence = 8 * n * (10 * one.latent_dim**2 + 6 * (one.sparsity + p))
        return super().memory(cell, study) | _grams(cell) | {"the posterior": evidence}


class SparsityNecessity(Experiment):
    """What if nothing is sparse?"""

    relative_error: Annotated[float, Field(gt=0, lt=1)]

    fits_weights: ClassVar[bool] = False
    varies: ClassVar[frozenset[str]] = frozenset({"n_actions", "sparsity"})
    needs_noise: ClassVar[bool] = True

    def memory(self, cell: Cell, study: Study) -> dict[str, int]:
        """Estimates without sparsity take all columns of Ψ."""
        return super().memory(cell, study) | _grams(cell)


class Stopping(Experiment):
    """How well do stopping rules replace a known k?"""

    varies: ClassVar[frozenset[str]] = frozenset({"design", "actions_per_round", "noise_std"})
    needs_noise: ClassVar[bool] = True

    alpha: Annotated[float, Field(gt=0, lt=1)]
    improvement: Annotated[float, Field(ge=0, lt=1)]
    folds: Annotated[int, Field(ge=2, le=100)]
    most_actions: Positive

    def check(self, cells: Sequence[Cell]) -> None:
        """Paths have room for all relevant actions, and logs for the folds and the path."""
        for cell in cells:
            one, T = cell.scenario, cell.n_rounds[0]
            if not one.sparsity <= self.most_actions <= one.n_actions:
                raise ValueError(
                    f"most_actions={self.most_actions} must lie between sparsity k={one.sparsity} "
                    f"and n_actions M={one.n_actions} of {cell.name}"
                )
            outside = T - -(-T // self.folds)
            if outside < self.most_actions * one.latent_dim:
                raise ValueError(
                    f"T={T} rounds of {cell.name} leave {outside} outside a fold, too few for the "
                    f"weights of most_actions={self.most_actions} actions"
                )

    def memory(self, cell: Cell, study: Study) -> dict[str, int]:
        """Paths go on beyond k."""
        p = len(cell.n_rounds)
        path = 16 * p * cell.n_rounds[-1] * self.most_actions * cell.scenario.latent_dim
        return super().memory(cell, study) | {
            "the residuals of a path": path,
            "what rules keep": 8 * 9 * cell.trials * p,
        }


class DynamicActions(Experiment):
    """How soon is a relevant action found that appears later, incrementally?"""

    varies: ClassVar[frozenset[str]] = frozenset({"arrives_after", "selection"})

    @model_validator(mode="after")
    def _counts_since_arrival(self) -> Self:
        if any(grid.since_arrival is None for grid in self.grids):
            raise ValueError("grids of the dynamic_actions experiment need 'since_arrival'")
        return self

    def check(self, cells: Sequence[Cell]) -> None:
        """Every rule's rounds are compared with those it needs from the start."""
        if any(cell.scenario.design != "signed" for cell in cells):
            raise ValueError("design must be 'signed'")
        for selection in dict.fromkeys(cell.selection for cell in cells):
            arrivals = [c.scenario.arrives_after for c in cells if c.selection == selection]
            if 0 not in arrivals:
                raise ValueError(
                    f"arrives_after must be 0 in one of them with selection {selection!r}, for "
                    "comparison"
                )

    def memory(self, cell: Cell, study: Study) -> dict[str, int]:
        """A stream keeps its rounds, and products of what it collected with all actions."""
        one, T = cell.scenario, cell.n_rounds[-1]
        width = one.n_actions * one.latent_dim
        return super().memory(cell, study) | {
            "the rounds of a stream": 24 * T * (one.n_actions + one.latent_dim),
            "the products of a stream": 24 * width * width,
        }


class Robustness(Experiment):
    """Which assumption hurts first where it fails?"""

    varies: ClassVar[frozenset[str]] = frozenset({"departure", "departure_size"})
    needs_noise: ClassVar[bool] = True

    def check(self, cells: Sequence[Cell]) -> None:
        """Everything is compared with the ideal, and the theory beside it is of signed logs."""
        if all(cell.scenario.departure != "none" for cell in cells):
            raise ValueError("one of them must have no departure, for comparison")
        if any(cell.scenario.design != "signed" for cell in cells):
            raise ValueError("design must be 'signed'")


class ApproximateSparsity(Experiment):
    """What if all other actions have small effects?"""

    # Trials in which decisions and ridge are judged; they vary less than recovery does.
    judged_trials: Annotated[int, Field(ge=2, le=LARGEST)]

    varies: ClassVar[frozenset[str]] = frozenset({"tail", "tail_energy"})
    needs_noise: ClassVar[bool] = True

    @model_validator(mode="after")
    def _has_a_tail(self) -> Self:
        if any(grid.tail == "none" for grid in self.grids):
            raise ValueError("grids of approximate_sparsity need 'tail: flat' or 'tail: power'")
        return self

    def taken(self, stage: str, cell: Cell) -> Cell | None:
        """Decisions and ridge are judged in some trials."""
        return _fewer(cell, self.judged_trials) if stage in ("dense", "decide") else cell

    def memory(self, cell: Cell, study: Study) -> dict[str, int]:
        """Decisions as of `decision_regret`, and estimates without sparsity."""
        states = study.experiments.decision_regret.states
        decisions = _decisions(cell, study, states)
        return super().memory(cell, study) | decisions | _grams(cell)


class Methods(Experiment):
    """What would people use instead of Block-OMP, and is it better?"""

    # Fresh latent states a trial, on which decisions are judged.
    states: Annotated[int, Field(ge=100, le=10**7)]

    varies: ClassVar[frozenset[str]] = frozenset(
        {
            "design",
            "actions_per_round",
            "n_actions",
            "sparsity",
            "latent_dim",
            "noise_std",
            "weights",
            "structure",
            "strength",
            "policy",
            "policy_level",
            "selection",
        }
    )
    methods: ClassVar[tuple[str, ...]] = (*SELECTIONS, *RIVALS)
    by_setting: ClassVar[bool] = True

    def check(self, cells: Sequence[Cell]) -> None:
        """All methods of a setting see the same logs, and the paper's rule is among them."""
        papers = {cell.label: cell for cell in cells if cell.selection == "correlation"}
        for cell in cells:
            paper = papers.get(cell.label)
            if paper is None:
                raise ValueError(
                    f"setting {cell.label!r} needs selection 'correlation' too, for comparison"
                )
            if replace(cell, selection=paper.selection) != paper:
                raise ValueError(
                    f"setting {cell.label!r} must be one scenario, with the same rounds and trials "
                    f"for all methods; {cell.selection!r} or 'correlation' has others"
                )

    def memory(self, cell: Cell, study: Study) -> dict[str, int]:
        """Rivals take all columns of Ψ, their Gram matrix, or every support there is."""
        one = cell.scenario
        width = one.n_actions * one.latent_dim
        asked = super().memory(cell, study) | _decisions(cell, study, self.states)
        asked["Ψ and its Gram matrix"] = 40 * width * (width + cell.n_rounds[-1])
        n = n_supports(one.n_actions, one.sparsity)
        if cell.selection == "best_subset" and n <= MOST_SUPPORTS:
            largest = max(one.n_actions**2, int(n))
            asked["all supports"] = 8 * largest * (10 * one.latent_dim**2 + 6 * one.sparsity)
        return asked


class Experiments(_Model):
    """The experiments, each with its own keys."""

    phase_transition: PhaseTransition
    signal_strength: SignalStrength
    coverage: Coverage
    coherence: Coherence
    refit_error: RefitError
    decision_regret: DecisionRegret
    logging_policy: LoggingPolicy
    lower_bounds: LowerBounds
    sparsity_necessity: SparsityNecessity
    stopping: Stopping
    robustness: Robustness
    approximate_sparsity: ApproximateSparsity
    dynamic_actions: DynamicActions
    methods: Methods


class LogSize(_Model):
    """A log: M actions, T rounds."""

    n_actions: NActions
    n_rounds: Positive


class MethodCosts(_Model):
    """What the methods cost: the logs they are timed on, and what a call may take."""

    sparsity: Positive
    latent_dim: Positive
    sizes: Annotated[list[LogSize], Field(min_length=1, max_length=20)]
    repeats: Annotated[int, Field(ge=1, le=1000)]
    seconds: Annotated[float, Field(gt=0, le=3600)]

    @model_validator(mode="after")
    def _ascend(self) -> Self:
        n_actions = [one.n_actions for one in self.sizes]
        if sorted(set(n_actions)) != n_actions:
            raise ValueError(f"n_actions of its sizes must ascend (got {shown(n_actions)})")
        return self

    def scenarios(self, study: Study) -> tuple[Scenario, ...]:
        """The scenario behind each log.

        Raises
        ------
        ConfigError
            If one cannot be, or its log is too large or too short for its weights.
        """
        return tuple(self._scenario(place, study) for place in range(len(self.sizes)))

    def _scenario(self, place: int, study: Study) -> Scenario:
        size, key = self.sizes[place], f"method_costs.sizes[{place}]"
        try:
            scenario = Scenario(
                design="signed",
                n_actions=size.n_actions,
                sparsity=self.sparsity,
                latent_dim=self.latent_dim,
                signal=study.signal,
                noise_std=study.noise_std,
                weights=study.weights,
            )
        except ValueError as error:
            raise ConfigError(f"{key}: {error}") from None
        least = self.sparsity * self.latent_dim
        if size.n_rounds < least:
            raise ConfigError(f"{key}.n_rounds: must be at least k·d = {least} to fit the weights")
        width = size.n_actions * self.latent_dim
        parts = {"Ψ": 24 * width * size.n_rounds, "its Gram matrix": 32 * width * width}
        _check_memory(key, parts)
        return scenario


Share = Annotated[float, Field(gt=0, lt=1)]


class ToolCatalogue(_Model):
    """A real catalogue of tools: its requests, the logs of simulated exposure, what is judged."""

    sets: Annotated[list[SetName], Some]
    latent_dim: Annotated[int, Field(ge=1, le=16)]
    tools_per_round: Positive
    explored: Annotated[float, Field(ge=0, le=1)]
    near_copy: Share
    held_out: Share
    noise_std: Annotated[list[NoiseStd], Field(min_length=1, max_length=5)]
    n_rounds: Annotated[list[Positive], Field(min_length=2, max_length=12)]
    trials: Annotated[int, Field(ge=2, le=1000)]
    lasso_trials: NotNegative
    most_tools: Positive
    reward_share: Annotated[list[Share], Field(min_length=1, max_length=9)]
    fitted_dims: Annotated[list[Annotated[int, Field(ge=1, le=256)]], Some]

    @model_validator(mode="after")
    def _ascend(self) -> Self:
        for name in ("n_rounds", "reward_share", "fitted_dims"):
            values = getattr(self, name)
            if sorted(set(values)) != values:
                raise ValueError(f"{name} must ascend, none of it twice (got {shown(values)})")
        for name in ("sets", "noise_std"):
            if len(set(getattr(self, name))) != len(getattr(self, name)):
                raise ValueError(f"{name} names a value twice: {shown(getattr(self, name))}")
        return self

    def check(self) -> None:
        """Raise a ConfigError if a log would not fit into memory."""
        # A log is shown and rewarded at once; tools are some hundreds, as the files have them.
        each = 8 * self.n_rounds[-1] * (4 * self.tools_per_round + 4 * (self.latent_dim + 1))
        _check_memory("tool_catalogue.n_rounds", {"a log": each + 2**30})


class Study(_Model):
    """The whole configuration."""

    label: Annotated[
        str, Field(pattern=r"^[a-z0-9-]{0,40}$"), AfterValidator(_not_a_folder_of_another)
    ]
    seed: Seed
    trials: Positive
    trials_per_job: Positive | None = None
    signal: Signal
    noise_std: NoiseStd
    weights: Weights
    quantiles: Annotated[
        list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1, max_length=9)
    ]
    bootstrap: Annotated[int, Field(ge=20, le=10**5)]
    pdf: bool = True
    experiments: Experiments
    method_costs: MethodCosts
    tool_catalogue: ToolCatalogue
    discover: Settings | None = None

    @model_validator(mode="after")
    def _quantiles_differ(self) -> Self:
        if sorted(set(self.quantiles)) != self.quantiles:
            raise ValueError(f"quantiles: must ascend, none of them twice (got {self.quantiles})")
        return self

    def cells(self, experiment: str) -> tuple[Cell, ...]:
        """Every scenario of an experiment, with its rounds, trials and methods.

        Raises
        ------
        ConfigError
            If a grid cannot be expanded, or varies what the experiment has no axis for.
        """
        cells = tuple(self._expand(experiment))
        varies = getattr(self.experiments, experiment).varies
        fixed = [cell.settings for cell in cells]
        for name in sorted({*fixed[0]} - varies):
            values = list(dict.fromkeys(one.get(name) for one in fixed))
            if len(values) > 1:
                raise ConfigError(
                    f"experiments.{experiment}.grids: {name} must be the same in all of it, got "
                    f"{shown(values)}; what may vary is {', '.join(sorted(varies)) or 'nothing'}"
                )
        try:
            getattr(self.experiments, experiment).check(cells)
        except ValueError as error:
            raise ConfigError(f"experiments.{experiment}.grids: {error}") from None
        return cells

    def memory(self, name: str, cell: Cell) -> dict[str, int]:
        """Bytes of what the jobs of an experiment's cell keep, by what it is."""
        experiment: Experiment = getattr(self.experiments, name)
        return experiment.memory(cell, self)

    def dataset_memory(self, name: str, cells: Sequence[Cell]) -> dict[str, int]:
        """Bytes of an experiment's dataset, which has a place for every point of the full cross."""
        axes = getattr(self.experiments, name).varies.intersection(_AXES)
        labels = {
            (cell.label, *(getattr(cell.scenario, kind) for kind in _KINDS)) for cell in cells
        }
        places = len(labels) * len({cell.selection for cell in cells})
        places *= math.prod(len({getattr(cell.scenario, axis) for cell in cells}) for axis in axes)
        lengths = len({n for cell in cells for n in cell.n_rounds})
        replicates = 2 * len(self.quantiles) * self.bootstrap
        return {
            "its dataset, on the full cross of its axes": 8 * places * (32 * lengths + replicates)
        }

    def _expand(self, name: str) -> Iterator[Cell]:
        experiment: Experiment = getattr(self.experiments, name)
        seen: dict[tuple[Any, ...], str] = {}
        if sum(grid.size for grid in experiment.grids) > MOST_CELLS:
            raise ConfigError(
                f"experiments.{name}.grids: ask for {sum(grid.size for grid in experiment.grids)} "
                f"scenarios and selections; at most {MOST_CELLS} are possible"
            )
        for index, grid in enumerate(experiment.grids):
            key = f"experiments.{name}.grids[{index}]"
            for method in grid.selection:
                if method not in experiment.methods:
                    raise ConfigError(f"{key}.selection: {method!r} does not go with {name}")
            for scenario in self._scenarios(grid, key):
                if experiment.needs_noise and scenario.noise_std == 0:
                    raise ConfigError(f"{key}.noise_std: must be positive in {name}, got 0")
                for kind, plain in _KINDS.items():
                    found = getattr(scenario, kind)
                    if found != plain and kind not in experiment.varies:
                        raise ConfigError(f"{key}.{kind}: {found!r} does not go with {name}")
                late = scenario.arrives_after > 0 or grid.since_arrival is not None
                if late and "arrives_after" not in experiment.varies:
                    raise ConfigError(
                        f"{key}: arrives_after and since_arrival do not go with {name}"
                    )
                n_rounds = _rounds(grid, scenario, key, experiment)
                if experiment.by_setting != (grid.setting is not None):
                    raise ConfigError(
                        f"{key}.setting: "
                        + ("is required in" if experiment.by_setting else "does not go with")
                        + f" {name}"
                    )
                label = grid.setting or _label(grid, scenario)
                for selection in grid.selection:
                    # What the axes of a dataset can tell apart.
                    axes = [getattr(scenario, axis) for axis in (*_KINDS, *_AXES)]
                    place = (label, *axes, selection)
                    if place in seen:
                        raise ConfigError(
                            f"{key} asks for {scenario.name} with selection {selection!r} again; "
                            f"{seen[place]} has its place in the dataset already"
                        )
                    seen[place] = key
                    yield Cell(label, scenario, selection, n_rounds, grid.trials or self.trials)

    def _scenarios(self, grid: Grid, key: str) -> Iterator[Scenario]:
        given = {axis: getattr(grid, axis) for axis in _AXES}
        given["noise_std"] = given["noise_std"] or [self.noise_std]
        for values in itertools.product(*given.values()):
            axes = dict(zip(given, values, strict=True))
            if grid.actions_share is not None:
                per_round = max(1, round(grid.actions_share * axes["n_actions"]))
            else:
                per_round = grid.actions_per_round or 1
            try:
                yield Scenario(
                    design=grid.design,
                    actions_per_round=per_round,
                    signal=self.signal,
                    weights=grid.weights or self.weights,
                    structure=grid.structure,
                    departure=grid.departure,
                    policy=grid.policy,
                    tail=grid.tail,
                    scarce_after=grid.scarce.after if grid.scarce else 0,
                    **axes,
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
    study = checked(Study, config, _UNKNOWN, _allowed)
    cells = {name: study.cells(name) for name in Experiments.model_fields}
    every = [cell for of_experiment in cells.values() for cell in of_experiment]
    # What experiments share is done once, with the trials and rounds of all of them.
    for jobs in ({}, merged(every), merged(every, by_selection=False)):
        for name, of_experiment in cells.items():
            for cell in of_experiment:
                job = jobs.get(cell.name) or jobs.get(cell.scenario.name) or cell
                asked = f"{cell.name}, trials={job.trials}, n_rounds up to {job.n_rounds[-1]},"
                _check_memory(f"experiments.{name}.grids: {asked}", study.memory(name, job))
    for name, of_experiment in cells.items():
        size = study.trials_per_job or LARGEST
        pieces = sum(-(-cell.trials // size) for cell in of_experiment)
        if pieces > MOST_CELLS:
            raise ConfigError(
                f"trials_per_job: {size} cuts the trials of {name} into {pieces} jobs a stage; at "
                f"most {MOST_CELLS} are possible"
            )
        _check_memory(f"experiments.{name}.grids", study.dataset_memory(name, of_experiment))
    study.method_costs.scenarios(study)
    study.tool_catalogue.check()
    return study


def _check_memory(whose: str, parts: Mapping[str, int]) -> None:
    total, (what, _) = sum(parts.values()), max(parts.items(), key=lambda part: part[1])
    if total > MOST_MEMORY:
        raise ConfigError(
            f"{whose} takes about {total / 2**30:.3g} GiB of memory in one job, most of it for "
            f"{what}; at most {MOST_MEMORY // 2**30} are possible"
        )


def n_supports(n_actions: int, sparsity: int) -> float:
    """How many sets of k of M actions there are, or of fewer where those are more."""
    few = min(sparsity, n_actions // 2)
    return math.comb(n_actions, few) if few <= 20 else math.inf


def _label(grid: Grid, scenario: Scenario) -> str:
    """What the ``design`` or ``structure`` axis of a dataset calls a scenario."""
    if scenario.structure != "independent":
        # The weights that show what a structure does need not be named.
        plain = "aligned" if scenario.structure == "aggregate" else "sphere"
        words = {"sphere": "random", "gaussian": "Gaussian", "aligned": "aligned"}
        named = "" if scenario.weights == plain else f", {words[scenario.weights]} weights"
        return f"{scenario.structure}{named}"
    if grid.actions_share is not None:
        return f"multi B={grid.actions_share:.3%}".replace(".000%", "%").replace("%", "% of M")
    if grid.actions_per_round is not None:
        return f"multi B={grid.actions_per_round}"
    return grid.design


def _rounds(grid: Grid, scenario: Scenario, key: str, experiment: Experiment) -> tuple[int, ...]:
    if grid.n_rounds is not None:
        n_rounds, key = tuple(sorted(grid.n_rounds)), f"{key}.n_rounds"
    elif grid.scarce is not None:
        n_rounds = tuple(sorted({grid.scarce.after + n for n in grid.scarce.coverage}))
        key = f"{key}.scarce"
    elif grid.since_arrival is not None:
        n_rounds, key = _around_arrival(grid.since_arrival, scenario), f"{key}.since_arrival"
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
            f"{key} gives {scenario.name} the numbers of rounds {list(n_rounds)}; a curve needs "
            "at least 3"
        )
    least = scenario.sparsity * scenario.latent_dim
    if experiment.fits_weights and n_rounds[0] < least:
        raise ConfigError(
            f"{key} asks for T={n_rounds[0]} rounds of {scenario.name}, too few to fit "
            f"k·d = {least} weights; T must be at least {least}"
            + (f", 'from' at least {least / scenario.reference_rounds:.3g}" if grid.rounds else "")
        )
    return n_rounds


def _around_arrival(since: Sequence[int], scenario: Scenario) -> tuple[int, ...]:
    """Rounds after the arrival; and at it, at a quarter of it and so on, down to the fewest."""
    before, old = scenario.arrives_after, set()
    fewest = max(min(since), scenario.sparsity * scenario.latent_dim)
    while before >= fewest:
        old.add(before)
        before //= 4
    return tuple(sorted(old | {scenario.arrives_after + n for n in since}))


def _allowed(path: str) -> str:
    """What the pattern of a key means."""
    if path == "label":
        return "may hold only a-z, 0-9 and -, at most 40 of them"
    if path.endswith(".setting"):
        return "must be letters, digits, spaces and .,=- after a letter, at most 40 of them"
    return f"must be one of {', '.join(METHODS)}"


def schema() -> str:
    """JSON schema of the configuration, for editors and for ``workflow/schemas``."""
    return json.dumps(Study.model_json_schema(by_alias=True), indent=2) + "\n"


if __name__ == "__main__":
    print(schema(), end="")
