"""Times of frames as integer ticks: the file's own, mended only where they can mean nothing."""

# PyAV's packets are generic for type checkers alone.
from __future__ import annotations

from collections.abc import Iterable, Iterator

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from chunking.parts import Warn
from chunking.probe import VideoInfo

RESTART_S = 0.5  # so far back no time of a stream jumps, unless two were joined
_RESTARTS = "times begin again in the middle: what follows is moved behind what was before"


class Clock:
    """Turns a decoder's pts into ticks of VideoInfo.time_base: from zero up, strictly rising.

    Streams without times are counted by their frame rate. What is mended is said once.
    """

    def __init__(self, info: VideoInfo, warn: Warn) -> None:
        self._info, self._warn = info, warn
        self._last: int | None = None
        self._shift = 0
        self._warned = False

    def ticks_of(self, pts: int | None, index: int) -> int:
        """Ticks of frame `index`, whose decoder says `pts`; frames in order of presentation."""
        if not self._info.has_timestamps:
            return index * self._info.tick_factor
        if pts is None:
            self._say("frames without a time: they are placed one frame interval after the last")
            interval = max(1, round(1 / (self._info.frame_rate * self._info.time_base)))
            ticks = 0 if self._last is None else self._last + interval
        else:
            ticks = pts * self._info.tick_factor + self._shift
        if self._last is None and ticks < 0:
            # Once, at the first frame, and all later ones alike: no interval changes.
            self._say(f"times begin {-ticks} ticks before zero: all are moved by that")
            self._shift, ticks = -ticks, 0
        if self._last is not None and ticks < self._last - RESTART_S / self._info.time_base:
            self._say(_RESTARTS)
            interval = max(1, round(1 / (self._info.frame_rate * self._info.time_base)))
            self._shift += self._last + interval - ticks
            ticks = self._last + interval
        if self._last is not None and ticks <= self._last:
            self._say("times of frames do not rise: the late ones are moved behind their neighbour")
            # By one tick, so that the frames behind it keep their own times.
            ticks = self._last + 1
        self._last = ticks
        return ticks

    def _say(self, message: str) -> None:
        if not self._warned:
            self._warn(message)
        self._warned = True


def timed_packets(container: InputContainer, source: AudioStream) -> Iterator[Packet[AudioStream]]:
    """All packets, but for the empty one at the end of `demux` that only flushes decoders."""
    return (packet for packet in container.demux(source) if packet.dts is not None)


def follow_on(packets: Iterable[Packet[AudioStream]], warn: Warn) -> Iterator[Packet[AudioStream]]:
    """Packets of sound whose times, where they begin again, follow those before; said once."""
    shift, end = 0, None
    for packet in packets:
        if packet.dts is None and packet.pts is None:  # the last one, which flushes decoders
            yield packet
            continue
        start = (packet.pts if packet.pts is not None else packet.dts or 0) + shift
        if end is not None and start < end - RESTART_S / packet.time_base:
            if not shift:
                warn(f"the audio's {_RESTARTS}")
            shift += end - start
            start = end
        if shift:
            packet.pts = packet.dts = start
        end = start + (packet.duration or 0)
        yield packet
