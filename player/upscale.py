"""From a package to HR frames: decode -> route -> engine, in order.

    thread 1   read_stream --(a few LR frames)--> thread 2   plan, pool.frame -> UpscaledFrame

The decoder runs ahead in its own thread; the patches of one frame run on the engine's pool.
"""

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from chunking.grain import Grain
from chunking.stream import decode_segment
from chunking.video import Frame
from player.bicubic import upscale_bicubic
from player.engine import Engine, Pool
from player.networks import NetworkSet, load_networks
from player.package.paths import BICUBIC
from player.package.scale import Scale
from player.prefetch import prefetch
from player.routing import FramePlan, RouteBook, load_live_routes
from player.session import (
    Event,
    Listener,
    NotAPackageError,
    Package,
    Wanted,
    everything,
    ignore,
    read_segments,
)

DECODED_AHEAD = 4  # frames; hides the decoder's uneven times without holding many frames

Image = NDArray[np.uint8]
Patches = NDArray[np.int32]  # [n, 6]: y, x, h, w in LR px, network, path


@dataclass(frozen=True)
class UpscaledFrame:
    """One HR frame [H, W, 3] u8, cropped to the size to show, with the LR frame it came from.

    `pts` is in ticks of the video. `patches` [n, 6] are those that were run; `codes` are the
    cells of the route map or of the router, None where the frame does not fit them. `seconds` is
    for routing and upscaling, without the decoder. `grain` is not in it: whoever shows it adds it.
    """

    rgb: Image
    pts: int
    index: int
    lr: Image
    patches: Patches
    codes: NDArray[np.uint8] | None
    seconds: float
    grain: Grain | None = None


def upscale(
    package: Package,
    engine: Engine | None,
    threads: int | None = None,
    on_event: Listener = ignore,
    limit: int | None = None,
    wanted: Wanted = everything,
    segments: Wanted = everything,
) -> Generator[UpscaledFrame, None, None]:
    """Every frame of the package in order of time, at most `limit`.

    `wanted` is asked with each frame's pts before it is upscaled, `segments` with a segment's
    number from 0 before it is read; others are left out.
    Without an engine, or without any network that loads, frames are bicubic. Raises
    PackageError where no segment is left, InputError where the LR video does not decode.
    """
    for problem in package.problems:
        on_event(problem)
    upscaler = make_upscaler(package, engine, threads, on_event)
    live = load_live_routes(package, engine, on_event)
    book = RouteBook(package, on_event, live) if package.index else None
    with closing(prefetch(read_lr(package, on_event, limit, segments), DECODED_AHEAD)) as frames:
        for frame in frames:
            started = time.perf_counter()
            # Before `wanted`: the book counts frames, those that are left out too.
            plan = book.plan(frame.pts, frame.rgb) if book and fits(package, frame) else None
            routed_s = time.perf_counter() - started
            if not wanted(frame.pts):
                continue
            started = time.perf_counter()
            patches, rgb = upscaler(frame.rgb, plan)
            seconds = routed_s + time.perf_counter() - started
            codes = plan.codes if plan else None
            rgb = crop(package, rgb)
            yield UpscaledFrame(
                rgb, frame.pts, frame.index, frame.rgb, patches, codes, seconds, frame.grain
            )


def read_lr(
    package: Package,
    on_event: Listener = ignore,
    limit: int | None = None,
    segments: Wanted = everything,
) -> Iterator[Frame]:
    """The LR frames that decode, in order of time, at most `limit`, of those `segments`.

    Raises NotAPackageError where there is none, PackageError as `read_segments` does.
    """
    frame = None
    for frame in islice(_decoded(package, on_event, segments), limit):
        yield frame
    if frame is None:
        raise NotAPackageError(f"{package.directory}: no frame of the video decodes")


def _decoded(package: Package, on_event: Listener, segments: Wanted) -> Iterator[Frame]:
    """The frames of all segments, index from 0, each segment read when it is its turn."""

    def warn(message: str) -> None:
        on_event(Event("video", "video", message, "the other frames are played"))

    index = 0
    for segment in read_segments(package, on_event, segments):
        for frame in decode_segment(segment, warn):
            yield Frame(frame.rgb, frame.pts, index, grain=frame.grain)
            index += 1


@dataclass(frozen=True)
class EngineUpscaler:
    """Networks on an engine's pool; a frame without a plan is bicubic."""

    networks: NetworkSet
    pool: Pool

    def __call__(self, lr: Image, plan: FramePlan | None) -> tuple[Patches, Image]:
        """The patches [n, 6] that were run over the frame, and its HR frame."""
        patches = self.networks.resolve(plan.patches) if plan else whole_frame(lr, BICUBIC)
        return patches, self.pool.frame(self.networks.networks, patches, lr)


@dataclass(frozen=True)
class BicubicUpscaler:
    """Bicubic without an engine; 1 is a scale too, and shows the LR video as it is."""

    scale: Scale

    def __call__(self, lr: Image, plan: FramePlan | None) -> tuple[Patches, Image]:
        """As `EngineUpscaler`; the plan is of no use to it."""
        return whole_frame(lr, BICUBIC), upscale_bicubic(lr, self.scale)


def make_upscaler(
    package: Package, engine: Engine | None, threads: int | None, on_event: Listener
) -> EngineUpscaler | BicubicUpscaler:
    """The best way to upscale that works, from the engine with its networks down to bicubic."""
    if package.shows_lr:
        return BicubicUpscaler(package.scale)
    if engine is None:
        shown = "the LR video is shown" if package.scale == 1 else "bicubic is used (slowly)"
        on_event(Event("engine", "engine", "none for this machine", shown))
        return BicubicUpscaler(package.scale)
    networks = load_networks(package, engine, on_event)
    if not networks.networks:
        return BicubicUpscaler(package.scale)
    return EngineUpscaler(networks, engine.pool(threads))


def whole_frame(lr: Image, path: int) -> Patches:
    """The one patch [1, 6] that is the whole frame, on network 0."""
    return np.array([[0, 0, *lr.shape[:2], 0, path]], np.int32)


def fits(package: Package, frame: Frame) -> bool:
    """Whether a decoded frame has the LR size that the index says."""
    index = package.index
    return index is not None and frame.rgb.shape[:2] == (index.lr.height, index.lr.width)


def crop(package: Package, rgb: Image) -> Image:
    """The part to show: the LR video is padded at the right and bottom to an even size."""
    if package.index is None:
        return rgb
    return rgb[: package.index.hr.height, : package.index.hr.width]
