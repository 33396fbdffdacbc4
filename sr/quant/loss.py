"""What quantisation costs: the PSNR of the real numbers above that of the integers."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from player.package.paths import HARD
from sr.models.network import PIXEL_MAX, Network
from sr.quant.integer_network import IntegerNetwork
from sr.training.data import CropSampler

_SEED, _BATCHES = 502, 16  # crops that no training drew


def quantisation_loss_db(before: Network, after: IntegerNetwork, sampler: CropSampler) -> float:
    """PSNR of the hard path before (fp32, in pixel units) less that after, on drawn crops.

    The crops are drawn by the sampler's shares, so each network is judged by its own patches.
    """
    own = replace(sampler, seed=sampler.seed + _SEED)
    # Summed over all crops before the logarithm, as a film's PSNR is.
    squares = np.zeros(2)
    for step in range(_BATCHES):
        batch = own.draw(step)
        lr, hr = _pixels(batch.lr), _pixels(batch.hr)
        with torch.no_grad():
            real = before(torch.from_numpy(lr).permute(0, 3, 1, 2).float(), HARD)
        shown = real.round().clamp(0, PIXEL_MAX).permute(0, 2, 3, 1).numpy()
        whole = np.stack([after.upscale_all(crop)[HARD] for crop in lr])
        squares += [_squared(shown, hr), _squared(whole, hr)]
    # (before, after), turned round; the floor is for crops that come out without any error.
    most, least = np.maximum(squares, 1e-9)[::-1]
    return 10 * math.log10(most / least)


def _pixels(batch: Tensor) -> NDArray[np.uint8]:
    """[N, 3, H, W] in unit range -> [N, H, W, 3] u8."""
    return np.ascontiguousarray((batch * PIXEL_MAX).round().byte().permute(0, 2, 3, 1).numpy())


def _squared(hr: NDArray[Any], wanted: NDArray[np.uint8]) -> float:
    return float(np.square(hr.astype(np.float64) - wanted).sum())
