"""Hold what is there against the manifest, or one manifest against another."""

import sys

from _job import job
from sparseact.study import manifest

with job(snakemake) as params:
    ours = manifest.read(params["manifest"])
    wrong = list(manifest.mismatches(ours))
    if params["against"]:
        theirs = manifest.read(params["against"])
        lines, far = manifest.compare(ours, theirs)
        print("\n".join(lines), file=sys.stderr)
        wrong += far
    if wrong:
        raise manifest.ManifestError("\n".join(wrong))
    print(f"{len(ours['artefacts'])} artefacts are what {params['manifest']} says", file=sys.stderr)
