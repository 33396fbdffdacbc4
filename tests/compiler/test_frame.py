"""psr_frame and psr_upscale as a caller in C uses them: patches, threads, strides, guard bands."""

import ctypes

import numpy as np
import pytest

from player.package.scale import hr_px

GUARD = 0xA5


def whole(height: int, width: int, path: int) -> np.ndarray:
    return np.array([[0, 0, height, width, 0, path]], np.int32)


def grid(height: int, width: int, path: int, units: int) -> np.ndarray:
    """Patches of 13 x 17 places; the last ones are cut."""
    fine_h, fine_w = 13 * units, 17 * units
    rows = [
        (y, x, min(fine_h, height - y), min(fine_w, width - x), 0, path)
        for y in range(0, height, fine_h)
        for x in range(0, width, fine_w)
    ]
    return np.array(rows, np.int32)


def pad(lr: np.ndarray, halo: int, units: int = 1) -> np.ndarray:
    """The halo around a frame, and what is missing of its last units."""
    sides = [(halo, halo + -side % units) for side in lr.shape[:2]]
    return np.pad(lr, (*sides, (0, 0)), "edge")


def test_patches_make_the_whole_frame_bit_for_bit(case, engine, networks, picture):
    arch, path = case
    network, lr = networks[arch], picture(41, 77)  # no whole units of 2 nor 3
    wanted = network.upscale(pad(lr, network.halo_px(path), arch.units), path)
    wanted = wanted[: hr_px(41, arch.scale), : hr_px(77, arch.scale)]
    with_patches = engine.pool(2).frame([network], grid(41, 77, path, arch.units), lr)
    at_once = engine.pool(2).frame([network], whole(41, 77, path), lr)
    assert np.array_equal(with_patches, wanted)
    assert np.array_equal(at_once, wanted)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (130, 217), (217, 130)])
def test_tiles_and_threads_leave_no_trace(default_arch, size, engine, networks, picture):
    network, lr = networks[default_arch], picture(*size)
    wanted = network.upscale(pad(lr, network.halo_px(2)), 2)
    for threads in (1, 2, 3, 5):
        ours = engine.pool(threads).frame([network], whole(*size, 2), lr)
        assert np.array_equal(ours, wanted), threads


def test_the_tallest_and_widest_frames(tiny_arch, engine, networks, picture):
    network = networks[tiny_arch]
    for size in ((8192, 1), (1, 8192)):
        lr = picture(*size)
        wanted = network.upscale(pad(lr, network.halo_px(2)), 2)
        assert np.array_equal(engine.pool(1).frame([network], whole(*size, 2), lr), wanted)


def test_a_frame_of_several_networks_and_paths(default_arch, engine, networks, pairs, picture):
    first = networks[default_arch]
    second = engine.load(pairs[default_arch].blob)
    lr = picture(40, 60)
    patches = np.array([(0, 0, 40, 20, 0, 0), (0, 20, 40, 20, 1, 1), (0, 40, 40, 20, 0, 2)], "i4")
    hr = engine.pool(2).frame([first, second], patches, lr)
    for y, x, h, w, _, path in patches:
        part = pad(lr, first.halo_px(path))
        wanted = first.upscale(part, path)
        box = np.s_[4 * y : 4 * (y + h), 4 * x : 4 * (x + w)]
        assert np.array_equal(hr[box], wanted[box])


def guarded(height: int, width: int, margin: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A picture inside a larger one that is full of guard bytes."""
    outer = np.full((height + 2 * margin, width + 2 * margin, 3), GUARD, np.uint8)
    return outer, outer[margin:-margin, margin:-margin]


def test_nothing_is_written_outside_the_patch_and_the_arena(case, engine, networks, picture):
    arch, path = case
    network = networks[arch]
    halo, scale, u = network.halo_px(path), arch.scale, arch.units
    for height, width in ((u, u), (5 * u, 13 * u), (9 * u, 29 * u), (2 * u, 64 * u)):
        lr = picture(height + 2 * halo, width + 2 * halo)
        outer, hr = guarded(hr_px(height, scale), hr_px(width, scale))
        size = network.arena_bytes(path, height, width)
        memory = np.full(size + 3 * 64, GUARD, np.uint8)
        start = 64 + -memory.ctypes.data % 64
        code = engine.library.psr_upscale(
            network.handle, path, lr.ctypes.data, lr.strides[0], height, width,
            hr.ctypes.data, hr.strides[0], memory.ctypes.data + start,
        )  # fmt: skip
        assert code == 0
        assert np.array_equal(hr, network.upscale(lr, path))
        outer[3:-3, 3:-3] = GUARD
        assert (outer == GUARD).all()
        assert (memory[:start] == GUARD).all() and (memory[start + size :] == GUARD).all()


def test_the_arena_needs_no_initialisation(default_arch, engine, networks, picture):
    network = networks[default_arch]
    lr = picture(20 + 12, 30 + 12)
    outputs = []
    for fill in (0x00, 0xFF):  # 0xFF: every float a NaN
        memory = np.full(network.arena_bytes(2, 20, 30) + 64, fill, np.uint8)
        hr = np.empty((80, 120, 3), np.uint8)
        engine.library.psr_upscale(
            network.handle, 2, lr.ctypes.data, lr.strides[0], 20, 30,
            hr.ctypes.data, hr.strides[0], memory.ctypes.data + -memory.ctypes.data % 64,
        )  # fmt: skip
        outputs.append(hr)
    assert np.array_equal(*outputs)


def test_the_arena_is_the_formula_and_height_is_free(default_arch, networks):
    """Linear in the width, rounded up to PSR_COLUMNS."""
    network = networks[default_arch]
    sizes = [network.arena_bytes(2, h, w) for h, w in ((1, 10), (500, 16), (1, 17), (1, 33))]
    assert sizes[0] == sizes[1]
    assert sizes[2] - sizes[0] == sizes[3] - sizes[2] > 0


E_ARG = 7


@pytest.mark.parametrize(
    "patch",
    [
        (0, 0, 41, 40, 0, 2),
        (0, 1, 40, 40, 0, 2),
        (-1, 0, 5, 5, 0, 2),
        (0, 0, 0, 5, 0, 2),
        (0, 0, 5, -5, 0, 2),
        (2**31 - 1, 0, 5, 5, 0, 2),
        (0, 0, 2**31 - 1, 5, 0, 2),
        (0, 0, 5, 5, 1, 2),
        (0, 0, 5, 5, -1, 2),
        (0, 0, 5, 5, 0, 3),
        (0, 0, 5, 5, 0, -1),
    ],
)
def test_wrong_patches_are_refused(default_arch, patch, engine, networks, picture):
    network, lr, hr = networks[default_arch], picture(40, 40), np.zeros((160, 160, 3), np.uint8)
    patches = np.array([patch], np.int32)
    handles = (ctypes.c_void_p * 1)(network.handle.value)
    code = engine.library.psr_frame(
        engine.pool(1).handle, handles, 1, patches.ctypes.data, 1,
        lr.ctypes.data, lr.strides[0], 40, 40, hr.ctypes.data, hr.strides[0],
    )  # fmt: skip
    assert code == E_ARG
    assert not hr.any()


def test_wrong_sizes_and_arenas_are_refused(default_arch, engine, networks, picture):
    network, library = networks[default_arch], engine.library
    lr, hr = picture(20, 20), np.zeros((80, 80, 3), np.uint8)
    memory = np.zeros(network.arena_bytes(2, 8, 8) + 128, np.uint8)
    aligned = memory.ctypes.data + -memory.ctypes.data % 64
    for h, w, arena in ((0, 8, aligned), (8, -1, aligned), (8, 8193, aligned), (8, 8, aligned + 4)):
        code = library.psr_upscale(
            network.handle, 2, lr.ctypes.data, 60, h, w, hr.ctypes.data, 240, arena
        )
        assert code == E_ARG
    assert network.arena_bytes(2, 0, 8) == network.arena_bytes(7, 8, 8) == 0
    handle = ctypes.c_void_p()
    assert library.psr_pool_open(0, ctypes.byref(handle)) == E_ARG
    assert library.psr_pool_open(65, ctypes.byref(handle)) == E_ARG
