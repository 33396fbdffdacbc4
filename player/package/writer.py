"""Putting a package together: the files of `sr/`, the manifests, and the signed index last.

The index is what makes a folder a package, so it is written after everything it names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from player.package.atomic import write_bytes
from player.package.index import (
    Index,
    RouterEntry,
    RoutesEntry,
    SegmentEntry,
    Size,
    WeightsEntry,
    file_entry,
)
from player.package.index_file import write_index
from player.package.manifest import write_manifests
from player.package.router import unpack_router
from player.package.routes import pack_routes
from player.package.streams import Stream
from player.package.weights import unpack_weights


@dataclass(frozen=True)
class Contents:
    """What a package is made of.

    `video` and `audio` are streams already written into the package's folder. `weights` are the
    blobs in the order of the route codes' network numbers, `routes` one array [T, rows, columns]
    u8 for each video segment, or none at all. `hr` is the size to show. `router` is the blob that
    decides where a segment has no route map.
    """

    scale: int
    lr: Size
    hr: Size
    fine_h: int
    fine_w: int
    method: str
    preset: str
    video: Stream
    audio: Stream | None
    weights: Sequence[bytes]
    routes: Sequence[NDArray[np.uint8]]
    colour: Mapping[str, Any]
    version: str
    router: bytes | None = None


def write_package(package: Path, contents: Contents, key: Ed25519PrivateKey) -> Index:
    """Write all of `sr/`, the manifests and the index; returns the index.

    Raises PackageError where the contents break a limit or do not fit together, OSError.
    """
    (package / "sr").mkdir(exist_ok=True)
    weights = [_write_weights(package, i, blob) for i, blob in enumerate(contents.weights)]
    routes = [_write_routes(package, i, codes) for i, codes in enumerate(contents.routes)]
    router = _write_router(package, contents.router) if contents.router is not None else None
    index = replace(_index(package, contents, weights, routes), router=router)
    write_manifests(package, contents.video, contents.audio)
    write_index(package, index, key)
    return index


def _write_weights(package: Path, number: int, blob: bytes) -> WeightsEntry:
    arch = unpack_weights(blob).arch
    path = package / "sr" / f"weights-{number:03d}.bin"
    write_bytes(path, blob)
    return WeightsEntry(**vars(file_entry(package, path)), arch=arch)


def _write_router(package: Path, blob: bytes) -> RouterEntry:
    unpack_router(blob)
    path = package / "sr" / "router.bin"
    write_bytes(path, blob)
    return RouterEntry(**vars(file_entry(package, path)))


def _write_routes(package: Path, segment: int, codes: NDArray[np.uint8]) -> RoutesEntry:
    path = package / "sr" / f"routes-{segment + 1:05d}.bin"
    write_bytes(path, pack_routes(codes))
    return RoutesEntry(**vars(file_entry(package, path)), segment=segment, frames=len(codes))


def _index(
    package: Path, contents: Contents, weights: list[WeightsEntry], routes: list[RoutesEntry]
) -> Index:
    video, audio = contents.video, contents.audio
    return Index(
        scale=contents.scale,
        lr=contents.lr,
        hr=contents.hr,
        fine_h=contents.fine_h,
        fine_w=contents.fine_w,
        frames=sum(s.frames for s in video.segments),
        method=contents.method,
        preset=contents.preset,
        time_base=Fraction(1, video.timescale),
        weights=tuple(weights),
        routes=tuple(routes),
        segments=_segments(package, video),
        video_init=file_entry(package, video.init),
        audio=_segments(package, audio) if audio else (),
        audio_init=file_entry(package, audio.init) if audio else None,
        audio_time_base=Fraction(1, audio.timescale) if audio else None,
        colour=contents.colour,
        version=contents.version,
    )


def _segments(package: Path, stream: Stream) -> tuple[SegmentEntry, ...]:
    return tuple(
        SegmentEntry(
            **vars(file_entry(package, s.path)),
            start=s.start_ticks,
            duration=s.duration_ticks,
            frames=s.frames,
        )
        for s in stream.segments
    )
