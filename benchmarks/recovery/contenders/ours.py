"""The library itself."""

from ..contender import Contender


def _prepare(log, threads):
    from sparseact import KhatriRaoDesign

    if log.ids is None:
        return KhatriRaoDesign(log.latents, log.activations)
    return KhatriRaoDesign.from_actions(log.latents, log.ids, n_actions=log.n_actions)


def _prepare_compiled(log, threads):
    from sparseact import KhatriRaoDesign

    return KhatriRaoDesign(log.latents, log.activations, compiled=True)


def _solve(selection):
    def solve(design, log, threads):
        from sparseact import block_omp

        return block_omp(design, log.rewards, n_select=log.sparsity, selection=selection).support

    return solve


CONTENDERS = [
    Contender("ours", "sparseact", "sparseact", _prepare, _solve("correlation")),
    Contender(
        "ours-compiled",
        "sparseact, compiled products",
        "sparseact",
        _prepare_compiled,
        _solve("correlation"),
        kinds=("dense",),
    ),
    Contender("ours-whitened", "sparseact, whitened", "sparseact", _prepare, _solve("whitened")),
    Contender(
        "ours-least-squares",
        "sparseact, least squares",
        "sparseact",
        _prepare,
        _solve("least_squares"),
    ),
]
