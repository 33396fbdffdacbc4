"""Files of a package as columns of its index: their lengths, and their hashes, cut and joined."""

import base64
from collections.abc import Iterable, Sequence
from itertools import groupby

from player.package import fields
from player.package.entries import HASH_BYTES, FileEntry
from player.package.fields import Object
from player.package.package_error import PackageError


def files_json(entries: Sequence[FileEntry]) -> Object:
    """Lengths and joined hashes of files; empty where there are none."""
    text = joined_hashes(e.sha256 for e in entries)
    return {"bytes": runs_json([e.bytes for e in entries]), "hash": text} if entries else {}


def joined_hashes(hashes: Iterable[str]) -> str:
    """Hexadecimal hashes cut, joined, in base64; `fields.hashes` undoes it."""
    joined = b"".join(bytes.fromhex(sha256)[:HASH_BYTES] for sha256 in hashes)
    return base64.b64encode(joined).decode("ascii")


def runs_json(numbers: Iterable[int]) -> list[int | list[int]]:
    """The list with each run of equal numbers as [number, count]; `fields.runs` undoes it."""
    counts = [(number, len([*run])) for number, run in groupby(numbers)]
    return [[number, n] if n > 1 else number for number, n in counts]


def read_files(source: Object, most: int, most_bytes: int) -> list[tuple[str, int]]:
    """Hash (hex) and length of each of at most `most` files, one at least."""
    hashes = fields.hashes(source, "hash", HASH_BYTES, most)
    return [*zip(hashes, read_column(source, "bytes", len(hashes), 0, most_bytes), strict=True)]


def read_column(source: Object, name: str, rows: int, low: int, high: int) -> tuple[int, ...]:
    """A number for each of the files that the hashes counted."""
    numbers = fields.runs(source, name, rows, low, high)
    if len(numbers) != rows:
        raise PackageError(f"index: {name} holds {len(numbers)} numbers, not {rows}")
    return numbers
