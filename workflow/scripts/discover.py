"""Find out which tools of a log matter."""

import logging

from _job import job
from sparseact.discovery.log import discover_log
from sparseact.discovery.settings import Settings
from sparseact.discovery.table import table_of
from sparseact.discovery.writing import write_table
from sparseact.study import discovery, store
from sparseact.study.origin import provenance

with job(snakemake) as params:
    asked = params["configuration"]
    found = discover_log(
        Settings.model_validate(asked), lambda rounds: logging.info("%d rounds read", rounds)
    )
    told = {**discovery.told_of(found), **provenance(asked, params["code"])}
    store.write(snakemake.output.dataset, "discovery", discovery.arrays_of(found), told)
    for path in snakemake.output.tables:
        write_table(table_of(found), path)
