"""SPAMS: its OMP (column by column, dense), and its FISTA for the group lasso."""

import numpy as np

from ..contender import Contender, grid, largest
from ..psi import Products, dense, dense_bytes, sparse, sparse_bytes


def _prepare_omp(log, threads):
    psi = dense(log)
    # It takes the columns for unit vectors.
    norms = np.sqrt(np.einsum("ij,ij->j", psi, psi))
    norms[norms == 0] = 1
    psi /= norms
    return psi, norms


def _solve_omp(prepared, log, threads):
    import spams

    psi, norms = prepared
    d = log.latents.shape[1]
    rewards = np.asfortranarray(log.rewards[:, None])
    code = spams.omp(rewards, psi, L=log.sparsity * d, numThreads=threads)
    weights = np.asarray(code.todense())[:, 0] / norms
    return largest(weights.reshape(-1, d), log.sparsity)


def _prepare_dense(log, threads):
    return dense(log), Products(log).steepest()


def _prepare_sparse(log, threads):
    return sparse(log), Products(log).steepest()


def _solve_fista(prepared, log, threads):
    import spams

    psi, steepest = prepared
    d = log.latents.shape[1]
    rewards = np.asfortranarray(log.rewards[:, None])
    first = np.linalg.norm((psi.T @ log.rewards).reshape(-1, d), axis=1).max()
    weights = np.zeros((psi.shape[1], 1), order="F")
    for penalty in grid(first, penalties=10):
        weights = spams.fistaFlat(
            rewards,
            psi,
            weights,
            loss="square",
            regul="group-lasso-l2",
            size_group=d,
            lambda1=penalty,
            L0=steepest,
            fixed_step=True,
            it0=1,
            tol=1e-3,
            numThreads=threads,
        )
        if (weights.reshape(-1, d) != 0).any(axis=1).sum() >= log.sparsity:
            break
    return largest(weights.reshape(-1, d), log.sparsity)


CONTENDERS = [
    Contender(
        "spams-omp",
        "SPAMS OMP",
        "spams-bin",
        _prepare_omp,
        _solve_omp,
        needs=dense_bytes,
        on="dense Ψ",
    ),
    Contender(
        "spams-fista-dense",
        "SPAMS FISTA group lasso, dense Ψ",
        "spams-bin",
        _prepare_dense,
        _solve_fista,
        needs=dense_bytes,
        on="dense Ψ",
    ),
    Contender(
        "spams-fista-sparse",
        "SPAMS FISTA group lasso, sparse Ψ",
        "spams-bin",
        _prepare_sparse,
        _solve_fista,
        kinds=("hot",),
        needs=sparse_bytes,
        on="sparse Ψ",
    ),
]
