"""Progress of long work, in the log of the job that does it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

log = logging.getLogger(__name__)


def reported(trials: int, done: str) -> Iterator[int]:
    """Count trials, and log at every tenth of the way."""
    for trial in range(trials):
        yield trial
        if (trial + 1) * 10 // trials > trial * 10 // trials:
            log.info("%s %d of %d trials", done, trial + 1, trials)
