"""A network that the player has, adapted to a film or a part of it: a blob of what it changes, and
the whole that it makes.

    "PSRW"  u8 version = 4
    u8[8]          the first 8 bytes of the SHA-256 of the blob that is changed: one that ships, or
                   the whole of the package's network 0
    payload        the changes, as coded_changes.py has them, as long as what is left
    self-test      for each path of that network: u32 crc32 of the right output
    u32 crc32      of everything before

A player makes the whole blob of it when it reads the file, and everything behind that opens this as
any other: engines know nothing of version 4.
"""

import struct
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.package.architecture import Architecture, Tensors, convolutions
from player.package.coded_changes import decode_changes, encode_changes
from player.package.integers import Layer
from player.package.limits import MAX_NETWORKS
from player.package.package_error import PackageError
from player.package.self_test import SELF_TEST_CRC_BYTES
from player.package.shipped import has_shipped, shipped_by_hash
from player.package.weights import (
    INT8_CODED,
    SelfTests,
    WeightsBlob,
    checked_body,
    pack_weights,
    unpack_weights,
)

_START, _HASH_BYTES = b"PSRW\x04", 8
_PAYLOAD_AT = len(_START) + _HASH_BYTES
# Whole blobs, and what they are made of: a player reads a file more than once, making one takes a
# second, and a package may have as many of them as it has networks.
_KEPT = MAX_NETWORKS


def is_adapted(blob: bytes) -> bool:
    """Whether these are changes of another network."""
    return blob.startswith(_START)


def pack_adapted(base: bytes, tensors: Tensors, self_test: SelfTests) -> bytes:
    """The changes that make of the blob `base` a network of these integers.

    `self_test`: of each path the row of dtype INT8_CODED. Raises PackageError as `encode_changes`
    does, and where the tests are not of all paths.
    """
    known = unpack_base(base)
    if tuple(sorted(self_test)) != tuple(sorted(known.arch.paths)):
        raise PackageError("self-test: one is wanted for each path")
    payload = encode_changes(known.arch, _layers(known), _layers_of(known.arch, tensors))
    rows = b"".join(self_test[path].tobytes() for path in sorted(self_test))
    body = _START + sha256(base).digest()[:_HASH_BYTES] + payload + rows
    return body + struct.pack("<I", zlib.crc32(body))


def whole_blob(blob: bytes, first: Callable[[], bytes] | None = None) -> bytes:
    """A blob that an engine opens: itself, or what it makes of the network that it changes.

    `first`: reads the whole of the package's network 0. Raises PackageError where the blob is
    damaged, or changes a network that this player does not have.
    """
    if not is_adapted(blob):
        return blob
    named = checked_body(blob)[len(_START) : _PAYLOAD_AT].hex()
    if first is not None and not has_shipped(named):
        try:
            base = first()
        except PackageError as error:
            raise PackageError(f"changes network 0: {error}") from error
        if sha256(base).hexdigest().startswith(named):
            return _whole(blob, base)
    return _whole(blob, shipped_by_hash(named))


@lru_cache(_KEPT)
def _whole(blob: bytes, base: bytes) -> bytes:
    body = checked_body(blob)
    known = unpack_base(base)
    paths = sorted(known.arch.paths)
    rows_at = len(body) - SELF_TEST_CRC_BYTES * len(paths)
    if rows_at <= _PAYLOAD_AT:
        raise PackageError("weights: it ends within its header")
    # As many steps as that network has numbers, however long the payload is.
    layers = decode_changes(known.arch, _layers(known), body[_PAYLOAD_AT:rows_at])
    tensors: dict[str, NDArray[Any]] = {}
    for (name, _), layer in zip(convolutions(known.arch), layers, strict=True):
        tensors |= dict(zip(_names(name), layer, strict=True))
    rows = np.frombuffer(body[rows_at:], np.uint8).reshape(len(paths), -1)
    return pack_weights(known.arch, tensors, INT8_CODED, dict(zip(paths, rows, strict=True)))


@lru_cache(_KEPT)
def unpack_base(base: bytes) -> WeightsBlob:
    """A network that is changed, parsed once. Raises PackageError where it is not of integers."""
    known = unpack_weights(base)
    if not known.is_int8:
        raise PackageError("weights: only a network of integers can be adapted")
    return known


def _layers(blob: WeightsBlob) -> Sequence[Layer]:
    return _layers_of(blob.arch, blob.tensors)


def _layers_of(arch: Architecture, tensors: Tensors) -> Sequence[Layer]:
    layers = []
    for name, _ in convolutions(arch):
        weight, bias, multiplier = (tensors[part] for part in _names(name))
        layers.append((weight, bias, multiplier))
    return layers


def _names(convolution: str) -> tuple[str, str, str]:
    return f"{convolution}.weight", f"{convolution}.bias", f"{convolution}.multiplier"
