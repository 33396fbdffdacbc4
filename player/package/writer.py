"""Putting a package together: the files of `sr/`, the manifests, and the signed index last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from player.package.adapted import whole_blob
from player.package.artefact import make_folder, write_bytes
from player.package.entries import (
    Index,
    RouterEntry,
    RoutesEntry,
    SegmentEntry,
    Size,
    SoundEntry,
    TextEntry,
    WeightsEntry,
    blob_entry,
    file_entry,
)
from player.package.index import write_index
from player.package.layout import ROUTER_PATH, SHIPPED, SR, routes_path, weights_name
from player.package.manifest import write_manifests
from player.package.manifest_check import manifests_hash
from player.package.route_maps import pack_routes
from player.package.router_blob import unpack_router
from player.package.scale import Scale
from player.package.shipped import is_shipped
from player.package.streams import StreamFiles, TextFile
from player.package.weights import unpack_weights


@dataclass(frozen=True)
class Contents:
    """What a package is made of.

    `video`, `sounds`, `texts` and `chapters` are already written into the package's folder, where
    `layout` has them. `weights` are the
    blobs in the order of the route codes' network numbers, `routes` one array [T, rows, columns]
    u8 for each video segment, or none at all. `hr` is the size to show. `router` is the blob that
    decides where a segment has no route map. `id` and `revision` are those of `Index`.
    """

    scale: Scale
    lr: Size
    hr: Size
    fine_h: int
    fine_w: int
    method: str
    preset: str
    video: StreamFiles
    weights: Sequence[bytes]
    routes: Sequence[NDArray[np.uint8]]
    colour: Mapping[str, Any]
    version: str
    sounds: Sequence[StreamFiles] = ()
    texts: Sequence[TextFile] = ()
    chapters: TextFile | None = None
    router: bytes | None = None
    id: str = ""
    revision: int = 1


def write_package(package: Path, contents: Contents, key: Ed25519PrivateKey) -> Index:
    """Write all of `sr/`, the manifests and the index; returns the index.

    Raises PackageError where the contents break a limit or do not fit together, OSError.
    """
    make_folder(package / SR)
    weights: list[WeightsEntry] = []
    for network, blob in enumerate(contents.weights):
        # Parsed first: what a player would refuse is not written.
        first = weights[0] if weights else None
        whole = whole_blob(blob, partial(first.read, package) if first else None)
        given: dict[str, Any] = {"arch": unpack_weights(whole).arch, "first": first}
        if is_shipped(blob):  # nothing to send
            weights.append(WeightsEntry(**vars(blob_entry(SHIPPED, blob)), **given, shipped=True))
            continue
        name = f"{SR}/{weights_name(network)}"
        weights.append(WeightsEntry(**_entry(package, name, blob), **given))
    routes = []
    for i, codes in enumerate(contents.routes):
        fields = _entry(package, routes_path(i), pack_routes(codes))
        routes.append(RoutesEntry(**fields, segment=i, frames=len(codes)))
    router = None
    if contents.router is not None:
        unpack_router(contents.router)  # what a player would refuse is not written
        router = RouterEntry(**_entry(package, ROUTER_PATH, contents.router))
    video, sounds, texts = contents.video, contents.sounds, contents.texts
    write_manifests(package, video, sounds, texts)
    index = Index(
        scale=contents.scale,
        lr=contents.lr,
        hr=contents.hr,
        fine_h=contents.fine_h,
        fine_w=contents.fine_w,
        frames=video.frames,
        method=contents.method,
        preset=contents.preset,
        time_base=Fraction(1, video.timescale),
        weights=tuple(weights),
        routes=tuple(routes),
        segments=_segments(package, video),
        video_init=file_entry(package, video.init),
        sounds=tuple(_sound(package, sound) for sound in sounds),
        texts=tuple(_text(package, text) for text in texts),
        chapters=_text(package, contents.chapters) if contents.chapters else None,
        colour=contents.colour,
        version=contents.version,
        router=router,
        manifests=manifests_hash(package, len(sounds), len(texts)),
        id=contents.id,
        revision=contents.revision,
    )
    # Last, for the index is what makes a folder a package.
    write_index(package, index, key)
    return index


def _entry(package: Path, name: str, data: bytes) -> dict[str, Any]:
    """Write a file of the package; returns the fields of its entry in the index."""
    write_bytes(package / name, data)
    return vars(file_entry(package, package / name))


def _sound(package: Path, stream: StreamFiles) -> SoundEntry:
    init, segments = file_entry(package, stream.init), _segments(package, stream)
    return SoundEntry(init, segments, Fraction(1, stream.timescale), stream.label)


def _text(package: Path, text: TextFile) -> TextEntry:
    return TextEntry(**vars(file_entry(package, text.path)), label=text.label)


def _segments(package: Path, stream: StreamFiles) -> tuple[SegmentEntry, ...]:
    return tuple(
        SegmentEntry(
            **vars(file_entry(package, s.path)),
            start=s.start_ticks,
            duration=s.duration_ticks,
            frames=s.frames,
        )
        for s in stream.segments
    )
