"""Latent states on one scale: centred, uncorrelated, of unit variance, and with a constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparseact.arguments import LARGEST, numbers
from sparseact.design import Floats

# Directions of (unit-variance) states with less variance than this follow from the others.
_NONE = 1e-8


@dataclass(frozen=True)
class Scale:
    """How states are brought to one scale.

    In these coordinates the norm of an action's weights is the root mean square, over the states of
    the log, of what the action adds to the reward; the first weight is the mean of that.

    Attributes
    ----------
    mean : array (d,)
    whitener : array (d, e)
        ``(z - mean) @ whitener`` has mean zero and the identity as its covariance, e ≤ d.
    """

    mean: Floats
    whitener: Floats

    @classmethod
    def of(cls, latents: npt.ArrayLike) -> Scale:
        """That of the latents (T, d); dimensions that follow from others are merged with them.

        Raises
        ------
        ValueError
            If the latents have another shape, or values that are not finite or above 1e30.
        """
        states = numbers(latents, "latents", (None, None), largest=LARGEST)
        mean = states.mean(axis=0)
        # In parts: a centred copy of all rounds would be as large as the log.
        covariance = np.zeros((states.shape[1], states.shape[1]))
        for start in range(0, len(states), 2**16):
            centred = states[start : start + 2**16] - mean
            covariance += centred.T @ centred
        covariance /= max(len(states), 1)
        spread = np.sqrt(np.diagonal(covariance))
        varies = spread > _NONE * np.maximum(np.abs(mean), np.finfo(np.float64).tiny)
        unit = np.where(varies, 1 / np.where(varies, spread, 1.0), 0.0)
        values, vectors = np.linalg.eigh(unit[:, None] * covariance * unit)
        keep = values > _NONE
        whitener = unit[:, None] * vectors[:, keep] / np.sqrt(values[keep])
        return cls(mean, np.ascontiguousarray(whitener))

    def augmented(self, latents: Floats) -> Floats:
        """(T, 1 + e) a constant 1 and the states on the scale."""
        states = np.empty((len(latents), 1 + self.whitener.shape[1]))
        states[:, 0] = 1.0
        states[:, 1:] = (latents - self.mean) @ self.whitener
        return states

    def slopes(self, weights: Floats) -> Floats:
        """(m, d) effects per unit of each latent, of weights (m, 1 + e) of augmented states."""
        return np.asarray(weights[:, 1:] @ self.whitener.T)
