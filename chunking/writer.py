"""Video out: upscaled frames into one ordinary file, with the source's times, colour and audio."""

# PyAV's packets are generic for type checkers alone.
from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.reformatter import VideoReformatter

from chunking.audio import audio_packets, copied_packets
from chunking.colour import Colour, rgb_to_frame, yuv_colour
from chunking.encoders import Encoder, add_encoder
from chunking.input_error import InputError

FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Endings that can be written. Matroska rounds times to milliseconds, the others keep ticks."""


class VideoWriter:
    """Writes [H, W, 3] u8 RGB frames as H.264; the file appears when the `with` block ends well.

    `size` is (height, width) in px; odd sizes are stored as 4:4:4, which 4:2:0 cannot hold.
    `audio` is init.mp4 and the segments of an audio stream: packets are copied as they are.
    Raises InputError for an unknown ending, OSError as writing does.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        time_base: Fraction,
        colour: Colour,
        frame_rate: Fraction = Fraction(30),
        sample_aspect_ratio: Fraction = Fraction(1),
        crf: int = 16,
        audio: Sequence[Path] = (),
    ) -> None:
        if path.suffix.lower() not in FORMATS:
            raise InputError(f"{path}: cannot write this format; use one of {', '.join(FORMATS)}")
        self._path, self._time_base = path, time_base
        self._temporary = path.with_name(f".{path.name}.part")
        self._colour, self._reformatter = yuv_colour(colour), VideoReformatter()
        self._pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        # An option of the MP4 muxer; Matroska knows milliseconds alone.
        ticks = {"video_track_timescale": str(time_base.denominator)}
        options = {} if path.suffix.lower() == ".mkv" else ticks
        self._open = ExitStack()
        self._container = self._open.enter_context(
            av.open(
                str(self._temporary), "w", format=FORMATS[path.suffix.lower()],
                options=options,
            )
        )  # fmt: skip
        encoder = Encoder("libx264", self._pix_fmt, None, crf, {"preset": "medium"})
        self._stream = add_encoder(
            self._container, encoder, crf, size, frame_rate, time_base, self._colour,
            sample_aspect_ratio,
        )  # fmt: skip
        # Players seek to key frames, and `add_encoder` leaves them to its caller.
        self._stream.codec_context.gop_size = 250
        self._audio: Iterator[Packet[AudioStream]] = iter(())
        if audio:
            opened, source = audio_packets(audio)
            self._open.enter_context(opened)
            self._audio = copied_packets(opened, source, self._container)
        # Asked for now, because all streams of a file must exist before its first frame.
        self._next_audio = next(self._audio, None)

    def write(self, rgb: np.ndarray, pts: int) -> None:
        """The next frame; `pts` in ticks of the time base, rising."""
        frame = rgb_to_frame(rgb, self._pix_fmt, self._colour, self._reformatter)
        frame.pts, frame.time_base = pts, self._time_base
        self._mux_audio_until(pts * self._time_base)
        self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self._open:
                if kind is None:
                    self._mux_audio_until(None)
                    self._container.mux(self._stream.encode(None))
            # Only now is the container closed and its index written.
            if kind is None:
                os.replace(self._temporary, self._path)
        finally:
            self._temporary.unlink(missing_ok=True)

    def _mux_audio_until(self, end_s: Fraction | None) -> None:
        """Audio up to `end_s`, or all that is left: interleaved files play without seeking."""
        while (packet := self._next_audio) is not None:
            if end_s is not None and (packet.pts or 0) * packet.time_base > end_s:
                return
            self._container.mux(packet)
            self._next_audio = next(self._audio, None)
