"""Sound that MP4 does not hold, made AAC: by a process of its own.

    python -m chunking.aac FILM NUMBER OUT.mp4      the NUMBER-th audio stream of FILM; of "-":
                                                    of MP4 on stdin, as packages bring it

Decoders of rare codecs, and PyAV 18.1 with any layout of channels that has no name, end the process
that they run in. Here that is not the one that encodes the film: its parent is told, and goes on.
"""

import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path

import av
import click
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.filter import Graph

from chunking.clock import follow_on
from chunking.input_error import InputError
from chunking.opening import Mp4, Source, open_source
from chunking.parts import Warn

_BPS_A_CHANNEL = 64_000
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_USUAL_RATE = 48000
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
_SAID = "warning: "  # before what the parent is to hear; libraries write to stdout too


def to_aac(film: Path | Mp4, number: int, out: Path, longest_s: float) -> list[str]:
    """The NUMBER-th sound of a film as AAC in `out`; returns what is to be said of it.

    Raises InputError where nothing is to be had in `longest_s` seconds.
    """
    # -P: no module of the current folder, which may be a stranger's.
    name, data = ("-", film.data) if isinstance(film, Mp4) else (str(film.absolute()), b"")
    command = [sys.executable, "-P", "-m", "chunking.aac", name, str(number), str(out)]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=longest_s)
    except subprocess.TimeoutExpired as error:
        raise InputError("its decoder hangs") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines() or ["its decoder fails"]
        failed = "its decoder fails, maybe over an unusual layout of channels"
        raise InputError(lines[-1] if done.returncode == 3 else failed)
    lines = done.stdout.decode(errors="replace").splitlines()
    return [line.removeprefix(_SAID) for line in lines if line.startswith(_SAID)]


def encode(film: Source, number: int, out: Path, warn: Warn) -> None:
    """Writes `out`. Raises InputError, av.FFmpegError."""
    with open_source(film) as container, av.open(f"file:{out}", "w", format="mp4") as target:
        source = container.streams.audio[number]
        frames = _decoded(container, source, warn)
        if (first := next(frames, None)) is None:
            raise InputError("none of it decodes")
        rate = source.rate if source.rate in _RATES else _USUAL_RATE
        layout = _LAYOUTS.get(first.layout.nb_channels, "stereo")
        same = layout, f"{layout}(side)", "1 channels", "2 channels"  # nameless: what else
        if first.layout.name not in same:
            warn(f"its channels ({first.layout.name}) become {layout}")
        encoder = target.add_stream("aac", rate=rate, layout=layout)
        assert isinstance(encoder, AudioStream)
        encoder.bit_rate = _BPS_A_CHANNEL * encoder.layout.nb_channels
        graph = _even(first, source, rate, layout)
        for frame in chain([first], frames, [None]):
            graph.push(frame)
            for even in _pulled(graph):
                target.mux(encoder.encode(even))
        target.mux(encoder.encode(None))


def _decoded(container: InputContainer, source: AudioStream, warn: Warn) -> Iterator[AudioFrame]:
    """The frames, packet by packet: one that is damaged costs itself alone."""
    packets, lost = follow_on(container.demux(source), warn), 0
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except av.FFmpegError:
            lost += 1
            break
        try:
            yield from packet.decode()
        except av.FFmpegError:
            lost += 1
    if lost:
        warn(f"{lost} packets of it do not decode")


def _even(first: AudioFrame, source: AudioStream, rate: int, layout: str) -> Graph:
    """A graph that fills holes with silence, and gives frames of what the encoder takes."""
    graph = Graph()
    buffer = graph.add_abuffer(
        sample_rate=first.sample_rate, format=first.format.name, layout=first.layout.name,
        time_base=Fraction(source.time_base or Fraction(1, first.sample_rate)),
    )  # fmt: skip
    steps = [
        ("aresample", f"{rate}:async=1:min_hard_comp=0.01"),
        ("aformat", f"sample_fmts=fltp:sample_rates={rate}:channel_layouts={layout}"),
        ("asetnsamples", "n=1024:p=0"),
    ]
    nodes = [buffer, *(graph.add(name, text) for name, text in steps), graph.add("abuffersink")]
    for one, following in pairwise(nodes):
        one.link_to(following)
    graph.configure()
    return graph


def _pulled(graph: Graph) -> Iterator[AudioFrame]:
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(frame, AudioFrame)
        yield frame


def main() -> None:
    name, number, out = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    film = Mp4("the sound", sys.stdin.buffer.read()) if name == "-" else name
    try:
        encode(film, number, out, lambda said: click.echo(f"{_SAID}{said}"))
    except (InputError, av.FFmpegError, ValueError) as error:
        click.echo(" ".join(str(error).split()), err=True)
        sys.exit(3)


if __name__ == "__main__":
    main()
