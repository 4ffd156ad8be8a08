"""Time and memory of a call, measured in a process of its own."""

from __future__ import annotations

import gc
import math
import multiprocessing
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any, Literal, get_args

from sparseact.study import memory

Outcome = Literal["measured", "over the time limit", "did not converge", "failed", "not tried"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class NotConvergedError(RuntimeError):
    """Raised by what is measured, where its answer is not one."""


# Seconds for what is not limited: the first call, on little, and what goes on between others.
_BETWEEN = 60.0
# Said before a call; a call that ends in time says so itself.
_BEGINS = "begins"


@dataclass(frozen=True)
class Calls:
    """What some calls took.

    Attributes
    ----------
    outcome : str
        One of :data:`OUTCOMES`.
    seconds : tuple of float
        Of each call that ended well and in time.
    memory : tuple of int
        Bytes that each took at its peak, beyond what it was given; no closer than
        :data:`sparseact.study.memory.RESOLUTION`.
    why : str
        What a call that failed, or did not converge, said.
    """

    outcome: Outcome
    seconds: tuple[float, ...] = ()
    memory: tuple[int, ...] = ()
    why: str = ""


def measure(
    work: Callable[..., Any],
    given: Callable[[], tuple[Any, ...]],
    warm_up: tuple[Any, ...],
    *,
    repeats: int,
    seconds: float,
) -> Calls:
    """Call ``work(*given())`` some times over, in a process that ends with the last call.

    The process is a fork of this one, so that it has what is imported here, and its peak is its
    own. Before each call all that is free is given back to the system.

    Parameters
    ----------
    work : callable
        What is measured; it may raise :class:`NotConvergedError`.
    given : callable
        Makes the arguments of each call anew; that counts neither as time nor as memory.
    warm_up : tuple
        Arguments of one call that comes first and does not count.
    repeats : int
        Calls, at most.
    seconds : float
        What a call may take; and all of them together, before there is another.

    Returns
    -------
    Calls
        Without numbers unless all calls were measured.
    """
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(
        target=_call, args=(there, work, given, warm_up, repeats, seconds), daemon=True
    )
    child.start()
    there.close()
    try:
        return _heard(here, seconds)
    finally:
        child.kill()
        child.join()
        here.close()


def _heard(here: Connection, seconds: float) -> Calls:
    """What the process says, for as long as it says it in time."""
    calls, patience = Calls("measured"), _BETWEEN
    while here.poll(patience):
        try:
            said = here.recv()
        except EOFError:
            return Calls("failed", why="its process was ended")
        if said is None:
            return calls
        patience = seconds if said == _BEGINS else _BETWEEN
        if isinstance(said, Calls):
            if said.outcome != "measured":
                return said
            if said.seconds[0] > seconds:
                break
            calls = replace(
                calls,
                seconds=(*calls.seconds, *said.seconds),
                memory=(*calls.memory, *said.memory),
            )
    return Calls("over the time limit")


def _call(
    there: Connection,
    work: Callable[..., Any],
    given: Callable[[], tuple[Any, ...]],
    warm_up: tuple[Any, ...],
    repeats: int,
    seconds: float,
) -> None:
    """Call, and say what each call took; None when all is said."""
    # Without a word it ends where the run is stopped, and by itself where that was killed.
    for one in (signal.SIGINT, signal.SIGPIPE, signal.SIGALRM):
        signal.signal(one, signal.SIG_DFL)
    patience = math.ceil(_BETWEEN + seconds)
    signal.alarm(patience)
    gc.freeze()  # what is inherited need not be looked at again before every call
    try:
        work(*warm_up)
        spent, number = 0.0, 0
        while number < repeats and spent <= seconds:
            signal.alarm(patience)
            arguments = given()
            there.send(_BEGINS)
            before = memory.settle()
            start = perf_counter()
            work(*arguments)
            took = perf_counter() - start
            there.send(Calls("measured", (took,), (max(0, memory.peak() - before),)))
            spent, number = spent + took, number + 1
        there.send(None)
    except NotConvergedError as error:
        there.send(Calls("did not converge", why=str(error)))
    except Exception as error:
        there.send(Calls("failed", why=f"{type(error).__name__}: {error}"))
