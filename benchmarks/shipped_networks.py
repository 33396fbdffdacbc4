"""Makes the networks that ship with every player, for streams as codecs leave them.

    python -m benchmarks.shipped_networks --clips DIR [--only x4-fine ...] [--steps N]

    coded tiles (benchmarks/shipped_data.py) -> training -> integers -> player/package/shipped/

A package names one of them instead of a network of its own: it then costs the stream no weights.
No clip that numbers are reported on is learned from. The log of each making lies beside its blob.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import torch

from benchmarks.shipped_data import MIXED, TILE_PX, coded_pairs, tile_set, tile_shares
from chunking.lr import BICUBIC, SHARP
from player.package.architecture import Architecture
from player.package.artefact import write_bytes, write_text
from player.package.paths import HARD
from player.package.scale import Scale
from player.package.shipped import CODECS, FOLDER
from sr.models import build_network
from sr.packing import pack_integers
from sr.progress import Progress
from sr.quant.finetune import fine_tune, training_plans
from sr.rate.rungs import Rung
from sr.training.loop import overfit
from sr.training.spread import CELL_PX, SMALL_CROP_PX, SpreadSampler


@dataclass(frozen=True)
class Recipe:
    """A network of eight layers of `width`, for streams of these crfs of H.264 (or as fine ones of
    another codec), of all codecs or of one, made smaller in one way (chunking/lr.py)."""

    scale: Scale
    crfs: tuple[float, float]
    width: int
    codecs: Sequence[str] = MIXED
    lr: str = BICUBIC

    @property
    def arch(self) -> Architecture:
        return Architecture("chain", self.scale, (self.width,) * 8, (2, 8), self.scale.denominator)

    @property
    def crops_a_step(self) -> int:
        """At full resolution four times as many as at scale 4: they hold less of a picture."""
        return 64 if self.scale == 1 else 16


FILTERED_CRFS = (19.0, 37.0)

# As large as the budget of a phone's CPU has room for at 720p; two for the range of rates at which
# a scale is of use.
RECIPES = {
    "x4-coarse": Recipe(4, (24.0, 37.0), 48),
    "x4-fine": Recipe(4, (14.0, 25.0), 48),
    "x3-coarse": Recipe(3, (26.0, 39.0), 48),
    "x3-medium": Recipe(3, (22.0, 32.0), 48),
    "x3-fine": Recipe(3, (16.0, 27.0), 48),
    "x2-coarse": Recipe(2, (29.0, 42.0), 32),
    "x2-medium": Recipe(2, (23.0, 33.0), 32),
    "x2-fine": Recipe(2, (18.0, 30.0), 32),
    # A sharp stream holds other details: those above gain 0.08 to 0.5 dB less there (shipped.json).
    "x4-sharp-coarse": Recipe(4, (25.0, 37.0), 48, lr=SHARP),
    "x4-sharp-fine": Recipe(4, (15.0, 27.0), 48, lr=SHARP),
    "x3-sharp-coarse": Recipe(3, (25.0, 37.0), 48, lr=SHARP),
    "x3-sharp-fine": Recipe(3, (17.0, 28.0), 48, lr=SHARP),
    "x2-sharp-coarse": Recipe(2, (25.0, 38.0), 32, lr=SHARP),
    "x2-sharp-fine": Recipe(2, (18.0, 28.0), 32, lr=SHARP),
    "x1.5-sharp": Recipe(Fraction(3, 2), (20.0, 35.0), 48, lr=SHARP),
    # Filters behind the decoder, each for what one codec leaves: as large as a phone's CPU has room
    # for, and as its NPU has.
    **{f"x1-{codec}": Recipe(1, FILTERED_CRFS, 16, (codec,) * 4) for codec in CODECS},
    "x1-h264-large": Recipe(1, FILTERED_CRFS, 32, ("h264",) * 4),
}
MOST_TILE_BYTES, MOST_TILES = 1_500_000_000, 60_000  # of HR


def make_network(name: str, clips: Path, steps: int, work: Path) -> None:
    """Train one and write its blob and its log."""
    recipe = RECIPES[name]
    network = build_network(recipe.arch)
    margin = network.halo_px(HARD)
    pairs = coded_pairs(clips, Rung(recipe.scale, recipe.lr), recipe.crfs, recipe.codecs)
    most = min(MOST_TILES, int(MOST_TILE_BYTES / (3 * (TILE_PX * recipe.scale) ** 2)))
    data = tile_set(pairs, recipe.scale, margin, most)
    shares = tile_shares(data)
    cell = (CELL_PX, CELL_PX)
    sampler = SpreadSampler(data, shares, cell, recipe.crops_a_step, 0, side_px=SMALL_CROP_PX)
    plans = training_plans(steps, rate_aware=False)
    first, second = (replace(plan, loss="ycbcr") for plan in plans)
    with Progress() as progress:
        progress.stage(name, first.steps)
        overfit(network, sampler, first, work / f"{name}.ckpt", progress.at)
        progress.stage(f"{name} in integers", second.steps)
        integers = fine_tune(network, sampler, second, work / f"{name}-int8.ckpt", progress.at)
    blob = pack_integers(recipe.arch, integers)
    write_bytes(FOLDER / f"{name}.bin", blob)
    log = {
        "command": f"python -m benchmarks.shipped_networks --only {name} --steps {steps}",
        "steps": steps,
        "crops_a_step": recipe.crops_a_step,
        "tiles": len(data.lr),
        "h264_crfs": recipe.crfs,
        "codecs": recipe.codecs,
        "lr": recipe.lr,
        "bytes": len(blob),
        "torch": torch.__version__,
    }
    write_text(FOLDER / f"{name}.json", json.dumps(log, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=[*RECIPES])
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--work", type=Path, default=Path("build/shipped"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        make_network(name, options.clips, options.steps, options.work)


if __name__ == "__main__":
    main()
