"""Data-level lottery tickets for vision transformers (patches that are enough), small.

    dense network ─fine-tuned with fewer and fewer tokens─► selector: which patches are left
    fresh network, trained on the selector's patches alone (a), on random ones (b), on all (c)

All start from the same weights and are judged on the selector's patches of the test images, as the
paper's sparse evaluation does. Controls of (b): as many patches seen in all, by more epochs; the
same random places for all images. The selector needs the dense network: a ticket is a hypothesis
about data, not a saving.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.reproduction import ReproduceOptions
from benchmarks.reproduction.datasets import Indices, TrainAndTest
from benchmarks.reproduction.datasets_cifar import load_cifar10_npz
from benchmarks.reproduction.rows import Row, RowStore
from benchmarks.reproduction.tri_level import part_of
from benchmarks.reproduction.vit.tokens import Sparsity, by_class_token, choose, keep_count
from benchmarks.reproduction.vit_classify import (
    PATCHES,
    Pick,
    Picked,
    Task,
    Vit,
    VitPlan,
    VitSettings,
    accuracy,
    build_vit,
    pick_all,
    shuffled,
    train_vit,
)
from benchmarks.verdict import at_least, comparison, sample, values_of
from sr.models.precision import bf16_where_fast

VERSION = 1  # of what a row means: rows of another are made anew
POINT = 0.01


@dataclass(frozen=True)
class Settings(VitSettings):
    """The task; `keep` at each of the blocks `at` (the paper: 0.8 up, at 3, 6 and 9 of 12)."""

    keep: float = 0.8
    selector_epochs: int = 3
    selector_rate: float = 2e-4

    @property
    def sparsity(self) -> Sparsity:
        """What the selector drops."""
        return Sparsity(self.at, tokens=self.keep, score=by_class_token)

    @property
    def patches(self) -> int:
        """How many are left in the end."""
        count = PATCHES
        for _ in self.at:
            count = keep_count(count, self.keep)
        return count


QUICK = Settings(images=600, epochs=3, depth=4, at=(1, 2), selector_epochs=1)

DENSE, TICKET, RANDOM = "all patches", "ticket", "random patches"
EQUAL, FIXED = "random, as many seen", "random, fixed"
ARMS = (DENSE, TICKET, RANDOM, EQUAL, FIXED)


def run(options: ReproduceOptions) -> dict[str, Any]:
    """All arms over all seeds. Raises InputError where the subset cannot be read."""
    settings = QUICK if options.quick else Settings()
    data = part_of(load_cifar10_npz(options.sets / "cifar10_subset.npz"), settings.images)
    store = RowStore(options.work)
    rows = []
    for seed in options.seeds:
        job = Job(settings, data, seed, options.work)
        for name in ARMS:
            key = {"version": VERSION, "arm": name, "seed": seed, **asdict(settings)}
            rows.append(store.row(key, partial(job.row, name)))
    return {
        "settings": {**asdict(settings), "patches": settings.patches},
        "table_by": ["arm"],
        "rows": rows,
        "claims": claims(rows),
    }


@dataclass(frozen=True)
class Job:
    """The arms of one seed, with the networks that others are made of kept in files."""

    settings: Settings
    data: TrainAndTest
    seed: int
    work: Path

    def row(self, name: str) -> dict[str, Any]:
        """Train an arm and judge it."""
        selected = Selection(self._selector(), self.settings)
        epochs = self.settings.epochs
        if name == EQUAL:
            epochs = round(epochs * PATCHES / self.settings.patches)
        vit = build_vit(self.settings.size, len(self.data.train.classes), self.seed)
        if name == DENSE:
            effort = self._trained(vit, DENSE)
        else:
            effort = self._train(vit, epochs, self.settings.rate, self._pick(name, selected))
        return {
            "arm": name,
            "seed": self.seed,
            "accuracy": accuracy(vit, self.data.test, selected),
            "accuracy_all_patches": accuracy(vit, self.data.test),
            "epochs": epochs,
            **effort,
        }

    def _pick(self, name: str, selected: Pick) -> Pick:
        """What goes into a training step."""
        picks: Mapping[str, Callable[[], Pick]] = {
            TICKET: lambda: selected,
            RANDOM: lambda: fresh_patches(self.settings.patches, self.seed),
            EQUAL: lambda: fresh_patches(self.settings.patches, self.seed),
            FIXED: lambda: fixed_patches(self.settings.patches, self.seed),
        }
        return picks[name]()

    def _selector(self) -> Vit:
        """The dense network, fine-tuned with the tokens dropped; from the file where it is kept."""
        vit = build_vit(self.settings.size, len(self.data.train.classes), self.seed)
        self._trained(vit, DENSE)
        self._trained(vit, "selector")
        return vit.eval()

    def _trained(self, vit: Vit, name: str) -> dict[str, float]:
        """Train `vit` as the network of that name, or load it; what it took."""
        file = self._file(name)
        if not file.exists():
            s = self.settings
            if name == DENSE:
                effort = self._train(vit, s.epochs, s.rate, pick_all)
            else:
                effort = self._train(vit, s.selector_epochs, s.selector_rate, self._thinned)
            part = file.with_suffix(".part")
            torch.save({"network": vit.state_dict(), "effort": effort}, part)
            part.replace(file)
        kept = torch.load(file, weights_only=True)
        vit.load_state_dict(kept["network"])
        found: dict[str, float] = kept["effort"]
        return found

    def _file(self, name: str) -> Path:
        """Named by all that the network depends on, as far as it changes."""
        s = self.settings
        words = (name, self.seed, VERSION, s.images, s.epochs, s.dim, s.depth, s.keep, s.rate)
        return self.work / ("-".join(str(word).replace(" ", "-") for word in words) + ".pt")

    def _thinned(self, step: int, chosen: Indices, images: Tensor) -> Picked:
        """All patches go in, and are dropped inside, from the first step on."""
        return Picked(sparsity=self.settings.sparsity)

    def _train(self, vit: Vit, epochs: int, rate: float, pick: Pick) -> dict[str, float]:
        s, count = self.settings, len(self.data.train)
        epoch_steps = max(1, count // s.batch)
        order = shuffled(lambda _: np.arange(count), s.batch, self.seed, epoch_steps)
        plan = VitPlan(epochs * epoch_steps, s.batch, rate)
        return train_vit(vit, Task(self.data.train, self.seed), plan, order, pick).to_row()


@dataclass(frozen=True)
class Selection:
    """The selector's patches of each image: those left after its last choice. As a `Pick`."""

    selector: Vit
    settings: Settings

    @torch.no_grad()
    def __call__(self, step: int, chosen: Indices, images: Tensor) -> Picked:
        sparsity = self.settings.sparsity
        with bf16_where_fast():
            kept = self.selector(images, sparsity).kept
        flops = len(images) * self.selector.forward_flops(sparsity=sparsity)
        return Picked(patches=kept, flops=flops)


def fresh_patches(count: int, seed: int) -> Pick:
    """Other random patches for each image and step. (The paper chains three random subsets: that
    is one of the last one's size.)"""

    def pick(step: int, chosen: Indices, images: Tensor) -> Picked:
        generator = torch.Generator().manual_seed(1_000_003 * seed + step)
        scores = torch.rand(len(images), PATCHES, generator=generator)
        return Picked(patches=choose(scores, count))

    return pick


def fixed_patches(count: int, seed: int) -> Pick:
    """The same random places always."""
    generator = torch.Generator().manual_seed(seed)
    places = choose(torch.rand(1, PATCHES, generator=generator), count)

    def pick(step: int, chosen: Indices, images: Tensor) -> Picked:
        return Picked(patches=places.expand(len(images), -1))

    return pick


def claims(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What the paper says, judged on the patches that an arm was trained on, as it does it, and on
    all patches, as its authors' code does by default."""
    found = []
    for column, where in (("accuracy", "its own patches"), ("accuracy_all_patches", "all patches")):
        judged = f"judged on {where}: "
        best = f"{judged}the ticket is more than a point above random patches"
        equal = f"{judged}random patches do not make up for it by as many seen"
        found += [
            comparison(best, rows, (TICKET, RANDOM), column, POINT),
            _nearer(rows, column, judged),
            comparison(equal, rows, (TICKET, EQUAL), column),
        ]
    return found


def _nearer(rows: Sequence[Row], column: str, judged: str) -> dict[str, Any]:
    """The loss against all patches is less than half of what random ones lose."""
    all_of_them, ours, random = (values_of(rows, arm, column) for arm in (DENSE, TICKET, RANDOM))
    lost = [(all_of_them[run] - ours[run], all_of_them[run] - random[run]) for run in ours]
    return {
        "claim": f"{judged}the ticket is nearer to all patches than half way from random ones",
        "verdict": at_least([theirs / 2 - own for own, theirs in lost]),
        "measured": {
            "lost": sample([own for own, _ in lost]),
            "lost by random ones": sample([theirs for _, theirs in lost]),
        },
    }
