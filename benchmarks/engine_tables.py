"""The tables of engines: speed, memory, what each pass of the compiler is worth, times to come."""

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from benchmarks.reproduction.table import formed, lines, read


def peers() -> str:
    """Frames of 480x270 on one thread, the fastest int8 first."""
    found: dict[str, dict[str, Any]] = {}
    for row in read("peers")["rows"]:
        of_one = found.setdefault(row["runtime"], {"runtime": row["runtime"]})
        size = (row["subject"], row.get("lr"), row.get("threads"))
        if size == ("hard", "480x270", 1):
            of_one[f"{row['dtype']}_gops"] = row["gops"]
        if row["subject"] == "footprint":
            of_one[f"{row['dtype']}_mib"] = row["peak_over_idle_mib"]
    for name, loss in read("peers")["summary"]["int8_loss_db"].items():
        found[name]["loss_db"] = round(loss, 2) + 0.0  # no minus before a zero
    timed = [row for row in found.values() if "fp32_gops" in row]
    fastest = sorted(timed, key=lambda row: -row.get("int8_gops", 0))
    forms = {
        "runtime": "{runtime}",
        "int8, GOPS": "{int8_gops:.0f}",
        "fp32, GOPS": "{fp32_gops:.0f}",
        "int8 loses, dB": "{loss_db:.2f}",
        "peak memory, MiB: int8": "{int8_mib:.1f}",
        "fp32": "{fp32_mib:.1f}",
    }
    return formed(fastest, forms)


def other_networks() -> str:
    """Networks of other shapes: GOPS of ours, and its ratio to the fastest peer that took part."""
    result = read("peers")
    ours = {
        f"{row['subject']} {row['dtype']}": row
        for row in result["rows"]
        if row["runtime"] == "pocketsr"
    }
    rows = [
        (
            f"{ours[name]['subject']}, {ours[name]['lr']}",
            ours[name]["dtype"],
            f"{ours[name]['gops']:.0f}",
            f"{found['ratio']:.2f}",
            found["fastest_peer"],
        )
        for name, found in result["summary"]["other_networks"].items()
    ]
    return lines(("network, LR", "dtype", "GOPS", "x fastest peer", "which"), *rows)


def played() -> str:
    summary = read("played")["summary"]
    one, two = (summary[f"ratio_to_fastest_peer_{n}"] for n in ("1_thread", "2_threads"))
    given = summary["given_away_db"]
    rows = [(c, f"{one[c]:.2f}", f"{two[c]:.2f}", f"{given[c]:.3f}") for c in one]
    means = [f"{summary[f'mean_ratio_{n}']:.2f}" for n in ("1_thread", "2_threads")]
    heads = ("clip", "x fastest peer, one thread", "two threads", "dB given away by routes")
    return lines(heads, *rows, ("mean", *means, f"{fmean(given.values()):.3f}"))


def ablation(subject: str) -> str:
    """One pass left out at a time; `subject`: the whole frame, a routed one, or tiles."""
    from benchmarks.compiler import markdown  # imports TVM, which no other table needs

    return markdown(read("compiler")["rows"], subject)


def family() -> str:
    """One engine for every network, against one compiled for each."""
    from benchmarks.family import table  # imports TVM as well

    return table(read("family"))


def ladder() -> str:
    """What each step adds from no pass at all, in the order in which they are put back."""
    words = {
        "neither_versions": "kernels for AVX-512 VNNI in place of AVX2",
        "rows_sharing": "vertical fusion",
        "rows": "order, shared memory",
        "all": "tile fusion by rows",
    }
    steps, summary = read("compiler")["ladder"], read("compiler")["summary"]
    passes = summary["speedup_all_vs_neither"] / steps[0]["speedup"]
    rows = [(words[s["to"]], f"{s['speedup']:.2f}", f"{s['memory']:.2f}") for s in steps]
    rows.append(("all of them but the instruction set", f"{passes:.2f}", ""))
    rows.append(
        ("all of them, against no reuse of memory", "", f"{summary['memory_all_vs_neither']:.0f}")
    )
    return lines(("put back", "x speed", "x less memory"), *rows)


def counted() -> str:
    """What the passes save on arm64, by counting: one line an arm."""
    from benchmarks.compiler import TITLES  # imports TVM as well

    rows = read("counted")["rows"]
    by_arm: dict[str, dict[str, Any]] = {}
    for row in rows:
        by_arm.setdefault(row["arm"], {})[row["isa"]] = row
    isas = [*dict.fromkeys(row["isa"] for row in rows)]
    head = ("left out", *(f"instructions, {isa}" for isa in isas), "stored, MB", "moved, MB")
    return lines(head, *(_counted_line(TITLES, arm, own) for arm, own in by_arm.items()))


def _counted_line(
    titles: Mapping[str, str], arm: str, by_isa: Mapping[str, Mapping[str, Any]]
) -> tuple[str, ...]:
    best = next(iter(by_isa.values()))  # of the best instruction set; others differ little
    megabytes = (f"{best[f'{kind}_bytes'] / 1e6:.1f}" for kind in ("stored", "moved"))
    title = titles["neither_versions" if arm == "neither" else arm]
    return (title, *(f"{row['ratio']:.3f}" for row in by_isa.values()), *megabytes)


def shapes() -> str:
    from benchmarks.shapes import table  # imports TVM as well

    return table(read("shapes")["rows"])


def latency() -> str:
    """Networks that the table was not made from, and how far it is off."""
    result = read("latency")
    forms = {"widths": "{widths}", "time": "{time_ratio:.2f}", "MACs": "{macs_ratio:.2f}"}
    table = formed(result["frame"]["rows"], forms | {"error of the table": "{error:+.1%}"})
    frame, own = (
        "median {median_error:.1%}, worst {worst_error:.1%}, {pairs_in_wrong_order} of {pairs} "
        "pairs in the wrong order".format(**part["summary"])
        for part in (result["frame"], result)
    )
    return f"{table}\n\nErrors: {frame}; at the size that the table was made with: {own}."


def router_engine() -> str:
    forms = {
        "instruction set": "{isa}",
        "hard path, ms": "{hard_ms:.1f}",
        "router, ms": "{router_ms:.2f}",
        "share of time": "{time_ratio:.1%}",
        "of MACs": "{macs_ratio:.2%}",
    }
    return formed(read("router")["rows"], forms)


def android() -> str:
    forms = {"core": "{core}", "LLVM's model": "{model}", "kernels": "{isa}", "GHz": "{clock_ghz}"}
    forms |= {
        "products a cycle": "{products_per_cycle}",
        "FPS, estimated": "{estimated_fps_1_core}",
    }
    return formed(read("android")["rows"], forms)
