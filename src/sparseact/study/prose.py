"""Words of the notebooks: text around figures that reads its numbers from the datasets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from IPython.display import Markdown, display

from sparseact.study.ledger import evidence


def say(text: str) -> None:
    """Show a paragraph of Markdown."""
    display(Markdown(text))


def estimate(ds: xr.Dataset, name: str, digits: int = 2) -> str:
    """One number of a dataset with its 95 % interval, for a sentence."""
    value, low, high = (float(ds[f"{name}{end}"]) for end in ("", "_low", "_high"))
    if not np.isfinite(value):
        return f"more than {_short(low, digits)}" if np.isfinite(low) else "not determined"
    return f"{_short(value, digits)} [{_short(low, digits)}, {_short(high, digits)}]"


def _short(number: float, digits: int) -> str:
    if np.isnan(number):
        return "?"
    if np.isinf(number):
        return "∞"
    return f"{number:.{digits}f}" if abs(number) < 1000 else f"{number:.0f}"


_SYMBOLS = {
    "n_actions": "M",
    "sparsity": "k",
    "latent_dim": "d",
    "signal": "b",
    "noise_std": "σ",
}


def setting(ds: xr.Dataset) -> str:
    """What is the same in all of a dataset: its design, sizes, signal and noise, if they are."""
    told = [f"{ds.attrs['design']} design"] if "design" in ds.attrs else []
    told += [
        f"{symbol} = {ds.attrs[name]:g}" for name, symbol in _SYMBOLS.items() if name in ds.attrs
    ]
    return ", ".join(told)


def tell_verdicts(reports: str | Path, *claims: str) -> None:
    """Close a notebook with the verdicts on some claims, and the numbers behind them."""
    entries = json.loads((Path(reports) / "claims.json").read_text(encoding="utf-8"))
    verdicts: dict[str, Any] = {one["id"]: one for one in entries}
    for name in claims:
        one = verdicts[name]
        lines = "\n".join(f"- {line}" for line in evidence(one))
        say(
            f"**{name}** — {one['statement']} **{one['verdict'].capitalize()}.** "
            f"{one['evidence']}\n\n{lines}"
        )
