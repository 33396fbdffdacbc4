"""Routes without a map: routers learned on the first half of a clip, judged on the second.

    first half ── LR + HR ──► labels (oracle plan) ─► router ─► offsets that spend the oracle's MACs
    second half ─ LR alone ─► router ─► routes ─► regret against the oracle plan of that half

`regret_db`: PSNR of the oracle plan, which stays within 0.05 dB of the hard path at the fewest MACs
M, less the PSNR of the routed cells. `macs_ratio`: what the router spends, itself included, over
M. `equal_regret_db`: regret when its dearer paths are shifted until it spends M as well, so that
arms compare at one price. `low_...`: on LR at the lowest usable rate, by the errors and the oracle
of that LR. Arms learn from clean LR alone, unless they say "both".
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.shrinking.base import base_blob
from benchmarks.shrinking.claims import RUN, Claim, Judged
from benchmarks.shrinking.clips import Clip
from benchmarks.shrinking.lowrate import lowest_rate
from benchmarks.verdict import Row, at_most, differences, means_within, sample
from chunking.difficulty import dct_energy
from chunking.grid import Grid
from chunking.route_plan import plan_routes
from player.costs import path_macs
from player.metrics import psnr_db
from player.package.artefact import write_bytes
from player.package.paths import PLANNED_PATHS, path_of
from player.package.weights import unpack_weights
from sr.models.network import PIXEL_MAX
from sr.router.decide import (
    FRAMES_AT_ONCE,
    Cells,
    Rule,
    calibrate,
    decide,
    distances_of,
    spent,
    to_budget,
)
from sr.router.embedding import SAFE_PATH, RouterShape
from sr.router.losses import LossWeights
from sr.router.training import FULL, RouterData, RouterPlan, TrainedRouter, fit_router
from sr.router.views import cell_macs, cell_sums, joined, quarter_grid, shifted_views
from sr.scoring import path_sse, scored_network

LOSS_DB = 0.05
MOST_CLEAN_DB, MOST_LOW_DB = 0.1, 0.2
SHAPE = RouterShape(classes=len(PLANNED_PATHS))
PLAIN_SHAPE = replace(SHAPE, squeeze=0)
PLAN = RouterPlan(steps=200, frames=10)
CLEAN, LOW = "clean", "low"
UNSURE_SHARE = 0.05
PATHS = tuple(range(len(PLANNED_PATHS)))

Errors = NDArray[np.float64]
Images = NDArray[np.uint8]
Score = Callable[[Images], Errors]  # LR frames [T, h, w, 3] -> [T gh gw, K], least is nearest
Learns = Callable[[RouterData, int], Score]  # from labelled frames and a seed


def logits_of(router: TrainedRouter, frames: Tensor) -> Errors:
    """[T, 3, h, w] u8 frames -> logits of the classifier's head [T, gh, gw, K]."""
    pieces = frames.split(FRAMES_AT_ONCE)
    with torch.no_grad():
        found = [router.logits(router.network(f.float() / PIXEL_MAX)) for f in pieces]
    return torch.cat(found).movedim(1, -1).double().numpy()


def with_least_margin(cells: Cells, rule: Rule, share: float, budget_macs: float) -> Rule:
    """The rule that sends the `share` of the least sure cells to the safe path, within budget.

    Margins depend on offsets and offsets on what the safe path costs, so that both are set in
    turns.
    """
    for _ in range(4):
        nearest, _, margin = decide(cells.scores, rule)
        unsafe = margin[np.asarray(rule.paths)[nearest] != SAFE_PATH]
        least = float(np.quantile(unsafe, share)) if len(unsafe) else 0.0
        rule = replace(rule, least_margin=(least,) * len(rule.paths))
        rule = to_budget(cells, rule, budget_macs)
    return rule


@dataclass(frozen=True)
class Spent:
    """Squared error and MACs of all cells of a scene."""

    error: float
    macs: float

    def regret_db(self, oracle: "Spent") -> float:
        return 10 * float(np.log10(self.error / oracle.error))


@dataclass(frozen=True)
class Scene:
    """LR frames [T, h, w, 3] at one quality and their squared errors [3, T, qh, qw] of quarters."""

    lr: Images
    quarters: Errors
    per_pixel: Errors

    @property
    def size_px(self) -> tuple[int, int]:
        return self.lr.shape[1], self.lr.shape[2]

    @property
    def sse(self) -> Errors:
        """[3, T, gh, gw]: squared errors of the router's cells."""
        return cell_sums(self.quarters, SHAPE.quarters)

    @property
    def macs(self) -> Errors:
        """[3, gh, gw]: what each cell costs on each path."""
        return cell_macs(*self.size_px, SHAPE.cell_px, self.per_pixel)

    def half(self, second: int) -> "Scene":
        """The first half of the frames (0) or the second (1)."""
        middle = len(self.lr) // 2
        part = slice(middle, None) if second else slice(middle)
        return replace(self, lr=self.lr[part], quarters=self.quarters[:, part])

    def cells(self, scores: Errors) -> Cells:
        costs = np.broadcast_to(self.macs[:, None], self.sse.shape)
        return Cells(scores, self.sse.reshape(3, -1), costs.reshape(3, -1))

    def oracle(self) -> Spent:
        """The plan of fewest MACs within LOSS_DB of the hard path."""
        plan = path_of(plan_routes(self.sse, self.macs, max_loss_db=LOSS_DB))
        cells = self.cells(np.zeros((plan.size, 3)))
        return Spent(*spent(cells, plan.ravel().astype(np.int64)))


@dataclass(frozen=True)
class Arm:
    """`qualities`: those it learns from. `own_macs`: of the router, for an LR pixel. `unsure`: the
    share of cells of other paths that go to safety."""

    about: str
    learns: Learns
    qualities: tuple[str, ...] = (CLEAN,)
    own_macs: float = SHAPE.macs_per_pixel
    unsure: float = 0.0


def _to_tensor(frames: Images) -> Tensor:
    return torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()


def _by_distance(weights: LossWeights, squeeze: int = SHAPE.squeeze) -> Learns:
    """Scores are squared distances to the centres."""

    def learns(data: RouterData, seed: int) -> Score:
        router = fit_router(replace(SHAPE, squeeze=squeeze), data, _plan(weights), seed)
        return lambda frames: _flat(distances_of(router.network, _to_tensor(frames)))

    return learns


def _by_head(weights: LossWeights) -> Learns:
    """Scores are negative logits of the classifier's head; its margin is the logits'."""

    def learns(data: RouterData, seed: int) -> Score:
        router = fit_router(SHAPE, data, _plan(weights), seed)
        return lambda frames: _flat(-logits_of(router, _to_tensor(frames)))

    return learns


def _plan(weights: LossWeights) -> RouterPlan:
    return replace(PLAN, weights=weights)


def _flat(values: Errors) -> Errors:
    return values.reshape(-1, values.shape[-1])


def _grid(frames: Images) -> Grid:
    return Grid(frames.shape[1], frames.shape[2], SHAPE.cell_px, SHAPE.cell_px)


def _by_energy(data: RouterData, seed: int) -> Score:
    """One threshold on the LR's own energy: the more, the dearer. Learns nothing."""

    def score(frames: Images) -> Errors:
        grid = _grid(frames)
        energy = np.log1p(np.stack([dct_energy(frame, grid) for frame in frames])).ravel()
        return np.outer(energy, -np.linspace(0, 1, len(PATHS)))

    return score


def _by_chance(data: RouterData, seed: int) -> Score:
    def score(frames: Images) -> Errors:
        cells = _grid(frames).shape
        drawn = np.random.default_rng(seed).random(len(frames) * cells[0] * cells[1])
        return np.outer(drawn, -np.linspace(0, 1, len(PATHS)))

    return score


ENTROPY = LossWeights(centre=0, triplet=0, cosine=0, reconstruction=0, privileged=0)
ARM_LIST: Mapping[str, Arm] = {
    "attentive": Arm("all losses, attention", _by_distance(FULL)),
    "no attention": Arm(
        "all losses, plain features", _by_distance(FULL, 0), own_macs=PLAIN_SHAPE.macs_per_pixel
    ),
    "centre alone": Arm("cross-entropy and CL", _by_distance(replace(FULL, triplet=0, cosine=0))),
    "triplet alone": Arm("cross-entropy and TCL", _by_distance(replace(FULL, centre=0, cosine=0))),
    "cosine alone": Arm("cross-entropy and TCCL", _by_distance(replace(FULL, centre=0, triplet=0))),
    "no privileged head": Arm(
        "all losses but that of the errors", _by_distance(replace(FULL, privileged=0))
    ),
    "cross-entropy, privileged": Arm(
        "a classifier that learns the errors too", _by_head(replace(ENTROPY, privileged=3.0))
    ),
    "cross-entropy": Arm("a classifier of the same network", _by_head(ENTROPY)),
    "attentive, safe": Arm(
        "the least sure take the hard path", _by_distance(FULL), unsure=UNSURE_SHARE
    ),
    "attentive, both": Arm(
        "has seen the low rate too, with offsets for each", _by_distance(FULL), (CLEAN, LOW)
    ),
    "cross-entropy, both": Arm(
        "has seen the low rate too, with offsets for each", _by_head(ENTROPY), (CLEAN, LOW)
    ),
    "energy": Arm("a threshold on the LR's DCT energy", _by_energy, own_macs=0),
    "random": Arm("paths by chance", _by_chance, own_macs=0),
}
ORACLE = "oracle"
ARMS: Mapping[str, str] = {
    ORACLE: "the plan by true errors",
    **{name: arm.about for name, arm in ARM_LIST.items()},
}
SHOWN = (
    "arm",
    "regret_db",
    "macs_ratio",
    "equal_regret_db",
    "low_regret_db",
    "low_macs_ratio",
    "low_equal_regret_db",
)


def make(clip: Clip, arm: str, seed: int, steps: int, store: Path) -> dict[str, Any]:
    """The row's columns. `steps`: of the network that the clip is overfitted to."""
    scenes = _scenes(clip, seed, steps, store)
    found: dict[str, Any] = {}
    for quality, prefix in ((CLEAN, ""), (LOW, "low_")):
        oracle = scenes[quality].half(1).oracle()
        found |= {f"{prefix}oracle_db": _psnr_db(oracle, clip), f"{prefix}oracle_macs": oracle.macs}
    if arm == ORACLE:
        return found | {
            f"{prefix}{column}": value
            for prefix in ("", "low_")
            for column, value in (("regret_db", 0.0), ("macs_ratio", 1.0), ("equal_regret_db", 0.0))
        }
    return found | _routed(ARM_LIST[arm], scenes, seed)


def _routed(arm: Arm, scenes: Mapping[str, Scene], seed: int) -> dict[str, float]:
    """Regrets of an arm on the second half, at both qualities."""
    views = [_views(scenes[quality].half(0)) for quality in arm.qualities]
    score = arm.learns(joined(views), seed)
    found: dict[str, float] = {}
    for quality, prefix in ((CLEAN, ""), (LOW, "low_")):
        known = scenes[quality if quality in arm.qualities else CLEAN].half(0)
        rule = _calibrated(arm, known, score)
        judged = _judged(arm, rule, scenes[quality].half(1), score)
        found |= {f"{prefix}{column}": value for column, value in judged.items()}
    return found


def _calibrated(arm: Arm, scene: Scene, score: Score) -> Rule:
    """Offsets that spend the oracle's MACs where the errors are known."""
    cells, budget = scene.cells(score(scene.lr)), scene.oracle().macs - _own_macs(arm, scene)
    rule = calibrate(cells, Rule.plain(PATHS), budget)
    return with_least_margin(cells, rule, arm.unsure, budget) if arm.unsure else rule


def _judged(arm: Arm, rule: Rule, scene: Scene, score: Score) -> dict[str, float]:
    cells, oracle, own = scene.cells(score(scene.lr)), scene.oracle(), _own_macs(arm, scene)
    routed = Spent(*spent(cells, decide(cells.scores, rule)[1]))
    equal = to_budget(cells, rule, oracle.macs - own)
    at_budget = Spent(*spent(cells, decide(cells.scores, equal)[1]))
    return {
        "regret_db": routed.regret_db(oracle),
        "macs_ratio": (routed.macs + own) / oracle.macs,
        "equal_regret_db": at_budget.regret_db(oracle),
    }


def _own_macs(arm: Arm, scene: Scene) -> float:
    return arm.own_macs * scene.lr[..., 0].size


def _views(scene: Scene) -> RouterData:
    return shifted_views(scene.lr, scene.quarters, scene.per_pixel, LOSS_DB, SHAPE)


def _psnr_db(found: Spent, clip: Clip) -> float:
    samples = sum(pair.hr.size for pair in clip.pairs[len(clip.pairs) // 2 :])
    return psnr_db(found.error / samples)


def _scenes(clip: Clip, seed: int, steps: int, store: Path) -> dict[str, Scene]:
    """Both qualities; errors of the clip's network on them from the file where they are kept."""
    blob = base_blob(clip, seed, steps, store)
    per_pixel = path_macs(unpack_weights(blob).arch)
    file = store / f"router-{clip.name}-{len(clip.pairs)}-{seed}-{steps}.npz"
    if not file.exists():
        kept: dict[str, Any] = {}
        for quality, pairs in ((CLEAN, clip.pairs), (LOW, lowest_rate(clip.pairs).pairs)):
            grid = quarter_grid(*clip.pairs[0].lr.shape[:2])
            errors = path_sse(scored_network(blob), pairs, grid)
            kept[f"{quality}_sse"] = np.stack(list(errors), axis=1)
            kept[f"{quality}_lr"] = np.stack([pair.lr for pair in pairs])
        buffer = io.BytesIO()
        np.savez(buffer, **kept)
        write_bytes(file, buffer.getvalue())
    with np.load(file) as kept_file:
        return {
            quality: Scene(kept_file[f"{quality}_lr"], kept_file[f"{quality}_sse"], per_pixel)
            for quality in (CLEAN, LOW)
        }


def _below(arm: str, column: str, most_db: float, words: str) -> Claim:
    """An arm's regret is below `most_db`, with its MACs beside it where it chooses them."""

    def judge(rows: Sequence[Row]) -> Judged:
        regret = means_within(rows, arm, column)
        measured = {"regret_db": sample(regret)}
        if "equal" not in column:
            macs = means_within(rows, arm, column.replace("regret_db", "macs_ratio"))
            measured["macs_ratio"] = sample(macs)
        return at_most(regret, most_db), measured

    return Claim(f"{arm}: regret under {most_db:g} dB on {words}", (arm,), judge)


def _less(arm: str, other: str, column: str, words: str) -> Claim:
    """An arm's regret is below another's."""

    def judge(rows: Sequence[Row]) -> Judged:
        found = differences(rows, arm, other, column, RUN)
        return at_most(found), {"difference_db": sample(found)}

    return Claim(f"{arm}: less regret than {other} on {words}", (arm, other), judge)


# On clean LR a router takes little over the oracle's MACs; at the lowest rate one that has learned
# nothing there takes twice as many. So what is said of that rate is said at the oracle's.
LOWEST, EQUAL = "LR at the lowest usable rate", "at equal MACs"
CLEAN_EQUAL, LOWEST_EQUAL = f"clean LR, {EQUAL}", f"{LOWEST}, {EQUAL}"

CLAIMS: tuple[Claim, ...] = (
    _below("attentive", "regret_db", MOST_CLEAN_DB, "clean LR"),
    _below("attentive", "equal_regret_db", MOST_CLEAN_DB, CLEAN_EQUAL),
    _below("attentive", "low_equal_regret_db", MOST_LOW_DB, LOWEST_EQUAL),
    _below("attentive, both", "low_regret_db", MOST_LOW_DB, LOWEST),
    _below("attentive, both", "low_equal_regret_db", MOST_LOW_DB, LOWEST_EQUAL),
    _less("attentive", "cross-entropy", "low_equal_regret_db", LOWEST_EQUAL),
    _less("attentive, both", "cross-entropy, both", "low_equal_regret_db", LOWEST_EQUAL),
    _less("attentive", "cross-entropy", "regret_db", "clean LR"),
    _less("attentive", "cross-entropy", "equal_regret_db", CLEAN_EQUAL),
    _less("attentive", "cross-entropy, privileged", "low_equal_regret_db", LOWEST_EQUAL),
    _less("attentive", "no privileged head", "low_equal_regret_db", LOWEST_EQUAL),
    _less("attentive", "no attention", "regret_db", "clean LR"),
    _less("attentive", "random", "equal_regret_db", CLEAN_EQUAL),
    _less("attentive", "energy", "equal_regret_db", CLEAN_EQUAL),
)
