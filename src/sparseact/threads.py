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
from typing import Any

from threadpoolctl import ThreadpoolController

# Threads that BLAS had before a solve took all but one.
_AT_HAND: ContextVar[int] = ContextVar("threads", default=1)


@contextmanager
def serial_blas() -> Iterator[None]:
    """BLAS works with one thread; :func:`over` with as many as BLAS had."""
    had = max([1, *(one["num_threads"] for one in _blas().info())])
    token = _AT_HAND.set(max(had, _AT_HAND.get()))
    try:
        with _blas().limit(limits=1):
            yield
    finally:
        _AT_HAND.reset(token)


def over(work: Callable[[slice], Any], size: int, width: int) -> None:
    """Do ``work`` on slices of ``width``, which are the same for any number of threads."""
    pieces = [slice(start, min(start + width, size)) for start in range(0, size, width)]
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
