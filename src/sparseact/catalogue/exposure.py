"""An agent is shown sets of tools: by chance, or as a text retriever would, and explores."""

from __future__ import annotations

import numpy as np

from sparseact.arguments import integer
from sparseact.design import Floats, Ints
from sparseact.simulate import draw_sets


def uniform_sets(n_tools: int, size: int, n_rounds: int, rng: np.random.Generator) -> Ints:
    """(T, B) sets of tools, all alike.

    Raises
    ------
    ValueError
        If there are fewer tools than a set has.
    """
    integer(size, "size", 1, n_tools)
    return draw_sets(n_tools, size, n_rounds, rng)


def retrieved_sets(
    retrieved: Ints, asked: Ints, size: int, explored: float, rng: np.random.Generator
) -> Ints:
    """(T, B) what a retriever puts first, beside tools drawn from all others alike.

    Parameters
    ----------
    retrieved : int array (n, M)
        The tools for each request, the best first.
    asked : int array (T,)
        The request of each round.
    size : int
        B.
    explored : float
        Share of a set that is drawn, from 0 to 1, rounded to a number of tools.
    rng : numpy.random.Generator

    Raises
    ------
    ValueError
        If there are fewer tools than a set has.
    """
    M = retrieved.shape[1]
    integer(size, "size", 1, M)
    first = size - round(explored * size)
    rest = draw_sets(M - first, size - first, len(asked), rng) if first < size else None
    places = np.broadcast_to(np.arange(first), (len(asked), first))
    if rest is not None:
        places = np.concatenate([places, first + rest], axis=1)
    return np.take_along_axis(retrieved[asked], places, axis=1)


def rewards(values: Floats, asked: Ints, sets: Ints) -> Floats:
    """(T,) the reward of each round without noise: the values (n, M) of the tools shown, summed.

    With :attr:`Catalogue.right <sparseact.catalogue.read.Catalogue>` as values, 1 where all right
    tools were there, and 0 where none was.
    """
    return np.asarray(values[asked[:, None], sets].sum(axis=1))
