"""Reading typed, bounded fields out of untrusted JSON: one short function for each kind."""

import base64
import json
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeVar

from player.package import limits
from player.package.package_error import PackageError

_SHA256 = re.compile(r"[0-9a-f]{64}")
# No part begins with a dot: neither "..", nor what is hidden; and no backslash, no drive's colon.
_PATH_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")

Object = dict[str, Any]
Item = TypeVar("Item")


def parse_object(data: bytes, where: str) -> Object:
    """The JSON object in `data`; raises PackageError where it is none, or too long."""
    if len(data) > limits.MAX_INDEX_BYTES:
        raise PackageError(f"{where}: {len(data)} bytes is more than an index may have")
    try:
        value = json.loads(data)
    # RecursionError: JSON may nest deeper than the parser goes, within any length.
    except (ValueError, RecursionError) as error:
        raise PackageError(f"{where}: not JSON ({error}); fetch it again") from error
    if not isinstance(value, dict):
        raise PackageError(f"{where}: not a JSON object")
    return value


def integer(source: Object, name: str, low: int, high: int) -> int:
    """An integer of low..high (true and false are none)."""
    value = source.get(name)
    # Not isinstance: to Python a bool is an int.
    if type(value) is not int or not low <= value <= high:
        raise PackageError(f"index: {name} is {_show(value)}, not an integer of {low}..{high}")
    return value


def number(source: Object, name: str) -> int | float:
    """A number (true and false are none)."""
    value = source.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PackageError(f"index: {name} is {_show(value)}, not a number")
    return value


def text(source: Object, name: str) -> str:
    """A short text; missing is empty."""
    value = source.get(name, "")
    if not isinstance(value, str) or len(value) > limits.MAX_TEXT_CHARS:
        raise PackageError(f"index: {name} is {_show(value)}, not a short text")
    return value


def texts(source: Object, name: str, most: int) -> list[str]:
    """A list of one to `most` short texts."""
    value = source.get(name)
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        raise PackageError(f"index: {name} is not a list of 1 to {most} texts")
    return [text({name: item}, name) for item in value]


def boolean(source: Object, name: str) -> bool:
    """True or false."""
    value = source.get(name)
    if not isinstance(value, bool):
        raise PackageError(f"index: {name} is {_show(value)}, not true or false")
    return value


def sha256(source: Object) -> str:
    """A SHA-256 as 64 lower-case hexadecimal digits."""
    value = source.get("sha256")
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise PackageError(f"index: sha256 is {_show(value)}, not 64 hexadecimal digits")
    return value


def relative_path(source: Object) -> str:
    """A path inside the package: plain names between slashes, no "..", nothing hidden."""
    value = source.get("file")
    plain = isinstance(value, str) and len(value) <= limits.MAX_PATH_CHARS
    if not plain or not all(_PATH_PART.fullmatch(part) for part in str(value).split("/")):
        raise PackageError(f"index: file is {_show(value)}, not a plain path inside the package")
    return str(value)


def subobject(source: Object, name: str) -> Object:
    """An object; raises PackageError where it is missing."""
    value = source.get(name)
    if not isinstance(value, dict):
        raise PackageError(f"index: {name} is {_show(value)}, not an object")
    return value


def objects(
    source: Object, name: str, most: int, read: Callable[[Object], Item]
) -> tuple[Item, ...]:
    """A list of at most `most` objects, each read by `read`; missing is empty."""
    value = source.get(name, [])
    if not isinstance(value, list) or len(value) > most:
        raise PackageError(f"index: {name} is not a list of at most {most}")
    if not all(isinstance(item, dict) for item in value):
        raise PackageError(f"index: {name} holds something that is not an object")
    return tuple(read(item) for item in value)


def integers(source: Object, name: str, most: int, high: int) -> tuple[int, ...]:
    """A list of at most `most` integers of 1..high."""
    value = source.get(name)
    if not isinstance(value, list) or len(value) > most:
        raise PackageError(f"index: {name} is not a list of at most {most}")
    return tuple(integer({name: item}, name, 1, high) for item in value)


def pair(source: Object, name: str, low: int, high: int) -> tuple[int, int]:
    """Two integers of low..high."""
    value = source.get(name)
    if not isinstance(value, list) or len(value) != 2:
        raise PackageError(f"index: {name} is not a pair of numbers")
    first, second = (integer({name: item}, name, low, high) for item in value)
    return first, second


def runs(source: Object, name: str, most: int, low: int, high: int) -> tuple[int, ...]:
    """A list of at most `most` integers of low..high; in it [number, n] stands for n of them."""
    value = source.get(name)
    if not isinstance(value, list):
        raise PackageError(f"index: {name} is {_show(value)}, not a list")
    found: list[int] = []
    for item in value:
        number, times = item if isinstance(item, list) and len(item) == 2 else (item, 1)
        # Counted before it is repeated: a short text may ask for a list of any length.
        repeats = integer({name: times}, name, 1, most - len(found))
        found += [integer({name: number}, name, low, high)] * repeats
    return tuple(found)


def hashes(source: Object, name: str, size_bytes: int, most: int) -> list[str]:
    """1 to `most` hashes of `size_bytes`, joined and in base64, each as hexadecimal digits."""
    value = source.get(name)
    joined = base64_bytes(value, name) if isinstance(value, str) else b""
    count, rest = divmod(len(joined), size_bytes)
    if rest or not 1 <= count <= most:
        raise PackageError(f"index: {name} is not of 1 to {most} hashes of {size_bytes} bytes")
    return [joined[i : i + size_bytes].hex() for i in range(0, len(joined), size_bytes)]


def base64_bytes(text: str, name: str) -> bytes:
    """What `text` stands for; raises PackageError where it isn't the one spelling of its bytes.

    Before padding, a character has two or four bits that stand for nothing: Python's decoder
    drops them, so one public key would have four spellings (RFC 4648, section 3.5).
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise PackageError(f"index: {name} is not base64") from error
    if base64.b64encode(raw).decode("ascii") != text:
        raise PackageError(f"index: {name} is not base64 as encoders write it")
    return raw


def ratio(source: Object, name: str) -> Fraction:
    """A positive fraction, written [numerator, denominator]."""
    pair = integers(source, name, 2, limits.MAX_TIMESCALE)
    if len(pair) != 2:
        raise PackageError(f"index: {name} is not [numerator, denominator]")
    return Fraction(*pair)


def _show(value: object) -> str:
    """The value for a message, cut short."""
    shown = repr(value) if not isinstance(value, list | dict) else type(value).__name__
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
