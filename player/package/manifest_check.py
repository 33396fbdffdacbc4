"""Checking the manifests: those that were signed, which lead to the package's own files alone.

An ordinary player follows whatever address stands in them, without ever looking at the index.
"""

import hashlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

from player.package.entries import HASH_BYTES, Index
from player.package.files import read_plain
from player.package.hls import media_playlist, text_playlist
from player.package.layout import (
    MPD_NAME,
    VIDEO,
    manifest_names,
    playlist_name,
    segment_name,
    sound_folder,
    text_name,
)
from player.package.limits import MAX_MANIFEST_BYTES
from player.package.package_error import PackageError

_TEMPLATE = segment_name("$Number%05d$")
_NOT_SIGNED = "is not the one that was signed"
_URI = re.compile(r'URI="([^"]*)"')
# What of an MPD holds an address (ISO/IEC 23009-1): text of elements, and attributes.
_ADDRESSES = ("BaseURL", "Location", "PatchLocation", "ImportedMPD")
_LINKS = ("initialization", "media", "index", "sourceURL", "bitstreamSwitching", "href")


def manifests_hash(package: Path, sounds: int, texts: int) -> str:
    """The hash in the index: of all manifests of a package with so many tracks, one after the
    other; raises PackageError.
    """
    return joint_hash(_read(package, sounds, texts))


def _read(package: Path, sounds: int, texts: int) -> dict[str, bytes]:
    names = manifest_names(sounds, texts)
    return {name: read_plain(package, name, MAX_MANIFEST_BYTES) for name in names}


def joint_hash(manifests: Mapping[str, bytes]) -> str:
    """One hash of all, one after the other, as an index holds it."""
    sha256 = hashlib.sha256()
    for data in manifests.values():
        sha256.update(data)
    return sha256.hexdigest()[: 2 * HASH_BYTES]


def manifest_faults(package: Path, index: Index) -> Iterator[tuple[str, str]]:
    """(file, reason) of each that is missing, damaged, or leads elsewhere."""
    tracks = len(index.sounds), len(index.texts)
    names = manifest_names(*tracks)
    known = {*names, *(entry.file for entry in index.files)}
    faulty = False
    for name in names:
        try:
            data = read_plain(package, name, MAX_MANIFEST_BYTES)
            links = links_of(name, data, segment_counts(index))
            if strange := sorted(links - known):
                raise PackageError(f"leads to {strange[0][:60]!r}, which is no file of the package")
        except PackageError as error:
            faulty = True
            yield name, str(error)
    # Packages of before have no hash of them.
    if not faulty and index.manifests and manifests_hash(package, *tracks) != index.manifests:
        yield from _changed(_read(package, *tracks), index)


def _changed(found: dict[str, bytes], index: Index) -> Iterator[tuple[str, str]]:
    """Which of the manifests it is that do not have the one hash of all.

    What a stream's playlist must be follows from the index. If all is signed with those in their
    places, they are what was changed; a package of another version may have written them otherwise.
    """
    known = _playlists(index)
    changed = [name for name, data in known.items() if found[name] != data]
    if joint_hash({**found, **known}) == index.manifests:
        yield from ((name, _NOT_SIGNED) for name in changed)
    else:
        others = [name for name in found if changed or name not in known]
        yield others[0], f"{_NOT_SIGNED}, or {' or '.join(others[1:])} is not"


def _playlists(index: Index) -> dict[str, bytes]:
    """The playlists of streams as they are written (manifest.py)."""
    streams = {VIDEO: (index.segments, index.time_base)}
    streams |= {
        sound_folder(i): (s.segments, s.time_base) for i, s in enumerate(index.sounds, start=1)
    }
    made = {
        kind: media_playlist(kind, [s.duration * base for s in segments])
        for kind, (segments, base) in streams.items()
    }
    ends_s = ((s[-1].start + s[-1].duration) * base for s, base in streams.values() if s)
    end_s = max(ends_s, default=Fraction(0))
    made |= {
        text_name(number): text_playlist(number, end_s) for number in range(1, len(index.texts) + 1)
    }
    return {playlist_name(name): text.encode("utf-8") for name, text in made.items()}


def segment_counts(index: Index) -> dict[str, int]:
    """How many segments each stream has, by its folder."""
    sounds = {sound_folder(i): len(s.segments) for i, s in enumerate(index.sounds, start=1)}
    return {VIDEO: len(index.segments), **sounds}


def links_of(name: str, data: bytes, counts: Mapping[str, int]) -> set[str]:
    """All addresses in a manifest, those of templates for each number: of each stream's folder it
    has `counts` segments. Raises PackageError where it is damaged."""
    try:
        text = data.decode("utf-8")
        if name == MPD_NAME:
            return _links_of_mpd(ET.fromstring(text), counts)
    except (UnicodeDecodeError, ET.ParseError) as error:
        raise PackageError(f"is damaged ({error})") from error
    lines = [line.strip() for line in text.splitlines()]
    plain = {line for line in lines if line and not line.startswith("#")}
    return plain | {uri for line in lines if line.startswith("#") for uri in _URI.findall(line)}


def _links_of_mpd(root: ET.Element, counts: Mapping[str, int]) -> set[str]:
    found: set[str] = set()
    for element in root.iter():
        local = element.tag.rpartition("}")[2]
        text = (element.text or "").strip()
        if local in _ADDRESSES and not (local == "BaseURL" and text == "./"):
            found.add(text)
        for attribute, value in element.attrib.items():
            if attribute.rpartition("}")[2] in _LINKS:
                found |= _expanded(value, counts)
    return found


def _expanded(link: str, counts: Mapping[str, int]) -> set[str]:
    kind, _, file = link.rpartition("/")
    if file != _TEMPLATE or kind not in counts:
        return {link}
    return {f"{kind}/{segment_name(n)}" for n in range(1, counts[kind] + 1)}
