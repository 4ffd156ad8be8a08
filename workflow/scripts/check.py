"""Hold the datasets against what they must be whatever the data say."""

import json
import logging

from _job import job
from sparseact.study import checks, receipt, store

with job(snakemake) as params:
    made = {}
    for (name, origin), path in zip(params["origins"].items(), snakemake.input, strict=True):
        try:
            made[name] = checks.check(name, store.open_dataset(path, name, origin))
        except checks.CheckError as error:
            raise checks.CheckError(f"{path}: {error}") from None
        logging.info("%s: %d checks hold", name, len(made[name]))
    left = snakemake.output.checks
    store.write_text(left, json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    receipt.write(snakemake.output.receipt, params["code"], [left])
