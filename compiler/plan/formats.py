"""Number formats: how many bytes a row of each kind of value takes, and which step computes it.

| value | fp32 | int8 |
|---|---|---|
| input pixel | 4 floats | 4 bytes |
| 16 hidden channels | 16 floats | 16 bytes |
| detail, before pixel shuffle | a pixel's 3 r^2 floats, padded to 16 | r phases of 3 r s16 |
| anchor | 16 floats an LR pixel | 3 r s16 an LR pixel |

The kernels and the C around them are in `kernels/DTYPE` and `runtime/DTYPE`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from compiler.compile_error import CompileError
from compiler.plan.graph import ANCHOR_HALO, ANCHOR_ROWS, INPUT, Convolution
from player.package.architecture import BLOCK

_EVERYWHERE = f"(psr_reach){{{{{ANCHOR_HALO}, {ANCHOR_HALO}, {ANCHOR_HALO}}}}}"
_PIXEL = 4  # numbers of an input pixel, PSR_PIXEL


@dataclass(frozen=True)
class RowShape:
    """A row's layout: blocks times columns times a pixel's bytes."""

    blocks: int
    pixel_bytes: int


class NumberFormat(ABC):
    """What the plan and the emitter need to know of a format.

    `slack_px`: columns behind a row, for the last tile of a convolution to run over into.
    """

    name: str
    slack_px: int
    value_bytes: int  # of an input's or a hidden layer's number

    def input(self) -> RowShape:
        return RowShape(1, _PIXEL * self.value_bytes)

    def hidden(self, channels: int) -> RowShape:
        return RowShape(-(-channels // BLOCK), BLOCK * self.value_bytes)

    @abstractmethod
    def detail(self, channels: int, scale: int) -> RowShape: ...

    @abstractmethod
    def anchor(self, scale: int) -> RowShape: ...

    @abstractmethod
    def convolution_call(
        self, number: int, layer: Convolution, is_detail: bool, row: str, reach: str
    ) -> str:
        """The C call that computes one row of a layer, the `number`-th of the blob."""

    @abstractmethod
    def anchor_call(self, n_convs: int, row: str) -> str:
        """The C call for the horizontal half of the bicubic kernel."""

    def hr_row(self) -> RowShape:
        """Finished bytes, 3 r a column, and what the last vector writes beyond them."""
        return RowShape(1, _PIXEL * 4)


class Fp32(NumberFormat):
    """32-bit floats: every network, within a code value of PyTorch."""

    name = "fp32"
    slack_px = 4
    value_bytes = 4

    def detail(self, channels: int, scale: int) -> RowShape:
        return RowShape(1, -(-channels // BLOCK) * BLOCK * 4)

    def anchor(self, scale: int) -> RowShape:
        return RowShape(1, BLOCK * 4)

    def convolution_call(
        self, number: int, layer: Convolution, is_detail: bool, row: str, reach: str
    ) -> str:
        adds, floor = f"&{layer.adds}" if layer.adds else "NULL", "0" if layer.relu else "-INFINITY"
        values = f"&{layer.source}, &{layer.result}, {adds}"
        return f"psr_convolve(io, {number}, {values}, {row}, {floor}, {reach});"

    def anchor_call(self, n_convs: int, row: str) -> str:
        values = f"&{INPUT}, &{ANCHOR_ROWS}, NULL"
        return f"psr_convolve(io, {n_convs}, {values}, {row}, -INFINITY, {_EVERYWHERE});"


class Int8(NumberFormat):
    """The integers of sr/quant/reference.py: chains of convolution and ReLU, bit for bit."""

    name = "int8"
    slack_px = 8  # of x2, whose 12-byte pixels are written 32 bytes at a time
    value_bytes = 1

    def detail(self, channels: int, scale: int) -> RowShape:
        return RowShape(scale, 3 * scale * 2)

    def anchor(self, scale: int) -> RowShape:
        return RowShape(1, 3 * scale * 2)

    def convolution_call(
        self, number: int, layer: Convolution, is_detail: bool, row: str, reach: str
    ) -> str:
        if layer.adds or layer.relu == is_detail:
            raise CompileError(
                f"network: {layer.weights}: int8 takes chains of convolution and ReLU only, "
                "without sums; compile it with --dtype fp32"
            )
        step = "psr_detail" if is_detail else "psr_convolve"
        return f"{step}(io, {number}, &{layer.source}, &{layer.result}, {row}, {reach});"

    def anchor_call(self, n_convs: int, row: str) -> str:
        return f"psr_anchor(io, &{INPUT}, &{ANCHOR_ROWS}, {row});"


FORMATS: dict[str, NumberFormat] = {f.name: f for f in (Int8(), Fp32())}


def find_format(dtype: str) -> NumberFormat:
    """The format of that name; raises CompileError for a name that is not registered."""
    if dtype not in FORMATS:
        raise CompileError(f"dtype {dtype!r} is not known; use one of {', '.join(FORMATS)}")
    return FORMATS[dtype]
