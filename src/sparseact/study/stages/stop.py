"""stop: what each stopping rule keeps, in every trial and after every number of rounds."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from sparseact.design import Floats
from sparseact.omp import block_omp_nested
from sparseact.rules import Selection
from sparseact.stopping import (
    EBIC,
    CrossValidation,
    Log,
    NoiseTest,
    RelativeImprovement,
    ResidualNorm,
    StoppingRule,
    held_out_errors,
)
from sparseact.study.cell import Cell
from sparseact.study.stages.trial import Trial, replay
from sparseact.study.store import Arrays


def rules(
    noise_std: float, *, alpha: float, improvement: float, folds: int
) -> dict[str, StoppingRule | None]:
    """The rules compared, by name; None stands for k known."""
    return {
        "k known": None,
        "noise test, σ known": NoiseTest(alpha, noise_std),
        "noise test": NoiseTest(alpha),
        "EBIC": EBIC(),
        "BIC": EBIC(0.0),
        "cross-validation": CrossValidation(folds),
        "cross-validation, 1 s.e.": CrossValidation(folds, one_standard_error=True),
        "residual norm, σ known": ResidualNorm(noise_std),
        "relative improvement": RelativeImprovement(improvement),
    }


def run(cell: Cell, *, log: Arrays, most_actions: int, **options: Any) -> Arrays:
    """What each rule keeps of a path of ``most_actions``, as variables of a ``stopped`` dataset."""
    lengths = np.asarray(cell.n_rounds, dtype=np.int32)
    k, selection = cell.scenario.sparsity, cast(Selection, cell.selection)
    compared = rules(cell.scenario.noise_std, **options)
    kept = np.empty((cell.trials, len(lengths), len(compared)), dtype=np.int32)
    correct = np.empty_like(kept)
    for trial in replay(cell, log, "stopped"):
        found = block_omp_nested(
            trial.design, trial.rewards, lengths, most_actions, selection=selection
        )
        errors = held_out(trial, lengths, most_actions, options["folds"], selection)
        for i, n in enumerate(lengths):
            path = found.support[i][found.support[i] >= 0]
            norms = found.residual_norms[i][: len(path) + 1]
            right = np.isin(path, trial.support)
            of = Log(trial.design.head(n), trial.rewards[:n], selection)
            for place, rule in enumerate(compared.values()):
                if isinstance(rule, CrossValidation):
                    count = rule.best(errors[i, :, : len(path) + 1])
                else:
                    count = min(k, len(path)) if rule is None else rule.count(of, norms)
                kept[trial.number, i, place] = count
                correct[trial.number, i, place] = right[:count].sum()
    return {
        "n_rounds": lengths,
        "stopping": np.array(list(compared)),
        "n_selected": kept,
        "n_correct": correct,
    }


def held_out(
    trial: Trial, lengths: npt.NDArray[np.int32], n_steps: int, n_folds: int, selection: Selection
) -> Floats:
    """(p, n_folds, n_steps + 1) errors of cross-validation on every prefix.

    Outside a fold, the rounds of a prefix are a prefix too, so paths are taken on all at once.
    """
    design, rewards = trial.design, trial.rewards
    errors = np.empty((len(lengths), n_folds, n_steps + 1))
    for fold, inside in enumerate(CrossValidation(n_folds).folds(lengths[-1])):
        train, test = design.rounds(~inside), design.rounds(inside)
        outside, held = rewards[~inside], rewards[inside]
        ends = np.cumsum(~inside)[lengths - 1]
        found = block_omp_nested(train, outside, ends, n_steps, selection=selection)
        for i, (end, n) in enumerate(zip(ends, lengths, strict=True)):
            support = found.support[i][found.support[i] >= 0]
            errors[i, fold] = held_out_errors(
                train.head(end),
                outside[:end],
                test.head(n - end),
                held[: n - end],
                support,
                n_steps,
            )
    return errors
