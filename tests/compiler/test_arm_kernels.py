"""The kernels for ARM, read as assembly: what LLVM makes of them. test_android.py runs them."""

import re

import pytest

from benchmarks.assembly import count_products, functions, innermost_loop, instructions
from compiler.emit.kernels import write_object
from compiler.kernels import KERNELS
from compiler.targets import find_target

ANDROID = find_target("android-arm64")
VERSIONS = [(dtype, v) for dtype, versions in ANDROID.versions.items() for v in versions]
# Instructions that one step of the widest kernel has to have: pixels x 4 vectors, times its parts.
PRODUCTS = {"i8mm": 4 * 4 * 2, "dotprod": 5 * 4 * 4, "neon": 3 * 4 * 2}


@pytest.fixture(scope="module")
def assembly(tmp_path_factory):
    texts = {}
    for dtype, version in VERSIONS:
        out = tmp_path_factory.mktemp("kernels") / "k.s"
        write_object(KERNELS[dtype].functions(version), ANDROID, version, out)
        texts[dtype, version.name] = out.read_text(encoding="utf-8")
    return texts


def convolutions(text: str) -> dict[str, list[str]]:
    return {name: lines for name, lines in functions(text) if re.search(r"_i\d+_o\d_p\d", name)}


@pytest.mark.parametrize(("dtype", "version"), VERSIONS, ids=lambda x: getattr(x, "name", x))
def test_the_innermost_loop_does_not_touch_the_stack(dtype, version, assembly):
    found = convolutions(assembly[dtype, version.name])
    assert len(found) >= 2 * len(set(version.tile.pixels))
    for name, lines in found.items():
        first, last = innermost_loop(lines)
        assert not [line for line in lines[first : last + 1] if "[sp" in line], name


@pytest.mark.parametrize("isa", PRODUCTS)
def test_a_step_is_products_and_little_else(isa, assembly):
    """Beside them: loads, addresses and, for neon, widening sums."""
    widest = max(v.tile.pixels[0] for _, v in VERSIONS if v.dtype == "int8" and v.name == isa)
    lines = convolutions(assembly["int8", isa])[f"psr_{isa}_hidden_i16_o1_p{widest}"]
    first, last = innermost_loop(lines)
    loop = instructions(lines[first : last + 1])
    assert count_products(loop) == PRODUCTS[isa]
    share = {"i8mm": 0.6, "dotprod": 0.8, "neon": 0.4}[isa]
    assert count_products(loop) / len(loop) > share


@pytest.mark.parametrize(("dtype", "version"), VERSIONS, ids=lambda x: getattr(x, "name", x))
def test_register_18_is_left_to_android(dtype, version, assembly):
    assert not re.search(r"\b[xw]18\b", assembly[dtype, version.name])


def test_nothing_is_fused(assembly):
    """An int8 pixel needs a rounded product; a fused multiply-add would round once less."""
    for isa in PRODUCTS:
        assert not re.search(r"\bfmla\b|\bfmadd\b", assembly["int8", isa])
