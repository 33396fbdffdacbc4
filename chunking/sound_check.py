"""Damage in a sound that is copied, found by decoding it: `python -m chunking.sound_check`."""

# PyAV's packets are generic for type checkers alone.
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import av
import click
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet

from chunking.apart import answer, run_apart
from chunking.clock import timed_packets
from chunking.opening import Source, open_source
from chunking.parts import Warn

_DAMAGED, _CHANGES = "damaged: ", "rate or channels change"
# Their frames have checksums, which FFmpeg looks at only when asked.
_CHECKED = ("ac3", "eac3", "flac")


@dataclass(frozen=True)
class Checked:
    """Which packets do not decode, counted from 0, and whether rate or channels change: then the
    one description that MP4 has is not true of all.
    """

    damaged: frozenset[int] = frozenset()
    changes: bool = False


def check_sound(film: Source, number: int, longest_s: float) -> Checked:
    """A film's sound (from 1), decoded. Raises InputError where its decoder fails over it, or takes
    longer.
    """
    lines = run_apart("chunking.sound_check", film, number, longest_s)
    found = [line.removeprefix(_DAMAGED) for line in lines if line.startswith(_DAMAGED)]
    damaged = frozenset(int(n) for line in found for n in line.split())
    return Checked(damaged, _CHANGES in lines)


def without_damage(
    packets: Iterable[Packet[AudioStream]],
    damaged: frozenset[int],
    end_s: float | None,
    lose: Warn,
) -> Iterator[Packet[AudioStream]]:
    """The rest: browsers end a film over a packet that does not decode. How many there are before
    `end_s` is said.
    """
    lost = 0
    for i, packet in enumerate(packets):
        if i not in damaged:
            yield packet
        elif end_s is None or (packet.dts or 0) * packet.time_base < end_s:
            lost += 1
    if lost:
        lose(f"{lost} packets of it do not decode: they are left out")


def find(film: Source, number: int) -> None:
    """Says which packets do not decode. Raises InputError, av.FFmpegError."""
    with open_source(film) as container:
        source = container.streams.audio[number - 1]
        if source.codec_context.codec.canonical_name in _CHECKED:
            source.codec_context.options = {"err_detect": "crccheck+explode"}
        checked = source.codec_context.codec.canonical_name in _CHECKED
        found, forms = [], set()
        for i, packet in enumerate(timed_packets(container, source)):
            frames = _decoded(packet)
            # Codecs without delay: a packet that gives nothing is as good as none.
            if frames is None or (checked and not frames):
                found.append(i)
            forms |= {(frame.sample_rate, frame.layout.nb_channels) for frame in frames or ()}
    click.echo(f"{_DAMAGED}{' '.join(map(str, found))}")
    if len(forms) > 1:
        click.echo(_CHANGES)


def _decoded(packet: Packet[AudioStream]) -> list[AudioFrame] | None:
    """Its frames; None where it does not decode."""
    try:
        return list(packet.decode())
    except av.FFmpegError:
        return None


if __name__ == "__main__":
    answer(find)
