"""The router blob: round trips, its layout, and every number bounded."""

import struct
import zlib
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.package.package_error import PackageError
from player.package.route_maps import unpack_routes
from player.package.router_blob import (
    CENTRE_LIMIT,
    LAYERS,
    MAX_ROUTER_BYTES,
    OFFSET_LIMIT,
    RouterSizes,
    is_router,
    pack_router_blob,
    unpack_router,
)
from tests.router.random_router import DEFAULT, SIZES, random_router, router_blob, size_name

CLASSES_AT = 12787 - 8 - 3 * 9  # where the offsets of the default router begin


def sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


def patched(blob: bytes, at: int, value: bytes) -> bytes:
    return sealed((blob[:at] + value + blob[at + len(value) :])[:-4])


@pytest.mark.parametrize("sizes", SIZES, ids=size_name)
@pytest.mark.parametrize("extreme", [False, True])
def test_a_router_comes_back_as_it_was(sizes, extreme):
    router = random_router(sizes, 5, extreme)
    blob = pack_router_blob(router)
    found = unpack_router(blob)
    assert len(blob) == sizes.total_bytes and is_router(blob)
    assert (found.sizes, found.self_test) == (router.sizes, router.self_test)
    for name in ("centres", "offsets", "least_margins", "paths"):
        wanted = getattr(router, name)
        assert getattr(found, name).dtype == wanted.dtype
        np.testing.assert_array_equal(getattr(found, name), wanted)
    for name in LAYERS:
        for ours, wanted in zip(found.layers[name], router.layers[name], strict=True):
            np.testing.assert_array_equal(ours, wanted)
    assert pack_router_blob(found) == blob


def test_the_layout_is_the_documented_one():
    router, blob = random_router(DEFAULT, 1), router_blob(DEFAULT, 1)
    assert blob[:16] == b"PSRO" + bytes([1, 12, 3, 4]) + struct.pack("<4H", 16, 24, 32, 8)
    assert blob[16:784] == router.layers["embed"][0].tobytes()
    assert blob[CLASSES_AT - 192 : CLASSES_AT] == router.centres.tobytes()
    assert struct.unpack_from("<6i3B2I", blob, CLASSES_AT) == (
        *router.offsets.tolist(), *router.least_margins.tolist(), *router.paths.tolist(),
        router.self_test, zlib.crc32(blob[:-4]),
    )  # fmt: skip


def test_the_largest_router_is_within_the_limit():
    assert RouterSizes(32, 16, 255, (64, 64, 64, 64)).total_bytes <= MAX_ROUTER_BYTES


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, b"X", "version 1"), (3, b"R", "version 1"), (4, b"\2", "version 1"),
        (5, b"\x0d", "cells of 13"), (5, b"\x24", "cells of 36"), (5, b"\0", "cells of 0"),
        (5, b"\x10", "sizes ask for"), (6, b"\1", "1 classes"), (6, b"\x11", "17 classes"),
        (6, b"\4", "sizes ask for"), (7, b"\0", "0 frames"), (8, b"\x11", "multiples of 4"),
        (8, b"\0", "multiples of 4"), (14, b"\x44", "multiples of 4"), (10, b"\x1c", "ask for"),
        (16, b"\x80", "-128"), (CLASSES_AT - 1, b"\x04", "centre"),
        (CLASSES_AT - 1, b"\xfb", "centre"), (CLASSES_AT + 3, b"\x20", "offset"),
        (CLASSES_AT + 3, b"\xe0\0\0\0\xe0", "offset"), (CLASSES_AT + 15, b"\xff", "negative"),
        (CLASSES_AT + 24, b"\3", "path that does not exist"),
    ],
)  # fmt: skip
def test_every_number_is_bounded(at, value, message):
    blob = patched(router_blob(), at, value)
    if message == "offset":
        blob = patched(blob, at - 3, b"\0\0\0" + value[:1])
    with pytest.raises(PackageError, match=message) as caught:
        unpack_router(blob)
    assert "\n" not in str(caught.value)


def test_a_sum_that_may_reach_2_24_and_a_multiplier_out_of_range_are_refused():
    router = random_router(DEFAULT, 0)
    weight, bias, multiplier = router.layers["pool"]
    wrong = [
        ((np.full_like(weight, 127), bias * 0 + (1 << 23) + (1 << 22), multiplier), "2\\^24"),
        ((weight, bias, np.full_like(multiplier, 64)), "multiplier"),
        ((weight, bias, np.full_like(multiplier, np.nan)), "multiplier"),
    ]
    for layer, message in wrong:
        with pytest.raises(PackageError, match=message):
            pack_router_blob(replace(router, layers={**router.layers, "pool": layer}))


def test_arrays_that_do_not_fit_the_sizes_are_refused():
    router = random_router(DEFAULT, 0)
    wrong = [
        {"centres": router.centres[:, :-1]}, {"centres": router.centres * 0 - CENTRE_LIMIT},
        {"offsets": router.offsets.astype(np.int64)},
        {"least_margins": -1 - router.least_margins}, {"paths": router.paths[:2]},
        {"paths": router.paths + 3}, {"offsets": router.offsets * 0 + OFFSET_LIMIT},
        {"layers": {}},
    ]  # fmt: skip
    for change in wrong:
        with pytest.raises(PackageError, match="router: "):
            pack_router_blob(replace(router, **change))


def test_a_flipped_bit_is_damage_and_a_route_map_is_no_router():
    blob = router_blob()
    with pytest.raises(PackageError, match="damaged"):
        unpack_router(blob[:99] + bytes([blob[99] ^ 1]) + blob[100:])
    with pytest.raises(PackageError, match="not a route map"):
        unpack_routes(blob)
    for size in (0, 15, 23, MAX_ROUTER_BYTES + 1):
        with pytest.raises(PackageError, match="limits"):
            unpack_router(bytes(size))


@settings(max_examples=300, deadline=None)
@given(
    edits=st.lists(st.tuples(st.integers(4, 700), st.binary(min_size=1, max_size=4)), max_size=3),
    cut=st.integers(0, 9), sizes=st.sampled_from(SIZES[:2]),
)  # fmt: skip
def test_damage_behind_a_right_checksum_never_raises_anything_else(edits, cut, sizes):
    """What still parses packs to the same bytes: nothing in it was overlooked."""
    blob = router_blob(sizes)
    for at, value in edits:
        blob = blob[:at] + value + blob[at + len(value) :]
    blob = sealed(blob[: len(blob) - 4 - cut])
    with suppress(PackageError):
        assert pack_router_blob(unpack_router(blob)) == blob
