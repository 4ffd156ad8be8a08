"""Block-OMP on a log in parts: larger than memory, or on other machines.

Each sweep over the parts brings home the sums (:mod:`sparseact.sums`) of some blocks that may be
selected next; the solver goes on with those until it wants another.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, get_args

import numpy.typing as npt

from sparseact.arguments import LARGEST, MOST_ACTIONS, integer, numbers, one_of
from sparseact.design import Floats, KhatriRaoDesign
from sparseact.omp import BlockOMPResult, block_omp, check_stopping
from sparseact.rules import Selection
from sparseact.sums import Collected, Compressed, Opening, collect, collecting, total_of

# What a part is, or what a call of it returns: latents (R, d), activations, rewards (R,).
Part = tuple[npt.ArrayLike, Any, npt.ArrayLike]
Parts = Sequence[Part | Callable[[], Part]]
# Does a function to every part, and hands the results over in the order of the parts.
Mapper = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]

_log = logging.getLogger(__name__)


def block_omp_in_parts(
    parts: Parts,
    n_select: int | None = None,
    *,
    n_actions: int | None = None,
    residual_tol: float | None = None,
    selection: Selection = "correlation",
    mapper: Mapper = map,
) -> BlockOMPResult:
    """Recover the actions that matter from a log in parts, as :func:`~sparseact.block_omp` does.

    Parameters
    ----------
    parts : sequence
        Each is ``(latents, activations, rewards)`` of some rounds, or a function without arguments
        that reads and returns them: latents (R, d); activations (R, M), an array or sparse, or
        action ids (R,) or (R, B) if ``n_actions`` is given; rewards (R,). Every sweep asks for all
        of them, one at a time, in order.
    n_select, residual_tol, selection
        As in :func:`~sparseact.block_omp`.
    n_actions : int, optional
        M, for parts of action ids.
    mapper : callable
        ``mapper(function, parts)`` gives the function's results in the order of the parts, as
        :class:`map` does: the place where other processes or machines come in.

    Returns
    -------
    BlockOMPResult
        The support of ``block_omp`` on the whole log, and its weights to rounding. Norms of
        residuals are exact to about 1e-15 of the rewards' norm.

    Raises
    ------
    ValueError
        As ``block_omp``; if there are no parts; or if a part does not fit, naming it by its number.
    TypeError
        If ids or numbers of actions are not integers, or ``parts`` is not a sequence.

    Notes
    -----
    At most k + 1 sweeps, usually fewer: one for the correlations with the rewards, and one
    whenever the best block has not been collected, which then brings those that score next along.
    Memory is that of a part, and at most 8·M·d² bytes for each of the blocks collected. Sums run
    in the order of the parts, whatever does the work; another way to cut the log changes rounding
    and no more.
    """
    if not isinstance(parts, Sequence):
        raise TypeError(f"parts must be a sequence, which every sweep can go over, got {parts!r}")
    if not parts:
        raise ValueError("parts must hold at least one part of a log")
    check_stopping(n_select, residual_tol)
    one_of(selection, get_args(Selection), "selection")
    if n_actions is not None:
        integer(n_actions, "n_actions", 1, MOST_ACTIONS)
    numbered = list(enumerate(parts))
    whiten = selection != "correlation"
    opening = _opened(mapper(partial(_open, n_actions=n_actions, whiten=whiten), numbered))
    _log.info("sweep 1: %d rounds, %d actions", opening.n_rounds, opening.n_actions)
    sweep = 1

    def swept(known: list[int], fresh: list[int]) -> Collected:
        nonlocal sweep
        sweep += 1
        _log.info("sweep %d: collects %d blocks", sweep, len(fresh))
        done = mapper(partial(_collect, n_actions=n_actions, known=known, fresh=fresh), numbered)
        return total_of(done, opening.n_actions)

    def solve(design: Compressed) -> BlockOMPResult:
        return block_omp(
            design, design.rewards, n_select, residual_tol=residual_tol, selection=selection
        )

    return collecting(solve, Compressed.of(opening), swept)[0]


# -- what a sweep does to a part ---------------------------------------------------------------


def _read(numbered: tuple[int, Any], n_actions: int | None) -> tuple[KhatriRaoDesign, Floats]:
    """The design and the rewards of a part, or a ValueError that names it."""
    number, part = numbered
    read = part() if callable(part) else part
    try:
        if not isinstance(read, (tuple, list)) or len(read) != 3:
            raise ValueError(f"must be latents, activations and rewards, got {type(read).__name__}")
        latents, activations, rewards = read
        if n_actions is None:
            design = KhatriRaoDesign(latents, activations)
        else:
            design = KhatriRaoDesign.from_actions(latents, activations, n_actions)
        return design, numbers(rewards, "rewards", (design.n_rounds,), largest=LARGEST)
    except (ValueError, TypeError) as error:
        raise type(error)(f"part {number}: {error}") from None


def _open(numbered: tuple[int, Any], n_actions: int | None, whiten: bool) -> Opening:
    return Opening(*_read(numbered, n_actions), whiten)


def _opened(each: Iterable[Opening]) -> Opening:
    """The sums of all parts, in their order."""
    total: Opening | None = None
    for number, one in enumerate(each):
        if total is None:
            total = one
            continue
        if one.correlations.shape != total.correlations.shape:
            raise ValueError(
                f"part {number} has {one.correlations.shape} actions and latent dimensions, "
                f"those before it {total.correlations.shape}"
            )
        total.add(one)
    assert total is not None  # there is a part
    return total


def _collect(
    numbered: tuple[int, Any], n_actions: int | None, known: list[int], fresh: list[int]
) -> Collected:
    return collect(*_read(numbered, n_actions), known, fresh)
