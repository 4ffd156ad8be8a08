"""The group lasso, convex rival of Block-OMP, along its whole path of penalties.

The solver is celer's (Massias, Gramfort and Salmon 2018; working sets and dual extrapolation),
imported when first used: `import sparseact` does not need it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparseact.arguments import LARGEST, ids, instance, integer, numbers, require_number
from sparseact.design import Floats, Ints, KhatriRaoDesign

# Duality gap at which a solve ends, as a share of the explained rewards' energy. Looser, blocks
# about to leave are still there, tiny; at 1e-14 rounding can keep the gap from getting there.
_GAP = 1e-13
# Bounds the time of a solve that does not get there: some seconds, celer's own bounds minutes.
_SWEEPS = 10_000
_RESTARTS = 50  # each lowers the gap to a third
# Penalties solved between looks at max_active: a call costs as much as some
# penalties do, and the small penalties, solved in vain, take most of the time.
_AT_ONCE = 16
_MOST_PENALTIES = 100_000
# Rounds for which Ψ exists at once.
_ROUNDS_AT_ONCE = 4096


@dataclass(frozen=True)
class GroupLassoPath:
    """What the group lasso selects at each penalty.

    Attributes
    ----------
    penalties : array (q,)
        λ, descending from the least that selects nothing, in units of reward × latent.
    weights : array (q, M, d)
        The minimiser; blocks that are not selected are exactly zero.
    """

    penalties: Floats
    weights: Floats

    @property
    def active(self) -> npt.NDArray[np.bool_]:
        """(q, M) the actions selected."""
        return np.asarray((self.weights != 0).any(axis=2))

    def selects(self, support: npt.ArrayLike) -> bool:
        """Whether some penalty selects exactly these actions: the most favourable choice of λ.

        Raises
        ------
        ValueError
            If an action is out of range or named twice.
        TypeError
            If the actions are not integers.
        """
        target = np.zeros(self.weights.shape[1], dtype=bool)
        target[ids(support, "support", len(target))] = True
        return bool((self.active == target).all(axis=1).any())


def group_lasso_path(
    design: KhatriRaoDesign,
    rewards: npt.ArrayLike,
    *,
    n_penalties: int = 100,
    least: float = 1e-3,
    max_active: int | None = None,
    until: npt.ArrayLike | None = None,
) -> GroupLassoPath:
    """Minimise ``½‖r - Ψw‖² + λ Σ_j ‖w_j‖₂`` for a geometric grid of penalties λ.

    Parameters
    ----------
    design : KhatriRaoDesign
    rewards : array (T,)
    n_penalties : int
        Size of the grid, at most 100,000. A support that holds only between two neighbours goes
        unseen: with 100, a few in a hundred of the supports that a grid of 1000 comes upon.
    least : float
        The last penalty, as a share of the first, ``max_j ‖Ψ_jᵀr‖``, which selects nothing.
    max_active : int, optional
        End the path with the first penalty that selects more actions than this. Actions can leave
        again further down, so allow a few more than are looked for.
    until : int array, optional
        End the path soon after a penalty has selected exactly these actions: the small penalties,
        which take most of the time, are then not solved.

    Returns
    -------
    GroupLassoPath
        With a single penalty of 0 that selects nothing if the rewards correlate with no action.

    Raises
    ------
    ValueError
        If the rewards do not fit the design, are not finite or above 1e30, or a parameter is out
        of range.
    TypeError
        If ``design`` is not a design, or ``n_penalties``, ``max_active`` or ``until`` are not
        integers.
    ImportError
        If celer is not installed: install ``sparseact[rivals]``.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        From the solver, if a duality gap of 1e-13 of the explained energy is out of its reach:
        near-copies of correlation 0.999, little noise and a small penalty can do it.

    Notes
    -----
    Blocks are neither scaled nor orthonormalised and share one penalty, as the paper's greedy rule
    compares them unscaled: in both, the first to enter has the largest ``‖Ψ_jᵀr‖``. Yuan and Lin
    (2006) orthonormalise the blocks; their √d is the same for all of them here.

    Ψ and r are replaced by the at most M·d first rows of the triangle of a QR of ``[Ψ r]``, which
    have the same ``ΨᵀΨ`` and ``Ψᵀr`` and hence the same minimisers at the same penalties; the time
    of solving does not depend on T, and Ψ exists for a few thousand rounds at a time. Gradients
    are off the optimality conditions by about 1e-5 λ at worst, in most cases far less. Where Ψ
    lacks full column rank the minimiser need not be unique; exact copies may share the weight.
    """
    y = _check(design, rewards, n_penalties, least, max_active)
    if until is not None:
        until = ids(until, "until", design.n_blocks)
    d = design.block_size
    X, target = _reduced(design, y)
    return path_of(
        X, target, d, n_penalties=n_penalties, least=least, max_active=max_active, until=until
    )


def path_of(
    X: Floats,
    target: Floats,
    block_size: int,
    *,
    n_penalties: int,
    least: float,
    max_active: int | None = None,
    until: Ints | None = None,
) -> GroupLassoPath:
    """The same for a matrix (R, M·d) in Fortran order and a target (R,), which are not checked."""
    d = block_size
    M = X.shape[1] // d
    first = float(np.linalg.norm((X.T @ target).reshape(M, d), axis=1).max())
    weights = np.zeros((1, M, d))
    if first == 0 or n_penalties == 1:
        return GroupLassoPath(np.array([first]), weights)
    penalties = np.geomspace(first, least * first, n_penalties)
    path = [weights]
    for start in range(1, n_penalties, _AT_ONCE):
        weights = _solve(X, target, penalties[start : start + _AT_ONCE], weights[-1])
        count = (weights != 0).any(axis=2).sum(axis=1)
        if max_active is not None and (count > max_active).any():
            path.append(weights[: int((count > max_active).argmax()) + 1])
            break
        path.append(weights)
        if until is not None and GroupLassoPath(penalties, weights).selects(until):
            break
    found = np.concatenate(path)
    return GroupLassoPath(penalties[: len(found)], found)


def _solve(X: Floats, target: Floats, penalties: Floats, start: Floats) -> Floats:
    """(q, M, d) minimisers for descending penalties, each started from the last; X in F order."""
    try:
        from celer.homotopy import celer_path
    except ImportError as missing:
        raise ImportError(
            f'the group lasso needs celer ({missing}): pip install "sparseact[rivals]"'
        ) from missing

    M, d = start.shape
    # celer divides the squares by the number of rows.
    _, weights, _ = celer_path(
        X,
        target,
        "grouplasso",
        alphas=penalties / len(target),
        groups=d,
        coef_init=start.ravel(),
        tol=_GAP,
        max_iter=_RESTARTS,
        max_epochs=_SWEEPS,
        prune=1,
    )
    return np.ascontiguousarray(weights.T).reshape(-1, M, d)


def _reduced(design: KhatriRaoDesign, rewards: Floats) -> tuple[Floats, Floats]:
    """(R, R's M·d columns in Fortran order) and (R,) with the Gram and correlations of Ψ and r."""
    width = design.n_blocks * design.block_size
    rows = np.zeros((0, width + 1))
    for start in range(0, design.n_rounds, _ROUNDS_AT_ONCE):
        part = slice(start, start + _ROUNDS_AT_ONCE)
        psi = KhatriRaoDesign(design.latents[part], design.activations[part]).to_dense()
        rows = np.concatenate([rows, np.column_stack([psi, rewards[part]])])
        rows = np.asarray(np.linalg.qr(rows, mode="r"))
    # The row after the last holds the part of the rewards that no weights explain.
    return np.asfortranarray(rows[:width, :width]), np.ascontiguousarray(rows[:width, width])


def _check(
    design: KhatriRaoDesign,
    rewards: npt.ArrayLike,
    n_penalties: Any,
    least: float,
    max_active: Any,
) -> Floats:
    instance(design, KhatriRaoDesign, "design")
    y = numbers(rewards, "rewards", (design.n_rounds,), largest=LARGEST)
    if integer(n_penalties, "n_penalties", low=1) > _MOST_PENALTIES:
        raise ValueError(f"n_penalties must be at most {_MOST_PENALTIES}, got {n_penalties}")
    if max_active is not None:
        integer(max_active, "max_active", low=0)
    require_number(least, "least")
    if not 0 < least < 1:
        raise ValueError(f"least must lie between 0 and 1, got {least}")
    return y
