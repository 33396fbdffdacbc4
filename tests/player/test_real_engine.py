"""The player on the engine that `compile` makes."""

import numpy as np
import pytest

from player.bicubic import upscale_bicubic
from player.engine import Engine, EngineError
from player.package.paths import BICUBIC, EASY, HARD

pytestmark = pytest.mark.slow  # the compiler takes ten seconds


@pytest.fixture(scope="module", params=["int8", "fp32"])
def compiled(request, shared):
    """The engine, and the blob of a small dynamic chain, in both number formats."""
    pytest.importorskip("tvm", reason="TVM missing: pip install 'pocketsr[compile]'")
    from player.package.architecture import Architecture
    from sr.models import build_network
    from sr.packing import pack_network
    from tests.compiler.engines import engine_of, every_int8_version
    from tests.compiler.seeded import int8_blob
    from tests.sr.random_int8 import random_int8

    arch = Architecture("chain", 3, (8, 8, 8), (1, 3))
    if request.param == "int8":
        library = every_int8_version(shared).shared
        return Engine.open(library), int8_blob(arch, random_int8(arch, 5))
    library = engine_of(shared, "host", "fp32").shared
    return Engine.open(library), pack_network(build_network(arch, seed=5))


@pytest.fixture
def lr():
    return np.random.default_rng(3).integers(0, 256, (61, 83, 3)).astype(np.uint8)


def test_path_0_is_the_players_own_bicubic(compiled, lr):
    engine, blob = compiled
    hr = engine.pool(2).frame((engine.load(blob),), _whole(lr, BICUBIC), lr)
    difference = np.abs(hr.astype(int) - upscale_bicubic(lr, 3))
    if engine.info["dtype"] == "int8":
        assert not difference.any()
    else:  # rounds otherwise where the anchor falls between two code values
        assert difference.max() <= 1 and (difference > 0).mean() < 0.01


@pytest.mark.parametrize("path", [BICUBIC, EASY, HARD])
def test_patches_are_stitched_without_seams(compiled, lr, path):
    engine, blob = compiled
    network, pool = engine.load(blob), engine.pool(2)
    cuts = [[y, x, min(13, 61 - y), min(17, 83 - x), 0, path]
            for y in range(0, 61, 13) for x in range(0, 83, 17)]  # fmt: skip
    patches = pool.frame((network,), np.array(cuts, np.int32), lr)
    np.testing.assert_array_equal(patches, pool.frame((network,), _whole(lr, path), lr))


def test_a_patch_alone_is_the_same_as_in_its_frame(compiled, lr):
    engine, blob = compiled
    network = engine.load(blob)
    halo = network.halo_px(HARD)
    alone = network.upscale(lr[10 - halo : 30 + halo, 20 - halo : 50 + halo], HARD)
    frame = engine.pool(1).frame((network,), _whole(lr, HARD), lr)
    np.testing.assert_array_equal(alone, frame[30:90, 60:150])


def test_a_wrong_self_test_is_found_by_the_engine(compiled):
    from player.package.weights import pack_weights, unpack_weights

    engine, blob = compiled
    parsed = unpack_weights(blob)
    wrong = {path: 255 - row for path, row in parsed.self_test.items()}
    with pytest.raises(EngineError, match="PSR_E_SELFTEST"):
        engine.load(pack_weights(parsed.arch, parsed.tensors, parsed.dtype, wrong))


def _whole(lr, path):
    return np.array([[0, 0, *lr.shape[:2], 0, path]], np.int32)


def test_a_network_that_is_made_of_changes_plays_as_the_reference_says(
    compiled, lr, tmp_path, monkeypatch
):
    from player.package import shipped
    from player.package.adapted import pack_adapted, whole_blob
    from player.package.architecture import Architecture
    from sr.packing import pack_changes, pack_integers
    from sr.quant import reference
    from tests.player.adapted_blobs import changed, put_shipped
    from tests.player.coded_blobs import lean_integers

    engine, _ = compiled
    if engine.info["dtype"] != "int8":
        pytest.skip("changes are of integers")
    arch = Architecture("chain", 3, (8, 8, 8), (1, 3))
    base = pack_integers(arch, lean_integers(arch, 3.0))
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    put_shipped(tmp_path, base)
    tensors = changed(lean_integers(arch, 3.0), arch, 0.5)
    network = engine.load(whole_blob(pack_changes(base, tensors)))
    for path in (EASY, HARD):
        shown = network.upscale(lr, path)
        np.testing.assert_array_equal(shown, reference.upscale(arch, tensors, lr, path))
    wrong = {path: np.zeros(4, np.uint8) for path in arch.paths}
    with pytest.raises(EngineError, match="PSR_E_SELFTEST"):
        engine.load(whole_blob(pack_adapted(base, tensors, wrong)))
    shipped._by_hash.cache_clear()
