"""The kernels for x86, read as assembly: test_int8.py runs what this processor can."""

import re

import pytest

from compiler.emit.kernels import write_object
from compiler.kernels import KERNELS
from compiler.kernels.versions import (
    FP32_AVX2,
    FP32_AVX512,
    INT8_AVX2,
    INT8_AVX512VNNI,
    INT8_AVXVNNI,
)
from compiler.targets import find_target

VERSIONS = (INT8_AVX512VNNI, INT8_AVXVNNI, INT8_AVX2, FP32_AVX512, FP32_AVX2)


def product_of(version) -> str:
    """The instruction that multiplies activations by weights."""
    if version.dtype == "fp32":
        return "vfmadd"
    return "vpmaddwd" if version.name == "avx2" else "vpdpbusd"


@pytest.fixture(scope="module")
def assembly(tmp_path_factory):
    """Instructions of each kernel: version -> name -> lines."""
    folder = tmp_path_factory.mktemp("kernels")
    found = {}
    for version in VERSIONS:
        out = folder / f"{version.dtype}-{version.name}.s"
        write_object(
            KERNELS[version.dtype].functions(version), find_target("x86-64-v3"), version, out
        )
        found[version] = functions(out.read_text(encoding="utf-8"))
    return found


def functions(text: str) -> dict[str, list[str]]:
    parts = re.split(r"^(psr_\w+):.*$", text, flags=re.MULTILINE)
    return {
        name: [line.strip() for line in body.splitlines() if re.match(r"\t[a-z{]", line)]
        for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def convolutions(kernels: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: lines for name, lines in kernels.items() if re.search(r"_i\d+_o\d_p\d", name)}


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: f"{v.dtype}-{v.name}")
def test_sums_stay_in_registers(version, assembly):
    """Between the first and the last product no vector goes to the stack, nor comes from there."""
    found = convolutions(assembly[version])
    assert len(found) >= 6 * version.tile.blocks
    for name, lines in found.items():
        products = [i for i, line in enumerate(lines) if product_of(version) in line]
        spills = [
            x for x in lines[products[0] : products[-1]] if re.search(r"mm\d+.*\(%rsp|%rsp.*mm", x)
        ]
        assert not spills, name


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: f"{v.dtype}-{v.name}")
def test_the_widest_tile_is_products_and_little_else(version, assembly):
    tile = version.tile
    vectors = tile.blocks * 16 // version.lanes
    kind = "conv" if version.dtype == "fp32" else "hidden"
    name = f"psr_{version.name}_{kind}_i16_o{tile.blocks}_p{tile.pixels[0]}"
    count = sum(product_of(version) in line for line in assembly[version][name])
    assert count % (tile.pixels[0] * vectors) == 0 and count > 0


def test_avxvnni_needs_nothing_of_avx512(assembly):
    """VEX alone: no mask, no register above 15, none of 512 bits."""
    lines = [line for kernel in assembly[INT8_AVXVNNI].values() for line in kernel]
    products = [line for line in lines if "vpdpbusd" in line]
    assert products and all(line.startswith("{vex}") for line in products)
    assert not [line for line in lines if re.search(r"zmm|mm(1[6-9]|2\d|3[01])\b|%k[0-7]\b", line)]


def test_avx2_takes_no_product_that_saturates(assembly):
    """vpmaddubsw cuts 2 * 255 * 127 off at 2^15 - 1."""
    lines = [line for kernel in assembly[INT8_AVX2].values() for line in kernel]
    assert not [line for line in lines if "vpmaddubsw" in line or "vpdpbusd" in line]
    assert not [line for line in lines if re.search(r"zmm|%k[0-7]\b", line)]


def test_nothing_is_fused(assembly):
    """An int8 pixel needs a rounded product; a fused multiply-add would round once less."""
    for version in (INT8_AVX512VNNI, INT8_AVXVNNI, INT8_AVX2):
        lines = [line for kernel in assembly[version].values() for line in kernel]
        assert not [line for line in lines if re.search("vfn?m(add|sub)", line)]
