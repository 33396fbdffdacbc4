"""EBML, of which Matroska is made: elements of an identifier, a length and so many bytes.

Source: RFC 8794 4 to 6, RFC 9559 (Matroska).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

SEGMENT = b"\x18\x53\x80\x67"
CLUSTER = b"\x1f\x43\xb6\x75"
# What a segment and its clusters are made of (RFC 9559 5.1); anything else is a break.
_KNOWN = {CLUSTER} | {
    bytes.fromhex(name) for name in (
        "114d9b74", "1549a966", "1654ae6b", "1c53bb6b", "1941a469", "1043a770", "1254c367", "ec",
        "bf", "e7", "5854", "a7", "ab", "a3", "a0", "af",
    )
}  # fmt: skip
_HEAD_BYTES = 12  # of a name with its length, at most
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
    """Whether a Matroska file has all the bytes that its segment tells, and what is in it, down to
    the blocks of its clusters, follows each other without a break.
    """
    with path.open("rb") as file:
        beginning = file.read(_HEADER_BYTES)
        sizes = (e for e in elements(beginning) if e.name == SEGMENT)
        segment = next(sizes, None)
        if segment is None or segment.size is None:
            return False
        end = segment.start + segment.size
        return end <= path.stat().st_size and _follow(file, segment.start, end)


def _follow(file: BinaryIO, place: int, end: int) -> bool:
    """Whether elements fill the file from `place` to `end`; inside clusters too."""
    while place < end:
        file.seek(place)
        element = next(elements(file.read(_HEAD_BYTES)), None)
        if element is None or element.name not in _KNOWN:
            return False
        start = place + element.start
        if element.size is None:  # of live recordings: to the end, as far as anybody knows
            return True
        place = start + element.size
        if place > end or (element.name == CLUSTER and not _follow(file, start, place)):
            return False
    return True
