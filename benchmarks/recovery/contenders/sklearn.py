"""scikit-learn's OMP: column by column, k·d of them, as it knows no blocks."""

from ..contender import Contender, largest
from ..psi import dense, dense_bytes


def _prepare(log, threads):
    return dense(log)


def _solve(psi, log, threads):
    from sklearn.linear_model import OrthogonalMatchingPursuit

    d = log.latents.shape[1]
    model = OrthogonalMatchingPursuit(n_nonzero_coefs=log.sparsity * d, fit_intercept=False)
    return largest(model.fit(psi, log.rewards).coef_.reshape(-1, d), log.sparsity)


CONTENDERS = [
    Contender(
        "sklearn",
        "scikit-learn OMP",
        "scikit-learn",
        _prepare,
        _solve,
        needs=dense_bytes,
        on="dense Ψ",
    )
]
