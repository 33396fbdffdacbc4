"""Random int8 networks within the bounds, for tests of whatever computes them."""

import numpy as np

from player.package.architecture import Architecture, convolutions
from player.package.integers import SUM_LIMIT, largest_sums
from sr.quant import reference


def random_int8(arch: Architecture, seed: int, extreme: bool = False) -> dict[str, np.ndarray]:
    """Tensors of an int8 blob, with multipliers that use the whole range of what follows.

    `extreme`: weights of -127, 0 and 127, and every other bias the largest allowed.
    """
    rng = np.random.default_rng(seed)
    levels = (-127, 0, 127) if extreme else np.arange(-127, 128)
    side = arch.units * (2 * len(arch.widths) + 9)
    first = rng.integers(0, 256, (side, side, 3)).astype(np.uint8)
    tensors: dict[str, np.ndarray] = {}
    seen = {"trunk.0": reference.unshuffle(first, arch.units)}
    for name, shape in convolutions(arch):
        weight = within_bound(rng.choice(levels, shape).astype(np.int8))
        bias = np.zeros(shape[0], np.int32)
        q = seen[name if name.startswith("trunk") else _source(arch, name)]
        spread = reference.convolve(q, weight, bias).std(axis=(0, 1)) + 1
        bias = (rng.normal(size=shape[0]) * spread).astype(np.int32)
        if extreme:
            room = SUM_LIMIT - 1 - largest_sums(weight, np.zeros(shape[0], np.int32))
            bias[::2] = (rng.choice([-1, 1], shape[0]) * room)[::2]
        most = 80 if name.startswith("trunk") else 2000
        factor = rng.uniform(0.5, 1.5, shape[0]) * most / spread
        multiplier = np.minimum(factor, 63.0).astype(np.float32)
        if name == "tail":  # no anchor: around a middling grey
            bias += (128 * 64 / multiplier).astype(np.int32)
            bias = np.where(largest_sums(weight, bias) < SUM_LIMIT, bias, 0).astype(np.int32)
        kinds = {"weight": weight, "bias": bias, "multiplier": multiplier}
        tensors |= {f"{name}.{kind}": value for kind, value in kinds.items()}
        if name.startswith("trunk"):
            depth = int(name.removeprefix("trunk.")) + 1
            seen[f"trunk.{depth}"] = reference.hidden_layer(q, weight, bias, multiplier)
    return tensors


def _source(arch: Architecture, name: str) -> str:
    """The layer of the trunk that would read what an exit reads."""
    depth = arch.exits[int(name.removeprefix("exits."))] if name != "tail" else arch.exits[-1]
    return f"trunk.{depth}"


def within_bound(weight: np.ndarray) -> np.ndarray:
    """Zeroes the last weights of each output until 255 sum|w| is at most three quarters of 2^24."""
    flat = weight.reshape(len(weight), -1)
    sums = 255 * np.abs(flat.astype(np.int64)).cumsum(axis=1)
    return np.where(sums < SUM_LIMIT * 3 // 4, flat, 0).astype(np.int8).reshape(weight.shape)
