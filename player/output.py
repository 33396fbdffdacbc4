"""Upscaled frames into one video file, with the package's times, colours and sound."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from chunking.video import VideoInfo, probe
from chunking.writer import VideoWriter
from player.events import Listener, ignore
from player.playback import Sink
from player.segments import intact_files
from player.session import NotAPackageError, Package
from player.upscale import UpscaledFrame


def lr_info(package: Package, on_event: Listener = ignore) -> VideoInfo:
    """What the LR stream says of itself: time base, frame rate, colour, shape of a pixel.

    Raises NotAPackageError where no segment is whole, InputError where none decodes.
    """
    files = intact_files(package, "video", on_event)
    if len(files) < 2:
        raise NotAPackageError(f"{package.directory}: no segment of the video is whole")
    start = io.BytesIO(files[0].read_bytes() + files[1].read_bytes())
    start.name = f"{package.directory}/video"
    return probe(cast(BinaryIO, start))


@contextmanager
def file_sink(package: Package, out: Path, on_event: Listener = ignore) -> Iterator[Sink]:
    """A sink that writes frames to `out`, which appears whole when the block ends.

    The sound is copied packet by packet; frames keep their times tick for tick. Raises
    InputError for a format that cannot be written, OSError as writing does.
    """
    info = lr_info(package)
    size = shown_size(package, info)
    audio = intact_files(package, "audio", on_event)
    with VideoWriter(
        out,
        size,
        info.time_base,
        info.colour,
        info.frame_rate,
        info.sample_aspect_ratio,
        audio=audio if len(audio) > 1 else (),
    ) as writer:

        def write(frame: UpscaledFrame) -> None:
            writer.write(frame.rgb, frame.pts)

        yield write


def shown_size(package: Package, info: VideoInfo) -> tuple[int, int]:
    """(height, width) in px of the frames that `upscale` makes."""
    if package.index is None:
        return info.height, info.width
    return package.index.hr.height, package.index.hr.width
