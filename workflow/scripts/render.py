"""Execute a notebook and turn it into a page."""

import os
import sys
import tempfile
from pathlib import Path

from _job import job

# Everything Jupyter keeps is private to this job, so that renders neither share state with each
# other nor see kernels, configuration or history of the user's home. Set before it is imported.
private = tempfile.TemporaryDirectory(prefix="render-")
for variable in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
    os.environ[variable] = str(Path(private.name) / variable.lower())
os.environ["MPLCONFIGDIR"] = private.name
os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
os.environ["JUPYTER_PATH"] = str(Path(sys.prefix) / "share" / "jupyter")
os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"

from sparseact.study import receipt, report, store  # noqa: E402

with job(snakemake) as params, private:
    # Notebooks trust what they read.
    claims = snakemake.input.get("claims")
    if claims:
        receipt.check(snakemake.input.judged, params["judged_by"])
    datasets = snakemake.input.datasets
    for (name, origin), path in zip(params["origins"].items(), datasets, strict=True):
        store.load(path, name, origin)
    read = [snakemake.input.notebook, *([claims] if claims else []), *datasets]
    report.render(
        snakemake.input.notebook,
        snakemake.output.notebook,
        snakemake.output.page,
        title=params["title"],
        parameters=params["parameters"],
        origin={
            **{f"{path} (sha256)": store.sha256(path) for path in read},
            "code (digest)": params["code"],
        },
        index=params["index"],
        failed=Path(snakemake.log[0]).with_suffix(".ipynb"),
    )
    left = {*snakemake.output} - {snakemake.output.receipt}
    receipt.write(snakemake.output.receipt, params["code"], left)
