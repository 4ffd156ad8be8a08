"""Pack a finished study as a Workflow Run RO-Crate, once all is found to be as it was left."""

import sys

from _job import job
from sparseact.study import crate, manifest

with job(snakemake) as params:
    told = manifest.read(params["contents"]["manifest"])
    volatile = manifest.read_volatile(params["contents"]["volatile"])
    wrong = [*manifest.changes(told, **params["now"])]
    wrong += [sentence for one in (told, volatile) for sentence in manifest.mismatches(one)]
    if wrong:
        raise manifest.ManifestError("\n".join(wrong))
    crate.write(params["crate"], **params["contents"])
    print(f"The crate is {params['crate']}", file=sys.stderr)
