"""Hold the claims against the datasets."""

import json
from pathlib import Path

import yaml

from _job import job
from sparseact.study import ledger, store

with job(snakemake):
    claims = ledger.load_claims(yaml.safe_load(Path(snakemake.input.claims).read_text()))
    paths = {Path(path).stem: path for path in snakemake.input.datasets}
    verdicts = ledger.judge_all(claims, lambda name: store.open_dataset(paths[name], name))
    store.write_text(snakemake.output[0], json.dumps(verdicts, indent=1, allow_nan=False) + "\n")
