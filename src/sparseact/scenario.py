"""A scenario: one point of the study's grid, which together with a seed determines a log."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Design = Literal["single", "multi", "signed"]
Weights = Literal["sphere", "gaussian"]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """How a log comes about.

    Attributes
    ----------
    design : {"single", "multi", "signed"}
        A round uses one action, a set of ``actions_per_round`` distinct actions, or every action
        with a random sign.
    n_actions : int
        M.
    sparsity : int
        k, the number of relevant actions.
    latent_dim : int
        d.
    actions_per_round : int
        B, for ``multi``; 1 for ``single`` and M for ``signed``.
    signal : float
        b, the norm of each relevant action's weights (``sphere``) or its root mean square
        (``gaussian``), in units of the reward.
    noise_std : float
        σ, in units of the reward.
    weights : {"sphere", "gaussian"}

    Raises
    ------
    ValueError
        If a value is out of range, naming the field.
    """

    design: Design
    n_actions: int
    sparsity: int
    latent_dim: int
    actions_per_round: int = 1
    signal: float = 1.0
    noise_std: float = 0.5
    weights: Weights = "sphere"

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        if self.design not in get_args(Design):
            raise ValueError(f"design must be one of {get_args(Design)}, got {self.design!r}")
        if self.weights not in get_args(Weights):
            raise ValueError(f"weights must be one of {get_args(Weights)}, got {self.weights!r}")
        for name in ("n_actions", "sparsity", "latent_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.sparsity > self.n_actions:
            raise ValueError(
                f"sparsity k={self.sparsity} must not exceed n_actions M={self.n_actions}"
            )
        fixed = {"single": 1, "signed": self.n_actions}.get(self.design)
        if fixed is not None:
            object.__setattr__(self, "actions_per_round", fixed)
        if not 1 <= self.actions_per_round <= self.n_actions:
            raise ValueError(
                f"actions_per_round B={self.actions_per_round} must lie between 1 and "
                f"n_actions M={self.n_actions}"
            )
        if not (math.isfinite(self.signal) and self.signal > 0):
            raise ValueError(f"signal must be positive and finite, got {self.signal}")
        if not (math.isfinite(self.noise_std) and self.noise_std >= 0):
            raise ValueError(f"noise_std must not be negative, got {self.noise_std}")

    @property
    def name(self) -> str:
        """A file name that tells all of it, and the key of its random numbers."""
        design = f"multi{self.actions_per_round}" if self.design == "multi" else self.design
        name = (
            f"{design}_M{self.n_actions}_k{self.sparsity}_d{self.latent_dim}"
            f"_b{_digits(self.signal)}_s{_digits(self.noise_std)}"
        )
        return name if self.weights == "sphere" else f"{name}_{self.weights}"

    @property
    def use_rate(self) -> float:
        """Expected coverage of an action per round: B/M, and 1 for ``signed``."""
        return self.actions_per_round / self.n_actions

    @property
    def reference_rounds(self) -> float:
        """A rough guess at the rounds needed, by which grids of T are placed.

        Coverage ``d + log M`` per action, times the variance a round carries besides the action's
        own (noise and the other relevant actions) over its signal. No result depends on it.
        """
        others = (self.sparsity - 1) * self.use_rate + (self.noise_std / self.signal) ** 2
        return (1 + others) * (self.latent_dim + math.log(self.n_actions)) / self.use_rate


def _digits(number: float) -> str:
    """All of a number, in as few characters as a file name allows."""
    return repr(float(number)).removesuffix(".0").replace("+", "")
