"""What was found, for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparseact.discovery.advice import Advice, advice
from sparseact.discovery.judge import Discovery
from sparseact.discovery.words import REASONS, differences, rounds, settling

# Undetermined actions that are shown.
_SHOWN = 10
# A share that is rounding.
_NOTHING = 1e-9
# Actions and pairs that a sentence of advice names.
_NAMED = 3


def show(found: Discovery, console: Console, *, everything: bool = False) -> None:
    """Print the relevant actions, what is undetermined and why, the rest as a count, and advice.

    Parameters
    ----------
    found : Discovery
    console : Console
    everything : bool
        Also the names of what is prunable, and all that is undetermined.
    """
    told = advice(found)
    for sentence in _summary(found):
        console.print(sentence)
    console.print()
    relevant, prunable = told.verdicts["relevant"], told.verdicts["prunable"]
    console.print(f"Relevant: {relevant:,}", style="bold")
    if relevant:
        console.print(_relevant(found))
    undetermined = (f"Undetermined: {told.verdicts['undetermined']:,}", "bold")
    console.print(Text.assemble(undetermined, f" ({_reasons(told)})" if told.reasons else ""))
    if told.reasons:
        console.print(_undetermined(found, everything))
    console.print(f"Prunable: {prunable:,}", style="bold")
    if everything and prunable:
        console.print(", ".join(found.named("prunable")))
    console.print()
    for sentence in _advised(told):
        console.print(sentence)
    console.print(_error(found))


def _summary(found: Discovery) -> Iterator[str]:
    selected = int((found.order > 0).sum())
    beside = "all others" if found.everything else "those selected or used much like it"
    explained = f"the states explain {_percent(found.explained_by_baseline)}"
    if selected:
        actions = "the selected action" if selected == 1 else f"the {selected} selected actions"
        explained += f", {actions} {_percent(found.explained_by_actions)} more"
    yield (
        f"{found.n_rounds:,} rounds of {_actions(len(found.names))}, judged on "
        f"{found.n_held_out:,} that selection did not see, each beside {beside}. Of the reward's "
        f"variance there {explained}. Noise: {found.noise_std:.3g}."
    )
    if found.relative.any():
        yield differences(int(found.relative.sum()), found.as_many, "action")
    if found.stop_reason == "n_select" and selected < len(found.names):
        yield (
            f"Selection ended with the {selected} actions that --most allows: more may matter, "
            "and a larger number would tell."
        )
    if found.bend < found.terms.alpha:
        yield (
            f"The reward bends with the state by itself (p = {found.bend:.1g}), and an action may "
            "be taken for the bend: --baseline squares allows for it."
        )


def _relevant(found: Discovery) -> Table:
    table = _table("action", "effect", "interval", "mean where used", "rounds", right=4)
    told = found.verdicts
    chosen = np.flatnonzero(told.verdict == "relevant")
    for j in chosen[np.argsort(found.order[chosen], kind="stable")]:
        table.add_row(
            found.names[j],
            f"{told.size[j]:.3g}",
            _interval(told.size_low[j], told.size_high[j]),
            f"{told.mean[j]:+.3g}  {_interval(told.mean_low[j], told.mean_high[j])}",
            f"{found.coverage[j]:,.0f}",
        )
    return table


def _undetermined(found: Discovery, everything: bool) -> Table:
    """Those selected first, then those that the fewest uses would settle."""
    told = found.verdicts
    open_ = np.flatnonzero(told.verdict == "undetermined")
    order = open_[np.lexsort((told.more_uses[open_], found.order[open_] == 0))]
    table = _table("action", "reason", "what would settle it", "rounds", right=1)
    for j in order if everything else order[:_SHOWN]:
        table.add_row(
            found.names[j],
            str(told.reason[j]),
            _settling(found, int(j)),
            f"{found.coverage[j]:,.0f}",
        )
    if not everything and len(order) > _SHOWN:
        table.add_row("…", "", f"{len(order) - _SHOWN:,} more; --all shows them", "")
    return table


def _settling(found: Discovery, j: int) -> str:
    told = found.verdicts
    return settling(str(told.reason[j]), float(told.more_uses[j]), found.partner(j))


def _reasons(told: Advice) -> str:
    return ", ".join(f"{n:,} {REASONS[reason]}" for reason, n in told.reasons.items())


def _advised(told: Advice) -> Iterator[str]:
    if told.settled_by_rounds == 1:
        yield (
            f"{rounds(told.rounds_for_all, 'more ')}, as they are logged, would settle the one "
            "action that they can settle."
        )
    elif told.settled_by_rounds:
        yield (
            f"{rounds(told.rounds_for_half, 'more ')}, as they are logged, would settle half of "
            f"the {told.settled_by_rounds:,} actions that they can settle, "
            f"{rounds(told.rounds_for_all)} all of them."
        )
    if told.explore:
        first = [f"{one.action} ({rounds(one.uses, 'more ')})" for one in told.explore[:_NAMED]]
        yield f"Explore first: {_list(first)}."
    if told.apart:
        pairs = [
            f"{one.action} and {one.other} ({rounds(one.uses)} with one alone)"
            for one in told.apart[:_NAMED]
        ]
        yield f"Use apart: {_list(pairs)}."


def _error(found: Discovery) -> str:
    terms = found.terms
    none = "effect, or without difference as said above," if found.relative.any() else "effect"
    return (
        f"With probability {_percent(1 - terms.alpha)} no action without {none} is called "
        f"relevant, and with that probability none with an effect above {terms.threshold:.3g} is "
        "called prunable, of all together."
    )


def _table(*columns: str, right: int) -> Table:
    """A plain table of which the last columns are of numbers."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for place, column in enumerate(columns):
        numeric = place >= len(columns) - right
        table.add_column(
            column,
            justify="right" if numeric else "left",
            no_wrap=numeric,
            overflow="ellipsis" if numeric else "fold",
        )
    return table


def _interval(low: float, high: float) -> str:
    return f"{low:.3g} … {high:.3g}"


def _actions(n: float) -> str:
    return f"{n:,.10g} action{'' if n == 1 else 's'}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share > _NOTHING else "nothing"


def _list(words: Sequence[str]) -> str:
    return ", ".join(words)
