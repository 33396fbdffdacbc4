"""What a decoder puts beside a picture: how it is turned, how bright it may be, and more."""

from fractions import Fraction
from typing import cast

import av
from av.filter import Graph
from av.sidedata.sidedata import SideDataContainer, Type

_NEW_KINDS = 16  # of side data, that FFmpeg may have beyond those of PyAV


def side_data(frame: av.VideoFrame) -> SideDataContainer:
    """Of the kinds that PyAV knows."""
    try:
        return cast(SideDataContainer, frame.side_data)
    except ValueError:  # over a kind that it does not know, as EXIF of photographs
        first = max(cast(int, kind.value) for kind in Type) + 1
        kinds = range(first, first + _NEW_KINDS)
    graph = Graph()
    nodes = [graph.add_buffer(width=frame.width, height=frame.height, format=frame.format,
                              time_base=Fraction(1, 30))]  # fmt: skip
    nodes += [graph.add("sidedata", f"mode=delete:type={kind}") for kind in kinds]
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()
    graph.vpush(frame)
    return cast(SideDataContainer, graph.vpull().side_data)
