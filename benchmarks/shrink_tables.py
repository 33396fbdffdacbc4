"""The tables of benchmarks.shrink: an arm's means over clips and seeds."""

from statistics import fmean

from benchmarks.reproduction.table import Forms, formed, read

# Tables of benchmarks.shrink -> file, columns. A head names the arm that a ratio is against.
ARMS: dict[str, tuple[str, Forms]] = {
    "stages": (
        "shrink",
        {
            "PSNR, dB": "{psnr_db:.2f}",
            "worst group, dB": "{worst_group_db:.2f}",
            "spread of drops, dB": "{spread_db:.2f}",
            "bytes": "{bytes:,.0f}",
            "MACs / dense": "{macs_ratio:.2f}",
            "engine time / dense": "{time_ratio:.2f}",
            "server, s": "{server_s:.0f}",
        },
    ),
    "uniform": (
        "shrink_uniform",
        {
            "PSNR, dB": "{psnr_db:.2f}",
            "worst group, dB": "{worst_group_db:.2f}",
            "bytes": "{bytes:,.0f}",
            "server, s": "{server_s:.0f}",
        },
    ),
    "chunks": (
        "shrink_chunks",
        {
            "PSNR, dB": "{psnr_db:.2f}",
            "bytes of weights": "{bytes:,.0f}",
            "MACs a pixel": "{macs:,.0f}",
        },
    ),
    "sampling": ("shrink_sampling", {"PSNR, dB": "{psnr_db:.2f}"}),
    "coded": (
        "shrink_coded",
        {
            "PSNR less its bytes' price, dB": "{worth_db:.2f}",
            "PSNR, dB": "{psnr_db:.2f}",
            "bytes of weights": "{bytes:,.0f}",
            "MACs a pixel": "{macs:,.0f}",
        },
    ),
    "rare": (
        "shrink_rare",
        {
            "PSNR, dB": "{psnr_db:.2f}",
            "worst group's drop, dB": "{worst_drop_db:.2f}",
            "spread of drops, dB": "{spread_db:.2f}",
            "bytes of weights": "{bytes:,.0f}",
        },
    ),
    "experts": ("shrink_experts", {"PSNR, dB": "{psnr_db:.2f}", "MACs a pixel": "{macs:,.0f}"}),
    "branches": (
        "shrink_branches",
        {
            "hard path, dB": "{psnr_db:.2f}",
            "easy path, dB": "{easy_db:.2f}",
            "server, s": "{server_s:.0f}",
            "step's time / plain": "{step_ratio:.2f}",
        },
    ),
    "patches": (
        "shrink_patches",
        {
            "hard path everywhere, dB": "{psnr_db:.2f}",
            "as served, dB": "{served_db:.2f}",
            "time / all patches": "{work:.2f}",
        },
    ),
    "probes": (
        "shrink_probes",
        {
            "regret, dB": "{regret_db:.3f}",
            "cells known": "{probed_share:.0%}",
            "pairs pruned": "{edges_pruned:.0%}",
            "rank correlation": "{rank_correlation:.3f}",
        },
    ),
    "router": (
        "shrink_router",
        {
            "regret, dB": "{regret_db:.3f}",
            "MACs / oracle": "{macs_ratio:.2f}",
            "regret at equal MACs": "{equal_regret_db:.3f}",
            "lowest rate: regret, dB": "{low_regret_db:.3f}",
            "MACs / oracle there": "{low_macs_ratio:.2f}",
            "regret at equal MACs there": "{low_equal_regret_db:.3f}",
        },
    ),
    "teacher": (
        "shrink_teacher",
        {
            "PSNR, dB": "{psnr_db:.2f}",
            "GFLOP a step": "{gflops:.2f}",
            "step's time / teacher": "{step_ratio:.2f}",
        },
    ),
}


def arms(name: str) -> str:
    """Means over clips and seeds; an arm with fewer runs has fewer of them behind it."""
    file, forms = ARMS[name]
    result, rows = read(file), []
    for arm in result["arms"]:
        runs = [row for row in result["rows"] if row["arm"] == arm]
        numbers = {k for k, v in runs[0].items() if isinstance(v, int | float)}
        means = {k: fmean(r[k] for r in runs) for k in numbers if all(k in r for r in runs)}
        rows.append({"arm": arm, "runs": len(runs), **means})
    return formed(rows, {"arm": "{arm}", "runs": "{runs}", **forms})
