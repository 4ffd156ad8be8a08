"""The library itself: as NumPy does it, and compiled."""

from ..contender import Contender


def _prepare(*, compiled=False, single=False):
    def prepare(log, threads):
        from sparseact import KhatriRaoDesign

        if log.ids is not None:
            return KhatriRaoDesign.from_actions(
                log.latents, log.ids, n_actions=log.n_actions, compiled=compiled
            )
        activations = log.activations
        if single:
            activations = activations.astype("float32")
        return KhatriRaoDesign(log.latents, activations, compiled=compiled)

    return prepare


def _solve(selection):
    def solve(design, log, threads):
        from sparseact import block_omp

        return block_omp(design, log.rewards, n_select=log.sparsity, selection=selection).support

    return solve


def _ours(name, label, selection="correlation", *, kinds=("hot", "dense"), **how):
    return Contender(
        name, f"sparseact{label}", "sparseact", _prepare(**how), _solve(selection), kinds=kinds
    )


CONTENDERS = [
    _ours("ours", ", compiled", compiled=True),
    _ours("ours-numpy", ", NumPy"),
    _ours("ours-whitened", ", whitened, compiled", "whitened", compiled=True),
    _ours("ours-whitened-numpy", ", whitened, NumPy", "whitened"),
    _ours("ours-least-squares", ", least squares", "least_squares", compiled=True),
    _ours(
        "ours-single",
        ", compiled, of single precision",
        kinds=("dense",),
        compiled=True,
        single=True,
    ),
]
