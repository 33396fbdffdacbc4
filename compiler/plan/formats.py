"""Number formats: how many bytes a row of each kind of value takes.

| value, of one place (a unit of u x u LR pixels) | layout |
|---|---|
| input, u = 1 | 4 numbers: red, green, blue, one that is not read |
| input, u > 1 | as a hidden value of 3 u^2 channels, ordered (dy, dx, colour) |
| pixels | u rows of u times 4 numbers |
| hidden value | blocks of 16 numbers |
| detail, before pixel shuffle | r u rows of 3 r u sums: the HR rows as they lie in a frame |
| anchor | u rows of 3 r u sums |

The kernels and the C around them are in `kernels/DTYPE` and `runtime/DTYPE`.
"""

from dataclasses import dataclass

from compiler.compile_error import CompileError
from compiler.plan.graph import PathGraph
from player.package.architecture import BLOCK

PIXEL = 4  # numbers of an input pixel: red, green, blue, and one that is not read; PSR_PIXEL
# Columns behind a row, for what a kernel writes too much: its last tile runs over by three
# places, and 16 sums are written for a place that has at least 3.
SLACK = 8


@dataclass(frozen=True)
class RowShape:
    """A row's layout: blocks times columns times a place's bytes."""

    blocks: int
    pixel_bytes: int


@dataclass(frozen=True)
class NumberFormat:
    """`value_bytes`: of an input's or a hidden layer's number; `sum_bytes`: of detail or anchor."""

    name: str
    value_bytes: int
    sum_bytes: int

    def input(self, units: int) -> RowShape:
        if units == 1:
            return RowShape(1, PIXEL * self.value_bytes)
        return self.hidden(3 * units**2)

    def pixels(self, units: int) -> RowShape:
        return RowShape(units, units * PIXEL * self.value_bytes)

    def hidden(self, channels: int) -> RowShape:
        return RowShape(-(-channels // BLOCK), BLOCK * self.value_bytes)

    def detail(self, side: int) -> RowShape:
        return RowShape(side, 3 * side * self.sum_bytes)

    def anchor(self, units: int, side: int) -> RowShape:
        return RowShape(units, 3 * side * self.sum_bytes)

    def check(self, graph: PathGraph) -> None:
        """Raises CompileError where the format has no kernels for a layer."""
        for layer in graph.convolutions if self.name == "int8" else ():
            is_detail = layer.result == graph.store.residual
            if layer.adds or layer.relu == is_detail:
                raise CompileError(
                    f"network: {layer.weights}: int8 takes chains of convolution and ReLU only, "
                    "without sums; compile it with --dtype fp32"
                )


# int8: the integers of sr/quant/reference.py, chains of convolution and ReLU, bit for bit.
# fp32: every network, within a code value of PyTorch.
FORMATS = {f.name: f for f in (NumberFormat("int8", 1, 2), NumberFormat("fp32", 4, 4))}


def find_format(dtype: str) -> NumberFormat:
    """The format of that name; raises CompileError for a name that is not registered."""
    if dtype not in FORMATS:
        raise CompileError(f"dtype {dtype!r} is not known; use one of {', '.join(FORMATS)}")
    return FORMATS[dtype]
