"""How large the errors are that a network is to lower, in the terms that its loss has them."""

from dataclasses import replace

import numpy as np

from player.package.anchor import anchor_halo_px
from sr.models.anchor import upsample
from sr.models.network import crop
from sr.training.data import CropSampler
from sr.training.losses import squared_errors

_BATCHES = 16
_SEED = 504  # added: crops that no training draws


def crop_error(sampler: CropSampler, loss: str) -> float:
    """Mean squared error of the anchor on some crops, in unit range, of the colours of `loss`."""
    own, data = replace(sampler, seed=sampler.seed + _SEED), sampler.data
    drawn = []
    for batch in (own.draw(step) for step in range(_BATCHES)):
        anchor = upsample(crop(batch.lr, data.margin_px - anchor_halo_px(data.scale)), data.scale)
        drawn.append(squared_errors(anchor - batch.hr, loss).mean().item())
    return float(np.mean(drawn))
