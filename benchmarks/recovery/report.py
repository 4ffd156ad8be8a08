"""What was measured, in words: a table for the terminal, and the lines that sum it up."""

from __future__ import annotations

from typing import Any

import numpy as np

from .contenders import CONTENDERS

KIND = {"hot": "B-hot", "dense": "dense"}
HEAD = ("contender", "build", "solve", "total s", "passes", "× ours", "peak MB", "more MB", "found")


def title(log: dict[str, Any]) -> str:
    """A log in a line."""
    parts = ("n_rounds", "n_actions", "latent_dim", "sparsity", "per_round")
    T, M, d, k, B = (log[one] for one in parts)
    used = f", B={B}" if log["kind"] == "hot" else ""
    return f"{log['size']}, {KIND[log['kind']]}: T={T:,}, M={M:,}, d={d}, k={k}{used}"


def ordered(results: dict[str, Any], log: dict[str, Any], threads: int) -> list[dict[str, Any]]:
    """Records of a log with a number of threads: the fastest first, those without a time last."""
    chosen = [
        one
        for one in results["records"]
        if (one["size"], one["kind"], one["threads"]) == (log["size"], log["kind"], threads)
    ]
    return sorted(chosen, key=lambda one: one.get("total", np.inf))


def row(record: dict[str, Any], log: dict[str, Any], ours: float | None) -> list[str]:
    """Cells of a record, as `HEAD` names them; two where it has no time."""
    label = CONTENDERS[record["contender"]].label
    if record["outcome"] != "done":
        return [label, "; ".join(x for x in (record["outcome"], record.get("why", "")) if x)]
    total = record["total"]
    one_pass = log["passes"][record["threads"]]["seconds"]
    return [
        label,
        f"{record['build']:.4f}",
        f"{record['solve']:.4f}",
        f"{total:.4f}",
        f"{total / one_pass:,.1f}",
        f"{total / ours:,.2f}" if ours else "–",
        f"{record['peak_bytes'] / 1e6:,.0f}",
        f"{record['increase_bytes'] / 1e6:,.1f}",
        f"{record['found']}/{log['sparsity']}",
    ]


def our_total(records: list[dict[str, Any]]) -> float | None:
    """Total of the paper's rule, if it was run."""
    return next((one.get("total") for one in records if one["contender"] == "ours"), None)


def sections(results: dict[str, Any]):
    """For every log and number of threads: a title, a line about the pass, and the rows."""
    for log in results["logs"]:
        for threads in results["plan"]["threads"]:
            records = ordered(results, log, threads)
            ours = our_total(records)
            name = f"{title(log)}; {threads} thread" + "s" * (threads > 1)
            yield name, pass_line(log, threads), [row(one, log, ours) for one in records]


def pass_line(log: dict[str, Any], threads: int) -> str:
    """What one pass takes, and how near the machine's limits that is."""
    found = log["passes"][threads]
    said = f"one pass {1e3 * found['seconds']:.3f} ms ({found['kernel']}"
    if found["without_numba"] > found["seconds"]:
        said += f"; {1e3 * found['without_numba']:.3f} ms without Numba"
    said += f"); log {log['bytes'] / 1e6:,.1f} MB"
    if "roofline" in found:
        roof = found["roofline"]
        said += f"; {100 * roof['share']:.0f} % of the roofline ({roof['binds']} binds)"
    return said


def text(results: dict[str, Any]) -> str:
    """The table for the terminal."""
    lines = [*machine_lines(results), ""]
    width = max(len(CONTENDERS[one].label) for one in results["plan"]["contenders"]) + 1
    for name, about, rows in sections(results):
        lines += [name, f"  {about}"]
        lines.append(f"  {HEAD[0]:{width}}" + "".join(f"{one:>10}" for one in HEAD[1:]))
        for label, *cells in rows:
            if len(cells) == 1:
                lines.append(f"  {label:{width}}  {cells[0]}")
            else:
                lines.append(f"  {label:{width}}" + "".join(f"{one:>10}" for one in cells))
        lines.append("")
    return "\n".join(lines + growth_lines(results) + peer_lines(results) + notes(results))


def machine_lines(results: dict[str, Any]) -> list[str]:
    """The machine and its rates."""
    about = results["machine"]
    lines = [
        f"{about['processor']}, {about['cores']} cores, {about['memory_bytes'] / 1e9:.0f} GB, "
        f"{about['system']}, Python {about['python']}"
    ]
    for threads, one in results["rates"].items():
        lines.append(
            f"{threads} thread{'s' * (int(threads) > 1)}: GEMM {one['gemm'] / 1e9:.0f} GFLOP/s, "
            f"reading {one['read'] / 1e9:.1f} GB/s, triad {one['triad'] / 1e9:.1f} GB/s"
        )
    return lines


def exponents(results: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Slopes of log time and log memory over the two decades in T, M and B."""
    found = {}
    for along, records in results["growth"].items():
        done = [one for one in records if one["outcome"] == "done"]
        if len(done) > 1:
            x = np.log([one[along] for one in done])
            found[along] = {
                what: float(
                    np.polyfit(
                        x,
                        np.log([max(one[key], 1) if key != "total" else one[key] for one in done]),
                        1,
                    )[0]
                )
                for what, key in (("time", "total"), ("memory", "increase_bytes"))
            }
    return found


def growth_lines(results: dict[str, Any]) -> list[str]:
    """How ours grows."""
    return [
        f"growth in {along}: time with exponent {one['time']:.2f}, memory {one['memory']:.2f}"
        for along, one in exponents(results).items()
    ]


def peer_lines(results: dict[str, Any]) -> list[str]:
    """Where a peer beats us: in time, and in memory."""
    lines = []
    for log in results["logs"]:
        for threads in results["plan"]["threads"]:
            records = [one for one in ordered(results, log, threads) if one["outcome"] == "done"]
            ours = next((one for one in records if one["contender"] == "ours"), None)
            if ours is None:
                continue
            where = f"{log['size']} {KIND[log['kind']]}, {threads} thread{'s' * (threads > 1)}"
            peers = [one for one in records if not one["contender"].startswith("ours")]
            faster = _better(peers, ours, "total", log)
            if faster:
                lines.append(f"{where}: faster than ours: {', '.join(faster)} (share of our time)")
            smaller = _better(peers, ours, "increase_bytes", log)
            if smaller:
                more = f" and {len(smaller) - 1} more" if len(smaller) > 1 else ""
                lines.append(
                    f"{where}: smaller than ours: {smaller[0]}{more} (share of our memory)"
                )
    return lines or ["no peer is faster or smaller than ours on any log"]


def _better(
    peers: list[dict[str, Any]], ours: dict[str, Any], key: str, log: dict[str, Any]
) -> list[str]:
    """Peers with less of something than ours, the least first, as a share of it."""
    found = []
    for one in sorted((one for one in peers if one[key] < ours[key]), key=lambda one: one[key]):
        missed = "" if one["exact"] else f", {one['found']}/{log['sparsity']} found"
        label = CONTENDERS[one["contender"]].label
        found.append(f"{label} ×{max(one[key], 0) / ours[key]:.2f}{missed}")
    return found


def notes(results: dict[str, Any]) -> list[str]:
    """What the numbers mean."""
    plan = results["plan"]
    warm = [one["warmup_seconds"] for one in results["records"] if "warmup_seconds" in one]
    supports = _same_as_plain(results)
    return [
        "",
        "Total: from the raw log (latents, ids or activations, rewards) to the support; the median "
        f"of up to {plan['repeats']} runs, of fewer where {plan['seconds']:g} s are over.",
        "Peak: resident, with imports and the log; more: above what was resident before building.",
        "Not timed: imports and compiling, on a tiny log"
        + (f" ({min(warm):.1f} to {max(warm):.1f} s)." if warm else "."),
        "Runs with more threads: ours, and the peers within 10 times of the fastest.",
        *supports,
        "Penalised methods: a path until k groups are active. Their numbers of penalties, and "
        "PyProximal's step and tolerance, were chosen on this benchmark's own logs (S to L): the "
        "fastest that still found the support, adelie's among the most settings; all else, and "
        "the other peers, are as they come or as first written.",
    ]


def _same_as_plain(results: dict[str, Any]) -> list[str]:
    """Whether the paper's rule finds what the plain solver finds, right or wrong."""
    found: dict[tuple[str, str], dict[str, list[int]]] = {}
    for one in results["records"]:
        if one["outcome"] == "done":
            of = found.setdefault((one["size"], one["kind"]), {})
            of[f"{one['contender']} {one['threads']}"] = one["support"]
    differ = []
    for (size, kind), of in found.items():
        same = {
            tuple(s)
            for who, s in of.items()
            if who.split()[0] in ("ours", "plain-sparse", "plain-dense", "naive")
        }
        if len(same) > 1:
            differ.append(f"{size} {KIND[kind]}")
    if differ:
        return [f"Ours and plain Block-OMP differ in support: {', '.join(differ)}."]
    return ["Ours has the support of plain and naive Block-OMP wherever these ran."]
