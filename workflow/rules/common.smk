# What every stage shares: the checked configuration, where things go, and the code they run.

import os
import sys
from dataclasses import asdict
from pathlib import Path

from snakemake.exceptions import WorkflowError

SOURCE = str(Path(workflow.basedir) / "src")
sys.path.insert(0, SOURCE)

from sparseact.study.config import ConfigError, load_study
from sparseact.study.digest import code_digest
from sparseact.study.variables import kind_digest

# Jobs inherit these: the package is this checkout's, whatever else is installed, and one job is
# one thread, because BLAS adds up in another order with more.
THREADS = ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB_MAXIMUM")
os.environ.update(
    {f"{library}_NUM_THREADS": "1" for library in THREADS}, PYTHONPATH=SOURCE
)

try:
    STUDY = load_study(config)
except ConfigError as error:
    raise WorkflowError(f"The configuration cannot be used.\n{error}") from None

RESULTS = str(Path("results") / STUDY.label)
REPORTS = str(Path("reports") / STUDY.label)
LOGS = str(Path("logs") / STUDY.label)

EXPERIMENTS = ("phase_transition", "scaling_law")
CELLS = {cell.name: cell for cell in STUDY.cells()}
SCENARIOS = {cell.scenario.name: cell.scenario for cell in CELLS.values()}


def uses_of(scenario):
    """Cells that use a scenario's simulated log."""
    return [cell for cell in CELLS.values() if cell.scenario.name == scenario]


def code_of(script, kinds=(), also=()):
    """Digest of a script, of all of the package that it imports, and of the datasets it handles.

    ``also`` names further modules, for what a script runs without importing it. The digest is a
    parameter of each rule, because Snakemake does not look into imported modules. Parameters
    travel as one dictionary: Snakemake compares them as an unnamed set.
    """
    base = Path(workflow.basedir)
    sources = [
        base / "workflow/scripts" / script,
        *(base / "src/sparseact" / one for one in also),
    ]
    return f"{code_digest(*sources)}-{kind_digest(*kinds)}"


wildcard_constraints:
    scenario="[A-Za-z0-9._-]+",
    cell="[A-Za-z0-9._-]+",
