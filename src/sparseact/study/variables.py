"""The registry of dataset variables: what each is called, holds and means, and where it stands.

Every dataset the study writes or reads is checked against it (:mod:`sparseact.study.store`). It is
read while the workflow is being planned too, and must stay light.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class Variable:
    """A named quantity.

    ``dtype`` is a NumPy type, "str", or "ids": the smallest unsigned integer that holds the ids.
    Missing floats are NaN; other values must lie within ``low`` … ``high``.
    """

    dtype: str
    units: str
    long_name: str
    low: float = -math.inf
    high: float = math.inf

    def fits(self, dtype: npt.DTypeLike) -> bool:
        """Whether an array of this dtype may hold the variable."""
        import numpy as np

        kind = np.dtype(dtype)
        if self.dtype == "str":
            return kind.kind in "OUT"
        if self.dtype == "ids":
            return kind.kind == "u"
        return kind == np.dtype(self.dtype)


@dataclass(frozen=True)
class Kind:
    """A kind of dataset: the dimensions of every variable it holds."""

    title: str
    variables: dict[str, tuple[str, ...]]
    optional: frozenset[str] = field(default_factory=frozenset)


def _probability(long_name: str) -> Variable:
    return Variable("float64", "1", long_name, 0, 1)


def _estimate(name: str, value: Variable) -> dict[str, Variable]:
    """A variable and the two ends of its 95 % interval."""
    return {
        name: value,
        **{
            f"{name}_{end}": Variable(
                value.dtype,
                value.units,
                f"{value.long_name}: {end} end of the 95 % interval",
                value.low,
                value.high,
            )
            for end in ("low", "high")
        },
    }


def _range(name: str, value: Variable) -> dict[str, Variable]:
    """A variable, and the least and the most of what it is taken from."""
    return {
        name: value,
        **{
            f"{name}_{end}": Variable(
                value.dtype, value.units, f"{value.long_name}: {end}", value.low, value.high
            )
            for end in ("least", "most")
        },
    }


def _positive(units: str, long_name: str) -> Variable:
    return Variable("float64", units, long_name, 0)


VARIABLES: dict[str, Variable] = {
    # discovery on a log of one's own
    "tool": Variable("str", "1", "an action of the log, by its name"),
    "state": Variable("str", "1", "what an effect belongs to: the average state, or a latent"),
    "verdict": Variable("str", "1", "relevant, prunable, or undetermined"),
    "reason": Variable("str", "1", "what a verdict that is undetermined lacks"),
    "order": Variable("int32", "1", "when the action was selected, from 1; 0 if it was not", 0),
    "confounded_with": Variable("str", "1", "the one that it is confounded with, if it is one"),
    "is_relative": Variable("uint8", "1", "1 where only differences from others are told", 0, 1),
    "uses": _positive("round", "rounds that used the action"),
    "p_value": Variable("float64", "1", "p-value of no effect, corrected", 0, 1),
    **_range("effect", _positive("reward", "root mean square of the effect over states")),
    **_range("mean_effect", Variable("float64", "reward", "mean effect where it was used")),
    "detectable_effect": _positive("reward", "smallest effect that would have been found"),
    "more_uses": _positive("round", "further rounds with the action that would settle it"),
    "more_rounds": _positive("round", "further rounds, as they are logged, that would settle it"),
    "companion": Variable("str", "1", "actions used most alike, the closest first"),
    "companion_coherence": Variable("float64", "1", "block coherence with them", 0, 1),
    "tool_weight": Variable("float64", "reward", "effect in the average state, and per latent"),
    # axes of the grid
    "design": Variable("str", "1", "how the log was collected"),
    "n_actions": Variable("int32", "1", "number of actions M", 1),
    "sparsity": Variable("int32", "1", "number of relevant actions k", 1),
    "latent_dim": Variable("int32", "1", "latent dimension d", 1),
    "n_rounds": Variable("int32", "round", "number of logged rounds T", 1),
    "selection": Variable("str", "1", "selection rule of Block-OMP"),
    "quantile": Variable("float64", "1", "probability of exact recovery asked for", 0, 1),
    "quantity": Variable("str", "1", "what is counted: rounds, or coverage of relevant actions"),
    "law": Variable("str", "1", "scaling law"),
    "axis": Variable("str", "1", "grid axis that the exponent belongs to"),
    "signal_to_noise": Variable("float64", "1", "signal-to-noise ratio b/σ", 0),
    "regime": Variable("str", "1", "what disturbs most: noise, or other relevant actions"),
    "coverage": Variable("int32", "round", "rounds in which the scarce action was used", 0),
    "structure": Variable("str", "1", "how the actions are correlated"),
    "strength": Variable("float64", "1", "strength ρ of the correlation", 0, 1),
    "tail": Variable("str", "1", "how the small effects fall off"),
    "tail_energy": Variable(
        "float64", "1", "energy τ of the small effects over that of the large ones", 0
    ),
    "false_positive": Variable("str", "1", "kind of irrelevant action selected"),
    "condition_number": Variable("float64", "1", "condition number of Σ_z", 1),
    "policy": Variable("str", "1", "how the log chose its actions"),
    "policy_level": Variable(
        "float64", "1", "exponent s of popularity (zipf), or probability ε to explore (greedy)", 0
    ),
    "step": Variable("int32", "1", "steps of the path taken", 0),
    "limit": Variable("str", "1", "method, or bound on all methods"),
    "estimator": Variable("str", "1", "estimator of the weights"),
    "stopping": Variable("str", "1", "how it is said how many actions to keep"),
    "departure": Variable("str", "1", "how the log departs from what the theory assumes"),
    "departure_size": Variable("float64", "1", "how far it departs", 0),
    "setting": Variable("str", "1", "kind of log that methods are compared on"),
    "arrives_after": Variable("int32", "round", "rounds before the late actions appear", 0),
    "since_arrival": Variable("int32", "round", "rounds since the late actions appeared", 1),
    "method": Variable("str", "1", "rule of Block-OMP, or rival"),
    # a simulated log
    "latent": Variable("float32", "1", "latent state z"),
    "activation_bits": Variable("uint8", "1", "activation signs, one bit an action, 1 for +1"),
    "action": Variable("ids", "1", "ids of the actions used, ascending within a round"),
    "reward": Variable("float64", "reward", "reward r"),
    "support": Variable("ids", "1", "relevant actions S*, ascending"),
    "weights": Variable("float64", "reward", "weights of the relevant actions"),
    "decoy": Variable("ids", "1", "irrelevant actions that imitate relevant ones"),
    "scarce": Variable("ids", "1", "relevant action used in late rounds only"),
    "tail_weights": Variable(
        "float64", "reward", "small weights of the actions that are not relevant"
    ),
    "late": Variable("ids", "1", "actions that appear late, ascending"),
    "newcomer": Variable("ids", "1", "relevant action that appears late"),
    # recovery, per trial
    "exact_recovery": Variable("uint8", "1", "1 where the selected set is the support", 0, 1),
    "n_correct": Variable("int32", "1", "relevant actions among those selected", 0),
    "selected": Variable("int32", "1", "action selected at each step, -1 after an early stop", -1),
    "least_coverage": Variable(
        "int32", "round", "rounds in which the least used relevant action was used", 0
    ),
    "converged": Variable("uint8", "1", "1 where the method came to rest", 0, 1),
    # tests of a scarce action, per trial
    "n_selected": Variable("int32", "1", "actions that the stopping rule keeps", 0),
    "missed": Variable("uint8", "1", "1 where the scarce action is not selected", 0, 1),
    "false_alarm": Variable(
        "uint8", "1", "1 where the scarce action is selected though its effect was taken out", 0, 1
    ),
    "least_error": _probability("least average error of any test, Le Cam's bound"),
    # a log that is followed as it grows, per trial
    "newcomer_found": Variable("uint8", "1", "1 where the newcomer is selected", 0, 1),
    "same_support": Variable(
        "uint8", "1", "1 where the selected set is that of solving from scratch", 0, 1
    ),
    "weight_difference": _positive(
        "1", "largest difference of weights from those from scratch, over the largest weight"
    ),
    "rounds_read": Variable("int64", "round", "rounds read so far by the incremental solver", 0),
    "rounds_read_anew": Variable(
        "int64", "round", "rounds read so far by solving from scratch after every piece", 0
    ),
    # the refit, per trial
    "squared_error": _positive(
        "reward2", "squared error of the refitted weights (mean: given exact recovery)"
    ),
    "oracle_error": _positive(
        "reward2", "expected squared error with the support known (mean: given exact recovery)"
    ),
    "k_term_error": _positive(
        "reward2", "expected squared error with the k largest effects known, tail included"
    ),
    "least_eigenvalue": _positive("1", "least eigenvalue of the support's Gram matrix over T"),
    "n_covered": Variable("int32", "1", "95 % intervals that hold the true weight", 0),
    "n_intervals": Variable("int32", "1", "95 % intervals stated", 0),
    "ridge_error": _positive("reward2", "squared error of ridge regression on all actions"),
    "least_squares_error": _positive("reward2", "squared error of least squares on all actions"),
    # decisions, per trial
    "mean_regret": _positive("reward", "mean regret over fresh latent states"),
    "regret_95": _positive("reward", "95th percentile of the regret over fresh latent states"),
    "optimal_share": _probability("share of fresh latent states in which the decision is optimal"),
    "regret_bound": _positive("reward", "mean of the bound 2‖z‖ max‖ŵ_j - w_j‖ on the regret"),
    "bound_exceeded": Variable("uint8", "1", "1 where a regret exceeds its bound", 0, 1),
    "best_value": _positive("reward", "mean value of the best action"),
    "known_regret": _positive("reward", "mean regret of one who knows the k largest effects alone"),
    # coherence, per trial
    "erc": _positive("1", "exact-recovery coefficient μ_S"),
    "mutual_coherence": _probability("mutual block coherence μ_B"),
    "has_copies": Variable(
        "uint8", "1", "1 where two actions were used the same way in every round", 0, 1
    ),
    # bounds, per trial
    "map_probability": _probability("posterior probability of the likeliest support"),
    "map_correct": Variable("uint8", "1", "1 where the likeliest support is the true one", 0, 1),
    "information": _positive("nat", "bound on the information about the support"),
    "fano_error": _probability("least error by Fano's inequality"),
    # recovery, collected
    "n_trials": Variable("int32", "1", "number of trials", 0),
    **_estimate("recovery_probability", _probability("probability of exact recovery")),
    "mean_least_coverage": _positive(
        "round", "rounds in which the least used relevant action was used, mean over trials"
    ),
    **_estimate(
        "rounds_needed",
        _positive("round", "rounds needed for the quantile, or the relative error, asked for"),
    ),
    **_estimate(
        "coverage_needed",
        _positive("round", "least coverage of a relevant action needed for the quantile"),
    ),
    "needed_replicates": _positive("round", "bootstrap replicates of what is needed"),
    "curve_misfit": Variable(
        "float64", "1", "log of rounds needed by the fitted curve over those by interpolation"
    ),
    **_estimate(
        "final_recovery_probability",
        _probability(
            "probability of exact recovery after the most rounds, the least at this place"
        ),
    ),
    # scaling laws
    "loo_error": _positive("1", "leave-one-out error of log rounds needed, root mean square"),
    "aicc": Variable("float64", "1", "corrected Akaike information criterion"),
    **_estimate("law_scale", _positive("round", "fitted factor a of the law")),
    **_estimate("law_constant", _positive("1", "fitted constant c of the law, where it has one")),
    "law_prediction": _positive("round", "what the fitted law predicts"),
    **_estimate("exponent", Variable("float64", "1", "fitted exponent")),
    **_estimate(
        "elasticity", Variable("float64", "1", "slope of the logarithm of what is needed in log M")
    ),
    **_estimate(
        "growth_index",
        Variable("float64", "1", "Box-Cox index of growth with M: 0 is log M, 1 is M"),
    ),
    **_estimate(
        "paper_excess_error",
        Variable("float64", "1", "log of the paper's law's error over the best rival law's"),
    ),
}

# collected, under the name of the per-trial number that is averaged
for _name in (
    "squared_error",
    "oracle_error",
    "least_eigenvalue",
    "mean_regret",
    "regret_95",
    "optimal_share",
    "regret_bound",
    "best_value",
    "erc",
    "mutual_coherence",
):
    VARIABLES |= _estimate(_name, VARIABLES[_name])
VARIABLES |= {
    # signal strength
    "noise_share": _probability("share of noise in what disturbs the search for an action"),
    **_estimate(
        "signal_exponent", Variable("float64", "1", "exponent of the rounds needed in b/σ")
    ),
    "condition_rounds": _positive("round", "rounds that the claim's condition asks for"),
    # coverage
    **_estimate("miss_probability", _probability("probability that the scarce action is missed")),
    **_estimate(
        "false_alarm_probability",
        _probability(
            "probability that the scarce action is selected though its effect was taken out"
        ),
    ),
    **_estimate("two_point_error", _probability("average of miss and false alarm")),
    **_estimate("le_cam_bound", _probability("least average error of any test, Le Cam's bound")),
    **_estimate(
        "excess_error",
        Variable("float64", "1", "two-point error above Le Cam's bound, mean over coverage"),
    ),
    **_estimate("test_coverage", _positive("round", "coverage at which the error falls to 0.1")),
    **_estimate(
        "least_test_coverage", _positive("round", "coverage at which Le Cam's bound falls to 0.1")
    ),
    # coherence
    **_estimate(
        "copy_share",
        _probability("share of trials with two actions used alike in every round"),
    ),
    **_estimate("false_positives", _positive("1", "mean number of irrelevant actions selected")),
    **_estimate(
        "convex_recovery_probability",
        _probability("probability of exact recovery by the group lasso at its best penalty"),
    ),
    **_estimate(
        "convex_advantage",
        Variable(
            "float64",
            "1",
            "convex_difference after the most rounds, mean over strengths with μ_S above 1",
        ),
    ),
    **_estimate(
        "convex_difference",
        Variable("float64", "1", "recovery by the group lasso less that by Block-OMP, same logs"),
    ),
    **_estimate(
        "recovery_below_one",
        _probability("recovery after the most rounds, least over strengths with μ_S below 0.9"),
    ),
    **_estimate(
        "recovery_beyond_one",
        _probability("recovery after the most rounds, greatest over strengths with μ_S above 1"),
    ),
    **_estimate(
        "breaking_erc", _positive("1", "μ_S at which recovery after the most rounds falls to 1/2")
    ),
    **_estimate(
        "twin_exponent", Variable("float64", "1", "exponent of the rounds needed in 1 - ρ")
    ),
    # stopping
    **_estimate("false_negatives", _positive("1", "mean number of relevant actions missed")),
    **_estimate("price", _positive("1", "rounds needed over those needed where k is known")),
    # refit
    **_estimate("error_ratio", _positive("1", "squared error over the oracle's, mean")),
    **_estimate(
        "error_ratio_exact",
        _positive("1", "squared error over the oracle's, mean given exact recovery"),
    ),
    **_estimate("final_error_ratio", _positive("1", "error ratio after the most rounds")),
    "claimed_error": _positive("reward2", "σ²kd/T"),
    **_estimate(
        "interval_coverage",
        _probability("share of 95 % intervals that hold the true weight, given exact recovery"),
    ),
    **_estimate(
        "interval_coverage_all", _probability("share of 95 % intervals that hold the true weight")
    ),
    **_estimate(
        "final_interval_coverage",
        _probability("coverage of the intervals after the most rounds, given exact recovery"),
    ),
    **_estimate("rate_exponent", Variable("float64", "1", "exponent of the squared error in T")),
    **_estimate(
        "conditioning_exponent",
        Variable("float64", "1", "exponent of the squared error in λ_min(G_S/T)"),
    ),
    # decisions
    **_estimate(
        "bound_exceeded_share", _probability("share of trials with a regret past its bound")
    ),
    **_estimate(
        "final_bound_exceeded",
        _probability("share of trials with a regret past its bound, after the most rounds"),
    ),
    **_estimate("final_optimal_share", _probability("optimal decisions after the most rounds")),
    **_estimate("step_precision", _probability("share of relevant actions among those selected")),
    **_estimate(
        "gained_share", Variable("float64", "1", "share of the best action's value gained")
    ),
    **_estimate(
        "gained_at_recovery",
        Variable(
            "float64",
            "1",
            "share of value gained after the estimated rounds needed for the quantile",
        ),
    ),
    **_estimate(
        "gained_halfway",
        Variable("float64", "1", "share of value gained after half of the steps"),
    ),
    **_estimate(
        "precision_halfway", _probability("share of relevant actions in the first half of the path")
    ),
    # logging policies
    **_estimate("found_share", _probability("share of the relevant actions that is selected")),
    **_estimate(
        "median_least_coverage",
        _positive("round", "rounds with the least used relevant action, median over trials"),
    ),
    **_estimate(
        "recovery_at_end", _probability("probability of exact recovery after the most rounds")
    ),
    **_estimate(
        "rounds_factor", _positive("1", "rounds needed over those of the log without the departure")
    ),
    **_estimate(
        "relative_regret", _positive("1", "mean regret over the mean value of the best action")
    ),
    **_estimate(
        "earned_share",
        Variable("float64", "1", "share of the best possible reward that the log itself earned"),
    ),
    **_estimate(
        "least_exploration",
        _probability("least ε with which at most twice the rounds of a uniform log are needed"),
    ),
    **_estimate(
        "final_least_exploration",
        _probability("least ε with which recovery after the most rounds is as probable as asked"),
    ),
    **_estimate(
        "exploration_exponent", Variable("float64", "1", "exponent of the rounds needed in ε")
    ),
    # lower bounds
    **_estimate("greedy_error_probability", _probability("probability that Block-OMP errs")),
    **_estimate("bayes_error_probability", _probability("least error probability of any method")),
    **_estimate(
        "map_error_probability", _probability("share of trials in which the likeliest support errs")
    ),
    **_estimate(
        "fano_bound", _probability("lower bound on the error probability by Fano's inequality")
    ),
    **_estimate(
        "greedy_factor", _positive("1", "rounds needed by Block-OMP over the least needed")
    ),
    **_estimate("rate_constant", _positive("1", "rounds needed for 2/3 over k·d·log(M/k)")),
    **_estimate("largest_constant", _positive("1", "least rate constant over the grid")),
    **_estimate(
        "constant_trend", Variable("float64", "1", "exponent of the rate constant in the axis")
    ),
    **_estimate(
        "final_trend",
        Variable("float64", "1", "the same exponent over the last step of the longest line"),
    ),
    # sparsity
    **_estimate("relative_error", _positive("1", "squared error over the energy of the weights")),
    "relative_error_wanted": _positive("1", "relative error that the rounds needed are for"),
    **_estimate(
        "break_even_share",
        _positive("1", "k/M at which Block-OMP needs as many rounds as ridge on all actions"),
    ),
    **_estimate(
        "dense_exponent",
        Variable("float64", "1", "exponent in M of the rounds needed where every action matters"),
    ),
    **_estimate(
        "sparse_exponent",
        Variable("float64", "1", "exponent in M of the rounds needed where few actions matter"),
    ),
    # dynamic actions
    **_estimate("discovery_probability", _probability("probability that the newcomer is found")),
    **_estimate(
        "discovery_rounds",
        _positive("round", "rounds since its arrival needed to find the newcomer"),
    ),
    **_estimate(
        "discovery_factor",
        _positive("1", "rounds needed to find the newcomer over those needed from the start"),
    ),
    "predicted_rounds": _positive(
        "round", "rounds since its arrival needed to find the newcomer, by theory, probability 1/2"
    ),
    **_estimate(
        "same_support_share",
        _probability("share of solves that select the same actions as from scratch"),
    ),
    **_estimate(
        "read_share",
        _positive("1", "rounds read so far over those read by solving from scratch, mean"),
    ),
    **_estimate(
        "final_read_share",
        _positive("1", "the same at the end of the longest stream"),
    ),
    # robustness
    "variance_factor": _positive(
        "1", "variance of an irrelevant action's score over that in the ideal log, by theory"
    ),
    "limit_error": _positive("1", "relative error that no number of rounds takes away, by theory"),
    **_estimate(
        "harmful_size",
        _positive("1", "least size of the departure at which rounds needed grow by half"),
    ),
    **_estimate(
        "undercovering_size",
        _positive(
            "1",
            "least size of the departure at which intervals cover less than 0.9, after the most "
            "rounds",
        ),
    ),
    # small effects elsewhere
    "n_judged": Variable("int32", "1", "trials in which decisions and ridge were judged", 0),
    "largest_tail": _positive("1", "norm of the largest small effect over that of a large one"),
    "noise_factor_first": _positive(
        "1", "growth of the noise in a correlation by the small effects, at the first step"
    ),
    "noise_factor_last": _positive(
        "1", "growth of the noise in a correlation by the small effects, at the last step"
    ),
    **_estimate(
        "doubling_energy", _positive("1", "tail energy at which the rounds needed have doubled")
    ),
    **_estimate(
        "k_term_ratio",
        _positive("1", "squared error over that with the k largest effects known"),
    ),
    **_estimate(
        "final_k_term_ratio",
        _positive("1", "k_term_ratio after the most rounds, greatest over the tail's energy"),
    ),
    **_estimate(
        "break_even_energy",
        _positive("1", "tail energy at which ridge on all actions errs as little as Block-OMP"),
    ),
    **_estimate(
        "known_relative_regret",
        _positive("1", "relative regret of one who knows the k largest effects alone"),
    ),
    **_estimate(
        "value_share",
        Variable("float64", "1", "value of the decisions over that with the k largest known"),
    ),
    **_estimate(
        "final_value_share",
        Variable("float64", "1", "value_share after the most rounds, least over the tail's energy"),
    ),
    # methods
    **_estimate("f1", _probability("F1 of the actions chosen, mean over trials")),
    **_estimate(
        "unconverged_share", _probability("share of trials in which the method did not converge")
    ),
    **_estimate(
        "method_factor", _positive("1", "rounds needed over those of the paper's rule, same logs")
    ),
    **_estimate(
        "recovery_gain",
        Variable("float64", "1", "exact recovery less that by the paper's rule, same logs", -1, 1),
    ),
    **_estimate(
        "f1_gain", Variable("float64", "1", "F1 less that by the paper's rule, same logs", -1, 1)
    ),
    **_estimate(
        "rival_factor",
        _positive("1", "least rounds needed by a rival over the least by a rule of Block-OMP"),
    ),
    **_estimate(
        "rival_gain",
        Variable(
            "float64",
            "1",
            "exact recovery after the most rounds, best rival less best rule of Block-OMP",
            -1,
            1,
        ),
    ),
    # departures side by side
    "grade": Variable("int32", "1", "rank of the departure's size, 0 where nothing departs", 0),
    "outcome": Variable("str", "1", "what a departure may spoil"),
    "experiment": Variable("str", "1", "experiment that tried the departure"),
    "mild_grade": Variable("int32", "1", "grade of the size that is called mild", 1),
    "is_measured": Variable("uint8", "1", "1 where the experiment measures the outcome", 0, 1),
    **_estimate(
        "departure_factor",
        _positive("1", "rounds needed over those of a log without the departure"),
    ),
    **_estimate(
        "outcome_value",
        Variable(
            "float64",
            "1",
            "factor in rounds (recovery), coverage of the intervals, factor in squared error, or "
            "share of the value of the best decisions",
        ),
    ),
    **_estimate(
        "breaking_size", _positive("1", "least size of the departure that spoils the outcome")
    ),
    "first_broken": Variable("str", "1", "outcome that the departure spoils at the least size"),
    # a real catalogue of tools
    "catalogue_size": Variable("int32", "1", "tools that a pruned catalogue keeps", 0),
    "reward_share": _probability("share of the reward that the oracle's catalogue carries"),
    "logged": Variable("str", "1", "log whose place on the study's map is measured"),
    "likeness": _probability("cosine of names and descriptions from which tools count as alike"),
    "pair": Variable("int32", "1", "rank of two tools, the most alike first", 0),
    "n_requests": Variable("int32", "1", "requests of users", 0),
    "n_tools": Variable("int32", "1", "tools of the catalogue", 0),
    "n_right_tools": Variable("int32", "1", "tools that are right for some request", 0),
    "n_merged": Variable("int32", "1", "tools that are left with near-copies merged", 0),
    "tool_a": Variable("str", "1", "one of two tools that are alike"),
    "tool_b": Variable("str", "1", "the other of two tools that are alike"),
    "text_likeness": _probability("cosine of names and descriptions of two tools"),
    "tools_with_copy": Variable("int32", "1", "tools with another that is alike", 0),
    "requests_with_copy": _probability("share of the reward on tools with another that is alike"),
    **_estimate("kept_share", _probability("share of the reward held out that a catalogue keeps")),
    **_estimate("tenth_kept", _probability("what a tenth of the tools keep, chosen by the oracle")),
    **_estimate(
        "oracle_size", _positive("1", "tools of the oracle's catalogue that carries the share")
    ),
    **_estimate("oracle_share", _positive("1", "kept over what the oracle's catalogue keeps")),
    **_estimate(
        "final_oracle_share",
        _positive("1", "kept by the greedy catalogue over the oracle's, after the most rounds"),
    ),
    **_estimate(
        "final_wrong_share",
        _probability("share of the greedy catalogue's tools that no request learnt from needs"),
    ),
    **_estimate(
        "catalogue_rounds",
        _positive("round", "rounds to keep 0.95 of what the oracle's catalogue of that size keeps"),
    ),
    **_estimate(
        "kept_gain",
        Variable("float64", "1", "kept by the greedy catalogue, less by popularity's", -1, 1),
    ),
    **_estimate(
        "final_kept_gain",
        Variable(
            "float64",
            "1",
            "kept by the greedy catalogue, less by popularity's, after the most rounds",
            -1,
            1,
        ),
    ),
    **_estimate(
        "final_lasso_gain",
        Variable(
            "float64",
            "1",
            "kept by the greedy catalogue, less by the group lasso's, after the most rounds",
            -1,
            1,
        ),
    ),
    **_estimate(
        "linear_gain",
        Variable("float64", "1", "kept where the reward is linear, less where it is real", -1, 1),
    ),
    **_estimate("coverage_least", _positive("round", "coverage of the tool used least")),
    **_estimate("coverage_median", _positive("round", "coverage of a tool, median")),
    **_estimate("coverage_most", _positive("round", "coverage of the tool used most")),
    **_estimate("block_condition", _positive("1", "condition number of a block's Gram, median")),
    **_estimate("block_condition_worst", _positive("1", "condition number of the worst block")),
    **_estimate("pair_coherence", _probability("block coherence of two tools, median")),
    **_estimate("copy_coherence", _probability("block coherence of two near-copies, median")),
    **_estimate(
        "explained_train",
        Variable("float64", "1", "share of the reward's variance that is linear, learnt from"),
    ),
    **_estimate(
        "explained_held_out",
        Variable("float64", "1", "share of the reward's variance that is linear, held out"),
    ),
    # what a call takes, on one machine at one moment
    "log_size": _positive("byte", "size of the log in memory, in double precision"),
    "call_outcome": Variable("str", "1", "whether the calls were measured, and why not"),
    "n_calls": Variable("int32", "1", "calls measured", 0),
    **_range("call_time", _positive("s", "time of a call, median")),
    "call_memory": _positive("byte", "memory of a call at its peak, beyond the log, median"),
    **_range("time_ratio", _positive("1", "time of a call over that of the paper's Block-OMP")),
    "memory_ratio": _positive("1", "memory of a call over that of the paper's Block-OMP"),
}

_LOGGED = ("design", "policy", "policy_level", "selection")
_GRID = ("design", "n_actions", "sparsity", "latent_dim", "selection")
_FITS = ("design", "quantity", "quantile")
_SIZES = ("n_actions", "sparsity", "latent_dim")
_ARRIVALS = ("arrives_after", "selection")
_DEPARTURES = ("departure", "departure_size")


def _with_interval(name: str, dims: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {name: dims, f"{name}_low": dims, f"{name}_high": dims}


def _each(dims: tuple[str, ...], *names: str) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(names, dims)


def _intervals(dims: tuple[str, ...], *names: str) -> dict[str, tuple[str, ...]]:
    return {end: dims for name in names for end in _with_interval(name, dims)}


_BY_LENGTH = ("trial", "n_rounds")


def _axes(*names: str) -> dict[str, tuple[str, ...]]:
    return {name: (name,) for name in names}


KINDS: dict[str, Kind] = {
    "log": Kind(
        "Simulated logs of one scenario",
        {
            "latent": ("trial", "round", "latent_dim"),
            "activation_bits": ("trial", "round", "byte"),
            "action": ("trial", "round", "slot"),
            "reward": ("trial", "round"),
            "support": ("trial", "relevant"),
            "weights": ("trial", "relevant", "latent_dim"),
            "decoy": ("trial", "imitator"),
            "scarce": ("trial",),
            "tail_weights": ("trial", "any_action", "latent_dim"),
            "late": ("trial", "latecomer"),
            "newcomer": ("trial",),
        },
        optional=frozenset(
            {"activation_bits", "action", "decoy", "scarce", "tail_weights", "late", "newcomer"}
        ),
    ),
    "recovery": Kind(
        "Recovery of the relevant actions in every trial of one scenario",
        {
            **_axes("n_rounds"),
            **_each(_BY_LENGTH, "exact_recovery", "n_correct", "least_coverage"),
            "selected": (*_BY_LENGTH, "step"),
        },
    ),
    "rival": Kind(
        "Recovery of the relevant actions in every trial of one scenario by the group lasso",
        {
            **_axes("n_rounds"),
            **_each(_BY_LENGTH, "exact_recovery", "n_correct"),
            "selected": (*_BY_LENGTH, "step"),
        },
    ),
    "compared": Kind(
        "What a method chooses in every trial of one scenario, and what that is worth",
        {
            **_axes("n_rounds"),
            **_each(_BY_LENGTH, "exact_recovery", "n_correct"),
            "selected": (*_BY_LENGTH, "step"),
            **_each(_BY_LENGTH, "converged", "squared_error", "mean_regret"),
            "best_value": ("trial",),
        },
    ),
    "detection": Kind(
        "Tests of a scarce action in every trial of one scenario",
        {**_axes("n_rounds"), **_each(_BY_LENGTH, "missed", "false_alarm", "least_error")},
    ),
    "stopped": Kind(
        "What stopping rules keep in every trial of one scenario",
        {
            **_axes("n_rounds", "stopping"),
            **_each((*_BY_LENGTH, "stopping"), "n_selected", "n_correct"),
        },
    ),
    "followed": Kind(
        "A log of late actions followed as it grows, in every trial of one scenario",
        {
            **_axes("n_rounds"),
            **_each(
                _BY_LENGTH,
                "exact_recovery",
                "newcomer_found",
                "same_support",
                "weight_difference",
                "rounds_read",
                "rounds_read_anew",
            ),
        },
    ),
    "refit": Kind(
        "Error and intervals of the refit in every trial of one scenario",
        {
            **_axes("n_rounds"),
            **_each(
                _BY_LENGTH,
                "exact_recovery",
                "squared_error",
                "oracle_error",
                "least_eigenvalue",
                "n_covered",
                "n_intervals",
                "k_term_error",
            ),
        },
        optional=frozenset({"k_term_error"}),
    ),
    "decision": Kind(
        "Regret of the decisions in every trial of one scenario",
        {
            **_axes("n_rounds"),
            **_each(
                _BY_LENGTH,
                "exact_recovery",
                "regret_95",
                "optimal_share",
                "regret_bound",
                "bound_exceeded",
            ),
            **_each((*_BY_LENGTH, "step"), "mean_regret", "n_correct"),
            "best_value": ("trial",),
            "known_regret": ("trial",),
        },
        optional=frozenset({"known_regret"}),
    ),
    "dense": Kind(
        "Error of estimates without sparsity in every trial of one scenario",
        {**_axes("n_rounds"), **_each(_BY_LENGTH, "ridge_error", "least_squares_error")},
        optional=frozenset({"least_squares_error"}),
    ),
    "diagnosis": Kind(
        "Coherence of the log in every trial of one scenario",
        {**_axes("n_rounds"), **_each(_BY_LENGTH, "erc", "mutual_coherence", "has_copies")},
    ),
    "bound": Kind(
        "The best that any method could do in every trial of one scenario",
        {
            **_axes("n_rounds"),
            **_each(_BY_LENGTH, "map_probability", "map_correct", "information", "fano_error"),
        },
    ),
    "phase_transition": Kind(
        "Where recovery is possible: probability of exact recovery, and rounds needed",
        {
            **_axes(*_GRID, "n_rounds", "quantity", "quantile"),
            "n_trials": _GRID,
            **_with_interval("recovery_probability", (*_GRID, "n_rounds")),
            "mean_least_coverage": (*_GRID, "n_rounds"),
            **_with_interval("rounds_needed", (*_GRID, "quantile")),
            **_with_interval("coverage_needed", (*_GRID, "quantile")),
            "needed_replicates": ("quantity", *_GRID, "quantile", "replicate"),
            "curve_misfit": (*_GRID, "quantile"),
            **_with_interval("final_recovery_probability", ("design", "selection")),
        },
    ),
    "scaling_law": Kind(
        "Which law the rounds needed follow",
        {
            **_axes(*_FITS, "law", "axis", "n_actions", "sparsity", "latent_dim"),
            "loo_error": (*_FITS, "law"),
            "aicc": (*_FITS, "law"),
            **_with_interval("law_scale", (*_FITS, "law")),
            **_with_interval("law_constant", (*_FITS, "law")),
            "law_prediction": (*_FITS, "law", "n_actions", "sparsity", "latent_dim"),
            **_with_interval("exponent", (*_FITS, "axis")),
            **_with_interval("elasticity", _FITS),
            **_with_interval("growth_index", _FITS),
            **_with_interval("paper_excess_error", _FITS),
        },
    ),
    "signal_strength": Kind(
        "How signal and noise set the rounds needed",
        {
            **_axes("signal_to_noise", "n_rounds", "quantile", "regime"),
            "n_trials": ("signal_to_noise",),
            "noise_share": ("signal_to_noise",),
            **_intervals(("signal_to_noise", "n_rounds"), "recovery_probability"),
            **_intervals(("signal_to_noise", "quantile"), "rounds_needed"),
            **_intervals(("regime", "quantile"), "signal_exponent"),
            "condition_rounds": ("signal_to_noise", "quantile"),
        },
    ),
    "coverage": Kind(
        "How often a relevant action must have been used: errors about one scarce action",
        {
            **_axes("design", "selection", "coverage"),
            "n_trials": ("design", "selection"),
            **_intervals(
                ("design", "selection", "coverage"),
                "miss_probability",
                "false_alarm_probability",
                "two_point_error",
            ),
            **_intervals(("design", "coverage"), "le_cam_bound"),
            **_intervals(("design", "selection"), "excess_error", "test_coverage"),
            **_intervals(("design",), "least_test_coverage"),
        },
    ),
    "coherence": Kind(
        "Recovery as actions come to resemble each other",
        {
            **_axes("structure", "strength", "n_rounds", "quantile", "false_positive"),
            "n_trials": ("structure", "strength"),
            **_intervals(
                ("structure", "strength", "n_rounds"),
                "recovery_probability",
                "erc",
                "mutual_coherence",
                "copy_share",
                "convex_recovery_probability",
                "convex_difference",
            ),
            **_intervals(
                ("structure", "strength", "n_rounds", "false_positive"), "false_positives"
            ),
            **_intervals(("structure", "strength", "quantile"), "rounds_needed"),
            **_intervals(
                ("structure",),
                "recovery_below_one",
                "recovery_beyond_one",
                "breaking_erc",
                "convex_advantage",
            ),
            **_intervals(("quantile",), "twin_exponent"),
        },
    ),
    "refit_error": Kind(
        "Error of the refit, its intervals, and what ill-conditioning does to them",
        {
            **_axes("condition_number", "n_rounds"),
            "n_trials": ("condition_number",),
            **_intervals(("n_rounds",), "error_ratio", "error_ratio_exact"),
            "claimed_error": ("n_rounds",),
            **_intervals(
                ("condition_number", "n_rounds"),
                "recovery_probability",
                "squared_error",
                "oracle_error",
                "least_eigenvalue",
                "interval_coverage",
                "interval_coverage_all",
            ),
            **_intervals(
                (),
                "final_error_ratio",
                "final_interval_coverage",
                "rate_exponent",
                "conditioning_exponent",
            ),
        },
    ),
    "decision_regret": Kind(
        "What decisions built on the refit lose on new latent states",
        {
            **_axes("n_rounds", "step", "quantile"),
            "n_trials": (),
            **_intervals(
                ("n_rounds",),
                "recovery_probability",
                "regret_95",
                "optimal_share",
                "regret_bound",
                "bound_exceeded_share",
            ),
            **_intervals(("n_rounds", "step"), "mean_regret", "gained_share", "step_precision"),
            **_intervals(
                ("quantile",),
                "rounds_needed",
                "gained_at_recovery",
                "gained_halfway",
                "precision_halfway",
            ),
            **_intervals((), "best_value", "final_optimal_share", "final_bound_exceeded"),
        },
    ),
    "logging_policy": Kind(
        "What unequal and exploiting logs do to discovery",
        {
            **_axes(*_LOGGED, "n_rounds", "quantile"),
            "n_trials": _LOGGED,
            **_intervals(
                (*_LOGGED, "n_rounds"),
                "recovery_probability",
                "found_share",
                "median_least_coverage",
                "relative_regret",
                "interval_coverage",
                "earned_share",
                "erc",
                "mutual_coherence",
            ),
            **_intervals((*_LOGGED, "quantile"), "rounds_needed", "rounds_factor"),
            **_intervals(_LOGGED, "recovery_at_end"),
            **_intervals(
                ("design", "selection", "quantile"),
                "least_exploration",
                "final_least_exploration",
                "exploration_exponent",
            ),
        },
    ),
    "lower_bounds": Kind(
        "How far greedy is from the best that any method can do",
        {
            **_axes(*_SIZES, "n_rounds", "limit", "quantile", "axis"),
            "n_trials": _SIZES,
            **_intervals(
                (*_SIZES, "n_rounds"),
                "greedy_error_probability",
                "bayes_error_probability",
                "map_error_probability",
                "fano_bound",
            ),
            **_intervals(("limit", *_SIZES, "quantile"), "rounds_needed"),
            **_intervals((*_SIZES, "quantile"), "greedy_factor"),
            **_intervals(("limit", *_SIZES), "rate_constant"),
            **_intervals(("limit",), "largest_constant"),
            **_intervals(("limit", "axis"), "constant_trend", "final_trend"),
        },
    ),
    "sparsity_necessity": Kind(
        "Rounds needed for a small error, from sparse to dense",
        {
            **_axes("n_actions", "sparsity", "estimator", "n_rounds"),
            "n_trials": ("n_actions", "sparsity"),
            "relative_error_wanted": (),
            **_intervals(("n_actions", "sparsity", "estimator", "n_rounds"), "relative_error"),
            **_intervals(("n_actions", "sparsity", "estimator"), "rounds_needed"),
            **_intervals(("n_actions",), "break_even_share"),
            **_intervals(("estimator",), "dense_exponent", "sparse_exponent"),
        },
    ),
    "stopping": Kind(
        "How well stopping rules replace a known number of relevant actions",
        {
            **_axes("design", "signal_to_noise", "stopping", "n_rounds", "quantile"),
            "n_trials": ("design", "signal_to_noise"),
            **_intervals(
                ("design", "signal_to_noise", "stopping", "n_rounds"),
                "recovery_probability",
                "false_positives",
                "false_negatives",
            ),
            **_intervals(
                ("design", "signal_to_noise", "stopping", "quantile"), "rounds_needed", "price"
            ),
            **_intervals(("design", "signal_to_noise", "stopping"), "final_recovery_probability"),
        },
    ),
    "dynamic_actions": Kind(
        "Actions that appear over time: how soon a relevant one is found, incrementally",
        {
            **_axes("arrives_after", "selection", "since_arrival", "n_rounds", "quantile"),
            "n_trials": _ARRIVALS,
            **_intervals(
                (*_ARRIVALS, "since_arrival"), "discovery_probability", "recovery_probability"
            ),
            **_intervals((*_ARRIVALS, "quantile"), "discovery_rounds", "discovery_factor"),
            **_each(_ARRIVALS, "predicted_rounds", "weight_difference"),
            **_intervals((*_ARRIVALS, "n_rounds"), "read_share"),
            **_intervals(("selection",), "same_support_share", "final_read_share"),
        },
    ),
    "robustness": Kind(
        "Recovery and refit where an assumption of the theory fails",
        {
            **_axes("departure", "departure_size", "n_rounds", "quantile"),
            "n_trials": _DEPARTURES,
            **_each(_DEPARTURES, "variance_factor", "limit_error"),
            **_intervals(
                (*_DEPARTURES, "n_rounds"),
                "recovery_probability",
                "false_positives",
                "relative_error",
                "interval_coverage",
            ),
            **_intervals((*_DEPARTURES, "quantile"), "rounds_needed", "rounds_factor"),
            **_intervals(("departure", "quantile"), "harmful_size"),
            **_intervals(("departure",), "undercovering_size"),
        },
    ),
    "approximate_sparsity": Kind(
        "What small effects of all other actions do to recovery, error and decisions",
        {
            **_axes("tail", "tail_energy", "n_rounds", "quantile", "estimator"),
            **_each(
                ("tail", "tail_energy"),
                "n_trials",
                "n_judged",
                "largest_tail",
                "noise_factor_first",
                "noise_factor_last",
            ),
            **_intervals(
                ("tail", "tail_energy", "n_rounds"),
                "recovery_probability",
                "found_share",
                "k_term_ratio",
                "relative_regret",
                "value_share",
            ),
            **_intervals(("tail", "tail_energy", "quantile"), "rounds_needed", "rounds_factor"),
            **_intervals(("tail", "tail_energy", "estimator", "n_rounds"), "relative_error"),
            **_intervals(("tail", "tail_energy"), "known_relative_regret"),
            **_intervals(("tail", "n_rounds"), "break_even_energy"),
            **_intervals(("tail", "quantile"), "doubling_energy"),
            **_intervals(("tail",), "final_k_term_ratio", "final_value_share"),
        },
    ),
    "methods": Kind(
        "Block-OMP and what people would use instead, on the same logs",
        {
            **_axes("setting", "method", "n_rounds", "quantile"),
            **_each(("setting",), "n_trials", "n_actions", "sparsity"),
            **_intervals(
                ("setting", "method", "n_rounds"),
                "recovery_probability",
                "f1",
                "relative_error",
                "relative_regret",
                "unconverged_share",
                "recovery_gain",
                "f1_gain",
            ),
            **_intervals(("setting", "method", "quantile"), "rounds_needed", "method_factor"),
            **_intervals(("setting", "quantile"), "rival_factor"),
            **_intervals(("setting",), "rival_gain"),
        },
    ),
    "beyond": Kind(
        "What breaks first, and how fast, where a log departs from what the theory assumes",
        {
            **_axes("departure", "grade", "quantile", "outcome"),
            **_each(("departure",), "experiment", "mild_grade", "first_broken"),
            "departure_size": ("departure", "grade"),
            "is_measured": ("departure", "outcome"),
            **_intervals(("departure", "grade", "quantile"), "departure_factor"),
            **_intervals(("departure", "grade", "outcome"), "outcome_value"),
            **_intervals(("departure", "outcome"), "breaking_size"),
        },
    ),
    "discovery": Kind(
        "Which tools of a log matter, which can go, and which it cannot tell",
        {
            **_axes("tool", "state"),
            **_each(
                ("tool",),
                "verdict",
                "reason",
                "confounded_with",
                "is_relative",
                "order",
                "uses",
                "p_value",
                *(f"effect{end}" for end in ("", "_least", "_most")),
                *(f"mean_effect{end}" for end in ("", "_least", "_most")),
                "detectable_effect",
                "more_uses",
                "more_rounds",
            ),
            "companion": ("tool", "near"),
            "companion_coherence": ("tool", "near"),
            "tool_weight": ("tool", "state"),
        },
    ),
    "tool_catalogue": Kind(
        "A real catalogue of tools and real requests, with simulated exposure: what matters, and "
        "what finds it",
        {
            **_axes("setting", "method", "n_rounds", "catalogue_size", "reward_share"),
            **_axes("logged", "latent_dim", "likeness", "pair"),
            **_each((), "n_trials", "n_requests", "n_tools", "n_right_tools", "n_merged"),
            **_each(("pair",), "tool_a", "tool_b", "text_likeness"),
            **_each(("likeness",), "tools_with_copy", "requests_with_copy"),
            **_intervals(("setting", "method", "n_rounds", "catalogue_size"), "kept_share"),
            **_intervals((), "tenth_kept"),
            **_intervals(("setting", "reward_share"), "oracle_size"),
            **_intervals(("setting", "method", "n_rounds", "reward_share"), "oracle_share"),
            **_intervals(("setting", "method", "reward_share"), "catalogue_rounds"),
            **_intervals(("setting", "n_rounds", "reward_share"), "kept_gain"),
            **_intervals(
                ("setting", "reward_share"),
                "final_oracle_share",
                "final_wrong_share",
                "final_kept_gain",
            ),
            **_intervals(("reward_share",), "final_lasso_gain"),
            **_intervals(("n_rounds", "reward_share"), "linear_gain"),
            **_intervals(
                ("logged",),
                "coverage_least",
                "coverage_median",
                "coverage_most",
                "block_condition",
                "block_condition_worst",
                "mutual_coherence",
                "erc",
                "pair_coherence",
                "copy_coherence",
            ),
            **_intervals(("latent_dim",), "explained_train", "explained_held_out"),
        },
    ),
    "method_costs": Kind(
        "Time and memory of the methods on one machine: other numbers with every run",
        {
            **_axes("method", "n_actions"),
            **_each(("n_actions",), "n_rounds", "log_size"),
            **_each(
                ("method", "n_actions"),
                "call_outcome",
                "n_calls",
                *(f"call_time{end}" for end in ("", "_least", "_most")),
                "call_memory",
                *(f"time_ratio{end}" for end in ("", "_least", "_most")),
                "memory_ratio",
            ),
        },
    ),
}


def kind_digest(*kinds: str) -> str:
    """Hexadecimal digest of what the registry says of some kinds of dataset, and of nothing else.

    Raises
    ------
    KeyError
        If there is no such kind.
    """
    told = [
        (name, KINDS[name].title, dims, sorted(KINDS[name].optional), VARIABLES[variable], variable)
        for name in kinds
        for variable, dims in KINDS[name].variables.items()
    ]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]
