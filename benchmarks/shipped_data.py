"""Coded tiles to train the shipped networks on: what a phone decodes, beside what it should show.

    clips, photographs --> short sequences --each codec, several crfs--> frames as they are decoded
                       --> tiles with their surroundings, turned and mirrored

A photograph becomes a sequence by a slow pan and zoom over it, so that a codec treats it as film.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from benchmarks.generic_networks import PHOTOGRAPHS
from chunking.video import Frame, VideoInfo, probe, read_frames
from player.package.scale import Scale, hr_px
from sr.rate.rungs import Rung
from sr.rate.sample import Coding, Sample, StreamShelf
from sr.rate.trial import anchor_shares
from sr.training.data import FramePair, TrainingSet

Image = NDArray[np.uint8]

# No clip that any number of PocketSR is reported on: the choosing ones, and what clips.toml leaves
# out.
CLIPS = ("cups_720p", "dog_720p", "coffee_720p", "sintel_bamboo", "street_tree", "city_night")
SEQUENCE_FRAMES, SEQUENCES_A_CLIP = 24, 3
USED_FRAMES = (3, 9, 15, 21)
TILE_PX = 48  # LR
# What another codec's crf is where H.264's is 0, and how it grows with that.
_CRFS = {"h264": (0.0, 1.0), "h265": (3.0, 1.0), "av1": (6.0, 1.35)}
MIXED = ("h264", "h264", "h265", "av1")  # encodes of each sequence, at crfs of their own


def crf_like(codec: str, crf: float) -> float:
    """A codec's crf that leaves about as much as this one of H.264 does."""
    base, slope = _CRFS[codec]
    return float(round(base + slope * crf))


def sequences(clips: Path) -> Iterator[tuple[list[Frame], VideoInfo]]:
    """Short sequences of every clip of `CLIPS` in a folder, then of the photographs."""
    for path in sorted(clips.iterdir()):
        if path.stem.startswith(CLIPS):
            info, frames = probe(path), list(read_frames(path))
            lasts = len(frames) - SEQUENCE_FRAMES
            for start in np.linspace(0, lasts, SEQUENCES_A_CLIP).astype(int):
                yield frames[start : start + SEQUENCE_FRAMES], info
    if not any(path.stem.startswith(CLIPS) for path in clips.iterdir()):
        raise SystemExit(f"{clips}: none of the clips {', '.join(CLIPS)}; give their folder")
    for number, name in enumerate(PHOTOGRAPHS):
        picture = np.ascontiguousarray(getattr(skimage.data, name)()[..., :3])
        yield _pan(picture, info, np.random.default_rng(number))


def _pan(
    picture: Image, info: VideoInfo, rng: np.random.Generator
) -> tuple[list[Frame], VideoInfo]:
    """A camera that moves a pixel or two a frame over a photograph, and slowly nearer."""
    height, width = (4 * ((side - 64) // 4) for side in picture.shape[:2])
    speed, zoom = rng.uniform(-1.5, 1.5, 2), 1 + rng.uniform(-0.002, 0.004)
    ticks = round(1 / info.frame_rate / info.time_base)
    frames = []
    for i in range(SEQUENCE_FRAMES):
        at = 32 + speed * (i - SEQUENCE_FRAMES / 2)
        view = np.array([[zoom**i, 0, at[0]], [0, zoom**i, at[1]]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        shown = cv2.warpAffine(picture, view, (width, height), flags=flags)
        frames.append(Frame(shown.astype(np.uint8), i * ticks, i))
    return frames, replace(info, width=width, height=height)


def coded_pairs(
    clips: Path, rung: Rung, crfs: tuple[float, float], codecs: Sequence[str] = MIXED
) -> Iterator[FramePair]:
    """Frames of every sequence as codecs leave them on a rung, at crfs within `crfs` (H.264's)."""
    rng = np.random.default_rng(0)
    for frames, info in sequences(clips):
        whole = [Frame(f.rgb, f.pts, i) for i, f in enumerate(frames)]  # no planes: scaled anyway
        for codec in codecs:
            crf = crf_like(codec, rng.uniform(*crfs))
            with tempfile.TemporaryDirectory() as folder:
                sample = Sample(whole, len(whole), float(len(whole) / info.frame_rate), info)
                shelf = StreamShelf(sample, Coding(codec, 4.0), Path(folder), ())
                yield from shelf.stream(rung, crf).pairs(USED_FRAMES)


def tiles_of(pair: FramePair, scale: Scale, margin_px: int) -> Iterator[tuple[Image, Image]]:
    """Tiles [48 + 2m, 48 + 2m, 3] of LR, and [48 r, 48 r, 3] of HR."""
    height, width = pair.lr.shape[:2]
    padded = np.pad(pair.lr, ((margin_px,) * 2, (margin_px,) * 2, (0, 0)), mode="edge")
    side, whole = hr_px(TILE_PX, scale), TILE_PX + 2 * margin_px
    for y in range(0, height - TILE_PX + 1, TILE_PX):
        for x in range(0, width - TILE_PX + 1, TILE_PX):
            top, left = hr_px(y, scale), hr_px(x, scale)
            hr = pair.hr[top : top + side, left : left + side]
            if hr.shape[:2] == (side, side):
                yield padded[y : y + whole, x : x + whole], hr


def tile_set(pairs: Iterator[FramePair], scale: Scale, margin_px: int, most: int) -> TrainingSet:
    """At most so many tiles, of all pairs alike; turned and mirrored at random."""
    rng = np.random.default_rng(1)
    found: list[tuple[Image, Image]] = []
    for pair in pairs:
        found += tiles_of(pair, scale, margin_px)
    chosen = rng.permutation(len(found))[:most]
    turned: list[Any] = []
    for number in chosen:
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        both = [np.rot90(image, turns) for image in found[number]]
        turned.append([image[:, ::-1] if mirrored else image for image in both])
    lr, hr = (np.stack([tile[i] for tile in turned]) for i in (0, 1))
    return TrainingSet(lr, hr, scale, margin_px, scale.denominator)


def tile_shares(data: TrainingSet) -> NDArray[np.float64]:
    """[N, 8, 8]: how often each place of a tile is drawn: by the root of the anchor's error."""
    m = data.margin_px
    inner = data.lr[:, m : m + TILE_PX, m : m + TILE_PX]
    pairs = [FramePair(lr, hr) for lr, hr in zip(inner, data.hr, strict=True)]
    return anchor_shares(pairs, data.scale)
