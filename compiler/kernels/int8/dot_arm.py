# mypy: disable-error-code="valid-type, no-untyped-def"
"""Dot products of 64-bit ARM: NEON alone, with SDOT (ARMv8.2) and with SMMLA (ARMv8.6).

Products are signed here, so activations are stored as q - 128 and the packing adds 128 sum(w) to
the bias. SDOT and SMMLA take a pixel's sixteen channels in one step, from one register.
"""

from typing import Any

from tvm.script import tirx as T
from tvm.tirx import Buffer

from compiler.kernels.int8.dot import DotProduct
from player.package.architecture import BLOCK, GROUP

_OCTET = 2 * GROUP


class _Arm(DotProduct):
    lanes = 4
    signed = True
    pixels_together = 1

    def to_bytes(self, quads: list[Any]) -> Any:
        """Clamped twice on the way: to s16, then to u8; and stored as q - 128."""
        shorts = [self._narrow("int16x4", "sqxtn.v4i16", q) for q in quads]
        pairs = [T.Shuffle(shorts[i : i + 2], list(range(8))) for i in (0, 2)]
        halves = [self._narrow("uint8x8", "sqxtun.v8i8", pair) for pair in pairs]
        return T.Shuffle(halves, list(range(16))) ^ T.broadcast(T.uint8(128), 16)

    def _narrow(self, dtype: str, name: str, x: Any) -> Any:
        return T.call_llvm_pure_intrin(dtype, f"llvm.aarch64.neon.{name}", x)

    def to_integers(self, x: Any) -> Any:
        return T.call_llvm_pure_intrin("int32x4", "llvm.aarch64.neon.fcvtns.v4i32.v4f32", x)

    def mulhrs(self, a: Any, b: Any, lanes: int) -> Any:
        name = f"llvm.aarch64.neon.sqrdmulh.v{lanes}i16"
        return T.call_llvm_pure_intrin(f"int16x{lanes}", name, a, b)


class Neon(_Arm):
    """smull and smlal on bytes: two products fit 16 bits (2 * 128 * 127 < 2^15), sadalp adds them.

    The four activations fall into the pairs (b0, b1) and (b2, b3), and so do the weights.
    """

    packing = "PSR_PACK_PAIRS"

    def add(self, acc: Any, src: Buffer, at: Any, weight: Buffer, weight_at: Any) -> Any:
        quad = T.reinterpret("int32", src[T.ramp(at, 1, GROUP)])
        pairs = T.reinterpret("int16x4", T.broadcast(quad, 2))
        products = [
            T.call_llvm_pure_intrin(
                "int16x8",
                "llvm.aarch64.neon.smull.v8i16",
                T.reinterpret("int8x8", T.Shuffle([pairs], [half] * 4)),
                weight[T.ramp(weight_at + half * 8, 1, 8)],
            )
            for half in range(2)
        ]
        sums = products[0] + products[1]
        return acc + T.call_llvm_pure_intrin(
            "int32x4", "llvm.aarch64.neon.saddlp.v4i32.v8i16", sums
        )


def _sdot(acc: Any, weights: Any, activations: Any) -> Any:
    name = "llvm.aarch64.neon.sdot.v4i32.v16i8"
    return T.call_llvm_pure_intrin("int32x4", name, acc, weights, activations)


class _SdotOfPixels(_Arm):
    """SDOT on the four bytes of an input pixel; the classes below take more of other inputs."""

    @property
    def of_pixels(self) -> DotProduct:
        return _SdotOfPixels()

    def add(self, acc: Any, src: Buffer, at: Any, weight: Buffer, weight_at: Any) -> Any:
        return _sdot(acc, self.weights(weight, weight_at), self.four_activations(src, at))


class Dotprod(_SdotOfPixels):
    """SDOT by lane: sixteen channels lie in a register, each step takes four of them."""

    groups, parts = 4, 4

    def step(
        self, acc: Any, src: Buffer, at: Any, weight: Buffer, weight_at: Any, p: Any, part: Any
    ) -> Any:
        channels = T.reinterpret("int32x4", src[T.ramp(at, 1, BLOCK)])
        quad = T.reinterpret("int8x16", T.Shuffle([channels], [part] * 4))
        return _sdot(acc, self.weights(weight, weight_at), quad)


class I8mm(_SdotOfPixels):
    """SMMLA: 2 pixels x 8 channels times 8 channels x 2 outputs, added to 2 x 2 sums.

    Sum p * V + v of a tile holds outputs 4 v + 2 (p % 2) and the next one, of the pixels p - p % 2
    and the next one: as many registers as elsewhere, put in order by `sums`.
    """

    packing = "PSR_PACK_OCTETS"
    groups, parts = 4, 2

    def start(self, bias: Buffer, p: Any, v: Any) -> Any:
        pair = T.reinterpret("int64", bias[T.ramp(v * 4 + p % 2 * 2, 1, 2)])
        return T.reinterpret("int32x4", T.broadcast(pair, 2))

    def step(
        self, acc: Any, src: Buffer, at: Any, weight: Buffer, weight_at: Any, p: Any, part: Any
    ) -> Any:
        first = at - p % 2 * BLOCK
        octets = [
            T.reinterpret("int64x2", src[T.ramp(first + k * BLOCK, 1, BLOCK)]) for k in range(2)
        ]
        pixels = T.reinterpret("int8x16", T.Shuffle(octets, [part, 2 + part]))
        outputs = weight[T.ramp(weight_at + p % 2 * 2 * _OCTET, 1, 2 * _OCTET)]
        name = "llvm.aarch64.neon.smmla.v4i32.v16i8"
        return T.call_llvm_pure_intrin("int32x4", name, acc, pixels, outputs)

    def sums(self, acc: Buffer, p: Any, v: Any, vectors: int) -> Any:
        first = p // 2 * 2
        halves = [acc[(first + k) * vectors + v] for k in range(2)]
        at = p % 2 * 2
        return T.Shuffle(halves, [at, at + 1, 4 + at, 5 + at])


ARM_DOT_PRODUCTS: dict[str, DotProduct] = {"i8mm": I8mm(), "dotprod": Dotprod(), "neon": Neon()}
