"""Write the page of claims and the page that links everything."""

import json
import os
from pathlib import Path

from _job import job
from sparseact.study import receipt, report, store

with job(snakemake) as params:
    receipt.check(snakemake.input.judged, params["judged_by"])
    verdicts = json.loads(Path(snakemake.input.claims).read_text())
    where = {
        "notebooks": params["notebooks"],
        "results": os.path.relpath(params["results"], Path(snakemake.output.page).parent),
    }
    store.write_text(snakemake.output.claims, report.claims_page(verdicts, **where))
    page = report.index_page(
        verdicts,
        formats=params["formats"],
        experiments=params["experiments"],
        volatile=params["volatile"],
        **where,
    )
    store.write_text(snakemake.output.page, page)
    left = [snakemake.output.page, snakemake.output.claims]
    receipt.write(snakemake.output.receipt, params["code"], left)
