"""A few segments that stand for a film, and what encodes of them at a scale and a crf cost and
show.

film --decode--> thumbnails, encoded in haste --> bytes of each segment --> which stand for it
       '-------> portions of a segment each --downscale--> encoder --> bytes, for the whole film
                       |                                      decoded --> the anchor's quality
                       +--------------------------------------------------> to train on
"""

import math
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chunking.input_error import InputError
from chunking.lr import BICUBIC, downscale, lr_size
from chunking.opening import Source
from chunking.probe import VideoInfo
from chunking.stream import Step, at_once, read_stream, write_lr_stream
from chunking.video import Frame, read_frames
from player.bicubic import upscale_bicubic
from player.package.scale import Scale
from player.quality import QualityMeter
from sr.rate.curve import Point, along
from sr.rate.goal import LAST_CRF
from sr.rate.rungs import Rung
from sr.training.data import FramePair, Image

MAX_SAMPLE_BYTES = 600_000_000  # of HR frames
_JUDGED = 40  # frames that show a stream's quality
CRF_APART = 4.0  # of two encodes that show a slope
_MOST_ENCODES = 4  # of a rung, on the way to a crf that is near enough
GOAL_ENCODES = 10  # on the way to the goal's, which may lie far from the codec's usual one
_FEW = 8  # frames that show what a scale can hold at all
_PORTIONS = ((0, 1), (12, 2), (60, 3))  # from so many quarter segments on, so many portions
# Thumbnails of the larger films, and how they are encoded: their segments' bytes rank about as the
# film's own do.
_THUMBNAIL: Scale = 4
_LEAST_PX, _THUMBNAIL_CRF = 256, 28.0
_WHOLE = 0.75  # of the longest segment: what is shorter, as the last one, stands for none


@dataclass(frozen=True)
class Coding:
    """How the streams of a film are encoded: all but their rung and crf."""

    codec: str
    segment_s: float
    codec_opts: str = ""


@dataclass(frozen=True)
class Sample:
    """Frames of a film in portions of one segment each, of `film_frames` in all.

    `seconds`: how long the whole film lasts, with its pauses.
    """

    frames: Sequence[Frame]
    film_frames: int
    seconds: float
    info: VideoInfo

    @property
    def factor(self) -> float:
        """How much longer the film is."""
        return self.film_frames / len(self.frames)

    def quality(
        self, pairs: Iterable[tuple[Image, Image]], metrics: Sequence[str]
    ) -> dict[str, float]:
        """Of shown frames, which may go on beyond the originals' edges, by each metric."""
        with QualityMeter(metrics, self.info.colour, self.info.frame_rate) as meter:
            for shown, original in pairs:
                meter.add(shown[: original.shape[0], : original.shape[1]], original)
            result = meter.result()
        return {m: value for m in metrics if (value := result.mean(m)) is not None}


def take_sample(source: Source, info: VideoInfo, limit: int | None, segment_s: float) -> Sample:
    """The whole of a short film, else segments that stand for it. Raises InputError."""
    affordable = MAX_SAMPLE_BYTES // (3 * info.width * info.height)
    length = max(1, min(round(segment_s * float(info.frame_rate)), affordable))
    wanted: Collection[int] | None = None
    for _ in range(2):
        frames, times = [], list[int]()
        for frame in read_frames(source, limit):
            times.append(frame.pts)
            if len(times) <= length if wanted is None else frame.index in wanted:
                frames.append(frame)
        if len(frames) == len(times) or wanted is not None:
            break
        wanted = _typical(source, info, limit, segment_s, length)
    if not times:
        raise InputError("the video has no frames: nothing to encode")
    seconds = float((times[-1] - times[0]) * info.time_base + 1 / info.frame_rate)
    return Sample(frames, len(times), seconds, info)


def _typical(
    source: Source, info: VideoInfo, limit: int | None, segment_s: float, length: int
) -> set[int]:
    """The first `length` frames of a few segments: of equal parts of them all, from easy to hard,
    the middle one each. Two spread evenly over 60 s of Big Buck Bunny took 28 % more bytes a frame
    than all of it (benchmarks/samples.py)."""
    scale = _THUMBNAIL if min(info.height, info.width) >= _LEAST_PX else 1
    small = (
        Frame(downscale(frame.rgb, scale, BICUBIC), frame.pts, frame.index)
        for frame in read_frames(source, limit)
    )
    with tempfile.TemporaryDirectory() as folder:
        made = write_lr_stream(small, Path(folder), info, "h264", _THUMBNAIL_CRF, segment_s)
        counts = [segment.frames for segment in made.segments]
        bits = [s.path.stat().st_size / s.frames for s in made.segments]
    starts = [sum(counts[:i]) for i in range(len(counts))]
    whole = [i for i, count in enumerate(counts) if count >= _WHOLE * max(counts)]
    rising = sorted(whole, key=lambda i: bits[i])
    portions = max(n for least, n in _PORTIONS if sum(counts) >= least * length / 4)
    chosen = {rising[int((i + 0.5) * len(rising) / portions)] for i in range(portions)}
    return {starts[i] + n for i in chosen for n in range(min(length, counts[i]))}


@dataclass(frozen=True)
class SampledStream:
    """A stream of the sample on a rung: what the film's would cost, and what it shows."""

    sample: Sample
    rung: Rung
    crf: float
    folder: Path
    bytes: int

    @property
    def scale(self) -> Scale:
        return self.rung.scale

    @property
    def frame_bits(self) -> float:
        """Of the film's stream, in the mean of its frames."""
        return 8 * self.bytes / self.sample.film_frames

    @property
    def lr_frames(self) -> Iterator[np.ndarray]:
        """As they are decoded, [h, w, 3] u8."""
        segments = sorted((self.folder / "video").glob("seg-*"))
        yield from (f.rgb for f in read_stream(self.folder / "video" / "init.mp4", segments))

    def pairs(self, numbers: Sequence[int]) -> list[FramePair]:
        """LR and HR of some frames of the sample."""
        wanted = set(numbers)
        kept = {i: lr for i, lr in enumerate(self.lr_frames) if i in wanted}
        return [FramePair(kept[i], self.sample.frames[i].rgb) for i in numbers]

    def quality(self, metrics: Sequence[str]) -> dict[str, float]:
        """Of the anchor alone, on some of the sample's frames, the same for all streams."""
        frames = self.sample.frames
        # XPSNR and VMAF look at the frame before too.
        of_frames = all(metric.startswith("psnr") for metric in metrics)
        step = max(1, len(frames) // _JUDGED) if of_frames else 1
        pairs = (
            (upscale_bicubic(lr, self.scale), frames[i].rgb)
            for i, lr in enumerate(self.lr_frames)
            if i % step == 0
        )
        return self.sample.quality(pairs, metrics)


class StreamShelf:
    """Encodes of the sample, each made once."""

    def __init__(
        self,
        sample: Sample,
        coding: Coding,
        folder: Path,
        metrics: Sequence[str],
        on_encode: Callable[[int], object] = lambda made: None,
        step: Step = at_once,
    ) -> None:
        self.sample, self.coding, self.metrics = sample, coding, tuple(metrics)
        self.step = step
        self._folder, self._on_encode = folder, on_encode
        self._made: dict[tuple[Rung, float], SampledStream] = {}
        self._points: dict[tuple[Rung, float], Point] = {}

    def stream(self, rung: Rung, crf: float) -> SampledStream:
        """The sample on a rung at a crf."""
        if (rung, crf) not in self._made:
            folder = self._folder / f"{rung.name}-{crf}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            made = write_lr_stream(
                self.scaled(rung), folder, self.sample.info, self.coding.codec, crf,
                self.coding.segment_s, self.coding.codec_opts,
            )  # fmt: skip
            segments = sum(s.path.stat().st_size for s in made.segments)
            size = round(segments * self.sample.factor + made.init.stat().st_size)
            self._made[rung, crf] = SampledStream(self.sample, rung, crf, folder, size)
        return self._made[rung, crf]

    def point(self, rung: Rung, crf: float) -> Point:
        """Bytes and quality of the anchor, for the whole film; a `step`, that may be made."""

        def make() -> list[Any]:
            stream = self.stream(rung, crf)
            return [stream.bytes, stream.quality(self.metrics)]

        if (rung, crf) not in self._points:
            size, quality = self.step(f"sample-{rung.name}-crf{crf:g}", make)
            made_by = {**rung.to_json(), "crf": crf, "network": None}
            self._points[rung, crf] = Point(size, quality, made_by)
            self._on_encode(len(self._points))
        return self._points[rung, crf]

    def points(self, rung: Rung | None = None) -> list[Point]:
        """All that were made, or those of a rung, by rising crf."""
        return [p for (r, _), p in sorted(self._points.items(), key=lambda i: i[0][1])
                if rung in (None, r)]  # fmt: skip

    def bounded(self, crf: float) -> float:
        """A crf that the codec has; in halves, so that encodes are found again."""
        return min(LAST_CRF[self.coding.codec], max(1.0, round(2 * crf) / 2))

    def crf_for(
        self,
        rung: Rung,
        start: float,
        excess: Callable[[Point], float],
        tolerance: float,
        most: int = _MOST_ENCODES,
    ) -> float:
        """The crf at which `excess`, which falls as crf rises, is about zero: by secants, with at
        most so many encodes."""
        tried = [(start, excess(self.point(rung, start)))]
        following = self.bounded(start + math.copysign(CRF_APART, tried[0][1]))
        while len(tried) < most and abs(tried[-1][1]) > tolerance:
            if any(crf == following for crf, _ in tried):
                break
            tried.append((following, excess(self.point(rung, following))))
            by_excess = sorted((e, crf) for crf, e in tried)
            following = self.bounded(along(tuple(by_excess), 0.0))
        return min(tried, key=lambda t: abs(t[1]))[0]

    def scaled(self, rung: Rung) -> Iterator[Frame]:
        """The sample's frames as an encoder takes them."""
        scale = rung.scale
        for frame in self.sample.frames:
            height, width = frame.rgb.shape[:2]
            # At scale 1 the film's own planes, but for odd sides, which are padded.
            if (height, width) == lr_size(height, width, scale):
                yield frame
            else:
                yield Frame(downscale(frame.rgb, scale, rung.lr), frame.pts, frame.index)

    def ceiling(self, rung: Rung) -> dict[str, float]:
        """The anchor's quality without any codec: what no crf of this rung exceeds by itself."""
        few = self.sample.frames[:: max(1, len(self.sample.frames) // _FEW)]
        lows = (downscale(f.rgb, rung.scale, rung.lr) for f in few)
        pairs = (
            (upscale_bicubic(low, rung.scale), f.rgb) for low, f in zip(lows, few, strict=True)
        )
        return self.sample.quality(pairs, self.metrics)
