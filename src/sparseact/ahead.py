"""The greedy loop on a dense log, with steps that are taken first and verified later.

A step asks for the correlations of all actions with one residual: a product of d rows with the
whole log, which reads it for little arithmetic. So steps are taken *ahead* among a few candidates,
the actions that scored highest when all were scored last, and then all actions are scored for all
of the residuals that were met, in one product of many rows, at BLAS's full speed. Steps stand up to
the first that was not the best of all, from where the loop goes on: its answer is the same.
"""

from __future__ import annotations

import numpy as np

from sparseact.design import Floats, Ints, KhatriRaoDesign
from sparseact.greedy import EXACT, StopReason, first_best
from sparseact.residuals import Residuals
from sparseact.rules import RULES, Selection
from sparseact.threads import serial_blas

# Support (m,), weights (m, d) or None if short of rank, norms (m + 1,), and why it stopped.
Found = tuple[Ints, Floats | None, Floats, StopReason]

# Steps that are taken ahead, at most; residuals that were met are not to outgrow the log.
_STEPS = 16
# Candidates, besides two for each step.
_MORE = 16


@serial_blas()
def greedy_ahead(
    design: KhatriRaoDesign,
    rewards: Floats,
    n_select: int,
    residual_tol: float,
    selection: Selection,
) -> Found:
    """Block-OMP on a dense log, by a rule whose scores depend on the residual alone."""
    lengths = np.array([design.n_rounds])
    state = Residuals(design, rewards, lengths)
    rule = RULES[selection](design, state)
    scores = rule.scores
    support: list[int] = []
    norms = [float(state.norms()[0])]
    most = max(1, min(n_select, _STEPS, design.n_blocks // (8 * design.block_size)))
    ahead = most
    reason = _why_stop(norms, n_select, residual_tol)
    while reason is None:
        candidates = _highest(scores[0], 2 * ahead + _MORE)
        few = design.only(candidates)
        certain = len(support)
        met: list[Floats] = []  # residuals before each step
        while reason is None and len(met) < ahead:
            among = None
            if met:
                among = candidates
                _, correlations = few.correlate_prefixes(state.residuals, lengths, None)
                scores = rule.of(correlations, candidates)
                scores[:, np.isin(candidates, support)] = 0.0
            place = int(first_best(scores)[0])
            met.append(state.residuals.copy())
            best = place if among is None else int(among[place])
            _, rank = state.select(np.array([best]))
            support.append(best)
            norms.append(float(state.norms()[0]))
            reason = _why_stop(norms, n_select, residual_tol)
            if scores[0, place] <= 0 or rank[0] == 0:
                reason = "no_candidates"  # of which this one is none
        # All actions, for the residuals before each step but the first, and for the one left.
        stand = certain + len(met)
        if reason is None:
            met.append(state.residuals)
        if len(met) > 1:
            residuals = np.concatenate(met[1:])
            _, correlations = design.correlate_prefixes(
                residuals, np.repeat(lengths, len(residuals)), None
            )
            verified = rule.of(correlations, None)
            for step, row in enumerate(verified, certain + 1):
                row[support[:step]] = 0.0
                scores = row[None]
                if step < len(support) and first_best(scores)[0] != support[step]:
                    stand = step
                    break
        if stand < len(support):
            state.rewind(stand, met[stand - certain])
            del support[stand:], norms[stand + 1 :]
            reason, ahead = None, max(1, stand - certain)
        else:
            ahead = min(most, 2 * ahead)
    if reason == "no_candidates":
        del support[-1], norms[-1]
    found = np.array(support, dtype=np.intp)
    return found, state.weights(len(found)), np.array(norms), reason


def _why_stop(norms: list[float], n_select: int, residual_tol: float) -> StopReason | None:
    """Why to stop before another step, if it is so."""
    if len(norms) > n_select:
        return "n_select"
    if norms[-1] <= residual_tol:
        return "residual"
    if norms[-1] <= EXACT * norms[0]:
        return "exact_fit"
    return None


def _highest(scores: Floats, n: int) -> Ints:
    """The n actions of the highest scores (M,), ascending."""
    if n >= len(scores):
        return np.arange(len(scores))
    return np.sort(np.argpartition(scores, len(scores) - n)[len(scores) - n :])
