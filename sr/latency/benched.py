"""The networks that are measured: chains of mixed widths with random weights.

What a network computes does not change how long it takes, so the weights are noise. The widths are
drawn, so that each layer is seen beside many others, and a few networks are of one width alone.
"""

from collections.abc import Sequence

import numpy as np

from player.package.architecture import BLOCK, GROUP, Architecture, convolutions, tensor_layout
from player.package.weights import FLOAT32, INT8, pack_weights
from sr.latency.latency_error import LatencyError
from sr.latency.work import FAMILY

DEFAULT_WIDEST = 64
LEAST_WIDEST, MOST_WIDEST = 32, 128  # inputs of one block alone leave terms undetermined
MIXED = 24  # networks of drawn widths, of up to 64 channels
_DEPTHS = (3, 8)  # least, and one above the most
_EVEN_DEPTH = 5
_WEIGHT_MOST, _BIAS_MOST, _MULTIPLIER = 57, 100, 2e-3  # 255 * 57 * 9 * 128 stays below 2^24


def benched_architectures(scale: int, widest: int = DEFAULT_WIDEST) -> tuple[Architecture, ...]:
    """The networks whose times determine every layer up to `widest` channels, always the same.

    Raises LatencyError for a width that is not a multiple of 16 from 32 to 128.
    """
    if widest % BLOCK or not LEAST_WIDEST <= widest <= MOST_WIDEST:
        limits = f"{LEAST_WIDEST}..{MOST_WIDEST}"
        raise LatencyError(f"latency: --widest {widest} is not a multiple of {BLOCK} in {limits}")
    rng = np.random.default_rng(0)
    widths = range(GROUP, widest + 1, GROUP)
    count = MIXED * widest // DEFAULT_WIDEST
    drawn = [rng.choice(widths, rng.integers(*_DEPTHS)) for _ in range(count)]
    even = [[width] * _EVEN_DEPTH for width in (GROUP, *range(BLOCK, widest + 1, BLOCK))]
    odd = [[width] * _EVEN_DEPTH for width in range(BLOCK + GROUP, widest, BLOCK)]
    return tuple(static_chain(scale, w) for w in (*(d.tolist() for d in drawn), *even, *odd))


def static_chain(scale: int, widths: Sequence[int]) -> Architecture:
    """The chain of these widths with one exit, at its end."""
    return Architecture(FAMILY, scale, tuple(widths), (len(widths),))


def random_blob(arch: Architecture, dtype: str) -> bytes:
    """A weights blob of noise, without a self-test; `dtype` is int8 or fp32."""
    rng = np.random.default_rng(0)
    if dtype == "fp32":
        specs = tensor_layout(arch)
        return pack_weights(
            arch, {s.name: rng.normal(0, 0.05, s.shape).astype(np.float32) for s in specs}, FLOAT32
        )
    tensors: dict[str, np.ndarray] = {}
    for name, shape in convolutions(arch):
        weight = rng.integers(-_WEIGHT_MOST, _WEIGHT_MOST + 1, shape).astype(np.int8)
        bias = rng.integers(0, _BIAS_MOST, shape[0]).astype(np.int32)
        tensors |= {f"{name}.weight": weight, f"{name}.bias": bias}
        tensors[f"{name}.multiplier"] = np.full(shape[0], _MULTIPLIER, np.float32)
    return pack_weights(arch, tensors, INT8)
