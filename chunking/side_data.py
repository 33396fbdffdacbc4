"""What a decoder puts beside a picture: how it is turned, how bright it may be, and more."""

from fractions import Fraction
from typing import cast

import av
from av.filter import Graph
from av.sidedata.sidedata import SideDataContainer, Type

_DROPPED = {
    Type.DYNAMIC_HDR_PLUS: "HDR10+ metadata",
    Type.DYNAMIC_HDR_VIVID: "HDR Vivid metadata",
    Type.DOVI_RPU_BUFFER: "Dolby Vision metadata",
    Type.DOVI_METADATA: "Dolby Vision metadata",
    Type.STEREO3D: "marks of a stereo picture",
    Type.SPHERICAL: "marks of a spherical picture",
}
CAPTIONS_ARE_DROPPED = "closed captions beside its pictures are dropped"
_VALID, _LETTER = 4, 0x7F  # a bit of the first byte; of the others without parity
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


def has_captions(frame: av.VideoFrame) -> bool:
    """Whether closed captions hang on a picture (ATSC A/53-4, 6.2.3): groups of three bytes, of
    which most only fill the channel.
    """
    found = side_data(frame)
    if Type.A53_CC not in found:
        return False
    data = bytes(found[Type.A53_CC])
    groups = (data[i : i + 3] for i in range(0, len(data) - 2, 3))
    return any(head & _VALID and (a & _LETTER or b & _LETTER) for head, a, b in groups)


def dropped_with(frame: av.VideoFrame) -> list[str]:
    """What hangs on a picture that viewers may miss, and no package has."""
    there = {kind for kind in _DROPPED if kind in side_data(frame)}
    return [*dict.fromkeys(name for kind, name in _DROPPED.items() if kind in there)]
