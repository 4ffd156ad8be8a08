"""The logs that every contender gets: drawn from a seed, so that all see the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparseact.simulate import draw_sets

SEED = 20_250_131
NOISE = 0.5


@dataclass(frozen=True)
class Size:
    """T rounds, M actions, latent dimension d, k relevant actions, B used in a round."""

    name: str
    n_rounds: int
    n_actions: int
    latent_dim: int
    sparsity: int
    per_round: int

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """(T, M, d, k, B)."""
        return (self.n_rounds, self.n_actions, self.latent_dim, self.sparsity, self.per_round)


SIZES = {
    one.name: one
    for one in (
        Size("S", 1000, 500, 4, 8, 50),
        Size("M", 2000, 2000, 8, 10, 100),
        Size("L", 4000, 5000, 8, 10, 200),
        Size("XL", 100_000, 100_000, 8, 20, 8),
        Size("XXL", 1_000_000, 1_000_000, 8, 20, 4),
    )
}
TINY = Size("tiny", 60, 40, 3, 2, 3)  # what compiles the peers that compile when first called
LARGEST_DENSE = 10**9  # bytes


def kinds(size: Size) -> tuple[str, ...]:
    """``hot``: ids of the B actions used; ``dense``: a real activation of every action."""
    return ("hot", "dense") if 8 * size.n_rounds * size.n_actions < LARGEST_DENSE else ("hot",)


@dataclass(frozen=True)
class Log:
    """What was recorded, as an experimenter would have it on disk.

    ``ids`` (T, B) or ``activations`` (T, M) is there, not both; ``support`` (k,) is the truth.
    """

    n_actions: int
    latents: np.ndarray
    ids: np.ndarray | None
    activations: np.ndarray | None
    rewards: np.ndarray
    support: np.ndarray

    @property
    def sparsity(self) -> int:
        """k, which every contender is told."""
        return len(self.support)

    @property
    def noise_norm(self) -> float:
        """σ√T, which a contender may be told."""
        return NOISE * float(np.sqrt(len(self.rewards)))


def draw(size: Size, kind: str) -> Log:
    """One log of a size, the same every time."""
    T, M, d, k, B = size.shape
    key = (*size.shape, ("hot", "dense").index(kind))
    rng = np.random.default_rng(np.random.SeedSequence(SEED, spawn_key=key))
    support = np.sort(rng.choice(M, k, replace=False))
    weights = rng.standard_normal((k, d))
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    latents = rng.standard_normal((T, d))
    values = latents @ weights.T
    if kind == "hot":
        ids, activations = draw_sets(M, B, T, rng), None
        used = np.stack([(ids == j).any(axis=1) for j in support], axis=1)
    else:
        ids, activations = None, rng.standard_normal((T, M))
        used = activations[:, support]
    rewards = (used * values).sum(axis=1) + NOISE * rng.standard_normal(T)
    return Log(M, latents, ids, activations, rewards, support)


def save(log: Log, folder: Path) -> None:
    """Leave a log as one file an array."""
    for name in ("latents", "ids", "activations", "rewards", "support"):
        values = getattr(log, name)
        if values is not None:
            np.save(folder / f"{name}.npy", values)
    np.save(folder / "n_actions.npy", log.n_actions)


def load(folder: Path) -> Log:
    """A log that was saved, in memory."""

    def read(name: str) -> np.ndarray | None:
        path = folder / f"{name}.npy"
        return np.load(path) if path.exists() else None

    parts = {one: read(one) for one in ("latents", "ids", "activations", "rewards", "support")}
    return Log(n_actions=int(np.load(folder / "n_actions.npy")), **parts)
