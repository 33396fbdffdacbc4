"""A short training on the sample, and what the rest of the training will bring.

Two rules carry a short trial over to the network that will be made. They are what a few prototypes
gave: on two choosing clips (benchmarks/clips.toml) the networks gained 0.8 and 1.3 times what they
promised. That moves the first crf, which the rounds after it set right, and at worst the choice;
the proof on the whole film does not rest on it.

    steps    a gain in dB grows by REST_A_DOUBLING of itself with each doubling of the steps
             that of a network that ships and is adapted, over what it gains as it is, by
             ADAPTED_A_DOUBLING (benchmarks/adapting.py)
    weights  and with their number to a power: SMALL_EXPONENT up to SMALL_WEIGHTS, and
             LARGE_EXPONENT beyond (benchmarks/sizes.py)
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chunking.difficulty import patch_sse, shown_sse
from chunking.grid import Grid
from chunking.route_plan import usual_cell_px
from player.bicubic import upscale_bicubic
from player.package.adapted import unpack_base
from player.package.architecture import Tensors
from player.package.paths import HARD
from player.package.scale import Scale, hr_px
from player.package.shipped import shipped_blob
from sr.models import build_network, deployed_network
from sr.packing import pack_changes
from sr.quant.adapt import adapt, adapting_plan
from sr.quant.integer_network import IntegerNetwork
from sr.rate.candidates import Candidate
from sr.rate.goal import luma_share
from sr.rate.rungs import Rung
from sr.rate.sample import Sample, SampledStream
from sr.scoring import Scored, scored_network, upscale_paths
from sr.training.crop_error import crop_error
from sr.training.data import FramePair, Image, training_set
from sr.training.loop import TrainingPlan, overfit
from sr.training.spread import CELL_PX, SMALL_CROP_PX, SMALL_CROPS_FOR_ONE, SpreadSampler

REST_A_DOUBLING, ADAPTED_A_DOUBLING = 0.12, 0.2
CHANGES_A_DOUBLING = 1.23  # times more bytes (benchmarks/adapting.py)
SMALL_WEIGHTS, SMALL_EXPONENT, LARGE_EXPONENT = 8000, 0.25, 0.15
MOST_STEPS, SHARE_OF_STEPS = 400, 0.2  # of a trial: in all, and of the network's training
_TRAINED, _JUDGED = 16, 6  # frames of the sample
CHANGE_BITS = 2  # a frame, of a cell that changes its route and keeps it for some frames


@dataclass(frozen=True)
class Training:
    """How the chosen network will be trained: steps, crops in each (as of scale 4 and 48 px), what
    the squared errors are of (sr/training/losses.py)."""

    steps: int
    batch: int
    loss: str = "rgb"
    seed: int = 0

    @property
    def trial_steps(self) -> int:
        """Of a short training, that says what the whole one will bring."""
        return max(1, min(MOST_STEPS, round(SHARE_OF_STEPS * self.steps)))


@dataclass(frozen=True)
class Trial:
    """What `candidate` gained over the anchor, by the goal's metric, after so many steps (0: it
    ships as it is). Of one that is adapted: `before`, what it gained as it ships, and `share`,
    the bytes of its changes for each of the stream's."""

    candidate: Candidate
    rung: Rung
    crf: float
    steps: int
    gain: float
    before: float = 0.0
    share: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As report.json has it."""
        arch = self.candidate.arch
        return {
            **self.rung.to_json(),
            "units": arch.units,
            "widths": list(arch.widths),
            "shipped": self.candidate.shipped,
            "adapted": self.candidate.adapted,
            "crf": self.crf,
            "steps": self.steps,
            "gain": round(self.gain, 4),
        }

    def weighed(self, steps: int) -> Candidate:
        """The candidate that is adapted, with what its changes take after `steps`."""
        longer = max(0.0, math.log2(steps / self.steps))
        return replace(self.candidate, changes_share=self.share * CHANGES_A_DOUBLING**longer)

    def expected(self, candidate: Candidate, steps: int) -> float:
        """The gain of a network of the same scale that is trained so too, after `steps`."""
        longer = max(0.0, math.log2(steps / self.steps))
        if candidate.adapted:
            more = max(0.0, self.gain - self.before) * (1 + ADAPTED_A_DOUBLING * longer)
            return self.before + more
        # What harms is not used: routes then take the anchor.
        gain = max(0.0, self.gain) * (1 + REST_A_DOUBLING * longer)
        return gain * size_factor(candidate, self.candidate)


def size_factor(candidate: Candidate, other: Candidate) -> float:
    """How many times more one network gains than another of the same scale."""

    def worth(weights: int) -> float:
        exponent = SMALL_EXPONENT if weights < SMALL_WEIGHTS else LARGE_EXPONENT
        return float((weights / SMALL_WEIGHTS) ** exponent)

    return worth(candidate.weights) / worth(other.weights)


def run_trial(
    candidate: Candidate,
    stream: SampledStream,
    metric: str,
    training: Training,
    on_step: Callable[[int, float], None],
) -> Trial:
    """Overfit the candidate to some frames, and judge it on frames between them."""
    steps, (trained, held) = training.trial_steps, _some_frames(stream)
    network = build_network(candidate.arch, training.seed)
    sampler = _sampler_of(candidate, trained, training)
    if sampler is None:
        return Trial(candidate, stream.rung, stream.crf, steps, 0.0)
    overfit(network, sampler, TrainingPlan(steps, loss=training.loss), on_step=on_step)
    deployed = deployed_network(candidate.arch, network.deployed_arrays())
    after = (dict(upscale_paths(deployed, p.lr, (HARD,)))[HARD] for p in held)
    gain = _gain(stream.sample, held, after, candidate, metric)
    return Trial(candidate, stream.rung, stream.crf, steps, gain)


def try_adapted(
    candidate: Candidate,
    stream: SampledStream,
    metric: str,
    training: Training,
    on_step: Callable[[int, float], None],
) -> Trial:
    """The same of what a network that ships changes; each cell by the path that is best for all
    frames, before and after."""
    assert candidate.shipped is not None
    steps, (trained, held) = training.trial_steps, _some_frames(stream)
    blob = shipped_blob(candidate.shipped)
    base = unpack_base(blob)
    cell_px = usual_cell_px(candidate.scale, candidate.arch.units)

    def gain_of(integers: Tensors) -> float:
        network = IntegerNetwork(base.arch, integers)
        after = routed(network, held, cell_px, stream.frame_bits, luma_share(metric))
        return _gain(stream.sample, held, after, candidate, metric)

    before, sampler = gain_of(base.tensors), _sampler_of(candidate, trained, training)
    if sampler is None:
        return Trial(candidate, stream.rung, stream.crf, steps, before, before)
    plan = replace(adapting_plan(steps), loss=training.loss)
    # A bit is worth D / R to the stream (sr/encode/rate_weight.py), with D that of the crops.
    price = crop_error(sampler, training.loss) / (8 * stream.bytes)
    changed = adapt(base, sampler, plan, price, on_step=on_step)
    share = len(pack_changes(blob, changed)) / stream.bytes
    return Trial(candidate, stream.rung, stream.crf, steps, gain_of(changed), before, share)


def _some_frames(stream: SampledStream) -> tuple[list[FramePair], list[FramePair]]:
    """Frames to learn from, and to judge by, between them."""
    count = len(stream.sample.frames)
    spread = np.linspace(0, count - 1, min(count, _TRAINED + _JUDGED)).round().astype(int)
    judged = spread[:: max(1, len(spread) // _JUDGED)]
    trained = np.setdiff1d(spread, judged) if len(spread) > len(judged) else spread
    return stream.pairs(trained.tolist()), stream.pairs(judged.tolist())


def _sampler_of(
    candidate: Candidate, pairs: Sequence[FramePair], training: Training
) -> SpreadSampler | None:
    """Crops by the anchor's error; None where it has none."""
    arch = candidate.arch
    data = training_set(list(pairs), arch.scale, arch.halo_px(HARD), arch.units)
    shares = anchor_shares(pairs, arch.scale)
    if not shares.any():
        return None
    crops = training.batch * SMALL_CROPS_FOR_ONE[arch.scale]
    cell = (CELL_PX, CELL_PX)
    return SpreadSampler(data, shares, cell, crops, training.seed, side_px=SMALL_CROP_PX)


def try_ready(candidate: Candidate, stream: SampledStream, metric: str) -> Trial:
    """A network that needs no training, on as many frames, each cell by the path that is best for
    all: of a film that it has never seen it harms some places, and routes leave it out there."""
    assert candidate.ready_blob is not None
    network = scored_network(candidate.ready_blob)
    count = len(stream.sample.frames)
    judged = np.linspace(0, count - 1, min(count, _JUDGED)).round().astype(int)
    held = stream.pairs(judged.tolist())
    cell_px = usual_cell_px(candidate.scale, candidate.arch.units)
    after = routed(network, held, cell_px, stream.frame_bits, luma_share(metric))
    gain = _gain(stream.sample, held, after, candidate, metric)
    return Trial(candidate, stream.rung, stream.crf, 0, gain)


def routed(
    network: Scored, pairs: Sequence[FramePair], cell_px: int, frame_bits: float, share: float = 0.0
) -> Iterator[Image]:
    """Frames whose cells take the path of the least error over all of them, and another where that
    is worth its bits: a choice of each frame's own, as of one frame alone, leaves them unpaid. A
    bit is worth the anchor's error over the stream's bits; `share` of errors is luma's."""
    scale, (height, width) = network.arch.scale, pairs[0].lr.shape[:2]
    grid = Grid(height, width, cell_px, cell_px)
    errors = np.stack([
        [shown_sse(f, p.hr, grid, scale, share) for _, f in upscale_paths(network, p.lr)]
        for p in pairs
    ])  # fmt: skip
    held, own = errors.sum(axis=0).argmin(axis=0), errors.argmin(axis=1)
    at_held = np.take_along_axis(errors, np.broadcast_to(held, own.shape)[:, None], axis=1)[:, 0]
    price = CHANGE_BITS * errors[:, 0].sum() / len(pairs) / frame_bits
    best = np.where(at_held - errors.min(axis=1) > price, own, held)
    rows, columns = (np.arange(hr_px(n, scale)) // hr_px(cell_px, scale) for n in (height, width))
    for pair, choice in zip(pairs, best, strict=True):
        # Made again: all paths of all frames at once are gigabytes.
        made = [frame for _, frame in upscale_paths(network, pair.lr)]
        taken = choice[rows[:, None], columns][..., None]
        yield np.select([taken == i for i in range(len(made))], made)


def _gain(
    sample: Sample, held: Sequence[FramePair], after: Iterable[Image], candidate: Candidate,
    metric: str,
) -> float:  # fmt: skip
    """What frames show more than the anchor does."""
    before = ((upscale_bicubic(p.lr, candidate.scale), p.hr) for p in held)
    shown = ((frame, p.hr) for frame, p in zip(after, held, strict=True))
    was, now = (sample.quality(pairs, [metric])[metric] for pairs in (before, shown))
    return now - was


def anchor_shares(pairs: Sequence[FramePair], scale: Scale) -> NDArray[np.float64]:
    """[T, rows, columns]: how often each place is drawn: by the root of the anchor's error."""
    height, width = pairs[0].lr.shape[:2]
    grid = Grid(height, width, CELL_PX, CELL_PX)
    errors = [patch_sse(upscale_bicubic(pair.lr, scale), pair.hr, grid, scale) for pair in pairs]
    return np.sqrt(np.stack(errors))
