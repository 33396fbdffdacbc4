"""Audio beside the LR stream: copied packet by packet where MP4 can hold it, else made AAC."""

# PyAV's packets are generic for type checkers alone.
from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from chunking.aac import to_aac
from chunking.clock import follow_on, timed_packets
from chunking.images import ImageSequence
from chunking.input_error import InputError
from chunking.isobmff import SegmentSplitter
from chunking.opening import Mp4, Source, has_packets, open_source
from chunking.parts import PartWriter, Span, Warn, describe_parts, ignore, open_cmaf
from chunking.sound_check import Checked, check_sound, without_damage
from player.package.layout import AUDIO
from player.package.streams import StreamFiles

COPIED_CODECS = ("aac", "mp3", "opus", "ac3", "eac3", "flac")
COPIED, AS_AAC, DROPPED = "copied", "encoded again as AAC", "dropped"
_NO_DECODER = "FFmpeg has no decoder for its codec, and cannot copy it"
EMPTY = "it holds no sound"  # of which nothing is lost
_LEAST_S = 60  # that encoding a sound may take, and its own length more
_LEAST_BYTES_A_SECOND = 500


def sound_fate(source: Source, number: int) -> tuple[str, str]:
    """What becomes of the sound `number` (from 1) of a film: COPIED, AS_AAC or DROPPED, and why if
    it is not copied. Found by trying with its beginning.
    """
    reason: str | None = _NO_DECODER
    with open_source(source) as container:
        stream = container.streams.audio[number - 1]
        if stream.codec_context is not None:
            reason = why_not_muxed(container, stream, "mp4")
    if reason is None:
        return COPIED, ""
    if reason != _NO_DECODER:
        try:
            with TemporaryDirectory() as folder:
                to_aac(source, number, Path(folder) / "tried.mp4", _LEAST_S, beginning=True)
            return AS_AAC, reason
        except InputError as error:
            reason = str(error)
    return DROPPED, reason if has_packets(source, "audio", number) else EMPTY


def copy_audio(
    source: Source,
    out: Path,
    on_warning: Warn = ignore,
    end_s: float | None = None,
    segment_s: float = 4.0,
    early_s: Fraction = Fraction(0),
    number: int = 1,
    folder: str = AUDIO,
    on_loss: Warn | None = None,
) -> StreamFiles | None:
    """The sound `number` (from 1) of `source` as CMAF segments in out/folder/.

    None without sound, and with a word for what cannot be had: the video goes first. That goes to
    `on_loss`, without which it is a warning. Times are the source's, moved by `early_s` as the
    video's are (`VideoInfo`). Packets that lie before time zero (an encoder's priming) are left
    out, as segments cannot hold them, and what begins at `end_s` or later, for the sake of a video
    that was cut there.
    """
    if isinstance(source, ImageSequence):
        return None
    lose = on_loss or on_warning
    try:
        with open_source(source) as container:
            if len(container.streams.audio) < number:
                return None
        with _sound_of(source, number, end_s, on_warning, lose) as (stream, timed):
            parts = PartWriter(out / folder)
            refused = 0
            # Every packet of sound is a key frame: cut at those, each would be a segment.
            sink = SegmentSplitter(parts.write)
            with open_cmaf(sink, {"frag_duration": str(round(segment_s * 1e6))}) as target:
                packets = follow_on(timed, on_warning)
                for packet in packets_for(target, stream, packets, lose):
                    moved = round(early_s / packet.time_base)
                    packet.pts, packet.dts = (packet.pts or 0) + moved, (packet.dts or 0) + moved
                    _begin_at_zero(packet)
                    start_s = float(packet.pts * packet.time_base)
                    if start_s >= 0 and (end_s is None or start_s < end_s):
                        refused += not _muxed(target, packet)
            sink.finish()
            if refused:
                lose(f"{refused} packets of it do not go into MP4: they are left out")
    except (av.FFmpegError, InputError, ValueError) as error:
        lose(f"it is left out: {_reason(error)}")
        return None
    if len(parts.paths) < 2:
        until = f" before its {end_s:.2f} s are over" if end_s is not None else ""
        # Of a film that was cut, that is what was asked for.
        (lose if end_s is None else on_warning)(f"it does not begin{until}: none is kept")
        return None
    spans, timescale = _measure(parts.paths[0], parts.paths[1:])
    return describe_parts(parts.paths, spans, timescale, width=0, height=0)


@contextmanager
def _sound_of(
    source: Source, number: int, end_s: float | None, warn: Warn, lose: Warn
) -> Iterator[tuple[AudioStream, Iterator[Packet[AudioStream]]]]:
    """The sound and its packets where MP4 holds that, else those of a file with the same as AAC."""
    with open_source(source) as container:
        stream = container.streams.audio[number - 1]
        if stream.codec_context is None:
            raise InputError(_NO_DECODER)
        reason = why_not_muxed(container, stream, "mp4")
        longest_s = _LEAST_S + float((container.duration or 0) / av.time_base)
    checked = Checked()
    if reason is None:
        try:
            checked = check_sound(source, number, longest_s)
        except InputError as error:
            lose(f"it is copied, damaged or not: {error}")
        reason = "its rate or channels change" if checked.changes else None
    if reason is None:
        # Opened anew: the try has read packets.
        with open_source(source) as container:
            stream = container.streams.audio[number - 1]
            packets = timed_packets(container, stream)
            yield stream, without_damage(packets, checked.damaged, end_s, lose)
        return
    warn(f"{reason}: it is encoded again as AAC")
    with TemporaryDirectory() as folder:
        made = Path(folder) / "sound.mp4"
        to_aac(source, number, made, longest_s, warn, lose)
        with open_source(made) as encoded:
            stream = encoded.streams.audio[0]
            yield stream, timed_packets(encoded, stream)


def _begin_at_zero(packet: Packet[AudioStream]) -> None:
    """The first packet, where only a part of it lies before zero: all of the sound is in it."""
    end = (packet.pts or 0) + (packet.duration or 0)
    if (packet.pts or 0) < 0 < end:
        packet.pts = packet.dts = 0
        packet.duration = end


def _muxed(target: OutputContainer, packet: Packet[AudioStream]) -> bool:
    """Whether it went in: the muxer reads the headers of AC-3, and may find damage there."""
    try:
        target.mux(packet)
    except (av.InvalidDataError, av.PatchWelcomeError):
        return False
    return True


def why_not_muxed(container: InputContainer, source: AudioStream, muxer: str) -> str | None:
    """Why the sound cannot be copied into files of `muxer`; None where it can.

    Tried with the first packet: a format tells what it does not take only when it is written.
    """
    codec = source.codec_context.codec.canonical_name
    if muxer == "mp4" and codec not in COPIED_CODECS:
        return f"{codec} does not fit MP4"
    # An index in front is written at once.
    options = {} if muxer == "matroska" else {"movflags": "empty_moov+delay_moov"}
    try:
        with av.open(io.BytesIO(), "w", format=muxer, options=options) as target:
            target.mux(next(packets_for(target, source, timed_packets(container, source))))
    except StopIteration:
        return "it has no packet"
    except (av.FFmpegError, InputError, ValueError) as error:
        return _reason(error)
    return None


def _reason(error: Exception) -> str:
    """In a line; FFmpeg's own texts name files of ours."""
    if isinstance(error, av.FFmpegError):
        return f"the format does not take it ({error.strerror})"
    return " ".join(str(error).split())


def sound_as_aac(sound: bytes) -> bytes:
    """The sound of an MP4 file made AAC, as MP4; raises InputError."""
    with TemporaryDirectory() as folder:
        made = Path(folder) / "aac.mp4"
        longest_s = _LEAST_S + len(sound) / _LEAST_BYTES_A_SECOND
        to_aac(Mp4("the sound", sound), 1, made, longest_s)
        return made.read_bytes()


def open_audio(source: Mp4) -> tuple[InputContainer, AudioStream]:
    """Opens init.mp4 and its segments, to copy the packets from; raises InputError."""
    container = open_source(source)
    streams = [s for s in container.streams.audio if s.codec_context is not None]
    if not streams:
        container.close()
        raise InputError(f"{source.name} has no sound that can be decoded")
    return container, streams[0]


def packets_for(
    target: OutputContainer,
    source: AudioStream,
    packets: Iterable[Packet[AudioStream]],
    warn: Warn = ignore,
) -> Iterator[Packet[AudioStream]]:
    """Packets of `source` for a new stream of `target`, which is made with the first of them.

    Of a source that breaks off, which is said, what can be read is kept: half beats nothing.
    """
    copy, strip = target.add_stream_from_template(source), None
    try:
        for packet in packets:
            if strip is None and (settings := _adts_settings(source, packet)):
                # As transport streams have AAC: each packet tells what MP4 tells once.
                copy.codec_context.extradata = settings
                strip = BitStreamFilterContext("aac_adtstoasc", source)
            for kept in strip.filter(packet) if strip else [packet]:
                kept.stream = copy
                yield kept
    except av.FFmpegError as error:
        warn(f"the audio breaks off: {error.strerror}")


def _adts_settings(source: AudioStream, packet: Packet[AudioStream]) -> bytes | None:
    """The AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1) of a packet with an ADTS header."""
    header = bytes(packet)[:7]
    is_aac = source.codec_context.codec.canonical_name == "aac"
    if not is_aac or source.codec_context.extradata or len(header) < 7:
        return None
    if header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return None
    kind, rate = (header[2] >> 6) + 1, header[2] >> 2 & 15
    channels = (header[2] & 1) << 2 | header[3] >> 6
    if not channels:
        raise InputError("its channels are described in a way that MP4 does not hold")
    return (kind << 11 | rate << 7 | channels << 3).to_bytes(2, "big")


def _measure(init: Path, segments: Sequence[Path]) -> tuple[list[Span], int]:
    """(start, duration, packets) of each segment in ticks, and the ticks a second."""
    starts, counts, end, timescale = [], [], 0, 1
    # Read back, because only the muxer knows where it has cut.
    for segment in segments:
        joined = Mp4(str(segment), init.read_bytes() + segment.read_bytes())
        container, stream = open_audio(joined)
        with container:
            timed = [p for p in container.demux(stream) if p.pts is not None]
            timescale = Fraction(stream.time_base or 1).denominator
        starts.append(timed[0].pts or 0)
        counts.append(len(timed))
        end = (timed[-1].pts or 0) + (timed[-1].duration or 0)
    # Up to the next one's start: lengths that packets state may leave gaps between segments.
    ends = [*starts[1:], end]
    lengths = [stop - start for start, stop in zip(starts, ends, strict=True)]
    return [Span(*values) for values in zip(starts, lengths, counts, strict=True)], timescale
