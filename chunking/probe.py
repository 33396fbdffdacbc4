"""What a video file is, and whether it will work: everything known before decoding it all."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from chunking.alpha import ALPHA_IS_DROPPED, is_transparent
from chunking.colour import Colour, ColourTags, resolve_colour
from chunking.cropping import NO_CROP, Crop, crop_of
from chunking.grain import EXPORTED
from chunking.hdr import NO_HDR, Hdr, hdr_of
from chunking.images import ImageSequence, decode_images
from chunking.input_error import InputError, NoSuchTrackError
from chunking.length import pictures_s
from chunking.opening import Mp4, Source, VideoFile, describe, open_source
from chunking.orientation import Orientation, orientation_of
from chunking.rhythm import usual_rate
from chunking.side_data import CAPTIONS_ARE_DROPPED, dropped_with, has_captions

_NO_TIMESTAMPS = 0x80  # AVFMT_NOTIMESTAMPS: raw streams such as Annex B
_DEFAULT_RATE = Fraction(30)
_MAX_RATE = 1000  # more is a container's ticks
_PACKETS = 60  # whose times tell a rhythm
_MAX_TIMESCALE = 2**31 - 1


@dataclass(frozen=True)
class VideoInfo:
    """One video stream. Sizes in px, upright; `time_base` is seconds a tick of `Frame.pts`.

    `time_base` is the source's with the numerator moved into the pts, so that it is always
    1/timescale, which is all that MP4 can express; no time changes by that. `frame_rate` is the
    usual one: pauses and a last frame that lasts are no part of it. `early_s`: by how much
    the first frame lies before zero; all times are moved by it, the sound's too. `duration_s`:
    from the first picture to the end of the last one, None where nothing tells. `has_alpha`: the
    first picture is transparent somewhere, or the container says so of all.
    """

    path: Path | None
    width: int
    height: int
    rotation_deg: int
    orientation: Orientation
    time_base: Fraction
    tick_factor: int
    frame_rate: Fraction
    has_timestamps: bool
    codec: str
    pix_fmt: str
    bit_depth: int
    colour: Colour
    sample_aspect_ratio: Fraction
    interlaced: bool
    has_alpha: bool
    has_audio: bool
    frames_hint: int | None
    duration_s: float | None
    warnings: tuple[str, ...]
    early_s: Fraction = Fraction(0)
    crop: Crop = NO_CROP
    hdr: Hdr = NO_HDR


def probe(source: Source) -> VideoInfo:
    """Opens `source` and decodes its first frame.

    Raises InputError: missing, a directory, not a video, no video stream, no frame decodes.
    """
    with open_video(source) as (container, stream):
        if isinstance(source, ImageSequence):
            frame, times = next(decode_images(source)), list[int | None]()
        else:
            frame, times = _first_frame(container, stream, describe(source))
        if isinstance(source, Mp4) and source.size not in (None, (frame.height, frame.width)):
            raise InputError(f"{source.name} has frames of {frame.width}x{frame.height} px")
        info = _describe_stream(source, container, stream, frame, times)
        if not isinstance(source, ImageSequence):
            return info
        count = len(source.images)
        return replace(info, frames_hint=count, duration_s=float(count / source.frame_rate))


@contextmanager
def open_video(source: Source) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The opened container and its video stream that `choose_video` takes; raises InputError."""
    container = open_source(source)
    try:
        stream = choose_video(container, source)
        # Frame threads report damage late and conceal it differently from run to run; they were
        # no faster here (720p to 1080p, conversion to RGB included).
        stream.thread_type = "SLICE"
        # Of a package: grain is for after the network. Grain of other codecs nobody could add then.
        if isinstance(source, Mp4) and stream.codec_context.codec.canonical_name == "av1":
            stream.codec_context.options = EXPORTED
        yield container, stream
    finally:
        container.close()


def choose_video(container: InputContainer, source: Source) -> VideoStream:
    """The stream that `source` names, else that of the file's default ones, or of all, which has
    the most pixels. Raises InputError, NoSuchTrackError.
    """
    name, streams = describe(source), real_videos(container)
    known = [s for s in streams if s.codec_context is not None]
    asked = source.video if isinstance(source, VideoFile) else None
    if not known:
        raise InputError(f"{name} has no video that can be decoded: give a video file")
    if asked is not None:
        if not 1 <= asked <= len(streams):
            there = f"1 to {len(streams)}" if len(streams) > 1 else "1"
            raise NoSuchTrackError(f"{name} has no video {asked}: there is {there}")
        if streams[asked - 1] not in known:
            raise InputError(f"video {asked} of {name} cannot be decoded: choose another --video")
        return streams[asked - 1]

    def worth(stream: VideoStream) -> tuple[bool, int]:
        is_default = bool(stream.disposition & Disposition.default)
        return is_default, stream.codec_context.width * stream.codec_context.height

    return max(known, key=worth)


def real_videos(container: InputContainer) -> list[VideoStream]:
    """All but covers: a picture in a music file is a video stream of one frame to FFmpeg."""
    pictures = Disposition.attached_pic | Disposition.timed_thumbnails
    return [s for s in container.streams.video if not s.disposition & pictures]


def _first_frame(
    container: InputContainer, stream: VideoStream, name: str
) -> tuple[av.VideoFrame, list[int | None]]:
    """The first frame that decodes, and the pts of the packets up to it: a stream may begin in the
    middle of a group of pictures.
    """
    times: list[int | None] = []
    try:
        for packet in container.demux(stream):
            if packet.size:
                times.append(packet.pts)
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue
            if frames:
                return frames[0], times
    except av.FFmpegError:
        pass
    raise InputError(f"{name} holds no frame that can be decoded: give a whole video file")


def _describe_stream(
    source: Source,
    container: InputContainer,
    stream: VideoStream,
    frame: av.VideoFrame,
    times: list[int | None],
) -> VideoInfo:
    pix_fmt, orientation = frame.format.name, orientation_of(frame)
    tags = ColourTags(
        frame.colorspace, frame.color_range, int(frame.color_primaries), int(frame.color_trc)
    )
    # As FFmpeg does it: what the container crops is cropped before the picture is turned.
    crop = NO_CROP if isinstance(source, Mp4) else crop_of(container, stream)
    height, width = orientation.size(*crop.size(frame.height, frame.width))
    raw = isinstance(source, ImageSequence) or bool(container.format.flags & _NO_TIMESTAMPS)
    # AVI has times in the order of decoding alone: with B frames FFmpeg can only guess.
    counted = raw or (container.format.name == "avi" and stream.codec_context.has_b_frames)
    mean, rate_warning = Fraction(stream.average_rate or stream.guessed_rate or _DEFAULT_RATE), None
    rate = mean if counted else _usual_rate(container, stream, mean, times)
    rate = rate if 0 < rate <= _MAX_RATE else _DEFAULT_RATE
    if raw:
        rate, rate_warning = _raw_rate(source, stream)
    elif counted:
        rate = Fraction(stream.guessed_rate or rate)
    base = 1 / rate if counted else Fraction(stream.time_base or Fraction(1, 90000))
    duration_s = container.duration / av.time_base if container.duration else None
    if stream.duration and stream.time_base:
        duration_s = float(stream.duration * stream.time_base)
    # Of a package the index tells it.
    if not (counted or isinstance(source, Mp4)) and frame.time is not None:
        own_s = pictures_s(source, container, stream, frame.time, float(1 / rate))
        duration_s = own_s or duration_s
    # 0 stands for unknown, as None does.
    sample_aspect_ratio = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
    info = VideoInfo(
        path=None if isinstance(source, Mp4 | ImageSequence) else Path(source),
        width=width,
        height=height,
        rotation_deg=orientation.rotation_deg,
        orientation=orientation,
        time_base=Fraction(1, base.denominator),
        tick_factor=base.numerator,
        frame_rate=rate,
        has_timestamps=not counted,
        codec=stream.codec_context.name,
        pix_fmt=pix_fmt,
        bit_depth=max(c.bits for c in frame.format.components),
        colour=resolve_colour(tags, pix_fmt, width, height),
        sample_aspect_ratio=(
            1 / sample_aspect_ratio if orientation.transpose else sample_aspect_ratio
        ),
        interlaced=frame.interlaced_frame,
        # VP8 and VP9 have it as a second stream, which their decoder passes over.
        has_alpha=is_transparent(frame)
        or {k.lower(): v for k, v in stream.metadata.items()}.get("alpha_mode") == "1",
        has_audio=bool(container.streams.audio),
        frames_hint=stream.frames or (round(duration_s * mean) if duration_s else None),
        duration_s=duration_s,
        warnings=(),
        early_s=Fraction(0) if counted else max(Fraction(0), -(frame.pts or 0) * base),
        crop=crop,
        hdr=hdr_of(frame),
    )
    if base.denominator > _MAX_TIMESCALE:
        raise InputError(f"{describe(source)}: time base {base} is finer than MP4 can hold")
    said = [rate_warning] if rate_warning else []
    if has_captions(frame):
        said.append(CAPTIONS_ARE_DROPPED)
    if dropped := dropped_with(frame):
        said.append(f"{' and '.join(dropped)} beside its pictures are dropped")
    return _with_warnings(info, said)


def _with_warnings(info: VideoInfo, said: list[str]) -> VideoInfo:
    """Everything that is served otherwise than the source has it."""
    if info.bit_depth > 8:
        said.append(f"{info.bit_depth}-bit video is served in 8 bit")
    if info.colour.is_hdr:
        said.append(
            f"HDR ({info.colour.transfer}) keeps its transfer function, tags and static "
            "metadata, in 8 bit: "
            "banding may show; tone-map to SDR first for SDR screens"
        )
    if info.has_alpha:
        said.append(ALPHA_IS_DROPPED)
    if info.crop != NO_CROP:
        sides = ", ".join(f"{px} px at the {side}" for side, px in vars(info.crop).items() if px)
        said.append(f"cropped to {info.width}x{info.height} px, as its container says ({sides})")
    if info.interlaced:
        said.append("interlaced video is deinterlaced (bwdif, one frame for two fields)")
    if info.sample_aspect_ratio != 1:
        said.append(
            f"pixels are not square ({info.sample_aspect_ratio}): the aspect ratio is carried "
            "as a tag, the pixels are not resampled"
        )
    return replace(info, warnings=tuple(said))


def _usual_rate(
    container: InputContainer, stream: VideoStream, mean: Fraction, times: list[int | None]
) -> Fraction:
    """Frames a second without pauses, by the times of the first packets; else the stated `mean`.

    `times` are the pts of the packets that have been read; those behind them are looked at.
    """
    with suppress(av.FFmpegError):
        times += (p.pts for p in islice(container.demux(stream), _PACKETS) if p.size)
    known = [pts for pts in times if pts is not None]
    # Program streams need not time every frame.
    if len(known) < len(times) or not stream.time_base:
        return mean
    guessed = Fraction(stream.guessed_rate or mean)
    return usual_rate(sorted(known), stream.time_base, mean, guessed) or mean


def _raw_rate(source: Source, stream: VideoStream) -> tuple[Fraction, str | None]:
    """Frames a second of a stream without timestamps, and a warning if nothing states it.

    A fresh decoder is asked, because the raw demuxer claims 25 whatever the stream says.
    """
    assert not isinstance(source, Mp4), "MP4 has times"
    if isinstance(source, ImageSequence):
        return source.frame_rate, None
    with Path(source).open("rb") as file:
        beginning = file.read(1 << 20)
    decoder = av.VideoCodecContext.create(stream.codec_context.codec.name, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    with suppress(av.FFmpegError):
        # The parameter sets, where a rate can stand, come with the first packets.
        for packet in decoder.parse(beginning)[:8]:
            decoder.decode(packet)
    rate = Fraction(decoder.framerate or 0)
    if 1 <= rate <= _MAX_RATE:
        return rate, None
    return _DEFAULT_RATE, "a raw stream without times: 30 frames a second are assumed"
