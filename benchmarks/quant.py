"""What quantisation costs: PSNR of fp32, int8 after training and int8 fine-tuned, on whole frames.

    python -m benchmarks.quant --clips DIR/a.mp4 DIR/b.mp4 [--arms NAME ...]

Every clip is encoded as fp32 and as int8 (x4, lossless LR; packages lie in build/quant and resume).
"int8 fine-tuned" is the network of the int8 package; the other arms start from that of the fp32
package and see the same crops. All are judged on every eighth frame, every pixel through one path,
by the exact integers. The control trains on in fp32, for as many steps at the same rates. JSON to
benchmarks/results/quant.json; rows of earlier runs stay in it.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from benchmarks.demo import pocketsr
from benchmarks.harness import RESULTS, environment, write_json
from benchmarks.quality import merge
from chunking.difficulty import patch_samples
from chunking.grid import Grid
from chunking.lr import downscale
from chunking.video import read_frames
from player.metrics import psnr_db
from player.package.generic import generic_blob
from player.package.paths import EASY, HARD, PATH_NAMES
from player.package.weights import WeightsBlob, unpack_weights
from sr.encode.difficulty import measure_difficulty
from sr.encode.methods import METHODS
from sr.encode.records import TrainingOptions
from sr.models import Network, deployed_network
from sr.packing import network_of, to_pixels, trainable_network
from sr.quant.calibrate import LEVELS, Rule, calibrate, least_squares, percentile
from sr.quant.finetune import (
    FINE_TUNING_SEED,
    calibration_crops,
    fine_tune,
    fine_tuning_plan,
)
from sr.quant.integer_network import IntegerNetwork
from sr.quant.quantise import quantise
from sr.scoring import scored_network
from sr.training.data import CropSampler, FramePair, training_set
from sr.training.loop import TrainingPlan, overfit

SCALE, JUDGE_EVERY = 4, 8
Judged = Network | IntegerNetwork
KEYS = ("clip", "preset", "arm")


@dataclass(frozen=True)
class Start:
    """The packages' networks, crops to draw, how long to train on."""

    blob: WeightsBlob
    integers: WeightsBlob
    sampler: CropSampler
    plan: TrainingPlan

    def network(self) -> Network:
        """A copy of the fp32 package's, in unit range."""
        return trainable_network(self.blob)


def largest(values: NDArray[np.float32]) -> float:
    """The step that cuts nothing off."""
    return float(values.max()) / LEVELS


def calibrated(rule: Rule) -> Callable[[Start], Judged]:
    """Integers without more training, steps chosen by `rule`."""

    def run(start: Start) -> Judged:
        network = start.network()
        steps = calibrate(network, calibration_crops(start.sampler), rule)
        return IntegerNetwork(
            network.arch, quantise(network.arch, network.deployed_arrays(), steps)
        )

    return run


def packaged(start: Start) -> Judged:
    """The int8 package's network."""
    return IntegerNetwork(start.integers.arch, start.integers.tensors)


def fine_tuned(steps: float = 1.0, rates: float = 1.0) -> Callable[[Start], Judged]:
    """Integers after fine-tuning: the plan's steps and rates times these factors."""

    def run(start: Start) -> Judged:
        network = start.network()
        integers = fine_tune(network, start.sampler, _scaled(start.plan, steps, rates))
        return IntegerNetwork(network.arch, integers)

    return run


def trained_on(start: Start) -> Judged:
    """The control: the fine-tuning's steps and rates in fp32."""
    network = start.network()
    overfit(network, replace(start.sampler, seed=start.sampler.seed + FINE_TUNING_SEED), start.plan)
    return deployed_network(network.arch, network.deployed_arrays())


def _scaled(plan: TrainingPlan, steps: float, rates: float) -> TrainingPlan:
    assert plan.muon_rate is not None
    return replace(
        plan,
        steps=round(plan.steps * steps),
        muon_rate=plan.muon_rate * rates,
        adam_rate=plan.adam_rate * rates,
    )


ARMS: dict[str, Callable[[Start], Judged]] = {
    "fp32": lambda start: network_of(start.blob),
    "fp32 trained on": trained_on,
    "int8, largest": calibrated(largest),
    "int8, percentile": calibrated(percentile),
    "int8, least squares": calibrated(least_squares),
    "int8 fine-tuned": packaged,
    "int8 fine-tuned, quarter rates": fine_tuned(rates=0.25),
    "int8 fine-tuned, triple rates": fine_tuned(rates=3.0),
    "int8 fine-tuned, a third of the steps": fine_tuned(steps=1 / 3),
}


def frame_pairs(clip: Path) -> list[FramePair]:
    """All frames, LR without a codec between."""
    return [FramePair(downscale(f.rgb, SCALE), f.rgb) for f in read_frames(clip)]


def encode_sampler(pairs: list[FramePair], blob: WeightsBlob, clip: Path) -> CropSampler:
    """Draws crops as the encode job does for dydca."""
    (height, width), (hr_height, hr_width) = pairs[0].lr.shape[:2], pairs[0].hr.shape[:2]
    grid = Grid(height, width)
    generic = scored_network(generic_blob(SCALE, "int8"))
    samples = patch_samples(grid, SCALE, hr_height, hr_width)
    difficulty = measure_difficulty(generic, pairs, grid, samples)
    (task,) = METHODS["dydca"].tasks(difficulty, TrainingOptions())
    data = training_set(pairs, SCALE, network_of(blob).halo_px(HARD))
    return CropSampler(data, task.shares, (grid.fine_h, grid.fine_w), batch=4, seed=0)


def upscale_both(network: Judged, lr: NDArray[np.uint8]) -> dict[int, NDArray[np.uint8]]:
    """The easy and the hard path's whole frame; real numbers in float32."""
    halo = network.halo_px(HARD)
    padded = np.pad(lr, ((halo, halo), (halo, halo), (0, 0)), mode="edge")
    if isinstance(network, IntegerNetwork):
        return network.upscale_all(padded)
    x = torch.from_numpy(padded).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        base, residuals = network.base(x, halo), network.residuals(x)
    return {p: to_pixels(F.pixel_shuffle(r, SCALE) + base) for p, r in residuals.items()}


def judge(network: Judged, pairs: list[FramePair]) -> dict[str, float]:
    """RGB PSNR of each path, mean squared error over all pixels of all frames."""
    errors: dict[int, list[float]] = {EASY: [], HARD: []}
    for pair in pairs:
        height, width = pair.hr.shape[:2]
        for path, frame in upscale_both(network, pair.lr).items():
            difference = frame[:height, :width].astype(np.float32) - pair.hr
            errors.setdefault(path, []).append(float(np.mean(difference**2, dtype=np.float64)))
    return {PATH_NAMES[path]: psnr_db(float(np.mean(errors[path]))) for path in (EASY, HARD)}


def packaged_blob(clip: Path, dtype: str, options: argparse.Namespace) -> WeightsBlob:
    """The network of the clip's package, made where it is not there yet."""
    package = options.work / f"{clip.stem}-{dtype}"
    if not (package / "report.json").exists():
        common = ("--preset", options.preset, "--lr-codec", "lossless", "--json")
        pocketsr("encode", clip, "-o", package, "--dtype", dtype, *common)
    return unpack_weights((package / "sr" / "weights-000.bin").read_bytes())


def run_clip(clip: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row an arm. `loss_db` is against the fp32 arm's hard path."""
    blob, integers = (packaged_blob(clip, dtype, options) for dtype in ("fp32", "int8"))
    steps = TrainingOptions(preset=options.preset).bounds.steps
    pairs = frame_pairs(clip)
    start = Start(blob, integers, encode_sampler(pairs, blob, clip), fine_tuning_plan(steps))
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys(("fp32", *options.arms)):
        psnr = judge(ARMS[name](start), pairs[::JUDGE_EVERY])
        reference = rows[0]["psnr_db"] if rows else psnr
        loss_db = reference["hard"] - psnr["hard"]
        row = {"clip": clip.name, "preset": options.preset, "arm": name, "steps_before": steps}
        rows.append({**row, "psnr_db": psnr, "loss_db": loss_db})
        print(f"| {clip.name} | {name} | {psnr['hard']:.3f} | {loss_db:+.3f} |", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, nargs="+", required=True)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--preset", default="balanced")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("build/quant"))
    parser.add_argument("--json", type=Path, default=RESULTS / "quant.json")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    for clip in options.clips:
        rows = merge(options.json, run_clip(clip, options), KEYS)
        data = {"schema": "pocketsr.quant/1", "environment": environment(("torch", "av"))}
        write_json(options.json, {**data, "judged_every": JUDGE_EVERY, "rows": rows})


if __name__ == "__main__":
    main()
