# mypy: disable-error-code="valid-type, no-untyped-def"
"""The dot product in operators that every machine has, for C (compiler/emit/scalarise.py)."""

from typing import Any

from tvm.script import tirx as T
from tvm.tirx import Buffer

from compiler.kernels.int8.dot import DotProduct
from player.package.architecture import BLOCK, GROUP


class Scalar(DotProduct):
    """Products of 32 bits, one at a time. The lanes of a vector become loops that C compilers
    make vectors of, where they can.
    """

    lanes = BLOCK
    packing = "PSR_PACK_LINES"

    def add(self, acc: Any, src: Buffer, at: Any, weight: Buffer, weight_at: Any) -> Any:
        for i in range(GROUP):
            activations = T.broadcast(T.cast(src[at + i], "int32"), self.lanes)
            weights = weight[T.ramp(weight_at + i * self.lanes, 1, self.lanes)]
            acc = acc + activations * T.cast(weights, f"int32x{self.lanes}")
        return acc

    def to_integers(self, x: Any) -> Any:
        return T.cast(T.nearbyint(x), f"int32x{self.lanes}")

    def mulhrs(self, a: Any, b: Any, lanes: int) -> Any:
        a, b = (T.cast(x, f"int32x{lanes}") for x in (a, b))
        half, bits = T.broadcast(T.int32(1 << 14), lanes), T.broadcast(T.int32(15), lanes)
        return T.cast(T.shift_right(a * b + half, bits), f"int16x{lanes}")

    def add_saturated(self, a: Any, b: Any, lanes: int) -> Any:
        low, high = (T.broadcast(T.int32(limit), lanes) for limit in (-32768, 32767))
        wide = T.cast(a, f"int32x{lanes}") + T.cast(b, f"int32x{lanes}")
        return T.cast(T.min(T.max(wide, low), high), f"int16x{lanes}")


SCALAR_DOT_PRODUCTS: dict[str, DotProduct] = {"c": Scalar()}
