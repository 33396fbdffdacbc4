"""The published systems, a row each: what the paper claims, what is measured here, where it lives.

What is measured is taken from the claims that result files hold (benchmarks/verdict.py says what
holds), and from the rate tables; nothing is typed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.reproduction.table import markdown, read

Shown = Callable[[], str]


@dataclass(frozen=True)
class System:
    """`published`: the paper's claim, in its own figures; `shown`: what stands beside it here;
    `code`: files and folders, from docs/."""

    name: str
    paper: str
    published: str
    shown: Sequence[Shown]
    command: str
    code: Sequence[str]


def found_claim(file: str, words: str) -> dict[str, Any]:
    """A claim of a result file, "reproduce.ENTRY" or "shrink_NAME"."""
    name, _, entry = file.partition(".")
    result = read(name)["entries"][entry] if entry else read(name)
    return next(dict(c) for c in result["claims"] if c["claim"] == words)


def claim(file: str, words: str) -> str:
    """The same in words, with its verdict and figure."""
    found = found_claim(file, words)
    return f"**{found['verdict']}**: {words}{_figure(found['measured'])}"


def _figure(measured: dict[str, Any]) -> str:
    """The first of a claim's figures that is one over runs."""
    for name, value in measured.items():
        if isinstance(value, dict) and "mean" in value:
            error, unit = value["standard_error"], " dB" if name.endswith("_db") else ""
            spread = "" if error is None else f" ± {error:.2g}"
            return f" ({value['mean']:.3g}{spread}{unit}, runs: {value['runs']})"
    return ""


def rate(arm: str) -> str:
    """An arm's bytes at equal luma, beside the best plain encode."""
    mean = next(
        m
        for m in read("rate")["means"]
        if (m["codec"], m["arm"], m["metric"]) == ("h264", arm, "psnr_y")
    )
    return (
        f"`{arm}`, H.264: {mean['percent']:+.1f} % bytes at equal PSNR-Y (clips: {mean['clips']})"
    )


def passes() -> str:
    """What the compiler's passes are worth at one instruction set."""
    result = read("compiler")
    speedup = result["summary"]["speedup_all_vs_neither"] / result["ladder"][0]["speedup"]
    return f"{speedup:.2f}x faster by the passes, at one instruction set ([ablation](ablation.md))"


def counted_passes() -> str:
    """What they keep off a phone's memory, by counting."""
    by_arm: dict[str, list[Any]] = {}
    for row in read("counted")["rows"]:
        by_arm.setdefault(row["arm"], []).append(row)
    fewer = [row["ratio"] for row in by_arm["neither"]]
    less = by_arm["neither"][0]["moved_bytes"] / by_arm["all"][0]["moved_bytes"]
    return (
        f"on arm64, counted: {min(fewer):.2f} to {max(fewer):.2f}x fewer instructions, "
        f"{less:.0f}x fewer bytes beyond a cache of 512 KiB"
    )


_shrink = partial(partial, claim, "shrink")
_patches = partial(partial, claim, "shrink_patches")
_chunks = partial(partial, claim, "shrink_chunks")
_coded = partial(partial, claim, "shrink_coded")
_rare = partial(partial, claim, "shrink_rare")
_experts = partial(partial, claim, "shrink_experts")
_same_stream = partial(partial, claim, "rate")
SYSTEMS = (
    System(
        "STDO",
        "Li et al., CVPR 2023",
        "chunks by difficulty beat chunks by time, by 0.6 to 1.5 dB at x2",
        (
            _same_stream("stdo is above nas"),
            _same_stream("stdo is above awdnn"),
            _chunks("difficulty 4 is at least 0 dB above time 4"),
            _chunks("difficulty 4 is at least 0 dB above one, four times"),
            partial(rate, "stdo"),
            partial(rate, "nas"),
        ),
        "benchmarks.rate --arms stdo nas, benchmarks.shrink --table chunks",
        ("../sr/encode/methods.py", "../chunking/chunks.py"),
    ),
    System(
        "JSTDO",
        "the same",
        "one network, trained by the data's difficulty, in the place of STDO's",
        (
            _same_stream("jstdo is at most 0.1 dB below stdo"),
            _same_stream("jstdo: bytes of weights at most 0.25 of stdo"),
            _same_stream("jstdo is above awdnn"),
            _patches("patches by error is at least 0 dB above all patches"),
            _patches("crops at the error, 1x is at least 0 dB above crops anywhere, 1x"),
            partial(rate, "jstdo"),
            partial(rate, "awdnn"),
        ),
        "benchmarks.rate --arms jstdo awdnn, benchmarks.shrink --table patches",
        ("../sr/encode/methods.py",),
    ),
    System(
        "Dy-DCA, network",
        "Li et al., ECCV 2024",
        "one dynamic network on coarse and fine patches, no worse than several",
        (
            _same_stream("dydca is at most 0.1 dB below stdo"),
            _same_stream("dydca: bytes of weights at most 0.25 of stdo"),
            _same_stream("dydca is above jstdo"),
            partial(rate, "dydca"),
            partial(rate, "cpu"),
        ),
        "benchmarks.rate --arms dydca",
        ("../sr/models/chain.py", "../chunking/route_plan.py"),
    ),
    System(
        "Dy-DCA, compiler",
        "the same",
        "1.7x faster and 1.61x less memory by fused dynamic shapes",
        (passes, counted_passes),
        "benchmarks.compiler, benchmarks.counted",
        ("../compiler",),
    ),
    System(
        "CHEX",
        "Hou et al., CVPR 2022",
        "channels are removed and regrow while training: half of ResNet-50, 77.4 % on ImageNet",
        (
            _shrink("chex is at least 0 dB above group-blind"),
            _shrink("chex is at least 0 dB above uniform"),
            _shrink("chex is at least 0.15 dB above condense: dense"),
            _coded("chex, long is at least 0 dB above uniform"),
            _coded("chex, long is at least 0.2 dB above fixed blocks"),
        ),
        "benchmarks.shrink, benchmarks.shrink --table coded",
        ("../sr/shrink/chex.py",),
    ),
    System(
        "Chase",
        "Yin et al., NeurIPS 2023",
        "dynamic sparsity becomes narrow channels: 1.7x throughput of ResNet-50 on ImageNet",
        (
            _shrink("chase is at least 0 dB above even blocks"),
            _shrink("chase is at least 0 dB above chase, random channels"),
            _shrink("chase: bytes of weights at most 0.6 of dense"),
            _coded("chase, its bytes paid for, is at least 0 dB above uniform"),
            _coded("chase, its bytes paid for, is at least 0 dB above chase, random channels"),
        ),
        "benchmarks.shrink, benchmarks.shrink --table coded",
        ("../sr/shrink/chase.py",),
    ),
    System(
        "fair bi-level pruning",
        "Dai et al., 2023",
        "as fair and accurate as the best of two stages, in 94 % fewer iterations (CelebA, LFW)",
        (
            _shrink("fair: the groups' spread of drops at most 0.5 of group-blind"),
            _shrink("fair, the worst group, is at least 0 dB above chex"),
            _rare("fair: the worst group's drop at most 0.5 of group-blind"),
            _rare("fair: the worst group's drop at most 0.5 of chex"),
            _rare("fair is at most 0.05 dB below group-blind"),
            partial(claim, "reproduce.fair", "cifar: the minority gains by it, not only the gap"),
        ),
        "benchmarks.shrink, benchmarks.shrink --table rare, benchmarks.reproduce --only fair",
        ("../sr/shrink/fair.py", "../benchmarks/reproduction/fair.py"),
    ),
    System(
        "CD-MoE",
        "Cao et al., 2024",
        "condensed experts keep 90 % of the accuracy at 27.5 % less memory",
        (
            _shrink("condense is at least 0.1 dB above condense: dense"),
            _shrink("condense is at least 0 dB above condense: random experts"),
            _experts("moe is at least 0 dB above dense"),
            _experts("condensed keeps 90% of what moe gains over dense"),
            partial(
                claim, "reproduce.condense", "condensed and fine-tuned beats dense from scratch"
            ),
        ),
        "benchmarks.shrink, benchmarks.shrink --table experts, "
        "benchmarks.reproduce --only condense",
        ("../sr/shrink/condense.py", "../benchmarks/reproduction/condense_lm.py"),
    ),
    System(
        "Tri-Level E-ViT",
        "Kong et al., AAAI 2023",
        "15 % less training time, no loss (DeiT on ImageNet)",
        (
            partial(
                claim,
                "reproduce.tri_level",
                "tri-level: within half a point of dense, in at most 0.88 of its time",
            ),
            _patches("forgetting is at least 0 dB above held out, at random"),
        ),
        "benchmarks.reproduce --only tri_level",
        ("../benchmarks/reproduction/tri_level.py", "../benchmarks/reproduction/selection"),
    ),
    System(
        "data-level lottery tickets",
        "Shen et al., IJCAI 2023",
        "a ticket's patches train as well as all, random ones do not",
        (
            _patches("ticket is at least 0.1 dB above random half"),
            partial(
                claim,
                "reproduce.data_tickets",
                "judged on all patches: the ticket is more than a point above random patches",
            ),
        ),
        "benchmarks.shrink --table patches, benchmarks.reproduce --only data_tickets",
        ("../benchmarks/reproduction/data_tickets.py",),
    ),
    System(
        "graph lottery tickets",
        "Hui et al., ICLR 2023",
        "a Wasserstein head and ascent on the edges' masks: sparser tickets than UGS",
        (
            partial(
                claim,
                "reproduce.graph",
                "cora, L1 of UGS, 74% of the pairs gone: ugs + wd is above ugs",
            ),
            partial(
                claim,
                "reproduce.graph",
                "citeseer, L1 of UGS, 74% of the pairs gone: ugs + wd is above ugs",
            ),
            partial(claim, "shrink_probes", "ticket: less regret than nearest neighbours"),
        ),
        "benchmarks.reproduce --only graph, benchmarks.shrink --table probes",
        ("../benchmarks/reproduction/graph",),
    ),
    System(
        "FlameFinder's metric learning",
        "Rajoli et al., 2024",
        "4.4 to 7 points over a plain classifier where flames are not obscured",
        (
            partial(claim, "reproduce.metric", "attentive: more accurate in smoke than BCE alone"),
            partial(
                claim,
                "reproduce.metric",
                "attentive: more accurate in smoke than all losses without attention",
            ),
            partial(
                claim,
                "shrink_router",
                "attentive: less regret than energy on clean LR, at equal MACs",
            ),
        ),
        "benchmarks.reproduce --only metric, benchmarks.shrink --table router",
        ("../benchmarks/reproduction/metric_learning.py", "../sr/router"),
    ),
)


def systems() -> str:
    """The table of docs/systems.md."""
    rows = []
    for system in SYSTEMS:
        commands = (f"`python -m {command}`" for command in system.command.split(", "))
        links = (f"[{path.rsplit('/', 1)[-1]}]({path})" for path in system.code)
        rows.append(
            {
                "system": f"{system.name} ({system.paper})",
                "the paper": system.published,
                "here": "<br>".join(shown() for shown in system.shown),
                "command": "<br>".join(commands),
                "code": ", ".join(links),
            }
        )
    return markdown(rows)
