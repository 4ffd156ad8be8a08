# render: execute the notebooks, which draw the figures, and tie the report together.
#   takes   notebooks/<notebook>.ipynb, the datasets it reads, and reports/claims.json, which the page
#           of volatile data does without
#   leaves  reports/<notebook>.ipynb and .html, reports/figures/*, reports/index.html

# What each notebook reads and draws, in reading order.
NOTEBOOKS = {
    "rounds_needed": {
        "experiments": ("phase_transition", "scaling_law"),
        "figures": (
            "phase_transition",
            "recovery_curves",
            "rounds_needed",
            "rival_laws",
            "collapse",
            "rounds_or_coverage",
            "selection_rules",
        ),
    },
    "signal_and_coverage": {
        "experiments": ("signal_strength", "coverage"),
        "figures": (
            "signal_recovery",
            "signal_strength",
            "coverage",
            "two_point_error",
        ),
    },
    "coherence": {
        "experiments": ("coherence",),
        "figures": (
            "coherence",
            "breaking_point",
            "twins",
            "false_positives",
            "greedy_or_convex",
        ),
    },
    "refit_and_decision": {
        "experiments": ("refit_error", "decision_regret"),
        "figures": ("refit_error", "conditioning", "decision_regret", "anytime"),
    },
    "logging_policy": {
        "experiments": ("logging_policy",),
        "figures": (
            "logging_recovery",
            "exploration",
            "logging_coverage",
            "logging_regret",
        ),
    },
    "lower_bounds": {
        "experiments": ("lower_bounds",),
        "figures": ("error_probabilities", "greedy_factor", "rate_constant"),
    },
    "sparsity": {
        "experiments": ("sparsity_necessity",),
        "figures": ("relative_error", "sparsity", "growth"),
    },
    "unknown_k": {
        "experiments": ("stopping",),
        "figures": ("stopping_recovery", "stopping_errors", "price"),
    },
    "robustness": {
        "experiments": ("robustness",),
        "figures": ("departures", "rounds_factor", "departed_coverage"),
    },
    "approximate_sparsity": {
        "experiments": ("approximate_sparsity",),
        "figures": (
            "tail_recovery",
            "tail_rounds",
            "tail_error",
            "tail_decisions",
        ),
    },
    "dynamic_actions": {
        "experiments": ("dynamic_actions",),
        "figures": ("discovery", "discovery_rounds", "read_share"),
    },
    "methods": {
        "experiments": ("methods",),
        "figures": ("methods_rounds", "methods_recovery", "methods_difference"),
    },
    "beyond": {
        "experiments": ("beyond", "methods"),
        "figures": ("departures_compared", "departures_growing", "breaking_sizes"),
    },
    "tool_catalogue": {
        "experiments": ("tool_catalogue",),
        "figures": (
            "catalogue_kept",
            "catalogue_rounds",
            "catalogue_map",
            "near_copies",
            "misspecification",
        ),
    },
    "method_costs": {
        "experiments": ("method_costs",),
        "figures": ("call_time", "call_memory"),
    },
}
# What pages are made from, beside code.
TEMPLATES = [
    f"study/templates/{name}.html.j2"
    for name in ("page", "notebook", "claims", "index")
]
FIGURES = [
    f"{within(REPORTS, notebook)}/figures/{figure}.{suffix}"
    for notebook, of_notebook in NOTEBOOKS.items()
    for figure in of_notebook["figures"]
    for suffix in FORMATS
]

for notebook, of_notebook in NOTEBOOKS.items():
    # No verdict rests on numbers of this machine: their page waits for none.
    TELLS = notebook not in TIMED

    rule:
        name:
            f"render_{notebook}"
        input:
            notebook=f"notebooks/{notebook}.ipynb",
            claims=rules.judge.output.claims if TELLS else [],
            judged=rules.judge.output.receipt if TELLS else [],
            datasets=[dataset_of(one) for one in of_notebook["experiments"]],
        output:
            notebook=f"{within(REPORTS, notebook)}/{notebook}.ipynb",
            page=report(
                f"{within(REPORTS, notebook)}/{notebook}.html",
                caption=f"../report/report_{notebook}.rst",
                category="Reports",
            ),
            pictures=[
                report(
                    f"{within(REPORTS, notebook)}/figures/{figure}.svg",
                    caption=f"../report/{figure}.rst",
                    category="Figures",
                )
                for figure in of_notebook["figures"]
            ],
            more=expand(
                f"{within(REPORTS, notebook)}/figures/{{figure}}.{{suffix}}",
                figure=of_notebook["figures"],
                suffix=[suffix for suffix in FORMATS if suffix != "svg"],
            ),
            receipt=receipt_of(f"render_{notebook}"),
        log:
            f"{LOGS}/render/{notebook}.log",
        benchmark:
            f"{LOGS}/render/{notebook}.tsv"
        conda:
            "../../environment.yml"
        resources:
            **needs_of(f"render_{notebook}"),
        params:
            job={
                "title": notebook.replace("_", " ").capitalize(),
                "parameters": {
                    "results": within(RESULTS, notebook),
                    "reports": within(REPORTS, notebook),
                },
                "index": os.path.relpath(
                    f"{REPORTS}/index.html", within(REPORTS, notebook)
                ),
                "origins": origins_of(of_notebook["experiments"]),
                "judged_by": CODE["judge"] if TELLS else None,
                "code": code_of(
                    f"render_{notebook}",
                    "render.py",
                    kinds=of_notebook["experiments"],
                    also=[
                        *TEMPLATES,
                        "study/figures.py",
                        "study/prose.py",
                        *(
                            f"study/experiments/{experiment}.py"
                            for experiment in of_notebook["experiments"]
                        ),
                    ],
                ),
            },
        script:
            "../scripts/render.py"


rule index:
    input:
        claims=rules.judge.output.claims,
        judged=rules.judge.output.receipt,
        pages=[f"{within(REPORTS, one)}/{one}.html" for one in NOTEBOOKS],
    output:
        page=report(
            f"{REPORTS}/index.html", caption="../report/index.rst", category="Reports"
        ),
        claims=report(
            f"{REPORTS}/claims.html",
            caption="../report/claims.rst",
            category="Reports",
        ),
        receipt=receipt_of("index"),
    log:
        f"{LOGS}/index.log",
    benchmark:
        f"{LOGS}/index.tsv"
    conda:
        "../../environment.yml"
    resources:
        **needs_of("index"),
    params:
        job={
            "results": RESULTS,
            "experiments": EXPERIMENTS,
            "notebooks": {
                name: spec["figures"]
                for name, spec in NOTEBOOKS.items()
                if name not in TIMED
            },
            "volatile": {name: NOTEBOOKS[name]["figures"] for name in TIMED},
            "formats": FORMATS,
            "judged_by": CODE["judge"],
            "code": code_of(
                "index", "index.py", kinds=[*EXPERIMENTS, *TIMED], also=TEMPLATES
            ),
        },
    script:
        "../scripts/index.py"
