"""`tool_catalogue`: does a small subset of real tools matter, and does greedy find it?

Requests, tools and right answers are real. Exposure is simulated: in each round a request arrives
and an agent is shown some tools; the reward is 1 if the right one is among them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sparseact.catalogue.exposure import retrieved_sets, rewards, uniform_sets
from sparseact.catalogue.read import Catalogue
from sparseact.catalogue.texts import Texts, near_copies
from sparseact.catalogue.worth import explained, kept, linear_weights, oracle, size_for, spread
from sparseact.crossed import Crossed, Whitened
from sparseact.design import Floats, Ints
from sparseact.discovery.encoders import TextEncoder
from sparseact.discovery.states import Scale
from sparseact.group_lasso import path_of
from sparseact.study.experiments.grid import Ends, clipped, empty, mean, put, take
from sparseact.study.variables import VARIABLES

log = logging.getLogger(__name__)

# Rounds needed are those after which a catalogue keeps this share of what the oracle's keeps.
LEVEL = 0.95
# How tools are chosen for a catalogue.
GREEDY, POPULAR, RETRIEVED, LASSO = "greedy", "popularity", "text retrieval", "group lasso"
ORACLE, RANDOM = "oracle", "random"
METHODS = (ORACLE, GREEDY, LASSO, POPULAR, RETRIEVED, RANDOM)
# Logs whose coherence is measured, and the synthetic one beside them.
UNIFORM, RETRIEVER, MERGED, SYNTHETIC = "uniform", "retriever", "merged", "synthetic"
# The log of the retriever, of which only the tools that were drawn by chance are looked at.
EXPLORED = "explored"
LOGS = (UNIFORM, RETRIEVER, SYNTHETIC)
# Settings that pages name.
REFERENCE, LINEAR, WITHOUT_COPIES = "reference", "linear reward", "near-copies merged"
RETRIEVER_SHOWS, DRAWN = "text retriever", "retriever, drawn tools"
# The share of the reward that the tools carry which μ_S takes for the relevant ones.
RELEVANT = 0.8
# Cosines from which tools count as alike, and pairs that are named.
LIKENESS = (0.5, 0.6, 0.7, 0.8, 0.9)
_PAIRS = 20
# Penalties of the group lasso, and the last over the first.
_PENALTIES, _LEAST = 48, 0.03


@dataclass(frozen=True)
class Asked:
    """What the configuration says: see ``config/README.md``."""

    latent_dim: int
    tools_per_round: int
    explored: float
    near_copy: float
    held_out: float
    noise_std: Sequence[float]
    n_rounds: Sequence[int]
    trials: int
    lasso_trials: int
    most_tools: int
    reward_share: Sequence[float]
    fitted_dims: Sequence[int]

    @property
    def settings(self) -> dict[str, tuple[str, bool, float]]:
        """Of each setting the log, whether its reward is linear, and the noise beside."""
        plain, *more = self.noise_std
        found = {
            REFERENCE: (UNIFORM, False, plain),
            **{f"noise {noise:g}": (UNIFORM, False, noise) for noise in more},
            LINEAR: (UNIFORM, True, plain),
            RETRIEVER_SHOWS: (RETRIEVER, False, plain),
            DRAWN: (EXPLORED, False, plain),
            WITHOUT_COPIES: (MERGED, False, plain),
        }
        if not self.n_drawn:
            del found[DRAWN]
        return found

    @property
    def n_drawn(self) -> int:
        """Tools of a set that are drawn where the retriever chooses the others."""
        return round(self.explored * self.tools_per_round)

    @property
    def sizes(self) -> list[int]:
        """Catalogue sizes, two a doubling, up to the most."""
        ladder = {round(2 ** (i / 2)) for i in range(64)}
        return sorted({one for one in ladder if one < self.most_tools} | {self.most_tools})


@dataclass(frozen=True)
class _Split:
    """A catalogue and a part of its requests to learn from, another to judge on."""

    train: Floats
    held: Floats
    retrieved: Ints  # for the requests to learn from
    retrieved_held: Ints


def collect(catalogue: Catalogue, asked: Asked, seed: int) -> xr.Dataset:
    """Simulate all trials and put them together, as the registry says of ``tool_catalogue``."""
    likeness = Texts(catalogue).likeness()
    groups = near_copies(likeness, asked.near_copy)
    versions = {UNIFORM: catalogue, MERGED: catalogue.merged(groups)}
    first, second = _most_alike(likeness, _PAIRS)
    ds = nothing(asked)
    ds = ds.isel(pair=slice(len(first)))
    texts = {one: Texts(version) for one, version in versions.items()}
    trials = []
    for trial in range(asked.trials):
        key = [seed, *b"tool_catalogue", trial]
        trials.append(_trial(versions, texts, likeness, asked, key, trial < asked.lasso_trials))
        log.info("trial %d of %d", trial + 1, asked.trials)
    for name in trials[0]:
        values = np.array([one[name] for one in trials])
        bounds = VARIABLES[name].low, VARIABLES[name].high
        put(ds, name, {}, clipped(mean(values, np.isfinite(values)), *bounds))
    curves = take(ds, "oracle_share")
    put(ds, "catalogue_rounds", {}, rounds_to(curves, asked.n_rounds))
    for name, which in (("tool_a", first), ("tool_b", second)):
        ds[name] = ("pair", np.array([catalogue.tools[j] for j in which], dtype=object))
    ds["text_likeness"][:] = likeness[first, second]
    nearest = likeness.max(axis=1)
    alike = np.array([nearest >= level for level in LIKENESS])
    ds["tools_with_copy"][:] = alike.sum(axis=1)
    ds["requests_with_copy"][:] = alike @ catalogue.right.sum(axis=0) / len(catalogue.requests)
    ds["n_requests"][...] = len(catalogue.requests)
    ds["n_tools"][...] = len(catalogue.tools)
    ds["n_right_tools"][...] = np.count_nonzero(catalogue.right.any(axis=0))
    ds["n_merged"][...] = len(versions[MERGED].tools)
    ds["n_trials"][...] = asked.trials
    return ds


def nothing(asked: Asked) -> xr.Dataset:
    """The dataset with nothing measured, for a study that has not got the catalogue."""
    ds = empty(
        "tool_catalogue",
        {
            "setting": list(asked.settings),
            "method": METHODS,
            "n_rounds": asked.n_rounds,
            "catalogue_size": asked.sizes,
            "reward_share": asked.reward_share,
            "logged": LOGS,
            "latent_dim": asked.fitted_dims,
            "likeness": LIKENESS,
            "pair": range(_PAIRS),
        },
    )
    for name in ("tool_a", "tool_b"):
        ds[name] = ("pair", np.full(_PAIRS, "", dtype=object))
    return ds


def _trial(
    versions: Mapping[str, Catalogue],
    texts: Mapping[str, Texts],
    likeness: Floats,
    asked: Asked,
    key: Sequence[int],
    with_lasso: bool,
) -> dict[str, Floats]:
    """What one split of the requests and one log of each kind give, by variable.

    The split, and each log, has random numbers of its own; the explored log is the retriever's.
    """
    streams = {UNIFORM: 1, RETRIEVER: 2, EXPLORED: 2, MERGED: 3, SYNTHETIC: 4}
    rngs = {name: np.random.default_rng([*key, place]) for name, place in streams.items()}
    requests = versions[UNIFORM].requests
    order = np.random.default_rng([*key, 0]).permutation(len(requests))
    n_held = round(asked.held_out * len(requests))
    held, train = order[:n_held], order[n_held:]
    train_texts, held_texts = ([requests[q] for q in part] for part in (train, held))
    splits = {
        name: _Split(
            version.right[train],
            version.right[held],
            texts[name].retrieved(train_texts),
            texts[name].retrieved(held_texts),
        )
        for name, version in versions.items()
    }
    splits[RETRIEVER] = splits[EXPLORED] = splits[UNIFORM]
    states = _states(train_texts, held_texts, asked.latent_dim)[0]
    results = _Results(asked)
    relevant = oracle(splits[UNIFORM].train)[: size_for(splits[UNIFORM].train, RELEVANT)]
    near_a, near_b = np.nonzero(np.triu(likeness >= asked.near_copy, 1))
    told: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(one for one, _, _ in asked.settings.values()):
        logged = _log(name, splits[name], states, asked, rngs[name], results, with_lasso)
        if name in LOGS:
            told[name] = _coherence(*logged, relevant, (near_a, near_b))
    sizes = likeness.shape[0], states.shape[1]
    logged = _synthetic(*sizes, asked, rngs[SYNTHETIC])
    told[SYNTHETIC] = _coherence(*logged, relevant, (near_a, near_b))
    fitted = [
        _explained(train_texts, held_texts, splits[UNIFORM], dim) for dim in asked.fitted_dims
    ]
    return {
        **results.arrays(splits),
        **{name: np.array([told[one][name] for one in LOGS]) for name in told[UNIFORM]},
        "explained_train": np.array([one[0] for one in fitted]),
        "explained_held_out": np.array([one[1] for one in fitted]),
    }


def _log(
    name: str,
    split: _Split,
    states: Floats,
    asked: Asked,
    rng: np.random.Generator,
    results: _Results,
    with_lasso: bool,
) -> tuple[Whitened, Floats]:
    """Grow one log, solve it at every length; what it comes to in the end, and its coverage."""
    T, M = asked.n_rounds[-1], split.train.shape[1]
    queried = rng.integers(len(split.train), size=T)
    if name in (RETRIEVER, EXPLORED):
        chosen = (split.retrieved, queried, asked.tools_per_round, asked.explored)
        shown = retrieved_sets(*chosen, rng)
    else:
        shown = uniform_sets(M, asked.tools_per_round, T, rng)
    # What is looked at of the sets that were shown.
    sets = shown[:, -asked.n_drawn :] if name == EXPLORED else shown
    wanted = {key: one for key, one in asked.settings.items() if one[0] == name}
    real = rewards(split.train, queried, shown)
    standard = rng.standard_normal(T)
    fitted = states @ linear_weights(states, split.train)
    logged = np.empty((len(wanted), T))
    for row, (_, is_linear, noise) in zip(logged, wanted.values(), strict=True):
        if is_linear:
            # As much noise as makes up for what the linear model leaves of the real reward.
            left = _variance(split.train - fitted, asked.tools_per_round)
            row[:] = rewards(fitted, queried, shown) + np.sqrt(noise**2 + left) * standard
        else:
            row[:] = real + noise * standard
    crossed = Crossed(M, states.shape[1], len(wanted))
    used, gained = np.zeros(M), np.zeros((len(wanted), M))
    start = 0
    for place, end in enumerate(asked.n_rounds):
        part = slice(start, end)
        crossed.add(states[queried[part]], sets[part], logged[:, part])
        ids = sets[part].ravel()
        used += np.bincount(ids, minlength=M)
        for total, row in zip(gained, logged, strict=True):
            weights = np.repeat(row[part], sets.shape[1])
            total += np.bincount(ids, weights=weights, minlength=M)
        white = crossed.whitened()
        for i, key in enumerate(wanted):
            popular = np.where(used > 0, gained[i] / np.maximum(used, 1), -np.inf)
            results.put(key, GREEDY, place, split, white.path(i, asked.most_tools))
            results.put(key, POPULAR, place, split, np.argsort(-popular, kind="stable"))
            results.put(key, ORACLE, place, split, oracle(split.train))
            results.put(key, RETRIEVED, place, split, split.retrieved_held)
            results.put_random(key, place, M)
            if with_lasso and key == REFERENCE and end == asked.n_rounds[-1]:
                results.put(key, LASSO, place, split, _entered(white, i, asked.most_tools))
        start = end
    return white, used


def _variance(values: Floats, size: int) -> float:
    """Of the sum of the values (n, M) of a request over sets of B tools, all alike."""
    M = values.shape[1]
    return size * (M - size) / (M * (M - 1)) * spread(values)


class _Results:
    """Kept shares of one trial, by setting, method, number of rounds and catalogue size."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._settings = list(asked.settings)
        shape = (len(self._settings), len(METHODS), len(asked.n_rounds))
        self._curves = np.full((*shape, asked.most_tools + 1), np.nan)
        self._found: dict[str, Ints] = {}  # by greedy after the most rounds so far

    def put(self, key: str, method: str, place: int, split: _Split, order: Ints) -> None:
        """Hold a ranking of tools against the requests held out; what it ends with stays."""
        curve = kept(split.held, order[..., : self._asked.most_tools])
        row = self._curves[self._settings.index(key), METHODS.index(method), place]
        row[: len(curve)] = curve
        row[len(curve) :] = curve[-1]
        if method == GREEDY:
            self._found[key] = order

    def put_random(self, key: str, place: int, n_tools: int) -> None:
        """A random catalogue of m tools keeps m/M in the mean."""
        row = self._curves[self._settings.index(key), METHODS.index(RANDOM), place]
        row[:] = np.minimum(np.arange(len(row)) / n_tools, 1.0)

    def arrays(self, splits: Mapping[str, _Split]) -> dict[str, Floats]:
        """The variables of the dataset that are read off the curves."""
        asked = self._asked
        logs = [one for one, _, _ in asked.settings.values()]
        sizes = np.array(
            [[size_for(splits[one].train, share) for share in asked.reward_share] for one in logs]
        )
        within = np.minimum(sizes, asked.most_tools)
        # (setting, method, n_rounds, reward_share)
        at = np.take_along_axis(self._curves, within[:, None, None, :], axis=3)
        share = at / at[:, [METHODS.index(ORACLE)]]
        greedy, popular = (at[:, METHODS.index(one)] for one in (GREEDY, POPULAR))
        lasso = at[0, METHODS.index(LASSO), -1]
        needed = [np.asarray(splits[one].train.any(axis=0)) for one in logs]
        wrong = [
            [1 - right[self._found[key][:size]].mean() for size in of_key]
            for key, right, of_key in zip(self._settings, needed, within, strict=True)
        ]
        tenth = max(1, splits[UNIFORM].train.shape[1] // 10)
        return {
            "kept_share": self._curves[..., asked.sizes],
            "oracle_size": sizes.astype(float),
            "oracle_share": share,
            "final_oracle_share": share[:, METHODS.index(GREEDY), -1],
            "final_wrong_share": np.array(wrong),
            "kept_gain": greedy - popular,
            "final_kept_gain": (greedy - popular)[:, -1],
            "final_lasso_gain": greedy[0, -1] - lasso,
            "linear_gain": greedy[self._settings.index(LINEAR)] - greedy[0],
            "tenth_kept": kept(splits[UNIFORM].held, oracle(splits[UNIFORM].train))[tenth],
        }


def _states(train: Sequence[str], held: Sequence[str], dim: int) -> tuple[Floats, Floats]:
    """Encoded requests on one scale and with a constant, (n, 1 + d) and (m, 1 + d)."""
    encoder = TextEncoder(dim).fit(train)
    latents = encoder.transform(train)
    scale = Scale.of(latents)
    return scale.augmented(latents), scale.augmented(encoder.transform(held))


def _explained(
    train: Sequence[str], held: Sequence[str], split: _Split, dim: int
) -> tuple[float, float]:
    """Shares of the variance that the best linear model explains: learnt from, and held out."""
    states, fresh = _states(train, held, dim)
    weights = linear_weights(states, split.train)
    return explained(split.train, states @ weights), explained(split.held, fresh @ weights)


def _synthetic(
    n_tools: int, n_states: int, asked: Asked, rng: np.random.Generator
) -> tuple[Whitened, Floats]:
    """A log of the same sizes with independent Gaussian states, as the study simulates them."""
    T = asked.n_rounds[-1]
    states = np.column_stack([np.ones(T), rng.standard_normal((T, n_states - 1))])
    sets = uniform_sets(n_tools, asked.tools_per_round, T, rng)
    crossed = Crossed(n_tools, n_states)
    crossed.add(states, sets, np.zeros((1, T)))
    return crossed.whitened(), np.bincount(sets.ravel(), minlength=n_tools).astype(float)


def _coherence(
    white: Whitened, coverage: Floats, relevant: Ints, near: tuple[Ints, Ints]
) -> dict[str, float]:
    """Where a log is on the study's map; ``near`` are pairs of near-copies."""
    M = len(coverage)
    values = np.linalg.eigvalsh(white.blocks)
    condition = np.where(values[:, 0] > 0, values[:, -1] / np.maximum(values[:, 0], 1e-300), np.inf)
    erc = white.exact_recovery_coefficient(relevant)
    some = np.triu_indices(M, 1)
    step = max(1, len(some[0]) // 5000)
    return {
        "coverage_least": float(coverage.min()),
        "coverage_median": float(np.median(coverage)),
        "coverage_most": float(coverage.max()),
        "block_condition": float(np.median(condition)),
        "block_condition_worst": float(condition.max()) if np.isfinite(condition.max()) else np.nan,
        "mutual_coherence": white.mutual_coherence(),
        "erc": erc if np.isfinite(erc) else np.nan,
        "pair_coherence": float(np.median(white.coherence(some[0][::step], some[1][::step]))),
        "copy_coherence": float(np.median(white.coherence(*near))) if len(near[0]) else np.nan,
    }


def _entered(white: Whitened, which: int, most: int) -> Ints:
    """Tools in the order in which the group lasso takes them in, then by the size of their weights.

    On orthonormal blocks (Yuan and Lin 2006), as the greedy rule sees them.
    """
    X, target = white.factor(which)
    d = white.blocks.shape[1]
    path = path_of(X, target, d, n_penalties=_PENALTIES, least=_LEAST, max_active=most)
    active = path.active
    entered = np.where(active.any(axis=0), active.argmax(axis=0), len(active))
    sizes = np.linalg.norm(path.weights, axis=2)
    at_entry = sizes[np.minimum(entered, len(active) - 1), np.arange(len(entered))]
    order = np.lexsort((-at_entry, entered))
    return order[entered[order] < len(active)]


def _most_alike(likeness: Floats, n: int) -> tuple[Ints, Ints]:
    """The at most n pairs of tools that are the most alike, and alike at all."""
    first, second = np.triu_indices(len(likeness), 1)
    values = likeness[first, second]
    order = np.argsort(-values, kind="stable")[:n]
    order = order[values[order] > 0]
    return first[order], second[order]


def rounds_to(curves: Ends, n_rounds: Sequence[int], level: float = LEVEL) -> Ends:
    """Rounds at which curves (…, T, share) first reach a level, linear in log T, and both ends.

    Where a curve never does the rounds are missing, and the lower end is what they exceed: the most
    there were, or where the upper end of the curve's interval does. A curve that is there at once
    has the fewest rounds.

    Returns
    -------
    three arrays (…, share)
    """
    estimate, low, high = (_reached(np.asarray(one), n_rounds, level) for one in curves)
    known = np.isfinite(np.asarray(curves[0])).any(axis=-2)
    least = np.where(np.isnan(high) & known, float(n_rounds[-1]), high)
    return estimate, np.where(known, least, np.nan), np.where(np.isnan(estimate), np.nan, low)


def _reached(curves: Floats, n_rounds: Sequence[int], level: float) -> Floats:
    values = np.moveaxis(curves, -2, -1)
    there = values >= level
    last = there.argmax(axis=-1)
    before = np.maximum(last - 1, 0)
    above = np.take_along_axis(values, last[..., None], -1)[..., 0]
    below = np.take_along_axis(values, before[..., None], -1)[..., 0]
    logs = np.log(np.asarray(n_rounds, dtype=float))
    step = np.where(last > 0, (level - below) / np.where(above > below, above - below, 1.0), 1.0)
    # From a length at which there is no value it cannot be told where in between.
    step = np.where(np.isnan(step), 1.0, step)
    at = np.exp(logs[before] + step * (logs[last] - logs[before]))
    return np.where(there.any(axis=-1), at, np.nan)
