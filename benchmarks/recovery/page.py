"""The same as a page of its own: tables, and plots that are readable in grey."""

from __future__ import annotations

import html
import io
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from . import report
from .contenders import CONTENDERS

# What a contender works on, told by shape first and by colour second.
_LOOKS = {
    "ours": ("D", "#000000"),
    "matrix-free": ("o", "#0173b2"),
    "sparse Ψ": ("^", "#029e73"),
    "dense X": ("v", "#cc78bc"),
    "dense Ψ": ("s", "#d55e00"),
}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: .5rem 0 2rem; font-variant-numeric: tabular-nums }
th, td { padding: .1rem .7rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child, td.why { text-align: left }
tr.ours { font-weight: 600; background: #f2f2f2 }
svg { max-width: 100%; height: auto }
"""


def page(results: dict[str, Any]) -> str:
    """HTML that needs nothing else."""
    parts = ["<!doctype html><html lang='en'><meta charset='utf-8'>"]
    parts.append(f"<title>Block-sparse recovery, measured</title><style>{_STYLE}</style>")
    parts.append("<h1>Block-sparse recovery, measured</h1>")
    parts += [f"<p>{html.escape(one)}</p>" for one in report.machine_lines(results)]
    said = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    parts.append(f"<p>{html.escape(said)}</p>")
    parts.append("<h2>Where a peer beats us</h2><ul>")
    parts += [f"<li>{html.escape(one)}</li>" for one in report.peer_lines(results)]
    parts.append("</ul>")
    _style()
    threads = results["plan"]["threads"][0]
    parts.append(f"<h2>Time ({threads} thread)</h2>")
    parts.append(_svg(_by_contender(results, "total", 1, "seconds, from the raw log")))
    parts.append("<h2>Memory</h2>")
    parts.append(
        _svg(_by_contender(results, "increase_bytes", 1e-6, "MB at the peak, above the loaded log"))
    )
    if results["growth"]:
        parts.append("<h2>Growth</h2>")
        parts.append(_svg(_growth(results)))
        parts += [f"<p>{html.escape(one)}</p>" for one in report.growth_lines(results)]
    parts.append("<h2>Tables</h2>")
    ours = {one.label for one in CONTENDERS.values() if one.package == "sparseact"}
    for name, about, rows in report.sections(results):
        parts.append(f"<h3>{html.escape(name)}</h3><p>{html.escape(about)}</p><table><tr>")
        parts += [f"<th>{html.escape(one)}</th>" for one in report.HEAD]
        parts.append("</tr>")
        for label, *cells in rows:
            parts.append("<tr class='ours'>" if label in ours else "<tr>")
            parts.append(f"<td>{html.escape(label)}</td>")
            if len(cells) == 1:
                width = len(report.HEAD) - 1
                parts.append(f"<td class='why' colspan='{width}'>{html.escape(cells[0])}</td>")
            else:
                parts += [f"<td>{html.escape(one)}</td>" for one in cells]
            parts.append("</tr>")
        parts.append("</table>")
    parts += [f"<p>{html.escape(one)}</p>" for one in report.notes(results) if one]
    return "\n".join(parts) + "</html>\n"


def _style() -> None:
    sns.set_theme(context="paper", style="ticks", palette="colorblind")
    mpl.rcParams.update(
        {
            "axes.grid": True,
            "figure.constrained_layout.use": True,
            "grid.alpha": 0.3,
            "legend.frameon": False,
            "svg.fonttype": "path",
            "svg.hashsalt": "sparseact",
        }
    )


def _look(name: str) -> tuple[str, str]:
    one = CONTENDERS[name]
    return _LOOKS["ours" if one.package == "sparseact" else one.on]


def _by_contender(results: dict[str, Any], key: str, scale: float, label: str):
    """A panel a log: contenders downwards, in the order of the first that has them all."""
    logs = results["logs"]
    threads = results["plan"]["threads"][0]
    names = [
        one
        for one in results["plan"]["contenders"]
        if any(r["contender"] == one for r in results["records"])
    ][::-1]
    height = 0.9 + 0.17 * len(names)
    figure, axes = plt.subplots(
        1, len(logs), figsize=(2.6 + 1.25 * len(logs), height), sharey=True, squeeze=False
    )
    for ax, log in zip(axes[0], logs, strict=True):
        for record in report.ordered(results, log, threads):
            y = names.index(record["contender"])
            if record["outcome"] == "done":
                marker, colour = _look(record["contender"])
                filled = colour if record["exact"] else "none"
                value = max(record[key] * scale, 1e-3 if key != "total" else 0)
                ax.plot(value, y, marker, color=colour, markerfacecolor=filled, markersize=5)
            else:
                ax.text(
                    0.98,
                    y,
                    record["outcome"],
                    transform=ax.get_yaxis_transform(),
                    ha="right",
                    va="center",
                    fontsize=5,
                    color="0.3",
                )
        ax.set_xscale("log")
        ends = np.log10(ax.get_xlim())
        ax.set_xlim(10 ** np.floor(ends[0]), 10 ** np.ceil(ends[1]))  # whole decades have labels
        ax.set_title(f"{log['size']}, {report.KIND[log['kind']]}")
        ax.set_yticks(range(len(names)), [CONTENDERS[one].label for one in names])
        ax.set_ylim(-0.7, len(names) - 0.3)
    handles = [
        mpl.lines.Line2D([], [], marker=marker, color=colour, linestyle="none", label=what)
        for what, (marker, colour) in _LOOKS.items()
    ]
    handles.append(
        mpl.lines.Line2D(
            [],
            [],
            marker="o",
            color="0.3",
            markerfacecolor="none",
            linestyle="none",
            label="support not exact",
        )
    )
    figure.supxlabel(label)
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def _growth(results: dict[str, Any]):
    """Two rows, time and memory; a column for each of T, M and B."""
    slopes = report.exponents(results)
    figure, axes = plt.subplots(
        2, len(results["growth"]), figsize=(7.2, 4.2), sharex="col", sharey="row", squeeze=False
    )
    rows = (
        ("total", 1, "time", "seconds, from the raw log"),
        ("increase_bytes", 1e-6, "memory", "MB above the loaded log"),
    )
    names = {"T": "rounds, T", "M": "actions, M", "B": "activations a round, B"}
    for column, (along, records) in enumerate(results["growth"].items()):
        done = [one for one in records if one["outcome"] == "done"]
        x = [one[along] for one in done]
        for ax, (key, scale, what, unit) in zip(axes[:, column], rows, strict=True):
            y = [one[key] * scale for one in done]
            ax.loglog(x, y, "o-", color="#0173b2", markersize=4, label="ours")
            if key == "increase_bytes":
                stored = [one["log_bytes"] * scale for one in done]
                ax.loglog(x, stored, ":", color="0.3", label="the log")
                ax.legend()
            if along in slopes:
                ax.set_title(f"exponent {slopes[along][what]:.2f}")
            if column == 0:
                ax.set_ylabel(unit)
        axes[1, column].set_xlabel(names[along])
    return figure


def _svg(figure: Any) -> str:
    held = io.StringIO()
    figure.savefig(held, format="svg", metadata={"Date": None})
    plt.close(figure)
    return held.getvalue().partition("?>")[2].partition('.dtd">')[2]
