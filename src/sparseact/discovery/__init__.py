"""Discovery on a log of one's own: which tools matter, which can go, what the log cannot tell.

The layers, each on those before it: :mod:`.states` puts latent states on one scale,
:mod:`.evidence` says what held-out rounds tell of every action, :mod:`.companions` which actions
are used alike, :mod:`.verdicts` what follows, and :mod:`.judge` runs them on a log in memory.

A log in a file is read by :mod:`.log`: :mod:`.tables` opens it, :mod:`.cells` says what its columns
hold, and :mod:`.encoders` makes states of texts. What was found leaves by :mod:`.table`,
:mod:`.advice` and :mod:`.cli`.

Names are imported when first used, so that reading a configuration does not load the solver.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparseact.discovery.judge import Discovery, discover
    from sparseact.discovery.log import Log, discover_log, read_log
    from sparseact.discovery.pieces import LogError
    from sparseact.discovery.settings import Settings

_HOME = {
    "Discovery": "judge",
    "Log": "log",
    "LogError": "pieces",
    "Settings": "settings",
    "discover": "judge",
    "discover_log": "log",
    "read_log": "log",
}

__all__ = ["Discovery", "Log", "LogError", "Settings", "discover", "discover_log", "read_log"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"sparseact.discovery.{_HOME[name]}"), name)
    raise AttributeError(f"module 'sparseact.discovery' has no attribute {name!r}")
