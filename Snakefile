# The study of sparse action discovery: logs are simulated, the relevant actions recovered from
# them, the outcomes collected into one dataset an experiment, the claims judged, the report drawn.
#
#     snakemake --cores 2                                    everything
#     snakemake --cores 2 datasets | figures | reports       part of it
#     snakemake --cores 2 --configfile config/quick.yaml     a cut that takes three minutes
#     snakemake --cores 1 verify                             is all still what the study left?
#     snakemake --cores 1 discover --configfile config/my-log.yaml   on a log of your own

import os

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.27")


if os.path.realpath(".") != os.path.realpath(workflow.basedir):
    raise WorkflowError(
        f"Run Snakemake in {workflow.basedir}, where the Snakefile is: what the study leaves goes "
        "beside it."
    )


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/simulate.smk"
include: "workflow/rules/recover.smk"
include: "workflow/rules/refit.smk"
include: "workflow/rules/diagnose.smk"
include: "workflow/rules/bound.smk"
include: "workflow/rules/collect.smk"
include: "workflow/rules/catalogue.smk"
include: "workflow/rules/time.smk"
include: "workflow/rules/check.smk"
include: "workflow/rules/judge.smk"
include: "workflow/rules/render.smk"
include: "workflow/rules/manifest.smk"
include: "workflow/rules/crate.smk"
include: "workflow/rules/estimate.smk"
include: "workflow/rules/discover.smk"


# What is not worth a job of its own on a cluster.
localrules:
    all,
    datasets,
    figures,
    reports,
    fetch_catalogue,
    check,
    judge,
    index,
    manifest,
    verify,
    crate,
    estimate,
    discover,


rule all:
    default_target: True
    input:
        rules.manifest.input,
        rules.manifest.output,


rule datasets:
    input:
        expand(f"{RESULTS}/{{experiment}}.nc", experiment=EXPERIMENTS),


rule figures:
    input:
        FIGURES,


rule reports:
    input:
        rules.index.output,


held = []  # until this process ends


onstart:
    try:
        # Who only looks needs no more than a place for the log.
        looks = set(workflow.dag_settings.targets) == {"verify"}
        require_writable([LOGS] if looks else [RESULTS, REPORTS, LOGS])
        held.append(hold(LOCK, RUN))
        require_slurm()
    except WorkplaceError as error:
        raise WorkflowError(str(error)) from None
    # With a limit on submissions, Snakemake 9 looks at all ready jobs again a second after every
    # look, and takes one more look for each job that ends: with a few hundred jobs that is most of
    # a core. Its default, 100 a second, limits nothing here; one that somebody asked for stays.
    limiter = workflow.scheduler.job_rate_limiter
    if limiter and (limiter.max_jobs, limiter.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None


onsuccess:
    if set(workflow.dag_settings.targets) <= {"all", "reports"}:
        print(f"The report is {REPORTS}/index.html")
    if "discover" in workflow.dag_settings.targets:
        print(
            f"The report is {REPORTS}/discovery.html, the table {RESULTS}/discovery.csv"
        )
