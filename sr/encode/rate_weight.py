"""What a bit costs: the price at which weights and routes are bought.

The LR stream has a slope: at its operating point about 3 dB for twice the bits, so

    -dD/dR  =  D ln 10 / 10 * 3 dB / (R ln 2)  ~  D / R

with D the mean squared error of the film that the anchor makes of the stream, R the stream's bits.
A bit of weights or routes that lowers D by less would be better spent in the stream.
"""

import numpy as np

from player.bicubic import upscale_bicubic
from player.metrics import PEAK, mse_rgb
from sr.encode.methods import Difficulty, NetworkTask
from sr.encode.work import Work
from sr.training.crop_error import crop_error
from sr.training.data import CropSampler

_FRAMES = 32  # that errors are measured on
LEAST_ERROR = 1e-12
DB_A_DOUBLING = 3.0  # of a stream's bits, as above


def anchor_error(work: Work) -> float:
    """D: mean squared error of the anchor, in unit range, on some of the training frames."""
    pairs = work.film.training
    some = np.linspace(0, len(pairs) - 1, min(len(pairs), _FRAMES)).round().astype(int)

    def measure() -> float:
        errors = []
        for pair in (pairs[i] for i in some):
            height, width = pair.hr.shape[:2]
            anchor = upscale_bicubic(pair.lr, work.film.scale)[:height, :width]
            errors.append(mse_rgb(anchor, pair.hr))
        return float(np.mean(errors)) / PEAK**2

    return work.job.step("anchor-error", measure)


def film_rate_weight(work: Work) -> float:
    """Mean squared error of the film, in unit range, that a bit may cost."""
    asked, stream = work.options.training.rate_weight, work.film.stream
    if asked is not None:
        return asked
    assert stream is not None
    bits = 8 * sum(segment.path.stat().st_size for segment in stream.segments)
    return anchor_error(work) / bits


def crop_rate_weight(
    work: Work, difficulty: Difficulty, task: NetworkTask, sampler: CropSampler
) -> float:
    """The film's rate weight in the terms of one network's crops.

    They are drawn where errors are large, so that theirs is more than the film's; and a network
    that serves a chunk moves the film's error by that chunk's alone.
    """
    weight = film_rate_weight(work)
    if weight == 0:
        return 0.0
    errors = 10 ** (-difficulty.fine_db / 10)
    served = errors[task.shares > 0].sum() / errors.sum()
    # Of a film that the anchor reproduces exactly there is nothing to buy.
    drawn = crop_error(sampler, work.options.training.loss_space)
    return weight * drawn / max(anchor_error(work) * served, LEAST_ERROR)
