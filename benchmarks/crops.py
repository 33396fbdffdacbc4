"""What a step's crops and the colours of the loss are worth, at scale 1 and 2.

    python -m benchmarks.crops [--films FOLDER] [--clips cups sintel_bamboo]

One network (5 layers of 16) learns the luma and chroma, or the RGB, of H.264 streams of the
choosing clips, by 8 to 64 small crops a step; as many steps for all. Judged on whole frames
between those that it learned from. JSON to benchmarks/results/crops.json.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch

from benchmarks.harness import argument_parser, environment, write_json
from benchmarks.rating.clips import read_shots
from chunking.lr import downscale
from chunking.probe import VideoInfo, probe
from chunking.stream import read_stream, write_lr_stream
from chunking.video import Frame, read_frames
from player.bicubic import upscale_bicubic
from player.package.architecture import Architecture
from player.package.paths import HARD
from player.package.scale import Scale
from player.quality import QualityMeter
from sr.models import Network, build_network, deployed_network
from sr.rate.trial import anchor_shares
from sr.scoring import upscale_paths
from sr.training.data import FramePair, Image, training_set
from sr.training.loop import TrainingPlan, overfit
from sr.training.spread import CELL_PX, SMALL_CROP_PX, SpreadSampler

WIDTHS, EXITS = (16,) * 5, (2, 5)
CRFS: Mapping[Scale, float] = {1: 33, 2: 27}  # of H.264: about the same bytes
CROPS, LOSSES = (8, 16, 32, 64), ("rgb", "ycbcr")
LEARNED, JUDGED = 96, 12
METRICS = ("psnr_y", "psnr_rgb")


@dataclass(frozen=True)
class Pairs:
    """A film's frames to learn from, and those between them to be judged on."""

    scale: Scale
    info: VideoInfo
    learned: list[FramePair]
    judged: list[FramePair]

    def gain(self, network: Network) -> dict[str, float]:
        """What the hard path's frames have over the anchor's, dB."""
        deployed = deployed_network(network.arch, network.deployed_arrays())
        made = self._quality(
            [dict(upscale_paths(deployed, p.lr, (HARD,)))[HARD] for p in self.judged]
        )
        anchor = self._quality([upscale_bicubic(p.lr, self.scale) for p in self.judged])
        return {m: round(made[m] - anchor[m], 4) for m in METRICS}

    def _quality(self, shown: list[Image]) -> dict[str, float]:
        with QualityMeter(METRICS, self.info.colour, self.info.frame_rate) as meter:
            for picture, pair in zip(shown, self.judged, strict=True):
                meter.add(picture, pair.hr)
            result = meter.result()
        return {m: result.mean(m) or 0.0 for m in METRICS}


def pairs_of(film: Path, frames: int, scale: Scale) -> Pairs:
    """A film's stream as it is decoded, and the film."""
    info, originals = probe(film), []

    def scaled() -> Any:
        for frame in read_frames(film, frames):
            originals.append(frame.rgb)
            yield (
                frame if scale == 1 else Frame(downscale(frame.rgb, scale), frame.pts, frame.index)
            )

    with tempfile.TemporaryDirectory() as folder:
        made = write_lr_stream(
            scaled(), Path(folder), info, "h264", CRFS[scale], codec_opts="tune=psnr"
        )
        decoded = [f.rgb for f in read_stream(made.init, [s.path for s in made.segments])]
    every = [FramePair(lr, hr) for lr, hr in zip(decoded, originals, strict=True)]
    judged = np.linspace(0, len(every) - 1, JUDGED).round().astype(int)
    others = np.setdiff1d(np.arange(len(every)), judged)
    learned = others[np.linspace(0, len(others) - 1, LEARNED).round().astype(int)]
    return Pairs(scale, info, [every[i] for i in learned], [every[i] for i in judged])


def train(pairs: Pairs, crops: int, loss: str, steps: int, seed: int) -> dict[str, Any]:
    """One arm: its gain, and the seconds of CPU that its training took."""
    arch = Architecture("chain", pairs.scale, WIDTHS, EXITS)
    network = build_network(arch, seed)
    data = training_set(pairs.learned, pairs.scale, network.halo_px(HARD))
    shares, cell = anchor_shares(pairs.learned, pairs.scale), (CELL_PX, CELL_PX)
    sampler = SpreadSampler(data, shares, cell, crops, seed, side_px=SMALL_CROP_PX)
    began = process_time()
    overfit(network, sampler, TrainingPlan(steps, loss=loss))
    return {"cpu_s": round(process_time() - began, 1), **pairs.gain(network)}


def main() -> None:
    parser = argument_parser("crops", __doc__)
    parser.add_argument("--films", type=Path, default=Path("../shared/clips"))
    parser.add_argument("--clips", nargs="+", default=["cups", "sintel_bamboo"])
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for shot in (s for s in read_shots() if s.clip in options.clips and s.place == 0):
        for scale in CRFS:
            pairs = pairs_of(options.films / shot.file, shot.end, scale)
            for loss, crops in product(LOSSES, CROPS):
                made = train(pairs, crops, loss, options.steps, 0)
                rows.append(
                    {"clip": shot.clip, "scale": scale, "loss": loss, "crops": crops, **made}
                )
                print(rows[-1], flush=True)
    head = {"schema": "pocketsr.crops/1", "environment": environment(("torch", "av"))}
    write_json(options.json, {**head, "steps": options.steps, "rows": rows})


if __name__ == "__main__":
    main()
