"""The table `branches`: folding branches while the product's network is trained, and without them.

All arms train the default network at its full widths, from the same start, on the crops that
`encode` draws by default, and are fine-tuned as integers after that. One has a branch beside each
trunk convolution that folds away before the fine-tuning (sr/training/branches.py). It costs the
server time, which is measured with steps of both in turns; so one arm without has more steps.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from benchmarks.harness import interleave
from benchmarks.shrinking.base import trained_well
from benchmarks.shrinking.claims import above
from benchmarks.shrinking.clips import BATCH, SCALE, Clip
from player.metrics import psnr_db
from player.package.paths import EASY, HARD
from sr.models import Network, architecture, build_network
from sr.packing import pack_integers
from sr.quant.finetune import fine_tune, fine_tuning_plan
from sr.scoring import path_sse, scored_network
from sr.training.branches import BRANCH_CHANNELS, overfit_with_branches
from sr.training.data import CropSampler, TrainingSet, training_set
from sr.training.loop import TrainingPlan, overfit
from sr.training.spread import CELL_PX, SMALL_CROP_PX, SMALL_CROPS_FOR_ONE, SpreadSampler

REFERENCE, BRANCHES, LONGER = "plain", "branches", "plain, 1.4x steps"
ARMS: Mapping[str, str] = {
    REFERENCE: "convolutions alone",
    BRANCHES: f"a branch of {BRANCH_CHANNELS} channels at each trunk convolution, folded",
    LONGER: "convolutions alone, for the time that branches take",
}
MORE_STEPS = {LONGER: 1.4}
SHOWN = ("arm", "psnr_db", "easy_db", "server_s", "step_ratio")
CLAIMS = (above(BRANCHES, REFERENCE, 0.0), above(BRANCHES, LONGER, 0.0))


def trained(network: Network, sampler: CropSampler, plan: TrainingPlan, arm: str) -> Network:
    """The network in its deployed form after `plan`."""
    if arm == BRANCHES:
        return overfit_with_branches(network, sampler, plan, sampler.seed)
    overfit(network, sampler, plan)
    return network


def make(clip: Clip, arm: str, seed: int, steps: int, store: Path) -> dict[str, Any]:
    """Train one arm; its integers on whole frames, both exits."""
    network = build_network(clip.arch, seed)
    data = training_set(list(clip.pairs), SCALE, network.halo_px(HARD))
    shares = np.sqrt(clip.difficulty.cell_mse.astype(np.float64))
    cells = (CELL_PX, CELL_PX)
    sampler = SpreadSampler(
        data, shares, cells, SMALL_CROPS_FOR_ONE[SCALE] * BATCH, seed, side_px=SMALL_CROP_PX
    )
    steps = round(MORE_STEPS.get(arm, 1.0) * steps)
    began = process_time()
    network = trained(network, sampler, TrainingPlan(steps), arm)
    seconds = process_time() - began
    integers = fine_tune(trained_well(network), sampler, fine_tuning_plan(steps))
    blob = pack_integers(network.arch, integers)
    scored = scored_network(blob)
    errors = np.stack([*path_sse(scored, clip.pairs, clip.grid)])
    samples = float(clip.samples.sum()) * len(errors)
    by_path = {"psnr_db": HARD, "easy_db": EASY}
    found = {k: psnr_db(float(errors[:, p].sum()) / samples) for k, p in by_path.items()}
    return {"server_s": round(seconds, 1), "bytes": len(blob), **found}


def finish(rows: list[dict[str, Any]]) -> None:
    """To every row how long a step takes against the reference's: medians of runs in turns, on
    noise, which takes as long as films do."""
    arch = architecture("chain", SCALE, dynamic=True)
    halo = build_network(arch).halo_px(HARD)
    rng = np.random.default_rng(0)
    hr = rng.integers(0, 256, (4, 360, 640, 3), np.uint8)
    lr = rng.integers(0, 256, (4, 90 + 2 * halo, 160 + 2 * halo, 3), np.uint8)
    shares, cells = np.ones((4, 15, 27)), (CELL_PX, CELL_PX)
    data = TrainingSet(lr, hr, SCALE, halo)
    sampler = CropSampler(
        data, shares, cells, SMALL_CROPS_FOR_ONE[SCALE] * BATCH, 0, side_px=SMALL_CROP_PX
    )
    runs: dict[str, Callable[[], object]] = {
        arm: partial(trained, build_network(arch), sampler, TrainingPlan(20), arm)
        for arm in (REFERENCE, BRANCHES)
    }
    times = interleave(runs, rounds=9)
    ratio = times[BRANCHES].median_s / times[REFERENCE].median_s
    for row in rows:
        row["step_ratio"] = ratio if row["arm"] == BRANCHES else 1.0
