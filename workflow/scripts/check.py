"""Hold the datasets against what they must be whatever the data say."""

import json
import logging
from pathlib import Path

from _job import job
from sparseact.study import checks, store

with job(snakemake):
    made = {}
    for path in snakemake.input:
        name = Path(path).stem
        try:
            made[name] = checks.check(name, store.open_dataset(path, name))
        except checks.CheckError as error:
            raise checks.CheckError(f"{path}: {error}") from None
        logging.info("%s: %d checks hold", name, len(made[name]))
    store.write_text(snakemake.output[0], json.dumps(made, indent=1, ensure_ascii=False) + "\n")
