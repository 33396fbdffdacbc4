"""Video out: upscaled frames into one ordinary file, with the source's times, colour and audio."""

# PyAV's packets are generic for type checkers alone.
from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.reformatter import VideoReformatter

from chunking.audio import open_audio, packets_for, timed_packets
from chunking.colour import Colour, rgb_to_frame, yuv_colour
from chunking.encoders import Encoder, add_encoder
from chunking.input_error import InputError
from chunking.opening import Mp4
from chunking.parts import Warn, ignore
from player.package.artefact import PART_SUFFIX, part_prefix

FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Endings that can be written. Matroska rounds times to milliseconds, the others keep ticks."""

DEFAULT_CRF = 16
# RGB, for a conversion to YUV and back changes the picture. FFV1 is the archives' format, and
# ordinary players know no other lossless one; in MP4 they know H.264 (profile High 4:4:4).
_FFV1 = Encoder("ffv1", "bgr0", None, None, {"level": "3", "slices": "4"})
_H264_RGB = Encoder("libx264rgb", "rgb24", None, None, {"preset": "medium", "qp": "0"})


class VideoWriter:
    """Writes [H, W, 3] u8 RGB frames as H.264; the file appears when the `with` block ends well.

    `size` is (height, width) in px; odd sizes are stored as 4:4:4, which 4:2:0 cannot hold.
    `crf` None keeps every pixel: FFV1 in Matroska, lossless H.264 in the others, both of RGB.
    `audio` is MP4 whose sound `why_not_copied` has nothing against: packets are copied as they
    are, up to one that does not go in, which is said. Raises InputError for an unknown ending,
    OSError as writing does.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        time_base: Fraction,
        colour: Colour,
        frame_rate: Fraction = Fraction(30),
        sample_aspect_ratio: Fraction = Fraction(1),
        crf: int | None = DEFAULT_CRF,
        audio: bytes | None = None,
        on_warning: Warn = ignore,
    ) -> None:
        self._path, self._time_base, self._warn = path, time_base, on_warning
        self._temporary = path.with_name(f"{part_prefix(path)}{os.getpid()}{PART_SUFFIX}")
        muxer = _muxer_of(path)
        if crf is None:
            encoder = _FFV1 if muxer == "matroska" else _H264_RGB
            self._colour = replace(colour, matrix="rgb", full_range=True)
        else:
            encoder, self._colour = _h264(size, crf), yuv_colour(colour)
        self._pix_fmt, self._reformatter = encoder.pix_fmt, VideoReformatter()
        # An option of the MP4 muxer; Matroska knows milliseconds alone.
        ticks = {"video_track_timescale": str(time_base.denominator)}
        options = {} if muxer == "matroska" else ticks
        self._open = ExitStack()
        try:
            # FFmpeg would say with the first packet that it cannot, and without a name.
            self._temporary.touch()
            self._temporary.unlink()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        self._container = self._open.enter_context(
            # "file:", so that a colon in the name is a colon.
            av.open(f"file:{self._temporary}", "w", format=muxer, options=options)
        )
        self._stream = add_encoder(
            self._container, encoder, crf, size, frame_rate, time_base, self._colour,
            sample_aspect_ratio,
        )  # fmt: skip
        # Players seek to key frames, and `add_encoder` leaves them to its caller.
        self._stream.codec_context.gop_size = 250
        self._audio: Iterator[Packet[AudioStream]] = iter(())
        if audio is not None:
            opened, source = open_audio(Mp4("the sound", audio))
            self._open.enter_context(opened)
            packets = _rising(timed_packets(opened, source), on_warning)
            self._audio = packets_for(self._container, source, packets, on_warning)
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
            self._next_audio = next(self._audio, None)
            try:
                self._container.mux(packet)
            except av.FFmpegError as error:
                self._warn(f"the sound breaks off ({error.strerror})")
                self._next_audio = None


def _muxer_of(path: Path) -> str:
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: cannot write this format; use one of {', '.join(FORMATS)}")
    return FORMATS[path.suffix.lower()]


def why_not_copied(audio: bytes, out: Path) -> str | None:
    """Why the sound of an MP4 file cannot be copied into `out`; None where it can.

    Tried with the first packet: a format tells what it does not take only when it is written.
    Raises InputError for an unknown ending.
    """
    options = {"movflags": "empty_moov+delay_moov"}  # an index in front is written at once
    muxer = _muxer_of(out)
    try:
        opened, source = open_audio(Mp4("the sound", audio))
        with (
            opened,
            av.open(
                io.BytesIO(), "w", format=muxer, options=options if muxer != "matroska" else {}
            ) as target,
        ):
            target.mux(next(packets_for(target, source, timed_packets(opened, source))))
    except StopIteration:
        return "it has no packet"
    except (av.FFmpegError, InputError, ValueError) as error:
        return str(error)
    return None


def _rising(packets: Iterator[Packet[AudioStream]], warn: Warn) -> Iterator[Packet[AudioStream]]:
    """Those in the order of their times, which is all that a file can hold, up to any damage."""
    last, lost = None, 0
    try:
        for packet in packets:
            if last is not None and packet.dts is not None and packet.dts <= last:
                lost += 1
                continue
            last = packet.dts
            yield packet
    except av.FFmpegError as error:
        warn(f"the sound breaks off ({error.strerror})")
    if lost:
        warn(f"{lost} packets of the sound are not in the order of their times, and left out")


def _h264(size: tuple[int, int], crf: int) -> Encoder:
    pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
    return Encoder("libx264", pix_fmt, None, crf, {"preset": "medium"})
