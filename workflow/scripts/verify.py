"""Hold what is there against the manifest, or one manifest against another."""

import sys
from pathlib import Path

from _job import job
from sparseact.study import manifest

with job(snakemake) as params:
    ours = manifest.read(params["manifest"])
    wrong = list(manifest.mismatches(ours))
    said = list(manifest.changes(ours, **params["now"]))
    if beside := manifest.strays(ours):
        said += [f"{len(beside)} datasets are of another grid and not looked at: {beside[0]}, …"]
    if params["against"]:
        theirs = manifest.read(params["against"])
        # Another run's files stand beside its manifest as ours do beside ours.
        root = params["against"].removesuffix(params["manifest"])
        at_hand = Path(root or ".") if root != params["against"] else None
        lines, far = manifest.compare(ours, theirs, at_hand)
        said += [*manifest.origins(ours, theirs), *lines]
        wrong += far
    if said:
        print("\n".join(said), file=sys.stderr)
    if wrong:
        raise manifest.ManifestError("\n".join(wrong))
    print(f"{len(ours['artefacts'])} artefacts are what {params['manifest']} says", file=sys.stderr)
