"""Pairing a package's frames with those of the film it was made from, by time."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chunking.video import Frame, InputError, probe, read_frames
from player.prefetch import prefetch
from player.upscale import UpscaledFrame

Pair = tuple[UpscaledFrame, NDArray[np.uint8]]
_READ_AHEAD = 2  # frames of the reference, which are large


def pair_with_reference(
    frames: Iterable[UpscaledFrame], reference: Path, time_base: Fraction
) -> Iterator[Pair]:
    """Each upscaled frame with the reference's frame [H, W, 3] u8 of the same time.

    `time_base` is that of the frames' pts, in seconds. Frames that only one side has are left
    out. Raises InputError where the reference does not decode or is of another size.
    """
    info = probe(reference)
    near_s = 1 / info.frame_rate / 2
    with closing(prefetch(read_frames(reference), _READ_AHEAD)) as source:
        originals = iter(source)
        original = next(originals, None)
        for frame in frames:
            time_s = frame.pts * time_base
            while original and original.pts * info.time_base < time_s - near_s:
                original = next(originals, None)
            if original is None:
                return
            if original.pts * info.time_base <= time_s + near_s:
                yield frame, _checked(original, frame, reference)


def _checked(original: Frame, frame: UpscaledFrame, reference: Path) -> NDArray[np.uint8]:
    if original.rgb.shape != frame.rgb.shape:
        (h, w), (our_h, our_w) = original.rgb.shape[:2], frame.rgb.shape[:2]
        raise InputError(
            f"{reference} is {w}x{h} px, the package shows {our_w}x{our_h}: "
            "give the film that the package was made from"
        )
    return original.rgb
