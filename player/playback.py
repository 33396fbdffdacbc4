"""`pocketsr play`: frames go into a file, a hash, or nothing, and the rate is measured.

upscale --UpscaledFrame--> sink, sink ... --> Playback (frames, seconds, rate)
"""

import hashlib
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chunking.colour import Colour
from chunking.input_error import InputError
from chunking.video import VideoInfo, probe
from chunking.writer import DEFAULT_CRF, FORMATS, VideoWriter
from player.beside import read_beside
from player.engine import Engine
from player.grain import add_grain
from player.package.package_error import PackageError
from player.session import (
    Event,
    Listener,
    Package,
    ignore,
    read_segments,
)
from player.upscale import Image, UpscaledFrame, upscale

Sink = Callable[[UpscaledFrame], None]
Frames = Generator[UpscaledFrame, None, None]


class OutputError(PackageError):
    """The film cannot be written there."""

    exit_code = 2


@dataclass(frozen=True)
class PlayOptions:
    """Where the frames go: to the file `out`, into a hash that must be `verify`, or nowhere.

    `out_crf` is the file's quality (H.264); None keeps every pixel. `grain`: the film grain of the
    stream is added to what is shown or written; the hash is of frames without.
    """

    out: Path | None = None
    out_crf: int | None = DEFAULT_CRF
    verify: str | None = None
    threads: int | None = None
    limit: int | None = None
    grain: bool = True


@dataclass(frozen=True)
class Rate:
    """Frames a second: of upscaling alone, at the median and the 95th percentile of the time a
    frame takes, and of the whole pipeline (decode, upscale, sinks).
    """

    upscale_p50: float
    upscale_p95: float
    pipeline: float


@dataclass(frozen=True)
class Playback:
    """What was played. `seconds` is wall time from the first frame asked for to the last done."""

    frames: int
    seconds: float
    fps: Rate


def play_package(
    package: Package,
    engine: Engine | None,
    options: PlayOptions | None = None,
    on_event: Listener = ignore,
) -> dict[str, Any]:
    """Play as fast as it goes; returns the object of `play --json`.

    Raises PackageError where the hash is another, OutputError and OSError as `file_sink` does.
    """
    asked = options or PlayOptions()

    def frames(listen: Listener) -> Frames:
        return upscale(package, engine, asked.threads, listen, asked.limit)

    return play_frames(package, frames, asked, on_event)


def play_frames(
    package: Package,
    upscaled: Callable[[Listener], Frames],
    options: PlayOptions,
    on_event: Listener = ignore,
) -> dict[str, Any]:
    """As `play_package`, with the frames that `upscaled` makes of it."""
    hashed = HashSink()
    events: list[Event] = []

    # For the JSON as well as for whoever listens.
    def listen(event: Event) -> None:
        events.append(event)
        on_event(event)

    frames = upscaled(listen)
    # Closing ends the decoder's thread, even where a sink has failed.
    with ExitStack() as stack, closing(frames):
        sinks: list[Sink] = [hashed] if options.verify else []
        if options.out:
            sink = file_sink(
                package, options.out, options.out_crf, listen, options.limit, options.grain
            )
            sinks.append(stack.enter_context(sink))
        playback = play(frames, sinks)
    if options.verify:
        hashed.check(options.verify)
    return {
        "schema": "pocketsr.play/1",
        "frames": playback.frames,
        "seconds": playback.seconds,
        "fps": vars(playback.fps),
        "sha256": hashed.hex if options.verify else None,
        "out": str(options.out) if options.out else None,
        "events": [vars(event) for event in events],
    }


def play(frames: Iterable[UpscaledFrame], sinks: Sequence[Sink] = ()) -> Playback:
    """Give every frame to every sink, in order."""
    started = time.perf_counter()
    times = []
    for frame in frames:
        times.append(frame.seconds)
        for sink in sinks:
            sink(frame)
    seconds = time.perf_counter() - started
    if not times:
        return Playback(0, seconds, Rate(0.0, 0.0, 0.0))
    # Percentiles of the times, and then rates: the 95th is that of the slow frames.
    p50, p95 = (1 / max(t, 1e-9) for t in np.percentile(times, [50, 95]).tolist())
    return Playback(len(times), seconds, Rate(p50, p95, len(times) / max(seconds, 1e-9)))


def shown_rgb(frame: UpscaledFrame, colour: Colour) -> Image:
    """[H, W, 3] u8: the frame with the film grain that its stream has."""
    return add_grain(frame.rgb, frame.grain, colour) if frame.grain else frame.rgb


class HashSink:
    """SHA-256 over the RGB bytes of all frames in order: the conformance of an engine."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def __call__(self, frame: UpscaledFrame) -> None:
        # A frame cropped to the size to show has its rows apart; the hash is of pixels alone.
        self._hash.update(np.ascontiguousarray(frame.rgb).data)

    @property
    def hex(self) -> str:
        return self._hash.hexdigest()

    def check(self, expected: str) -> None:
        """Raises PackageError where the frames are not those that were expected."""
        if self.hex != expected.strip().lower():
            raise PackageError(
                f"the upscaled frames hash to {self.hex}, not {expected}: "
                "engine, package or decoder differ from those that made the hash"
            )


@contextmanager
def file_sink(
    package: Package,
    out: Path,
    crf: int | None,
    on_event: Listener = ignore,
    limit: int | None = None,
    grain: bool = True,
) -> Iterator[Sink]:
    """A sink that writes frames to `out`, which appears whole when the block ends.

    `crf` None keeps every pixel. Sound is copied packet by packet, with subtitles and chapters
    beside it; frames keep their times tick for tick from where the film begins (a broadcast's do
    hours in), and the last one lasts as long as there, if not `limit` ends it. Raises OutputError
    as `check_out` does, OSError as writing does.
    """
    check_out(package.directory, out)
    info = lr_info(package)

    def warn(message: str) -> None:
        on_event(Event("audio", "audio", message, "the rest is written"))

    with VideoWriter(
        out,
        shown_size(package, info),
        info.time_base,
        info.colour,
        info.frame_rate,
        info.sample_aspect_ratio,
        crf,
        beside=read_beside(package, out, on_event),
        hdr=info.hdr,
        end=end_ticks(package, info, limit),
        from_zero=True,
        on_warning=warn,
    ) as writer:

        def write(frame: UpscaledFrame) -> None:
            writer.write(shown_rgb(frame, info.colour) if grain else frame.rgb, frame.pts)

        yield write


def check_out(package: Path, out: Path) -> None:
    """Whether a file of that name can be made of a package; raises OutputError, before any work."""
    folder = out.absolute().parent
    if not folder.is_dir():
        raise OutputError(f"{folder} does not exist: make that folder, or choose another for {out}")
    if out.is_dir():
        raise OutputError(f"{out} is a folder: give the name of a file")
    if folder.resolve().is_relative_to(package.resolve()):
        raise OutputError(f"{out} lies inside the package: choose a place outside of it")
    if out.suffix.lower() not in FORMATS:
        endings = ", ".join(FORMATS)
        raise OutputError(f"{out}: cannot write this format; let its name end in one of {endings}")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{folder} cannot be written: choose a folder that you may write")


def end_ticks(package: Package, info: VideoInfo, limit: int | None) -> int | None:
    """Where the film ends; None where that is not known, or not played."""
    index = package.index
    if index is None or (limit is not None and limit < index.frames):
        return None
    last = index.segments[-1]
    return round((last.start + last.duration) * index.time_base / info.time_base)


def lr_info(package: Package, on_event: Listener = ignore) -> VideoInfo:
    """What the LR stream says of itself: time base, frame rate, colour, shape of a pixel.

    Raises PackageError where no segment is whole, InputError where none decodes.
    """
    lost: InputError | None = None
    for segment in read_segments(package, on_event):
        try:
            return probe(segment)
        except InputError as error:
            lost = lost or error
    assert lost is not None  # or there was no segment, which `read_segments` has said
    raise lost


def shown_size(package: Package, info: VideoInfo) -> tuple[int, int]:
    """(height, width) in px of the frames that `upscale` makes."""
    if package.index is None:
        return info.height, info.width
    return package.index.hr.height, package.index.hr.width
