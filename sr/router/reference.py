"""The integer arithmetic of the router, slow and obvious: the definition of every decision.

    LR u8 --> embed 4x4 / 4 --> mix 3x3 --> pool / cell --> f --+--------------> x --> f' u8
              quarter grid, edges repeated                      +-> squeeze, excite = a      |
                                                                                             |
    path <- argmin_k of |f' - c_k|^2 + offset_k, the safe path where the second is too near <+

Every layer is the hidden layer of `sr/quant/reference.py`: u8 activations, s8 weights, s32 sums
below 2^24, one float32 multiplication, rounding half to even, clamping to 0..255. The attention's
255 stands for 1. Distances, offsets and margins are s32 and cannot leave it.
"""

import zlib

import numpy as np
from numpy.typing import NDArray

from player.package.paths import HARD
from player.package.router_blob import RouterBlob, self_test_frame
from sr.quant.reference import Integers, Pixels, hidden_layer

_HALF = 128  # of the attention's 8 bits, so that its product is rounded


def pad_to_cells(lr: Pixels, cell_px: int) -> Pixels:
    """[h, w, 3] continued at the right and bottom by its edge pixels to whole cells."""
    height, width = lr.shape[:2]
    return np.pad(lr, ((0, -height % cell_px), (0, -width % cell_px), (0, 0)), "edge")


def windows(q: Pixels, side: int) -> Pixels:
    """[H, W, C] -> [H / side, W / side, C side^2]: windows beside each other, each as
    (channel, row, column), which is the order of a weight [O, C, side, side]."""
    height, width, channels = q.shape
    cut = q.reshape(height // side, side, width // side, side, channels)
    return cut.transpose(0, 2, 4, 1, 3).reshape(height // side, width // side, -1)


def strided_layer(router: RouterBlob, name: str, q: Pixels) -> Pixels:
    """A convolution [O, C, k, k] of stride k and its ReLU: [H, W, C] -> [H / k, W / k, O]."""
    weight, bias, multiplier = router.layers[name]
    # A window as one vector makes of the strided convolution a 1x1 one.
    flat = weight.reshape(len(weight), -1, 1, 1)
    return hidden_layer(windows(q, weight.shape[-1]), flat, bias, multiplier)


def features(router: RouterBlob, lr: Pixels) -> Pixels:
    """f [rows, columns, C2] u8 of the cells of a frame [h, w, 3] u8, before the attention."""
    quarters = strided_layer(router, "embed", pad_to_cells(lr, router.sizes.cell_px))
    # `mix` alone looks beyond its own quarter.
    around = np.pad(quarters, ((1, 1), (1, 1), (0, 0)), "edge")
    return strided_layer(router, "pool", hidden_layer(around, *router.layers["mix"]))


def attended(router: RouterBlob, lr: Pixels) -> Pixels:
    """f' = (f a + 128) >> 8, [rows, columns, C2] u8."""
    f = features(router, lr)
    squeezed = hidden_layer(f, *router.layers["squeeze"])
    a = hidden_layer(squeezed, *router.layers["excite"])
    return ((f.astype(np.int32) * a + _HALF) >> 8).astype(np.uint8)


def scores(router: RouterBlob, found: Pixels) -> Integers:
    """Squared distance to each centre and its offset, s32 [..., K], for f' [..., C2] u8."""
    # At most 64 x (255 + 1023)^2 < 2^27 for a distance and 2^29 for an offset: a margin, which is
    # the difference of two such sums, stays below 2^30 + 2^27.
    difference = found[..., None, :].astype(np.int32) - router.centres.astype(np.int32)
    return (difference**2).sum(axis=-1, dtype=np.int32) + router.offsets


def decide(router: RouterBlob, found: Pixels) -> NDArray[np.uint8]:
    """The path [...] u8 of each cell with attended features [..., C2] u8."""
    values = scores(router, found)
    nearest = values.argmin(axis=-1)
    first, second = np.moveaxis(np.sort(values, axis=-1)[..., :2], -1, 0)
    safe = second - first < router.least_margins[nearest]
    return np.where(safe, np.uint8(HARD), router.paths[nearest])


def route(router: RouterBlob, lr: Pixels) -> NDArray[np.uint8]:
    """The path [rows, columns] u8 of each cell of a frame [h, w, 3] u8."""
    return decide(router, attended(router, lr))


def self_test_crc(router: RouterBlob) -> int:
    """CRC-32 of each cell's attended features and path, in raster order, of the seeded frame."""
    found = attended(router, self_test_frame(router.sizes.cell_px))
    records = np.concatenate([found, decide(router, found)[..., None]], axis=-1)
    return zlib.crc32(records.tobytes())
