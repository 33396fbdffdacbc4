"""What each choice of the training is worth: one left out at a time, equal crops, one clip.

    python -m benchmarks.training --clip FILE [--steps N]

Every arm learns from the same frames (lossless LR, x4) with the same number of crops and is
judged by whole-frame RGB PSNR of the hard path. JSON to benchmarks/results/training.json.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from torch import nn

from benchmarks.harness import RESULTS, environment, write_json
from chunking.grid import Grid
from chunking.lr import downscale
from chunking.video import read_frames
from player.package.architecture import Architecture
from player.package.generic import blob_path
from player.package.paths import BICUBIC, EASY, HARD, PATH_NAMES
from player.package.weights import unpack_weights
from sr.models import Network, architecture, build_network
from sr.packing import network_of, pack_network, trainable_network
from sr.scoring import path_sse
from sr.training.data import CropSampler, FramePair, training_set
from sr.training.loop import TrainingPlan, overfit

SCALE = 4


@dataclass(frozen=True)
class Arm:
    """A way to train: how the network begins, the plan, crops a step."""

    start: Callable[[Architecture], Network]
    plan: TrainingPlan
    batch: int = 4


def he_start(arch: Architecture) -> Network:
    """He's initialisation for the whole trunk, without the identity."""
    network = build_network(arch)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for convolution in network.get_submodule("trunk").children():
            assert isinstance(convolution, nn.Conv2d)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return network


def warm_start(arch: Architecture) -> Network:
    """From the generic network."""
    return trainable_network(unpack_weights(blob_path(arch.scale).read_bytes()))


def arms(steps: int) -> dict[str, Arm]:
    """The default, and the default with one choice changed."""
    plan = TrainingPlan(steps)
    default = Arm(build_network, plan)
    return {
        "default": default,
        "Adam alone": replace(default, plan=replace(plan, muon_rate=None)),
        "He initialisation": replace(default, start=he_start),
        "no error of the easy path": replace(
            default, plan=replace(plan, path_weights={EASY: 0.0, HARD: 1.0})
        ),
        "start from the generic network": replace(default, start=warm_start),
        "16 crops a step, a quarter of the steps": replace(
            default, plan=TrainingPlan(steps // 4), batch=16
        ),
    }


def whole_frame_db(network: Network, pairs: list[FramePair]) -> dict[str, float]:
    """RGB PSNR of each path, mean squared error over all frames."""
    height, width = pairs[0].lr.shape[:2]
    errors = sum(path_sse(network, pairs, Grid(height, width)), np.zeros(1))
    mse = errors.sum(axis=(1, 2)) / (len(pairs) * pairs[0].hr.size)
    return {PATH_NAMES[p]: float(10 * np.log10(255**2 / mse[p])) for p in (BICUBIC, EASY, HARD)}


def run_arm(arm: Arm, pairs: list[FramePair], seed: int) -> dict[str, float]:
    """Train and judge one arm."""
    network = arm.start(architecture("chain", SCALE, dynamic=True))
    data = training_set(pairs, SCALE, network.halo_px(HARD))
    height, width = data.size_px
    grid = Grid(height, width)
    shares = np.ones((len(pairs), *grid.shape))
    sampler = CropSampler(data, shares, (grid.fine_h, grid.fine_w), arm.batch, seed)
    began = monotonic()
    overfit(network, sampler, arm.plan)
    seconds = monotonic() - began
    deployed = network_of(unpack_weights(pack_network(network)))
    return {**whole_frame_db(deployed, pairs[::8]), "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--json", type=Path, default=RESULTS / "training.json")
    options = parser.parse_args()
    frames = [f.rgb for f in read_frames(options.clip, options.frames)]
    pairs = [FramePair(downscale(hr, SCALE), hr) for hr in frames]
    rows = []
    for name, arm in arms(options.steps).items():
        for seed in options.seeds:
            result = run_arm(arm, pairs, seed)
            rows.append({"arm": name, "seed": seed, **result})
            print(f"| {name} | {seed} | {result['hard']:.2f} | {result['easy']:.2f} |", flush=True)
    head = {"schema": "pocketsr.training/1", "environment": environment(("torch",))}
    setting = {"clip": options.clip.name, "steps": options.steps, "frames": len(pairs)}
    write_json(options.json, {**head, **setting, "rows": rows})


if __name__ == "__main__":
    main()
