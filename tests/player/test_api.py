"""Whatever Python gives to the engine, and whenever: an exception or right work, never a crash.

The fake engine ends the process where it is used after it was closed. On the real one, with its
threads: tests/compiler/test_api.py.
"""

import copy
import gc
import os
import shutil
import threading
import time

import numpy as np
import pytest

from player.engine import Engine, EngineError, EngineNotFoundError
from player.package.package_error import PackageError
from player.prefetch import prefetch
from tests.router.random_router import router_blob


@pytest.fixture
def blob(made_package):
    return (made_package / "sr/weights-000.bin").read_bytes()


@pytest.fixture
def network(engine, blob):
    return engine.load(blob)


@pytest.fixture
def lr():
    return np.random.default_rng(0).integers(0, 200, (20, 30, 3)).astype(np.uint8)


def whole(lr, path=2):
    return np.array([[0, 0, *lr.shape[:2], 0, path]], np.int32)


def refuses(message, call, *arguments):
    with pytest.raises(EngineError, match=message) as caught:
        call(*arguments)
    assert caught.value.name == "PSR_E_ARG"


def test_what_is_closed_is_refused_and_may_be_closed_twice(engine, network, lr):
    pool = engine.pool(1)
    for thing in (pool, network):
        thing.close()
        thing.close()
        refuses("is closed", engine.pool(1).frame if thing is network else pool.frame,
                [network], whole(lr), lr)  # fmt: skip
    for call in (network.halo_px, network.explain, lambda path: network.upscale(lr, path)):
        refuses("the network is closed", call, 2)
    refuses("the network is closed", network.info, 8, 8)
    refuses("the network is closed", network.arena_bytes, 2, 8, 8)


def test_what_is_closed_within_a_call_lets_it_end(engine, network, lr):
    pool, row, made = engine.pool(1), lr[:1], []
    worker = threading.Thread(target=lambda: made.append(pool.frame([network], whole(row), row)))
    worker.start()
    time.sleep(0.05)  # the frame takes 0.2 s
    network.close()
    pool.close()
    refuses("closed", pool.frame, [network], whole(row), row)
    assert network.handle._finalizer.alive and pool.handle._finalizer.alive
    worker.join()
    assert not network.handle._finalizer.alive and not pool.handle._finalizer.alive
    np.testing.assert_array_equal(made[0], (row + np.uint8(6)).repeat(2, 0).repeat(2, 1))


def test_a_router_is_no_other(engine, lr):
    router = engine.load_router(bytearray(router_blob()))
    assert router.route(lr).size
    for image in (b"x", lr[:0], lr[::-1], lr.astype(float)):
        refuses("image", router.route, image)
    router.close()
    router.close()
    refuses("the router is closed", router.route, lr)
    refuses("the router is closed", router.arena_bytes, 8, 8)


def test_a_copy_of_a_network_keeps_it_open(engine, blob, lr):
    network = engine.load(blob)
    twin = copy.copy(network)
    del network
    gc.collect()
    assert engine.pool(1).frame([twin], whole(lr), lr).shape == (40, 60, 3)


def frozen(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (lambda: frozen(np.zeros((40, 60, 3), np.uint8)), "read-only"),
        (lambda: np.frombuffer(bytes(7200), np.uint8).reshape(40, 60, 3), "read-only"),
        (lambda: bytearray(7200), "array of NumPy, not bytearray"),
        (lambda: memoryview(bytearray(7200)), "array of NumPy, not memoryview"),
        (lambda: np.zeros((40, 60, 3), np.int8), "not RGB24"),
        (lambda: np.zeros((40, 120, 3), np.uint8)[:, ::2], "not RGB24"),
        (lambda: np.zeros((40, 60, 3), np.uint8)[::-1], "not RGB24"),
        (lambda: np.broadcast_to(np.uint8(0), (40, 60, 3)), "not RGB24"),
        (lambda: np.zeros((0, 60, 3), np.uint8), "not RGB24|no pixels"),
        (lambda: np.zeros((41, 60, 3), np.uint8), "out of"),
    ],
)
def test_an_out_that_c_could_not_write_is_refused(engine, network, lr, out, message):
    refuses(message, engine.pool(1).frame, [network], whole(lr), lr, out())


class Tensor:
    """Memory that NumPy could take, as the tensors of other libraries."""

    def __init__(self, array):
        self.shape, self.dtype = array.shape, array.dtype
        self.__array_interface__ = array.__array_interface__


def test_tensors_are_refused_on_both_sides(engine, network, lr):
    pool, out = engine.pool(1), np.zeros((40, 60, 3), np.uint8)
    refuses("not Tensor", pool.frame, [network], whole(lr), Tensor(lr))
    refuses("not Tensor", pool.frame, [network], whole(lr), lr, Tensor(out))


def test_out_may_be_a_part_of_a_larger_picture_and_not_the_input(engine, network, lr):
    pool, canvas = engine.pool(1), np.zeros((100, 100, 3), np.uint8)
    canvas[:20, :30] = lr
    refuses("memory", pool.frame, [network], whole(lr), canvas[:20, :30], canvas[10:50, 20:80])
    part = canvas[40:80, 30:90]
    assert pool.frame([network], whole(lr), canvas[:20, :30], part) is part
    np.testing.assert_array_equal(part, pool.frame([network], whole(lr), lr))
    assert not canvas[80:].any() and not canvas[40:80, 90:].any()


@pytest.mark.parametrize(
    "image", [b"x", None, 7, [[1]], np.zeros((0, 30, 3), "u1"), np.zeros((20, 0, 3), "u1"),
              np.zeros(5, "u1"), np.zeros((), "u1"), np.asfortranarray(np.zeros((20, 30, 3), "u1"))]
)  # fmt: skip
def test_an_image_that_c_could_not_read_is_refused(engine, network, lr, image):
    refuses("image", engine.pool(1).frame, [network], whole(lr), image)
    refuses("image", network.upscale, image, 2)


@pytest.mark.parametrize(
    "patches",
    [
        [[0, 0, 10, 30, 0, 2], [0, 0, 10, 30, 0, 2]],  # of the frame's area, one twice
        [[0, 0, 20, 15, 0, 2], [0, 10, 20, 15, 0, 1]],
        [[0, 0, 15, 20, 0, 2], [5, 10, 15, 20, 0, 2]],  # they share a corner
        [[0, 0, 20, 30, 0, 2], [0, 0, 20, 30, 0, 2]],
        np.zeros((0, 6)),
    ],
)
def test_patches_that_overlap_are_refused(engine, network, lr, patches):
    refuses("cover the frame once", engine.pool(1).frame, [network], np.array(patches, "i4"), lr)


@pytest.mark.parametrize("seed", range(20))
def test_patches_in_any_order_and_memory_cover_the_frame(engine, network, lr, seed):
    """Rectangles cut in two again and again, shuffled; one of them moved is found."""
    draw, rectangles = np.random.default_rng(seed), [(0, 0, 20, 30)]
    for _ in range(12):
        y, x, h, w = rectangles.pop(draw.integers(len(rectangles)))
        if h > 1 and draw.random() < 0.5:
            cut = draw.integers(1, h)
            rectangles += [(y, x, cut, w), (y + cut, x, h - cut, w)]
        elif w > 1:
            cut = draw.integers(1, w)
            rectangles += [(y, x, h, cut), (y, x + cut, h, w - cut)]
        else:
            rectangles.append((y, x, h, w))
    draw.shuffle(rectangles)
    patches = np.array([(*r, 0, 2) for r in rectangles], np.int32)
    hr = engine.pool(1).frame([network], np.asfortranarray(patches), lr)
    np.testing.assert_array_equal(hr, (lr + np.uint8(6)).repeat(2, 0).repeat(2, 1))
    moved = patches.copy()
    moved[0, :2] = np.where(moved[0, :2] > 0, moved[0, :2] - 1, moved[0, :2])
    if (moved != patches).any():
        refuses("cover the frame once", engine.pool(1).frame, [network], moved, lr)


@pytest.mark.parametrize("networks", [[None], [7], ["x"]])
def test_what_is_no_network_is_refused(engine, lr, networks):
    refuses("not loaded by the engine", engine.pool(1).frame, networks, whole(lr), lr)


def test_a_network_of_another_engine_is_refused(engine, engine_path, network, blob, lr, tmp_path):
    other = Engine.open(shutil.copy(engine_path, tmp_path / "other.so"))
    refuses("not loaded by", engine.pool(1).frame, [other.load(blob)], whole(lr), lr)
    refuses("not loaded by", other.pool(1).frame, [network], whole(lr), lr)


@pytest.mark.parametrize("threads", [65, 0, -1, 2**32 + 1, 2**70, 1.5, "2"])
def test_a_pool_has_1_to_64_threads(engine, threads):
    refuses("threads", engine.pool, threads)
    assert (engine.pool(64).threads, engine.pool(np.int64(1)).threads) == (64, 1)


@pytest.mark.parametrize("number", [2**32 + 2, -(2**70), 1.0, "2", None])
def test_numbers_that_c_does_not_hold_are_refused(network, lr, number):
    sizes = (lambda n: network.info(n, 8), lambda n: network.arena_bytes(2, n, 8))
    for call in (network.halo_px, network.explain, lambda n: network.upscale(lr, n), *sizes):
        refuses("is", call, number)
    assert network.halo_px(np.int64(2)) == network.halo_px(2)


def test_a_blob_may_lie_in_any_buffer(engine, blob):
    for buffer in (bytearray(blob), memoryview(blob), np.frombuffer(blob, np.uint8)):
        engine.load(buffer).close()
        engine.self_test(buffer)
    for other in (5, "x", None, [1]):
        refuses("a blob is bytes", engine.load, other)
        refuses("a blob is bytes", engine.self_test, other)


def in_a_child(work):
    """What `work` writes with os.write(1, ..) in a forked process; it may take ten seconds."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.dup2(writing, 1)
            work()
        finally:
            os._exit(0)
    os.close(writing)
    deadline = time.monotonic() + 10
    while not os.waitpid(child, os.WNOHANG)[0]:
        if time.monotonic() > deadline:
            os.kill(child, 9)
        time.sleep(0.01)
    with open(reading, "rb") as pipe:
        return pipe.read().decode()


def test_a_child_opens_a_pool_of_its_own(engine, network, lr):
    pool = engine.pool(2)

    def work():
        try:
            pool.frame([network], whole(lr), lr)
        except EngineError as error:
            os.write(1, str(error).encode())
        pool.close()
        hr = engine.pool(1).frame([network], whole(lr), lr)
        os.write(1, str(hr.shape).encode())

    said = in_a_child(work)
    assert "opened before a fork: open one in this process" in said and "(40, 60, 3)" in said
    assert pool.frame([network], whole(lr), lr).shape == (40, 60, 3)


def test_a_child_does_not_wait_for_frames_that_nobody_makes():
    frames = prefetch(iter(range(100)), 2)
    next(frames)

    def work():
        try:
            for _ in frames:
                pass
        except RuntimeError as error:
            os.write(1, str(error).encode())

    assert "begin again here" in in_a_child(work)
    assert list(frames) == list(range(1, 100))


def test_a_library_that_is_cut_off_is_not_mapped(engine_path, tmp_path):
    """The dynamic linker would end the process at the first page that is missing."""
    whole, path = engine_path.read_bytes(), tmp_path / "libpocketsr.so"
    for length in (0, 10, 64, 100, len(whole) // 4, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(PackageError, match="run `compile` again"):
            Engine.open(path)


@pytest.mark.timeout(20)
def test_a_pipe_is_no_library_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.so")
    with pytest.raises(PackageError, match="no plain file"):
        Engine.open(tmp_path / "pipe.so")
    with pytest.raises(EngineNotFoundError):
        Engine.open(tmp_path / "gone" / "x.so")
