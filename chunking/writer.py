"""Video out: upscaled frames into one ordinary file, with the source's times, colour and audio."""

# PyAV's packets are generic for type checkers alone.
from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.packet import Packet
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from chunking.audio import open_audio, why_not_muxed
from chunking.colour import Colour, rgb_to_frame, yuv_colour
from chunking.encoders import Encoder, add_encoder
from chunking.file_tracks import NOTHING, Beside, beside_packets, set_chapters
from chunking.hdr import NO_HDR, Hdr
from chunking.input_error import InputError
from chunking.isobmff import with_hdr_boxes
from chunking.opening import Mp4
from chunking.parts import Warn, ignore
from player.package.artefact import PART_SUFFIX, part_prefix

FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Endings that can be written. Matroska rounds times to milliseconds, the others keep ticks."""

DEFAULT_CRF = 16
_MOST_TICKS = (1 << 31) - 1  # that MP4 has for the length of a frame
# RGB, for a conversion to YUV and back changes the picture. FFV1 is the archives' format, and
# ordinary players know no other lossless one; in MP4 they know H.264 (profile High 4:4:4).
_FFV1 = Encoder("ffv1", "bgr0", None, None, {"level": "3", "slices": "4"})
_H264_RGB = Encoder("libx264rgb", "rgb24", None, None, {"preset": "medium", "qp": "0"})


class VideoWriter:
    """Writes [H, W, 3] u8 RGB frames as H.264; the file appears when the `with` block ends well.

    `size` is (height, width) in px; odd sizes are stored as 4:4:4, which 4:2:0 cannot hold.
    `crf` None keeps every pixel: FFV1 in Matroska, lossless H.264 in the others, both of RGB.
    The packets of what lies `beside` the picture are copied as they are, of each track up to one
    that does not go in, which is said. `hdr` goes with the pictures. The last one lasts until
    `end`, in ticks of the time base; without it, as long as the one before. `from_zero`: what
    comes first comes at zero, whatever its time. Raises InputError for an unknown ending, OSError
    as writing does.
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
        beside: Beside = NOTHING,
        hdr: Hdr = NO_HDR,
        end: int | None = None,
        from_zero: bool = False,
        on_warning: Warn = ignore,
    ) -> None:
        self._path, self._time_base, self._warn = path, time_base, on_warning
        self._end, self._chapters = end, beside.chapters
        self._from_zero = from_zero
        self._origin_s: Fraction | None = None  # what is at zero in the file
        self._temporary = path.with_name(f"{part_prefix(path)}{os.getpid()}{PART_SUFFIX}")
        muxer = muxer_of(path)
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
        # PyAV gives an encoder's stream no HDR metadata; one that is copied from a file has them.
        shell = io.BytesIO()
        header_only = {"movflags": "empty_moov", **ticks}
        owner = self._container if hdr == NO_HDR else self._open.enter_context(
            av.open(shell, "w", format="mp4", options=header_only)
        )  # fmt: skip
        self._stream = add_encoder(
            owner, encoder, crf, size, frame_rate, time_base, self._colour, sample_aspect_ratio
        )
        # Players seek to key frames, and `add_encoder` leaves them to its caller.
        self._stream.codec_context.gop_size = 250
        self._target = self._stream
        if owner is not self._container:
            owner.start_encoding()
            self._target = self._described(with_hdr_boxes(shell.getvalue(), hdr), frame_rate)
        self._held: av.VideoFrame | None = None  # until it is known how long it lasts
        self._lengths: dict[int, int] = {}  # ticks, by pts, of what the encoder has
        self._usual_ticks = self._last_ticks = max(1, round(1 / (frame_rate * time_base)))
        self._beside = beside_packets(self._container, beside, self._open, on_warning)
        # Asked for now, because all streams of a file must exist before its first frame.
        self._next = next(self._beside, None)
        self._broken: set[int] = set()  # streams that take no more

    def _described(self, header: bytes, frame_rate: Fraction) -> VideoStream:
        """A stream for the encoder's packets that has all that an MP4 header says of them."""
        with av.open(io.BytesIO(header), "r", format="mp4") as described:
            stream = self._container.add_stream_from_template(described.streams.video[0])
        # The encoder's own form, by which the muxer knows what its packets look like.
        stream.codec_context.extradata = self._stream.codec_context.extradata
        stream.codec_context.framerate = frame_rate
        return stream

    def write(self, rgb: np.ndarray, pts: int) -> None:
        """The next frame; `pts` in ticks of the time base, rising."""
        frame = rgb_to_frame(rgb, self._pix_fmt, self._colour, self._reformatter)
        frame.pts, frame.time_base = pts, self._time_base
        if self._origin_s is None:
            self._begin(pts * self._time_base)
        with _told(self._path):
            self._encode_held(pts)
        self._held = frame

    def _begin(self, start_s: Fraction) -> None:
        """The first frame is there: a broadcast's times, of all its streams, are hours in."""
        first = self._next
        starts_s = [start_s] if first is None else [start_s, (first.pts or 0) * first.time_base]
        self._origin_s = min(starts_s) if self._from_zero else Fraction(0)
        set_chapters(self._container, self._chapters, self._origin_s)

    def _move(self, packet: Packet[Any]) -> None:
        ticks = round((self._origin_s or 0) / packet.time_base)
        packet.pts, packet.dts = (packet.pts or 0) - ticks, (packet.dts or 0) - ticks

    def _encode_held(self, end: int) -> None:
        """The frame before, which lasts until `end`."""
        if (frame := self._held) is None:
            return
        start = frame.pts or 0
        self._lengths[start] = self._last_ticks = end - start
        self._mux_beside_until(start * self._time_base)
        self._mux(self._stream.encode(frame))

    def _finish(self) -> None:
        """The last frame, and all that is left of the sound."""
        if self._held is not None:
            start = self._held.pts or 0
            end = start + self._last_ticks if self._end is None else max(self._end, start + 1)
            if end - start > _MOST_TICKS:  # of a package, which may say anything
                end = start + self._last_ticks
            if end - start > 2 * self._usual_ticks:
                # MP4 has lengths by the order of decoding: behind a key frame none is shown before.
                self._held.pict_type = PictureType.I
            self._encode_held(end)
        self._mux_beside_until(None)
        self._mux(self._stream.encode(None))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with _told(self._path), self._open:
                if kind is None:
                    self._finish()
            # Only now is the container closed and its index written.
            if kind is None:
                os.replace(self._temporary, self._path)
        finally:
            self._temporary.unlink(missing_ok=True)

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        for packet in packets:
            # Encoders let every packet last as long as the rate says.
            length = self._lengths.pop(packet.pts or 0, self._last_ticks) * self._time_base
            packet.stream, packet.duration = self._target, round(length / packet.time_base)
            self._move(packet)
            self._container.mux(packet)

    def _mux_beside_until(self, end_s: Fraction | None) -> None:
        """Packets up to `end_s`, or all that are left: interleaved files play without seeking."""
        while (packet := self._next) is not None:
            if end_s is not None and (packet.pts or 0) * packet.time_base > end_s:
                return
            self._next = next(self._beside, None)
            if packet.stream.index in self._broken:
                continue
            try:
                self._move(packet)
                self._container.mux(packet)
            except av.FFmpegError as error:
                self._warn(f"{packet.stream.type} breaks off ({error.strerror})")
                self._broken.add(packet.stream.index)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What a muxer refuses of our own packets is their times: those of a damaged package."""
    try:
        yield
    except (av.ArgumentError, av.PatchWelcomeError) as error:
        raise InputError(f"{path}: no such file holds the times of its frames") from error


def muxer_of(path: Path) -> str:
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: cannot write this format; use one of {', '.join(FORMATS)}")
    return FORMATS[path.suffix.lower()]


def why_not_copied(audio: bytes, out: Path) -> str | None:
    """Why the sound of an MP4 file cannot be copied into `out`; None where it can.

    Raises InputError for an unknown ending.
    """
    muxer = muxer_of(out)
    try:
        opened, source = open_audio(Mp4("the sound", audio))
    except InputError as error:
        return str(error)
    with opened:
        return why_not_muxed(opened, source, muxer)


def _h264(size: tuple[int, int], crf: int) -> Encoder:
    pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
    return Encoder("libx264", pix_fmt, None, crf, {"preset": "medium"})
