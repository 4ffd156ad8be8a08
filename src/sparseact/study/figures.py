"""Figures: one style, saved as PDF, SVG and PNG with the same bytes every time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from sparseact.study.store import atomic

if TYPE_CHECKING:
    from IPython.display import Image
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Dark to light, so that an ordered axis keeps its order in grey; every line also has a marker.
ORDERED = "viridis"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
# Wide enough for a text column of a paper, in inches.
WIDTH = 7.2
# What each format calls the time of its making.
_STAMPS = {"png": None, "svg": "Date", "pdf": "CreationDate"}


def set_style() -> None:
    """One look for all figures."""
    # The font that comes with Matplotlib: others would make other bytes where they are installed.
    sns.set_theme(context="paper", style="ticks", palette="colorblind", font="DejaVu Sans")
    mpl.rcParams.update(
        {
            "axes.grid": True,
            "axes.titlesize": "medium",
            "figure.constrained_layout.use": True,
            "figure.dpi": 100,
            "grid.alpha": 0.3,
            "legend.frameon": False,
            "pdf.fonttype": 42,
            "svg.fonttype": "path",
            "svg.hashsalt": "sparseact",
            "xtick.minor.visible": False,
            "ytick.minor.visible": False,
        }
    )


def ordered(values: Sequence[Any]) -> dict[Any, tuple[tuple[float, ...], str]]:
    """A colour and a marker for each of some ordered values."""
    colours = plt.get_cmap(ORDERED)(np.linspace(0.0, 0.85, max(len(values), 2)))
    return {
        value: (tuple(colour), MARKERS[i % len(MARKERS)])
        for i, (value, colour) in enumerate(zip(values, colours, strict=False))
    }


def with_interval(ax: Axes, x: Any, ds: Any, name: str, **style: Any) -> None:
    """Draw a variable of a dataset against x, with its 95 % interval as error bars."""
    value, low, high = (np.asarray(ds[f"{name}{end}"]) for end in ("", "_low", "_high"))
    known = np.isfinite(value)
    spread = np.clip([value - low, high - value], 0, None)[:, known]
    ax.errorbar(
        np.asarray(x)[known],
        value[known],
        np.nan_to_num(spread),
        **{"capsize": 2, "markersize": 4, "linewidth": 1, **style},
    )


def powers(ax: Axes, axis: str, values: Sequence[float]) -> None:
    """Put ticks of a logarithmic axis where the data are."""
    which = ax.xaxis if axis == "x" else ax.yaxis
    which.set_major_locator(mpl.ticker.FixedLocator(list(values)))
    which.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    which.set_minor_locator(mpl.ticker.NullLocator())


def save(figure: Figure, name: str, reports: str | Path) -> Image:
    """Write ``figures/<name>`` in each format, and give the picture back for the page.

    As PNG, SVG and PDF, or those that ``STUDY_FORMATS`` in the environment names, PNG among them.

    Raises
    ------
    OSError
        If a file cannot be written; none of that name is left half-written.
    """
    from IPython.display import Image

    folder = Path(reports) / "figures"
    # No clock in the files: the same figure is the same bytes.
    for suffix in os.environ.get("STUDY_FORMATS", "png svg pdf").split():
        stamp = _STAMPS[suffix]
        with atomic(folder / f"{name}.{suffix}") as partial:
            metadata = {stamp: None} if stamp else None
            figure.savefig(partial, format=suffix, dpi=200, metadata=metadata)
        figure.set_layout_engine("none")  # all formats are laid out as the first
    plt.close(figure)
    data = (folder / f"{name}.png").read_bytes()
    picture: Image = Image(data=data, width=int(WIDTH * 110), alt=name.replace("_", " "))
    return picture
