"""What every script shares: its log, and what it says when it fails."""

import logging
import os
import platform
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from sparseact.study.workplace import alone, join


def slurm_job() -> str:
    """Where the job runs through Slurm, which of its jobs this is."""
    known = os.environ.get("SLURM_JOB_ID")
    return f", Slurm job {known}" if known else ""


@contextmanager
def job(snakemake: Any) -> Iterator[dict[str, Any]]:
    """Log to the rule's log file, and end a failure with one sentence and a pointer to it.

    Yields the rule's parameters.
    """
    path, lock = snakemake.log[0], Path(os.environ["STUDY_LOCK"])
    # A log that the disk does not take must not hide what the job itself has to say.
    logging.raiseExceptions = False
    started = perf_counter()
    try:
        with join(lock, os.environ["STUDY_RUN"]), alone(lock.with_name(".jobs"), path):
            logging.basicConfig(
                filename=path, filemode="w", level=logging.INFO, format="%(asctime)s %(message)s"
            )
            logging.captureWarnings(True)
            logging.info("began on %s%s", platform.node(), slurm_job())
            yield snakemake.params.job
    except Exception as error:
        sentence = str(error) or type(error).__name__
        # The study's own errors say all there is to say.
        own = type(error).__module__.startswith("sparseact.")
        logging.error("%s", sentence if own else traceback.format_exc())
        sys.exit(f"{snakemake.rule} failed: {sentence}\n(details in {path})")
    logging.info("done in %.1f s", perf_counter() - started)
