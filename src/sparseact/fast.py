"""Block-OMP in fewer looks at the log than one a step: the same answers as by the reference.

A dense log is read, for little arithmetic, for every step: the correlations of all actions with one
residual are a product of d rows with it. So steps are taken *ahead* among a few candidates, the
actions that scored highest when all were scored. Then all are scored for all of the residuals that
were met, in one product of many rows, at BLAS's full speed. Steps stand up to the first that was
not the best of all; with the best and its nearest rivals among the candidates it goes on.

Compiled code solves a sparse log as a whole, and takes the steps ahead on a dense one.
"""

from __future__ import annotations

from typing import get_args

import numpy as np

from sparseact.design import BlockDesign, Floats, KhatriRaoDesign
from sparseact.greedy import Found, StopReason, first_best, greedy_alone
from sparseact.overlaps import highest
from sparseact.residuals import Residuals, unit_of
from sparseact.rules import RULES, Selection
from sparseact.threads import serial_blas

# Steps that are taken ahead, at most; the residuals that they meet are not to outgrow the log.
_STEPS = 16
# Candidates, besides one for each step.
_MORE = 12
_REASONS: tuple[StopReason, ...] = get_args(StopReason)


def solve(
    design: BlockDesign,
    rewards: Floats,
    n_select: int,
    residual_tol: float,
    selection: Selection,
) -> Found:
    """Block-OMP on all rounds of a log, in the fastest way there is for it."""
    asked = (design, rewards, n_select, residual_tol, selection)
    return recover(*asked) or greedy_alone(*asked)


def recover(
    design: BlockDesign,
    rewards: Floats,
    n_select: int,
    residual_tol: float,
    selection: Selection,
) -> Found | None:
    """Block-OMP on a log for which there is such a way.

    None for any other, for least squares, and where rounding or rank leave the answer in doubt.
    """
    if not isinstance(design, KhatriRaoDesign) or selection == "least_squares":
        return None
    if not design.compiled and not design.is_large:
        return None
    unit = unit_of(rewards)
    solved = _compiled if design.is_sparse else _ahead
    found = solved(design, rewards / unit, n_select, residual_tol / unit, selection)
    if found is None:
        return None
    support, weights, norms, reason = found
    return support, None if weights is None else weights * unit, norms * unit, reason


def _compiled(
    design: KhatriRaoDesign,
    rewards: Floats,
    n_select: int,
    residual_tol: float,
    selection: Selection,
    history: Floats | None = None,
) -> Found | None:
    """By compiled code; the residuals that it meets are left in ``history`` (n_select + 1, T)."""
    from sparseact.compiled import greedy

    log = design.compiled_log(rewards)
    met = np.empty((0, 0)) if history is None else history
    whitened = selection == "whitened"
    stop, support, weights, norms, full_rank = greedy.solve(
        log, n_select, residual_tol, whitened, met
    )
    if stop == len(_REASONS):
        return None
    return support, weights if full_rank else None, norms, _REASONS[stop]


@serial_blas()
def _ahead(
    design: KhatriRaoDesign,
    rewards: Floats,
    n_select: int,
    residual_tol: float,
    selection: Selection,
) -> Found | None:
    """By steps that are taken ahead on a dense log."""
    lengths = np.array([design.n_rounds])
    rule = RULES[selection](design, Residuals(design, rewards, lengths))
    ahead = max(1, min(_STEPS, design.n_blocks // (8 * design.block_size)))
    candidates = np.empty(0, dtype=np.intp)
    scores = rule.scores[0]
    certain: list[int] = []  # steps that are the best of all
    while True:
        best = int(first_best(scores[None])[0])
        if best in candidates:
            return None  # rounding decides between it and what was taken
        certain.append(best)
        n_steps = min(n_select, len(certain) + ahead - 1)
        nearest = highest(scores, n_steps - len(certain) + _MORE)
        candidates = np.union1d(candidates, np.append(nearest, best))
        met = np.empty((n_steps + 1, design.n_rounds))
        few = design.of_actions(candidates)
        solve = _compiled if design.compiled else greedy_alone
        found = solve(few, rewards, n_steps, residual_tol, selection, met)
        if found is None:
            return None
        places, weights, norms, reason = found
        support = candidates[places]
        known = min(len(certain), len(support))
        if support[:known].tolist() != certain[:known]:
            return None
        # Scores of all for the residuals before the other steps, and before the next if one is due.
        due = reason == "no_candidates" or (reason == "n_select" and n_steps < n_select)
        last = len(support) + due
        step = known
        if last > known:
            _, correlations = design.correlate_prefixes(
                met[known:last], np.repeat(lengths, last - known), None
            )
            for scores in rule.of(correlations, None):
                scores[support[:step]] = 0.0
                if step == len(support) or first_best(scores[None])[0] != support[step]:
                    break
                step += 1
        if step == last or scores.max() <= 0:
            if step < len(support):
                return None
            return support, weights, norms, "no_candidates" if due else reason
        certain = support[:step].tolist()
