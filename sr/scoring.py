"""What each path of a network makes of a whole frame, on the server: for probing and routing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from chunking.difficulty import patch_sse
from chunking.grid import Grid
from player.package.anchor import anchor_halo_px
from player.package.paths import BICUBIC, HARD, PLANNED_PATHS
from player.package.scale import hr_px
from player.package.weights import WeightsBlob
from sr.models import Network
from sr.models.anchor import upsample
from sr.models.network import crop
from sr.packing import network_of, to_pixels
from sr.quant.integer_network import IntegerNetwork

Image = NDArray[np.uint8]
Scored = Network | IntegerNetwork


@dataclass(frozen=True)
class FramePair:
    """An LR frame as the phone decodes it [h, w, 3], and its HR frame [H, W, 3]; both u8."""

    lr: Image
    hr: Image


def scored_network(blob: WeightsBlob) -> Scored:
    """The network of a blob, in the arithmetic of its dtype."""
    return IntegerNetwork(blob.arch, blob.tensors) if blob.is_int8 else network_of(blob)


def upscale_paths(network: Scored, lr: Image) -> dict[int, Image]:
    """Each path's HR frame [r h, r w, 3] u8 for an LR frame, network in pixel units.

    An int8 network gives the engine's own pixels. Of others the convolutions run in bf16: within
    about one code value of the engine, at twice the speed.
    """
    halo, (height, width) = network.halo_px(HARD), lr.shape[:2]
    # Behind the frame to whole units, as the engine goes on by its edges; what is made of that is
    # no part of the picture.
    down, across = ((halo, halo + -side % network.arch.units) for side in (height, width))
    whole = upscale_patch(network, np.pad(lr, (down, across, (0, 0)), mode="edge"))
    shown = np.s_[: hr_px(height, network.arch.scale), : hr_px(width, network.arch.scale)]
    return {path: frame[shown] for path, frame in whole.items()}


def upscale_patch(network: Scored, padded: Image) -> dict[int, Image]:
    """The same for a patch with its halo [h + 2R, w + 2R, 3] u8, R that of the hard path."""
    if isinstance(network, IntegerNetwork):
        return network.upscale_all(padded)
    halo = network.halo_px(HARD)
    x = torch.from_numpy(padded).permute(2, 0, 1)[None].float()
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            residuals = network.residuals(x)
        base = network.base(x, halo)
        scale = network.arch.scale
        side = network.arch.hr_units
        details = {path: F.pixel_shuffle(r.float(), side) for path, r in residuals.items()}
    frames = {path: to_pixels(detail + base) for path, detail in details.items()}
    anchor = upsample(crop(x, halo - anchor_halo_px(scale)), scale)
    return {BICUBIC: to_pixels(anchor), **frames}


def path_sse(
    network: Scored, pairs: Iterable[FramePair], grid: Grid
) -> Iterator[NDArray[np.float64]]:
    """For each frame, [3, gh, gw]: squared error of every patch on bicubic, easy and hard.

    Infinite for a path that the network lacks.
    """
    for pair in pairs:
        errors = np.full((len(PLANNED_PATHS), *grid.shape), np.inf)
        for path, frame in upscale_paths(network, pair.lr).items():
            errors[path] = patch_sse(frame, pair.hr, grid, network.arch.scale)
        yield errors
