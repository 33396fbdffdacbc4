"""LR frames at the lowest usable rate: H.264 until bicubic upscaling has lost FALL_DB of PSNR."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from chunking.colour import Colour, rgb_to_frame, yuv_colour
from chunking.difficulty import residual_energy
from chunking.encoders import ENCODERS, add_encoder
from chunking.grid import Grid
from chunking.video import read_frames
from sr.training.data import FramePair

FALL_DB = 1.0
FIRST_CRF, LAST_CRF, CRF_STEP = 18, 51, 2
ENCODER = ENCODERS["h264"]
COLOUR = yuv_colour(Colour("bt709", False, "bt709", "bt709"))
RATE, TICK = Fraction(30), Fraction(1, 30)

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class LowRate:
    """`pairs`: decoded LR with the same HR; what they cost and what bicubic lost."""

    pairs: tuple[FramePair, ...]
    crf: int
    kbps: float
    fall_db: float


def lowest_rate(pairs: Sequence[FramePair]) -> LowRate:
    """The frames at the first crf that costs bicubic FALL_DB, or at the last there is."""
    scale = pairs[0].hr.shape[0] // pairs[0].lr.shape[0]
    whole = _bicubic_error(pairs, scale)
    for crf in range(FIRST_CRF, LAST_CRF + 1, CRF_STEP):
        decoded, size = recoded([pair.lr for pair in pairs], crf)
        low = tuple(FramePair(lr, pair.hr) for lr, pair in zip(decoded, pairs, strict=True))
        fall_db = 10 * float(np.log10(_bicubic_error(low, scale) / whole))
        if fall_db >= FALL_DB:
            break
    return LowRate(low, crf, size * 8 * float(RATE) / len(pairs) / 1000, fall_db)


def recoded(frames: Sequence[Image], crf: int) -> tuple[list[Image], int]:
    """Frames [h, w, 3] of even sizes as H.264 gives them back, and the stream's bytes."""
    reformatter = VideoReformatter()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "recoded.mkv"
        with av.open(str(file), "w", format="matroska") as container:
            size = frames[0].shape[:2]
            stream = add_encoder(container, ENCODER, crf, size, RATE, TICK, COLOUR)
            for index, rgb in enumerate(frames):
                frame = rgb_to_frame(rgb, ENCODER.pix_fmt, COLOUR, reformatter)
                frame.pts, frame.time_base = index, TICK
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return [frame.rgb for frame in read_frames(file)], file.stat().st_size


def _bicubic_error(pairs: Sequence[FramePair], scale: int) -> float:
    """Squared error of all frames."""
    grid = Grid(*pairs[0].lr.shape[:2])
    return sum(float(residual_energy(p.lr, p.hr, grid, scale).sum()) for p in pairs)
