"""What lies outside the family is refused in one line that names the limit; nothing in it can
overflow."""

import struct
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from compiler.pipeline import plan_network
from compiler.plan.family import family
from compiler.plan.formats import FORMATS
from compiler.plan.path_plan import ARENA_COLUMNS
from player.engine import EngineError
from player.package.architecture import Architecture
from player.package.limits import MAX_BLOCKS, MAX_DEPTH, MAX_LR_SIDE_PX, MAX_WIDTH
from player.package.package_error import PackageError
from player.package.paths import HARD
from tests.compiler.conftest import arch_name
from tests.compiler.members import empty_blob
from tests.compiler.opening import ARCH, FORMAT, opened_code, patched

CHAIN = Architecture("chain", 1, (8, 8), (1, 2), units=2)
WIDTHS_AT, EXITS_AT = 12, 16
DAMAGED = 5  # exit code


@dataclass(frozen=True)
class Outside:
    """Bytes of CHAIN's header that lead out of the family, and what is said of them in C and in
    Python."""

    at: int
    value: bytes
    engine: str
    player: str
    code: int = ARCH


def u16(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}H", *numbers)


WIDTH = ("a width is not a multiple of 4 in 4..256", "not multiples of 4 in 4..256")
UNITS = ("units are not of 1..3 pixels", "on 1..3")
SCALE = ("scale is not 1, 3/2, 2, 3 or 4", "is not")
ODD = ("units of an odd side have no whole pixels at scale 3/2", "use units of 2")
VERSION = ("its version is newer than this engine, which knows 1 to 3", "version 1, 2 or 3")
OUTSIDE = {
    "depth 13": Outside(9, b"\x0d", "depth is not in 1..12", "depth 13 is not in 1..12"),
    "depth 0": Outside(9, b"\0", "depth is not in 1..12", "depth 0 is not in 1..12"),
    "width 18": Outside(WIDTHS_AT, u16(18), *WIDTH),
    "width 0": Outside(WIDTHS_AT, u16(0), *WIDTH),
    "width 260": Outside(WIDTHS_AT, u16(260), *WIDTH),
    "units 4": Outside(7, b"\x04", *UNITS),
    "units 0": Outside(7, b"\0", *UNITS),
    "scale 3/2 on pixels": Outside(6, b"\x32\x01", *ODD),
    "scale 3/2 on units of 3": Outside(6, b"\x32\x03", *ODD),
    "scale 5": Outside(6, b"\x51", *SCALE),
    "scale 4/2": Outside(6, b"\x42", "scale is not 1, 3/2, 2, 3 or 4", "lowest terms"),
    "scale 1/0": Outside(6, b"\x10", "scale is not 1, 3/2, 2, 3 or 4", "lowest terms"),
    "espcn at scale 1": Outside(5, b"\x02", "as espcn and wdsr have it", "only scales 2, 3, 4"),
    "five exits": Outside(10, b"\x05", "exits are not 1..4", "exits 5 is not in 1..4"),
    "no exit": Outside(10, b"\0", "exits are not 1..4", "not rising depths"),
    "falling exits": Outside(EXITS_AT, u16(2, 1), "exits do not rise", "not rising depths"),
    "equal exits": Outside(EXITS_AT, u16(2, 2), "exits do not rise", "not rising depths"),
    "an exit at 0": Outside(EXITS_AT, u16(0), "exits do not rise", "not rising depths"),
    "no exit at the end": Outside(
        EXITS_AT, u16(1, 3), "the last exit is not the depth", "the last exit is not the depth 2"),
    "version 4": Outside(4, b"\x04", *VERSION, FORMAT),
}  # fmt: skip


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", OUTSIDE)
def test_the_limit_is_named(name, dtype, engine, int8_engine):
    case, opener = OUTSIDE[name], {"int8": int8_engine, "fp32": engine}[dtype]
    blob = patched(empty_blob(CHAIN, dtype), case.at, case.value)
    assert opened_code(opener, blob) == case.code
    assert case.engine in opener.library.psr_fault(blob, len(blob)).decode()
    with pytest.raises(PackageError) as caught:
        opener.load(blob)
    assert case.player in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.exit_code == DAMAGED


def test_wdsr_has_no_integers(int8_engine):
    blob = empty_blob(Architecture("wdsr", 2, (8, 8, 1), (1,)), "fp32")
    assert opened_code(int8_engine, blob) == ARCH
    with pytest.raises(EngineError, match="numbers are those of the other dtype's engine"):
        int8_engine.load(blob)


def test_every_end_too_early_has_its_line(int8_engine):
    blob = empty_blob(CHAIN, "int8")
    for length in range(len(blob)):
        assert opened_code(int8_engine, blob[:length]) != 0
        assert int8_engine.library.psr_fault(blob[:length], length)
    assert int8_engine.library.psr_fault(blob, len(blob)) is None


@pytest.mark.parametrize("units", [2, 3])
def test_sides_that_are_no_whole_units_are_refused(units, int8_engine):
    network = int8_engine.load(empty_blob(Architecture("chain", 2, (8,), (1,), units), "int8"))
    halo = network.halo_px(HARD)
    for height, width in ((units + 1, units), (units, units + 1), (1, 1)):
        assert network.arena_bytes(HARD, height, width) == 0
        patch = np.zeros((height + 2 * halo, width + 2 * halo, 3), np.uint8)
        with pytest.raises(EngineError, match="PSR_E_ARG"):
            network.upscale(patch, HARD)


@pytest.mark.parametrize(
    "patches",
    [
        [(0, 0, 7, 5), (0, 5, 7, 4)],  # two columns meet within a unit
        [(0, 0, 3, 9), (3, 0, 4, 9)],
        [(0, 0, 1, 9), (1, 0, 6, 9)],
    ],
)
def test_patches_off_the_units_are_refused(patches, int8_engine):
    network, lr = int8_engine.load(empty_blob(CHAIN, "int8")), np.zeros((7, 9, 3), np.uint8)
    numbers = np.array([(*patch, 0, HARD) for patch in patches], np.int32)
    with pytest.raises(EngineError, match="PSR_E_ARG"):
        int8_engine.pool(1).frame([network], numbers, lr)


# ---- sizes ----

WIDEST = (MAX_WIDTH,) * MAX_DEPTH
LARGEST = (
    *(Architecture("chain", 4, WIDEST, (1, 5, 9, 12), units) for units in (1, 2, 3)),
    Architecture("chain", Fraction(3, 2), WIDEST, (1, 5, 9, 12), 2),
    Architecture("espcn", 4, WIDEST, (MAX_DEPTH,)),
    Architecture("wdsr", 4, (MAX_WIDTH, MAX_WIDTH, MAX_BLOCKS), (MAX_BLOCKS,)),
)
MOST_COLUMNS_OF_A_MASK = (MAX_LR_SIDE_PX // 4 // 64 + 1) * 64 * 4  # PSR_MASK_WORDS


@pytest.mark.parametrize("largest", LARGEST, ids=arch_name)
def test_the_largest_networks_stay_within_the_integers(largest):
    """Rows and places of a value are counted in 32 bits, the arena in 64."""
    dtype = FORMATS["fp32"]  # of the same network the larger one
    places = -(-MAX_LR_SIDE_PX // largest.units // ARENA_COLUMNS) * ARENA_COLUMNS
    for plan in plan_network(largest, dtype).values():
        for plane in plan.planes.values():
            assert plane.size.at(places) < 1 << 31
            assert places + 2 * plane.margin_x <= MOST_COLUMNS_OF_A_MASK
        assert plan.memory.arena.at(places) < 1 << 40


@pytest.mark.parametrize("dtype", FORMATS)
def test_numbers_of_the_structures_are_bytes(dtype):
    """As runtime/plan.h keeps them; 255 is no value."""
    for structure in family(FORMATS[dtype]):
        assert len(structure.values) <= 2 * MAX_BLOCKS + 5  # MAX_PLACES
        assert max(len(structure.steps), structure.rows, structure.halo) < 255
        for value in structure.values:
            assert max(value.conv, *value.margins, value.ring, value.exit_ring) < 256
        assert max(step.delay for step in structure.steps) < 256
