"""Blobs of sparse int8 weights for tests of both parsers, and the ways in which one is wrong."""

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from player.package.architecture import Architecture, convolutions
from player.package.weights import INT8, INT8_SPARSE, pack_weights

CHAIN = Architecture("chain", 2, (4,), (1,))
PAYLOAD_AT = 12 + 2 * (1 + 1) + 4  # of CHAIN
BITMAP = 14  # bytes: 4 x 3 x 3 x 3 = 108 weights, and 4 bits over
OUTPUTS = 4


@dataclass(frozen=True)
class Wrong:
    """A blob with a right checksum that must be refused: "format" or "limit" says as what."""

    name: str
    kind: str
    blob: bytes


def thinned(tensors: dict[str, np.ndarray], density: float, seed: int = 0) -> dict[str, np.ndarray]:
    """The same network with only about `density` of its weights; the others are zero."""
    draw = np.random.default_rng(seed)
    return {
        name: np.where(draw.random(value.shape) < density, value, 0).astype(np.int8)
        if name.endswith(".weight")
        else value
        for name, value in tensors.items()
    }


def integers(arch: Architecture, density: float, seed: int = 0) -> dict[str, np.ndarray]:
    """Integer tensors of which about `density` of the weights are non-zero."""
    draw = np.random.default_rng(seed)
    tensors: dict[str, np.ndarray] = {}
    for name, shape in convolutions(arch):
        weight = draw.integers(1, 128, shape) * draw.choice([-1, 1], shape)
        tensors[f"{name}.weight"] = weight.astype(np.int8)
        tensors[f"{name}.bias"] = draw.integers(-1000, 1000, shape[0]).astype(np.int32)
        tensors[f"{name}.multiplier"] = draw.uniform(1e-4, 1, shape[0]).astype(np.float32)
    return thinned(tensors, density, seed + 1)


def sealed(head: bytes, payload: bytes, declared: int | None = None) -> bytes:
    """A blob without self-test, of any payload, that declares that length or another."""
    length = len(payload) if declared is None else declared
    body = head + struct.pack("<I", length) + payload
    return body + struct.pack("<I", zlib.crc32(body))


def parts(blob: bytes) -> tuple[bytes, bytes]:
    """The header of a blob of CHAIN without self-test, and its payload."""
    return blob[: PAYLOAD_AT - 4], blob[PAYLOAD_AT:-4]


def moved_bit(blob: bytes) -> bytes:
    """The blob with one weight in the place of its neighbour: as good as before."""
    head, payload = parts(blob)
    bits = np.unpackbits(np.frombuffer(payload[:BITMAP], np.uint8), bitorder="little")
    at = next(i for i in range(108 - 1) if bits[i] and not bits[i + 1])
    bits[at], bits[at + 1] = 0, 1
    return sealed(head, np.packbits(bits, bitorder="little").tobytes() + payload[BITMAP:])


def wrong_blobs() -> list[Wrong]:
    """Each differs in one thing from the blob of `integers(CHAIN, 0.3)`, which is good."""
    tensors = integers(CHAIN, 0.3)
    head, payload = parts(pack_weights(CHAIN, tensors, INT8_SPARSE))
    dense_head, dense = parts(pack_weights(CHAIN, tensors, INT8))
    stored = int(np.count_nonzero(tensors["trunk.0.weight"]))
    bias, second = BITMAP + stored, BITMAP + stored + 8 * OUTPUTS
    last = len(payload) - 8 * 12  # behind the values of the exit, 12 x 4

    def is_set(bit: int, bitmap_at: int) -> bool:
        return bool(payload[bitmap_at + bit // 8] >> bit % 8 & 1)

    def flipped(bit: int, bitmap_at: int = 0) -> bytes:
        at = bitmap_at + bit // 8
        return put(at, bytes([payload[at] ^ 1 << bit % 8]))

    def put(at: int, data: bytes) -> bytes:
        return payload[:at] + data + payload[at + len(data) :]

    free = next(bit for bit in range(48) if not is_set(bit, second))
    used = next(bit for bit in range(48) if is_set(bit, second))
    malformed = {
        "the first bit behind the last weight": flipped(108),
        "the last bit behind the last weight": flipped(111),
        "a bit behind the last weight and a value for it": (
            flipped(108)[:bias] + b"\x01" + payload[bias:]
        ),
        "the first value is a zero": put(BITMAP, b"\0"),
        "the last value is a zero": put(bias - 1, b"\0"),
        "the last convolution's last value is a zero": put(last - 1, b"\0"),
        "a bit without a value": flipped(free, second),
        "a value without a bit": flipped(used, second),
        "one value more": payload[:last] + b"\x01" + payload[last:],
        "one value fewer": payload[: last - 1] + payload[last:],
        "every bit, with the values of some": b"\xff" * 13 + b"\x0f" + payload[BITMAP:],
        "no bit, with the values of some": bytes(BITMAP) + payload[BITMAP:],
        "nothing": b"",
        "ends within the bitmap": payload[: BITMAP - 1],
        "ends behind the bitmap": payload[:BITMAP],
        "ends within the values": payload[: bias - 1],
        "ends within the biases": payload[: bias + 5],
        "ends behind the first convolution": payload[:second],
        "ends within the second bitmap": payload[: second + 3],
        "ends a byte early": payload[:-1],
        "a byte too many": payload + b"\0",
        "one convolution too many": payload + payload[second:],
        "dense weights": dense,
    }
    lengths = {
        "declares nothing": 0,
        "declares a byte less": len(payload) - 1,
        "declares a byte more": len(payload) + 1,
        "declares all that there can be": 2**32 - 1,
        "declares 2 GiB more": len(payload) + 2**31,
    }
    beyond = {
        "a weight of -128": put(BITMAP + 2, b"\x80"),
        "a sum that reaches 2^24": put(bias, struct.pack("<i", 1 << 24)),
        "the least bias": put(bias + 12, struct.pack("<i", -(2**31))),
        "a multiplier of 64": put(bias + 16, struct.pack("<f", 64)),
        "a multiplier that is not a number": put(len(payload) - 4, struct.pack("<f", np.nan)),
    }
    return [
        *(Wrong(name, "format", sealed(head, data)) for name, data in malformed.items()),
        *(Wrong(name, "format", sealed(head, payload, n)) for name, n in lengths.items()),
        *(Wrong(name, "limit", sealed(head, data)) for name, data in beyond.items()),
        Wrong("sparse weights called dense", "format", sealed(dense_head, payload)),
        Wrong("a byte behind the payload", "format", sealed(head, payload + b"\0", len(payload))),
        Wrong("a payload cut short", "format", sealed(head, payload[:-1], len(payload))),
    ]
