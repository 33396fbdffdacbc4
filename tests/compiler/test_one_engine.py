"""One engine plays networks that nobody knew when it was compiled."""

from fractions import Fraction

import numpy as np
import pytest

from player.costs import macs_per_pixel
from player.package.architecture import Architecture
from player.package.paths import HARD
from tests.compiler.conftest import arch_name
from tests.compiler.members import empty_blob
from tests.compiler.seeded import int8_blob, reference_frame
from tests.sr.random_int8 import random_int8

HALF_MORE = Fraction(3, 2)
# Widths as `chex` and `condense` leave them among them: none was chosen for a kernel's blocks.
NETWORKS = (
    Architecture("chain", 4, (32,) * 6, (2, 6)),
    Architecture("chain", 4, (20, 36, 28, 32, 24, 12), (2, 6)),  # chex
    Architecture("chain", 4, (24,) * 6, (2, 6)),  # condense
    Architecture("chain", 3, (16, 24), (2,)),
    Architecture("chain", 2, (8, 44, 16), (1, 3)),
    Architecture("espcn", 2, (48, 20, 8), (3,)),
    Architecture("chain", 2, (24, 16), (1, 2), units=2),
    Architecture("chain", HALF_MORE, (36, 20), (1, 2), units=2),
    Architecture("chain", 1, (16, 16, 16), (1, 2, 3)),
    Architecture("chain", 1, (48, 20, 36, 8), (1, 2, 3, 4), units=2),
    Architecture("chain", 1, (32, 4), (2,), units=3),
    Architecture("chain", 3, (12,) * 12, (12,)),
)


def test_twelve_films_take_one_engine(int8_engine):
    """All of them open at once, each at its own scale, bit for bit."""
    pool, frame = int8_engine.pool(2), noise(13, 22)
    made = [random_int8(arch, seed) for seed, arch in enumerate(NETWORKS)]
    opened = [int8_engine.load(int8_blob(*pair)) for pair in zip(NETWORKS, made, strict=True)]
    for arch, tensors, network in zip(NETWORKS, made, opened, strict=True):
        for path in arch.paths:
            whole = np.array([[0, 0, 13, 22, 0, path]], np.int32)
            wanted = reference_frame(arch, tensors, path, frame)
            assert np.array_equal(pool.frame([network], whole, frame), wanted), (arch, path)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(width).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_networks_of_other_units_share_a_frame(int8_engine):
    """Of one scale; each patch begins at multiples of its own network's units."""
    archs = [arch for arch in NETWORKS if arch.scale == 1]
    made = [random_int8(arch, seed) for seed, arch in enumerate(archs)]
    opened = [int8_engine.load(int8_blob(*pair)) for pair in zip(archs, made, strict=True)]
    frame = noise(11, 23)
    patches = [(0, 0, 11, 5, 0, HARD), (0, 6, 11, 6, 2, HARD), (0, 12, 11, 11, 1, HARD)]
    patches += [(0, 5, 11, 1, 0, HARD)]
    ours = int8_engine.pool(2).frame(opened, np.array(patches, np.int32), frame)
    for _, x, _, width, number, path in patches:
        wanted = reference_frame(archs[number], made[number], path, frame)
        assert np.array_equal(ours[:, x : x + width], wanted[:, x : x + width]), archs[number]


@pytest.mark.parametrize("known", NETWORKS, ids=arch_name)
def test_it_says_what_a_network_is(known, int8_engine):
    network = int8_engine.load(empty_blob(known, "int8"))
    info = network.info(271, 481)
    ratio = Fraction(known.scale)
    assert info["scale"] == f"{ratio.numerator}/{ratio.denominator}"
    assert (info["architecture"], info["units"]) == (known.name, known.units)
    assert (tuple(info["widths"]), tuple(info["exits"])) == (known.widths, known.exits)
    hard = info["paths"]["hard"]
    whole = [-(-side // known.units) * known.units for side in (271, 481)]
    assert hard["arena_bytes"] == network.arena_bytes(HARD, *whole)
    assert hard["halo_px"] == known.halo_px(HARD)
    assert hard["macs"] == round(macs_per_pixel(known, HARD) * whole[0] * whole[1])
