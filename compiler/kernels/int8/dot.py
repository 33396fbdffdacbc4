"""What differs between instruction sets in an int8 kernel: dot product, rounding, s16 arithmetic.

A dot product adds four activations (u8, the same for every lane) times four weights (s8, of
each lane's output) to 32-bit sums. Every instruction set here computes the same integers.
"""

from abc import ABC, abstractmethod
from typing import Any

from tvm.script import tirx as T
from tvm.tirx import Buffer

from player.package.architecture import GROUP


class DotProduct(ABC):
    """An instruction set's way to the sums. `lanes`: sums in a vector.

    `weight_bytes`: of one lane's four weights, in the order that `packing` (PSR_PACK_*) names.
    A step takes `groups` groups of four channels, in `parts` instructions; the weights of groups
    that a network lacks are zero. `p`, the pixel in its tile, and `part` are numbers as soon as
    the loops are unrolled.
    """

    lanes: int
    weight_bytes = GROUP
    packing = "PSR_PACK_QUADS"
    signed = False  # activations are stored as q - 128
    groups = 1
    parts = 1
    pixels_together = 0  # that four vectors of sums make, where `to_bytes` packs them at once

    @property
    def of_pixels(self) -> "DotProduct":
        """What takes the four bytes of an input pixel, one group."""
        return self

    def start(self, bias: Buffer, p: Any, v: Any) -> Any:
        """The tile's sum p * vectors + v before the first step."""
        return bias[T.ramp(v * self.lanes, 1, self.lanes)]

    def step(
        self, acc: Any, src: Buffer, at: Any, weight: Buffer, weight_at: Any, p: Any, part: Any
    ) -> Any:
        """The sum after a part of a step; src[at] is the step's first activation."""
        return self.add(acc, src, at, weight, weight_at)

    def sums(self, acc: Buffer, p: Any, v: Any, vectors: int) -> Any:
        """The v-th vector of pixel p's sums."""
        return acc[p * vectors + v]

    @abstractmethod
    def add(self, acc: Any, src: Buffer, at: Any, weight: Buffer, weight_at: Any) -> Any:
        """acc + the four activations at src[at] times this vector's weights."""

    @abstractmethod
    def to_integers(self, x: Any) -> Any:
        """float32 -> int32, round half to even."""

    def to_bytes(self, quads: list[Any]) -> Any:
        """Four vectors of int32 -> their numbers as bytes, clamped to 0..255, in order."""
        raise NotImplementedError

    @abstractmethod
    def mulhrs(self, a: Any, b: Any, lanes: int) -> Any:
        """(a b + 2^14) >> 15 of s16."""

    def add_saturated(self, a: Any, b: Any, lanes: int) -> Any:
        """a + b of s16, held within them."""
        return T.call_llvm_pure_intrin(f"int16x{lanes}", f"llvm.sadd.sat.v{lanes}i16", a, b)

    def four_activations(self, src: Buffer, at: Any) -> Any:
        """src[at : at + 4] in every lane, as int8."""
        quad = T.reinterpret("int32", src[T.ramp(at, 1, GROUP)])
        return T.reinterpret(f"int8x{GROUP * self.lanes}", T.broadcast(quad, self.lanes))

    def weights(self, weight: Buffer, at: Any) -> Any:
        return weight[T.ramp(at, 1, self.weight_bytes * self.lanes)]


class _X86(DotProduct):
    packs: tuple[str, str]  # LLVM's names: int32 -> s16, s16 -> u8, both saturating

    def to_bytes(self, quads: list[Any]) -> Any:
        """The packs stay within 128 bits: a last permutation of dwords puts them in order."""
        to_s16, to_u8 = self.packs
        n, parts = self.lanes, self.lanes // 4
        halves = [
            T.call_llvm_pure_intrin(f"int16x{2 * n}", to_s16, *quads[i : i + 2]) for i in (0, 2)
        ]
        q = T.call_llvm_pure_intrin(f"uint8x{4 * n}", to_u8, *halves)
        dwords = T.reinterpret(f"int32x{n}", q)
        order = [4 * j + i for i in range(4) for j in range(parts)]
        return T.reinterpret(f"uint8x{4 * n}", T.Shuffle([dwords], order))

    def mulhrs(self, a: Any, b: Any, lanes: int) -> Any:
        name = {16: "llvm.x86.avx2.pmul.hr.sw", 32: "llvm.x86.avx512.pmul.hr.sw.512"}[lanes]
        return T.call_llvm_pure_intrin(f"int16x{lanes}", name, a, b)


class _Vnni(_X86):
    """vpdpbusd. LLVM's intrinsic wants bytes, not TVM's 32-bit lanes."""

    def add(self, acc: Any, src: Buffer, at: Any, weight: Buffer, weight_at: Any) -> Any:
        return T.call_llvm_pure_intrin(
            f"int32x{self.lanes}",
            f"llvm.x86.avx512.vpdpbusd.{32 * self.lanes}",
            acc,
            self.four_activations(src, at),
            self.weights(weight, weight_at),
        )


class Avx512Vnni(_Vnni):
    """On 512 bits."""

    lanes = 16
    pixels_together = 4
    packs = ("llvm.x86.avx512.packssdw.512", "llvm.x86.avx512.packuswb.512")

    def to_integers(self, x: Any) -> Any:
        every, in_mxcsr = T.cast(T.int32(-1), "int16"), T.int32(4)
        zero = T.broadcast(T.int32(0), 16)
        name = "llvm.x86.avx512.mask.cvtps2dq.512"
        return T.call_llvm_pure_intrin("int32x16", name, x, zero, every, in_mxcsr)


class _Avx(_X86):
    lanes = 8
    pixels_together = 2
    packs = ("llvm.x86.avx2.packssdw", "llvm.x86.avx2.packuswb")

    def to_integers(self, x: Any) -> Any:
        return T.call_llvm_pure_intrin("int32x8", "llvm.x86.avx.cvt.ps2dq.256", x)


class AvxVnni(_Vnni, _Avx):
    """On 256 bits."""


class Avx2(_Avx):
    """vpmaddwd on 16-bit numbers: vpmaddubsw would saturate (2 * 255 * 127 > 32767).

    The four activations b0..b3 fall into the pairs (b0, b2) and (b1, b3) with a mask and a shift,
    so the weights are packed in that order, widened to 16 bits.
    """

    weight_bytes = 2 * GROUP
    packing = "PSR_PACK_WIDE_PAIRS"

    def add(self, acc: Any, src: Buffer, at: Any, weight: Buffer, weight_at: Any) -> Any:
        quads = T.reinterpret("int16x16", self.four_activations(src, at))
        even = T.bitwise_and(quads, T.broadcast(T.int16(255), 16))
        odd = T.reinterpret(
            "int16x16",
            T.shift_right(T.reinterpret("uint16x16", quads), T.broadcast(T.uint16(8), 16)),
        )
        pairs = [
            T.reinterpret("int16x16", weight[T.ramp(weight_at + half * 32, 1, 32)])
            for half in range(2)
        ]
        return acc + self._madd(even, pairs[0]) + self._madd(odd, pairs[1])

    def _madd(self, a: Any, b: Any) -> Any:
        return T.call_llvm_pure_intrin("int32x8", "llvm.x86.avx2.pmadd.wd", a, b)


X86_DOT_PRODUCTS: dict[str, DotProduct] = {
    "avx512vnni": Avx512Vnni(),
    "avxvnni": AvxVnni(),
    "avx2": Avx2(),
}
