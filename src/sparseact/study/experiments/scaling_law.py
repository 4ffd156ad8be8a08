"""`scaling_law`: which law the rounds needed follow, fitted on `phase_transition`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import bootstrap

from sparseact import laws
from sparseact.curves import interval
from sparseact.design import Floats
from sparseact.laws import LAWS, PAPER, Points
from sparseact.study.cell import Cell
from sparseact.study.experiments.grid import empty, put

log = logging.getLogger(__name__)

# Fewer thresholds than this cannot tell laws apart.
LEAST_POINTS = 5
PAPER_SELECTION = "correlation"


def fit(phase_transition: xr.Dataset, cells: Sequence[Cell], *, seed: int) -> xr.Dataset:
    """Fit and compare the laws for every design, quantity and quantile.

    Thresholds are those of the paper's selection rule. Intervals of laws and exponents are
    bootstraps of the residuals, which hold a law's misfit as well as Monte-Carlo error; those of
    the growth with M are bootstraps over trials.

    Parameters
    ----------
    phase_transition : xarray.Dataset
    cells : sequence of Cell
        The grid, for the use rate of each scenario.
    seed : int

    Returns
    -------
    xarray.Dataset
        As the registry says of kind ``scaling_law``; NaN where fewer than five thresholds stand.
    """
    source = phase_transition.sel(selection=PAPER_SELECTION)
    ds = _empty(source)
    for design in source["design"].values:
        of_design = [
            cell for cell in cells if cell.label == design and cell.selection == PAPER_SELECTION
        ]
        for quantity in source["quantity"].values:
            for quantile in source["quantile"].values:
                at = {"design": design, "quantity": quantity, "quantile": quantile}
                points, value, replicates = _thresholds(source, of_design, at)
                if len(points) >= LEAST_POINTS:
                    label = f"{design}/{quantity}/{quantile}".encode()
                    rng = np.random.default_rng([seed, *label])
                    _fit_one(ds, at, points, value, replicates, rng)
                log.info("%s, %s, %s: %d thresholds", design, quantity, quantile, len(points))
    return ds


def _thresholds(
    source: xr.Dataset, cells: Sequence[Cell], at: dict[str, Any]
) -> tuple[Points, Floats, Floats]:
    """Grid points, what is needed there (n,), and its replicates (n, r), where it is known."""
    needed = source[f"{at['quantity']}_needed"]
    rows, values, replicates = [], [], []
    for cell in cells:
        scenario = cell.scenario
        place = {
            "design": at["design"],
            "n_actions": scenario.n_actions,
            "sparsity": scenario.sparsity,
            "latent_dim": scenario.latent_dim,
            "quantile": at["quantile"],
        }
        value = float(needed.sel(place))
        drawn = source["needed_replicates"].sel({**place, "quantity": at["quantity"]}).values
        if np.isfinite(value) and np.isfinite(drawn).all():
            # Coverage is counted per action already: there the use rate plays no part.
            rate = scenario.use_rate if at["quantity"] == "rounds" else 1.0
            rows.append((scenario.n_actions, scenario.sparsity, scenario.latent_dim, rate))
            values.append(value)
            replicates.append(drawn)
    columns = np.array(rows, dtype=float).reshape(-1, 4).T
    return Points(*columns), np.array(values), np.array(replicates)


def _fit_one(
    ds: xr.Dataset,
    at: dict[str, Any],
    points: Points,
    value: Floats,
    replicates: Floats,
    rng: np.random.Generator,
) -> None:
    n, r = replicates.shape
    resampled = rng.integers(0, n, size=(r, n))

    def refitted(
        statistic: Callable[[Points, Floats], Any], predicted: Floats, free: int
    ) -> tuple[Floats, Floats]:
        residuals = np.log(value / predicted) * np.sqrt(n / (n - free))
        drawn = [statistic(points, predicted * np.exp(residuals[which])) for which in resampled]
        return interval(np.array(drawn, dtype=float).T)

    errors = {}
    grid = _grid_points(ds, points)
    for name, law in LAWS.items():
        there = {**at, "law": name}
        fitted = laws.fit_law(law, points, value)
        errors[name] = laws.leave_one_out(law, points, value)

        def parameters(p: Points, v: Floats, law: laws.Law = law) -> tuple[float, float]:
            again = laws.fit_law(law, p, v)
            return again.scale, again.constant

        low, high = refitted(parameters, fitted.predict(points), 1 + law.has_constant)
        put(ds, "law_scale", there, (fitted.scale, low[0], high[0]))
        if law.has_constant:
            ends = (fitted.constant, low[1], high[1])
            # At the end of the range searched, all that is known is that it is beyond.
            put(ds, "law_constant", there, [_or_beyond(end) for end in ends])
        ds["loo_error"].loc[there] = np.sqrt(np.mean(errors[name] ** 2))
        ds["aicc"].loc[there] = laws.aicc(fitted, n)
        if grid is not None:
            shape = ds["law_prediction"].loc[there].shape
            ds["law_prediction"].loc[there] = fitted.predict(grid).reshape(shape)

    estimates, predicted = laws.fit_exponents(points, value)
    low, high = refitted(lambda p, v: laws.fit_exponents(p, v)[0], predicted, 1 + len(estimates))
    for axis, *numbers in zip(laws.AXES, estimates, low, high, strict=True):
        put(ds, "exponent", {**at, "axis": axis}, numbers)

    slope = laws.fit_elasticity(points, value)
    slopes = np.array([laws.fit_elasticity(points, again) for again in replicates.T])
    put(ds, "elasticity", at, (slope, *interval(slopes)))
    growth = laws.fit_growth(points, value)
    if np.isfinite(growth).all():
        drawn = [laws.fit_growth(points, again, start=growth)[0] for again in replicates.T]
        put(ds, "growth_index", at, (growth[0], *interval(np.array(drawn))))

    best = min((name for name in LAWS if name != PAPER), key=lambda name: np.sum(errors[name] ** 2))
    excess = bootstrap(
        (errors[PAPER], errors[best]),
        lambda paper, rival, axis: (
            0.5 * np.log(np.mean(paper**2, axis=axis) / np.mean(rival**2, axis=axis))
        ),
        paired=True,
        vectorized=True,
        n_resamples=2000,
        method="percentile",
        rng=rng,
    )
    estimate = 0.5 * np.log(np.mean(errors[PAPER] ** 2) / np.mean(errors[best] ** 2))
    put(ds, "paper_excess_error", at, (estimate, *excess.confidence_interval))


def _grid_points(ds: xr.Dataset, points: Points) -> Points | None:
    """The full cross of M, k and d, where the use rate is a function of M alone."""
    rate = dict(zip(points.n_actions, points.use_rate, strict=True))
    axes = np.meshgrid(ds["n_actions"], ds["sparsity"], ds["latent_dim"], indexing="ij")
    M, k, d = (axis.ravel().astype(float) for axis in axes)
    return Points(M, k, d, np.array([rate.get(m, np.nan) for m in M]))


def _or_beyond(constant: float) -> float:
    largest = np.exp(laws.LOG_CONSTANT[1])
    return float("inf") if constant >= 0.99 * largest else constant


def _empty(source: xr.Dataset) -> xr.Dataset:
    axes = ("design", "quantity", "quantile", "n_actions", "sparsity", "latent_dim")
    coords = {name: source[name].values for name in axes}
    return empty("scaling_law", {**coords, "law": list(LAWS), "axis": list(laws.AXES)})
