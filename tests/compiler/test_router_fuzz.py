"""Damaged router blobs: no crash and no access outside, under sanitizers; both parsers agree.

The damage is that of the weights blobs (tests/compiler/fuzz/mutate.c), with the checksum mended.
Self-tests of damaged numbers fail, so some blobs get theirs computed anew.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from player.package.package_error import PackageError
from player.package.router_blob import RouterBlob, pack_router_blob, unpack_router
from tests.compiler.opening import CRC, FORMAT, LIMIT, OK, SELFTEST
from tests.compiler.sanitized import (
    fuzz_by_coverage,
    fuzzer_program,
    replay_program,
    run_replay,
)
from tests.router.random_router import SIZES, random_router, with_self_test

COUNT, MINUTE_S = 300, 60


@pytest.fixture(scope="module", params=["int8", "fp32"])
def replay(request, shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    return replay_program(shared, request.param, "open_router.c", folder)


@pytest.fixture
def blobs(tmp_path):
    paths = []
    for number, router in enumerate([*(random_router(s, 1) for s in SIZES), *edges()]):
        paths.append(tmp_path / f"{number}.psro")
        paths[-1].write_bytes(pack_router_blob(router))
    return paths


def edges() -> list[RouterBlob]:
    """Routers at the limits of their numbers, their self-tests right."""
    router = random_router(SIZES[1], 2)
    most = np.array([-(1 << 29) + 1, (1 << 29) - 1], np.int32)
    never = replace(router, offsets=most, least_margins=np.full(2, (1 << 31) - 1, np.int32))
    return [with_self_test(never), with_self_test(random_router(SIZES[1], 3, extreme=True))]


def is_accepted(blob: bytes) -> bool:
    """Whether Python's parser takes the blob; anything but PackageError is a fault of its own."""
    try:
        unpack_router(blob)
    except PackageError:
        return False
    return True


def test_routers_without_damage_open(replay, blobs):
    opened = run_replay(replay, 1, 0, blobs)
    assert [o.blob for o in opened] == [blob.read_bytes() for blob in blobs]
    assert {(o.code, is_accepted(o.blob)) for o in opened} == {(OK, True)}


def test_damaged_routers_are_borne_and_both_parsers_agree(replay, blobs):
    """The damage gets through to every check; what is left is refused by the self-test."""
    opened = run_replay(replay, 1, COUNT, blobs)
    assert len(opened) == (COUNT + 1) * len(blobs)
    judged: dict[int, Counter[bool]] = {}
    for each in opened:
        judged.setdefault(each.code, Counter())[is_accepted(each.blob)] += 1
    assert set(judged) == {OK, FORMAT, CRC, LIMIT, SELFTEST}
    assert min(sum(found.values()) for found in judged.values()) >= 10, judged
    for code, found in judged.items():
        assert set(found) == {code in (OK, SELFTEST)}, (code, found)


def test_damaged_numbers_with_their_own_self_test_run(replay, tmp_path):
    """Random bytes for all numbers: those that Python takes are opened, and route a frame."""
    draw, files = np.random.default_rng(5), []
    for number in range(20):
        router = random_router(SIZES[number % 3], number, extreme=bool(number % 2))
        centres = draw.integers(-1023, 1024, router.centres.shape).astype(np.int16)
        offsets = draw.integers(-(1 << 29) + 1, 1 << 29, len(centres)).astype(np.int32)
        changed = with_self_test(replace(router, centres=centres, offsets=offsets))
        files.append(tmp_path / f"{number}.psro")
        files[-1].write_bytes(pack_router_blob(changed))
    assert {o.code for o in run_replay(replay, 1, 0, files)} == {OK}


@pytest.mark.slow
def test_a_minute_of_fuzzing_finds_nothing(blobs, shared, tmp_path, record_property):
    """One parser reads them for both dtypes of networks."""
    program = fuzzer_program(shared, "int8", "open_router.c", tmp_path)
    if program is None:
        pytest.skip("needs clang with its fuzzer: apt-get install clang")
    executed = fuzz_by_coverage(program, blobs, MINUTE_S)
    record_property("executed", executed)
    assert executed > 1000
