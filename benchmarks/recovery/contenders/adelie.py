"""adelie's group elastic net (here the group lasso) on every form of Ψ that it can be given.

Its solver works on abstract matrices. Besides its dense and sparse ones, two fit: a class written
for the purpose, whose products go by X and Z (`adelie_blocks.py`), and its own for gated ReLU
networks, whose blocks are ``diag(mask_j) Z`` and hence Ψ where activations are zeros and ones.

A path of 10 penalties instead of its default of 100 took about half the time or less on most logs
of sizes S to L, where the number was chosen among several.
"""

import functools

import numpy as np

from ..contender import Contender, largest
from ..psi import dense, dense_bytes, sparse, sparse_bytes


def _prepare_dense(log, threads):
    import adelie

    return adelie.matrix.dense(dense(log), method="naive", n_threads=threads)


def _prepare_sparse(log, threads):
    import adelie

    return adelie.matrix.sparse(sparse(log), method="naive", n_threads=threads)


def _prepare_relu(log, threads):
    import adelie

    mask = np.zeros((log.n_actions, len(log.rewards)), dtype=bool)
    mask[log.ids, np.arange(len(mask.T))[:, None]] = True
    latents = np.asfortranarray(log.latents)
    return adelie.matrix.convex_relu(latents, mask.T, gated=True, n_threads=threads)


def _solve_free(matrix, log, threads, penalties=10):
    # Its threads would wait for one another at the interpreter's lock; those of NumPy's products
    # are not its.
    return _solve(matrix, log, 1, penalties)


def _prepare_free(log, threads):
    from ..adelie_blocks import Blocks

    return Blocks(log)


def _mask_bytes(size):
    return size.n_rounds * size.n_actions


def _solve(matrix, log, threads, penalties=10):
    import adelie

    d, k = log.latents.shape[1], log.sparsity

    def enough(state):
        # What was active once stays in its active set, so that is only where to start looking.
        return state.active_set_size >= k and _active(state.betas[-1], d) >= k

    state = adelie.grpnet(
        matrix,
        adelie.glm.gaussian(log.rewards),
        groups=np.arange(0, log.n_actions * d, d),
        intercept=False,
        n_threads=threads,
        lmda_path_size=penalties,
        early_exit=False,
        progress_bar=False,
        exit_cond=enough,
    )
    return largest(state.betas[-1].toarray().reshape(-1, d), k)


def _active(weights, d):
    return len(np.unique(weights.tocoo().coords[-1] // d))


CONTENDERS = [
    Contender("adelie-free", "adelie, class written for it", "adelie", _prepare_free, _solve_free),
    Contender(
        "adelie-free-100",
        "adelie, the same, its default path",
        "adelie",
        _prepare_free,
        functools.partial(_solve_free, penalties=100),
    ),
    Contender(
        "adelie-relu",
        "adelie, its gated-ReLU matrix",
        "adelie",
        _prepare_relu,
        _solve,
        kinds=("hot",),
        needs=_mask_bytes,
        on="dense X",
    ),
    Contender(
        "adelie-sparse",
        "adelie, sparse Ψ",
        "adelie",
        _prepare_sparse,
        _solve,
        kinds=("hot",),
        needs=sparse_bytes,
        on="sparse Ψ",
    ),
    Contender(
        "adelie-dense",
        "adelie, dense Ψ",
        "adelie",
        _prepare_dense,
        _solve,
        needs=dense_bytes,
        on="dense Ψ",
    ),
]
