"""Damaged weights blobs: no crash and no access outside, under sanitizers; both parsers agree.

`tests/compiler/fuzz/` damages blobs where it hurts and mends their checksum, so that most of the
damage gets past the first look. `make test` tries a seeded sequence of it. `make test-all` runs
libFuzzer for a minute a format, guided by coverage (clang with its fuzzer: `make tools`),
or, where that is missing, the same damage with new seeds for a minute.
"""

import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from player.package.architecture import Architecture, tensor_layout
from player.package.integers import check_layer
from player.package.package_error import PackageError
from player.package.self_test import self_test_input
from player.package.weights import pack_weights, self_test_row, unpack_weights
from sr.models import deployed_network
from sr.quant import reference
from tests.compiler.random_headers import random_blob
from tests.compiler.sanitized import (
    fuzz_by_coverage,
    fuzzer_program,
    replay_program,
    run_replay,
)
from tests.player import sparse_blobs
from tests.player.coded_blobs import lean_integers

ARCHITECTURES = {
    "fp32": (
        Architecture("chain", 3, (8, 12), (1, 2)),
        Architecture("wdsr", 2, (4, 8, 1), (1,)),
        Architecture("chain", 1, (4, 8), (1, 2), units=2),
    ),
    "int8": (
        Architecture("chain", 3, (8, 12), (1, 2)),
        Architecture("espcn", 2, (4,), (1,)),
        Architecture("chain", Fraction(3, 2), (4, 8, 4, 4), (1, 2, 3, 4), units=2),
        sparse_blobs.CHAIN,
    ),
}
F32, F16, INT8, INT8_SPARSE, INT8_CODED = range(1, 6)
OK, FORMAT, ARCH, CRC, LIMIT, SELFTEST = range(6)
MINUTE_S = 60
HEADERS = 750


@dataclass(frozen=True)
class Subject:
    """The blobs of a format that are damaged, and where their programs go."""

    dtype: str
    folder: Path
    blobs: tuple[Path, ...]


def float_tensors(arch: Architecture) -> dict[str, np.ndarray]:
    """Seeded weights that f16 holds exactly."""
    draw = np.random.default_rng(3)
    specs = tensor_layout(arch)
    tensors = {s.name: draw.normal(size=s.shape) / np.sqrt(np.prod(s.shape[1:])) for s in specs}
    return {n: t.astype(np.float16).astype(np.float32) for n, t in tensors.items()}


def integer_tensors(arch: Architecture) -> dict[str, np.ndarray]:
    """Seeded weights of all sizes, within the bounds; some outputs reach pixels, some do not."""
    draw = np.random.default_rng(4)
    tensors: dict[str, np.ndarray] = {}
    for spec in tensor_layout(arch)[::2]:
        name, outputs = spec.name.removesuffix(".weight"), spec.shape[0]
        weight = draw.integers(-127, 128, spec.shape).astype(np.int8)
        bias = draw.integers(-9000, 9000, outputs).astype(np.int32)
        multiplier = (0.9 ** draw.integers(1, 80, outputs)).astype(np.float32)
        check_layer(name, (weight, bias, multiplier))
        tensors |= {spec.name: weight, f"{name}.bias": bias, f"{name}.multiplier": multiplier}
    return tensors


def sparse_tensors(arch: Architecture) -> dict[str, np.ndarray]:
    """Integers of which seven weights in ten are zero."""
    draw = np.random.default_rng(5)
    tensors = integer_tensors(arch)
    for name, value in tensors.items():
        if name.endswith(".weight"):
            tensors[name] = np.where(draw.random(value.shape) < 0.3, value, 0).astype(np.int8)
    return tensors


def float_samples(
    arch: Architecture, tensors: dict[str, np.ndarray], path: int, number: int
) -> np.ndarray:
    network = deployed_network(arch, tensors).eval()
    patch, positions = self_test_input(arch, path)
    with torch.no_grad():
        image = network(torch.tensor(patch).permute(2, 0, 1)[None].float(), path)
    pixels = image.clamp(0, 255).round().byte()[0].permute(1, 2, 0).numpy()
    return self_test_row(number, pixels, positions)


def integer_samples(
    arch: Architecture, tensors: dict[str, np.ndarray], path: int, number: int
) -> np.ndarray:
    patch, positions = self_test_input(arch, path)
    return self_test_row(number, reference.upscale(arch, tensors, patch, path), positions)


Sampler = Callable[[Architecture, dict[str, np.ndarray], int, int], np.ndarray]
# What blobs of each format are made of: their dtype in the header, tensors, self-test.
MADE_OF: dict[str, tuple[tuple[int, Callable[..., dict[str, np.ndarray]], Sampler], ...]] = {
    "fp32": ((F32, float_tensors, float_samples), (F16, float_tensors, float_samples)),
    "int8": (
        (INT8, integer_tensors, integer_samples),
        (INT8_SPARSE, sparse_tensors, integer_samples),
        (INT8_CODED, lean_integers, integer_samples),
    ),
}


def make_blobs(dtype: str) -> Iterator[bytes]:
    """Each network of every number format with a self-test; one of each without."""
    for number, make_tensors, sample in MADE_OF[dtype]:
        for arch in ARCHITECTURES[dtype]:
            tensors = make_tensors(arch)
            rows = {path: sample(arch, tensors, path, number) for path in arch.paths}
            yield pack_weights(arch, tensors, number, rows)
        yield pack_weights(arch, tensors, number)


# One parser reads both formats: that of floats by itself is for the long run.
@pytest.fixture(scope="module", params=["int8", pytest.param("fp32", marks=pytest.mark.slow)])
def subject(request, tmp_path_factory) -> Subject:
    dtype, folder = request.param, tmp_path_factory.mktemp("fuzz")
    blobs = []
    for i, blob in enumerate(make_blobs(dtype)):
        blobs.append(folder / f"{i}.psrw")
        blobs[-1].write_bytes(blob)
    return Subject(dtype, folder, tuple(blobs))


@pytest.fixture(scope="module")
def replay(subject, shared) -> Path:
    return replay_program(shared, subject.dtype, "open.c", subject.folder)


def is_accepted(blob: bytes) -> bool:
    """Whether Python's parser takes the blob; anything but PackageError is a fault of its own."""
    try:
        unpack_weights(blob)
    except PackageError:
        return False
    return True


def test_blobs_without_damage_open(subject, replay):
    opened = run_replay(replay, 1, 0, subject.blobs)
    assert [o.blob for o in opened] == [blob.read_bytes() for blob in subject.blobs]
    assert {(o.code, is_accepted(o.blob)) for o in opened} == {(OK, True)}


def test_thousands_of_damaged_blobs_are_borne(subject, replay):
    opened = run_replay(replay, 1, 700, subject.blobs)
    assert len(opened) == 701 * len(subject.blobs)
    numbers = [blob.read_bytes()[8] for blob in subject.blobs for _ in range(701)]
    for number in set(numbers):
        found = Counter(o.code for o, of in zip(opened, numbers, strict=True) if of == number)
        # The damage gets through to every check, and some of it does no harm.
        assert set(found) == {OK, FORMAT, ARCH, CRC, LIMIT, SELFTEST}, number
        assert min(found.values()) >= 20, (number, found)


def test_both_parsers_say_the_same(subject, replay):
    """Python reads the other dtype's numbers too and runs no self-test; all else is equal."""
    opened = run_replay(replay, 2, 200, subject.blobs)
    numbers = {number for number, _, _ in MADE_OF[subject.dtype]}
    own = [o for o in opened if len(o.blob) < 9 or o.blob[8] in numbers]
    judged = {
        code: Counter(is_accepted(o.blob) for o in own if o.code == code) for code in range(6)
    }
    for code in (OK, SELFTEST):
        assert set(judged[code]) == {True}
    for code in (FORMAT, ARCH, CRC, LIMIT):
        assert set(judged[code]) == {False}


def test_sparse_weights_with_a_known_fault(subject, replay):
    """Bitmaps, values and lengths that lead outside are refused before anything is read there."""
    is_int8 = subject.dtype == "int8"
    wrong, files = sparse_blobs.wrong_blobs(), []
    for i, fault in enumerate(wrong):
        files.append(subject.folder / f"wrong-{i}.psrw")
        files[-1].write_bytes(fault.blob)
    wanted = [(FORMAT if w.kind == "format" else LIMIT) if is_int8 else ARCH for w in wrong]
    assert [o.code for o in run_replay(replay, 1, 0, files)] == wanted


def test_a_header_that_declares_more_than_there_is(subject, replay):
    """Even where the checksum itself looks like widths, which no random damage brings about."""
    dtype = subject.blobs[0].read_bytes()[8]
    bodies = (
        struct.pack("<4s8B2H", b"PSRW", 1, 1, scale, 3, dtype, 12, 4, 0, first, second)
        for scale, first, second in product((2, 3, 4), range(256), range(256))
    )
    crafted = next(b for b in bodies if zlib.crc32(b) & 0xFF00FF00 == 0)
    file = subject.folder / "crafted.psrw"
    file.write_bytes(crafted + struct.pack("<I", zlib.crc32(crafted)))
    assert [o.code for o in run_replay(replay, 1, 0, [file])] == [FORMAT]


def test_both_parsers_say_the_same_of_any_header(subject, replay):
    """Every version, all kinds of networks, numbers on both sides of the family's limits."""
    files = []
    for seed in range(HEADERS):
        files.append(subject.folder / f"header-{seed}.psrw")
        files[-1].write_bytes(random_blob(seed, subject.dtype))
    opened = run_replay(replay, 1, 0, files)
    judged = Counter((o.blob[4], o.code, is_accepted(o.blob)) for o in opened)
    assert {(code == OK, accepted) for _, code, accepted in judged} == {
        (True, True),
        (False, False),
    }
    for version in (1, 2, 3) if subject.dtype == "int8" else (1, 2):
        assert judged[version, OK, True] >= 20 and judged[version, ARCH, False] >= 20, judged


@pytest.mark.slow
def test_a_minute_of_fuzzing_finds_nothing(subject, shared, request, record_property):
    program = fuzzer_program(shared, subject.dtype, "open.c", subject.folder)
    if program is None:
        fuzz_by_seeds(subject, request.getfixturevalue("replay"))
    else:
        executed = fuzz_by_coverage(program, subject.blobs, MINUTE_S)
        record_property("executed", executed)
        assert executed > 1000


def fuzz_by_seeds(subject: Subject, program: Path) -> None:
    until, seed = time.monotonic() + MINUTE_S, 1000
    while time.monotonic() < until:
        run_replay(program, seed, 500, subject.blobs)
        seed += 1
