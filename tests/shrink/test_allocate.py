"""Widths for a budget: within it, in steps, the best there are, or a clear refusal."""

import math
from itertools import product

import numpy as np
import pytest

from player.package.architecture import Architecture
from player.package.weights import INT8, INT8_SPARSE
from sr.models import build_network
from sr.packing import pack_integers, pack_weights
from sr.quant.calibrate import calibrate
from sr.quant.quantise import quantise
from sr.shrink.budget import (
    BudgetError,
    BudgetFormatError,
    WidthRule,
    allocate,
    dense_bytes,
    hard_macs,
    parse_budget,
    parse_milliseconds,
    sparse_bytes,
)
from sr.shrink.pipeline import check_budget

RULE = WidthRule(step=4, floor=4)
DEFAULT = Architecture("chain", 4, (32,) * 6, (2, 6))


def products(widths: tuple[int, ...]) -> float:
    return float(sum(a * b for a, b in zip((3, *widths), widths, strict=False)))


@pytest.mark.parametrize("seed", range(20))
def test_widths_fit_are_stepped_and_lose_little_more_than_the_best(seed):
    rng = np.random.default_rng(seed)
    importance = [rng.exponential(1, 12).tolist() for _ in range(3)]
    limit = rng.uniform(0.25, 0.8) * products((12, 12, 12))
    got = allocate(importance, products, limit, RULE)
    assert products(got) <= limit
    assert all(width % 4 == 0 for width in got)

    def kept(widths: tuple[int, ...]) -> float:
        shares = (sum(sorted(c)[-w:]) / sum(c) for c, w in zip(importance, widths, strict=True))
        return math.prod(shares)

    fitting = [w for w in product((4, 8, 12), repeat=3) if products(w) <= limit]
    assert kept(got) >= 0.85 * max(kept(w) for w in fitting)


def test_layers_alike_get_no_bottleneck():
    """What layers keep multiplies; sums would end in widths of 32 and 4 in turns."""
    got = allocate([[1.0] * 32] * 6, products, products((16,) * 6), RULE)
    assert min(got) >= 8


def test_the_layer_whose_channels_matter_least_is_cut_first():
    importance = [[1.0] * 16, [0.01] * 16, [1.0] * 16]
    assert allocate(importance, lambda w: sum(w), 40, WidthRule(8, 8)) == (16, 8, 16)


def test_a_staircase_is_looked_over():
    """Blocks of 16 cost whole: a cut of 4 saves nothing, one of 16 does."""

    def blocks(widths: tuple[int, ...]) -> float:
        return float(sum(-(-w // 16) for w in widths))

    assert allocate([[1.0] * 32, [0.1] * 32], blocks, 3, RULE) == (32, 16)


def test_what_fits_already_is_left_alone():
    assert allocate([[1.0] * 12] * 3, products, 1e9, RULE) == (12, 12, 12)


def test_a_budget_below_the_smallest_network_names_it():
    with pytest.raises(BudgetError, match="smallest cost 44") as caught:
        allocate([[1.0] * 12] * 3, products, 10, RULE)
    assert (caught.value.smallest, caught.value.exit_code) == (44, 4)
    with pytest.raises(BudgetError, match=r"--budget 0.1x: .* \(16, .* costs 12720,"):
        check_budget(parse_budget("0.1x", DEFAULT), DEFAULT, "--budget 0.1x")


def test_budgets_are_read():
    half = parse_budget("0.5x", DEFAULT)
    assert half.limit == 24_240  # of 48,480: docs/training.md
    assert hard_macs(DEFAULT) == 48_480
    assert parse_budget("26kB", DEFAULT).limit == 26_000
    assert parse_milliseconds("8.5@host") == (8.5, "host")
    for read, text in ((lambda t: parse_budget(t, DEFAULT), "half"), (parse_milliseconds, "8")):
        with pytest.raises(BudgetFormatError, match=text):
            read(text)


def test_bytes_are_those_of_a_real_blob():
    arch = Architecture("chain", 2, (8, 12), (1, 2))
    network = build_network(arch)
    for convolution in network.get_submodule("trunk"):
        convolution.weight.data[:, ::2] = 0
    import torch

    steps = calibrate(network, [torch.rand(2, 3, 20, 20)])
    integers = quantise(arch, network.deployed_arrays(), steps)
    head = len(pack_weights(arch, integers, INT8)) - dense_bytes(arch)
    tests = len(arch.paths) * 65
    assert head == 12 + 2 * 4 + 4 + 4
    assert len(pack_weights(arch, integers, INT8_SPARSE)) == sparse_bytes(integers) + head
    # What is shipped is coded, and takes less.
    assert len(pack_integers(arch, integers)) < sparse_bytes(integers) + head + tests
