"""What a network that ships gains where it is adapted to a film, and what its changes cost.

    python -m benchmarks.adapting [--films FOLDER] [--steps 150 400 2500]

A stretch of two clips by H.264 at scale 4, and x4-coarse: as it is, and adapted after so many
steps, as an encode does (--preset fast). Every second frame is learned from; luma is judged on some
of all, each cell by its best path, and bytes are those of the blob. Each is a JSON in
build/adapting as soon as it is made; together they are benchmarks/results/adapting.json, of which
the search has two of its rules (sr/rate): how the gain grows with each doubling of the steps, and
what the changes cost.
"""

import json
import math
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch

from benchmarks.harness import argument_parser, environment, write_json
from chunking.probe import probe
from chunking.route_plan import usual_cell_px
from chunking.video import Frame, read_frames
from player.bicubic import upscale_bicubic
from player.package.adapted import unpack_base
from player.package.architecture import Architecture, Tensors
from player.package.paths import HARD
from player.package.shipped import shipped_blob
from sr.encode.records import PRESETS
from sr.packing import pack_changes
from sr.quant.adapt import adapt, adapting_plan
from sr.quant.integer_network import IntegerNetwork
from sr.rate.rungs import Rung
from sr.rate.sample import Coding, Sample, StreamShelf
from sr.rate.trial import anchor_shares, routed
from sr.training.crop_error import crop_error
from sr.training.data import FramePair, training_set
from sr.training.spread import CELL_PX, SMALL_CROP_PX, SMALL_CROPS_FOR_ONE, SpreadSampler

SCALE, CRF, BASE = 4, 28.0, "x4-coarse"
STEPS = (150, 400, 2500)
LOSS, JUDGED = "ycbcr", 12


@dataclass(frozen=True)
class Stretch:
    """Frames of a clip that settings may be chosen on."""

    file: str
    first: int
    frames: int


STRETCHES = (Stretch("flower_720p.264", 0, 120), Stretch("anim_bbb_720p_60s.mp4", 754, 130))


def take(stretch: Stretch, films: Path) -> Sample:
    """The stretch as a film of its own."""
    film, behind = films / stretch.file, stretch.first + stretch.frames
    info = probe(film)
    some = [f for f in read_frames(film, behind) if f.index >= stretch.first]
    frames = [Frame(f.rgb, f.pts - some[0].pts, i) for i, f in enumerate(some)]
    return Sample(frames, len(frames), len(frames) / float(info.frame_rate), info)


@dataclass(frozen=True)
class Judge:
    """Luma of some frames of a stream, in dB."""

    sample: Sample
    pairs: list[FramePair]

    def anchor(self) -> float:
        shown = ((upscale_bicubic(p.lr, SCALE), p.hr) for p in self.pairs)
        return self.sample.quality(shown, ["psnr_y"])["psnr_y"]

    def network(self, arch: Architecture, tensors: Tensors) -> float:
        """Each cell by the path of the least error."""
        network, cell_px = IntegerNetwork(arch, tensors), usual_cell_px(SCALE, arch.units)
        # Of one frame no route changes, and bits say nothing.
        shown = ((next(routed(network, [p], cell_px, 1.0)), p.hr) for p in self.pairs)
        return self.sample.quality(shown, ["psnr_y"])["psnr_y"]


def sampler_of(pairs: Sequence[FramePair], arch: Architecture) -> SpreadSampler:
    """Crops of these frames, as an encode draws them."""
    data, shares = training_set(list(pairs), SCALE, arch.halo_px(HARD)), anchor_shares(pairs, SCALE)
    crops = PRESETS["fast"].batch * SMALL_CROPS_FOR_ONE[SCALE]
    return SpreadSampler(data, shares, (CELL_PX, CELL_PX), crops, 0, side_px=SMALL_CROP_PX)


def make(stretch: Stretch, films: Path, steps: Iterable[int]) -> list[dict[str, Any]]:
    """The rows of a clip."""
    sample, blob = take(stretch, films), shipped_blob(BASE)
    base = unpack_base(blob)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        coding = Coding("h264", 4.0, "tune=psnr")
        stream = StreamShelf(sample, coding, Path(folder), ("psnr_y",)).stream(Rung(SCALE), CRF)
        spread = np.linspace(0, len(sample.frames) - 1, JUDGED).round().astype(int)
        judge = Judge(sample, stream.pairs(spread.tolist()))
        # Every second frame is learned from.
        sampler = sampler_of(stream.pairs(range(0, len(sample.frames), 2)), base.arch)
    price = crop_error(sampler, LOSS) / (8 * stream.bytes)
    anchor, ships = judge.anchor(), judge.network(base.arch, base.tensors)
    for count in steps:
        began, plan = time.monotonic(), replace(adapting_plan(count), loss=LOSS)
        tensors = adapt(base, sampler, plan, price)
        row = {
            "clip": stretch.file, "steps": count, "stream_bytes": stream.bytes,
            "anchor_db": round(anchor, 4), "shipped_db": round(ships, 4),
            "adapted_db": round(judge.network(base.arch, tensors), 4),
            "bytes": len(pack_changes(blob, tensors)),
            "seconds": round(time.monotonic() - began, 1),
        }  # fmt: skip
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def rules(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By what share of itself the gain over the network as it ships grows with a doubling of the
    steps, from a trial's to all; how many times more bytes that takes; and, after all, the bytes,
    their share of the stream's, and the gain less what they would bring there."""
    by_clip: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_clip.setdefault(row["clip"], []).append(row)
    grown, larger, net = [], [], []
    for of_clip in by_clip.values():
        ordered = sorted(of_clip, key=lambda row: row["steps"])
        tried, last = ordered[-2:]
        gains = [row["adapted_db"] - row["shipped_db"] for row in (tried, last)]
        doublings = math.log2(last["steps"] / tried["steps"])
        grown.append((gains[1] / gains[0] - 1) / doublings)
        larger.append((last["bytes"] / tried["bytes"]) ** (1 / doublings))
        spent = 3.5 * math.log2(1 + last["bytes"] / last["stream_bytes"])
        net.append(last["adapted_db"] - last["shipped_db"] - spent)
    longest = [row for row in rows if row["steps"] == max(r["steps"] for r in rows)]
    shares = [row["bytes"] / row["stream_bytes"] for row in longest]
    return {
        "grown_a_doubling": round(mean(grown), 4),
        "times_bytes_a_doubling": round(mean(larger), 4),
        "bytes": round(mean(row["bytes"] for row in longest)),
        "stream_share": round(mean(shares), 4),
        "net_db": round(mean(net), 4),
    }


def main() -> None:
    parser = argument_parser("adapting", __doc__)
    parser.add_argument("--films", type=Path, default=Path("../shared/clips"))
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--work", type=Path, default=Path("build/adapting"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for stretch in STRETCHES:
        path = options.work / f"{Path(stretch.file).stem}.json"
        if not path.exists():
            write_json(path, {"rows": make(stretch, options.films, options.steps)})
    made = (json.loads(path.read_text()) for path in sorted(options.work.glob("*.json")))
    rows = [row for clip in made for row in clip["rows"]]
    result = {"schema": "pocketsr.adapting/1", "rules": rules(rows), "rows": rows}
    write_json(options.json, {**result, "environment": environment(("torch", "av"))})
    print(json.dumps(result["rules"], indent=1))


if __name__ == "__main__":
    main()
