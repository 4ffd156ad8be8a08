"""Block-OMP on a log that grows, by new rounds and by actions that appear with them."""

from __future__ import annotations

from copy import copy, deepcopy
from typing import get_args

import numpy.typing as npt

from sparseact.arguments import LARGEST, numbers, one_of
from sparseact.design import BlockDesign, Floats
from sparseact.omp import BlockOMPResult, block_omp
from sparseact.rules import Selection
from sparseact.stopping import StoppingRule
from sparseact.sums import Collected, Compressed, Opening, collect, collecting, total_of


class Stream:
    """A log that grows, and can be solved at any time as if it had been there from the start.

    Sums over all rounds are kept, and for the blocks that were selected so far, or nearly, their
    factor and their products with all others (:mod:`sparseact.sums`). New rounds are added to
    these, so that a solve does not look at old rounds again, unless it wants a block that was not
    collected before; then those rounds are read once more that used it, or the blocks beside it.
    So the rounds themselves are kept too, as copies.

    Parameters
    ----------
    selection : {"correlation", "whitened", "least_squares"}
        See :func:`~sparseact.block_omp`.

    Notes
    -----
    The answer is that of ``block_omp`` on all rounds: the same support, and weights to rounding,
    whatever the pieces in which the log arrives. Only scores that agree to rounding, which
    ``block_omp`` tells apart by index, may be told apart otherwise.
    """

    def __init__(self, selection: Selection = "correlation") -> None:
        one_of(selection, get_args(Selection), "selection")
        self.selection: Selection = selection
        self._rounds: list[tuple[BlockDesign, Floats]] = []
        self._opening: Opening | None = None
        self._design: Compressed | None = None
        self.n_looks = 0  # at old rounds

    def copy(self) -> Stream:
        """A stream of the same rounds, which goes its own way from here."""
        other = copy(self)
        other._rounds = [*self._rounds]
        return other

    def add(self, design: BlockDesign, rewards: npt.ArrayLike) -> None:
        """Take in new rounds; there may be more actions in them than before, which come last.

        Raises
        ------
        ValueError
            If the rewards do not fit the design or are not finite, the latent dimension is not that
            of earlier rounds, or there are fewer actions. Nothing is taken in then.
        """
        y = numbers(rewards, "rewards", (design.n_rounds,), largest=LARGEST)
        if self._opening is not None and design.n_blocks < self._opening.n_actions:
            raise ValueError(
                f"new rounds have {design.n_blocks} actions, earlier ones "
                f"{self._opening.n_actions}: an action keeps its place, new ones come last"
            )
        new = Opening(design, y, whiten=self.selection != "correlation")
        if self._opening is None or self._design is None:
            self._opening, self._design = new, Compressed.of(new)
        else:
            blocks = self._design.collected
            found = collect(design, y, [], blocks) if blocks else None
            self._opening = copy(self._opening)
            self._opening.add(new)
            self._design = self._design.with_rounds(self._opening, found)
        self._rounds.append((deepcopy(design), y.copy()))

    def solve(
        self,
        n_select: int | None = None,
        *,
        residual_tol: float | None = None,
        stopping: StoppingRule | None = None,
    ) -> BlockOMPResult:
        """What ``block_omp`` would find on all rounds so far; parameters and errors are its.

        ``CrossValidation`` is not possible, since it wants the rounds one by one.
        """
        if self._design is None:
            raise ValueError("there are no rounds yet: add some first")

        def found_in(design: Compressed) -> BlockOMPResult:
            return block_omp(
                design,
                design.rewards,
                n_select,
                residual_tol=residual_tol,
                selection=self.selection,
                stopping=stopping,
            )

        found, self._design = collecting(found_in, self._design, self._look)
        return found

    def _look(self, known: list[int], fresh: list[int]) -> Collected:
        """Collect blocks on all rounds."""
        self.n_looks += 1
        assert self._opening is not None
        each = (collect(design, rewards, known, fresh) for design, rewards in self._rounds)
        return total_of(each, self._opening.n_actions)
