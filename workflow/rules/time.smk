# time: measure what the methods cost on this machine.
#   takes   nothing: it draws logs of its own, and has the machine to itself meanwhile
#   leaves  results/volatile/method_costs.nc, with other numbers in every run

TIMED_ASKED = {
    "scenarios": [asdict(one) for one in STUDY.method_costs.scenarios(STUDY)],
    "n_rounds": [one.n_rounds for one in STUDY.method_costs.sizes],
    "seed": STUDY.seed,
    "repeats": STUDY.method_costs.repeats,
    "seconds": STUDY.method_costs.seconds,
}
TIMED_CODE = code_of("method_costs", "method_costs.py", kinds=["method_costs"])
ORIGINS[dataset_of("method_costs")] = origin(TIMED_ASKED, TIMED_CODE)


rule method_costs:
    output:
        dataset_of("method_costs"),
    log:
        f"{LOGS}/method_costs.log",
    benchmark:
        f"{LOGS}/method_costs.tsv"
    # First, while there is no job to wait for.
    priority: 1
    conda:
        "../../environment.yml"
    # All of this machine, so that no other job of the study disturbs the clock; it works in one.
    threads: workflow.resource_settings.cores or 1
    resources:
        **needs_of("method_costs"),
    params:
        job={"configuration": TIMED_ASKED, "code": TIMED_CODE},
    script:
        "../scripts/method_costs.py"
