"""Marginal screening: every action on its own, in one pass over the log."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sparseact.design import KhatriRaoDesign
from sparseact.residuals import Residuals
from sparseact.rivals.chosen import Chosen, checked, largest
from sparseact.rules import Whitened
from sparseact.threads import serial_blas


def choose(design: KhatriRaoDesign, rewards: npt.ArrayLike, k: int) -> Chosen:
    """The k actions that explain most of the rewards, each by itself.

    By ``‖(Ψ_jᵀΨ_j)^{-1/2} Ψ_jᵀ r‖²``, the drop of the squared residual that action j brings alone
    (sure independence screening, Fan and Lv 2008, with blocks for columns): the scores of the first
    step of the whitened rule, all k taken from them at once.

    Parameters
    ----------
    design : KhatriRaoDesign
    rewards : array (T,)
    k : int
        How many actions are sought.

    Raises
    ------
    ValueError
        If the rewards do not fit the design, are not finite or above 1e30, or k is not within
        1 … M.
    TypeError
        If ``design`` is not a design, or k not an integer.
    """
    y = checked(design, rewards, k)
    if not y.any():
        return Chosen.none()
    with serial_blas():
        state = Residuals(design, y, np.array([design.n_rounds]))
        return Chosen(largest(Whitened(design, state).scores[0], k), True)
