"""int8 networks for tests, and what the reference makes of pictures, computed once.

A pixel depends on its neighbourhood alone, so every rectangle of one large picture is a case.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import product

import numpy as np

from player.package.architecture import Architecture
from player.package.paths import BICUBIC
from sr.quant import reference
from tests.compiler.seeded import int8_blob
from tests.sr.random_int8 import random_int8

# All scales and units; widths that fill blocks of 16, odd numbers of blocks, and pruned ones that
# do not.
ARCHITECTURES = (
    Architecture("chain", 4, (32,) * 6, (2, 6)),
    Architecture("chain", 3, (20, 48, 36), (1, 3)),
    Architecture("chain", 2, (12, 52), (2,)),
    Architecture("chain", 2, (4,), (1,)),
    Architecture("espcn", 3, (64, 64, 32), (3,)),
    Architecture("espcn", 4, (36, 4), (2,)),
    Architecture("chain", 1, (24, 8), (1, 2)),
    Architecture("chain", 1, (32, 16, 8, 20), (1, 2, 3, 4), units=2),
    Architecture("chain", Fraction(3, 2), (32, 12, 16), (1, 2, 3), units=2),
    Architecture("chain", 1, (48, 4), (2,), units=3),
    Architecture("chain", 4, (12,), (1,), units=3),
)
KINDS = ("typical", "extreme", "halves", "least", "saturated")
HEIGHT, WIDTH = 37, 71  # of the large picture, in places: units of LR pixels
_LEAST, _MOST = np.float32(2.0**-40), np.nextafter(np.float32(64), np.float32(0))


@dataclass(frozen=True)
class Case:
    """An architecture with weights of one kind, and one of its paths."""

    arch: Architecture
    kind: str
    path: int

    @property
    def halo_px(self) -> int:
        return self.arch.halo_px(self.path)

    def patch(self, y: int, x: int, height: int, width: int) -> np.ndarray:
        """The rectangle of the large picture, in places, with its halo [h + 2R, w + 2R, 3] u8."""
        u, whole = self.arch.units, picture(self.kind, self.halo_px, self.arch.units)
        rows, columns = height * u + 2 * self.halo_px, width * u + 2 * self.halo_px
        return np.ascontiguousarray(whole[y * u : y * u + rows, x * u : x * u + columns])

    def wanted(self, y: int, x: int, height: int, width: int) -> np.ndarray:
        """What the reference makes of it, [r h, r w, 3] u8."""
        side = self.arch.hr_units
        return _large(self)[side * y : side * (y + height), side * x : side * (x + width)]


def cases(*kinds: str) -> list[Case]:
    """Every network and path with weights of these kinds; the bicubic path has no weights."""
    found = []
    for kind, arch in product(kinds, ARCHITECTURES):
        paths = arch.paths if kind in ("extreme", "halves", "least") else (BICUBIC, *arch.paths)
        found += [Case(arch, kind, path) for path in paths]
    return found


def case_name(case: Case) -> str:
    arch, widths = case.arch, "-".join(map(str, case.arch.widths))
    shape = f"{arch.name}-x{float(arch.scale):g}-u{arch.units}-{widths}"
    return f"{shape}-path{case.path}-{case.kind}"


@lru_cache
def tensors(arch: Architecture, kind: str) -> dict[str, np.ndarray]:
    """Weights of a kind: see KINDS. The bounds hold for all of them."""
    made = random_int8(arch, ARCHITECTURES.index(arch), extreme=kind in ("extreme", "saturated"))
    for name, value in made.items():
        if name.endswith(".multiplier"):
            made[name] = _multipliers(value, kind)
    return made


def _multipliers(value: np.ndarray, kind: str) -> np.ndarray:
    """halves: powers of two, so that sums fall between two integers. least: the limits, in turn."""
    if kind == "halves":
        return np.exp2(np.round(np.log2(value))).astype(np.float32)
    if kind == "least":
        return np.where(np.arange(value.size) % 2, value, _LEAST).astype(np.float32)
    if kind == "saturated":
        return np.where(np.arange(value.size) % 2, value, _MOST).astype(np.float32)
    return value


@lru_cache
def picture(kind: str, halo_px: int, units: int = 1) -> np.ndarray:
    """The large picture with a halo, u8: noise, or noise of black and white."""
    shape = (HEIGHT * units + 2 * halo_px, WIDTH * units + 2 * halo_px, 3)
    noise = np.random.default_rng(halo_px).integers(0, 256, shape).astype(np.uint8)
    return np.where(noise > 127, 255, 0).astype(np.uint8) if kind == "saturated" else noise


@lru_cache
def _large(case: Case) -> np.ndarray:
    whole = case.patch(0, 0, HEIGHT, WIDTH)
    return reference.upscale(case.arch, tensors(case.arch, case.kind), whole, case.path)


@lru_cache
def blob(arch: Architecture, kind: str) -> bytes:
    """The weights blob, with its self-test."""
    return int8_blob(arch, tensors(arch, kind))
