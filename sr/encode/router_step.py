"""Step: a router for the phone, so that video needs no map (`--routes router`, `both`).

    training pairs --every path's error (HR)--> oracle plan --labels--> router on the LR as decoded
                                                                        --> offsets that spend what
                                                                            the plan spends --> blob

For live video the map of a segment would come too late. What the router loses against the plan is
measured on frames that it was not trained on in docs/router.md; the report has it for its own.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chunking.grid import Grid
from chunking.route_plan import plan_routes
from player.costs import path_macs
from player.package.artefact import read_sealed, write_sealed
from player.package.paths import HARD, PATH_NAMES, PLANNED_PATHS, QUARTER_PX, path_of
from player.package.weights import unpack_weights
from sr.encode.protect import on_hard_path, protected
from sr.encode.work import Work
from sr.router.decide import Cells, Rule, calibrate, decide, distances_of, spent
from sr.router.embedding import RouterShape
from sr.router.integers import pack_router
from sr.router.training import RouterData, RouterPlan, fit_router
from sr.router.views import (
    cell_macs,
    cell_sums,
    content_of_cells,
    quarter_grid,
    shifted_content,
    shifted_views,
)
from sr.scoring import path_sse, scored_network

PLAN = RouterPlan()
MOST_FRAMES = 60  # evenly taken of the training frames

Errors = NDArray[np.float64]


@dataclass(frozen=True)
class _Lesson:
    """LR frames [T, h, w, 3], the errors [3, T, qh, qw] of their quarters on each path, what a path
    costs, and the class to protect of each quarter (0: none)."""

    lr: NDArray[np.uint8]
    quarters: Errors
    per_pixel: Errors
    shape: RouterShape
    content: NDArray[np.int64] | None

    @property
    def cells(self) -> tuple[Errors, Errors]:
        """Errors [3, T, gh, gw] and MACs [3, gh, gw] of the router's cells."""
        height, width = self.lr.shape[1:3]
        macs = cell_macs(height, width, self.shape.cell_px, self.per_pixel)
        return cell_sums(self.quarters, self.shape.quarters), macs


def make_router(work: Work, blobs: list[bytes]) -> tuple[bytes | None, dict[str, Any] | None]:
    """The router's blob and a row for the report; None where none is asked for, or all cells take
    one path and there is nothing to decide."""
    asked = work.options.routes
    if asked.routes == "map":
        return None, None
    file = work.job.path("router.bin")

    def make() -> dict[str, Any]:
        lesson = _lesson(work, blobs[0])
        sse, macs = lesson.cells
        planned = plan_routes(sse, macs, max_loss_db=asked.max_loss_db)
        if lesson.content is not None:
            cells = planned.shape[1], planned.shape[2]
            held = content_of_cells(lesson.content, lesson.shape, cells) > 0
            planned = on_hard_path(planned, held)
        oracle = path_of(planned).astype(np.int64)
        paths = tuple(int(p) for p in np.unique(oracle))
        if len(paths) + len(asked.protect) < 2:
            # An empty file, so that the step has one to prove that it is done.
            write_sealed(file, b"")
            return {"bytes": 0, "reason": f"every cell takes the path {PATH_NAMES[paths[0]]}"}
        blob, row = _fit(work, lesson, oracle, paths)
        write_sealed(file, blob)
        return row

    row = work.job.step("router", make, [file])
    return (read_sealed(file) or None), row


def _lesson(work: Work, network: bytes) -> _Lesson:
    training, learned = work.film.training, work.film.learned
    # Neighbours in time teach the same: an even choice costs little and bounds the work.
    count = min(MOST_FRAMES, len(training))
    chosen = np.linspace(0, len(training) - 1, count).round().astype(int)
    pairs = [training[i] for i in chosen]
    blob = unpack_weights(network)
    work.progress.stage("router", len(pairs))
    errors = []
    for sse in path_sse(scored_network(network), pairs, quarter_grid(*pairs[0].lr.shape[:2])):
        errors.append(sse)
        work.progress.at(len(errors))
    watched = protected(work, (QUARTER_PX, QUARTER_PX), [learned[i] for i in chosen])
    return _Lesson(
        np.stack([pair.lr for pair in pairs]),
        np.stack(errors, axis=1),
        path_macs(blob.arch),
        RouterShape(cell_px=work.options.route_cell_px),
        watched.labels if watched else None,
    )


def _fit(
    work: Work, lesson: _Lesson, oracle: NDArray[np.int64], paths: tuple[int, ...]
) -> tuple[bytes, dict[str, Any]]:
    """Trained on every shift of the frames, calibrated to the oracle's MACs, and packed."""
    asked, names = work.options.routes, work.options.routes.protect
    cell_px, hold_frames = lesson.shape.cell_px, asked.route_hold_frames
    shape = RouterShape(cell_px, classes=len(paths) + len(names))
    data = _labelled(lesson, asked.max_loss_db, paths)
    network = fit_router(shape, data, PLAN, work.options.training.seed).network
    lr = torch.from_numpy(lesson.lr).permute(0, 3, 1, 2).contiguous()
    scores = distances_of(network, lr).reshape(-1, shape.classes)
    sse, macs = lesson.cells
    costs = np.broadcast_to(macs[:, None], sse.shape)
    cells = Cells(scores, sse.reshape(3, -1), costs.reshape(3, -1))
    best_sse, budget = spent(cells, oracle.ravel())
    # What the router computes itself is paid out of the same budget.
    own = shape.macs_per_pixel * lesson.lr[..., 0].size / hold_frames
    plain = Rule.plain((*paths, *(HARD for _ in names)))
    rule = protecting(calibrate(cells, plain, budget - own), len(paths))
    routed = decide(scores, rule)[1]
    routed_sse, routed_macs = spent(cells, routed)
    numbers = (rule.paths, rule.offsets, rule.least_margin, hold_frames)
    blob = pack_router(network, list(lesson.lr), *numbers)
    height, width = lesson.lr.shape[1:3]
    pixels = np.tile(Grid(height, width, cell_px, cell_px).pixels().ravel(), len(lesson.lr))
    shares = np.bincount(routed, pixels, len(PLANNED_PATHS)) / pixels.sum()
    return blob, {
        "bytes": len(blob),
        "macs_per_pixel": shape.macs_per_pixel,
        "classes": [*(PATH_NAMES[p] for p in paths), *names],
        "paths": dict(zip(PATH_NAMES, shares.tolist(), strict=False)),
        "regret_db": round(10 * float(np.log10(routed_sse / best_sse)), 4),
        "macs_ratio": round((routed_macs + own) / budget, 4),
    }


def protecting(rule: Rule, ordinary: int) -> Rule:
    """The rule with protected classes, those after the `ordinary` ones, as near as the nearest."""
    # Calibration weighs multiplications, which is what they are protected from.
    kept = rule.offsets[:ordinary]
    return replace(rule, offsets=(*kept, *(min(kept) for _ in rule.offsets[ordinary:])))


def _labelled(lesson: _Lesson, loss_db: float, paths: tuple[int, ...]) -> RouterData:
    """Every shift of the frames, labelled by the plan, and by content where some is protected."""
    shape = lesson.shape
    data = shifted_views(lesson.lr, lesson.quarters, lesson.per_pixel, loss_db, shape, paths)
    if lesson.content is None:
        return data
    cells = data.classes.shape[1], data.classes.shape[2]
    content = torch.from_numpy(shifted_content(lesson.content, shape, cells))
    # After the paths' classes come those of content, which count from 1.
    classes = torch.where(content > 0, len(paths) - 1 + content, data.classes)
    return replace(data, classes=classes)
