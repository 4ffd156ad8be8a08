"""Logs that depart from what the theory assumes: in their noise, latent states or rewards.

Each departure has one size, and comes close to the ideal as that goes to 0, but for ``rademacher``:

================= ==============================================================================
student           noise t_ν with ν = 1/size, as wide as the ideal's between its quartiles
rademacher        noise σ or -σ, with equal chances
heteroscedastic   noise of deviation σ exp(size z_t1 - size²), of mean square σ² whatever the size
autocorrelated    states of an AR(1) process with coefficient size, stationary, of unit variance
nonlinear         a relevant action j adds x_tj size b (⟨u_j, z_t⟩² - 1)/√2, where w_j = ‖w_j‖ u_j
bounded           rewards are off by size b sign(x_tD ⟨v, z_t⟩ - x_tj ⟨u_j, z_t⟩), where D is a
                  decoy, j the first relevant action, and the directions v and u_j are orthogonal
noisy_latents     the log holds z_t + size η_t, η_t standard normal; rewards follow z_t
================= ==============================================================================

All goes element by element, so that a log of more rounds begins with the log of fewer.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sparseact.arguments import instance
from sparseact.scenario import Scenario

Floats = npt.NDArray[np.float64]
Latents = npt.NDArray[np.float32]


def student_scale(degrees_of_freedom: float) -> float:
    """Factor by which t_ν has the quartiles of a standard normal variable.

    Quartiles and not the variance, which t_2 has not: so only the tails differ.
    """
    import scipy.special  # slow to import, and hardly ever needed

    quartile = scipy.special.stdtrit(degrees_of_freedom, 0.75)
    return float(scipy.special.ndtri(0.75) / quartile)


def draw_noise(scenario: Scenario, latents: Latents, rng: np.random.Generator) -> Floats:
    """(T,) noise of each round, given its latent state (T, d)."""
    size, n_rounds = scenario.departure_size, len(latents)
    if scenario.departure == "student":
        nu = 1 / size
        return scenario.noise_std * student_scale(nu) * rng.standard_t(nu, n_rounds)
    noise = rng.standard_normal(n_rounds)
    if scenario.departure == "rademacher":
        noise = np.copysign(1.0, noise)
    elif scenario.departure == "heteroscedastic":
        # The mean square of exp(s z) is exp(2 s²).
        noise *= np.exp(size * latents[:, 0].astype(np.float64) - size**2)
    return scenario.noise_std * noise


def follow(innovations: Latents, coefficient: float) -> Latents:
    """(T, d) states z_t = φ z_{t-1} + √(1 - φ²) e_t from standard normal e_t, with z_1 = e_1."""
    from scipy.signal import lfilter  # slow to import too

    driven = innovations.astype(np.float64)
    driven[1:] *= math.sqrt(1 - coefficient**2)
    return np.asarray(lfilter([1.0], [1.0, -coefficient], driven, axis=0), dtype=np.float32)


def add_curvature(
    rewards: Floats, scenario: Scenario, used: Floats, weights: Floats, latents: Latents
) -> None:
    """Add effects that no linear one accounts for to rewards (T,), in place.

    The second Hermite polynomial of ⟨u_j, z⟩, standard normal, has mean 0, variance 1 and no
    correlation with a linear function of z.

    Parameters
    ----------
    used : array (T, k)
        Activations of the relevant actions.
    weights : array (k, d)
    latents : array (T, d)
    """
    deviation = scenario.departure_size * scenario.signal
    for j, direction in enumerate(weights):
        curved = (_along(direction, latents) ** 2 - 1) / math.sqrt(2)
        rewards += used[:, j] * (deviation * curved)


def add_bounded(
    rewards: Floats,
    scenario: Scenario,
    activations: tuple[Floats, Floats],
    directions: tuple[Floats, Floats],
    latents: Latents,
) -> None:
    """Add the bounded error that does most to put a decoy before a relevant action, in place.

    Of all Δ with |Δ| ≤ δ, δ sign(A - B) has the greatest mean of Δ (A - B); here A = x_D ⟨v, z⟩ and
    B = x_j ⟨u_j, z⟩. It lends the decoy an effect of norm δ/√π along v, and takes as much from the
    effect of j, so that the decoy is the stronger from δ = b √π/2 on (two dimensions or more). That
    is least where v and u_j are orthogonal.

    Parameters
    ----------
    activations : two arrays (T,)
        Of the decoy and of the relevant action.
    directions : two arrays (d,)
    latents : array (T, d)
    """
    decoy, relevant = (
        used * _along(direction, latents)
        for used, direction in zip(activations, directions, strict=True)
    )
    rewards += scenario.departure_size * scenario.signal * np.sign(decoy - relevant)


def across(direction: Floats, rng: np.random.Generator) -> Floats:
    """(d,) a random direction orthogonal to one given; that one itself where there is no other."""
    if len(direction) == 1:
        return direction
    drawn = rng.standard_normal(len(direction))
    return np.asarray(drawn - direction * (drawn @ direction / (direction @ direction)))


def _along(direction: Floats, latents: Latents) -> Floats:
    """(T,) ⟨u, z_t⟩ for the unit vector u along a direction."""
    unit = direction / np.linalg.norm(direction)
    total = np.zeros(len(latents))
    for i, part in enumerate(unit):  # element by element: the same bits for every T
        total += part * latents[:, i].astype(np.float64)
    return total


def score_variance(scenario: Scenario) -> float:
    """Variance of what a round adds to an irrelevant action's score, of any of its coordinates.

    The mean over coordinates i of E[r² z_i²], which for normal states is

    - k b² (1 + 2/d) from the relevant actions and σ² from the noise; with ``student`` noise the
      latter is σ² c² ν/(ν - 2), c being :func:`student_scale`; with ``heteroscedastic`` noise
      σ² (1 + 4 s²/d), because large states are noisy too;
    - k s² b² (1 + 4/d) more, from ``nonlinear`` effects of size s;
    - s² (k b² + σ²) more, from the errors of ``noisy_latents``;
    - and nothing more from ``rademacher`` noise or ``autocorrelated`` states.

    The scores of the relevant actions grow as T, chance as √T times the root of this variance: so
    rounds needed are proportional to it, as far as variances alone decide.

    Raises
    ------
    ValueError
        If the departure is ``bounded``, which acts through bias, or the design is not ``signed``.
    TypeError
        If ``scenario`` is not a Scenario.
    """
    instance(scenario, Scenario, "scenario")
    if scenario.departure == "bounded" or scenario.design != "signed":
        raise ValueError("score_variance is for signed logs without a bounded departure")
    k, d, s = scenario.sparsity, scenario.latent_dim, scenario.departure_size
    effects, noise = k * scenario.signal**2, scenario.noise_std**2
    more = 0.0
    if scenario.departure == "student":
        nu = 1 / s
        noise *= student_scale(nu) ** 2 * nu / (nu - 2) if nu > 2 else math.inf
    elif scenario.departure == "heteroscedastic":
        noise *= 1 + 4 * s**2 / d
    elif scenario.departure == "nonlinear":
        more = s**2 * effects * (1 + 4 / d)
    elif scenario.departure == "noisy_latents":
        more = s**2 * (effects + noise)
    return effects * (1 + 2 / d) + noise + more


def limit_error(scenario: Scenario) -> float:
    """Squared error, over the energy of the weights, that no number of rounds takes away.

    That of least squares on the relevant actions of an unlimited ``signed`` log: (s²/(1 + s²))²
    with ``noisy_latents``, which shrink all weights by 1/(1 + s²); s²/(π k) with a ``bounded``
    departure, which takes s b/√π from one of k (s²/(2 π k) in one dimension); 0 otherwise.

    Raises
    ------
    TypeError
        If ``scenario`` is not a Scenario.
    """
    instance(scenario, Scenario, "scenario")
    s = scenario.departure_size
    if scenario.departure == "noisy_latents":
        return (s**2 / (1 + s**2)) ** 2
    if scenario.departure == "bounded":
        taken = s**2 / (math.pi * scenario.sparsity)
        return taken if scenario.latent_dim > 1 else taken / 2
    return 0.0
