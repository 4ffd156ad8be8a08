"""The registry of dataset variables: what each is called, holds and means, and where it stands.

Every dataset the study writes or reads is checked against it (:mod:`sparseact.study.store`). It is
read while the workflow is being planned too, and must stay light.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class Variable:
    """A named quantity.

    ``dtype`` is a NumPy type, "str", or "ids": the smallest unsigned integer that holds the ids.
    Missing floats are NaN; other values must lie within ``low`` … ``high``.
    """

    dtype: str
    units: str
    long_name: str
    low: float = -math.inf
    high: float = math.inf

    def fits(self, dtype: npt.DTypeLike) -> bool:
        """Whether an array of this dtype may hold the variable."""
        import numpy as np

        kind = np.dtype(dtype)
        if self.dtype == "str":
            return kind.kind in "OUT"
        if self.dtype == "ids":
            return kind.kind == "u"
        return kind == np.dtype(self.dtype)


@dataclass(frozen=True)
class Kind:
    """A kind of dataset: the dimensions of every variable it holds."""

    title: str
    variables: dict[str, tuple[str, ...]]
    optional: frozenset[str] = field(default_factory=frozenset)


def _probability(long_name: str) -> Variable:
    return Variable("float64", "1", long_name, 0, 1)


def _estimate(name: str, value: Variable) -> dict[str, Variable]:
    """A variable and the two ends of its 95 % interval."""
    return {
        name: value,
        f"{name}_low": Variable(
            value.dtype, value.units, f"{value.long_name}: low end of the 95 % interval"
        ),
        f"{name}_high": Variable(
            value.dtype, value.units, f"{value.long_name}: high end of the 95 % interval"
        ),
    }


def _positive(units: str, long_name: str) -> Variable:
    return Variable("float64", units, long_name, 0)


VARIABLES: dict[str, Variable] = {
    # axes of the grid
    "design": Variable("str", "1", "how the log was collected"),
    "n_actions": Variable("int32", "1", "number of actions M", 1),
    "sparsity": Variable("int32", "1", "number of relevant actions k", 1),
    "latent_dim": Variable("int32", "1", "latent dimension d", 1),
    "n_rounds": Variable("int32", "round", "number of logged rounds T", 1),
    "selection": Variable("str", "1", "selection rule of Block-OMP"),
    "quantile": Variable("float64", "1", "probability of exact recovery asked for", 0, 1),
    "quantity": Variable("str", "1", "what is counted: rounds, or coverage of relevant actions"),
    "law": Variable("str", "1", "scaling law"),
    "axis": Variable("str", "1", "grid axis that the exponent belongs to"),
    # a simulated log
    "latent": Variable("float32", "1", "latent state z"),
    "activation_bits": Variable("uint8", "1", "activation signs, one bit an action, 1 for +1"),
    "action": Variable("ids", "1", "ids of the actions used, ascending within a round"),
    "reward": Variable("float64", "reward", "reward r"),
    "support": Variable("ids", "1", "relevant actions S*, ascending"),
    "weights": Variable("float64", "reward", "weights of the relevant actions"),
    # recovery, per trial
    "exact_recovery": Variable("uint8", "1", "1 where the selected set is the support", 0, 1),
    "n_correct": Variable("int32", "1", "relevant actions among those selected", 0),
    "selected": Variable("int32", "1", "action selected at each step, -1 after an early stop", -1),
    "least_coverage": Variable(
        "int32", "round", "rounds in which the least used relevant action was used", 0
    ),
    # recovery, collected
    "n_trials": Variable("int32", "1", "number of trials", 0),
    **_estimate("recovery_probability", _probability("probability of exact recovery")),
    "mean_least_coverage": _positive(
        "round", "rounds in which the least used relevant action was used, mean over trials"
    ),
    **_estimate("rounds_needed", _positive("round", "rounds needed for the quantile")),
    **_estimate(
        "coverage_needed",
        _positive("round", "least coverage of a relevant action needed for the quantile"),
    ),
    "needed_replicates": _positive("round", "bootstrap replicates of what is needed"),
    "curve_misfit": Variable(
        "float64", "1", "log of rounds needed by the fitted curve over those by interpolation"
    ),
    **_estimate(
        "final_recovery_probability",
        _probability("probability of exact recovery after the most rounds, least over the grid"),
    ),
    # scaling laws
    "loo_error": _positive("1", "leave-one-out error of log rounds needed, root mean square"),
    "aicc": Variable("float64", "1", "corrected Akaike information criterion"),
    **_estimate("law_scale", _positive("round", "fitted factor a of the law")),
    **_estimate("law_constant", _positive("1", "fitted constant c of the law, where it has one")),
    "law_prediction": _positive("round", "what the fitted law predicts"),
    **_estimate("exponent", Variable("float64", "1", "fitted exponent")),
    **_estimate(
        "elasticity", Variable("float64", "1", "slope of the logarithm of what is needed in log M")
    ),
    **_estimate(
        "growth_index",
        Variable("float64", "1", "Box-Cox index of growth with M: 0 is log M, 1 is M"),
    ),
    **_estimate(
        "paper_excess_error",
        Variable("float64", "1", "log of the paper's law's error over the best rival law's"),
    ),
}

_GRID = ("design", "n_actions", "sparsity", "latent_dim", "selection")
_FITS = ("design", "quantity", "quantile")


def _with_interval(name: str, dims: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {name: dims, f"{name}_low": dims, f"{name}_high": dims}


def _axes(*names: str) -> dict[str, tuple[str, ...]]:
    return {name: (name,) for name in names}


KINDS: dict[str, Kind] = {
    "log": Kind(
        "Simulated logs of one scenario",
        {
            "latent": ("trial", "round", "latent_dim"),
            "activation_bits": ("trial", "round", "byte"),
            "action": ("trial", "round", "slot"),
            "reward": ("trial", "round"),
            "support": ("trial", "relevant"),
            "weights": ("trial", "relevant", "latent_dim"),
        },
        optional=frozenset({"activation_bits", "action"}),
    ),
    "recovery": Kind(
        "Recovery of the relevant actions in every trial of one scenario",
        {
            **_axes("n_rounds"),
            "exact_recovery": ("trial", "n_rounds"),
            "n_correct": ("trial", "n_rounds"),
            "least_coverage": ("trial", "n_rounds"),
            "selected": ("trial", "n_rounds", "step"),
        },
    ),
    "phase_transition": Kind(
        "Where recovery is possible: probability of exact recovery, and rounds needed",
        {
            **_axes(*_GRID, "n_rounds", "quantity", "quantile"),
            "n_trials": _GRID,
            **_with_interval("recovery_probability", (*_GRID, "n_rounds")),
            "mean_least_coverage": (*_GRID, "n_rounds"),
            **_with_interval("rounds_needed", (*_GRID, "quantile")),
            **_with_interval("coverage_needed", (*_GRID, "quantile")),
            "needed_replicates": ("quantity", *_GRID, "quantile", "replicate"),
            "curve_misfit": (*_GRID, "quantile"),
            **_with_interval("final_recovery_probability", ("design", "selection")),
        },
    ),
    "scaling_law": Kind(
        "Which law the rounds needed follow",
        {
            **_axes(*_FITS, "law", "axis", "n_actions", "sparsity", "latent_dim"),
            "loo_error": (*_FITS, "law"),
            "aicc": (*_FITS, "law"),
            **_with_interval("law_scale", (*_FITS, "law")),
            **_with_interval("law_constant", (*_FITS, "law")),
            "law_prediction": (*_FITS, "law", "n_actions", "sparsity", "latent_dim"),
            **_with_interval("exponent", (*_FITS, "axis")),
            **_with_interval("elasticity", _FITS),
            **_with_interval("growth_index", _FITS),
            **_with_interval("paper_excess_error", _FITS),
        },
    ),
}


def kind_digest(*kinds: str) -> str:
    """Hexadecimal digest of what the registry says of some kinds of dataset, and of nothing else.

    Raises
    ------
    KeyError
        If there is no such kind.
    """
    told = [
        (name, KINDS[name].title, dims, sorted(KINDS[name].optional), VARIABLES[variable], variable)
        for name in kinds
        for variable, dims in KINDS[name].variables.items()
    ]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]
