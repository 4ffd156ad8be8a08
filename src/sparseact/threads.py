"""The same bits with any number of threads.

BLAS cuts a product by its number of threads, and the edges of what it cuts round differently. So
in a solve it has one thread, and products that are worth more are cut here, always in one way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from itertools import pairwise
from typing import Any

from threadpoolctl import ThreadpoolController

# Columns of a slice, at most: fewer are slower to read, and more are not enough slices.
_COLUMNS = 1280
# Threads that BLAS had before a solve took all but one; 0 outside of a solve.
_AT_HAND: ContextVar[int] = ContextVar("threads", default=0)


@contextmanager
def serial_blas() -> Iterator[None]:
    """BLAS works with one thread; :func:`over` with as many as BLAS had."""
    if _AT_HAND.get():  # a solve within another; to ask BLAS takes as long as a step
        yield
        return
    token = _AT_HAND.set(max([1, *(one["num_threads"] for one in _blas().info())]))
    try:
        with _blas().limit(limits=1):
            yield
    finally:
        _AT_HAND.reset(token)


def over(work: Callable[[slice], Any], size: int) -> None:
    """Do ``work`` on slices of a matrix's columns, the same for any number of threads."""
    number = 1 if size <= _COLUMNS else 2 * -(-size // (2 * _COLUMNS))
    ends = [size * end // number for end in range(number + 1)]
    pieces = [slice(*both) for both in pairwise(ends)]
    n_threads = min(_AT_HAND.get(), len(pieces))
    if n_threads <= 1:
        for piece in pieces:
            work(piece)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(work, pieces))


@cache
def _blas() -> Any:
    return ThreadpoolController().select(user_api="blas")
