# What every stage shares: the checked configuration, where things go, and the code they run.

import json
import math
import subprocess
import sys
import uuid
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

SOURCE = str(Path(workflow.basedir) / "src")
sys.path.insert(0, SOURCE)

from sparseact.catalogue.sets import FOLDER, SETS, names_of
from sparseact.study import costs
from sparseact.study.cell import merged
from sparseact.study.config import ConfigError, load_study
from sparseact.study.digest import code_digest
from sparseact.study.fetch import FetchError, NotFetchedError, keep, was_skipped
from sparseact.study.origin import origin
from sparseact.study.variables import kind_digest
from sparseact.study.volatile import VOLATILE
from sparseact.study.workplace import (
    WorkplaceError,
    hold,
    require_folders,
    require_free,
    require_writable,
)

try:
    STUDY = load_study(config)
except ConfigError as error:
    raise WorkflowError(f"The configuration cannot be used.\n{error}") from None

RESULTS = str(Path("results") / STUDY.label)
REPORTS = str(Path("reports") / STUDY.label)
LOGS = str(Path("logs") / STUDY.label)
LOCK = f"{LOGS}/.lock"

# What figures come as.
FORMATS = ("png", "svg", "pdf") if STUDY.pdf else ("png", "svg")

# Jobs inherit these: the package is this checkout's, whatever else is installed; one job is one
# thread, because BLAS adds up in another order with more; and the study is theirs while they run.
THREADS = ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB_MAXIMUM")
os.environ.update(
    {f"{library}_NUM_THREADS": "1" for library in THREADS},
    PYTHONPATH=SOURCE,
    STUDY_LOCK=LOCK,
    STUDY_PYTHON=sys.executable,
    STUDY_FORMATS=" ".join(FORMATS),
)
RUN = str(uuid.uuid4())
if workflow.is_main_process:
    os.environ.update(STUDY_RUN=RUN)

# Before the study is looked at: another run changes it meanwhile.
if workflow.is_main_process and not workflow.output_settings.dryrun:
    try:
        require_folders([RESULTS, REPORTS, LOGS])
        require_free(LOCK)
    except WorkplaceError as error:
        raise WorkflowError(str(error)) from None

SLURM = "workflow/profiles/slurm/slurm.py"
QUOTES = "'\""


def require_slurm():
    """Where jobs go through Slurm, make sure that it takes them before any is submitted."""
    submit = getattr(workflow.executor_settings, "submit_cmd", None) or ""
    if SLURM in submit:
        site = workflow.resource_settings.default_resources
        asked = [
            f"--{one}={str(getattr(site.get(f'slurm_{one}'), 'raw', '')).strip(QUOTES)}"
            for one in ("partition", "account")
        ]
        done = subprocess.run(
            [sys.executable, SLURM, "check", *asked], capture_output=True, text=True
        )
        if done.returncode:
            raise WorkplaceError(done.stderr.strip())


def require_log():
    """Make sure that there is a log of one's own to discover on."""
    if STUDY.discover is None:
        raise WorkflowError(
            "The configuration names no log: give one with --configfile, as config/my-log.yaml does."
        )
    for key in ("path", "catalogue"):
        path = getattr(STUDY.discover, key)
        if path and not os.path.isfile(path):
            raise WorkflowError(f"discover.{key}: there is no file {path}")
    return True


# The kind of dataset that each stage leaves, one file a scenario …
KINDS = {
    "simulate": "log",
    "recover": "recovery",
    "rival": "rival",
    "compare": "compared",
    "detect": "detection",
    "stop": "stopped",
    "follow": "followed",
    "refit": "refit",
    "decide": "decision",
    "dense": "dense",
    "diagnose": "diagnosis",
    "bound": "bound",
}
# … and, in these, selection rule.
BY_SELECTION = (
    "recover",
    "rival",
    "compare",
    "detect",
    "stop",
    "follow",
    "refit",
    "decide",
)

# The stages that each experiment collects.
STAGES = {
    "phase_transition": ("recover",),
    "signal_strength": ("recover",),
    "coverage": ("detect",),
    "coherence": ("simulate", "recover", "rival", "diagnose"),
    "refit_error": ("refit",),
    "decision_regret": ("decide",),
    "logging_policy": ("simulate", "recover", "refit", "decide", "diagnose"),
    "lower_bounds": ("recover", "bound"),
    "sparsity_necessity": ("refit", "dense"),
    "stopping": ("stop",),
    "robustness": ("recover", "refit"),
    "approximate_sparsity": ("recover", "refit", "dense", "decide"),
    "dynamic_actions": ("follow",),
    "methods": ("compare",),
}
CELLS = {experiment: STUDY.cells(experiment) for experiment in STAGES}
EXPERIMENTS = (*STAGES, "scaling_law", "beyond", "tool_catalogue")
# What is measured by a clock: datasets, each with a page of its name, that no two runs share.
TIMED = ("method_costs",)
# What a stage needs from another before it.
NEEDS = {"refit": "recover", "decide": "recover"}


def cells_at(stage, experiment):
    """What a stage works on of an experiment's cells."""
    told = getattr(STUDY.experiments, experiment)
    taken = [told.taken(stage, cell) for cell in CELLS[experiment]]
    return [cell for cell in taken if cell]


def cells_of(stage):
    """Every cell of a stage, whoever asks for it."""
    later = [then for then, before in NEEDS.items() if before == stage]
    asked = [
        cell
        for experiment, stages in STAGES.items()
        for one in stages
        if stage == "simulate" or one in (stage, *later)
        for cell in cells_at(one, experiment)
    ]
    return merged(asked, by_selection=stage in BY_SELECTION).values()


def file_of(stage, cell):
    """What the file of a cell, or of a piece of its trials, is called."""
    name = cell.name if stage in BY_SELECTION else cell.scenario.name
    return f"{name}_from{cell.first}" if STUDY.trials_per_job else name


def path_at(stage, cell):
    """Where a stage leaves what it made of a cell."""
    return f"{RESULTS}/{stage}/{file_of(stage, cell)}.nc"


def pieces_at(stage):
    """What the jobs of a stage work on, by the name of the file."""
    return {
        file_of(stage, piece): piece
        for cell in cells_of(stage)
        for piece in cell.pieces(STUDY.trials_per_job)
    }


AT = {stage: pieces_at(stage) for stage in KINDS}
# A log is the same up to its end, whatever shorter prefixes are asked for.
AT["simulate"] = {
    name: replace(piece, n_rounds=piece.n_rounds[-1:])
    for name, piece in AT["simulate"].items()
}
PIECES = [(stage, piece) for stage, pieces in AT.items() for piece in pieces.values()]
# Bytes that all of them leave.
STORED = sum(costs.stored(stage, piece) for stage, piece in PIECES)


def input_of(stage):
    """What a stage takes, by kind of dataset: the log, and what a stage before it made of that."""
    before = [one for one in ("simulate", NEEDS.get(stage)) if one]
    return {
        KINDS[one]: (lambda w, one=one: path_at(one, AT[stage][w.cell]))
        for one in before
    }


# What each rule runs, for the manifest.
CODE = {}


def code_of(rule, script, kinds=(), also=()):
    """Digest of a rule's script, all of the package that it imports, and the datasets it handles.

    ``also`` names further modules, for what a script runs without importing it. The digest is a
    parameter of each rule, because Snakemake does not look into imported modules. Parameters
    travel as one dictionary: Snakemake compares them as an unnamed set.
    """
    base = Path(workflow.basedir)
    sources = [
        base / "workflow/scripts" / script,
        *(base / "src/sparseact" / one for one in also),
    ]
    CODE[rule] = f"{code_digest(*sources)}-{kind_digest(*kinds)}"
    return CODE[rule]


# What a stage is told besides its cell.
TOLD = {
    "simulate": {"seed": STUDY.seed},
    "decide": {
        "n_states": STUDY.experiments.decision_regret.states,
        "seed": STUDY.seed,
    },
    "compare": {
        "n_states": STUDY.experiments.methods.states,
        "seed": STUDY.seed,
    },
    "stop": STUDY.experiments.stopping.model_dump(exclude={"grids"}),
}


def code_of_stage(stage):
    kinds = [KINDS[one] for one in ("simulate", NEEDS.get(stage), stage) if one]
    return code_of(stage, "stage.py", kinds=kinds, also=[f"study/stages/{stage}.py"])


STAGE_CODE = {stage: code_of_stage(stage) for stage in KINDS}


def asked_of(stage, piece):
    """All that the result of a stage depends on, but for its code."""
    return {
        "stage": stage,
        "cell": asdict(piece),
        "seed": STUDY.seed,
        "options": TOLD.get(stage, {}),
    }


# The origin of each dataset, by its path: its readers refuse any other.
ORIGINS = {
    path_at(stage, piece): origin(asked_of(stage, piece), STAGE_CODE[stage])
    for stage, piece in PIECES
}


def job_of(stage):
    """The parameters of a stage's job."""
    before = input_of(stage)
    return lambda w: {
        "kind": KINDS[stage],
        "configuration": asked_of(stage, AT[stage][w.cell]),
        "origins": {kind: ORIGINS[path(w)] for kind, path in before.items()},
        "code": STAGE_CODE[stage],
    }


# What jobs cost, for what a cluster must be asked for; `estimate` tells more.
COSTS_FILE = "workflow/costs.json"
with open(Path(workflow.basedir) / COSTS_FILE) as file:
    COSTS = json.load(file)


def needs_of(name):
    """Resources of the job of a rule: its memory in MB, thrice its time in minutes, and a margin.

    By what it will cost, and as much again with each further attempt. Times of jobs that go
    together add up, the margin does not; so what takes less than a second counts nothing.
    """
    if name in KINDS:
        cost = lambda w: costs.of_stage(COSTS, STUDY, name, AT[name][w.cell])
    else:
        told = costs.of_rule(COSTS, name, costs.size_of(name, STUDY, STORED))
        cost = lambda w: told
    return {
        "mem_mb": lambda w, attempt: attempt * math.ceil(cost(w).memory),
        "runtime": lambda w, attempt: attempt * math.ceil(cost(w).seconds / 20 - 0.05),
        "margin": lambda w, attempt: attempt * 3,
    }


def within(top, name):
    """The folder of what a final dataset, or the notebook of that name, leaves."""
    return f"{top}/{VOLATILE}" if name in TIMED else top


def receipt_of(rule):
    """Where a rule says what it left, if that cannot say itself whose it is."""
    return f"{within(RESULTS, rule.removeprefix('render_'))}/receipts/{rule}.json"


def dataset_of(name):
    """Where a final dataset is."""
    return f"{within(RESULTS, name)}/{name}.nc"


def origins_of(experiments):
    """The origins of some final datasets."""
    return {name: ORIGINS[dataset_of(name)] for name in experiments}


def jobs():
    """Every job of the study, read off its rules: which rule, its cell, what it waits for.

    By what the job leaves first. Targets and what only looks at a study have no benchmark, and are
    no part of it.
    """
    found, left_by = {}, {}
    for known in [known for known in workflow.rules if known.benchmark]:
        one = getattr(rules, known.name)
        for cell, piece in AT.get(known.name, {"": None}).items():
            wildcards = SimpleNamespace(cell=cell)
            left = [str(path).format(cell=cell) for path in one.output]
            left_by.update(dict.fromkeys(left, left[0]))
            found[left[0]] = {
                "rule": known.name,
                "cell": piece and asdict(piece),
                "benchmark": str(one.benchmark).format(cell=cell),
                "takes": [it(wildcards) if callable(it) else it for it in one.input],
            }
    for job in found.values():
        after = {left_by.get(path) for path in job.pop("takes")}
        job["after"] = sorted(after - {None})
    return found


wildcard_constraints:
    cell="[A-Za-z0-9._-]+",
