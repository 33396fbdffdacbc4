"""Audio beside the LR stream: copied packet by packet where MP4 can hold it, else made AAC."""

# PyAV's packets are generic for type checkers alone.
from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from chunking.input_error import InputError
from chunking.isobmff import SegmentSplitter
from chunking.opening import Mp4, open_source
from chunking.parts import PartWriter, Span, Warn, describe_parts, ignore, open_cmaf
from player.package.layout import AUDIO
from player.package.streams import StreamFiles

COPIED_CODECS = ("aac", "mp3", "opus", "ac3", "eac3", "flac")
_AAC_BPS = 128_000
_AAC_LAYOUTS = ("mono", "stereo", "5.1")


def copy_audio(
    source: Path,
    out: Path,
    on_warning: Warn = ignore,
    end_s: float | None = None,
    segment_s: float = 4.0,
) -> StreamFiles | None:
    """The first audio stream of `source` as CMAF segments in out/audio/, times unchanged.

    None without audio, and with a warning for audio that does not decode: the video goes first.
    What lies before time zero (an encoder's priming) is left out, as segments cannot hold it,
    and what begins at `end_s` or later, for the sake of a video that was cut there.
    """
    try:
        with open_source(source) as container:
            if not container.streams.audio:
                return None
            return _write_audio(container, out, on_warning, end_s, segment_s)
    except (av.FFmpegError, InputError, ValueError) as error:
        on_warning(f"the audio of {source} is left out: {error}")
        return None


def open_audio(source: Mp4) -> tuple[InputContainer, AudioStream]:
    """Opens init.mp4 and its segments, to copy the packets from; raises InputError."""
    container = open_source(source)
    streams = [s for s in container.streams.audio if s.codec_context is not None]
    if not streams:
        container.close()
        raise InputError(f"{source.name} has no sound that can be decoded")
    return container, streams[0]


def copied_packets(
    container: InputContainer, source: AudioStream, target: OutputContainer
) -> Iterator[Packet[AudioStream]]:
    """The packets of `source`, for a stream of `target` made when the first is asked for."""
    copy = target.add_stream_from_template(source)
    for packet in container.demux(source):
        # The last packet that `demux` gives is empty, and only flushes decoders.
        if packet.dts is not None:
            packet.stream = copy
            yield packet


def _write_audio(
    container: InputContainer,
    out: Path,
    warn: Warn,
    end_s: float | None,
    segment_s: float,
) -> StreamFiles | None:
    parts = PartWriter(out / AUDIO)
    # Every packet of sound is a key frame: cut at those, each would be a segment of its own.
    sink = SegmentSplitter(parts.write)
    with open_cmaf(sink, {"frag_duration": str(round(segment_s * 1e6))}) as target:
        for packet in _packets(container, target, warn):
            start_s = float((packet.pts or 0) * packet.time_base)
            # What lies before zero is an encoder's priming, for which segments have no time.
            if start_s >= 0 and (end_s is None or start_s < end_s):
                target.mux(packet)
    sink.finish()
    init, *segments = parts.paths
    if not segments:
        return None
    spans, timescale = _measure(init, segments)
    return describe_parts(parts.paths, spans, timescale, width=0, height=0)


def _packets(
    container: InputContainer, target: OutputContainer, warn: Warn
) -> Iterator[Packet[AudioStream]]:
    """Packets for `target`: the source's own, or newly encoded AAC."""
    source = container.streams.audio[0]
    # Of a truncated or damaged source what can be read is kept: half of the sound beats none.
    try:
        codec = source.codec_context.codec.canonical_name
        if codec in COPIED_CODECS:
            yield from copied_packets(container, source, target)
            return
        warn(f"audio in {codec} does not fit MP4: it is encoded again as AAC")
        # "1 channels" and the like name no layout that the encoder would take.
        layout = source.layout.name if source.layout.name in _AAC_LAYOUTS else "stereo"
        encoder = target.add_stream("aac", rate=source.rate, layout=layout)
        assert isinstance(encoder, AudioStream)
        encoder.bit_rate = _AAC_BPS
        for frame in container.decode(source):
            yield from encoder.encode(frame)
        yield from encoder.encode(None)
    except av.FFmpegError as error:
        warn(f"the audio breaks off: {error}")


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
