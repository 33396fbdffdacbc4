"""Sound that MP4 does not hold, made AAC, all of it or its beginning: by a process of its own.

python -m chunking.aac FILM NUMBER OUT.mp4 [FRAMES]
"""

import ctypes
import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import av
import click
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.filter import Graph

from chunking.apart import answer, run_apart
from chunking.clock import follow_on
from chunking.input_error import InputError
from chunking.opening import Source, open_source
from chunking.parts import Warn, ignore

_BPS_A_CHANNEL = 64_000
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_USUAL_RATE = 48000
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
_USUAL_LAYOUTS = _LAYOUTS | {7: "6.1"}  # of channels that come in an order of their own
_SAID, _LOST = "warning: ", "lost: "
_FRAME = 1024  # samples of AAC
_BEGINNING = 50  # frames, about a second


def layout_of(owner: AudioFrame | AudioCodecContext) -> AudioLayout:
    """Its layout of channels. PyAV 18.1 frees one with an order of its own twice, which ends the
    process, unless somebody keeps it for ever.
    """
    layout = owner.layout
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(layout))
    return layout


def to_aac(
    film: Source,
    number: int,
    out: Path,
    longest_s: float,
    on_warning: Warn = ignore,
    on_loss: Warn = ignore,
    beginning: bool = False,
) -> None:
    """The NUMBER-th sound of a film, from 1, as AAC in `out`, or its `beginning` alone.

    Raises InputError where nothing is to be had in `longest_s` seconds.
    """
    beginnings = [str(_BEGINNING)] if beginning else []
    lines = run_apart("chunking.aac", film, number, longest_s, str(out), *beginnings)
    for mark, tell in ((_SAID, on_warning), (_LOST, on_loss)):
        for line in lines:
            if line.startswith(mark):
                tell(line.removeprefix(mark))


def encode(
    film: Source, number: int, out: Path, warn: Warn, lose: Warn, most: int | None = None
) -> None:
    """Writes `out`, of `most` frames or all. Raises InputError, av.FFmpegError."""
    with open_source(film) as container, av.open(f"file:{out}", "w", format="mp4") as target:
        source = container.streams.audio[number - 1]
        frames = islice(_decoded(container, source, warn, lose), most)
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
        for part in _regrouped(_evened(chain([first], frames), source, rate, layout)):
            target.mux(encoder.encode(part))
        target.mux(encoder.encode(None))


def _decoded(
    container: InputContainer, source: AudioStream, warn: Warn, lose: Warn
) -> Iterator[AudioFrame]:
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
            yield from map(_in_usual_order, packet.decode())
        except av.FFmpegError:
            lost += 1
    if lost:
        lose(f"{lost} packets of it do not decode")


def _in_usual_order(frame: AudioFrame) -> AudioFrame:
    """The frame, its channels as a layout with a name has them."""
    layout = layout_of(frame)
    if " channels (" not in layout.name:
        return frame
    if layout.nb_channels not in _USUAL_LAYOUTS:
        raise InputError(f"its layout ({layout.name}) is not supported")
    usual = _USUAL_LAYOUTS[layout.nb_channels]
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, layout.nb_channels).T
    wanted, given = ([c.name for c in one.channels] for one in (AudioLayout(usual), layout))
    if sorted(wanted) == sorted(given):
        samples = samples[[given.index(name) for name in wanted]]
    packed: Any = np.ascontiguousarray(samples.T).reshape(1, -1)
    made = AudioFrame.from_ndarray(packed, frame.format.packed.name, usual)
    made.pts, made.time_base, made.sample_rate = frame.pts, frame.time_base, frame.sample_rate
    return made


def _evened(
    frames: Iterable[AudioFrame], source: AudioStream, rate: int, layout: str
) -> Iterator[AudioFrame]:
    """The same sound without holes, in one rate and layout however often the film changes them."""
    graph, known, end = None, None, None
    for frame in chain(frames, [None]):
        form = frame and (frame.sample_rate, frame.format.name, frame.layout.name)
        if graph is not None and form != known:
            graph.push(None)
            for even in _pulled(graph):
                end = (even.pts or 0) + even.samples
                yield even
            graph = None
        if frame is None:
            return
        graph, known = graph or _even(frame, source, rate, layout, end), form
        graph.push(frame)
        for even in _pulled(graph):
            end = (even.pts or 0) + even.samples
            yield even


def _regrouped(frames: Iterator[AudioFrame]) -> Iterator[AudioFrame]:
    """Frames that follow each other, in lengths that the encoder takes."""
    fifo, at = AudioFifo(), None
    for frame in frames:
        at = frame.pts if at is None else at
        frame.pts = None  # counted anew below
        fifo.write(frame)
        while (part := fifo.read(_FRAME)) is not None:
            part.pts, part.time_base, at = at, frame.time_base, (at or 0) + part.samples
            yield part
    if (rest := fifo.read(0, partial=True)) is not None:
        rest.pts, rest.time_base = at, Fraction(1, rest.sample_rate)
        yield rest


def _even(
    first: AudioFrame, source: AudioStream, rate: int, layout: str, start: int | None
) -> Graph:
    """A graph that fills holes with silence, and gives what the encoder takes; from the sample
    `start` on, where that is said.
    """
    graph = Graph()
    buffer = graph.add_abuffer(
        sample_rate=first.sample_rate, format=first.format.name, layout=first.layout.name,
        time_base=Fraction(source.time_base or Fraction(1, first.sample_rate)),
    )  # fmt: skip
    # In samples of what comes in (libswresample/swresample.c).
    begin = "" if start is None else f":first_pts={round(start * first.sample_rate / rate)}"
    steps = [
        ("aresample", f"{rate}:async=1:min_hard_comp=0.01{begin}"),
        ("aformat", f"sample_fmts=fltp:sample_rates={rate}:channel_layouts={layout}"),
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


def main(film: Source, number: int) -> None:
    out, most = Path(sys.argv[3]), int(sys.argv[4]) if sys.argv[4:] else None
    encode(
        film, number, out, lambda said: click.echo(f"{_SAID}{said}"),
        lambda said: click.echo(f"{_LOST}{said}"), most,
    )  # fmt: skip


if __name__ == "__main__":
    answer(main)
