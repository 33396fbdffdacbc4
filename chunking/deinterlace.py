"""Interlaced frames made progressive: bwdif, one frame for two fields, times unchanged.

Deinterlacing comes before downscaling, because bicubic downscaling of a combed frame would blend
two moments into one LR line, and the network would learn to restore combs.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import groupby

import av
from av.filter import Graph
from av.video.stream import VideoStream


def deinterlace(
    frames: Iterator[av.VideoFrame], stream: VideoStream, on_first: Callable[[], None]
) -> Iterator[av.VideoFrame]:
    """As many frames as come in; frames flagged progressive pass untouched.

    `on_first` is called at the first one that is interlaced.
    """
    found = False
    # A filter graph is for one size and format, and broadcasts change theirs in the middle.
    for _, alike in groupby(frames, lambda f: (f.width, f.height, f.format.name)):
        graph = None
        for frame in alike:
            if graph is None and not frame.interlaced_frame:
                yield frame  # most films have nothing but these
                continue
            if not found:
                on_first()
            found = True
            graph = graph or _graph_for(frame, stream)
            graph.vpush(frame)
            yield from _pull(graph, stream)
        if graph is not None:
            graph.vpush(None)
            yield from _pull(graph, stream)


def _graph_for(frame: av.VideoFrame, stream: VideoStream) -> Graph:
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=stream.time_base
    )
    # send_frame: a frame for two fields, so that count and times stay as they are.
    bwdif = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
    graph.link_nodes(source, bwdif, graph.add("buffersink")).configure()
    return graph


def _pull(graph: Graph, stream: VideoStream) -> Iterator[av.VideoFrame]:
    while True:
        try:
            frame = graph.vpull()
        # bwdif looks one frame ahead, and has nothing to give until that one is there.
        except (av.BlockingIOError, av.EOFError):
            return
        if frame.pts is not None and stream.time_base:
            # bwdif counts in half ticks, to have room for two frames an interval.
            ticks = Fraction(frame.time_base or 0) / stream.time_base
            frame.pts, frame.duration = round(frame.pts * ticks), round(frame.duration * ticks)
            frame.time_base = stream.time_base
        yield frame
