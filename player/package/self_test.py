"""What a blob's self-test is put to: a picture that player and engine make alike, of a seed."""

import numpy as np
from numpy.typing import NDArray

from player.package.architecture import Architecture
from player.package.scale import hr_px

SELF_TEST_PATCH_PX = 8
SELF_TEST_SAMPLES, SELF_TEST_CRC_BYTES = 64, 4


def self_test_stream(count: int, seed: int = 1) -> NDArray[np.uint32]:
    """`count` states of the generator s -> 1664525 s + 1013904223 (Numerical Recipes), u32."""
    states = np.empty(count, np.uint32)
    state = seed
    for i in range(count):
        # Python's integers, masked as C's u32 wrap by itself.
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        states[i] = state
    return states


def self_test_input(arch: Architecture, path: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The self-test's LR patch [8 + 2 halo, 8 + 2 halo, 3] u8, and the 64 sampled positions.

    On units of 3 the patch is 9 px wide.
    """
    patch_px = -(-SELF_TEST_PATCH_PX // arch.units) * arch.units
    side = patch_px + 2 * arch.halo_px(path)
    pixels = side * side * 3
    states = self_test_stream(pixels + SELF_TEST_SAMPLES)
    # The upper bits: the lower ones of such a generator repeat after a few states.
    patch = (states[:pixels] >> 24).astype(np.uint8).reshape(side, side, 3)
    outputs = hr_px(patch_px, arch.scale) ** 2 * 3
    return patch, (states[pixels:] >> 8).astype(np.int64) % outputs
