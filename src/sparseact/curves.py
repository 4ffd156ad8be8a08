"""Recovery curves: the probability of recovery against rounds, and where it crosses a level.

Statistics come from statsmodels; this module says what is fitted to what. Importing it is slow.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.special
from scipy.optimize import isotonic_regression
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.stats.proportion import proportion_confint
from statsmodels.tools.sm_exceptions import HessianInversionWarning, PerfectSeparationWarning

from sparseact.arguments import broadcast, instance, integer, numbers, real_array
from sparseact.design import Floats

Counts = npt.NDArray[Any]

_MOST_REPLICATES = 10**6
# A probability that is 0 for all that a fit can tell.
_CERTAIN = 1e-8
# Replicates that are fitted as one.
_TOGETHER = 10


def wilson(successes: npt.ArrayLike, trials: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Share of successes with its 95 % Wilson interval.

    Parameters
    ----------
    successes, trials : int arrays that broadcast
        Where there are no trials, all three are NaN.

    Returns
    -------
    share, low, high : arrays

    Raises
    ------
    ValueError
        If shapes do not fit each other, a number is negative or not finite or above 2⁵³, or there
        are more successes than trials.
    """
    successes, done = _counts(successes, trials)
    count, n = np.where(done > 0, successes, 0), np.maximum(done, 1)
    low, high = proportion_confint(count, n, alpha=0.05, method="wilson")
    share = count / n
    # The ends lie within [0, 1] but for rounding.
    ends = (
        share,
        np.minimum(np.maximum(low, 0.0), share),
        np.maximum(np.minimum(high, 1.0), share),
    )
    share, low, high = (np.where(done > 0, end, np.nan) for end in ends)
    return share, low, high


def fit_curve(
    x: npt.ArrayLike,
    successes: npt.ArrayLike,
    trials: npt.ArrayLike,
    start: Curve | None = None,
) -> Curve | None:
    """Binomial regression of success on log x and its square, logit link.

    The square is there because recovery curves are not symmetric: where coverage decides, they
    have a long lower and a short upper tail, and a straight logit misplaces the upper quantiles.

    Parameters
    ----------
    x : positive array (n,)
        Rounds, or coverage.
    successes, trials : int arrays (n,)
    start : Curve, optional
        Where the fit begins; a near one saves time and changes nothing else.

    Returns
    -------
    Curve or None
        None where it is not determined: fewer than three values of x, or successes and failures
        that do not overlap.

    Raises
    ------
    ValueError
        If x is not positive and finite, or the counts are not as :func:`wilson` asks, one for each.
    TypeError
        If ``start`` is not a Curve.
    """
    if start is not None:
        instance(start, Curve, "start")
    x = _positive(x)
    successes, trials = _counts(successes, trials, x.shape)
    tried = trials > 0
    log_x, won = np.log(x[tried]), successes[tried]
    lost = trials[tried] - won
    if not _is_determined(log_x, won, lost):
        return None
    centre = float(log_x.mean())
    begin = None if start is None else start.coefficients
    # Reweighted least squares takes no half steps and can overshoot steep data for good.
    for way in ("IRLS", "bfgs"):
        try:
            (found,) = _regressions(log_x - centre, won[None], lost[None], begin, way)
        except PerfectSeparationWarning:
            return None
        if np.isfinite(found).all():
            return Curve(centre, *found)
    return None


def _is_determined(log_x: Floats, won: Floats, lost: Floats) -> bool:
    """Whether successes and failures overlap, at three places or more."""
    if len(log_x) < 3 or not won.any() or not lost.any():
        return False
    return bool(log_x[won > 0].min() < log_x[lost > 0].max())


def _regressions(
    s: Floats, won: Floats, lost: Floats, start: Sequence[float] | None, way: str
) -> Floats:
    """(r, 3) coefficients for each row of counts (r, n); NaN where the likelihood has no maximum.

    All rows are one regression, each with coefficients of its own: a fit of many takes hardly
    longer than a fit of one.

    Raises
    ------
    PerfectSeparationWarning
        If every row is separated.
    """
    r = len(won)
    predictors = scipy.linalg.block_diag(*[np.vander(s, 3, increasing=True)] * r)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of steps that overshoot on the way
        warnings.simplefilter("ignore", HessianInversionWarning)
        warnings.simplefilter("error", PerfectSeparationWarning)
        model = GLM(np.column_stack([won.ravel(), lost.ravel()]), predictors, family=Binomial())
        limits = {"attach_wls": False} if way == "IRLS" else {"maxiter": 1000, "disp": 0}
        fit = model.fit(start_params=start and np.tile(start, r), method=way, **limits)
        gradients = np.abs(model.score(fit.params).reshape(r, -1)).max(axis=1)
        likely = fit.fittedvalues.reshape(r, -1)
    # A gradient is small next to the trials that it sums over; and it takes as many places that are
    # not certain as there are coefficients, or these run off for good.
    level = gradients <= 1e-5 * (won + lost).sum(axis=1)
    tells = (np.minimum(likely, 1 - likely) > _CERTAIN).sum(axis=1) >= 3
    return np.where((level & tells)[:, None], fit.params.reshape(r, -1), np.nan)


@dataclass(frozen=True)
class Curve:
    """``logit p = intercept + slope · s + bend · s²`` with ``s = log x - centre``."""

    centre: float
    intercept: float
    slope: float
    bend: float

    @property
    def coefficients(self) -> list[float]:
        """Of 1, s and s²."""
        return [self.intercept, self.slope, self.bend]

    def crossing(self, quantiles: npt.ArrayLike) -> Floats:
        """(q,) x where the rising branch reaches each probability; NaN where it does not.

        Raises
        ------
        ValueError
            If a probability is not within (0, 1).
        """
        target = scipy.special.logit(_levels(quantiles)) - self.intercept
        under_root = self.slope**2 + 4 * self.bend * target
        root = np.sqrt(np.where(under_root >= 0, under_root, np.nan))
        if self.slope > 0:  # the form of the root that stays exact as the bend vanishes
            return np.exp(self.centre + 2 * target / (self.slope + root))
        if self.bend:  # a curve that falls at its centre rises to one side of it
            return np.exp(self.centre + (root - self.slope) / (2 * self.bend))
        return np.full(target.shape, np.nan)


def needed(
    x: npt.ArrayLike,
    successes: Counts,
    trials: Counts,
    quantiles: Sequence[float],
    *,
    replicates: int,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """How much x is needed for each probability of success, with bootstrap replicates.

    Parameters
    ----------
    x : positive array (n,)
    successes, trials : int arrays (independent trial, n)
        A row is one independent trial, seen at several x; rows are what is resampled, since the
        outcomes of one trial at different x depend on each other.
    quantiles : sequence of q floats in (0, 1)
    replicates : int
    rng : numpy Generator

    Returns
    -------
    estimate : array (q,)
        NaN where the curve is not determined, or crosses outside the range of x.
    replicates : array (q, replicates)

    Raises
    ------
    ValueError
        If x is not positive and finite, the counts are not as :func:`wilson` asks, one for each
        trial and x, or a quantile or the number of replicates is out of range.
    TypeError
        If ``replicates`` is not an integer, or ``rng`` no generator.
    """
    values, levels = _positive(x), _levels(quantiles)
    successes, trials = _counts(successes, trials, (None, len(values)))
    integer(replicates, "replicates", 1, _MOST_REPLICATES)
    instance(rng, np.random.Generator, "rng")
    if not len(successes):
        raise ValueError("successes must have at least one trial")
    curve = fit_curve(values, successes.sum(0), trials.sum(0))
    if curve is None:
        return np.full(len(levels), np.nan), np.full((len(levels), replicates), np.nan)
    estimate = curve.crossing(levels)
    estimate[(estimate < values.min()) | (estimate > values.max())] = np.nan
    n = len(successes)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=replicates)
    won, tried = drawn @ successes.astype(float), drawn @ trials.astype(float)
    again = _fitted_again(values, won, tried, curve)
    undetermined = np.full(len(levels), np.nan)
    crossings = [undetermined if one is None else one.crossing(levels) for one in again]
    return estimate, np.array(crossings).T


def _fitted_again(x: Floats, successes: Floats, trials: Floats, start: Curve) -> list[Curve | None]:
    """The curve of each row of counts (r, n), as :func:`fit_curve` fits it, near another one."""
    log_x, lost = np.log(x), trials - successes
    centre = float(log_x.mean())
    s = log_x - centre
    found: list[Curve | None] = [None] * len(trials)
    easy = [
        i
        for i, tried in enumerate(trials > 0)
        if tried.all() and _is_determined(log_x, successes[i], lost[i])
    ]
    for first in range(0, len(easy), _TOGETHER):
        rows = easy[first : first + _TOGETHER]
        with suppress(PerfectSeparationWarning):
            fits = _regressions(s, successes[rows], lost[rows], start.coefficients, "IRLS")
            for i, fit in zip(rows, fits, strict=True):
                found[i] = Curve(centre, *fit) if np.isfinite(fit).all() else None
    return [
        fit_curve(x, w, t, start) if one is None else one
        for one, w, t in zip(found, successes, trials, strict=True)
    ]


def interpolated(x: npt.ArrayLike, share: npt.ArrayLike, quantiles: npt.ArrayLike) -> Floats:
    """(q,) where the isotonic fit to shares of success crosses each level, linear in log x.

    NaN where it does not, within the range of x.

    Raises
    ------
    ValueError
        If x is not positive and finite, there is not one share for each, a share is NaN, or a level
        not finite.
    """
    x = _positive(x)
    shares = real_array(share, "share", x.shape)
    levels = numbers(quantiles, "quantiles", (None,))
    if np.isnan(shares).any():
        raise ValueError("share must not be NaN")
    rising, log_x = isotonic_regression(shares).x, np.log(x)
    found = np.full(len(levels), np.nan)
    for i, q in enumerate(levels):
        above = int(np.searchsorted(rising, q))
        if 0 < above < len(rising):
            lower, upper = rising[above - 1], rising[above]
            part = (q - lower) / (upper - lower)
            found[i] = np.exp(log_x[above - 1] + part * (log_x[above] - log_x[above - 1]))
    return found


def interval(replicates: Floats) -> tuple[Floats, Floats]:
    """95 % percentile interval along the last axis; NaN where a twentieth is undetermined.

    Raises
    ------
    ValueError
        If they are not real numbers, or none.
    """
    replicates = real_array(replicates, "replicates")
    if replicates.ndim == 0 or replicates.size == 0:
        raise ValueError(f"replicates must have shape (…, r), got {replicates.shape}")
    undetermined = np.isnan(replicates).mean(axis=-1) >= 0.05
    filled = np.where(undetermined[..., None], 0.0, replicates)
    low, high = np.nanpercentile(filled, [2.5, 97.5], axis=-1)
    return np.where(undetermined, np.nan, low), np.where(undetermined, np.nan, high)


def _positive(x: npt.ArrayLike) -> Floats:
    values = numbers(x, "x", (None,))
    if not (values > 0).all():
        raise ValueError(f"x must be positive, got {values}")
    return values


def _levels(quantiles: npt.ArrayLike) -> Floats:
    levels = real_array(quantiles, "quantiles", (None,))
    if not ((levels > 0) & (levels < 1)).all():
        raise ValueError(f"quantiles must lie between 0 and 1, got {levels}")
    return levels


def _counts(
    successes: npt.ArrayLike, trials: npt.ArrayLike, shape: tuple[int | None, ...] | None = None
) -> tuple[Floats, Floats]:
    """Successes and trials of one shape, or a ValueError."""
    # Larger counts are not whole in doubles.
    won, tried = broadcast(
        numbers(successes, "successes", shape, largest=2.0**53),
        numbers(trials, "trials", shape, largest=2.0**53),
    )
    # Weighted sums of shares may exceed those of trials by rounding.
    if (won < 0).any() or (won > tried * (1 + 1e-9)).any():
        raise ValueError("successes must lie between 0 and trials")
    return won, tried
