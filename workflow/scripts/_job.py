"""What every script shares: its log, and what it says when it fails."""

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any


@contextmanager
def job(snakemake: Any) -> Iterator[dict[str, Any]]:
    """Log to the rule's log file, and end a failure with one sentence and a pointer to it.

    Yields the rule's parameters.
    """
    path = snakemake.log[0]
    logging.basicConfig(
        filename=path, filemode="w", level=logging.INFO, format="%(asctime)s %(message)s"
    )
    logging.captureWarnings(True)
    started = perf_counter()
    try:
        yield snakemake.params.job
    except Exception as error:
        logging.error("%s", traceback.format_exc())
        sentence = str(error) or type(error).__name__
        sys.exit(f"{snakemake.rule} failed: {sentence}\n(details in {path})")
    logging.info("done in %.1f s", perf_counter() - started)
