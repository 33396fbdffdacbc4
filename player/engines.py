"""One place for engines: the user's own cache. A package holds numbers, never code.

    $POCKETSR_HOME/engines/TARGET/ABI-DTYPE-SHA256/   libpocketsr.so  libpocketsr.a  pocketsr.h
                                                      psr-bench  engine.json

The name of a folder ends in the SHA-256 of its library. The library has to be hashed anyhow
before it is loaded, so that this is the one content address that needs no trust: a folder that
was copied half, edited, or put under another's name cannot pass for it. What is loaded out of the
cache: see `_open_cached`.
"""

import errno
import json
import os
import stat
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from player.engine import Engine, EngineNotFoundError
from player.library import sha256_of
from player.package.artefact import sync
from player.package.entries import WeightsEntry
from player.package.fields import parse_object
from player.package.files import CAREFULLY
from player.package.layout import ENGINE_ABI, ENGINE_INFO, ENGINE_LIBRARY, OLD_ENGINES
from player.package.limits import MAX_INDEX_BYTES
from player.package.package_error import PackageError
from player.package.signature import home
from player.package.weights import read_header
from player.session import Event, Listener, Package, ignore

ENGINE_VARIABLE = "POCKETSR_ENGINE"
Builder = Callable[[str, str], Engine | None]  # of a dtype and a target
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_NOT_USED = "it is not used; remove it, and run `pocketsr compile` again"


def dtype_of_package(directory: Path, entries: Sequence[WeightsEntry]) -> str:
    """The arithmetic that a package's networks are made for, "int8" where it has none."""
    headers = []
    for entry in entries:
        # A damaged network is replaced when it is loaded; what is whole tells the arithmetic.
        with suppress(PackageError):
            headers.append(read_header(entry.read(directory)))
    # Where no blob can be read this is int8, what `encode` makes by default.
    return "fp32" if {header.is_int8 for header in headers} == {False} else "int8"


def tell_old_engine(package: Path, on_event: Listener) -> None:
    """Where older versions put an engine into a package, it is said that nothing loads it."""
    if (package / OLD_ENGINES).exists():
        advice = "ignored; `pocketsr compile` makes an engine in your own cache"
        what = f"{package}/{OLD_ENGINES}"
        on_event(Event("engine", what, "a package holds no code", advice))


def build_none(dtype: str, target: str) -> Engine | None:
    """For callers that have no compiler, or want none."""
    return None


def engine_of(
    package: Package,
    target: str = "host",
    named: Path | None = None,
    on_event: Listener = ignore,
    build: Builder = build_none,
) -> Engine | None:
    """The engine for a package's networks, as `open_engine` finds it."""
    if package.index is None or package.shows_lr:
        return None  # nothing is upscaled
    tell_old_engine(package.directory, on_event)
    dtype = dtype_of_package(package.directory, package.index.weights)
    return open_engine(dtype, target, named, on_event, build)


def open_engine(
    dtype: str,
    target: str = "host",
    named: Path | None = None,
    on_event: Listener = ignore,
    build: Builder = build_none,
) -> Engine | None:
    """The engine at `named`, or at `$POCKETSR_ENGINE`, or the newest of the cache for `dtype`.

    One engine plays every network of its dtype. Where the cache has none, `build` may make one.
    None, and a word to `on_event`, where there is none. An engine that somebody named is taken or
    is an error: raises EngineNotFoundError or PackageError as `Engine.open` does.
    """
    if named is not None:
        return Engine.open(named)
    if path := os.environ.get(ENGINE_VARIABLE):
        try:
            return Engine.open(path)
        except EngineNotFoundError as error:
            raise EngineNotFoundError(f"${ENGINE_VARIABLE}: {error}") from error
    engine = cached_engine(dtype, target, on_event) or build(dtype, target)
    if engine is None:
        advice = f"run `pocketsr compile --target {target} --dtype {dtype}`"
        on_event(Event("engine", f"engine for {target}", f"no {dtype} one is in the cache", advice))
    return engine


def cached_engine(dtype: str, target: str = "host", on_event: Listener = ignore) -> Engine | None:
    """The newest engine of the cache for `dtype`; what may not be loaded is told to `on_event`."""
    for folder in _cached_folders(dtype, target):
        try:
            return Engine.from_descriptor(_open_cached(folder), folder / ENGINE_LIBRARY)
        except PackageError as error:
            on_event(Event("engine", str(folder), str(error), _NOT_USED))
    return None


def engine_bytes(dtype: str, target: str) -> int | None:
    """The size of the library of the newest engine of the cache; None where it has none."""
    for folder in _cached_folders(dtype, target):
        with suppress(OSError):
            return (folder / ENGINE_LIBRARY).stat().st_size
    return None


def _cached_folders(dtype: str, target: str) -> list[Path]:
    """Of this ABI, the newest first."""
    folders: list[tuple[int, Path]] = []
    for folder in _cache(target).glob(f"{ENGINE_ABI}-{dtype}-*"):
        with suppress(FileNotFoundError):  # a `compile` may be replacing it
            folders.append((folder.lstat().st_mtime_ns, folder))
    return [folder for _, folder in sorted(folders, reverse=True)]


def store_engine(target: str, build: Callable[[Path], object]) -> Path:
    """Put an engine into the cache; returns its folder, which appears there whole.

    `build` writes the engine's files into the folder that it is given. An engine that is there
    already becomes the newest. Raises OSError.
    """
    cache = _cache(target)
    for folder in (cache.parent.parent, cache.parent, cache):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".build-") as temporary:
        built = Path(temporary) / "engine"
        built.mkdir(mode=0o700)
        build(built)
        # Synced before the rename: after a power cut the name must not stand for half an engine.
        for path in (*built.rglob("*"), built):
            path.chmod(path.stat().st_mode & ~_OTHERS_MAY_WRITE)  # whatever the umask allows
            sync(path)
        place = cache / _folder_name(json.loads((built / ENGINE_INFO).read_bytes()))
        if _is_whole(place) and {*os.listdir(built)} == {*os.listdir(place)}:
            os.utime(place)
            return place
        with suppress(FileNotFoundError):
            place.rename(Path(temporary) / "refused")  # no player has taken it for an engine
        built.rename(place)
        sync(cache)
    return place


def _is_whole(folder: Path) -> bool:
    try:
        os.close(_open_cached(folder))
    except PackageError:
        return False
    return True


def _cache(target: str) -> Path:
    return home() / "engines" / target


def _folder_name(info: dict[str, Any]) -> str:
    return f"{info.get('abi')}-{info.get('dtype')}-{info.get('sha256')}"


def _open_cached(folder: Path) -> int:
    """A descriptor of the library in a folder of the cache.

    Raises PackageError where it could be somebody else's: a folder or file of another user, one
    that others may write, a symbolic link, anything but a plain file, or a library whose SHA-256
    is not that of engine.json and of the folder's name. Folders above need no look: who may write
    there can put only folders of their own.
    """
    # Each file is opened once, relative to the folder that was looked at, and never by its path
    # again: what is checked is what is loaded, whatever is renamed meanwhile.
    directory = _open_own(folder, stat.S_ISDIR)
    try:
        with open(_open_own(Path(ENGINE_INFO), stat.S_ISREG, directory), "rb") as file:
            info = parse_object(file.read(MAX_INDEX_BYTES + 1), ENGINE_INFO)
        library = _open_own(Path(ENGINE_LIBRARY), stat.S_ISREG, directory)
    finally:
        os.close(directory)
    found = info | {"sha256": sha256_of(library)}
    if not _folder_name(info) == _folder_name(found) == folder.name:
        os.close(library)
        raise PackageError(f"{ENGINE_LIBRARY} is not the one that `compile` made")
    return library


def _open_own(path: Path, is_kind: Callable[[int], bool], directory: int | None = None) -> int:
    """A descriptor of a file or folder that only this user, or root, can have written."""
    try:
        descriptor = os.open(path, CAREFULLY, dir_fd=directory)
    except OSError as error:
        is_link = error.errno == errno.ELOOP
        reason = "is a symbolic link" if is_link else f"cannot be read ({error.strerror})"
        raise PackageError(f"{path.name} {reason}") from error
    found = os.fstat(descriptor)
    faults = {
        "is not a plain file or folder": not is_kind(found.st_mode),
        f"belongs to user {found.st_uid}": found.st_uid not in (os.geteuid(), 0),
        "others than its owner may write it": bool(found.st_mode & _OTHERS_MAY_WRITE),
    }
    for reason, is_so in faults.items():
        if is_so:
            os.close(descriptor)
            raise PackageError(f"{path.name} {reason}")
    return descriptor
