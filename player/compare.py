"""A package's frames beside the film it was made from, and beside the controls.

LR --whole frame through one path, or bicubic--> a control ---.
film, paired with the package's frames by time ---------------+--> pairs to compare
"""

from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from chunking.opening import Source, describe
from chunking.video import InputError, probe, read_frames
from player.bicubic import upscale_bicubic
from player.engine import Engine, Network, Pool
from player.networks import load_anchor
from player.package.generic import GENERIC_SCALES, generic_blob
from player.package.package_error import PackageError
from player.package.paths import BICUBIC, HARD
from player.package.scale import Scale
from player.prefetch import prefetch
from player.upscale import UpscaledFrame, whole_frame

Image = NDArray[np.uint8]
Pair = tuple[UpscaledFrame, Image]
_READ_AHEAD = 2  # frames of the film, which are large


def check_common(frames: int, reference: Source) -> None:
    """Raises InputError where a package and the film have no frame at one time."""
    if not frames:
        raise InputError(
            f"{describe(reference)} has no frame where the package has one: give the film that it "
            "was made from"
        )


def pair_with_reference(
    frames: Iterable[UpscaledFrame], reference: Source, time_base: Fraction
) -> Iterator[Pair]:
    """Each upscaled frame with the reference's frame [H, W, 3] u8 of the same time.

    `time_base` is that of the frames' pts, in seconds. Frames that only one side has are left
    out. Raises InputError where the reference does not decode or is of another size.
    """
    info = probe(reference)
    # Containers round times to their own ticks; half a frame is more than any rounding, and less
    # than the usual distance to a neighbour.
    near_s = 1 / info.frame_rate / 2
    with closing(prefetch(read_frames(reference), _READ_AHEAD)) as source:
        originals = iter(source)
        original = next(originals, None)
        for frame in frames:
            time_s = frame.pts * time_base
            # Either side may lack frames: their times decide, not their numbers.
            while original and original.pts * info.time_base < time_s - near_s:
                original = next(originals, None)
            if original is None:
                return
            if original.pts * info.time_base > time_s + near_s:
                continue
            if original.rgb.shape != frame.rgb.shape:
                (h, w), (our_h, our_w) = original.rgb.shape[:2], frame.rgb.shape[:2]
                raise InputError(
                    f"{describe(reference)} is {w}x{h} px, the package shows {our_w}x{our_h}: "
                    "give the film that the package was made from"
                )
            yield frame, original.rgb


class Arm(Protocol):
    """A control: LR [h, w, 3] u8 to HR [r h, r w, 3] u8, whole frames."""

    def __call__(self, lr: Image) -> Image: ...


@dataclass(frozen=True)
class PathArm:
    """Whole frames through one path of one network of the engine."""

    network: Network
    pool: Pool
    path: int

    def __call__(self, lr: Image) -> Image:
        return self.pool.frame((self.network,), whole_frame(lr, self.path), lr)


@dataclass(frozen=True)
class BicubicArm:
    """Bicubic without an engine."""

    scale: Scale

    def __call__(self, lr: Image) -> Image:
        return upscale_bicubic(lr, self.scale)


def control_arms(engine: Engine | None, scale: Scale, threads: int | None) -> dict[str, Arm]:
    """The controls by name: "bicubic" always, "generic" where an engine runs that network."""
    arms: dict[str, Arm] = {"bicubic": BicubicArm(scale)}
    if engine is None:
        return arms
    pool = engine.pool(threads)
    # Bicubic by the engine as well: the same arithmetic as of the package's own bicubic patches.
    if anchor := load_anchor(engine, scale):
        arms["bicubic"] = PathArm(anchor, pool, BICUBIC)
    if scale in GENERIC_SCALES:
        with suppress(PackageError):
            generic = engine.load(generic_blob(scale, engine.info["dtype"]))
            arms["generic"] = PathArm(generic, pool, HARD)
    return arms
