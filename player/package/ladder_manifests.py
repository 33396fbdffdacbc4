"""The manifests of a ladder: made of its rungs' own, whose addresses begin in their folders.

    800k/manifest.mpd: video/seg-$Number%05d$.m4s ──► manifest.mpd: 800k/video/seg-$Number%05d$.m4s

Sound and subtitles are those of the highest rung.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from player.package.artefact import write_text
from player.package.dash import MPD_NAMESPACE
from player.package.layout import MASTER_NAME, MPD_NAME, VIDEO

_VARIANT = "#EXT-X-STREAM-INF:"
_MEDIA = "#EXT-X-MEDIA:"


def write_ladder_manifests(ladder: Path, rungs: Sequence[str]) -> None:
    """Write both over the packages in the folders `rungs`, by rising rate. Raises OSError."""
    texts = {name: (ladder / name / MASTER_NAME).read_text("utf-8") for name in rungs}
    write_text(ladder / MASTER_NAME, master_of(texts))
    texts = {name: (ladder / name / MPD_NAME).read_text("utf-8") for name in rungs}
    write_text(ladder / MPD_NAME, mpd_of(texts))


def master_of(texts: dict[str, str]) -> str:
    """The HLS playlist of all variants, from the rungs' own by their folders."""
    top = list(texts)[-1]
    head = [line for line in texts[top].splitlines() if not line.startswith((_VARIANT, _MEDIA))]
    lines = head[:-1]  # without the address of its one variant
    lines += [
        line.replace('URI="', f'URI="{top}/')
        for line in texts[top].splitlines()
        if line.startswith(_MEDIA)
    ]
    for name, text in texts.items():
        *_, variant, address = text.splitlines()
        lines += [variant, f"{name}/{address}"]
    return "\n".join([*lines, ""])


def mpd_of(texts: dict[str, str]) -> str:
    """The MPD with a Representation for each rung, from the rungs' own by their folders."""
    ET.register_namespace("", MPD_NAMESPACE)
    mpds = {name: ET.fromstring(text) for name, text in texts.items()}
    *others, top = mpds
    for name, mpd in mpds.items():
        _move(mpd, name)
    videos = _videos(mpds[top])
    for place, name in enumerate(others):
        videos.insert(place, _videos(mpds[name])[0])
    ET.indent(mpds[top])
    return ET.tostring(mpds[top], encoding="unicode", xml_declaration=True) + "\n"


def _move(mpd: ET.Element, folder: str) -> None:
    """Have every address in an MPD begin in a folder, and the video bear the folder's name."""
    for element in mpd.iter():
        local = element.tag.rpartition("}")[2]
        if local == "BaseURL" and element.text != "./":
            element.text = f"{folder}/{element.text}"
        for attribute in ("initialization", "media"):
            if attribute in element.attrib:
                element.set(attribute, f"{folder}/{element.get(attribute)}")
    _videos(mpd)[0].set("id", folder)


def _videos(mpd: ET.Element) -> ET.Element:
    """The AdaptationSet of the pictures."""
    namespaces = {"mpd": MPD_NAMESPACE}
    found = mpd.find(f".//mpd:AdaptationSet[@contentType='{VIDEO}']", namespaces)
    assert found is not None  # our own, of a package that was verified
    return found
