"""Block-OMP on one sparse log, compiled as a whole.

The answer is that of :func:`sparseact.omp.block_omp`, which is the reference for it; what is saved
are looks at the log. A selection changes the residual much on the rounds of the selected action,
and a little on those of the actions selected before it. Only the first is *shown* to all actions.
What they have not been shown can change the root of a score by no more than

    ``‖Ψ_jᵀ u‖ ≤ ‖Ψ_jᵀ v‖ + ‖x_·j‖ ‖(u - v) ⊙ ‖z‖‖``       (the paper's rule)
    ``‖P_j u‖ ≤ ‖u on the rounds of j‖ ≤ ‖v on the rounds of j‖ + ‖u - v‖``      (whitened)

for a residual u of which v was shown. So scores are computed, exactly and from an action's own
rounds, only where that bound reaches the best of them. Where that would be more work than to show
what is left, where it is most, it is shown. The selected action is the one that an evaluation of
all would have found, whatever the data.

Weights solve the normal equations on the selected blocks, whose Gram comes from the few rounds that
two actions share, refined by what rounding left of the residual.

All of it is in this one file, because numba keeps what it compiled until the file of the function
that is called changes, whatever happens to others.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

# Places among sparseact.greedy.StopReason, and one after them.
_N_SELECT, _RESIDUAL, _EXACT_FIT, _NO_CANDIDATES, _IN_DOUBT = range(5)
# Scores closer than this (relative) are ties, as for the reference.
_TIE = 1e-10
# A residual below this share of the rewards' norm is zero to working precision.
_EXACT = 1e-12
# Pivots below this share of a block's energy are rounding; the dimension is left out.
_NONE = 1e-13
# Pivots between, up to this share, are the reference's to judge.
_WELL = 1e-8
# Pivots below this are not clear enough to go without refinement, or without eigenvalues.
_CLEAR = 1e-5
# Directions with less than this share of a block's energy do not count.
_RANK = 1e-10
# Scores are computed first of so many actions at most, whose sizes are as near to the highest.
_FIRST, _NEAR = 8, 0.9
# Scores of actions with more than one in so many entries are not computed if there is a way.
_MANY = 64
# Actions that stand together, of which the highest are known.
_GROUP = 64
# Rounding of a sum of T terms, by T and the sum of their magnitudes, is at most this.
_ROUNDING = 2.3e-16


class Log(NamedTuple):
    """A sparse log by rounds and by actions.

    The entries of round t are ``pointers[t]`` to ``pointers[t + 1]`` of ``actions`` and ``values``;
    those of action j are ``starts[j]`` to ``starts[j + 1]`` of ``rounds`` and ``strengths``. Values
    and strengths are empty where all are 1. Latents are (T, d), rewards (T,).
    """

    pointers: Any
    actions: Any
    values: Any
    starts: Any
    rounds: Any
    strengths: Any
    latents: Any
    rewards: Any


@njit(cache=True, nogil=True)
def solve(log, n_select, residual_tol, whitened, history):  # type: ignore[no-untyped-def]
    """Why it stopped, the support (m,), weights (m, d), norms (m + 1,), and whether of full rank.

    Why is a place among the reasons that the reference has. After all of them means in doubt:
    nothing else of it counts, and the reference is to be asked. The residual before each step and
    in the end is left in ``history`` (n_select + 1, T), or nowhere if that has no rows.
    """
    d = log.latents.shape[1]
    u = log.rewards.copy()
    view = _start(log, whitened)
    _renew(log, u, view)
    room = min(n_select, 16)
    factor = np.zeros((room * d, room * d))  # upper triangular R with RᵀR the Gram
    inverse = np.zeros(room * d)  # of R's diagonal; 0 for a dimension left out
    support = np.zeros(room, np.int64)
    weights = np.zeros(room * d)
    norms = np.zeros(room + 1)
    norms[0] = np.sqrt(_squares(u))
    mark = np.zeros(u.size)
    roots = np.zeros((0, d, d))
    full_rank = clear = True
    m, reason = 0, _N_SELECT
    if len(history):
        history[0] = u
    while m < n_select:
        if norms[m] <= residual_tol:
            reason = _RESIDUAL
            break
        if norms[m] <= _EXACT * norms[0]:
            reason = _EXACT_FIT
            break
        new, roots = _best(log, u, view, roots)
        if new < 0:
            reason = _NO_CANDIDATES
            break
        if m == room:
            room = min(n_select, 2 * room)
            factor = _larger(factor, room * d)
            inverse, weights = _longer(inverse, room * d), _longer(weights, room * d)
            support, norms = _longer(support, room), _longer(norms, room + 1)
        support[m] = new
        rank, smallest = _append(log, support[: m + 1], mark, factor, inverse)
        if rank <= 0:
            reason = _IN_DOUBT
            break
        m += 1
        full_rank = full_rank and rank == d
        clear = clear and smallest > _CLEAR
        _refit(log, support[:m], m - 1, factor, inverse, weights, u)
        if not clear or m == n_select:
            _refit(log, support[:m], 0, factor, inverse, weights, u)
        norms[m] = np.sqrt(_squares(u))
        if len(history):
            history[m] = u
        view.size[new], view.slope[new] = -1.0, 0.0
        rounds = log.rounds[log.starts[new] : log.starts[new + 1]]
        _touch(rounds, view)
        if m < n_select:
            _show(log, rounds, u, view)
    return reason, support[:m], weights[: m * d].reshape(-1, d), norms[: m + 1], full_rank


# -- the choice of an action -----------------------------------------------------------------------


class View(NamedTuple):
    """What all actions were shown of the residual u.

    ``shown`` (T,) is the residual v they were shown, and the ``table`` what they make of it: Ψ_jᵀv
    (M, d), or their energies (M, 1) for whitened scores. ``size`` (M,) is the root of the score, or
    of what it is at most; -1 for a selected action. It changes by ``slope`` (M,) times ``‖u - v‖``
    at most, in which the square of a round counts ``weight`` (T,) times.
    ``peaks`` (⌈M / _GROUP⌉, 2) are the highest size and slope of actions that stand together,
    ``stale`` where they may have changed. u and v may differ in rounds that are ``touched`` (T,),
    which come first in ``order`` (T,). ``state`` holds how far off rounding may be, as if it were
    of ‖u - v‖, and the norm of the residual when all was shown last; ``counts`` how many rounds are
    touched, and how many roots of Grams are known, among which ``place`` (M,) is that of an action,
    or -1.
    """

    whitened: Any
    shown: Any
    table: Any
    size: Any
    weight: Any
    slope: Any
    peaks: Any
    stale: Any
    touched: Any
    order: Any
    state: Any
    counts: Any
    place: Any


@njit(cache=True, nogil=True)
def _start(log, whitened):  # type: ignore[no-untyped-def]
    """Nothing was shown yet."""
    T, d = log.latents.shape
    M = log.starts.size - 1
    weight, slope = np.ones(T), np.ones(M)
    if not whitened:
        for t in range(T):
            weight[t] = _squares(log.latents[t])
        for j in range(M):
            coverage = float(log.starts[j + 1] - log.starts[j])
            if log.strengths.size:
                coverage = _squares(log.strengths[log.starts[j] : log.starts[j + 1]])
            slope[j] = np.sqrt(coverage)
    n_groups = (M + _GROUP - 1) // _GROUP
    return View(
        whitened,
        np.empty(T),
        np.empty((M, 1 if whitened else d)),
        np.zeros(M),
        weight,
        slope,
        np.empty((n_groups, 2)),
        np.ones(n_groups, np.bool_),
        np.zeros(T, np.bool_),
        np.empty(T, np.int32),
        np.zeros(2),
        np.zeros(2, np.int64),
        np.full(M, -1, np.int32),
    )


@njit(cache=True, nogil=True)
def _renew(log, u, view):  # type: ignore[no-untyped-def]
    """Show all of the residual anew."""
    weighted = 0.0
    for t in range(u.size):
        weighted += view.weight[t] * u[t] * u[t]
    rounding = _ROUNDING * u.size
    view.state[0] = rounding * np.sqrt(weighted)
    view.state[1] = np.sqrt(_squares(u))
    # Energies are changed by differences of squares, so they are taken that much too large.
    view.table[:] = rounding * weighted if view.whitened else 0.0
    view.shown[:] = 0.0
    _show(log, np.arange(u.size), u, view)


@njit(cache=True, nogil=True)
def _touch(rounds, view):  # type: ignore[no-untyped-def]
    """From now on the residual may change in some rounds."""
    for t in rounds:
        if not view.touched[t]:
            view.touched[t] = True
            view.order[view.counts[0]] = t
            view.counts[0] += 1


@njit(cache=True, nogil=True)
def _show(log, rounds, u, view):  # type: ignore[no-untyped-def]
    """Show the residual of some rounds."""
    table, shown = view.table, view.shown
    width = table.shape[1]
    change = np.empty(width)
    entries = 0
    for t in rounds:
        if view.whitened:
            change[0] = u[t] * u[t] - shown[t] * shown[t]
        else:
            for i in range(width):
                change[i] = (u[t] - shown[t]) * log.latents[t, i]
        shown[t] = u[t]
        first, last = log.pointers[t], log.pointers[t + 1]
        entries += last - first
        if view.whitened or log.values.size == 0:
            for j in log.actions[first:last]:
                row = table[np.uint32(j)]
                for i in range(width):
                    row[i] += change[i]
        else:
            for entry in range(first, last):
                x, row = log.values[entry], table[np.uint32(log.actions[entry])]
                for i in range(width):
                    row[i] += x * change[i]
    if entries < view.size.size:
        for t in rounds:
            for j in log.actions[log.pointers[t] : log.pointers[t + 1]]:
                _measure(j, view)
                view.stale[j // _GROUP] = True
    else:
        for j in range(view.size.size):
            _measure(j, view)
        view.stale[:] = True
    _survey(view)


@njit(cache=True, nogil=True)
def _measure(j, view):  # type: ignore[no-untyped-def]
    """The size of an action, unless it is selected."""
    if view.size[j] >= 0.0:
        square = 0.0
        if view.whitened:
            square = max(view.table[j, 0], 0.0)
        else:
            for i in range(view.table.shape[1]):
                square += view.table[j, i] * view.table[j, i]
        view.size[j] = np.sqrt(square)


@njit(cache=True, nogil=True)
def _survey(view):  # type: ignore[no-untyped-def]
    """The highest of actions that stand together."""
    for g in range(view.stale.size):
        if view.stale[g]:
            group = slice(g * _GROUP, (g + 1) * _GROUP)
            view.peaks[g, 0], view.peaks[g, 1] = (
                _highest(view.size[group]),
                _highest(view.slope[group]),
            )
            view.stale[g] = False


@njit(cache=True, nogil=True)
def _above(least, reach, view, out):  # type: ignore[no-untyped-def]
    """How many actions can be of a size with what was not shown, and which (M,)."""
    n = 0
    for g in range(view.stale.size):
        if view.peaks[g, 0] + view.peaks[g, 1] * reach >= least:
            for j in range(g * _GROUP, min((g + 1) * _GROUP, view.size.size)):
                if view.size[j] + view.slope[j] * reach >= least:
                    out[n] = j
                    n += 1
    return n


@njit(cache=True, nogil=True)
def _best(log, u, view, roots):  # type: ignore[no-untyped-def]
    """The action of the highest score, the first among ties; -1 if none has any.

    And the roots of Grams, with those that were needed for it.
    """
    size, slope = view.size, view.slope
    rivals = np.empty(size.size, np.int32)
    n = _above(_NEAR * _highest(view.peaks[:, 0]), 0.0, view, rivals)
    best, guess = 0.0, -1
    for j in rivals[: min(n, _FIRST)]:
        score, roots = _score(log, j, u, view, roots)
        if score > best:
            best, guess = score, j
    while True:
        hidden = np.sqrt(_squares_between(u, view))
        reach = hidden + view.state[0]
        n = _above(np.sqrt(best) * (1 - _TIE), reach, view, rivals)
        work = 0
        for j in rivals[:n]:
            work += log.starts[j + 1] - log.starts[j]
        if _MANY * work <= log.actions.size:
            break
        if hidden > 0.0:
            _show(log, _furthest(u, view), u, view)
        elif np.sqrt(_squares(u)) < 0.1 * view.state[1]:
            _renew(log, u, view)
        else:
            break
    scores = np.zeros(n)
    for i in range(n):
        j = rivals[i]
        bound = size[j] + slope[j] * reach
        if bound >= np.sqrt(best) * (1 - _TIE):
            scores[i], roots = _score(log, j, u, view, roots)
            best = max(best, scores[i])
    for i in range(n):
        if best > 0.0 and scores[i] >= best * (1 - _TIE):
            return rivals[i], roots
    return guess, roots  # beyond its bound, by rounding, or none


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _squares_between(u, view):  # type: ignore[no-untyped-def]
    """``‖u - v‖²``, weighted."""
    total = 0.0
    for t in view.order[: view.counts[0]]:
        total += view.weight[t] * (u[t] - view.shown[t]) ** 2
    return total


@njit(cache=True, nogil=True)
def _furthest(u, view):  # type: ignore[no-untyped-def]
    """Rounds in which what was not shown of u is at least the mean."""
    touched = view.order[: view.counts[0]]
    apart, most = 0, 0.0
    for t in touched:
        square = view.weight[t] * (u[t] - view.shown[t]) ** 2
        apart += square > 0.0
        most = max(most, square)
    least = min(most, _squares_between(u, view) / apart)
    rounds = np.empty(apart, np.int64)
    n = 0
    for t in touched:
        square = view.weight[t] * (u[t] - view.shown[t]) ** 2
        if square >= least and square > 0.0:
            rounds[n] = t
            n += 1
    return rounds[:n]


@njit(cache=True, nogil=True)
def _score(log, j, u, view, roots):  # type: ignore[no-untyped-def]
    """The score of an action, and the roots of Grams with its own if it needs one."""
    right = np.empty(log.latents.shape[1])
    _correlation(log, j, u, right)
    if not view.whitened:
        return _squares(right), roots
    if view.place[j] < 0:
        n = view.counts[1]
        view.counts[1] += 1
        if n == len(roots):
            more = np.empty((2 * n + 16, *roots.shape[1:]))
            more[:n] = roots
            roots = more
        view.place[j] = n
        _invert_root(log, j, roots[n])
    total = 0.0
    for row in roots[view.place[j]]:
        total += _inner(row, right) ** 2
    return total, roots


# -- the fit on the selected blocks ----------------------------------------------------------------


@njit(cache=True, nogil=True)
def _correlation(log, j, u, out):  # type: ignore[no-untyped-def]
    """``Ψ_jᵀ u``, from the action's own rounds."""
    out[:] = 0.0
    for entry in range(log.starts[j], log.starts[j + 1]):
        t = np.uint32(log.rounds[entry])
        part = log.strengths[entry] * u[t] if log.strengths.size else u[t]
        for i in range(out.size):
            out[i] += part * log.latents[t, i]


@njit(cache=True, nogil=True)
def _invert_root(log, j, root):  # type: ignore[no-untyped-def]
    """A with ``‖A v‖² = vᵀG⁺v`` for v in the range of the action's Gram G."""
    d = len(root)
    gram = np.zeros((d, d))
    for entry in range(log.starts[j], log.starts[j + 1]):
        t = np.uint32(log.rounds[entry])
        x = log.strengths[entry] if log.strengths.size else 1.0
        square = x * x
        for i in range(d):
            part = square * log.latents[t, i]
            for e in range(d):
                gram[i, e] += part * log.latents[t, e]
    energy = np.trace(gram)
    rank, n_rounds = 0, log.starts[j + 1] - log.starts[j]  # which it is at most
    lower = np.zeros((d, d))
    root[:] = 0.0
    for i in range(d):
        for e in range(i):
            lower[i, e] = (gram[i, e] - _inner(lower[i, :e], lower[e, :e])) * root[e, e]
        pivot = gram[i, i] - _squares(lower[i, :i])
        if rank == n_rounds or pivot <= _NONE * energy:
            lower[i] = 0.0
        elif pivot <= _CLEAR * energy:
            values, vectors = np.linalg.eigh(gram)
            for e in range(d):
                scale = 1 / np.sqrt(values[e]) if values[e] > _RANK * energy else 0.0
                root[e] = scale * vectors[:, e]
            return
        else:
            rank += 1
            lower[i, i] = np.sqrt(pivot)
            root[i, i] = 1 / lower[i, i]
    for e in range(d):
        for i in range(e + 1, d):
            root[i, e] = -_inner(lower[i, e:i], root[e:i, e]) * root[i, i]


@njit(cache=True, nogil=True)
def _append(log, support, mark, factor, inverse):  # type: ignore[no-untyped-def]
    """Append the last block of the support to the factor.

    Its rank, or -1 if that is doubtful, and the least share of its energy that a pivot has.
    """
    d = log.latents.shape[1]
    m = support.size - 1
    n = m * d
    first, last = log.starts[support[m]], log.starts[support[m] + 1]
    for entry in range(first, last):
        mark[log.rounds[entry]] = log.strengths[entry] if log.strengths.size else 1.0
    gram = np.empty((d, n + d))  # a row for each dimension of the new block
    shared, both = np.empty((d, last - first)), np.empty(last - first)
    for b in range(m + 1):
        _cross(log, support[b], mark, shared, both, gram[:, b * d : (b + 1) * d])
    for t in log.rounds[first:last]:
        mark[t] = 0.0
    energy = 0.0
    for i in range(d):
        energy += gram[i, n + i]
    for q in range(n):  # a row of the factor is read once, for all dimensions of the new block
        right = factor[q, q + 1 : n]
        for row in gram:
            row[q] *= inverse[q]
            part, left = row[q], row[q + 1 : n]
            for e in range(right.size):
                left[e] -= part * right[e]
    rank, smallest = 0, 1.0
    for i in range(d):
        row = gram[i]
        for e in range(n, n + i):
            row[e] = (row[e] - _inner(row[:e], gram[e - n, :e])) * inverse[e]
        pivot = row[n + i] - _squares(row[: n + i])
        if rank == last - first or pivot <= _NONE * energy:
            inverse[n + i] = 0.0
        elif pivot <= _WELL * energy:
            return -1, 0.0
        else:
            rank += 1
            smallest = min(smallest, pivot / energy)
            inverse[n + i] = 1 / np.sqrt(pivot)
        for q in range(n + i):
            factor[q, n + i] = row[q]
        factor[n + i, n + i] = np.sqrt(max(pivot, 0.0))
    return rank, smallest


@njit(cache=True, nogil=True)
def _cross(log, j, mark, shared, both, out):  # type: ignore[no-untyped-def]
    """``Ψ_iᵀ Ψ_j``, symmetric, of the action i whose strengths are marked.

    From the rounds that both were used in, laid side by side to be summed at full speed.
    """
    n, d = 0, len(shared)
    for entry in range(log.starts[j], log.starts[j + 1]):
        t = np.uint32(log.rounds[entry])
        if mark[t] != 0.0:
            both[n] = mark[t] * log.strengths[entry] if log.strengths.size else mark[t]
            for i in range(d):
                shared[i, n] = log.latents[t, i]
            n += 1
    for i in range(d):
        weighted = both[:n] * shared[i, :n]
        for e in range(i + 1):
            out[i, e] = out[e, i] = _inner(weighted, shared[e, :n])


@njit(cache=True, nogil=True)
def _refit(log, support, first, factor, inverse, weights, u):  # type: ignore[no-untyped-def]
    """Add to the weights what explains the residual u, which is left by all blocks before first."""
    d = log.latents.shape[1]
    m = support.size
    right = np.zeros(m * d)
    for b in range(first, m):
        _correlation(log, support[b], u, right[b * d : (b + 1) * d])
    _solve(factor, inverse, right)
    weights[: m * d] += right
    _leave(log, support, weights, u)


@njit(cache=True, nogil=True)
def _solve(factor, inverse, right):  # type: ignore[no-untyped-def]
    """Overwrite b with the solution of ``RᵀR w = b``, 0 for dimensions left out."""
    n = right.size
    for q in range(n):
        right[q] *= inverse[q]
        part, rest, row = right[q], right[q + 1 :], factor[q, q + 1 : n]
        for e in range(rest.size):
            rest[e] -= part * row[e]
    for q in range(n - 1, -1, -1):
        right[q] = (right[q] - _inner(factor[q, q + 1 : n], right[q + 1 :])) * inverse[q]


@njit(cache=True, nogil=True)
def _leave(log, support, weights, u):  # type: ignore[no-untyped-def]
    """What the weights leave of the rewards, into u."""
    d = log.latents.shape[1]
    for j in support:
        for t in log.rounds[log.starts[j] : log.starts[j + 1]]:
            u[t] = log.rewards[t]
    for b in range(support.size):
        for entry in range(log.starts[support[b]], log.starts[support[b] + 1]):
            t = np.uint32(log.rounds[entry])
            value = 0.0
            for i in range(d):
                value += log.latents[t, i] * weights[b * d + i]
            u[t] -= log.strengths[entry] * value if log.strengths.size else value


# -- small parts -----------------------------------------------------------------------------------


@njit(cache=True, nogil=True, fastmath={"reassoc", "nnan", "nsz"})
def _highest(values):  # type: ignore[no-untyped-def]
    """The highest of some numbers, none of which is NaN."""
    most = values[0]
    for j in range(values.size):
        most = max(most, values[j])
    return most


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _squares(u):  # type: ignore[no-untyped-def]
    """``‖u‖²``."""
    total = 0.0
    for t in range(u.size):
        total += u[t] * u[t]
    return total


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _inner(u, v):  # type: ignore[no-untyped-def]
    """``uᵀ v``."""
    total = 0.0
    for t in range(u.size):
        total += u[t] * v[t]
    return total


@njit(cache=True, nogil=True)
def _longer(array, size):  # type: ignore[no-untyped-def]
    more = np.zeros(size, array.dtype)
    more[: array.size] = array
    return more


@njit(cache=True, nogil=True)
def _larger(matrix, size):  # type: ignore[no-untyped-def]
    more = np.zeros((size, size))
    more[: len(matrix), : len(matrix)] = matrix
    return more
