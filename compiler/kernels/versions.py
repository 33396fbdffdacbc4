"""Kernel versions: one instruction set each. An engine holds several and chooses when it starts.

This is the one table of them. The arithmetic of a version is in the folders beside it; here is what
shapes it: registers, vector width, and the processor's features without which it must not run.
VERSIONS says which kinds of machine have which; the C enum PSR_CPU_* is generated from `needs`.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TileShape:
    """How a convolution fills the registers: `blocks` times 16 outputs, for `pixels` pixels.

    `pixels` falls: a row is covered with the first shape as far as it goes, the rest with the
    next ones. pixels * blocks * 16 / lanes accumulators, that many less one block's weights and
    a broadcast, must fit the vector registers. `alone`: pixels for one block by itself, where
    `blocks` are more.
    """

    blocks: int
    pixels: tuple[int, int, int]
    alone: tuple[int, int, int] | None = None

    def pixels_of(self, blocks: int) -> tuple[int, int, int]:
        """The pixel counts of kernels that compute so many blocks."""
        return self.alone if self.alone and blocks < self.blocks else self.pixels


@dataclass(frozen=True)
class Version:
    """The kernels of one number format for one instruction set."""

    name: str
    dtype: str  # fp32 or int8
    cpu: str  # LLVM's; empty where the kernels become C
    features: tuple[str, ...]
    needs: tuple[str, ...]  # features that runtime/cpu.c finds; none where the target has them all
    lanes: int  # 32-bit numbers in a vector register
    registers: int
    tile: TileShape

    @property
    def is_c(self) -> bool:
        return not self.cpu


_V3, _V4 = "x86-64-v3", "x86-64-v4"
_DOT = ("+neon", "+dotprod")
_WIDE = TileShape(2, (12, 8, 4), alone=(24, 12, 4))

FP32_AVX512 = Version("avx512", "fp32", _V4, (), ("AVX512",), 16, 32, _WIDE)
FP32_AVX2 = Version("avx2", "fp32", _V3, (), (), 8, 16, TileShape(1, (6, 4, 2)))
FP32_NEON = Version("neon", "fp32", "generic", ("+neon",), (), 4, 32, TileShape(1, (6, 4, 2)))

# 12 pixels x 2 vectors of sums are 24 of 32 registers: no slower than 14, and stored in fours.
INT8_AVX512VNNI = Version(
    "avx512vnni", "int8", _V4, ("+avx512vnni",), ("AVX512", "AVX512VNNI"), 16, 32, _WIDE
)
INT8_AVXVNNI = Version(
    "avxvnni", "int8", _V3, ("+avxvnni",), ("AVXVNNI",), 8, 16, TileShape(1, (6, 4, 2))
)
# A product takes a register of its own here: vpmaddwd has no accumulator.
INT8_AVX2 = Version("avx2", "int8", _V3, (), (), 8, 16, TileShape(1, (4, 2, 1)))

# 3 pixels x 4 vectors of sums: a product takes two registers of 16 bits before it is added.
INT8_NEON = Version("neon", "int8", "generic", ("+neon",), (), 4, 32, TileShape(1, (3, 2, 1)))
# 5 pixels x 4 vectors are 20 of 32 registers, 5 hold a pixel's channels each, the rest weights.
INT8_DOTPROD = Version(
    "dotprod", "int8", "generic", _DOT, ("DOTPROD",), 4, 32, TileShape(1, (5, 2, 1))
)
# Pixels come in pairs. 6 would fill all registers, and LLVM then spills.
INT8_I8MM = Version(
    "i8mm",
    "int8",
    "generic",
    (*_DOT, "+i8mm"),
    ("DOTPROD", "I8MM"),
    4,
    32,
    TileShape(1, (4, 2, 2)),
)

# Plain C, whose compiler has its own mind about registers.
FP32_C = Version("c", "fp32", "", (), (), 16, 0, TileShape(1, (4, 2, 1)))
INT8_C = Version("c", "int8", "", (), (), 16, 0, TileShape(1, (4, 2, 1)))

_V3_FP32, _ARM_INT8 = (FP32_AVX512, FP32_AVX2), (INT8_I8MM, INT8_DOTPROD, INT8_NEON)

# By kind of machine and number format, the best first; the last one runs on every such machine.
VERSIONS: Mapping[str, Mapping[str, tuple[Version, ...]]] = {
    "x86-64-v3": {"fp32": _V3_FP32, "int8": (INT8_AVX512VNNI, INT8_AVXVNNI, INT8_AVX2)},
    # Processors with AVX-512; those without its VNNI take the AVX2 kernels for int8.
    "x86-64-v4": {"fp32": (FP32_AVX512,), "int8": (INT8_AVX512VNNI, INT8_AVX2)},
    "arm64": {"fp32": (FP32_NEON,), "int8": _ARM_INT8},
    "c": {"fp32": (FP32_C,), "int8": (INT8_C,)},
}


def cpu_features() -> tuple[str, ...]:
    """Every feature that some version needs, each a bit of PSR_CPU_*, in the table's order."""
    rows = [v for kind in VERSIONS.values() for versions in kind.values() for v in versions]
    return tuple(dict.fromkeys(name for version in rows for name in version.needs))
