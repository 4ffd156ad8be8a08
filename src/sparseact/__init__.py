"""Sparse action discovery: which of thousands of tools matter, from logged interactions.

Names are imported when first used, so that reading a configuration does not load the solver.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparseact.design import KhatriRaoDesign
    from sparseact.estimator import BlockOMP
    from sparseact.inference import Refit, decide, refit
    from sparseact.omp import BlockOMPResult, NestedResult, block_omp, block_omp_nested
    from sparseact.parts import block_omp_in_parts
    from sparseact.scenario import Scenario
    from sparseact.simulate import TrialLog, simulate_trial

__version__ = "0.1.0"

_HOME = {
    "BlockOMP": "estimator",
    "BlockOMPResult": "omp",
    "KhatriRaoDesign": "design",
    "NestedResult": "omp",
    "Refit": "inference",
    "Scenario": "scenario",
    "TrialLog": "simulate",
    "block_omp": "omp",
    "block_omp_in_parts": "parts",
    "block_omp_nested": "omp",
    "decide": "inference",
    "refit": "inference",
    "simulate_trial": "simulate",
}

__all__ = [
    "BlockOMP",
    "BlockOMPResult",
    "KhatriRaoDesign",
    "NestedResult",
    "Refit",
    "Scenario",
    "TrialLog",
    "block_omp",
    "block_omp_in_parts",
    "block_omp_nested",
    "decide",
    "refit",
    "simulate_trial",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"sparseact.{_HOME[name]}"), name)
    raise AttributeError(f"module 'sparseact' has no attribute {name!r}")
