"""Counted instructions: the plugin counts right, arms give the engine's pixels on arm64."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import counted
from benchmarks.compiler import ALL
from benchmarks.counted import Counts, Machine, count_all, find_machine, rows_of
from benchmarks.engine_tables import _counted_line
from sr.usage_error import UsageError

TOOLS = all(shutil.which(tool) for tool in ("qemu-aarch64", "clang"))
needs_tools = pytest.mark.skipif(not TOOLS, reason="no qemu-aarch64 or no clang: `make tools`")
# Fills TWICE the cache's bytes with words, and reads its first half over and over.
PROGRAM = """
#include <stdint.h>
static uint64_t words[%d];
int main(int argc, char **argv) {
    (void)argv;
    if (argc < 2) return 0;
    for (int i = 0; i < %d; ++i) ((volatile uint64_t *)words)[i] = (uint64_t)i;
    for (int j = 0; j < 20; ++j)
        for (int i = 0; i < %d; ++i) (void)((volatile uint64_t *)words)[i];
    return 0;
}
"""
CACHE_BYTES = 512 << 10


@pytest.fixture(scope="module")
def machine_and_program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("counted")
    words, half = 2 * CACHE_BYTES // 8, CACHE_BYTES // 2 // 8
    (folder / "c.c").write_text(PROGRAM % (words, words, half), encoding="utf-8")
    flags = ["-target", "aarch64-linux-musl", "-static", "-O1"]
    zig = [sys.executable, "-P", "-m", "ziglang", "cc", *flags]
    subprocess.run([*zig, str(folder / "c.c"), "-o", str(folder / "c")], check=True)
    return find_machine(folder / "c", folder), folder / "c"


@needs_tools
def test_bytes_and_lines_are_those_of_the_loops(machine_and_program):
    machine, program = machine_and_program
    (_, idle), (_, busy) = (machine.run([str(program), *more]) for more in ((), ("work",)))
    own = busy - idle
    assert own.stored_bytes == pytest.approx(2 * CACHE_BYTES, abs=200)
    assert own.loaded_bytes == pytest.approx(20 * CACHE_BYTES / 2, abs=400)
    # Every line is fetched once to be filled; the first half anew, then it stays; what was filled
    # is written back, but for what the cache still holds.
    fetched = 2.5 * CACHE_BYTES
    assert fetched + CACHE_BYTES < own.moved_bytes < 1.02 * (fetched + 2 * CACHE_BYTES)
    assert own.instructions > 20 * CACHE_BYTES / 2 / 8


@needs_tools
def test_a_program_that_fails_is_told(machine_and_program, tmp_path):
    machine, _ = machine_and_program
    with pytest.raises(RuntimeError, match="no such program"):
        machine.run([str(tmp_path / "no such program")])


def test_a_missing_tool_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match="make tools"):
        find_machine(Path("x"), tmp_path)


def test_ratios_are_over_the_engine():
    rows = rows_of("neon", {ALL: Counts(100, 1, 2, 3), "neither": Counts(150, 1, 4_000_000, 3)})
    assert [row["ratio"] for row in rows] == [1, 1.5] and rows[1]["arm"] == "neither"
    line = _counted_line({"neither_versions": "all"}, "neither", {"neon": rows[1]})
    assert line == ("all", "1.500", "4.0", "0.0")


@pytest.mark.slow
@needs_tools
def test_every_arm_gives_the_engines_pixels_and_the_engine_moves_least(tmp_path):
    rows = count_all(tmp_path, counted._QUICK_SIZE)
    for isa in {row["isa"] for row in rows}:
        engine, *others = [row for row in rows if row["isa"] == isa]
        assert engine["arm"] == ALL and len(others) == len(counted.VARIANTS)
        assert all(row["moved_bytes"] >= engine["moved_bytes"] for row in others)
        neither = next(row for row in others if row["arm"] == "neither")
        assert neither["stored_bytes"] > 2 * engine["stored_bytes"]
        assert neither["ratio"] > 1.01


def test_other_pixels_end_the_count(monkeypatch, tmp_path):
    """Of an arm that computes something else no figure is told."""
    found = iter(["a", "b"])
    monkeypatch.setattr(counted, "compile_engine", lambda *a: type("F", (), {"bench": Path("x")}))
    monkeypatch.setattr(counted, "find_machine", lambda *a: Machine("q", Path("p")))
    monkeypatch.setattr(counted, "make_parts", lambda *a: None)
    monkeypatch.setattr(counted, "variant_bench", lambda *a: Path("y"))
    monkeypatch.setattr(counted, "VARIANTS", {"rows": None})
    monkeypatch.setattr(counted, "count_frame", lambda *a: (next(found), Counts(1, 1, 1, 1)))
    with pytest.raises(SystemExit, match="rows gives other pixels"):
        count_all(tmp_path, (24, 40))
