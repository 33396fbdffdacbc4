"""The estimate for phones: loops are found and counted as often as they run; it says what it is."""

import json
from dataclasses import dataclass

import pytest

from benchmarks.android import CORES, DEFAULT, LABEL, MissingTool, Simulator, find_mca
from benchmarks.assembly import count_products, functions, innermost_loop, longest_loop
from benchmarks.harness import RESULTS
from compiler.targets import find_target

# A tile of three instructions around a loop over taps of two, around products of four.
ASSEMBLY = """
	.text
psr_a:
	mov	x1, #0
.LTILE:
	movi	v0.4s, #0
	mov	x2, #9                          // sdot in a comment
.LTAP:
	add	x2, x2, #1
.LSTEP:
	ldr	q1, [x0]
	sdot	v0.4s, v1.16b, v1.4b[0]
	cmp	x3, #4
	b.ne	.LSTEP
	cbnz	x2, .LTAP
	b.ne	.LTILE
	b.eq	.LAFTER
.LAFTER:
	ret
psr_b:
	ret
"""


@dataclass(frozen=True)
class Counter(Simulator):
    """A core that takes a cycle an instruction."""

    def cycles(self, body: list[str]) -> float:
        return sum(line.startswith("\t") for line in body)


def test_loops_are_found():
    found = dict(functions(ASSEMBLY))
    lines = found["psr_a"]
    assert list(found) == ["psr_a", "psr_b"]
    first, last = innermost_loop(lines)
    assert (lines[first], lines[last]) == (".LSTEP:", "\tb.ne\t.LSTEP")
    assert count_products(lines) == 1
    assert lines[longest_loop(lines)[0]] == ".LTILE:"
    with pytest.raises(ValueError):
        innermost_loop(found["psr_b"])


def test_a_tile_costs_its_steps_its_taps_and_its_ends():
    lines = dict(functions(ASSEMBLY))["psr_a"]
    cycles = Counter("", CORES[0]).tile_cycles(lines, taps=9, steps_a_tap=2)
    assert cycles == 9 * (2 * 4 + 2) + 3


def test_the_network_is_the_default_one():
    assert DEFAULT.products == 480 * 270 * 9 * (3 * 32 + 5 * 32 * 32 + 32 * 48)


def test_a_missing_tool_is_named_with_its_package():
    with pytest.raises(MissingTool, match="apt-get install llvm-19"):
        find_mca("no-such-mca")


def test_the_record_says_that_it_is_an_estimate():
    record = json.loads((RESULTS / "android.json").read_text(encoding="utf-8"))
    assert record["kind"] == LABEL and "estimate" in LABEL
    versions = {v.name for v in find_target("android-arm64").versions["int8"]}
    assert {row["isa"] for row in record["rows"]} == versions
    page = (RESULTS.parents[1] / "docs" / "android.md").read_text(encoding="utf-8")
    for row in record["rows"]:
        assert f"| {row['core']} | {row['model']} | {row['isa']} | {row['clock_ghz']} |" in page
        speed = f"| {row['products_per_cycle']} | {row['estimated_fps_1_core']} |"
        assert row["estimated_fps_1_core"] > 0 and speed in page
