"""What was found of every action, as a table and as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from sparseact.discovery.advice import advice
from sparseact.discovery.judge import Discovery


def table_of(found: Discovery) -> pl.DataFrame:
    """A row an action.

    ``order`` is when it was selected, from 1, and 0 if it was not. ``effect`` is the root mean
    square over states of what the action adds to the reward, ``mean_effect`` the mean of that in
    the rounds that used it, each with simultaneous bounds. ``most_coherent`` are the actions that
    are used most like it, the closest first, and ``coherence`` how much. ``relative`` says
    where only differences from others are told. The rest are those of
    :class:`~sparseact.discovery.verdicts.Verdicts`.
    """
    told = found.verdicts
    names = np.array(found.names, dtype=object)
    alike = [
        (names[actions[actions >= 0]].tolist(), coherence[actions >= 0].tolist())
        for actions, coherence in zip(*found.companions, strict=True)
    ]
    return pl.DataFrame(
        {
            "action": found.names,
            "verdict": told.verdict.tolist(),
            "reason": told.reason.tolist(),
            "confounded_with": [found.partner(j) or None for j in range(len(names))],
            "order": found.order,
            "rounds": found.coverage.astype(np.int64),
            "effect": told.size,
            "effect_low": told.size_low,
            "effect_high": told.size_high,
            "mean_effect": told.mean,
            "mean_effect_low": told.mean_low,
            "mean_effect_high": told.mean_high,
            "smallest_detectable": told.detectable,
            "relative": found.relative,
            "p_value": told.p_value,
            "more_uses": told.more_uses,
            "more_rounds": told.more_rounds,
            "most_coherent": [close for close, _ in alike],
            "coherence": [how_much for _, how_much in alike],
        },
        schema_overrides={
            "confounded_with": pl.String,
            "most_coherent": pl.List(pl.String),
            "coherence": pl.List(pl.Float64),
        },
    )


def json_of(found: Discovery) -> dict[str, Any]:
    """All of it as JSON has it: the log, the terms, the advice, and the rows of the table.

    None stands for numbers that are not finite.
    """
    whole = {
        "log": {
            "rounds": found.n_rounds,
            "held_out_rounds": found.n_held_out,
            "actions": len(found.names),
            "latents": found.latent_names,
            "selected": int((found.order > 0).sum()),
            "stop_reason": found.stop_reason,
            "actions_in_every_round": found.as_many,
            "judged_beside_all": found.everything,
            "baseline_bends_p_value": found.bend,
            "reward_mean": found.reward_mean,
            "reward_std": found.reward_std,
            "noise_std": found.noise_std,
            "explained_by_baseline": found.explained_by_baseline,
            "explained_by_actions": found.explained_by_actions,
        },
        "terms": asdict(found.terms),
        "advice": asdict(advice(found)),
        "actions": table_of(found).to_dicts(),
    }
    return dict(_finite(whole))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
