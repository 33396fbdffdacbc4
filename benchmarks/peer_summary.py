"""Ratios and tables from the rows of `benchmarks.peers`, and from nothing else.

A ratio is of speeds, ours over theirs, or of what one needs less of, theirs over ours: above 1 is
in our favour. A share is of a limit.
"""

from collections.abc import Iterable
from statistics import median
from typing import Any

from benchmarks.limits import LIMIT
from benchmarks.runtimes import OURS, TVM_DEFAULT
from benchmarks.subject import OTHER_NETWORKS

Row = dict[str, Any]

HARD, DYNAMIC, CONVOLUTIONS = "hard", "new-size", "3x3-only"
FOOTPRINT, QUALITY, PLAIN_TVM = "footprint", "quality", "tvm-default"
MAIN_SIZE = "480x270"
_NAMED = ("onnxruntime", "openvino", "mnn")  # whose fp32 ratios are given one by one


def pick(rows: Iterable[Row], **wanted: Any) -> list[Row]:
    """The rows that have all these values."""
    return [r for r in rows if all(r.get(key) == value for key, value in wanted.items())]


def fastest(rows: Iterable[Row]) -> Row | None:
    """The peer with the most operations a second; never ours, and no limit."""
    peers = [r for r in rows if r["runtime"] not in (OURS, LIMIT)]
    return max(peers, key=lambda r: float(r["gops"]), default=None)


def speed_ratio(ours: Row | None, theirs: Row | None) -> float | None:
    """Of the medians; where both have every call's time, the median of the calls' ratios."""
    if ours is None or theirs is None:
        return None
    if "calls_ms" in ours:
        pairs = zip(ours["calls_ms"], theirs["calls_ms"], strict=True)
        return round(median(their / our for our, their in pairs), 3)
    return round(float(ours["gops"] / theirs["gops"]), 3)


def one(rows: Iterable[Row], **wanted: Any) -> Row | None:
    """The row that has all these values, if there is one."""
    return next(iter(pick(rows, **wanted)), None)


def summary(rows: list[Row]) -> dict[str, Any]:
    """The keys of contracts.md first; null where something was not measured."""
    figures: dict[str, Any] = {}
    for dtype in ("int8", "fp32"):
        figures |= _against_fastest(rows, dtype, threads=1)
    figures |= _shares(rows)
    figures |= _dynamic(rows)
    figures |= _named_fp32(rows)
    for dtype in ("int8", "fp32"):
        found = _against_fastest(rows, dtype, threads=2)
        figures |= {f"{key}_2_threads": value for key, value in found.items()}
    return figures | _footprint(rows) | _quality(rows) | {"other_networks": _others(rows)}


def _others(rows: list[Row]) -> dict[str, Any]:
    """By network and number format, the speed over the fastest peer, and which that is."""
    figures: dict[str, Any] = {}
    for name in (name for name in OTHER_NETWORKS if pick(rows, subject=name)):
        for dtype in ("int8", "fp32"):
            same = pick(rows, subject=name, dtype=dtype)
            peer = fastest(same)
            ratio = speed_ratio(one(same, runtime=OURS), peer)
            figures[f"{name} {dtype}"] = {"ratio": ratio, "fastest_peer": _label(peer)}
    return figures


def _against_fastest(rows: list[Row], dtype: str, threads: int) -> dict[str, Any]:
    same = pick(rows, subject=HARD, lr=MAIN_SIZE, threads=threads, dtype=dtype)
    peer = fastest(same)
    return {
        f"{dtype}_ratio_to_fastest_peer": speed_ratio(one(same, runtime=OURS), peer),
        f"{dtype}_fastest_peer": peer["runtime"] if peer else None,
    }


def _shares(rows: list[Row]) -> dict[str, Any]:
    figures = {}
    for dtype in ("int8", "fp32"):
        same = pick(rows, lr=MAIN_SIZE, threads=1, dtype=dtype)
        limit = one(same, runtime=LIMIT)
        for subject, suffix in ((HARD, ""), (CONVOLUTIONS, "_3x3")):
            ours = one(same, subject=subject, runtime=OURS)
            figures[f"{dtype}_share_of_limit{suffix}"] = speed_ratio(ours, limit)
    return figures


def _dynamic(rows: list[Row]) -> dict[str, Any]:
    """int8, our default, against the fastest peer of any number format."""
    figures: dict[str, Any] = {}
    for threads, suffix in ((1, ""), (2, "_2_threads")):
        same = pick(rows, subject=DYNAMIC, threads=threads)
        peer = fastest(same)
        ours = one(same, runtime=OURS, dtype="int8")
        figures[f"dynamic_ratio_to_fastest_peer{suffix}"] = speed_ratio(ours, peer)
        figures[f"dynamic_fastest_peer{suffix}"] = _label(peer)
    return figures


def _named_fp32(rows: list[Row]) -> dict[str, Any]:
    same = pick(rows, subject=HARD, lr=MAIN_SIZE, threads=1, dtype="fp32")
    ours = one(same, runtime=OURS)
    plain = pick(rows, subject=PLAIN_TVM, dtype="fp32")
    figures = {
        f"fp32_ratio_to_{name}": speed_ratio(ours, one(same, runtime=name)) for name in _NAMED
    }
    tvm = speed_ratio(one(plain, runtime=OURS), one(plain, runtime=TVM_DEFAULT))
    return {**figures, "fp32_ratio_to_tvm_default": tvm}


def _footprint(rows: list[Row]) -> dict[str, Any]:
    """Ours in int8 against whoever needs least, each figure by itself."""
    same = pick(rows, subject=FOOTPRINT)
    ours = one(same, runtime=OURS, dtype="int8")
    peers = [r for r in same if r["runtime"] != OURS]
    figures: dict[str, Any] = {}
    keys = ("peak_over_idle_mib", "first_frame_ms", "library_mib")
    for key, name in zip(keys, ("memory", "first_frame", "library"), strict=True):
        least = min(peers, key=lambda r: float(r[key]), default=None)
        both = ours is not None and least is not None
        figures[f"{name}_ratio_to_leanest_peer"] = (
            round(float(least[key] / ours[key]), 2) if both and ours and least else None
        )
        figures[f"{name}_leanest_peer"] = _label(least)
    return figures


def _quality(rows: list[Row]) -> dict[str, Any]:
    """dB that int8 loses against fp32 on the clip, ours and each peer's."""
    same = pick(rows, subject=QUALITY)
    exact = one(same, runtime=OURS, dtype="fp32")
    if exact is None:
        return {"int8_loss_db": None}
    losses = {
        r["runtime"]: round(float(exact["psnr_hr_db"] - r["psnr_hr_db"]), 3)
        for r in pick(same, dtype="int8")
    }
    return {"int8_loss_db": losses}


def _label(row: Row | None) -> str | None:
    return f"{row['runtime']} {row['dtype']}" if row else None


def print_tables(rows: list[Row]) -> None:
    """One table for each kind of row, fastest first within a size."""
    labels = ("subject", "lr", "threads", "runtime", "dtype")
    speed = (*labels, "median_ms", "gops", "spread")
    figures = ("peak_over_idle_mib", "library_mib", "first_frame_ms", "import_ms")
    footprint = ("subject", "runtime", "dtype", *figures)
    quality = ("subject", "runtime", "dtype", "psnr_exact_db", "psnr_hr_db")
    timed = [r for r in rows if "gops" in r]
    order = sorted(timed, key=lambda r: (r["subject"], r["threads"], r["lr"], -r["gops"]))
    print_table(speed, order)
    print_table(footprint, pick(rows, subject=FOOTPRINT))
    print_table(quality, pick(rows, subject=QUALITY))


def print_table(columns: tuple[str, ...], rows: list[Row]) -> None:
    """Columns as wide as what is in them; nothing where there are no rows."""
    if not rows:
        return
    cells = [columns, *(tuple(str(row[c]) for c in columns) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        print("  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)))
    print()


def print_summary(figures: dict[str, Any]) -> None:
    for key, value in figures.items():
        print(f"{key}: {value}")
