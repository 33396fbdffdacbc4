"""Packages damaged as a storage, a network or an enemy would, each by a seed.

The enemy signs what he made with a key of his own, so that most of his damage gets past hashes and
signature to the parsers behind them.
"""

import copy
import dataclasses
import os
import random
import re
import shutil
import socket
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from player.package.entries import FileEntry, file_entry
from player.package.index import index_bytes, index_to_json, read_index
from player.package.index_packing import pack_index
from player.package.layout import INDEX_PATH, manifest_names
from player.package.manifest_check import manifests_hash
from player.package.package_error import PackageError
from player.package.signature import sign

_HOLES = 200 << 30
_ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 255, 1 << 16, 1 << 31, 1 << 63, 10**400, 0.5, 1e308, -0.0),
    *("", "../x", "/etc/passwd", "\0", "\ud800", "a" * 100_000, "=", "AAAA", "video/init.mp4"),
    *([], {}, [[]], [1] * 70_000, {"a": {}}),
)
_ADDRESSES = (
    *("http://127.0.0.1:9/x", "file:///etc/passwd", "data:,x", "/etc/passwd", "\\\\host\\x"),
    *("../../secret", "%2e%2e/x", "video/../../x"),
)
_LINK = re.compile(r"video/init\.mp4|video\.m3u8|\./|seg-0\d+\.m4s")


def mutate(package: Path, number: int, seed: int) -> str:
    """Change a package in one way; returns what was done, for whoever looks for it again."""
    draw = random.Random(f"{seed}/{number}")
    name, change = draw.choices([*_KINDS.items()], [weight for _, weight in _WEIGHTS])[0]
    return f"{name}: {change(package, draw)}"


def _files(package: Path) -> list[Path]:
    return sorted(p for p in package.rglob("*") if p.is_file() and not p.is_symlink())


def _damaged(data: bytes, draw: random.Random, other: bytes) -> bytes:
    """The bytes with bits flipped, cut, longer, zeroed, repeated, or with a piece of others."""
    size, changed = len(data), bytearray(data)
    at, length = draw.randrange(size or 1), draw.randrange(1, 1 + max(1, size // 4))
    match draw.randrange(7):
        case 0 | 1:
            for _ in range(draw.randrange(1, 9)):
                if size:
                    changed[draw.randrange(size)] ^= 1 << draw.randrange(8)
        case 2:
            del changed[at:]
        case 3:
            changed += draw.randbytes(length)
        case 4:
            changed[at : at + length] = bytes(len(changed[at : at + length]))
        case 5:
            changed[at:at] = changed[at : at + length]
        case _:
            start = draw.randrange(len(other) or 1)
            changed[at : at + length] = other[start : start + length]
    return bytes(changed)


def _bytes(package: Path, draw: random.Random) -> str:
    """Damage that nobody signed."""
    path = draw.choice(_files(package))
    path.write_bytes(_damaged(path.read_bytes(), draw, draw.choice(_files(package)).read_bytes()))
    return path.name


def _signed_bytes(package: Path, draw: random.Random) -> str:
    """Damage with the right hashes, and the right checksum at the end of a blob."""
    path = draw.choice([p for p in _files(package) if p.name not in ("index.bin", "report.json")])
    data = _damaged(path.read_bytes(), draw, draw.choice(_files(package)).read_bytes())
    if path.suffix == ".bin" and len(data) > 4 and draw.random() < 0.8:
        data = data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")
    path.write_bytes(data)
    return f"{path.name} {_sign_again(package, draw)}"


def _sign_again(package: Path, draw: random.Random) -> str:
    index = read_index(package).index

    def measured(value: Any) -> Any:
        if isinstance(value, FileEntry) and not getattr(value, "shipped", False):
            entry = file_entry(package, package / value.file)
            return dataclasses.replace(value, **vars(entry))
        if isinstance(value, tuple):
            return tuple(map(measured, value))
        return value

    fields = {f.name: measured(getattr(index, f.name)) for f in dataclasses.fields(index)}
    fields["manifests"] = manifests_hash(package, len(index.sounds), len(index.texts))
    _put(package, index_to_json(dataclasses.replace(index, **fields)), draw)
    return "signed again"


def _put(package: Path, source: dict[str, Any], draw: random.Random) -> None:
    key = Ed25519PrivateKey.from_private_bytes(draw.randbytes(32))
    try:
        signed = sign(source, key)
    except (ValueError, RecursionError):
        signed = source
    (package / INDEX_PATH).write_bytes(index_bytes(signed))


def _places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All places in a tree of JSON."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree)
    found = []
    for key, value in inside:
        found.append((*path, key))
        if isinstance(value, dict | list):
            found += _places(value, (*path, key))
    return found


def _field(package: Path, draw: random.Random) -> str:
    """One to three fields of the index with other values, or gone, or of another name."""
    source = copy.deepcopy(read_index(package).source)
    done = []
    for _ in range(draw.randrange(1, 4)):
        *parents, last = draw.choice(_places(source))
        at = source
        for key in parents:
            at = at[key]
        value = at[last]
        match draw.randrange(4):
            case 0 if isinstance(at, dict):
                del at[last]
            case 1 if isinstance(value, int) and not isinstance(value, bool):
                at[last] = value + draw.choice((-1, 1, 2, -value, value, 1 << 20))
            case 2 if isinstance(value, str) and value:
                at[last] = value[: draw.randrange(len(value))] + draw.choice(("", "A", "é", value))
            case _:
                at[last] = draw.choice(_ODD)
        done.append(".".join(map(str, (*parents, last))))
    _put(package, source, draw)
    return ", ".join(done)


def _text(package: Path, draw: random.Random) -> str:
    """The index as another text: too deep, too long, of numbers without end."""
    depth = draw.choice((100, 1000, 50_000))
    texts = {
        "deep": '{"a":' * depth + "1" + "}" * depth,
        "deep list": "[" * depth + "]" * depth,
        "digits": '{"schema":' + "9" * draw.choice((100, 5_000, 1_000_000)) + "}",
        "long": '{"schema":"' + "x" * draw.choice((10_000, 5 << 20)) + '"}',
        "keys": "{" + ",".join(f'"{i}":{i}' for i in range(100_000)) + "}",
        "constant": '{"schema":NaN,"scale":Infinity}',
    }
    name = draw.choice(list(texts))
    (package / INDEX_PATH).write_bytes(pack_index(texts[name].encode()))
    return name


def _place(package: Path, draw: random.Random) -> str:
    """Something else in the place of a file."""
    path = draw.choice(_files(package))
    kind = draw.choice(("gone", "link", "device", "pipe", "folder", "holes", "socket", "other"))
    data = path.read_bytes()
    path.unlink()
    match kind:
        case "link":
            outside = package.with_name("outside")
            outside.write_bytes(data)
            path.symlink_to(outside)
        case "device":
            path.symlink_to("/dev/zero")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "holes":
            with path.open("wb") as file:
                file.truncate(_HOLES)
        case "socket":
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(os.path.relpath(path))  # a socket's path has 108 bytes at most
        case "other":
            shutil.copy(draw.choice(_files(package)), path)
    return f"{path.name} is {kind}"


def _swap(package: Path, draw: random.Random) -> str:
    """Two files in each other's place, sometimes signed so."""
    one, two = draw.sample(_files(package), 2)
    held = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(held)
    try:
        signed = _sign_again(package, draw) if draw.random() < 0.5 else ""
    except PackageError:
        signed = ""  # the index was one of them
    return f"{one.name}, {two.name} {signed}"


def _manifest(package: Path, draw: random.Random) -> str:
    """An address that leads elsewhere, signed."""
    path = package / draw.choice([n for n in manifest_names(1, 0) if (package / n).exists()])
    text, address = path.read_text(), draw.choice(_ADDRESSES)
    changed = re.sub(
        r"video/init\.mp4|video\.m3u8|\./|seg-0\d+\.m4s", lambda _: address, text, count=1
    )
    path.write_text(changed)
    return f"{path.name} {address} {_sign_again(package, draw)}"


_KINDS: dict[str, Callable[[Path, random.Random], str]] = {
    "bytes": _bytes,
    "signed bytes": _signed_bytes,
    "field": _field,
    "text": _text,
    "place": _place,
    "swap": _swap,
    "manifest": _manifest,
}
_WEIGHTS = tuple(zip(_KINDS, (4, 8, 6, 1, 2, 1, 1), strict=True))
