"""Random integer routers within the bounds, for tests of whatever computes or stores them."""

from dataclasses import replace

import numpy as np

from player.package.integers import SUM_LIMIT, Layer, largest_sums
from player.package.router_blob import LAYERS, RouterBlob, RouterSizes, pack_router_blob
from sr.quant.reference import convolve
from sr.router import reference
from tests.sr.random_int8 import within_bound

DEFAULT = RouterSizes(12, 3, 4, (16, 24, 32, 8))
# Cells of every kind, blocks of 16 channels that are full, several, and hardly begun.
SIZES = (
    DEFAULT,
    RouterSizes(4, 2, 1, (4, 4, 4, 4)),
    RouterSizes(8, 5, 3, (20, 36, 48, 12)),
    RouterSizes(32, 16, 255, (8, 12, 64, 32)),
)


def size_name(sizes: RouterSizes) -> str:
    return f"cell{sizes.cell_px}-{'-'.join(map(str, sizes.widths))}-of{sizes.classes}"


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """An LR frame [height, width, 3] u8: cells of a colour each, under noise that varies."""
    draw = np.random.default_rng(seed)
    rows, columns = height // 7 + 1, width // 7 + 1
    base = draw.integers(0, 256, (rows, columns, 3)).repeat(7, 0).repeat(7, 1)[:height, :width]
    strength = draw.integers(0, 120, (rows, columns, 1)).repeat(7, 0).repeat(7, 1)[:height, :width]
    noisy = base + draw.normal(size=base.shape) * strength
    return np.clip(noisy, 0, 255).astype(np.uint8)


def random_router(sizes: RouterSizes, seed: int, extreme: bool = False) -> RouterBlob:
    """A router whose layers use the range 0..255, and whose classes all occur.

    `extreme`: weights of -127, 0 and 127, and every other bias the largest allowed.
    """
    draw = np.random.default_rng(seed)
    frame = noise(5 * sizes.cell_px, 7 * sizes.cell_px, seed)
    q = reference.pad_to_cells(frame, sizes.cell_px)
    layers: dict[str, Layer] = {}
    for name in LAYERS:
        layers[name], q = _random_layer(draw, name, sizes.shapes[name], q, extreme)
    zeros = np.zeros(sizes.classes, np.int32)
    centres = np.zeros((sizes.classes, sizes.widths[2]), np.int16)
    paths = (np.arange(sizes.classes) % 3).astype(np.uint8)
    router = RouterBlob(sizes, layers, centres, zeros, zeros, paths)
    return with_self_test(_with_classes(draw, router, frame))


def with_self_test(router: RouterBlob) -> RouterBlob:
    return replace(router, self_test=reference.self_test_crc(router))


def router_blob(sizes: RouterSizes = DEFAULT, seed: int = 0, extreme: bool = False) -> bytes:
    return pack_router_blob(random_router(sizes, seed, extreme))


def _random_layer(
    draw: np.random.Generator, name: str, shape: tuple[int, ...], q: np.ndarray, extreme: bool
) -> tuple[Layer, np.ndarray]:
    """A layer and its output for the input [H, W, I] u8."""
    levels = (-127, 0, 127) if extreme else np.arange(-127, 128)
    weight = within_bound(draw.choice(levels, shape).astype(np.int8))
    bias = draw.integers(-2000, 2000, shape[0]).astype(np.int32)
    if extreme:
        room = SUM_LIMIT - 1 - largest_sums(weight, np.zeros_like(bias))
        bias[::2] = room[::2] * draw.choice((-1, 1), len(bias[::2]))
    stride = shape[-1] if name in ("embed", "pool") else 1
    if stride > 1:
        q = reference.windows(q, stride)
        flat = weight.reshape(shape[0], -1, 1, 1)
    else:
        flat = weight
        q = np.pad(q, [(shape[-1] // 2,) * 2] * 2 + [(0, 0)], "edge")
    sums = convolve(q, flat, bias)
    spread = np.abs(sums).reshape(-1, shape[0]).max(axis=0) + 1
    multiplier = (draw.uniform(150, 400, shape[0]) / spread).astype(np.float32)
    out = reference.hidden_layer(q, flat, bias, multiplier)
    return (weight, bias, multiplier), out


def _with_classes(draw: np.random.Generator, router: RouterBlob, frame: np.ndarray) -> RouterBlob:
    """Centres among the frame's features; margins that some of its cells do not reach."""
    found = reference.attended(router, frame).reshape(-1, router.sizes.widths[2])
    chosen = draw.choice(len(found), router.sizes.classes, replace=False)
    outside = draw.integers(-40, 41, router.centres.shape)  # some centres are no features
    router = replace(router, centres=(found[chosen] + outside).astype(np.int16))
    scores = np.sort(reference.scores(router, found), axis=-1)
    margins = scores[:, 1] - scores[:, 0]
    spread = max(1, int(np.median(margins)))
    offsets = draw.integers(-spread // 4, spread // 4 + 1, router.sizes.classes).astype(np.int32)
    least = np.full(router.sizes.classes, np.quantile(margins, 0.2), np.int32)
    return replace(router, offsets=offsets, least_margins=least)
