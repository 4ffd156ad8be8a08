"""Discovery on a log that is in memory: select on some rounds, judge every action on the others."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparseact.arguments import LARGEST, integer, numbers, real
from sparseact.design import Floats, Ints, KhatriRaoDesign
from sparseact.discovery.beside import ALIKE, beside_alike, beside_all, tells_beside_all
from sparseact.discovery.companions import Companions, companions
from sparseact.discovery.evidence import Judged, evidence
from sparseact.discovery.robust import left_over, robust_p_values
from sparseact.discovery.settings import BASELINES, Baseline
from sparseact.discovery.states import Scale
from sparseact.discovery.verdicts import Terms, Verdicts, verdicts
from sparseact.omp import block_omp
from sparseact.partialled import Partialled
from sparseact.rules import Selection
from sparseact.stopping import NoiseTest

# Of the rewards' standard deviation: the threshold, where none is given.
SHARE = 0.1

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Discovery:
    """What a log tells of each of its M actions: NaN where it tells nothing.

    Attributes
    ----------
    names : tuple of M str
    latent_names : tuple of d str
    verdicts : Verdicts
    order : int array (M,)
        When an action was selected, from 1; 0 if it was not.
    coverage : array (M,)
        Rounds that used it.
    companions : Companions
        The actions it is most coherent with in the held-out rounds.
    everything : bool
        Whether each action was judged beside all others, for which rounds must be many; otherwise
        beside those selected and those used much like it.
    as_many : float
        Actions that every round uses, but for a few rounds; NaN if they are not as many in all.
    relative : bool array (M,)
        Where only differences are told: from the average, by use, of the actions not selected that
        it follows from together; of all, if every round uses as many.
    weights : array (M, 1 + d)
        Effect in the average state, and by how much a unit of each latent changes it.
    terms : Terms
    n_rounds, n_held_out : int
        Rounds, and how many of them the verdicts rest on.
    noise_std : float
        In units of the reward.
    reward_mean, reward_std : float
    explained_by_baseline, explained_by_actions : float
        Shares of the held-out rewards' variance: by the states alone, and by the selected actions
        beside them.
    bend : float
        p-value of a baseline that is linear in the state, against squares beside; NaN where they
        are allowed for.
    stop_reason : str
        Why no more actions were selected (:class:`~sparseact.BlockOMPResult`).
    """

    names: tuple[str, ...]
    latent_names: tuple[str, ...]
    verdicts: Verdicts
    order: Ints
    coverage: Floats
    companions: Companions
    everything: bool
    as_many: float
    relative: npt.NDArray[np.bool_]
    weights: Floats
    terms: Terms
    n_rounds: int
    n_held_out: int
    noise_std: float
    reward_mean: float
    reward_std: float
    explained_by_baseline: float
    explained_by_actions: float
    bend: float
    stop_reason: str

    def partner(self, j: int) -> str:
        """The action that an action is confounded with; empty if it is not, or if with several."""
        if self.verdicts.reason[j] != "confounded" or not self.companions.actions.size:
            return ""
        alike = self.companions.coherence[j, 0] > ALIKE
        return self.names[self.companions.actions[j, 0]] if alike else ""

    def named(self, verdict: str) -> list[str]:
        """Names of the actions with a verdict: the relevant in the order of selection."""
        found = np.flatnonzero(self.verdicts.verdict == verdict)
        return [self.names[j] for j in found[np.argsort(self.order[found], kind="stable")]]


def discover(
    design: KhatriRaoDesign,
    rewards: npt.ArrayLike,
    *,
    names: Sequence[str] | None = None,
    latent_names: Sequence[str] | None = None,
    threshold: float | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
    held_out: float = 0.5,
    most: int = 50,
    selection: Selection = "whitened",
    baseline: Baseline = "linear",
    seed: int = 0,
) -> Discovery:
    """Which actions matter, which can go, and which the log cannot tell.

    Parameters
    ----------
    design : KhatriRaoDesign
        Latent states (T, d) on any scale, without a constant, and activations (T, M).
    rewards : array (T,)
    names : sequence of M str, optional
        Of the actions; otherwise their numbers.
    latent_names : sequence of d str, optional
        Of the latent dimensions, likewise.
    threshold : float, optional
        Effects below it do not matter, in units of the reward: the root mean square, over the
        states of the log, of what an action adds. A tenth of the rewards' standard deviation
        if it is not given.
    alpha : float
        Family-wise error over all actions, for either verdict: see
        :class:`~sparseact.discovery.verdicts.Terms`.
    power : float
        With which smallest detectable effects and advice are meant.
    held_out : float
        Share of the rounds that actions are judged on; they are selected on the others.
    most : int
        Actions that are selected at most.
    selection : {"whitened", "correlation", "least_squares"}
        See :func:`~sparseact.block_omp`.
    baseline : {"linear", "squares"}
        What rewards are whatever the actions: linear in the state, or with the square of each
        latent beside.
    seed : int
        Of the rounds that are held out.

    Raises
    ------
    ValueError
        If something does not fit, is out of range or not finite; if rewards are constant; or if
        there are fewer rounds than it takes.
    TypeError
        If ``design`` is not a :class:`~sparseact.KhatriRaoDesign`.

    Notes
    -----
    The model is ``r_t = α + ⟨β, z_t⟩ + Σ_j x_tj (μ_j + ⟨w_j, z_t⟩) + ε_t``: a baseline that is
    projected off before any action is scored, and for each action a main effect beside its
    interactions. Verdicts are of this model, for noise that is independent; intervals owe nothing
    to the selection, which did not see their rounds. Where these are many, every action is judged
    beside all others; where not, effects of actions that were not selected are taken for none.
    """
    if not isinstance(design, KhatriRaoDesign):
        raise TypeError(f"design must be a KhatriRaoDesign, got {type(design).__name__}")
    T, M = design.n_rounds, design.n_blocks
    y = numbers(rewards, "rewards", (T,), largest=LARGEST)
    spread = float(y.std())
    if spread <= 1e-12 * max(float(np.abs(y).max()), np.finfo(np.float64).tiny):
        raise ValueError(f"rewards must differ: all {T} of them are {y[0]:g}")
    named = _names(names, M, "names", "actions")
    latents = _names(latent_names, design.block_size, "latent_names", "latent dimensions")
    terms = Terms(
        SHARE * spread
        if threshold is None
        else float(numbers(threshold, "threshold", (), largest=LARGEST)),
        _share(alpha, "alpha"),
        _share(power, "power"),
    )
    if terms.threshold <= 0:
        raise ValueError(f"threshold must be above 0, got {terms.threshold!r}")
    integer(most, "most", 1)
    n_held = round(T * _share(held_out, "held_out"))

    scale = Scale.of(design.latents)
    states = scale.augmented(design.latents)
    if baseline not in BASELINES:
        raise ValueError(f"baseline must be one of {', '.join(BASELINES)}, got {baseline!r}")
    d = states.shape[1]
    if min(n_held, T - n_held) < 4 * d:
        raise ValueError(
            f"{T} rounds are too few: with {d - 1} latent dimensions it takes {4 * d} on either "
            f"side of the split, which has {T - n_held} and {n_held}"
        )
    held = np.zeros(T, dtype=bool)
    held[np.random.default_rng(integer(seed, "seed", 0)).permutation(T)[:n_held]] = True

    scaled = KhatriRaoDesign._of(states, design.activations)
    own = _beside_baseline(scaled, design, ~held, baseline)
    _log.info("selecting on %d rounds of %d actions", own.n_rounds, M)
    found = block_omp(
        own,
        own.rest_of(y[~held]),
        min(most, M),
        selection=selection,
        stopping=NoiseTest(terms.alpha),
    )
    del own
    judged = Judged.by(_beside_baseline(scaled, design, held, baseline), y[held])
    _log.info("judging on %d rounds, beside %d selected", n_held, len(found.support))
    alike = companions(judged.design)
    told, alone = evidence(judged, found.support)
    if tells_beside_all(judged.design):
        beside = beside_all(told, judged, found.support)
    else:
        # What could be said to be able to go must be so beside its near-copies too.
        likely = told.size_interval(np.full(M, terms.alpha / M))[1] < terms.threshold
        beside = beside_alike(told, alone, judged, found.support, alike, np.flatnonzero(likely))
    robust = robust_p_values(judged, beside.parts, beside.within)
    order = np.zeros(M, dtype=np.intp)
    order[found.support] = np.arange(1, len(found.support) + 1)
    total = float(np.square(y[held] - y[held].mean()).sum())
    weights, left = beside.told.weights, float(judged.rest @ judged.rest)
    return Discovery(
        names=named,
        latent_names=latents,
        verdicts=verdicts(
            beside.told, found.support, robust, design.coverage, T, n_held / T, terms
        ),
        order=order,
        coverage=design.coverage,
        companions=alike,
        everything=beside.everything,
        as_many=beside.as_many,
        relative=beside.relative,
        weights=np.column_stack([weights[:, 0], scale.slopes(weights)]),
        terms=terms,
        n_rounds=T,
        n_held_out=n_held,
        noise_std=beside.told.noise_std,
        reward_mean=float(y.mean()),
        reward_std=spread,
        explained_by_baseline=1 - left / total,
        explained_by_actions=(left - alone.noise) / total,
        bend=left_over(judged.design, beside.within, _squares(design.latents, held))
        if baseline == "linear"
        else np.nan,
        stop_reason=found.stop_reason,
    )


def _beside_baseline(
    scaled: KhatriRaoDesign,
    design: KhatriRaoDesign,
    which: npt.NDArray[np.bool_],
    baseline: Baseline,
) -> Partialled:
    """Some of the rounds, with their baseline taken off."""
    rounds = scaled.rounds(which)
    if baseline == "linear":
        return Partialled(rounds)
    return Partialled(rounds, np.column_stack([rounds.latents, _squares(design.latents, which)]))


def _squares(latents: Floats, which: npt.NDArray[np.bool_]) -> Floats:
    """(n, d) of each latent in some rounds, less its mean, in terms of its variance."""
    spread = np.maximum(latents.std(axis=0), np.finfo(np.float64).tiny)
    return np.asarray(((latents[which] - latents.mean(axis=0)) / spread) ** 2)


def _names(given: Sequence[str] | None, n: int, name: str, what: str) -> tuple[str, ...]:
    names = tuple(map(str, range(n))) if given is None else tuple(given)
    if len(names) != n:
        raise ValueError(f"{name} must be one for each of {n} {what}, got {len(names)}")
    return names


def _share(value: float, name: str) -> float:
    if not 0 < real(value, name) < 1:
        raise ValueError(f"{name} must lie between 0 and 1, got {value}")
    return float(value)
