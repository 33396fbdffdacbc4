"""The tables of results in README and docs, made from benchmarks/results/*.json alone.

    python -m benchmarks.tables [--check]

A page says where a table goes, and this fills it in:

    <!-- table: quant -->
    ...
    <!-- end -->

`--check` writes nothing and ends in 1 where a page is older than the JSON. A number that is in no
JSON cannot get into a table: tests/test_docs.py holds the pages to that.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import rate_tables
from benchmarks.engine_tables import (
    ablation,
    android,
    counted,
    family,
    ladder,
    latency,
    other_networks,
    peers,
    played,
    router_engine,
    shapes,
)
from benchmarks.readme_table import readme
from benchmarks.reproduction.table import formed, markdown, over_seeds, read
from benchmarks.search_tables import hopes, ladders, samples, shared_networks, shipped
from benchmarks.shrink_tables import ARMS, arms
from benchmarks.systems import systems
from benchmarks.systems_plot import svg

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PLOT = ROOT / "docs" / "systems.svg"  # made in the same way
MARKED = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

Row = Mapping[str, Any]


def quality() -> str:
    """Each as it was encoded: lossless LR, crops drawn as the method's paper says."""
    forms = {
        "clip": "{clip}",
        "preset": "{preset}",
        "method": "{method}",
        "PSNR-RGB, dB": "{measure[psnr][rgb]:.2f}",
        "bicubic, dB": "{measure[bicubic][psnr_rgb]:.2f}",
        "LR video, kbps": "{measure[kbps][video]:,.0f} ({lr_codec})",
        "weights, bytes": "{measure[bytes][weights]:,}",
        "MAC a frame": "{measure[macs_per_frame]:.3g}",
        "network switches a frame": "{measure[model_switches_per_frame]:.1f}",
    }
    return formed(read("quality")["rows"], forms)


def quant() -> str:
    forms = {"clip": "{clip}", "arm": "{arm}"}
    forms |= {"hard path, dB": "{psnr_db[hard]:.2f}", "lost against fp32, dB": "{loss_db:+.3f}"}
    return formed(read("quant")["rows"], forms)


def training() -> str:
    forms = {"arm (one clip, one seed)": "{arm}", "hard path, dB": "{hard:.2f}"}
    return formed(
        read("training")["rows"],
        forms | {"easy path, dB": "{easy:.2f}", "seconds": "{seconds:.0f}"},
    )


def crops() -> str:
    """Gains over the anchor, mean of the clips."""
    forms = {"scale": "{scale}", "loss": "{loss}", "crops a step": "{crops}"}
    forms |= {"PSNR-Y gained, dB": "{psnr_y:.2f}", "PSNR-RGB, dB": "{psnr_rgb:.2f}"}
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in read("crops")["rows"]:
        groups.setdefault((row["scale"], row["loss"], row["crops"]), []).append(row)
    means = [
        {**rows[0], **{m: fmean(r[m] for r in rows) for m in ("psnr_y", "psnr_rgb", "cpu_s")}}
        for rows in groups.values()
    ]
    return formed(means, forms | {"CPU seconds": "{cpu_s:.0f}"})


def difficulty() -> str:
    chunks = " / ".join(f"{{patches_in_error_balanced_chunks[{i}]:.0%}}" for i in range(4))
    forms = {
        "clip": "{clip}",
        "rank correlation with the error: residual energy": "{rho_residual_energy:.2f}",
        "DCT energy": "{rho_dct_energy:.2f}",
        "error in the hardest quarter": "{error_in_hardest_quarter:.0%}",
        "patches in 4 error-balanced chunks": chunks,
    }
    return formed(read("difficulty")["rows"], forms)


def scoring() -> str:
    forms = {
        "one thread, 720p": "{what}",
        "reference, CPU ms a frame": "{reference_cpu_ms:.0f}",
        "engine": "{engine_cpu_ms:.0f}",
        "times less": "{ratio:.1f}",
    }
    return formed(read("scoring")["rows"], forms)


def checked() -> str:
    """A line for each film and measure."""
    forms = {"film": "{film}, {frames} frames", "of": "{metric}", "`measure`": "{measure:.3f}"}
    forms |= {"FFmpeg, lossless file": "{lossless:.3f}", "FFmpeg, CRF 16": "{crf_16:.3f}"}
    rows = [
        {**row, "metric": metric, **{k: row[k][metric] for k in ("measure", "lossless", "crf_16")}}
        for row in read("checked")["rows"]
        for metric in row["measure"]
    ]
    return formed(rows, forms)


def coding() -> str:
    forms = {
        "network": "{network}",
        "parameters": "{parameters:,}",
        "zeros": "{zero_share:.0%}",
        "dense, bytes": "{dense:,}",
        "sparse": "{sparse:,}",
        "coded": "{coded:,}",
        "entropy of the weights alone": "{entropy_bytes:,}",
        "read in Python, ms": "{python:.0f}",
        "in C": "{engine:.1f}",
    }
    return formed([row | row["bytes"] | row["ms"] for row in read("coding")["networks"]], forms)


def coded_maps() -> str:
    forms = {
        "route maps of": "{package}",
        "cells": "{cells[0]}x{cells[1]}",
        "frames": "{frames}",
        "deflated, bytes": "{deflated:,}",
        "written": "{written:,}",
        "read, ms a segment": "{ms_a_segment:.0f}",
    }
    return formed([row | row["bytes"] for row in read("coding")["maps"]], forms)


def paper(name: str) -> str:
    """A published system on its own kind of task: its arms, then what it claims."""
    entry = read("reproduce")["entries"][name]
    rows = over_seeds(entry["rows"], entry["table_by"])
    seeds = ", ".join(map(str, entry["seeds"]))
    return f"Seeds {seeds}.\n\n{markdown(rows)}\n\n{_claims(entry)}"


def claims_of(file: str) -> str:
    return _claims(read(file))


def _claims(result: Row) -> str:
    """Means ± their standard errors; a note stands behind a claim that has one."""
    found = result["claims"]
    columns = ("claim", "verdict", "measured", "note")
    shown = columns if any(c.get("note") for c in found) else columns[:3]
    return markdown([{column: claim.get(column, "") for column in shown} for claim in found])


# The parts of `python -m tests.attack` that are no slow tests, in words.
ATTACKS = {
    "packages": "damaged packages through verify, play and `play --out`",
    "kills": "SIGKILL of `pocketsr encode`, then the same command",
    "changes": "a full disk, or the end, at each change to the disk, then the same command",
}
# And its slow tests, by a part of their names.
NATIVE = {
    "test_router_fuzz": "libFuzzer with sanitizers on router blobs, a minute",
    "test_fuzz": "libFuzzer with sanitizers on weights blobs, a minute",
    "test_threads": "thread sanitizer, two pools of 7 threads over one network",
    "test_memory": "10,000 frames: memory after 1,000 and at the end",
}


def reliability() -> str:
    parts, rows = read("reliability")["parts"], []
    for name in (n for n in ATTACKS if n in parts):
        part, what = parts[name], ATTACKS[name]
        ends = ", ".join(f"{count:,} {end}" for end, count in part.get("ends", {}).items())
        rows.append((what, f"{part['tries']:,}", ends or "the same bytes", part["findings"]))
    for case in parts.get("native", {}).get("cases", []):
        what = next(words for name, words in NATIVE.items() if name in case["test"])
        dtype = re.search(r"\[(\w+)\]", case["test"])
        ends = case["state"]
        if "mib" in case:
            ends = "{:.1f} and {:.1f} MiB".format(*json.loads(case["mib"]))
        failed = [what] if case["state"] in ("failure", "error") else []
        tries = f"{int(case['executed']):,}" if "executed" in case else ""
        rows.append((f"{what}, {dtype[1]}" if dtype else what, tries, ends, failed))
    heads = ("attack", "tries", "how they ended", "findings")
    return markdown([dict(zip(heads, (*row[:3], len(row[3])), strict=True)) for row in rows])


def of_rate(table: Callable[[Row], str]) -> str:
    return table(read("rate"))


TABLES: dict[str, Callable[[], str]] = {
    **{f.__name__: f for f in (readme, quality, checked, quant, training, crops)},
    **{f.__name__: f for f in (difficulty, scoring, reliability, systems)},
    **{f.__name__: f for f in (coding, coded_maps, samples, shipped)},
    **{f.__name__: f for f in (shared_networks, ladders, hopes)},
    **{f.__name__: f for f in (peers, other_networks, played, family, ladder)},
    **{f.__name__: f for f in (shapes, latency, router_engine, android)},
    **{f"ablation.{s}": partial(ablation, s) for s in ("whole", "routed", "tiles")},
    "ablation.counted": counted,
    **{name: partial(of_rate, table) for name, table in rate_tables.TABLES.items()},
    **{f"shrink.{name}": partial(arms, name) for name in ARMS},
    **{f"shrink.{n}.claims": partial(claims_of, file) for n, (file, _) in ARMS.items()},
    **{f"paper.{name}": partial(paper, name) for name in read("reproduce")["entries"]},
}


def filled(text: str) -> str:
    """A page with its tables as the JSON has them. Raises KeyError for a table that is not here."""
    return MARKED.sub(lambda m: f"{m[1]}{TABLES[m[2]]()}\n{m[3]}", text)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, tell what is old")
    check = parser.parse_args(arguments).check
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    old = {page: made for page, text in texts.items() if (made := filled(text)) != text}
    picture = svg()
    if not PLOT.exists() or PLOT.read_text(encoding="utf-8") != picture:
        old[PLOT] = picture
    for page, made in old.items():
        print(f"{page.name}: {'old' if check else 'filled in'}")
        if not check:
            page.write_text(made, encoding="utf-8")
    return 1 if old and check else 0


if __name__ == "__main__":
    sys.exit(main())
