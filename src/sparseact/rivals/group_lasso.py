"""The group lasso as it is used: down its path until enough actions are active."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from sparseact.design import KhatriRaoDesign
from sparseact.group_lasso import group_lasso_path
from sparseact.rivals.chosen import Chosen, largest, standardised


def choose(design: KhatriRaoDesign, rewards: npt.ArrayLike, k: int) -> Chosen:
    """The actions of the first penalty that selects at least k, down a grid of 100.

    ``argmin ½‖r - Ψw‖² + λ Σ_j ‖w_j‖₂`` (Yuan and Lin 2006) for λ from the least that selects
    nothing to a thousandth of it, by :func:`sparseact.group_lasso.group_lasso_path` on blocks of
    one energy. Where more than k become active at once, the k of the largest ``‖w_j‖``, which come
    first in the answer too.

    Parameters
    ----------
    design : KhatriRaoDesign
    rewards : array (T,)
    k : int
        How many actions are sought.

    Raises
    ------
    ValueError, TypeError
        As :func:`sparseact.rivals.screening.choose`.
    ImportError
        If celer is not installed.
    """
    log = standardised(design, rewards, k)
    if log is None:
        return Chosen.none()
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        path = group_lasso_path(log.design, log.rewards, max_active=k - 1)
    sizes = np.linalg.norm(path.weights[-1], axis=1)
    stuck = any(issubclass(one.category, ConvergenceWarning) for one in caught)
    return log.chosen(largest(sizes, k), not stuck)
