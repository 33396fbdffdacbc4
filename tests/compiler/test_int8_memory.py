"""int8: nothing is read or written outside the patch, the arena and the HR rows."""

import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from player.package.scale import hr_px
from tests.compiler.fenced import fenced
from tests.compiler.int8_cases import HEIGHT, WIDTH, Case, case_name, cases

GUARD = 0xA5
GAP = 7  # bytes between HR rows
# y, x, height, width in places: the narrowest, one that fills no tile, one that fills several.
RECTANGLES = ((0, 0, 1, 1), (2, 3, 5, 13), (1, 1, 3, 29), (0, 4, 2, 64))


def upscale_fenced(engine, network, sample: Case, rectangle, at_end: bool) -> None:
    """One call whose patch, arena and HR rows each touch a forbidden page."""
    height, width = (side * sample.arch.units for side in rectangle[2:])
    lr = fenced_copy(sample.patch(*rectangle), at_end)
    rows, columns = (side * sample.arch.hr_units for side in rectangle[2:])
    row = 3 * columns
    memory = fenced((rows - 1) * (row + GAP) + row, at_end=at_end)
    memory[:] = GUARD
    arena = fenced(network.arena_bytes(sample.path, height, width), 64, at_end)
    arena[:] = GUARD
    code = engine.library.psr_upscale(
        network.handle, sample.path, lr.ctypes.data, lr.strides[0], height, width,
        memory.ctypes.data, row + GAP, arena.ctypes.data,
    )  # fmt: skip
    assert code == 0
    hr = as_strided(memory, (rows, row), (row + GAP, 1))
    assert np.array_equal(hr, sample.wanted(*rectangle).reshape(rows, row))
    gaps = as_strided(memory[row:], (rows - 1, GAP), (row + GAP, 1))
    assert (gaps == GUARD).all()


def play_fenced(engine, network, sample: Case, lr: np.ndarray, at_end: bool) -> None:
    """A frame that ends within a unit; LR and HR each touch a forbidden page."""
    scale, (height, width) = sample.arch.scale, lr.shape[:2]
    patches = np.array([[0, 0, height, width, 0, sample.path]], np.int32)
    wanted = engine.pool(1).frame([network], patches, lr)
    lr, (rows, columns) = fenced_copy(lr, at_end), wanted.shape[:2]
    assert (rows, columns) == (hr_px(height, scale), hr_px(width, scale))
    memory = fenced((rows - 1) * (3 * columns + GAP) + 3 * columns, at_end=at_end)
    memory[:] = GUARD
    hr = as_strided(memory, (rows, columns, 3), (3 * columns + GAP, 3, 1))
    engine.pool(2).frame([network], patches, lr, hr)
    assert np.array_equal(hr, wanted)
    gaps = as_strided(memory[3 * columns :], (rows - 1, GAP), (3 * columns + GAP, 1))
    assert (gaps == GUARD).all()


def fenced_copy(image: np.ndarray, at_end: bool) -> np.ndarray:
    copied = fenced(image.size, at_end=at_end).reshape(image.shape)
    copied[:] = image
    return copied


@pytest.mark.parametrize("sample", cases("typical"), ids=case_name)
def test_every_version_stays_inside(sample, int8_engine, int8_isas, int8_network):
    for isa, rectangle, at_end in product(int8_isas, RECTANGLES, (True, False)):
        upscale_fenced(int8_engine, int8_network(isa, sample.arch), sample, rectangle, at_end)


@pytest.mark.parametrize("sample", cases("typical"), ids=case_name)
def test_frames_stay_inside(sample, int8_engine, int8_isas, int8_network):
    u = sample.arch.units
    for isa, (_, _, height, width) in product(int8_isas, RECTANGLES):
        lr = sample.patch(0, 0, height, width)[: height * u - u // 2, : width * u - u // 2]
        for at_end in (True, False):
            network = int8_network(isa, sample.arch)
            play_fenced(int8_engine, network, sample, np.ascontiguousarray(lr), at_end)


def test_the_fence_holds():
    """A byte too many on either side is a crash, or the test above could not fail."""
    script = """
import ctypes
from player.package.scale import hr_px
from tests.compiler.fenced import fenced
memory = fenced(100, at_end={})
ctypes.string_at(memory.ctypes.data + {}, 1)
"""
    crashes = {(True, 100): True, (True, 99): False, (False, -1): True, (False, 0): False}
    for arguments, crash in crashes.items():
        command = [sys.executable, "-c", script.format(*arguments)]
        assert (subprocess.run(command, check=False).returncode < 0) == crash


@pytest.mark.parametrize("sample", cases("saturated"), ids=case_name)
def test_patches_make_the_whole_frame(sample, int8_engine, int8_isas, int8_network):
    """psr_frame, in patches and at once, by any number of threads, is psr_upscale."""
    arch = sample.arch
    lr = sample.patch(0, 0, HEIGHT, WIDTH)[1:, 1:]  # the last units of 2 and 3 are cut
    height, width = lr.shape[:2]
    sides = [(sample.halo_px, sample.halo_px + -side % arch.units) for side in (height, width)]
    for isa in int8_isas:
        network = int8_network(isa, arch, sample.kind)
        wanted = network.upscale(np.pad(lr, (*sides, (0, 0)), "edge"), sample.path)
        wanted = wanted[: hr_px(height, arch.scale), : hr_px(width, arch.scale)]
        cuts = patches_of(height, width, sample.path, arch.units)
        for threads, patches in product((1, 2, 3, 5), cuts):
            ours = int8_engine.pool(threads).frame([network], patches, lr)
            assert np.array_equal(ours, wanted), (isa, threads)


def patches_of(height: int, width: int, path: int, units: int) -> list[np.ndarray]:
    """The frame as one patch, and as a grid whose last ones are narrower."""
    high, wide = 13 * units, 17 * units
    grid = [
        (y, x, min(high, height - y), min(wide, width - x), 0, path)
        for y in range(0, height, high)
        for x in range(0, width, wide)
    ]
    return [np.array([[0, 0, height, width, 0, path]], np.int32), np.array(grid, np.int32)]


@pytest.mark.slow
@pytest.mark.parametrize("size", [(8192, 1), (1, 8192), (540, 960)])
def test_the_largest_sizes(size, int8_isas, int8_network):
    """Against each other: the reference would take minutes."""
    sample = cases("typical")[0]
    shape = (size[0] + 2 * sample.halo_px, size[1] + 2 * sample.halo_px, 3)
    lr = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    results = [int8_network(isa, sample.arch).upscale(lr, sample.path) for isa in int8_isas]
    assert all(np.array_equal(results[0], other) for other in results[1:])
