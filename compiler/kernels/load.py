# mypy: disable-error-code="valid-type, no-untyped-def"
"""From pixels to places: the kernel at the beginning of every path, in both number formats."""

from collections.abc import Callable
from typing import Any

from tvm.script import tirx as T
from tvm.tirx import PrimFunc

from compiler.plan.formats import PIXEL
from player.package.architecture import BLOCK


def load_kernel(stored: str, number: Callable[[Any], Any], units: int) -> PrimFunc:
    """RGB bytes -> numbers of type `stored`, `number` of each byte.

    A pixel becomes four: red, green, blue, and one that is not read. Of a unit of u x u pixels the
    rows lie one after the other, in blocks of 16. What fills up is a black pixel's number.
    """
    row = 3 * units
    numbers = units * row
    side = PIXEL if units == 1 else BLOCK
    filled = -numbers % side

    @T.prim_func(s_tir=True, private=True)
    def kernel(
        src_data: T.handle("uint8"),
        stride: T.int32,
        dst_data: T.handle(stored),
        places: T.int32,
        block: T.int32,
    ):
        src = T.decl_buffer((1 << 30,), "uint8", data=src_data)
        dst = T.decl_buffer((1 << 30,), stored, data=dst_data)
        for x in T.serial(places):
            for dy in T.unroll(units):
                for i in T.unroll(row):
                    dst[(dy * row + i) // side * block + x * side + (dy * row + i) % side] = number(
                        src[dy * stride + x * row + i]
                    )
            for i in T.unroll(filled):
                dst[(numbers + i) // side * block + x * side + (numbers + i) % side] = number(
                    T.uint8(0)
                )

    return kernel
