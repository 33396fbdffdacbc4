"""Every frame of a package beside its film, part by part: a killed run goes on behind the last one.

package --upscaled as the phone does--> shown ---.
        LR --the anchor alone-----------> stream +--QualityMeter of each part--> errors of frames
film --------------------------------------------'
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress, count
from typing import Any

import numpy as np

from chunking.opening import Source
from chunking.probe import probe
from player.bicubic import upscale_bicubic
from player.compare import Pair, pair_with_reference
from player.costs import anchor_macs_per_pixel
from player.package.entries import Index
from player.package.paths import BICUBIC
from player.package.scale import hr_px
from player.quality import Quality, QualityMeter
from player.routing import RouteBook
from player.session import Package, ignore
from player.upscale import UpscaledFrame, crop, fits, read_lr, upscale
from sr.host_engine import host_engine
from sr.rate.budget import path_price
from sr.scoring import scored_network, upscale_paths

PART_FRAMES = 240
# What metrics see beside a frame: XPSNR up to two before it, VMAF one before and one behind.
BEFORE, BEHIND = 2, 1

Step = Callable[[str, Callable[[], dict[str, Any]]], dict[str, Any]]
"""Keeps what a part's function returns, by the name of the part."""

Wanted = Callable[[int, int], bool]
"""Whether a frame is asked for, by its number and its time in ticks."""


@dataclass(frozen=True)
class Comparison:
    """Errors of `frames` frames of the package and of its stream alone, shown at `pts`; the
    multiply-accumulates for all of them, and the LR pixels that no network makes.
    """

    shown: Quality
    stream: Quality
    pts: list[int]
    frames: int
    macs: float
    skipped_px: float


def compare_film(
    package: Package,
    film: Source,
    metrics: Sequence[str],
    only: Collection[int] | None = None,
    on_frame: Callable[[int], object] = lambda done: None,
    step: Step = lambda name, make: make(),
) -> Comparison:
    """Every frame, or those of the numbers `only`. Raises PackageError, InputError."""
    index, info = package.index, probe(film)
    assert index is not None, package.directory

    def begin(first: int) -> Iterator[Pair]:
        def wanted(number: int, pts: int) -> bool:
            return number >= first and (only is None or number in only)

        return pair_with_reference(package_frames(package, wanted), film, index.time_base)

    pairs, parts = _Pairs(begin), []
    for first in range(0, index.frames, PART_FRAMES):
        frames = range(first, min(first + PART_FRAMES, index.frames))
        meter = partial(QualityMeter, metrics, info.colour, info.frame_rate)
        parts.append(step(f"{first}", partial(_part, index, pairs, frames, meter, on_frame)))
    shown, stream = (
        Quality({m: [e for part in parts for e in part[side].get(m, ())] for m in metrics})
        for side in ("shown", "stream")
    )
    pts = [ticks for part in parts for ticks in part.get("pts", ())]  # not kept before
    totals = (sum(part[name] for part in parts) for name in ("frames", "macs", "skipped_px"))
    return Comparison(shown, stream, pts, *totals)


class _Pairs:
    """Frames with their originals, in order; each part gets its neighbours as well."""

    def __init__(self, begin: Callable[[int], Iterator[Pair]]) -> None:
        self._begin = begin
        self._pairs: Iterator[Pair] | None = None
        self._recent: deque[Pair] = deque(maxlen=BEFORE + BEHIND)

    def around(self, frames: range) -> Iterator[Pair]:
        """Those of `frames`, behind the part that was asked for last, and what is beside them."""
        first = frames.start - BEFORE
        if self._pairs is None:
            self._pairs = self._begin(first)
        yield from [pair for pair in self._recent if pair[0].index >= first]
        if self._recent and self._recent[-1][0].index >= frames.stop:
            return  # of a film with holes
        for pair in self._pairs:
            self._recent.append(pair)
            yield pair
            if pair[0].index >= frames.stop:
                return


def _part(
    index: Index,
    pairs: _Pairs,
    frames: range,
    meter: Callable[[], QualityMeter],
    on_frame: Callable[[int], object],
) -> dict[str, Any]:
    """`Comparison` of some frames, as JSON."""
    price = [{p: path_price(w.arch, p) for p in (BICUBIC, *w.arch.paths)} for w in index.weights]
    anchor = anchor_macs_per_pixel(index.scale)
    own: list[bool] = []
    pts: list[int] = []
    macs, skipped_px = 0.0, 0
    with meter() as shown, meter() as stream:
        for frame, original in pairs.around(frames):
            own.append(frame.index in frames)
            shown.add(frame.rgb, original)
            if index.weights:
                bicubic = upscale_bicubic(frame.lr, index.scale)
                stream.add(bicubic[: index.hr.height, : index.hr.width], original)
            if not own[-1]:
                continue
            pts.append(frame.pts)
            on_frame(frame.index + 1)
            for height, width, number, path in frame.patches[:, 2:].tolist():
                macs += height * width * (price[number][path] if price else anchor)
                skipped_px += height * width * (path == BICUBIC)
        ours = shown.result()
        theirs = stream.result() if index.weights else ours
    errors = {
        side: {m: [*compress(found, own)] for m, found in quality.errors.items()}
        for side, quality in (("shown", ours), ("stream", theirs))
    }
    return {**errors, "pts": pts, "frames": sum(own), "macs": macs, "skipped_px": skipped_px}


def package_frames(package: Package, wanted: Wanted) -> Iterator[UpscaledFrame]:
    """The frames that are `wanted`, as the phone plays them: on an engine where there is one, else
    by the server's networks. Of a package that has lost a segment numbers go on without it.
    """
    index = package.index
    assert index is not None
    engine = host_engine(index.frames * index.lr.width * index.lr.height)
    if engine is not None or not index.weights:
        numbers = count()
        yield from upscale(package, engine, wanted=lambda pts: wanted(next(numbers), pts))
        return
    networks = [scored_network(entry.read(package.directory)) for entry in index.weights]
    book = RouteBook(package, ignore)
    for frame in read_lr(package):
        assert fits(package, frame)
        plan = book.plan(frame.pts, frame.rgb)
        if not wanted(frame.index, frame.pts):
            continue
        paths = {(n, p) for n, p in plan.patches[:, 4:].tolist()}
        made = {
            (n, path): hr
            for n, network in enumerate(networks)
            for path, hr in upscale_paths(network, frame.rgb, [p for m, p in paths if m == n])
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
