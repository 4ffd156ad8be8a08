"""What people would use instead of Block-OMP: given k and a log, each names at most k actions.

No rival is told anything of the truth but k, which Block-OMP is told too. Blocks are scaled to one
energy first, so that how strongly an action was used does not count as evidence for it.
"""

from __future__ import annotations

from collections.abc import Callable

from sparseact.design import Floats, KhatriRaoDesign
from sparseact.rivals import (
    best_subset,
    group_lasso,
    ridge,
    scalar_omp,
    screening,
    subspace_pursuit,
)
from sparseact.rivals.chosen import Chosen

__all__ = ["RIVALS", "Chosen"]

RIVALS: dict[str, Callable[[KhatriRaoDesign, Floats, int], Chosen]] = {
    "group_lasso": group_lasso.choose,
    "scalar_omp": scalar_omp.choose,
    "screening": screening.choose,
    "subspace_pursuit": subspace_pursuit.choose,
    "best_subset": best_subset.choose,
    "ridge": ridge.choose,
}
