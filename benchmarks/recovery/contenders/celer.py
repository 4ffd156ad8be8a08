"""celer's group lasso: working sets and dual extrapolation."""

import numpy as np

from ..contender import grid, largest, on_psi

# Penalties to a call, between looks at how many actions are active: a call costs as much as some
# penalties do.
_AT_ONCE = 10


def _solve(psi, log, threads):
    from celer.homotopy import celer_path

    T, d = log.latents.shape
    correlations = (psi.T @ log.rewards).reshape(-1, d)
    penalties = grid(np.linalg.norm(correlations, axis=1).max() / T, penalties=30)
    weights = np.zeros(psi.shape[1])
    for start in range(0, len(penalties), _AT_ONCE):
        _, path, _ = celer_path(
            psi,
            log.rewards,
            "grouplasso",
            alphas=penalties[start : start + _AT_ONCE],
            groups=d,
            coef_init=weights,
            tol=1e-4,
            prune=1,
        )
        active = (path.reshape(-1, d, path.shape[1]) != 0).any(axis=1).sum(axis=0)
        enough = np.flatnonzero(active >= log.sparsity)
        weights = np.ascontiguousarray(path[:, enough[0] if len(enough) else -1])
        if len(enough):
            break
    return largest(weights.reshape(-1, d), log.sparsity)


CONTENDERS = on_psi("celer", "celer group lasso", "celer", _solve)
