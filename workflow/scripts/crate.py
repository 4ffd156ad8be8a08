"""Pack a finished study as a Workflow Run RO-Crate, once all is found to be as it was left."""

import sys

from _job import job
from sparseact.study import crate, manifest

with job(snakemake) as params:
    told = manifest.read(params["contents"]["manifest"])
    wrong = [*manifest.changes(told, **params["now"]), *manifest.mismatches(told)]
    if wrong:
        raise manifest.ManifestError("\n".join(wrong))
    crate.write(params["crate"], **params["contents"])
    print(f"The crate is {params['crate']}", file=sys.stderr)
