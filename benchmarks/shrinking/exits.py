"""The table `exits`: one trunk with several last layers, each for the patches that it serves best.

    LR ─► trunk ─► exit 0 │ exit 1 │ exit 2 │ exit 3        a patch takes one of them

An exit is 3 % of the network's weights and no more work for a patch, where STDO's chunks take a
network each. Which exit a patch takes is decided by its difficulty, or anew now and then by which
of them errs least there; the control has as many, for patches drawn at random. All arms train the
same multiplications, on the crops of `one exit`, and are judged before rounding, patch by patch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.shrinking.base import trained_well
from benchmarks.shrinking.claims import above, near
from benchmarks.shrinking.clips import SCALE, SMALL_BATCH, Clip, read_spread
from benchmarks.shrinking.judge import missed_sse, seen_patches
from player.metrics import psnr_db
from player.package.architecture import Architecture
from player.package.paths import HARD
from sr.encode.methods import chunk_labels
from sr.encode.records import TrainingOptions
from sr.models import architecture
from sr.models.chain import Chain
from sr.models.network import init_silent
from sr.training.data import Batch, CropSampler, training_set
from sr.training.loop import Companion, TrainingPlan, overfit
from sr.training.spread import SMALL_CROP_PX

K = 4
RELABELLED, LAST_RELABELLED = 8, 0.75  # times in a run, and until which share of it
Labels = NDArray[np.int64]  # [T, gh, gw]: which exit a patch takes
read = read_spread


class ManyExits(Chain):
    """A chain with `count` exits behind its trunk; crop n of a batch takes `chosen[n]`."""

    def __init__(self, arch: Architecture, count: int) -> None:
        super().__init__(arch)
        self.exits = nn.ModuleList(
            nn.Conv2d(arch.widths[-1], 3 * arch.hr_units**2, 1) for _ in range(count)
        )
        for exit_ in self.exits:
            assert isinstance(exit_, nn.Conv2d)
            init_silent(exit_)
        self.output_convolutions = tuple(f"exits.{i}" for i in range(count))
        self.chosen: list[int] = []

    def features(self, x: Tensor) -> Tensor:
        """What the exits read."""
        found = self.first(x, HARD)
        for convolution in self.trunk:
            found = convolution(found).relu()
        return found

    def residuals(self, x: Tensor) -> dict[int, Tensor]:
        features = self.features(x).split(1)
        taken = [self.exits[c](f) for c, f in zip(self.chosen, features, strict=True)]
        return {HARD: torch.cat(taken)}


@dataclass(frozen=True)
class LabelledSampler(CropSampler):
    """Tells `network` which exit each crop takes: that of the patch it was drawn around."""

    network: ManyExits
    labels: Labels

    def draw(self, step: int) -> Batch:
        batch = super().draw(step)
        assert batch.cells is not None
        self.network.chosen = self.labels.ravel()[batch.cells].tolist()
        return batch


class Relabelling(Companion):
    """Now and then every patch goes over to the exit that errs least there."""

    def __init__(self, network: ManyExits, clip: Clip, labels: Labels, steps: int) -> None:
        self._network, self._clip, self._labels = network, clip, labels
        self._every, self._last = max(1, steps // RELABELLED), LAST_RELABELLED * steps

    def after_step(self, step: int) -> None:
        if (step + 1) % self._every == 0 and step + 1 <= self._last:
            self._labels[...] = exit_errors(self._network, self._clip).argmin(-1)


@torch.no_grad()
def exit_errors(network: ManyExits, clip: Clip) -> NDArray[np.float64]:
    """[T, gh, gw, exits]: the squared error of each patch's pixels, if it took that exit."""
    errors = np.zeros((len(clip.pairs), *clip.grid.shape, len(network.exits)))
    for place, lr, hr in seen_patches(network, clip):
        features = network.features(lr)
        errors[place] = [missed_sse(network, lr, exit_(features), hr) for exit_ in network.exits]
    return errors


def _difficulty(clip: Clip, seed: int) -> Labels:
    return chunk_labels(clip.difficulty, TrainingOptions(chunks=K))


def _random(clip: Clip, seed: int) -> Labels:
    labels = _difficulty(clip, seed)
    return np.random.default_rng(seed).permutation(labels.ravel()).reshape(labels.shape)


def _one(clip: Clip, seed: int) -> Labels:
    return np.zeros_like(_difficulty(clip, seed))


@dataclass(frozen=True)
class Arm:
    """`labels` at first, given the clip and a seed; `moves`: patches go to the exit that errs
    least. `apart`: a network for each label, which share the steps."""

    about: str
    labels: Callable[[Clip, int], Labels]
    moves: bool = False
    apart: bool = False


_ARMS: Mapping[str, Arm] = {
    "one exit": Arm("one network, one exit", _one),
    "exits by difficulty": Arm("four exits, each for a quarter of the patches", _difficulty),
    "exits by least error": Arm("the same, patches go where they err least", _difficulty, True),
    "exits at random": Arm("four exits, each for patches at random", _random),
    "four networks": Arm("STDO: a network for each quarter", _difficulty, apart=True),
}
ARMS = {name: arm.about for name, arm in _ARMS.items()}
CLAIMS = (
    above("exits by difficulty", "one exit", 0.0),
    above("exits by least error", "one exit", 0.0),
    above("exits by least error", "exits at random", 0.0),
    above("exits by least error", "exits by difficulty", 0.0),
    near("one exit", "four networks", 0.1),
    near("exits by least error", "four networks", 0.1),
)
SHOWN = ("arm", "psnr_db", "weights")


def make(clip: Clip, arm: str, seed: int, steps: int, store: Path) -> dict[str, Any]:
    """Train and judge one arm. `weights`: how many numbers all of its networks have."""
    spec = _ARMS[arm]
    labels = spec.labels(clip, seed)
    groups = [labels == i for i in range(K)] if spec.apart else [labels >= 0]
    error, weights = 0.0, 0
    for own in groups:
        count = 1 if spec.apart else int(labels.max()) + 1
        taken = np.zeros_like(labels) if spec.apart else labels
        network = trained(clip, own, taken, count, steps // len(groups), seed, spec.moves)
        errors = np.take_along_axis(exit_errors(network, clip), taken[..., None], -1)[..., 0]
        error += float(errors[own].sum())
        weights += sum(p.numel() for p in network.parameters())
    samples = float(clip.samples.sum()) * len(clip.pairs)
    return {"psnr_db": psnr_db(error / samples), "weights": weights}


def trained(
    clip: Clip,
    drawn: NDArray[np.bool_],
    labels: Labels,
    count: int,
    steps: int,
    seed: int,
    moves: bool,
) -> ManyExits:
    """A network of `count` exits after so many steps on the patches `drawn`; where patches move,
    `labels` says at the end where they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ManyExits(architecture("chain", SCALE, dynamic=False), count)
    data = training_set(list(clip.pairs), SCALE, network.halo_px(HARD))
    cell_px = (clip.grid.fine_h, clip.grid.fine_w)
    shares = drawn.astype(np.float64)
    sampler = LabelledSampler(
        data, shares, cell_px, SMALL_BATCH, seed, side_px=SMALL_CROP_PX, network=network,
        labels=labels,
    )  # fmt: skip
    companion = Relabelling(network, clip, labels, steps) if moves else None
    overfit(network, sampler, TrainingPlan(steps), companion=companion)
    trained_well(network)
    if moves:
        labels[...] = exit_errors(network, clip).argmin(-1)
    return network
