"""The video streams of a DASH manifest on disk (ISO/IEC 23009-1), as the files they are made of.

For `--lr-from` alone: films are never opened by a manifest (chunking/opening.py). Static manifests
of one period whose representations are MP4: by SegmentTemplate (with a timeline or a duration), by
SegmentList, or one file by BaseURL.
"""

import io
import re
import xml.etree.ElementTree as ET
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import ceil
from pathlib import Path

from chunking.input_error import InputError

_NAMESPACE = "{urn:mpeg:dash:schema:mpd:2011}"
_FIELD = re.compile(r"\$(RepresentationID|Number|Time|Bandwidth|)(?:%0(\d{1,2})d)?\$")
_MOST_SEGMENTS = 1 << 16


def video_files(manifest: Path) -> list[list[Path]]:
    """The files of each video, its initialisation first. Raises InputError."""
    try:
        root = ET.parse(manifest).getroot()
    except (ET.ParseError, OSError) as error:
        raise InputError(f"{manifest}: no DASH manifest can be read ({error})") from error
    periods = root.findall(f"{_NAMESPACE}Period")
    if len(periods) != 1:
        raise InputError(f"{manifest} has {len(periods)} periods: one is supported")
    found = []
    for adaptation in periods[0].findall(f"{_NAMESPACE}AdaptationSet"):
        for representation in adaptation.findall(f"{_NAMESPACE}Representation"):
            above = [root, periods[0], adaptation, representation]
            kind = _attribute(above, "mimeType") or _attribute(above, "contentType")
            if kind.startswith("video"):
                try:
                    found.append(_files(manifest, above))
                except (ValueError, KeyError, ZeroDivisionError, TypeError) as error:
                    raise InputError(f"{manifest} is damaged: {error}") from error
    return found


def _files(manifest: Path, above: Sequence[ET.Element]) -> list[Path]:
    base = manifest.parent
    for element in above:
        if (url := element.find(f"{_NAMESPACE}BaseURL")) is not None:
            base = _below(base, url.text or "", manifest)
    if (template := _inherited(above, "SegmentTemplate")) is not None:
        names = _templated(template, above)
    elif (listed := _inherited(above, "SegmentList")) is not None:
        first = listed.find(f"{_NAMESPACE}Initialization")
        names = [first.get("sourceURL", "")] if first is not None else []
        names += [s.get("media", "") for s in listed.findall(f"{_NAMESPACE}SegmentURL")]
    else:
        return [base]
    if len(names) > _MOST_SEGMENTS:
        raise InputError(f"{manifest} has more than {_MOST_SEGMENTS} segments")
    return [_below(base, name, manifest) for name in names]


def _templated(template: ET.Element, above: Sequence[ET.Element]) -> list[str]:
    """Names by a SegmentTemplate (5.3.9.4)."""
    fixed = {
        "RepresentationID": above[-1].get("id", ""),
        "Bandwidth": above[-1].get("bandwidth", "0"),
    }
    number, media = int(template.get("startNumber", "1")), template.get("media", "")
    names = [_filled(template.get("initialization", ""), fixed)]
    for i, time in enumerate(_times(template, above)):
        if i >= _MOST_SEGMENTS:
            raise ValueError("too many segments")
        names.append(_filled(media, fixed | {"Number": str(number + i), "Time": str(time)}))
    return names


def _times(template: ET.Element, above: Sequence[ET.Element]) -> Iterator[int]:
    """When each segment starts, in ticks."""
    timeline = template.find(f"{_NAMESPACE}SegmentTimeline")
    if timeline is None:
        whole = above[1].get("duration") or above[0].get("mediaPresentationDuration")
        whole_s = _seconds(whole or "")
        length = int(template.get("duration", "0"))
        count = ceil(whole_s * int(template.get("timescale", "1")) / length)
        yield from (i * length for i in range(min(count, _MOST_SEGMENTS + 1)))
        return
    at = 0
    for entry in timeline:
        at = int(entry.get("t", at))
        if (repeats := int(entry.get("r", "0"))) < 0:
            raise ValueError("a timeline of no certain end is not supported")
        for _ in range(repeats + 1):
            yield at
            at += int(entry.get("d", "0"))


def _filled(name: str, values: dict[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if not match[1]:
            return "$"
        return values[match[1]].zfill(int(match[2] or 0))

    return _FIELD.sub(value, name)


def _seconds(duration: str) -> float:
    """Of ISO 8601's PT1H2M3.4S."""
    match = re.fullmatch(r"P(?:(\d+)D)?T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?", duration)
    if match is None:
        raise ValueError(f"it lasts {duration or 'nobody knows how long'}")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _inherited(above: Sequence[ET.Element], name: str) -> ET.Element | None:
    """The nearest element of that name; what one further out adds to it is not looked at."""
    found = (element.find(f"{_NAMESPACE}{name}") for element in reversed(above))
    return next((element for element in found if element is not None), None)


def _attribute(above: Sequence[ET.Element], name: str) -> str:
    return next((v for element in reversed(above) if (v := element.get(name))), "")


def _below(base: Path, url: str, manifest: Path) -> Path:
    if "://" in url:
        raise InputError(f"{manifest} names {url}: fetch its files, and let it name those")
    return base / url


class JoinedFiles(io.RawIOBase):
    """Files one after the other, as one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        for path in paths:
            if not path.is_file():
                raise FileNotFoundError(f"{path} is no file")
        self._starts = [0, *accumulate(path.stat().st_size for path in paths)]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As a file's."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._starts[-1]}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, up to the end of a file."""
        left = self._starts[-1] - self._at
        size = left if size < 0 else min(size, left)
        if size <= 0:
            return b""
        number = bisect_right(self._starts, self._at) - 1
        try:
            with self._paths[number].open("rb") as file:
                file.seek(self._at - self._starts[number])
                data = file.read(size)
        except OSError:
            return b""  # no error gets through FFmpeg; frames are counted, and these are missing
        self._at += len(data)
        return data
