"""A whole package against its film: all its bytes, and what the phone will show for them.

package --upscaled as the phone does--> shown ---.
        LR --the anchor alone-----------> stream +--QualityMeter--> two points of bytes and quality
film --------------------------------------------'
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from chunking.opening import Source
from chunking.probe import VideoInfo, probe
from player.bicubic import upscale_bicubic
from player.compare import pair_with_reference
from player.costs import anchor_macs_per_pixel
from player.package.paths import BICUBIC
from player.package.scale import hr_px, scale_number
from player.package.sizes import SR_PARTS, kbps, part_bytes, rated_bytes
from player.quality import QualityMeter
from player.routing import RouteBook
from player.session import Package, ignore, open_package
from player.upscale import UpscaledFrame, crop, fits, read_lr, upscale
from sr.host_engine import host_engine
from sr.rate.budget import path_price
from sr.rate.curve import Point
from sr.scoring import scored_network, upscale_paths


@dataclass(frozen=True)
class Judged:
    """`shown`: the package. `stream`: its stream alone, a plain encode without index or signature.

    `macs_per_frame`: multiply-accumulates as `sr.rate.budget` counts them, with what is skipped.
    `skipped`: the share of the pixels that no network makes.
    """

    shown: Point
    stream: Point
    macs_per_frame: float
    skipped: float
    segments: int

    def to_json(self) -> dict[str, Any]:
        """As a job's record has it."""
        points = {"shown": vars(self.shown), "stream": vars(self.stream)}
        return {**vars(self), **points}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        points = {name: Point(**record[name]) for name in ("shown", "stream")}
        return cls(**{**record, **points})


def judge_package(
    folder: Path,
    film: Source,
    metrics: tuple[str, ...],
    worst: float = 1.0,
    only: Collection[int] | None = None,
    on_frame: Callable[[int], object] = lambda done: None,
) -> Judged:
    """Play the package and compare every frame, or some. Raises PackageError, InputError."""
    package = open_package(folder)
    index, info = package.index, probe(film)
    assert index is not None, folder
    with_network = bool(index.weights)
    macs, lr_px, skipped = 0.0, index.lr.width * index.lr.height, 0.0
    price = [{p: path_price(w.arch, p) for p in (BICUBIC, *w.arch.paths)} for w in index.weights]
    anchor = anchor_macs_per_pixel(index.scale)
    with _meter(metrics, info) as shown, _meter(metrics, info) as stream:
        frames = 0
        for frame, original in pair_with_reference(_frames(package), film, index.time_base):
            if only is not None and frame.index not in only:
                continue
            frames += 1
            on_frame(frames)
            shown.add(frame.rgb, original)
            for height, width, number, path in frame.patches[:, 2:].tolist():
                macs += height * width * (price[number][path] if price else anchor)
                skipped += height * width * (path == BICUBIC)
            if with_network:
                stream.add(crop(package, upscale_bicubic(frame.lr, index.scale)), original)
        ours, theirs = shown.result(), (stream if with_network else shown).result()
    sizes = part_bytes(folder, index)
    sent, own = rated_bytes(sizes), sum(sizes[part] for part in SR_PARTS)
    shown_point, stream_point = (
        Point(
            size,
            {m: v for m in metrics if (v := quality.worst(m, worst)) is not None},
            {"scale": scale_number(index.scale), "kbps": kbps(size, index)},
        )
        for size, quality in ((sent, ours), (sent - own, theirs))
    )
    share = skipped / max(1, frames * lr_px)
    return Judged(shown_point, stream_point, macs / max(1, frames), share, len(index.segments))


def _meter(metrics: tuple[str, ...], info: VideoInfo) -> QualityMeter:
    return QualityMeter(metrics, info.colour, info.frame_rate)


def _frames(package: Package) -> Iterator[UpscaledFrame]:
    """As the phone plays them: on an engine where there is one, else by the server's networks."""
    index = package.index
    assert index is not None
    engine = host_engine(index.frames * index.lr.width * index.lr.height)
    if engine is not None or not index.weights:
        yield from upscale(package, engine)
        return
    networks = [scored_network(entry.read(package.directory)) for entry in index.weights]
    book = RouteBook(package, ignore)
    for frame in read_lr(package):
        assert fits(package, frame)
        plan = book.plan(frame.pts, frame.rgb)
        wanted = {(n, p) for n, p in plan.patches[:, 4:].tolist()}
        made = {
            (n, path): hr
            for n, network in enumerate(networks)
            for path, hr in upscale_paths(network, frame.rgb, [p for m, p in wanted if m == n])
        }
        rgb = upscale_bicubic(frame.rgb, index.scale)
        for y, x, h, w, n, path in plan.patches.tolist():
            if path != BICUBIC:
                at = np.s_[
                    hr_px(y, index.scale) : hr_px(y + h, index.scale),
                    hr_px(x, index.scale) : hr_px(x + w, index.scale),
                ]
                rgb[at] = made[n, path][at]
        yield UpscaledFrame(
            crop(package, rgb), frame.pts, frame.index, frame.rgb, plan.patches, plan.codes, 0.0
        )
