"""What a part of a catalogue is worth, and how much of a reward is linear in the latent state."""

from __future__ import annotations

import numpy as np

from sparseact.design import Floats, Ints


def kept(right: Floats, order: Ints) -> Floats:
    """(m + 1,) share of the reward that a catalogue of the first 0 … m tools keeps.

    Parameters
    ----------
    right : array (n, M)
        Each request's reward on the tools that are right for it.
    order : int array (m,) or (n, m)
        Tools, the first to be kept first: for all requests, or for each its own.
    """
    gained = np.take_along_axis(right, order, axis=1) if order.ndim == 2 else right[:, order]
    shares = gained.sum(axis=0) / right.sum()
    return np.concatenate([[0.0], np.cumsum(shares)])


def oracle(right: Floats) -> Ints:
    """(M,) all tools by the reward that they carry, ties by index: the best of any size."""
    return np.argsort(-right.sum(axis=0), kind="stable")


def size_for(right: Floats, share: float) -> int:
    """How many tools of the :func:`oracle` it takes to carry a share of the reward."""
    carried = kept(right, oracle(right))
    return int(np.searchsorted(carried, share * (1 - 1e-12)))


def linear_weights(states: Floats, right: Floats) -> Floats:
    """(d, M) weights of each tool: least squares of its rewards (n, M) on the states (n, d)."""
    return np.asarray(np.linalg.lstsq(states, right, rcond=None)[0])


def explained(right: Floats, fitted: Floats) -> float:
    """Share of the reward's variance that fitted values explain, under uniform exposure.

    ``1 - E[‖y - ŷ‖² - (1ᵀ(y - ŷ))²/M] / E[‖y‖² - (1ᵀy)²/M]`` over requests, with y (M,) the values
    of the tools for a request: for sets of B of M tools, all alike, the variance of ``Σ_j x_j a_j``
    is ``B(M - B)/(M(M - 1))`` times ``‖a‖² - (1ᵀa)²/M``, whatever a. The right tool explains 1.
    """
    return float(1 - spread(right - fitted) / spread(right))


def spread(values: Floats) -> float:
    """``E[‖a‖² - (1ᵀa)²/M]`` over the rows a (M,) of values (n, M)."""
    squares = np.square(values).sum(axis=1) - values.sum(axis=1) ** 2 / values.shape[1]
    return float(squares.mean())
