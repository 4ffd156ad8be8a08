"""What was discovered on a log of one's own, as the arrays of a ``discovery`` dataset."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from sparseact.discovery.advice import advice
from sparseact.discovery.judge import Discovery
from sparseact.study.store import Arrays


def arrays_of(found: Discovery) -> Arrays:
    """Verdicts on M tools, and what they rest on; NaN for what is infinite."""
    told, alike = found.verdicts, found.companions
    names = np.array(found.names, dtype=object)
    nearest = np.where(alike.actions >= 0, names[alike.actions], "")
    finite = {
        name: np.where(np.isfinite(values), values, np.nan)
        for name, values in {
            "p_value": told.p_value,
            "effect": told.size,
            "effect_least": told.size_low,
            "effect_most": told.size_high,
            "mean_effect": told.mean,
            "mean_effect_least": told.mean_low,
            "mean_effect_most": told.mean_high,
            "detectable_effect": told.detectable,
            "more_uses": told.more_uses,
            "more_rounds": told.more_rounds,
            "tool_weight": found.weights,
        }.items()
    }
    return {
        "tool": names.astype(str),
        "state": np.array(["average state", *found.latent_names]),
        "verdict": told.verdict,
        "reason": told.reason,
        "order": found.order.astype(np.int32),
        "confounded_with": np.array([found.partner(j) for j in range(len(names))], dtype=str),
        "is_relative": found.relative.astype(np.uint8),
        "uses": found.coverage,
        "companion": nearest.astype(str),
        "companion_coherence": alike.coherence,
        **finite,
    }


def told_of(found: Discovery) -> dict[str, Any]:
    """What holds for the whole log, as attributes."""
    logged = advice(found)
    return {
        **asdict(found.terms),
        "n_rounds": found.n_rounds,
        "n_held_out": found.n_held_out,
        "noise_std": found.noise_std,
        "reward_mean": found.reward_mean,
        "reward_std": found.reward_std,
        "explained_by_baseline": found.explained_by_baseline,
        "explained_by_actions": found.explained_by_actions,
        "baseline_bends_p_value": found.bend,
        "actions_in_every_round": found.as_many,
        "judged_beside_all": int(found.everything),
        "stop_reason": found.stop_reason,
        "settled_by_rounds": logged.settled_by_rounds,
        "rounds_for_half": logged.rounds_for_half,
        "rounds_for_all": logged.rounds_for_all,
    }
