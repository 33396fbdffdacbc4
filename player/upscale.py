"""From a package to HR frames: decode -> route -> engine, in order.

    thread 1   read_frames --(a few LR frames)--> thread 2   plan, pool.frame -> UpscaledFrame

The decoder runs ahead in its own thread; the patches of one frame run on the engine's pool.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from chunking.video import Frame, read_frames
from player.bicubic import upscale_bicubic
from player.engine import Engine, Network, Pool
from player.events import Event, Listener, ignore
from player.networks import NetworkSet, load_networks
from player.package.weights import BICUBIC
from player.prefetch import prefetch
from player.routing import FramePlan, RouteBook
from player.segments import JoinedFile, intact_files
from player.session import NotAPackageError, Package

DECODED_AHEAD = 4  # frames; hides the decoder's uneven times without holding many frames

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class UpscaledFrame:
    """One HR frame [H, W, 3] u8, cropped to the size to show, with the LR frame it came from.

    `pts` is in ticks of the video; `plan` is None where no route was followed; `seconds` is the
    time that upscaling alone took.
    """

    rgb: Image
    pts: int
    index: int
    lr: Image
    plan: FramePlan | None
    seconds: float


Upscale = Callable[[Image, FramePlan | None], Image]


def upscale(
    package: Package,
    engine: Engine | None,
    threads: int | None = None,
    on_event: Listener = ignore,
    limit: int | None = None,
) -> Iterator[UpscaledFrame]:
    """Every frame of the package in order of time, at most `limit`.

    Without an engine, or without any network that loads, frames are bicubic. Raises
    NotAPackageError where no segment is left, InputError where the LR video does not decode.
    """
    for problem in package.problems:
        on_event(problem)
    book = RouteBook(package, on_event) if package.index else None
    run = make_upscaler(package, engine, threads, on_event)
    with closing(prefetch(read_lr(package, on_event, limit), DECODED_AHEAD)) as frames:
        for frame in frames:
            plan = book.plan(frame.pts) if book and fits(package, frame) else None
            started = time.perf_counter()
            rgb = run(frame.rgb, plan)
            seconds = time.perf_counter() - started
            yield UpscaledFrame(
                crop(package, rgb), frame.pts, frame.index, frame.rgb, plan, seconds
            )


def read_lr(
    package: Package, on_event: Listener = ignore, limit: int | None = None
) -> Iterator[Frame]:
    """The LR frames that decode, in order of time."""
    files = intact_files(package, "video", on_event)
    if len(files) < 2:
        raise NotAPackageError(f"{package.directory}: no segment of the video is whole")

    def warn(message: str) -> None:
        on_event(Event("video", "video", message, "the other frames are played"))

    with JoinedFile(files, f"{package.directory}/video") as source:
        yield from read_frames(cast(BinaryIO, source), limit, warn)


def make_upscaler(
    package: Package, engine: Engine | None, threads: int | None, on_event: Listener
) -> Upscale:
    """The best way to upscale that works, from the engine with its networks down to bicubic."""
    if engine is None:
        on_event(Event("engine", "engine", "none for this machine", "bicubic is used (slowly)"))
        return bicubic_upscaler(package.scale)
    networks = load_networks(package, engine, on_event)
    if not networks.networks:
        return bicubic_upscaler(package.scale)
    return engine_upscaler(networks, engine.pool(threads))


def bicubic_upscaler(scale: int) -> Upscale:
    """Upscaling without an engine."""
    return lambda lr, plan: upscale_bicubic(lr, scale)


def engine_upscaler(networks: NetworkSet, pool: Pool) -> Upscale:
    """Upscaling by each frame's plan; without one the frame is bicubic."""

    def run(lr: Image, plan: FramePlan | None) -> Image:
        if plan is None:
            return pool.frame(networks.networks, whole_frame(lr, BICUBIC), lr)
        return pool.frame(networks.networks, networks.resolve(plan.patches), lr)

    return run


def path_upscaler(network: Network, pool: Pool, path: int) -> Upscale:
    """Upscaling of whole frames by one path of one network."""
    return lambda lr, plan: pool.frame((network,), whole_frame(lr, path), lr)


def whole_frame(lr: Image, path: int) -> NDArray[np.int32]:
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
