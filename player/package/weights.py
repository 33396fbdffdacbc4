"""The weights blob: numbers for a fixed architecture; no names, no offsets, no code.

    "PSRW" version arch scale planes dtype n_widths n_exits n_tests      12 bytes, version 1
    "PSRW" version arch scale units dtype n_widths n_exits n_tests       12 bytes, versions 2 and 3
    u16 widths[n_widths]  u16 exits[n_exits]  u32 payload_bytes
    payload        each convolution's weight [O, I, k, k], then its bias [O];
                   of dtype 3 and 4 (int8, dense and sparse) then its multiplier [O]:
                   player/package/integers.py
    self-test      for each path of the network: u8 path, 64 x u8 samples of the right output
    u32 crc32      of everything before

In version 2 `scale` is 16 p + q for the scale p/q. A network that version 1 can say (a whole scale
of 2..4, single pixels, two exits) is written as version 1, so that older engines open it.

Version 3 is that of coded integers, dtype 5, and saves what it can:

    u8 widths[n_widths] / 4  u8 exits[n_exits]
    payload        as coded_layers.py has it, as long as what is left
    self-test      for each path: u8 path, u32 crc32 of the right output
    u32 crc32

All little endian. The layout of the payload follows from the architecture alone (of sparse
weights: and from the bits of their bitmaps; of coded ones: and from the bits before), so nothing
in a blob can point anywhere. `compiler/runtime` holds the same parser in C. Version 4, the changes
of a network that ships, is read elsewhere (adapted.py), and is one of these behind that.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.package.architecture import (
    ARCHITECTURE_IDS,
    GROUP,
    Architecture,
    Shape,
    Tensors,
    check_int8,
    convolutions,
    tensor_layout,
)
from player.package.coded_layers import decode_layers, encode_layers
from player.package.integers import (
    DENSE,
    SPARSE,
    Layer,
    WeightForm,
    decode_layer,
    encode_layer,
    layer_byte_range,
)
from player.package.limits import MAX_BLOB_BYTES, MAX_DEPTH, MAX_EXITS
from player.package.package_error import PackageError
from player.package.scale import Scale, parse_scale
from player.package.self_test import SELF_TEST_CRC_BYTES, SELF_TEST_SAMPLES

FLOAT32, FLOAT16, INT8, INT8_SPARSE, INT8_CODED = 1, 2, 3, 4, 5
DTYPES: dict[int, np.dtype[Any]] = {FLOAT32: np.dtype("<f4"), FLOAT16: np.dtype("<f2")}
INT8_DTYPES = (INT8, INT8_SPARSE, INT8_CODED)
_FORMS = {INT8: DENSE, INT8_SPARSE: SPARSE}
_MAGIC, _VERSIONS, _CODED_VERSION = b"PSRW", (1, 2, 3), 3
_VERSION_1_PLANES = 3
_HEADER = struct.Struct("<4s8B")

SelfTests = Mapping[int, NDArray[np.uint8]]
"""Of each path what `self_test_row` makes of the right output."""


@dataclass(frozen=True)
class WeightsHeader:
    """What a blob says of its network before any weight."""

    arch: Architecture
    dtype: int

    @property
    def is_int8(self) -> bool:
        """Whether the network computes in integers, however its weights are stored."""
        return self.dtype in INT8_DTYPES


@dataclass(frozen=True)
class WeightsBlob(WeightsHeader):
    """A parsed blob. `self_test` maps a path to what `self_test_row` makes of the right output.

    `tensors` are float32, of shapes and names as in `tensor_layout`. Of the dtypes of int8 they
    are int8 weights and int32 biases, and each convolution X has "X.multiplier" float32 [O] as
    well.
    """

    tensors: Tensors
    self_test: SelfTests = field(default_factory=dict)


def pack_weights(
    arch: Architecture,
    tensors: Tensors,
    dtype: int = FLOAT16,
    self_test: SelfTests | None = None,
) -> bytes:
    """The blob of these tensors, as in `WeightsBlob.tensors`; float32 are stored as f32 or f16.

    Raises PackageError where a tensor is missing, misshapen, not finite in `dtype`, or where
    integers break their bounds (`player.package.integers`) or have no coded form.
    """
    return pack_payload(arch, encode_weights(arch, tensors, dtype), dtype, self_test)


def encode_weights(arch: Architecture, tensors: Tensors, dtype: int) -> bytes:
    """The payload of a blob; raises what `pack_weights` does."""
    encode = _encode_integers if dtype in INT8_DTYPES else _encode
    return encode(arch, tensors, dtype)


def pack_payload(
    arch: Architecture, payload: bytes, dtype: int, self_test: SelfTests | None = None
) -> bytes:
    """The blob of what `encode_weights` has made."""
    rows = []
    # By rising path, the one order that a reader takes.
    for path, row in sorted((self_test or {}).items()):
        if row.shape != (_row_bytes(dtype),) or row.dtype != np.uint8:
            raise PackageError(f"self-test: u8 [{_row_bytes(dtype)}] is wanted for each path")
        rows.append(bytes([path]) + row.tobytes())
    shape = (len(arch.widths), len(arch.exits), len(rows))
    head = _HEADER.pack(_MAGIC, *_identity(arch, dtype), dtype, *shape)
    if dtype == INT8_CODED:
        numbers = bytes((*(width // GROUP for width in arch.widths), *arch.exits))
    else:
        numbers = np.asarray((*arch.widths, *arch.exits), "<u2").tobytes()
        numbers += struct.pack("<I", len(payload))
    body = head + numbers + payload + b"".join(rows)
    # Against damage alone; who made the blob, the index's signature says.
    return body + struct.pack("<I", zlib.crc32(body))


def _row_bytes(dtype: int) -> int:
    """Of a path's row in the self-test, behind its path."""
    return SELF_TEST_CRC_BYTES if dtype == INT8_CODED else SELF_TEST_SAMPLES


def _identity(arch: Architecture, dtype: int) -> tuple[int, int, int, int]:
    """Version, architecture, scale and planes or units, as the header has them."""
    number = ARCHITECTURE_IDS[arch.name]
    is_first = arch.scale in (2, 3, 4) and arch.units == 1 and len(arch.exits) <= 2
    if is_first and dtype != INT8_CODED:
        return 1, number, int(arch.scale), _VERSION_1_PLANES
    version = _CODED_VERSION if dtype == INT8_CODED else 2
    return version, number, 16 * arch.scale.numerator + arch.scale.denominator, arch.units


def _scale_and_units(version: int, scale: int, last: int) -> tuple[Scale, int]:
    """The inverse: raises PackageError where the header says what no network has."""
    if version == 1:
        if scale not in (2, 3, 4) or last != _VERSION_1_PLANES:
            raise PackageError(f"weights: scale {scale} with {last} planes is not of version 1")
        return scale, 1
    p, q = divmod(scale, 16)
    if q == 0 or gcd(p, q) != 1:
        raise PackageError(f"weights: scale {p}/{q} is not a fraction in lowest terms")
    return parse_scale(Fraction(p, q)), last


def _shaped(tensors: Tensors, name: str, shape: Shape) -> NDArray[Any]:
    if name not in tensors or tensors[name].shape != shape:
        raise PackageError(f"weights: tensor {name} of shape {shape} is missing")
    return tensors[name]


def _encode(arch: Architecture, tensors: Tensors, dtype: int) -> bytes:
    parts = []
    for spec in tensor_layout(arch):
        with np.errstate(over="ignore"):  # what f16 cannot hold becomes infinite, and is refused
            stored = _shaped(tensors, spec.name, spec.shape).astype(DTYPES[dtype])
        if not np.isfinite(stored).all():
            raise PackageError(f"weights: tensor {spec.name} is not finite as {DTYPES[dtype]}")
        parts.append(stored.tobytes())
    return b"".join(parts)


def _encode_integers(arch: Architecture, tensors: Tensors, dtype: int) -> bytes:
    check_int8(arch)
    layers = []
    for name, shape in convolutions(arch):
        weight = _shaped(tensors, f"{name}.weight", shape)
        bias = _shaped(tensors, f"{name}.bias", shape[:1])
        layers.append((weight, bias, _shaped(tensors, f"{name}.multiplier", shape[:1])))
    if dtype == INT8_CODED:
        return encode_layers(arch, layers)
    pairs = zip(convolutions(arch), layers, strict=True)
    return b"".join(encode_layer(name, layer, _FORMS[dtype]) for (name, _), layer in pairs)


def read_header(blob: bytes) -> WeightsHeader:
    """What a blob with a right checksum says of its network; raises PackageError.

    Its weights are not looked at: decoding them takes `unpack_weights` up to a second.
    """
    return _parse_header(checked_body(blob))[0]


def unpack_weights(blob: bytes) -> WeightsBlob:
    """Parse a blob; raises PackageError on any byte that is not as it should be."""
    body = checked_body(blob)
    header, n_tests, at = _parse_header(body)
    arch, dtype = header.arch, header.dtype
    rows_at = len(body) - n_tests * (1 + _row_bytes(dtype))
    if dtype == INT8_CODED:
        fits = rows_at > at
    else:
        (payload_bytes,) = struct.unpack_from("<I", body, at)
        _check_payload_bytes(arch, dtype, payload_bytes)
        at += 4
        fits = rows_at == at + payload_bytes
    if not fits:
        raise PackageError("weights: the length does not fit the architecture")
    payload = body[at:rows_at]
    decode = _decode_integers if header.is_int8 else _decode
    tensors = decode(payload, arch, dtype)
    return WeightsBlob(arch, dtype, tensors, _parse_rows(body[rows_at:], header))


def checked_body(blob: bytes) -> bytes:
    """A blob without its checksum, which is right. Raises PackageError where it is not."""
    if not _HEADER.size + 4 <= len(blob) <= MAX_BLOB_BYTES:
        raise PackageError(f"weights: {len(blob)} bytes is outside 16..{MAX_BLOB_BYTES}")
    body, (crc,) = blob[:-4], struct.unpack("<I", blob[-4:])
    if zlib.crc32(body) != crc:
        raise PackageError("weights: the checksum is wrong, the file is damaged; fetch it again")
    return body


def _check_payload_bytes(arch: Architecture, dtype: int, payload_bytes: int) -> None:
    """What the architecture asks for is known before the payload is looked at."""
    if dtype in _FORMS:
        ranges = [layer_byte_range(shape, _FORMS[dtype]) for _, shape in convolutions(arch)]
    else:
        sizes = (spec.size * DTYPES[dtype].itemsize for spec in tensor_layout(arch))
        ranges = [(size, size) for size in sizes]
    if not sum(low for low, _ in ranges) <= payload_bytes <= sum(high for _, high in ranges):
        raise PackageError("weights: the payload's length does not fit the architecture")


def _parse_header(body: bytes) -> tuple[WeightsHeader, int, int]:
    """Returns the header, the number of self-test rows and the offset behind exits."""
    magic, version, arch_id, *ratio, dtype, n_widths, n_exits, n_tests = _HEADER.unpack_from(body)
    if magic != _MAGIC or version not in _VERSIONS:
        raise PackageError("weights: not a weights blob of version 1, 2 or 3; update the player")
    names = {v: k for k, v in ARCHITECTURE_IDS.items()}
    is_coded = dtype == INT8_CODED
    known = arch_id in names and dtype in (*DTYPES, *INT8_DTYPES)
    if not known or is_coded != (version == _CODED_VERSION):
        raise PackageError(f"weights: architecture {arch_id}, dtype {dtype} is not known here")
    for what, number, most in (("depth", n_widths, MAX_DEPTH), ("exits", n_exits, MAX_EXITS)):
        if number > most:
            raise PackageError(f"weights: {what} {number} is not in 1..{most}")
    count, item = n_widths + n_exits, np.dtype("u1" if is_coded else "<u2")
    at = _HEADER.size + item.itemsize * count
    if len(body) < at + 4:
        raise PackageError("weights: it ends within its header")
    numbers = tuple(int(n) for n in np.frombuffer(body, item, count, _HEADER.size))
    widths = tuple(n * (GROUP if is_coded else 1) for n in numbers[:n_widths])
    scale, units = _scale_and_units(version, *ratio)
    arch = Architecture(names[arch_id], scale, widths, numbers[n_widths:], units)
    header = WeightsHeader(arch, dtype)
    if header.is_int8:
        check_int8(arch)
    return header, n_tests, at


def _decode_integers(payload: bytes, arch: Architecture, dtype: int) -> dict[str, NDArray[Any]]:
    if dtype == INT8_CODED:
        layers = decode_layers(arch, payload)
    else:
        layers = _decode_forms(payload, arch, _FORMS[dtype])
    tensors: dict[str, NDArray[Any]] = {}
    for (name, _), (weight, bias, multiplier) in zip(convolutions(arch), layers, strict=True):
        tensors |= {f"{name}.weight": weight, f"{name}.bias": bias}
        tensors[f"{name}.multiplier"] = multiplier
    return tensors


def _decode_forms(payload: bytes, arch: Architecture, form: WeightForm) -> list[Layer]:
    layers, at = [], 0
    for name, shape in convolutions(arch):
        layer, at = decode_layer(name, payload, at, shape, form)
        layers.append(layer)
    if at != len(payload):
        raise PackageError(f"weights: {len(payload) - at} bytes of the payload are left over")
    return layers


def _decode(payload: bytes, arch: Architecture, dtype: int) -> dict[str, NDArray[np.float32]]:
    specs = tensor_layout(arch)
    flat = np.frombuffer(payload, DTYPES[dtype]).astype(np.float32)
    if not np.isfinite(flat).all():
        raise PackageError("weights: a number is not finite; the file is damaged or hostile")
    ends = np.cumsum([s.size for s in specs])
    parts = np.split(flat, ends[:-1])
    return {s.name: part.reshape(s.shape) for s, part in zip(specs, parts, strict=True)}


def _parse_rows(rows: bytes, header: WeightsHeader) -> dict[int, NDArray[np.uint8]]:
    table = np.frombuffer(rows, np.uint8).reshape(-1, 1 + _row_bytes(header.dtype))
    tests = {int(row[0]): row[1:].copy() for row in table}
    # A path that is named twice is one key less than rows.
    if tuple(tests) not in ((), tuple(sorted(header.arch.paths))) or len(tests) != len(table):
        raise PackageError("weights: the self-test is not for this network's paths")
    return tests


def self_test_row(
    dtype: int, output: NDArray[np.uint8], positions: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """What a blob keeps of the right output of `self_test_input`: 64 samples, or its CRC-32."""
    if dtype == INT8_CODED:
        return np.frombuffer(struct.pack("<I", zlib.crc32(output.tobytes())), np.uint8)
    return output.ravel()[positions]
