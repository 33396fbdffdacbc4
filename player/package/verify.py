"""Checking a package from end to end: signature, hashes, limits, and that every part parses."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from player.package.entries import (
    FileEntry,
    Index,
    RouterEntry,
    RoutesEntry,
    TextEntry,
    WeightsEntry,
)
from player.package.index import CONTINUES, read_index
from player.package.layout import INDEX_PATH
from player.package.manifest_check import manifest_faults
from player.package.package_error import PackageError
from player.package.paths import BICUBIC, HARD, network_of, path_of
from player.package.route_maps import unpack_routes
from player.package.router_blob import unpack_router
from player.package.seen import Seen
from player.package.webvtt import unpack_webvtt
from player.package.weights import unpack_weights

SelfTest = Callable[[bytes], object]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and in which file."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


@dataclass(frozen=True)
class Verification:
    """What `verify_package` found. `self_tested` says whether an engine ran the self-tests."""

    package: Path
    signer: str | None
    files: int
    bytes: int
    self_tested: bool
    faults: tuple[Fault, ...]

    @property
    def ok(self) -> bool:
        return not self.faults

    def to_json(self) -> dict[str, Any]:
        """The object of `verify --json`."""
        return {
            "schema": "pocketsr.verify/1",
            "ok": self.ok,
            "signer": self.signer,
            "files": self.files,
            "bytes": self.bytes,
            "self_tested": self.self_tested,
            "faults": [vars(fault) for fault in self.faults],
        }

    def check(self) -> None:
        """Raises PackageError where something is wrong: the first fault, and how many more."""
        if self.faults:
            more = f" (and {len(self.faults) - 1} more)" if len(self.faults) > 1 else ""
            # One advice is enough, and this one mends all.
            first = str(self.faults[0]).removesuffix("; fetch it again")
            advice = "" if first.endswith(CONTINUES) else "; get the package again"
            raise PackageError(f"{self.package}: {first}{more}{advice}")


def verify_package(
    package: Path,
    trust: frozenset[str] | None = None,
    self_test: SelfTest | None = None,
    seen: Seen | None = None,
) -> Verification:
    """Look at all of a package and tell every fault; raises nothing on damaged data.

    An older revision than was `seen` is a fault.

    `self_test` loads a blob, weights or a router, into an engine and raises PackageError where it
    fails (`Engine.self_test`); without it the blobs are only parsed.
    """
    try:
        file = read_index(package)
    except PackageError as error:
        fault = Fault(INDEX_PATH, str(error).removeprefix(f"{INDEX_PATH}: "))
        return Verification(package, None, 0, 0, False, (fault,))
    index = file.index
    signer, faults = None, list(_find_faults(package, index, self_test))
    try:
        signer = file.signer(trust)
        if seen is not None:
            seen.check(index, signer)
    except PackageError as error:
        faults.insert(0, Fault(INDEX_PATH, str(error)))
    size = sum(entry.sent_bytes for entry in index.files)
    tested = self_test is not None
    return Verification(package, signer, len(index.files), size, tested, tuple(faults))


def _find_faults(package: Path, index: Index, self_test: SelfTest | None) -> Iterator[Fault]:
    yield from (Fault(*found) for found in manifest_faults(package, index))
    for entry in index.files:
        try:
            _check_entry(package, entry, index, self_test)
        except PackageError as error:
            yield Fault(entry.file, str(error))
    if index.routes and len(index.routes) != len(index.segments) and index.router is None:
        yield Fault(INDEX_PATH, "some segments have a route map, others have none")


def _check_entry(package: Path, entry: FileEntry, index: Index, self_test: SelfTest | None) -> None:
    """A file is what the index says; what is no media also parses, and fits the index."""
    data = entry.read(package)
    match entry:
        case WeightsEntry():
            if unpack_weights(data).arch != entry.arch:
                raise PackageError("its architecture is not the one of the index")
        case RouterEntry():
            _check_router(data, index)
        case RoutesEntry():
            _check_routes(data, entry, index)
        case TextEntry():
            unpack_webvtt(data)
    if self_test is not None and isinstance(entry, WeightsEntry | RouterEntry):
        self_test(data)


def _check_router(blob: bytes, index: Index) -> None:
    """Its cells are those of the index, its paths those of the first network."""
    router = unpack_router(blob)
    router.check_cells(index.fine_h, index.fine_w)
    # A router's paths are codes of network 0.
    known = {BICUBIC, HARD, *(p for weights in index.weights[:1] for p in weights.arch.paths)}
    if not set(router.paths.tolist()) <= known:
        raise PackageError("network 0 does not have a path that the router names")


def _check_routes(blob: bytes, entry: RoutesEntry, index: Index) -> None:
    """The map covers its segment's frames, and names only networks and paths that are there."""
    frames = index.segments[entry.segment].frames
    if entry.frames != frames:
        raise PackageError(f"a map of {entry.frames} frames does not cover {frames}")
    codes = np.unique(unpack_routes(blob, (frames, *index.grid_shape)))
    paths = path_of(codes)
    # Bicubic runs no network: its cells may name any.
    for number in set(network_of(codes)[paths != BICUBIC].tolist()):
        if number >= len(index.weights):
            raise PackageError(f"names network {number}, but there are {len(index.weights)}")
    for number, weights in enumerate(index.weights):
        used = set(paths[network_of(codes) == number].tolist())
        if not used <= {BICUBIC, HARD, *weights.arch.paths}:
            raise PackageError(f"network {number} does not have a path that the map names")
