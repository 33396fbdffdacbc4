"""Whether a network that ships should be adapted to a film, or to each of its stretches of time.

    python -m benchmarks.stretches [--films FOLDER] [--steps 2500] [--arms whole "2 stretches"]

Networks of their own for stretches of time are ahead of one by half a dB (`benchmarks.shrink
--table chunks`) and take as many times its bytes; changes of a network that ships take far fewer.
Arms share the steps: one adaptation, of 2 and 4 stretches one each, and the control, 4 sets of
frames that lie between each other, so that only their number is the same. Streams are of H.264 at
scale 4; luma is judged on some of all frames, each by its own network, and `worth_db` is what is
left where the changes' bytes are paid for as the stream's, 3 dB for twice of them.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.adapting import BASE, CRF, LOSS, SCALE, Stretch, sampler_of, take
from benchmarks.harness import argument_parser, environment, write_json
from chunking.route_plan import usual_cell_px
from player.bicubic import upscale_bicubic
from player.package.adapted import unpack_base
from player.package.shipped import shipped_blob
from sr.encode.rate_weight import DB_A_DOUBLING
from sr.encode.records import PRESETS
from sr.packing import pack_changes
from sr.quant.adapt import adapt, adapting_plan
from sr.quant.integer_network import IntegerNetwork
from sr.rate.rungs import Rung
from sr.rate.sample import Coding, SampledStream, StreamShelf
from sr.rate.trial import anchor_shares, routed
from sr.training.crop_error import crop_error
from sr.training.data import Image

# Between the shots that the rate tables report on: cuts among them; and one long shot.
STRETCHES = (Stretch("anim_bbb_720p_60s.mp4", 166, 325), Stretch("cups_720p.mp4", 0, 300))
JUDGED = 32
SCHEMA = "pocketsr.stretches/1"


@dataclass(frozen=True)
class Arm:
    """How many networks; `between`: each has every so many-th frame, not a stretch."""

    count: int
    between: bool = False

    def owners(self, frames: int) -> NDArray[np.int64]:
        """[frames]: which network a frame is of."""
        at = np.arange(frames)
        return at % self.count if self.between else at * self.count // frames


ARMS: Mapping[str, Arm] = {
    "whole": Arm(1), "2 stretches": Arm(2), "4 stretches": Arm(4), "4 between": Arm(4, True),
}  # fmt: skip


def judged_frames(frames: int) -> list[int]:
    """JUDGED of so many, spread."""
    return [int(i) for i in np.linspace(0, frames - 1, JUDGED).round()]


def adapted(stream: SampledStream, arm: Arm, steps: int) -> tuple[list[Image], list[Image], int]:
    """Judged frames as they are shown and as they were, and the bytes of all changes."""
    blob = shipped_blob(BASE)
    base, frames = unpack_base(blob), len(stream.sample.frames)
    owners = arm.owners(frames)
    judged = judged_frames(frames)
    cell_px = usual_cell_px(SCALE, base.arch.units)
    every = anchor_shares(stream.pairs(range(0, frames, 2)), SCALE)
    shown, wanted, size = [], [], 0
    for number in range(arm.count):
        own = np.flatnonzero(owners == number)
        sampler = sampler_of(stream.pairs(own[::2].tolist()), base.arch)
        # A bit lowers the error of its own frames alone (sr/encode/rate_weight.py).
        served = float((sampler.shares**2).mean() / (every**2).mean()) * len(own) / frames
        price = crop_error(sampler, LOSS) / (8 * stream.bytes * served)
        tensors = adapt(base, sampler, replace(adapting_plan(steps // arm.count), loss=LOSS), price)
        size += len(pack_changes(blob, tensors))
        network = IntegerNetwork(base.arch, tensors)
        for pair in stream.pairs([i for i in judged if owners[i] == number]):
            shown.append(next(routed(network, [pair], cell_px, 1.0)))
            wanted.append(pair.hr)
    return shown, wanted, size


def make(stretch: Stretch, films: Path, steps: int, arms: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a clip."""
    sample, rows = take(stretch, films), []
    with tempfile.TemporaryDirectory() as folder:
        coding = Coding("h264", 4.0, "tune=psnr")
        stream = StreamShelf(sample, coding, Path(folder), ("psnr_y",)).stream(Rung(SCALE), CRF)
        judged = stream.pairs(judged_frames(len(sample.frames)))
        anchor = ((upscale_bicubic(p.lr, SCALE), p.hr) for p in judged)
        anchor_db = sample.quality(anchor, ["psnr_y"])["psnr_y"]
        for name in arms:
            shown, wanted, size = adapted(stream, ARMS[name], steps)
            db = sample.quality(zip(shown, wanted, strict=True), ["psnr_y"])["psnr_y"]
            row = {
                "clip": stretch.file, "arm": name, "steps": steps, "bytes": size,
                "stream_bytes": stream.bytes, "anchor_db": round(anchor_db, 4),
                "adapted_db": round(db, 4),
                "worth_db": round(db - DB_A_DOUBLING * log2(1 + size / stream.bytes), 4),
            }  # fmt: skip
            rows.append(row)
            print(json.dumps(row), flush=True)
    return rows


def main() -> None:
    parser = argument_parser("stretches", __doc__)
    parser.add_argument("--films", type=Path, default=Path("../shared/clips"))
    parser.add_argument("--steps", type=int, default=PRESETS["fast"].steps)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    made = (make(s, options.films, options.steps, options.arms) for s in STRETCHES)
    rows = [row for of_clip in made for row in of_clip]
    shown = {"schema": SCHEMA, "steps": options.steps, "rows": rows}
    write_json(options.json, {**shown, "environment": environment(("torch", "av"))})


if __name__ == "__main__":
    main()
