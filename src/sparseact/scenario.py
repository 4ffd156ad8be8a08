"""A scenario: one point of the study's grid, which together with a seed determines a log."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

from sparseact.arguments import integer, require_number

Design = Literal["single", "multi", "signed"]
Weights = Literal["sphere", "gaussian", "aligned"]
Structure = Literal["independent", "equicorrelated", "twin", "aggregate"]
Departure = Literal[
    "none",
    "student",
    "rademacher",
    "heteroscedastic",
    "autocorrelated",
    "nonlinear",
    "bounded",
    "noisy_latents",
]
# The sizes that a departure can have, least and greatest, and what they mean.
_SIZES: dict[str, tuple[float, float, str]] = {
    "none": (0.0, 0.0, "nothing departs"),
    "student": (0.001, 0.5, "one over the degrees of freedom"),
    "rademacher": (1.0, 1.0, "the noise takes two values, and that is all"),
    "heteroscedastic": (1e-6, 3.0, "how fast the log of the deviation grows with the state"),
    "autocorrelated": (1e-6, 0.9999, "the correlation of one round's state with the next's"),
    "nonlinear": (1e-6, 100.0, "the effect's deviation in units of the signal"),
    "bounded": (1e-6, 100.0, "the bound in units of the signal"),
    "noisy_latents": (1e-6, 100.0, "the error's deviation in units of the state's"),
}
Policy = Literal["uniform", "zipf", "greedy"]

STEEPEST = 3.0  # Zipf exponent
Tail = Literal["none", "flat", "power"]


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
        b, the norm of each relevant action's weights, or its root mean square (``gaussian``), in
        units of the reward.
    noise_std : float
        σ, in units of the reward.
    weights : {"sphere", "gaussian", "aligned"}
        Weights uniform on a sphere, normal, or on a sphere and the same for all relevant actions,
        the worst case for a decoy that imitates their sum.
    condition_number : float
        Of Σ_z, whose eigenvalues fall from 1 to its inverse in equal ratios.
    structure : {"independent", "equicorrelated", "twin", "aggregate"}
        How the signs of a ``signed`` log hang together: not at all; all through a shared factor;
        each relevant action with a decoy of its own; one decoy with the sum of the relevant ones.
    strength : float
        ρ in [0, 1]: the correlation of any two actions (``equicorrelated``) or of twins; the
        share of rounds in which the decoy takes the sign of the sum (``aggregate``).
    scarce_after : int
        For ``single`` and ``multi``, where positive: one relevant action, the scarce one, is never
        used in so many first rounds, and in every round after them.
    arrives_after : int
        For ``signed``, where positive: a quarter of the actions, ``n_late`` of them, appear late.
        They cannot be used in so many first rounds, where their activation is 0, and are as all
        others after them. One relevant action is among them, the newcomer.
    departure : str
        How the log departs from what the theory assumes: not at all ("none"), in its noise
        ("student", "rademacher", "heteroscedastic"), its latent states ("autocorrelated",
        "noisy_latents") or its reward ("nonlinear", "bounded"); :mod:`sparseact.departures` says
        what each is. With a departure the states are well conditioned.
    departure_size : float
        How far it departs, in the units of the departure; 0 where nothing departs.
    policy : {"uniform", "zipf", "greedy"}
        How ``single`` and ``multi`` choose actions: all alike; by popularity; or those that look
        best so far in the latent state, see :mod:`sparseact.policy`.
    policy_level : float
        The exponent s in (0, 3] of popularity, which falls with the rank as rank^-s (``zipf``); the
        probability ε in [0, 1] that a round explores, choosing as ``uniform`` does (``greedy``).
    tail : {"none", "flat", "power"}
        Small effects of all actions that are not relevant: none; all of one norm; or of norms that
        fall as 1/i over a random order of these actions. With a tail the relevant actions are those
        of the k largest effects.
    tail_energy : float
        τ, the sum of ‖w_j‖² over the small effects, over that of the large ones, k b².

    Raises
    ------
    ValueError
        If a value is out of range, naming the field.
    TypeError
        If a number of actions, rounds or dimensions is not an integer.
    """

    design: Design
    n_actions: int
    sparsity: int
    latent_dim: int
    actions_per_round: int = 1
    signal: float = 1.0
    noise_std: float = 0.5
    weights: Weights = "sphere"
    condition_number: float = 1.0
    structure: Structure = "independent"
    strength: float = 0.0
    scarce_after: int = 0
    arrives_after: int = 0
    departure: Departure = "none"
    departure_size: float = 0.0
    policy: Policy = "uniform"
    policy_level: float = 0.0
    tail: Tail = "none"
    tail_energy: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        for name, kind in (
            ("design", Design),
            ("weights", Weights),
            ("structure", Structure),
            ("departure", Departure),
            ("policy", Policy),
            ("tail", Tail),
        ):
            given = getattr(self, name)
            if not isinstance(given, str) or given not in get_args(kind):
                raise ValueError(f"{name} must be one of {get_args(kind)}, got {given!r}")
        for name in ("n_actions", "sparsity", "latent_dim"):
            integer(getattr(self, name), name, low=1)
        for name in ("actions_per_round", "scarce_after", "arrives_after"):
            integer(getattr(self, name), name)
        numbers = ("signal", "noise_std", "condition_number", "strength")
        for name in (*numbers, "departure_size", "policy_level", "tail_energy"):
            require_number(getattr(self, name), name)
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
        if not (math.isfinite(self.condition_number) and self.condition_number >= 1):
            raise ValueError(f"condition_number must be at least 1, got {self.condition_number}")
        if self.condition_number > 1 and self.latent_dim == 1:
            raise ValueError("condition_number must be 1 where latent_dim d=1")
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength must lie within [0, 1], got {self.strength}")
        if self.structure == "independent" and self.strength:
            raise ValueError("strength goes with a structure: equicorrelated, twin or aggregate")
        if self.structure != "independent" and self.design != "signed":
            raise ValueError(f"structure {self.structure!r} goes with design 'signed' only")
        if self.sparsity + self.n_decoys > self.n_actions:
            raise ValueError(
                f"n_actions M={self.n_actions} must hold sparsity k={self.sparsity} relevant "
                f"actions and {self.n_decoys} decoys"
            )
        if self.scarce_after < 0:
            raise ValueError(f"scarce_after must not be negative, got {self.scarce_after}")
        if self.scarce_after and (
            self.design == "signed" or self.actions_per_round >= self.n_actions
        ):
            raise ValueError("scarce_after needs rounds that leave actions out: single or multi")
        self._check_arrival()
        self._check_departure()
        self._check_policy()
        self._check_tail()

    def _check_arrival(self) -> None:
        if self.arrives_after < 0:
            raise ValueError(f"arrives_after must not be negative, got {self.arrives_after}")
        if not self.arrives_after:
            return
        if (self.design, self.structure, self.departure) != ("signed", "independent", "none"):
            raise ValueError(
                "arrives_after needs design 'signed', structure 'independent', departure 'none'"
            )
        if self.sparsity < 2 or not 1 <= self.n_late <= self.n_actions - self.sparsity + 1:
            raise ValueError(
                f"arrives_after needs n_actions M={self.n_actions} of which a quarter can be late, "
                f"one of sparsity k={self.sparsity} relevant ones among them, and k at least 2"
            )

    def _check_departure(self) -> None:
        low, high, meaning = _SIZES[self.departure]
        if not low <= self.departure_size <= high:
            allowed = f"within [{low:g}, {high:g}]" if low < high else f"{low:g}"
            raise ValueError(
                f"departure_size must be {allowed} with departure {self.departure!r} ({meaning}), "
                f"got {self.departure_size}"
            )
        if self.departure == "none":
            return
        if self.condition_number != 1:
            raise ValueError(f"departure {self.departure!r} needs condition_number 1")
        if self.departure == "bounded" and (self.design, self.structure) != (
            "signed",
            "independent",
        ):
            raise ValueError("departure 'bounded' needs design 'signed', structure 'independent'")

    def _check_policy(self) -> None:
        level = self.policy_level
        if self.policy == "uniform" and level != 0:
            raise ValueError("policy_level goes with a policy: zipf or greedy")
        if self.policy == "zipf" and not 0 < level <= STEEPEST:
            raise ValueError(f"policy_level of zipf must lie within (0, {STEEPEST:g}], got {level}")
        if self.policy == "greedy" and not 0 <= level <= 1:
            raise ValueError(f"policy_level of greedy must lie within [0, 1], got {level}")
        if self.policy != "uniform" and self.design == "signed":
            raise ValueError(f"policy {self.policy!r} goes with designs 'single' and 'multi' only")
        if self.policy != "uniform" and self.scarce_after:
            raise ValueError(f"scarce_after does not go with policy {self.policy!r}")
        if self.policy == "greedy" and self.departure != "none":
            raise ValueError(f"departure {self.departure!r} does not go with policy 'greedy'")
        if self.policy == "greedy" and self.tail != "none":
            raise ValueError(f"tail {self.tail!r} does not go with policy 'greedy'")

    def _check_tail(self) -> None:
        """The k largest effects must be those of the relevant actions."""
        if not (math.isfinite(self.tail_energy) and self.tail_energy >= 0):
            raise ValueError(f"tail_energy must not be negative, got {self.tail_energy}")
        if self.tail == "none":
            if self.tail_energy:
                raise ValueError("tail_energy goes with a tail: flat or power")
            return
        if self.weights == "gaussian":
            raise ValueError("tail goes with weights of one norm: sphere or aligned")
        if self.n_actions == self.sparsity:
            raise ValueError(f"tail {self.tail!r} needs actions that are not relevant, got k=M")
        if self.largest_tail >= 1:
            most = self.tail_energy / self.largest_tail**2
            raise ValueError(
                f"tail_energy={self.tail_energy:g} of a {self.tail} tail makes a small effect "
                f"{self.largest_tail:.3g} times as large as a relevant one; it must be below "
                f"{most:.3g}"
            )

    @property
    def n_decoys(self) -> int:
        """Irrelevant actions that imitate relevant ones, or seem to have an effect."""
        if self.departure == "bounded":
            return 1
        return {"twin": self.sparsity, "aggregate": 1}.get(self.structure, 0)

    @property
    def largest_tail(self) -> float:
        """Norm of the largest small effect, in units of b.

        √(τk/N) for ``flat``, with the N = M - k actions that are not relevant, and √(τk/H) for
        ``power``, with H = Σ i⁻² over i = 1 … N.
        """
        n = self.n_actions - self.sparsity
        if self.tail == "none":
            return 0.0
        shares = float(n) if self.tail == "flat" else _inverse_squares(n)
        return math.sqrt(self.tail_energy * self.sparsity / shares)

    @property
    def n_late(self) -> int:
        """Actions that appear late, the newcomer among them."""
        return self.n_actions // 4 if self.arrives_after else 0

    @property
    def name(self) -> str:
        """A file name that tells all of it, and the key of its random numbers."""
        design = f"multi{self.actions_per_round}" if self.design == "multi" else self.design
        name = (
            f"{design}_M{self.n_actions}_k{self.sparsity}_d{self.latent_dim}"
            f"_b{_digits(self.signal)}_s{_digits(self.noise_std)}"
        )
        if self.weights != "sphere":
            name += f"_{self.weights}"
        if self.condition_number != 1:
            name += f"_c{_digits(self.condition_number)}"
        if self.structure != "independent":
            name += f"_{self.structure}{_digits(self.strength)}"
        if self.scarce_after:
            name += f"_scarce{self.scarce_after}"
        if self.arrives_after:
            name += f"_arrives{self.arrives_after}"
        if self.departure != "none":
            name += f"_{self.departure}{_digits(self.departure_size)}"
        if self.policy != "uniform":
            name += f"_{self.policy}{_digits(self.policy_level)}"
        if self.tail != "none":
            name += f"_{self.tail}{_digits(self.tail_energy)}"
        return name

    @property
    def use_rate(self) -> float:
        """Coverage of an action per round, mean over actions: B/M, and 1 for ``signed``."""
        return self.actions_per_round / self.n_actions

    @property
    def reference_rounds(self) -> float:
        """A rough guess at the rounds needed, by which grids of T are placed.

        Coverage ``d + log M`` per action, times the variance a round carries besides the action's
        own (noise and the other relevant actions) over its signal. No result depends on it.
        """
        ratio = self.noise_std / self.signal
        others = (self.sparsity - 1) * self.use_rate + ratio * ratio
        return (1 + others) * (self.latent_dim + math.log(self.n_actions)) / self.use_rate


@cache
def _inverse_squares(n: int) -> float:
    """Σ i⁻² over i = 1 … n."""
    return math.fsum(1 / i**2 for i in range(1, n + 1))


def _digits(number: float) -> str:
    """All of a number, in as few characters as a file name allows."""
    return repr(float(number)).removesuffix(".0").replace("+", "")
