"""When to stop where the number of relevant actions is not known.

A rule looks at a greedy path, the residual's norm after each of its steps, and says how many of its
actions to keep. Greedy selection is a path whatever the rule, so rules can be compared on one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import scipy.special

from sparseact.arguments import integer, real
from sparseact.design import BlockDesign, Divisible, Floats, Ints
from sparseact.fast import solve
from sparseact.inference import path_weights
from sparseact.rules import Selection

# Steps of a path that a criterion is not said to be least on.
_SHORT = 8


@dataclass(frozen=True)
class Log:
    """What a path was taken on: a design, its rewards (T,), and the rule of selection."""

    design: BlockDesign
    rewards: Floats
    selection: Selection

    @property
    def n_rounds(self) -> int:
        """T, also of a log that is held in other coordinates."""
        return int(getattr(self.design, "n_logged", self.design.n_rounds))


class StoppingRule(ABC):
    """How many actions of a greedy path to keep."""

    name = ""
    by_norms = True  # looks at the norms alone, so that it can be asked after every step

    @abstractmethod
    def count(self, log: Log, norms: Floats) -> int:
        """Actions to keep, 0 … m, of a path with the residual norms ``‖u_0‖ … ‖u_m‖``."""

    def settled(self, count: int, n_steps: int) -> bool:
        """Whether that stays the answer if the path goes on beyond its ``n_steps``."""
        return count < n_steps


def _first(stops: npt.NDArray[np.bool_]) -> int:
    """Where the first of some flags is set, or how many there are."""
    return int(stops.argmax()) if stops.any() else len(stops)


@dataclass(frozen=True)
class ResidualNorm(StoppingRule):
    """Stop when the residual is as small as noise alone.

    The first step with ``‖u_m‖ ≤ σ √(T + 2 √(T log T))``, which Gaussian noise exceeds with
    probability 1/T at most (Cai and Wang 2011). Effects with less energy than that slack,
    ``2 σ² √(T log T)``, go unnoticed.

    Parameters
    ----------
    noise_std : float
        σ, in units of the reward.

    Raises
    ------
    ValueError
        If the noise is negative or not finite.
    """

    noise_std: float
    name = "residual_norm"

    def __post_init__(self) -> None:
        """Refuse what is no noise."""
        real(self.noise_std, "noise_std", low=0)

    def count(self, log: Log, norms: Floats) -> int:
        """The first step whose residual is small enough."""
        T = log.n_rounds
        level = self.noise_std * np.sqrt(T + 2 * np.sqrt(T * np.log(T)))
        return min(_first(norms <= level), len(norms) - 1)


@dataclass(frozen=True)
class RelativeImprovement(StoppingRule):
    """Stop before the first step that explains less than a share of the energy that is left.

    The first m with ``1 - ‖u_{m+1}‖²/‖u_m‖² < least``. What pure noise yields is about
    ``(d + 2 log M)/T``, so no share suits all logs.

    Parameters
    ----------
    least : float
        From 0 to below 1.

    Raises
    ------
    ValueError
        If it is out of range.
    """

    least: float = 0.05
    name = "relative_improvement"

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        if real(self.least, "least", low=0) >= 1:
            raise ValueError(f"least must be below 1, got {self.least}")

    def count(self, log: Log, norms: Floats) -> int:
        """Steps before the first that explains too little."""
        return _first(norms[:-1] ** 2 - norms[1:] ** 2 < self.least * norms[:-1] ** 2)


@dataclass(frozen=True)
class NoiseTest(StoppingRule):
    """Stop before the first step that noise alone could explain.

    If all relevant actions are selected, the drop of ``‖u‖²`` by any one block that is not is
    ``σ² χ²_d``, or with σ estimated from what is left, ``F(d, T - (m+1)d)``; both exactly, for
    Gaussian noise. The next step is taken if its drop has a p-value of at most ``alpha / (M - m)``.
    So with probability ``1 - alpha`` at least nothing is added once all relevant actions are in,
    whichever block the rule of selection proposes. Blocks short of rank are tested as if they were
    not, which errs on the side of stopping.

    Parameters
    ----------
    alpha : float
        Family-wise error over all actions, within (0, 1).
    noise_std : float, optional
        σ, in units of the reward, if it is known. Otherwise effects that are not selected yet count
        as noise until they are.

    Raises
    ------
    ValueError
        If ``alpha`` is out of range, or the noise is negative or not finite.
    """

    alpha: float = 0.01
    noise_std: float | None = None
    name = "noise_test"

    def __post_init__(self) -> None:
        """Refuse what is no probability, and what is no noise."""
        if not 0 < real(self.alpha, "alpha") < 1:
            raise ValueError(f"alpha must lie between 0 and 1, got {self.alpha}")
        if self.noise_std is not None:
            real(self.noise_std, "noise_std", low=0)

    def count(self, log: Log, norms: Floats) -> int:
        """Steps before the first that is not significant."""
        return _first(self.p_values(log, norms) > self.alpha)

    def p_values(self, log: Log, norms: Floats) -> Floats:
        """(m,) of each step that was taken, times the actions that were left to choose from.

        At most 1; NaN never, 1 where no round is left to tell the noise by.
        """
        T, M, d = log.n_rounds, log.design.n_blocks, log.design.block_size
        drop = norms[:-1] ** 2 - norms[1:] ** 2
        left = np.arange(M, M - len(drop), -1)
        free = T - d * np.arange(1, len(drop) + 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.noise_std is None:
                ratio = drop * free / (d * norms[1:] ** 2)
                p = scipy.special.fdtrc(d, np.maximum(free, 1), np.maximum(ratio, 0))
                p[norms[1:] == 0] = 0.0
                p[free < 1] = 1.0
            else:
                p = scipy.special.chdtrc(d, np.maximum(drop, 0) / self.noise_std**2)
                p[drop <= 0] = 1.0
        return np.asarray(np.minimum(p * left, 1.0))


class _Least(StoppingRule):
    """Keep as many actions as make a criterion least; on a tie the fewest."""

    def count(self, log: Log, norms: Floats) -> int:
        """Where the criterion is least on the path."""
        return int(np.argmin(self.criterion(log, norms)))

    @abstractmethod
    def criterion(self, log: Log, norms: Floats) -> Floats:
        """(m + 1,) what is to be least."""

    def settled(self, count: int, n_steps: int) -> bool:
        """Taken for the least of all once the path is twice as long, and not short."""
        return n_steps >= max(_SHORT, 2 * count)


@dataclass(frozen=True)
class EBIC(_Least):
    """The extended Bayesian information criterion of blocks.

    Least ``T log(‖u_m‖²/T) + m d log T + 2 γ log C(M, m)`` (Chen and Chen 2008, with M blocks of d
    weights to choose from). With γ = 0 it is BIC, which overlooks that the best of many was taken.

    Parameters
    ----------
    gamma : float
        γ, at least 0.

    Raises
    ------
    ValueError
        If it is negative or not finite.
    """

    gamma: float = 1.0
    name = "ebic"

    def __post_init__(self) -> None:
        """Refuse what rewards size."""
        real(self.gamma, "gamma", low=0)

    def criterion(self, log: Log, norms: Floats) -> Floats:
        """(m + 1,) EBIC after each step; minus infinity where the rewards are met exactly."""
        T, M, d = log.n_rounds, log.design.n_blocks, log.design.block_size
        m = np.arange(len(norms))
        gammaln = scipy.special.gammaln
        log_choices = gammaln(M + 1) - gammaln(m + 1) - gammaln(M - m + 1)
        with np.errstate(divide="ignore"):
            misfit = 2 * T * np.log(norms) - T * np.log(T)
        return np.asarray(misfit + m * d * np.log(T) + 2 * self.gamma * log_choices)


@dataclass(frozen=True)
class CrossValidation(_Least):
    """Keep as many actions as predict best on rounds that were held out.

    Of every K rounds in a row each is in another fold, in an order that is drawn anew (always the
    same), so that folds span the whole log and share no period with it. On the rounds outside a
    fold a path is taken anew, and after each of its steps its error is measured within.

    Parameters
    ----------
    n_folds : int
        K, from 2 to T.
    one_standard_error : bool
        Keep the fewest actions whose error is within one standard error, over the folds, of the
        least (Breiman et al. 1984), rather than those of the least itself.

    Raises
    ------
    ValueError
        If there are fewer than two folds.
    TypeError
        If ``n_folds`` is not an integer.
    """

    n_folds: int = 5
    one_standard_error: bool = False
    name = "cross_validation"
    by_norms = False

    def __post_init__(self) -> None:
        """Refuse what are no folds."""
        integer(self.n_folds, "n_folds", low=2)

    def count(self, log: Log, norms: Floats) -> int:
        """Where the error on held-out rounds is least, or nearly so."""
        return self.best(self.errors(log, len(norms) - 1))

    def best(self, errors: Floats) -> int:
        """How many actions the errors (n_folds, m + 1) of 0 … m actions speak for."""
        mean = errors.mean(axis=0)
        least = int(np.argmin(mean))
        if not self.one_standard_error:
            return least
        spread = errors[:, least].std(ddof=1) / np.sqrt(len(errors))
        return int(np.argmax(mean <= mean[least] + spread))

    def criterion(self, log: Log, norms: Floats) -> Floats:
        """(m + 1,) mean squared error on held-out rounds after each step."""
        return np.asarray(self.errors(log, len(norms) - 1).mean(axis=0))

    def errors(self, log: Log, n_steps: int) -> Floats:
        """(n_folds, n_steps + 1) mean squared error on each fold after each step.

        Raises
        ------
        ValueError
            If there are more folds than rounds.
        TypeError
            If the rounds of the design cannot be told apart.
        """
        if not hasattr(log.design, "rounds"):
            raise TypeError("cross-validation wants a log whose rounds are at hand, one by one")
        design, rewards = cast(Divisible, log.design), log.rewards
        if self.n_folds > design.n_rounds:
            raise ValueError(f"n_folds must be at most T={design.n_rounds}, got {self.n_folds}")
        errors = np.empty((self.n_folds, n_steps + 1))
        for fold, inside in enumerate(self.folds(design.n_rounds)):
            train, test = design.rounds(~inside), design.rounds(inside)
            support = solve(train, rewards[~inside], n_steps, -1.0, log.selection)[0]
            errors[fold] = held_out_errors(
                train, rewards[~inside], test, rewards[inside], support, n_steps
            )
        return errors

    def folds(self, n_rounds: int) -> Iterator[npt.NDArray[np.bool_]]:
        """(T,) for each fold, whether a round is in it: the same for longer logs."""
        rng = np.random.default_rng(0)
        runs = [rng.permutation(self.n_folds) for _ in range(-(-n_rounds // self.n_folds))]
        place = np.concatenate(runs)[:n_rounds]
        for fold in range(self.n_folds):
            yield place == fold


def held_out_errors(
    train: BlockDesign,
    rewards: Floats,
    test: BlockDesign,
    test_rewards: Floats,
    support: Ints,
    n_steps: int,
) -> Floats:
    """(n_steps + 1,) mean squared error on other rounds after each step of a path.

    A path that ends early keeps its last error.
    """
    held = test.columns(support, None).reshape(-1, test.n_rounds)
    missed = test_rewards - path_weights(train, rewards, support) @ held
    along = np.mean(missed**2, axis=1)
    return np.concatenate([along, np.full(n_steps + 1 - len(along), along[-1])])
