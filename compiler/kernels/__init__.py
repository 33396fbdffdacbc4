"""The engine's kernels: vector TIR, written by hand, shaped by the target."""

from tvm.tirx import PrimFunc

from compiler.kernels.convolution import BLOCK, PIXEL, ConvolutionTile, convolution_kernel
from compiler.kernels.rows import (
    load_kernel,
    store_anchor_kernel,
    store_residual_kernel,
    store_sum_kernel,
)
from compiler.targets import Target


def convolution_tiles(target: Target) -> list[ConvolutionTile]:
    """Every kernel that a row of any convolution may need: by input, outputs and pixels."""
    blocks = range(1, target.tile.blocks + 1)
    return [
        ConvolutionTile(in_channels, b, pixels)
        for in_channels in (PIXEL, BLOCK)
        for b in blocks
        for pixels in target.tile.pixels
    ]


def all_kernels(target: Target) -> dict[str, PrimFunc]:
    """C name -> kernel."""
    lanes = target.lanes
    convolutions = {t.name: convolution_kernel(t, lanes) for t in convolution_tiles(target)}
    return convolutions | {
        "psr_kernel_load": load_kernel(),
        "psr_kernel_store_sum": store_sum_kernel(lanes),
        "psr_kernel_store_anchor": store_anchor_kernel(lanes),
        "psr_kernel_store_residual": store_residual_kernel(lanes),
    }
