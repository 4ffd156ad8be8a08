"""Hold the claims against the datasets."""

import json
from pathlib import Path

import yaml

from _job import job
from sparseact.study import ledger, receipt, store

with job(snakemake) as params:
    claims = ledger.load_claims(yaml.safe_load(Path(snakemake.input.claims).read_text()))
    paths = dict(zip(params["origins"], snakemake.input.datasets, strict=True))
    verdicts = ledger.judge_all(
        claims, lambda name: store.open_dataset(paths[name], name, params["origins"][name])
    )
    left = snakemake.output.claims
    store.write_text(left, json.dumps(verdicts, indent=1, allow_nan=False) + "\n")
    receipt.write(snakemake.output.receipt, params["code"], [left])
