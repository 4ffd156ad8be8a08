"""Fetch the catalogue of tools, or write down why it cannot be had."""

import logging
import sys

from _job import job
from sparseact.study.fetch import NotFetchedError, keep, keep_why

with job(snakemake) as params:
    try:
        keep(snakemake.output[0], snakemake.input[0], params["members"])
    except NotFetchedError as error:
        logging.warning("tool_catalogue is skipped: %s", error)
        print(f"tool_catalogue is skipped: {error}", file=sys.stderr)
        keep_why(snakemake.output[0], str(error))
