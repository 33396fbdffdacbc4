"""A segment of video: when its packets are decoded, and its files."""

# PyAV's packets are generic for type checkers alone.
from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from av.packet import Packet
from av.video.stream import VideoStream

from chunking.input_error import InputError
from player.package.artefact import write_bytes
from player.package.layout import INIT_NAME, segment_name
from player.package.limits import MAX_SEGMENT_BYTES

TICKS_A_FRAME = 16  # at least: decode times of reordered frames lie between those of neighbours


def decode_times(pts: Sequence[int], end: int) -> list[int]:
    """Rising decode times of packets in the order of decoding, of a segment that lasts to `end`.

    None lies behind its packet's pts if the ticks have room for that. CMAF allows it (negative
    composition offsets), but FFmpeg's reader then shows all frames late by the largest of them. So
    the first come at short intervals, until all run ahead by the reordering delay. The last make up
    for it: a sample's duration reaches to the next decode time, and browsers drop a frame whose pts
    and duration reach beyond the film.
    """
    shown = sorted(pts)
    delay = max(s - p for s, p in zip(shown, pts, strict=True))
    # Of each packet and those behind it, the first that is shown.
    due = [*accumulate(reversed(pts), min)][::-1]
    # A third of a frame at most: at halves FFmpeg reports twice the frame rate.
    short = max(1, min(((d - pts[0]) // max(3, i) for i, d in enumerate(due) if i), default=1))
    frame = end - shown[-1]
    latest = [*accumulate(reversed(due), lambda behind, d: min(d, behind - frame))][::-1]
    return [
        max(s - delay, pts[0] + i * short, late)
        for i, (s, late) in enumerate(zip(shown, latest, strict=True))
    ]


def set_decode_times(packets: list[Packet[VideoStream]], end: int) -> None:
    """Sets dts and durations of a segment's packets, of which the last ends at `end`."""
    times = decode_times([packet.pts or 0 for packet in packets], end)
    # FFmpeg's muxer takes no dts behind a pts; it moves all back until the first has its pts.
    ahead = max(0, *(t - (p.pts or 0) for t, p in zip(times, packets, strict=True)))
    for packet, start, stop in zip(packets, times, [*times[1:], end], strict=True):
        packet.dts, packet.duration = start - ahead, stop - start


def write_parts(init: bytes, segment: bytes, number: int, folder: Path) -> None:
    """The files of segment `number`; the first one's bring init.mp4 as well. Raises InputError for
    one that is larger than a package may have.
    """
    if number == 1:
        write_bytes(folder / INIT_NAME, init)
    assert (folder / INIT_NAME).read_bytes() == init, "all segments decode with the first's init"
    if max(len(init), len(segment)) > MAX_SEGMENT_BYTES:
        raise InputError(
            f"segment {number} has {len(segment)} bytes, more than a package may have: "
            "cut it shorter (--segment-s), or compress it more (--lr-crf)"
        )
    write_bytes(folder / segment_name(number), segment)
