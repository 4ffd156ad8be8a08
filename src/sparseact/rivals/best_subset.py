"""Best subset: the k actions that fit best together, by enumeration or by splicing."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sparseact.bounds import MOST_SUPPORTS, enumerate_supports, support_evidence
from sparseact.design import Floats, Ints, KhatriRaoDesign
from sparseact.rivals.chosen import Chosen, Standardised, largest, standardised
from sparseact.threads import serial_blas

# Prior variance over noise: so large that least squares is what is left of the posterior.
_FLAT = 1e9


def choose(design: KhatriRaoDesign, rewards: npt.ArrayLike, k: int) -> Chosen:
    """The k actions with the least residual ``min_w ‖r - Ψ_S w‖``.

    Exactly, of all sets of k actions that were used, where there are at most 100,000 of them
    (:data:`sparseact.bounds.MOST_SUPPORTS`): ``rᵀΨ_S (Ψ_SᵀΨ_S + 10⁻⁹ I)⁻¹ Ψ_Sᵀr`` is greatest, with
    blocks of unit energy. Beyond, by abess (Zhu and others 2020; groups: Zhang and others 2023),
    which swaps actions for others as long as the fit gains, with groups, on one thread: a local
    search, which need not find the best and does not say whether it has.

    Parameters
    ----------
    design : KhatriRaoDesign
    rewards : array (T,)
    k : int
        How many actions are sought.

    Returns
    -------
    Chosen
        Largest contribution ``‖Ψ_j ŵ_j‖`` first.

    Raises
    ------
    ValueError, TypeError
        As :func:`sparseact.rivals.screening.choose`.
    ImportError
        If abess is wanted and not installed.
    """
    log = standardised(design, rewards, k)
    if log is None:
        return Chosen.none()
    n_used = len(log.used)
    k = min(k, n_used)
    with serial_blas():
        few = min(k, n_used - k)
        if few <= 20 and math.comb(n_used, few) <= MOST_SUPPORTS:
            support = enumerated(log, k)
        else:
            support = spliced(log, k)
        psi = log.design.blocks(support)
        weights = np.linalg.lstsq(psi, log.rewards, rcond=1e-10)[0]
        parts = (psi * weights).reshape(len(psi), len(support), -1).sum(axis=2)
    return log.chosen(support[largest(np.linalg.norm(parts, axis=0), k)])


def enumerated(log: Standardised, k: int) -> Ints:
    """(k,) the best of all supports of k blocks, ascending."""
    gram, projection = log.normal_equations()
    supports = enumerate_supports(log.design.n_blocks, k)
    evidence = support_evidence(
        gram,
        projection[None] / np.abs(projection).max(),
        supports,
        block_size=log.design.block_size,
        prior_variance=_FLAT,
        noise_std=1.0,
    )
    explained = 2 * evidence.log_evidence[0] + evidence.log_dets[0]
    return supports[explained.argmax()]


def spliced(log: Standardised, k: int) -> Ints:
    """(m,) what abess settles on, at most k blocks, ascending.

    Of 1, 2 … k blocks, each number starting from the last, and with all others as candidates to
    swap for: from k at once, or with 128 candidates as by default, it ends in worse optima.
    """
    try:
        from abess.linear import LinearRegression
    except ImportError as missing:
        raise ImportError(
            f'this many actions need abess ({missing}): pip install "sparseact[rivals]"'
        ) from missing

    d = log.design.block_size
    model = LinearRegression(
        support_size=list(range(1, k + 1)),
        group=np.repeat(np.arange(log.design.n_blocks), d),
        fit_intercept=False,
        ic_type="gic",
        ic_coef=0.0,  # of these the best fit
        important_search=0,
        thread=1,
    )
    model.fit(log.design.to_dense(), log.rewards, is_normal=False)
    weights: Floats = model.coef_.reshape(-1, d)
    return np.flatnonzero((weights != 0).any(axis=1))
