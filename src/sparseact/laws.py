"""Rival laws for the rounds needed, fitted on a logarithmic scale.

A law says ``T* = a · g(M, k, d; c)`` with a free factor a and, in some, one free constant c > 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares, minimize_scalar

from sparseact.arguments import instance, integer, real_array
from sparseact.design import Floats, Ints


@dataclass(frozen=True)
class Points:
    """Where the rounds needed were measured: arrays (n,) of M, k, d and the use rate of actions."""

    n_actions: Floats
    sparsity: Floats
    latent_dim: Floats
    use_rate: Floats

    def take(self, which: Ints) -> Points:
        """Some of the points."""
        return Points(
            self.n_actions[which],
            self.sparsity[which],
            self.latent_dim[which],
            self.use_rate[which],
        )

    def __len__(self) -> int:
        return len(self.n_actions)


@dataclass(frozen=True)
class Law:
    """A law's shape g and whether it has a constant c."""

    shape: Callable[[Points, float], Floats]
    has_constant: bool


def _log(points: Points) -> Floats:
    return np.log(points.n_actions)


LAWS: dict[str, Law] = {
    "k d log M": Law(lambda p, c: p.sparsity * p.latent_dim * _log(p), False),
    "k (d + c log M)": Law(lambda p, c: p.sparsity * (p.latent_dim + c * _log(p)), True),
    "k log M": Law(lambda p, c: p.sparsity * _log(p), False),
    "(d + c log M) / use rate": Law(lambda p, c: (p.latent_dim + c * _log(p)) / p.use_rate, True),
}
PAPER = "k d log M"

LOG_CONSTANT = (-7.0, 7.0)
# Ends of the index λ and of log c of growth.
_GROWTH = ([-2, -12], [3, 8])


@dataclass(frozen=True)
class LawFit:
    """A fitted law: factor a, constant c (NaN without one), and the residual sum of squares."""

    law: Law
    scale: float
    constant: float
    rss: float

    def predict(self, points: Points) -> Floats:
        """(n,) rounds that the law predicts."""
        return self.scale * self.law.shape(points, self.constant)


def fit_law(law: Law, points: Points, rounds: Floats) -> LawFit:
    """Least squares of log rounds (n,) on a law, the factor profiled out.

    Raises
    ------
    ValueError
        If there are no points, they do not have one number of rounds each, or a number is not
        positive and finite; actions must be more than one.
    TypeError
        If ``law`` is not a Law, or ``points`` are not Points.
    """
    instance(law, Law, "law")
    points, rounds = _checked(points, rounds)
    log_rounds = np.log(rounds)

    def residuals(log_constant: float) -> Floats:
        free = log_rounds - np.log(law.shape(points, np.exp(log_constant)))
        return free - free.mean()

    best = 0.0
    if law.has_constant:
        best = minimize_scalar(
            lambda u: float(np.sum(residuals(u) ** 2)), bounds=LOG_CONSTANT, method="bounded"
        ).x
    constant = float(np.exp(best))
    scale = float(np.exp(np.mean(log_rounds - np.log(law.shape(points, constant)))))
    rss = float(np.sum(residuals(best) ** 2))
    return LawFit(law, scale, constant if law.has_constant else np.nan, rss)


def leave_one_out(law: Law, points: Points, rounds: Floats) -> Floats:
    """(n,) errors of log rounds at each point when the law is fitted to the others.

    Raises
    ------
    ValueError
        As :func:`fit_law`; there must be two points.
    TypeError
        As :func:`fit_law`.
    """
    points, rounds = _checked(points, rounds, least=2)
    n = len(points)
    errors = np.empty(n)
    for i in range(n):
        others = np.delete(np.arange(n), i)
        fit = fit_law(law, points.take(others), rounds[others])
        errors[i] = np.log(rounds[i] / fit.predict(points.take(np.array([i])))[0])
    return errors


def aicc(fit: LawFit, n: int) -> float:
    """Corrected Akaike criterion of a Gaussian fit to n points (Hurvich and Tsai 1989).

    NaN where there are too few points for it, -∞ where the fit is exact.

    Raises
    ------
    ValueError
        If n is not positive, or more than doubles can count.
    TypeError
        If ``fit`` is not a LawFit, or n not an integer.
    """
    instance(fit, LawFit, "fit")
    integer(n, "n", 1, 2**53)
    free = 2 + fit.law.has_constant  # factor, constant, variance
    if n <= free + 1:
        return np.nan
    if fit.rss == 0:
        return -np.inf
    return n * np.log(fit.rss / n) + 2 * free + 2 * free * (free + 1) / (n - free - 1)


def _checked(points: Points, rounds: npt.ArrayLike, least: int = 1) -> tuple[Points, Floats]:
    """Points and rounds (n,) as positive numbers, or a ValueError; see :func:`fit_law`."""
    instance(points, Points, "points")
    values = real_array(rounds, "rounds", (None,))
    if len(values) < least:
        raise ValueError(f"rounds must be at least {least}, got {len(values)}")
    names = [field.name for field in fields(Points)]
    columns = [real_array(getattr(points, name), name, values.shape) for name in names]
    for name, column in zip(["rounds", *names], [values, *columns], strict=True):
        lowest = 1.0 if name == "n_actions" else 0.0  # log M is divided by
        if not ((column > lowest) & (column < np.inf)).all():
            raise ValueError(f"{name} must be finite and above {lowest:g}, got {column}")
    return Points(*columns), values


AXES = ("sparsity", "latent_dim", "log_actions")


def fit_exponents(points: Points, rounds: Floats) -> tuple[Floats, Floats]:
    """Exponents of k, d and log M in ``T* = a k^α d^β (log M)^γ``, by least squares on log T*.

    Returns
    -------
    exponents : array (3,)
        NaN for an axis that is not varied, or where there are too few points.
    predicted : array (n,)
        The fitted rounds; as measured where nothing could be fitted.

    Raises
    ------
    ValueError, TypeError
        As :func:`fit_law`.
    """
    points, rounds = _checked(points, rounds)
    logs = np.log(np.stack([points.sparsity, points.latent_dim, _log(points)]))
    varied = np.ptp(logs, axis=1) > 0
    found = np.full(len(AXES), np.nan)
    predictors = np.vstack([np.ones(len(points)), logs[varied]]).T
    solution, _, rank, _ = np.linalg.lstsq(predictors, np.log(rounds), rcond=None)
    if rank < predictors.shape[1] or len(points) <= predictors.shape[1]:
        return found, rounds
    found[varied] = solution[1:]
    return found, np.exp(predictors @ solution)


def _series(points: Points) -> tuple[npt.NDArray[np.bool_], Ints]:
    """Points of a (k, d) seen at three or more M (n,), and the number of the series of each."""
    pairs = np.stack([points.sparsity, points.latent_dim], axis=1)
    _, group, size = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    kept = size[group] >= 3
    return kept, np.unique(group[kept], return_inverse=True)[1]


def _centred(values: Floats, group: Ints) -> Floats:
    """Values less the mean of their group."""
    return values - (np.bincount(group, values) / np.bincount(group))[group]


def fit_elasticity(points: Points, rounds: Floats) -> float:
    """Slope of log T* against log M, with a factor of its own for every (k, d).

    0 where M does not matter, 1 where T* is proportional to M. NaN where no (k, d) was seen at
    three M.

    Raises
    ------
    ValueError, TypeError
        As :func:`fit_law`.
    """
    points, rounds = _checked(points, rounds)
    kept, group = _series(points)
    if not kept.any():
        return np.nan
    log_m = _centred(_log(points)[kept], group)
    log_rounds = _centred(np.log(rounds[kept]), group)
    return float(log_m @ log_rounds / (log_m @ log_m))


def fit_growth(points: Points, rounds: Floats, start: Floats | None = None) -> Floats:
    """Box–Cox growth of T* with M: index λ, 0 for logarithmic and 1 for linear, and log c.

    Fits ``T* = A_(k,d) · (1 + c · ((M/M₀)^λ − 1)/λ)`` by least squares on log T*, with a factor of
    its own for every (k, d) seen at three or more M, one c > 0 and one λ in [-2, 3] for all, M₀
    the smallest M.

    Parameters
    ----------
    points, rounds : Points and array (n,)
    start : array (2,), optional
        A result to begin from, for the like data of a bootstrap.

    Returns
    -------
    array (2,)
        λ and log c; NaN where no (k, d) was seen at three M.

    Raises
    ------
    ValueError
        As :func:`fit_law`, or if ``start`` is not two numbers, λ within [-2, 3] and log c within
        [-12, 8].
    TypeError
        As :func:`fit_law`.
    """
    points, rounds = _checked(points, rounds)
    if start is not None:
        start = real_array(start, "start", (2,))
        if not ((start >= _GROWTH[0]) & (start <= _GROWTH[1])).all():
            raise ValueError(f"start must lie within {_GROWTH}, got {start}")
        start = np.where(np.abs(start) < 1e-8, 0.0, start)  # the first step is relative to it
    kept, group = _series(points)
    if not kept.any():
        return np.full(2, np.nan)
    log_m = np.log(points.n_actions[kept] / points.n_actions[kept].min())
    log_rounds = np.log(rounds[kept])

    def residuals(theta: Floats) -> Floats:
        index, log_c = theta
        grown = log_m if abs(index) < 1e-8 else np.expm1(index * log_m) / index
        return _centred(log_rounds - np.log1p(np.exp(log_c) * grown), group)

    # A start on each side, because the surface is curved along log c + λ.
    starts = [(0.1, np.log(0.3)), (1.0, np.log(0.5))] if start is None else [start]
    fits = [least_squares(residuals, one, bounds=_GROWTH) for one in starts]
    return np.asarray(min(fits, key=lambda fit: fit.cost).x)
