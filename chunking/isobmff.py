"""The few facts of ISO base media files that a stream's writer needs: boxes and codec strings.

Source: ISO/IEC 14496-12 4.2. What a codec's string says stands with its encoder (encoders.py).
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chunking.encoders import CODEC_STRINGS
from chunking.hdr import NO_HDR, Hdr

_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}
_AUDIO_STRINGS = {b"Opus": "opus", b"ac-3": "ac-3", b"ec-3": "ec-3", b"fLaC": "flac"}


@dataclass(frozen=True)
class Box:
    kind: bytes
    body: bytes


def boxes(data: bytes) -> Iterator[Box]:
    """The boxes that `data` is made of; stops at the first one that does not fit."""
    position = 0
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        # 0 (to the end of the file) and 1 (64 bits follow) end the search: no box that is wanted
        # here is that long.
        if size < 8 or position + size > len(data):
            return
        yield Box(kind, data[position + 8 : position + size])
        position += size


def codec_string(init: bytes) -> str:
    """RFC 6381 codec of the first track of an init segment; ValueError if it is none we write."""
    # A version and the number of entries stand before the first one.
    entry = next(boxes(_sample_description(init)[8:]))
    # A visual sample entry has 78 bytes of its own before its boxes (14496-12 12.1.3).
    for box in boxes(entry.body[78:]):
        if box.kind in CODEC_STRINGS:
            return f"{entry.kind.decode()}.{CODEC_STRINGS[box.kind](box.body)}"
    if entry.kind in _AUDIO_STRINGS:
        return _AUDIO_STRINGS[entry.kind]
    if entry.kind == b"mp4a":
        return _mp4a_string(entry.body)
    raise ValueError(f"no codec string for sample entry {entry.kind!r}")


def with_hdr_boxes(init: bytes, hdr: Hdr) -> bytes:
    """`init` with the boxes mdcv and clli in the sample entries of its tracks (14496-12 12.1.5)."""
    if hdr == NO_HDR:
        return init
    return b"".join(_packed(b.kind, _with_hdr(b.kind, b.body, hdr)) for b in boxes(init))


def _with_hdr(kind: bytes, body: bytes, hdr: Hdr) -> bytes:
    if kind in _CONTAINERS:
        return with_hdr_boxes(body, hdr)
    if kind != b"stsd":
        return body
    entry = next(boxes(body[8:]))
    display, light = hdr.display_integers(), hdr.light
    added = _packed(b"mdcv", struct.pack(">8H2I", *display)) if display else b""
    added += _packed(b"clli", struct.pack(">2H", *light)) if light else b""
    return body[:8] + _packed(entry.kind, entry.body + added)


def _packed(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


class SegmentSplitter:
    """A file to write a fragmented MP4 into: hands on the init segment, then one moof each.

    `on_part(bytes)` gets ftyp + moov first, then every moof with its mdat. The index at the
    very end (mfra) is left out: a manifest takes its place.
    """

    def __init__(self, on_part: Callable[[bytes], None]) -> None:
        self._on_part = on_part
        self._pending = bytearray()
        self._part = bytearray()

    def write(self, data: bytes) -> int:
        self._pending += data
        # The muxer writes in pieces of its own, and boxes may be cut anywhere.
        while len(self._pending) >= 8:
            size, kind = struct.unpack_from(">I4s", self._pending)
            if size < 8:  # of damaged packets
                raise ValueError("the muxer writes no MP4 of it")
            if size > len(self._pending):
                break
            # What came before a moof is whole: at first ftyp and moov, later a moof and its mdat.
            if kind in (b"moof", b"mfra"):
                self.finish()
            if kind != b"mfra":
                self._part += self._pending[:size]
            del self._pending[:size]
        return len(data)

    def finish(self) -> None:
        """Hands on the last part."""
        if self._part:
            self._on_part(bytes(self._part))
            self._part.clear()


def _sample_description(init: bytes) -> bytes:
    """The body of the first stsd."""
    for box in boxes(init):
        if box.kind == b"stsd":
            return box.body
        if box.kind in _CONTAINERS:
            try:
                return _sample_description(box.body)
            except ValueError:
                continue
    raise ValueError("no sample description in the init segment")


def _mp4a_string(entry: bytes) -> str:
    """mp4a.OTI[.AOT] out of the esds descriptors (ISO/IEC 14496-1 7.2.6)."""
    # An audio sample entry has 28 bytes of its own before its boxes (14496-12 12.2.3).
    config = next((box.body for box in boxes(entry[28:]) if box.kind == b"esds"), b"")
    place = config.find(b"\x04", 4)  # DecoderConfigDescriptor: tag, length, object type
    while place >= 0 and place + 1 < len(config):
        body = place + 1
        # A length takes a byte more as long as bit 7 is set (14496-1 8.3.3).
        while config[body] & 0x80:
            body += 1
        object_type = config[body + 1]
        # A 0x04 can be a byte of anything: it is the tag only before MPEG-4 audio or MP3.
        if object_type in (0x40, 0x69, 0x6B):
            break
        place = config.find(b"\x04", place + 1)
    else:
        return "mp4a.40.2"
    if object_type != 0x40:
        return f"mp4a.{object_type:02X}"
    # 13 bytes of the descriptor, then the decoder's own: the object type is their first five bits.
    specific = config.find(b"\x05", body + 14)
    while config[specific + 1] & 0x80:
        specific += 1
    return f"mp4a.40.{config[specific + 2] >> 3}"
