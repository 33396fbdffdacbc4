"""Makes the generic networks: probe for difficulty, start of encoding, the player's fall-back.

    python -m benchmarks.generic_networks --clips DIR [--scale 2 3 4] [--forms f16 int8] [--steps N]

    clips, photographs ─► tiles ─► training ─► x4.bin (f16) ─► calibration ─► x4.int8.bin

Frames of every clip in DIR but those of `EXCLUDED` (the demo's film and the clips on which the
README's numbers are taken) and the photographs of scikit-image, cut into tiles. The int8 form is
made out of the f16 form, without training. Each is written to player/package/generic/ with the log
of its making beside it, and judged on tiles that it was not made from.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import torch
from numpy.typing import NDArray

from chunking.lr import downscale
from chunking.video import read_frames
from player.package.artefact import write_bytes, write_text
from player.package.generic import blob_path
from player.package.paths import PATH_NAMES
from player.package.weights import unpack_weights
from sr.models import Network, architecture, build_network
from sr.packing import pack_integers, pack_network, trainable_network
from sr.progress import Progress
from sr.quant.finetune import quantise_trained
from sr.scoring import scored_network, upscale_paths
from sr.training.data import CropSampler, FramePair, TrainingSet
from sr.training.loop import TrainingPlan, overfit

EXCLUDED = ("anim_bbb", "cups", "street_tree", "sintel_bamboo")
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket", "immunohistochemistry", "retina")
SUFFIXES = (".mp4", ".mkv", ".264", ".mpg")
TILE_PX = 384  # HR; divides by twice 2, 3 and 4
TILES_A_FRAME, FRAMES_A_CLIP = 6, 16
HELD_OUT_EVERY = 16
BATCH, CELL_PX = 8, (48, 48)


def tiles_of(image: NDArray[np.uint8], rng: np.random.Generator) -> Iterator[NDArray[np.uint8]]:
    """Tiles [384, 384, 3] at random places of a picture; none where it is smaller."""
    height, width = image.shape[:2]
    if min(height, width) < TILE_PX:
        return
    for _ in range(TILES_A_FRAME):
        y = rng.integers(0, height - TILE_PX + 1)
        x = rng.integers(0, width - TILE_PX + 1)
        yield image[y : y + TILE_PX, x : x + TILE_PX]


def pictures(clips: Path) -> Iterator[NDArray[np.uint8]]:
    """Evenly spaced frames of each clip, then the photographs."""
    for path in sorted(clips.iterdir()):
        if path.suffix in SUFFIXES and not path.stem.startswith(EXCLUDED):
            frames = [frame.rgb for frame in read_frames(path, limit=150)]
            picks = np.linspace(0, len(frames) - 1, FRAMES_A_CLIP).astype(int)
            yield from (frames[i] for i in picks)
    for name in PHOTOGRAPHS:
        yield getattr(skimage.data, name)()[..., :3]


def read_tiles(clips: Path) -> NDArray[np.uint8]:
    """All tiles [N, 384, 384, 3], always in the same order."""
    rng = np.random.default_rng(0)
    return np.stack([t for picture in pictures(clips) for t in tiles_of(picture, rng)])


def learned_tiles(tiles: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The tiles that are held out, and those that are learned from."""
    return tiles[::HELD_OUT_EVERY], np.delete(tiles, np.s_[::HELD_OUT_EVERY], axis=0)


def generic_sampler(network: Network, tiles: NDArray[np.uint8]) -> CropSampler:
    """Draws from all tiles alike, with the network's halo."""
    scale = network.arch.hr_units
    data = training_set(tiles, scale, network.halo_px(network.arch.paths[-1]))
    grid = (-(-side // cell) for side, cell in zip(data.size_px, CELL_PX, strict=True))
    return CropSampler(data, np.ones((len(tiles), *grid)), CELL_PX, BATCH, seed=scale)


def training_set(tiles: NDArray[np.uint8], scale: int, margin_px: int) -> TrainingSet:
    """Tiles as HR, their shrunken copies as LR."""
    lr = np.stack([downscale(tile, scale) for tile in tiles])
    margin = (margin_px, margin_px)
    padded = np.pad(lr, ((0, 0), margin, margin, (0, 0)), mode="edge")
    return TrainingSet(padded, tiles, scale, margin_px)


def held_out_db(blob: bytes, tiles: NDArray[np.uint8], scale: int) -> dict[str, float]:
    """PSNR (RGB, mean squared error over all tiles) of each path on tiles not trained on."""
    network = scored_network(blob)
    errors: dict[str, list[float]] = {name: [] for name in PATH_NAMES}
    for tile in tiles:
        pair = FramePair(downscale(tile, scale), tile)
        for path, frame in upscale_paths(network, pair.lr):
            difference = frame.astype(float) - pair.hr
            errors[PATH_NAMES[path]].append(float(np.mean(difference**2)))
    return {name: float(10 * np.log10(255**2 / np.mean(e))) for name, e in errors.items()}


def train_generic(tiles: NDArray[np.uint8], scale: int, steps: int, work: Path) -> None:
    """Train one scale and write its f16 blob and its log."""
    arch = architecture("chain", scale, dynamic=True)
    network = build_network(arch)
    held_out, kept = learned_tiles(tiles)
    sampler = generic_sampler(network, kept)
    with Progress() as progress:
        progress.stage(f"generic x{scale}", steps)
        overfit(network, sampler, TrainingPlan(steps), work / f"x{scale}.ckpt", progress.at)
    blob = pack_network(network)
    path = blob_path(scale)
    write_bytes(path, blob)
    made = {"steps": steps, "batch": BATCH, "tiles": len(kept)}
    write_log(path, f"--scale {scale} --forms f16 --steps {steps}", made, held_out, scale)


def quantise_generic(tiles: NDArray[np.uint8], scale: int) -> None:
    """Calibrate one scale's f16 form and write its int8 blob and its log."""
    source = blob_path(scale)
    network = trainable_network(unpack_weights(source.read_bytes()))
    held_out, kept = learned_tiles(tiles)
    blob = pack_integers(network.arch, quantise_trained(network, generic_sampler(network, kept)))
    path = blob_path(scale, "int8")
    write_bytes(path, blob)
    write_log(path, f"--scale {scale} --forms int8", {"source": source.name}, held_out, scale)


def write_log(
    path: Path, options: str, made: dict[str, Any], held_out: NDArray[np.uint8], scale: int
) -> None:
    """How the blob at `path` was made and what it measures on tiles [N, 384, 384, 3], beside it."""
    blob = path.read_bytes()
    log = {
        "command": f"python -m benchmarks.generic_networks {options}",
        **made,
        "held_out_tiles": len(held_out),
        "held_out_psnr_rgb_db": held_out_db(blob, held_out, scale),
        "bytes": len(blob),
        "torch": torch.__version__,
    }
    write_text(path.with_suffix(".json"), json.dumps(log, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--scale", type=int, nargs="+", default=[4, 3, 2])
    parser.add_argument("--forms", nargs="+", choices=("f16", "int8"), default=["f16", "int8"])
    parser.add_argument("--steps", type=int, default=9000)
    parser.add_argument("--work", type=Path, default=Path("build/generic"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    tiles = read_tiles(options.clips)
    for scale in options.scale:
        if "f16" in options.forms:
            train_generic(tiles, scale, options.steps, options.work)
        if "int8" in options.forms:
            quantise_generic(tiles, scale)


if __name__ == "__main__":
    main()
