"""The binding checks what C would not."""

import json
import os

import numpy as np
import pytest

from player.engine import Engine, EngineError, EngineNotFoundError
from player.package.package_error import PackageError
from tests.player.conftest import compile_fake


@pytest.fixture
def network(engine, made_package):
    return engine.load((made_package / "sr/weights-000.bin").read_bytes())


@pytest.fixture
def lr():
    return np.random.default_rng(0).integers(0, 200, (20, 30, 3)).astype(np.uint8)


def whole(lr, path=2, network=0):
    return np.array([[0, 0, *lr.shape[:2], network, path]], np.int32)


def test_a_frame_of_many_patches_is_stitched(engine, network, lr):
    patches = np.array([[0, 0, 20, 10, 0, 1], [0, 10, 5, 20, 0, 2], [5, 10, 15, 20, 0, 0]], "i4")
    hr = engine.pool(2).frame((network,), patches, lr)
    assert hr.shape == (40, 60, 3)
    add = np.zeros((20, 30, 1), np.uint8)
    add[:, :10], add[:5, 10:] = 3, 6
    np.testing.assert_array_equal(hr, (lr + add).repeat(2, 0).repeat(2, 1))


def test_rows_may_be_apart(engine, network, lr):
    wide = np.zeros((20, 50, 3), np.uint8)
    wide[:, 7:37] = lr
    hr = engine.pool(1).frame((network,), whole(lr), wide[:, 7:37])
    np.testing.assert_array_equal(hr, engine.pool(1).frame((network,), whole(lr), lr))


def test_one_patch_with_its_halo(network, lr):
    halo = network.halo_px(2)
    hr = network.upscale(lr, 2)
    inner = lr[halo:-halo, halo:-halo] + np.uint8(6)
    np.testing.assert_array_equal(hr, inner.repeat(2, 0).repeat(2, 1))
    with pytest.raises(EngineError, match="PSR_E_ARG"):
        network.upscale(lr[: 2 * halo], 2)
    with pytest.raises(EngineError, match="PSR_E_ARG"):
        network.upscale(lr, 7)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda a: a[:, :, :2],
        lambda a: a[:, ::2],
        lambda a: a[::-1],
        lambda a: a.astype(np.int16),
        lambda a: a[..., 0],
        lambda a: a.transpose(2, 0, 1),
        lambda a: a[:, :, ::-1],
    ],
)
def test_an_array_that_is_not_rgb24_is_refused(engine, network, lr, spoil):
    with pytest.raises(EngineError, match="PSR_E_ARG"):
        engine.pool(1).frame((network,), whole(lr), spoil(lr))


@pytest.mark.parametrize(
    "patch",
    [
        [0, 0, 21, 30, 0, 2],
        [0, 1, 20, 30, 0, 2],
        [-1, 0, 20, 30, 0, 2],
        [0, 0, 0, 30, 0, 2],
        [0, 0, 20, 30, 1, 2],
        [0, 0, 20, 30, -1, 2],
        [0, 0, 20, 30, 0, 5],
        [2**31 - 1, 0, 1, 1, 0, 2],
    ],
)
def test_a_patch_outside_the_frame_is_refused(engine, network, lr, patch):
    with pytest.raises(EngineError, match="outside the frame"):
        engine.pool(1).frame((network,), np.array([patch], np.int32), lr)


def test_patches_of_another_form_are_refused(engine, network, lr):
    pool = engine.pool(1)
    for patches in (whole(lr).astype(np.int64), whole(lr)[:, :5], whole(lr)[0]):
        with pytest.raises(EngineError):
            pool.frame((network,), patches, lr)
    with pytest.raises(EngineError):
        pool.frame((), whole(lr), lr)


def test_patches_that_do_not_cover_the_frame_are_refused(engine, network, lr):
    with pytest.raises(EngineError, match="cover"):
        engine.pool(1).frame((network,), np.array([[0, 0, 20, 29, 0, 2]], np.int32), lr)


def test_a_damaged_blob_is_refused_before_c_sees_it(engine, made_package):
    blob = bytearray((made_package / "sr/weights-000.bin").read_bytes())
    blob[50] ^= 1
    with pytest.raises(PackageError, match="checksum"):
        engine.load(bytes(blob))


def test_errors_of_the_engine_have_names(engine):
    with pytest.raises(EngineError, match="PSR_E_ARG") as caught:
        engine.pool(1000)
    assert (caught.value.name, caught.value.exit_code) == ("PSR_E_ARG", 5)


def test_a_library_that_is_none_is_refused(tmp_path):
    (tmp_path / "libpocketsr.so").write_bytes(b"not a library")
    with pytest.raises(PackageError, match="run `compile` again"):
        Engine.open(tmp_path / "libpocketsr.so")


def test_an_engine_other_than_compile_made_is_refused(tmp_path, engine_path):
    library = tmp_path / "libpocketsr.so"
    library.write_bytes(engine_path.read_bytes())
    (tmp_path / "engine.json").write_text(json.dumps({"sha256": "0" * 64}))
    with pytest.raises(PackageError, match="not the file that `compile` made"):
        Engine.open(library)


def test_a_library_that_is_not_there_is_named(tmp_path):
    with pytest.raises(EngineNotFoundError, match=r"gone\.so") as caught:
        Engine.open(tmp_path / "gone.so")
    assert caught.value.exit_code == 3


def test_libraries_loaded_one_after_the_other_are_not_mixed_up(tmp_path, engine_path):
    """The dynamic linker knows a library by its name, here that of a descriptor."""
    for add in (1, 2, 3):
        source = tmp_path / f"{add}.c"
        source.write_text(f"int psr_test(void) {{ return {add}; }}")
        library = Engine.open(compile_fake(tmp_path / f"{add}.so", source)).library
        assert library.psr_test() == add


def test_a_library_opened_often_takes_one_descriptor(engine_path):
    Engine.open(engine_path)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        Engine.open(engine_path)
    assert len(os.listdir("/proc/self/fd")) == before
