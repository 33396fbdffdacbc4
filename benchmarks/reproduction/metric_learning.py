"""Attentive deep metric learning on made-up pairs of thermal and RGB patches (FlameFinder).

Labels come from RGB by a colour rule; the network sees thermal patches alone, clear while it is
trained and in smoke when it is judged. The network is the router's own, with a cell as large as a
patch, and its training is the router's, so that what is shown here is what routes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.reproduction import ReproduceOptions
from benchmarks.reproduction.clusters import davies_bouldin, intra_class_variance, silhouette
from benchmarks.reproduction.flames.pairs import PatchPairs
from benchmarks.reproduction.flames.synthetic import PATCH_PX, synthetic_pairs
from benchmarks.reproduction.flames.synthetic import VERSION as DATA_VERSION
from benchmarks.reproduction.rows import Row, RowStore
from benchmarks.verdict import comparison
from sr.models.network import PIXEL_MAX
from sr.router.embedding import RouterShape
from sr.router.losses import LossWeights
from sr.router.training import RouterData, RouterPlan, TrainedRouter, fit_router

VERSION = 1  # of what a row means: rows of another are made anew
LEAST_SEEDS = 5
TEST_SEED = 1_000_000  # test scenes have none of the training seeds
JUDGED_CLUSTERS = 600  # patches whose pairwise distances the silhouette takes


@dataclass(frozen=True)
class Settings:
    """The same for all arms. `smoke` is the test's alone."""

    train: int = 1500
    test: int = 1000
    smoke: float = 0.5
    steps: int = 300
    batch: int = 64
    widths: tuple[int, int, int] = (16, 24, 32)
    squeeze: int = 8


QUICK = Settings(train=120, test=80, steps=20)


@dataclass(frozen=True)
class Arm:
    """Which terms are in the loss, and whether features are attended."""

    weights: LossWeights
    attention: bool = False


PLAIN = LossWeights(centre=0, triplet=0, cosine=0)
FULL_LOSS = LossWeights()
BCE, ALL, ATTENTIVE = "BCE", "BCE + CL + TCL + TCCL", "all, attention"
ARMS: Mapping[str, Arm] = {
    BCE: Arm(PLAIN),
    "BCE + CL": Arm(replace(PLAIN, centre=FULL_LOSS.centre)),
    "BCE + TCL": Arm(replace(PLAIN, triplet=FULL_LOSS.triplet)),
    "BCE + TCCL": Arm(replace(PLAIN, cosine=FULL_LOSS.cosine)),
    ALL: Arm(FULL_LOSS),
    ATTENTIVE: Arm(FULL_LOSS, attention=True),
}


def run(options: ReproduceOptions) -> dict[str, Any]:
    """All arms over all seeds, five at least unless it is quick."""
    settings = QUICK if options.quick else Settings()
    extra = () if options.quick else range(LEAST_SEEDS)
    seeds = sorted({*options.seeds, *extra})
    store = RowStore(options.work)
    rows = [
        store.row(_key(settings, name, seed), partial(_row, settings, name, seed))
        for seed in seeds
        for name in ARMS
    ]
    return {
        "seeds": seeds,
        "settings": asdict(settings),
        "table_by": ["arm"],
        "rows": rows,
        "claims": claims(rows),
    }


def _key(settings: Settings, name: str, seed: int) -> dict[str, Any]:
    arm = ARMS[name]
    versions = {"version": VERSION, "data": DATA_VERSION}
    schedule = {**asdict(arm.weights), "attention": arm.attention, **asdict(settings)}
    return {"arm": name, "seed": seed, **versions, **schedule}


def _row(settings: Settings, name: str, seed: int) -> dict[str, Any]:
    router = _train(settings, ARMS[name], seed)
    clear = _pairs(settings.test, TEST_SEED + seed, 0.0)
    obscured = _pairs(settings.test, TEST_SEED + seed, settings.smoke)
    features, labels = _features(router, clear), clear.fire.astype(np.int64)
    smoky = _features(router, obscured)
    judged = smoky[:JUDGED_CLUSTERS], labels[:JUDGED_CLUSTERS]
    return {
        "arm": name,
        "seed": seed,
        "clean_accuracy": _nearest(router, features, labels),
        "obscured_accuracy": _nearest(router, smoky, labels),
        "clean_head": _by_head(router, features, labels),
        "obscured_head": _by_head(router, smoky, labels),
        "silhouette": silhouette(*judged),
        "davies_bouldin": davies_bouldin(*judged),
        "intra_class_variance": intra_class_variance(*judged),
    }


@cache
def _pairs(count: int, seed: int, smoke: float) -> PatchPairs:
    """The patches of a seed, which all arms share."""
    return synthetic_pairs(count, seed, smoke)


def _train(settings: Settings, arm: Arm, seed: int) -> TrainedRouter:
    pairs = _pairs(settings.train, seed, 0.0)
    squeeze = settings.squeeze if arm.attention else 0
    shape = RouterShape(PATCH_PX, settings.widths, squeeze, classes=2)
    classes = torch.from_numpy(pairs.fire.astype(np.int64))[:, None, None]
    plan = RouterPlan(settings.steps, settings.batch, weights=arm.weights, fixed_textures=False)
    return fit_router(shape, RouterData(_frames(pairs), classes), plan, seed)


def _frames(pairs: PatchPairs) -> Tensor:
    """Thermal as the router's three planes, [N, 3, p, p] u8."""
    return torch.from_numpy(pairs.thermal)[:, None].repeat(1, 3, 1, 1)


@torch.no_grad()
def _features(router: TrainedRouter, pairs: PatchPairs) -> Tensor:
    """[N, C, 1, 1]: attended features."""
    return router.network(_frames(pairs).float() / PIXEL_MAX)


@torch.no_grad()
def _nearest(router: TrainedRouter, features: Tensor, labels: np.ndarray) -> float:
    """Accuracy by the nearest centre."""
    found = router.network.distances(features).argmin(dim=1).flatten().numpy()
    return float((found == labels).mean())


@torch.no_grad()
def _by_head(router: TrainedRouter, features: Tensor, labels: np.ndarray) -> float:
    """Accuracy by the classifier's head."""
    return float((router.logits(features).argmax(dim=1).flatten().numpy() == labels).mean())


def claims(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What the paper says, seed by seed: of all losses with attention against BCE, and of attention
    against the same losses without."""
    found = []
    for column, words in (
        ("obscured_accuracy", "more accurate in smoke"),
        ("silhouette", "classes further apart in smoke"),
    ):
        arms = ((BCE, "BCE alone"), (ALL, "all losses without attention"))
        found += [
            comparison(f"attentive: {words} than {said}", rows, (ATTENTIVE, control), column)
            for control, said in arms
        ]
    return found
