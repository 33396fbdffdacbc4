"""int8: every version that this machine can run gives the reference's pixels, bit for bit."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.compiler.engines import EVEX
from tests.compiler.int8_cases import HEIGHT, KINDS, WIDTH, case_name, cases

# Beyond the largest tile by more than the second: every residue of both.
WIDTHS = tuple(range(1, 41))
ALL = cases(*KINDS)


@pytest.mark.parametrize("sample", ALL, ids=case_name)
def test_every_version_is_exact(sample, int8_isas, int8_network):
    rectangles = ((0, 0, HEIGHT, WIDTH), (3, 5, 1, 1), (1, 0, 1, WIDTH), (0, 7, HEIGHT, 1))
    for isa in int8_isas:
        network = int8_network(isa, sample.arch, sample.kind)
        for rectangle in rectangles:
            ours = network.upscale(sample.patch(*rectangle), sample.path)
            assert np.array_equal(ours, sample.wanted(*rectangle)), (isa, rectangle)


@pytest.mark.parametrize("sample", cases("typical"), ids=case_name)
def test_every_residue_of_the_tiles_is_exact(sample, int8_isas, int8_network):
    for isa in int8_isas:
        network = int8_network(isa, sample.arch)
        for width in WIDTHS:
            rectangle = (width % 7, width % 11, 2, width)
            ours = network.upscale(sample.patch(*rectangle), sample.path)
            assert np.array_equal(ours, sample.wanted(*rectangle)), (isa, width)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), sample=st.sampled_from(ALL))
def test_random_shapes_are_exact(data, sample, int8_isas, int8_network):
    height, width = data.draw(st.integers(1, HEIGHT)), data.draw(st.integers(1, WIDTH))
    y, x = data.draw(st.integers(0, HEIGHT - height)), data.draw(st.integers(0, WIDTH - width))
    network = int8_network(data.draw(st.sampled_from(int8_isas)), sample.arch, sample.kind)
    ours = network.upscale(sample.patch(y, x, height, width), sample.path)
    assert np.array_equal(ours, sample.wanted(y, x, height, width))


# What /proc/cpuinfo must list for a version to be chosen.
FLAGS = {
    "avx512vnni": "avx512_vnni", EVEX: "avx512_vnni", "avxvnni": "avx_vnni", "avx2": "avx2",
    "i8mm": "i8mm", "dotprod": "asimddp", "neon": "asimd",
}  # fmt: skip


def test_every_version_that_the_processor_has_is_tested(int8_engine, int8_isas):
    flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    wanted = [i for i in int8_engine.info["isas"] if i == "c" or FLAGS[i] in flags]
    assert list(int8_isas) == wanted


def test_the_best_version_is_in_use_until_another_is_selected(int8_files, int8_isas):
    """In a process of its own, because a library has one version in use."""
    script = """
import sys
from player.engine import Engine, EngineError
engine = Engine.open(sys.argv[1])
print(engine.isa)
engine.select_isa("c")
try:
    engine.select_isa("sse9")
except EngineError as error:
    print(error.name)
print(engine.isa)
"""
    command = [sys.executable, "-c", script, str(int8_files.shared)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [int8_isas[0], "PSR_E_ARG", "c"]
