"""EBML, of which Matroska is made: elements of an identifier, a length and so many bytes.

Source: RFC 8794 4 to 6, RFC 9559 (Matroska).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SEGMENT = b"\x18\x53\x80\x67"
_HEADER_BYTES = 4096  # the first element is of some 40 bytes


class Element(NamedTuple):
    """`start`: of its body in the data; `size` in bytes, None where it is not told."""

    name: bytes
    start: int
    size: int | None


def elements(data: bytes) -> Iterator[Element]:
    """Those that follow each other in `data`, up to one that does not begin in it whole."""
    place = 0
    while place < len(data):
        # Both numbers tell by their leading zeros how long they are; of a length that mark is no
        # part, and all its other bits set mean that it is unknown.
        begin = place + 9 - data[place].bit_length()
        if begin >= len(data):
            return
        start = begin + 9 - data[begin].bit_length()
        if max(begin - place, start - begin) > 8 or start > len(data):
            return
        most = (1 << 7 * (start - begin)) - 1
        size = int.from_bytes(data[begin:start]) & most
        yield Element(data[place:begin], start, size if size < most else None)
        if size == most:
            return
        place = start + size


def segment_is_whole(path: Path) -> bool:
    """Whether a Matroska file has all the bytes that its segment tells."""
    with path.open("rb") as file:
        beginning = file.read(_HEADER_BYTES)
    sizes = (e for e in elements(beginning) if e.name == SEGMENT)
    segment = next(sizes, None)
    if segment is None or segment.size is None:
        return False
    return segment.start + segment.size <= path.stat().st_size
