"""Orthogonal matching pursuit that does not know of blocks."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from sparseact.design import KhatriRaoDesign
from sparseact.rivals.chosen import Chosen, largest, standardised


def choose(design: KhatriRaoDesign, rewards: npt.ArrayLike, k: int) -> Chosen:
    """The k actions of the largest weights on k·d single columns of Ψ, chosen by OMP.

    Columns have unit norm, as scikit-learn's solver wants them (Rubinstein, Zibulevsky and Elad
    2008), and compete one by one; what an action's chosen columns weigh together decides in the
    end. k·d columns are as many as k actions have, and can be of as many actions. To stop as soon
    as they are of k actions, or to go on to 2k·d, mostly finds fewer of the relevant ones.

    Parameters
    ----------
    design : KhatriRaoDesign
    rewards : array (T,)
    k : int
        How many actions are sought.

    Returns
    -------
    Chosen
        Not converged where columns depend on each other, and OMP ends before it has k·d.

    Raises
    ------
    ValueError, TypeError
        As :func:`sparseact.rivals.screening.choose`.
    """
    log = standardised(design, rewards, k)
    if log is None:
        return Chosen.none()
    from sklearn.linear_model import orthogonal_mp, orthogonal_mp_gram

    n_rounds, width = log.design.shape
    d = design.block_size
    if n_rounds <= width:
        psi = log.design.to_dense()
        norms = np.linalg.norm(psi, axis=0)
    else:
        gram, projection = log.normal_equations()
        norms = np.sqrt(np.diagonal(gram))
    there = np.flatnonzero(norms)
    norms = norms[there]
    wanted = min(k * d, n_rounds, len(there))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        if n_rounds <= width:
            found = orthogonal_mp(psi[:, there] / norms, log.rewards, n_nonzero_coefs=wanted)
        else:
            found = orthogonal_mp_gram(
                gram[np.ix_(there, there)] / np.outer(norms, norms),
                projection[there] / norms,
                n_nonzero_coefs=wanted,
                copy_Gram=False,
            )
    weights = np.zeros(width)
    weights[there] = found
    early = any(issubclass(one.category, RuntimeWarning) for one in caught)
    sizes = np.linalg.norm(weights.reshape(-1, d), axis=1)
    return log.chosen(largest(sizes, k), not early)
