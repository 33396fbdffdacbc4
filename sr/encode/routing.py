"""Step: the route of every patch of every frame, by the method's own rule."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from chunking.difficulty import psnr_from_sse
from chunking.grid import Grid
from chunking.route_plan import merge_coarse, plan_routes
from player.costs import path_macs
from player.package.paths import HARD, PATH_NAMES, route_codes
from player.package.streams import Segment, StreamFiles
from player.package.weights import unpack_weights
from sr.encode.difficulty import MOST_DB
from sr.encode.frames import frame_pairs
from sr.encode.methods import Difficulty, chunk_labels, chunk_thresholds_db
from sr.encode.protect import on_hard_path, protected
from sr.encode.sampled_routes import sampled_sse
from sr.encode.work import Work
from sr.scoring import Scored, path_sse, scored_network

Codes = NDArray[np.uint8]
STEP = "routes"


def plan_all_routes(
    work: Work, video: StreamFiles, blobs: list[bytes], difficulty: Difficulty
) -> list[Codes]:
    """One array of codes [T, gh, gw] for each segment of the stream; kept in the job's folder."""
    file = work.job.work / f"{STEP}.npy"
    if work.job.result(STEP) is None:
        np.save(file, _RULES[work.config.method](work, video, blobs, difficulty))
        work.job.finish(STEP, {}, [file])
    cuts = np.cumsum([segment.frames for segment in video.segments])[:-1]
    return np.split(np.load(file), cuts)


def held_groups(segments: Sequence[Segment], hold_frames: int) -> NDArray[np.int64]:
    """For each frame, the number of the group that keeps one route; none spans two segments."""
    starts: list[bool] = []
    for segment in segments:
        starts += [i % hold_frames == 0 for i in range(segment.frames)]
    return np.cumsum(starts) - 1


def _group_sse(
    work: Work, video: StreamFiles, network: Scored, grid: Grid, groups: NDArray[np.int64]
) -> NDArray[np.float64]:
    """[3, G, gh, gw] squared errors of a network's paths, summed over each group of frames."""
    work.progress.stage("routes", len(groups))
    errors = np.zeros((len(PATH_NAMES), int(groups[-1]) + 1, *grid.shape))
    scored = path_sse(network, frame_pairs(work.config, video), grid)
    for i, (group, sse) in enumerate(zip(groups, scored, strict=True)):
        errors[:, group] += sse
        work.progress.at(i + 1)
    return errors


def _planned(work: Work, video: StreamFiles, blobs: list[bytes], difficulty: Difficulty) -> Codes:
    """dydca: the least work within the loss allowed, from what each path really yields.

    Dy-DCA routes by the generic network's PSNR before it trains; the server has HR and the
    trained network, so it can ask for each cell what a path gains instead: an int8 network for
    the very pixels that the phone will show. A group of frames keeps its routes, which costs
    little and spares the phone most of the map.
    """
    network = scored_network(unpack_weights(blobs[0]))
    groups = held_groups(video.segments, work.config.route_hold_frames)
    measure = _group_sse if work.config.probe_share == 1 else sampled_sse
    sse = measure(work, video, network, work.route_grid, groups)
    pixels = work.samples_of(work.route_grid) / (3 * work.config.scale**2)
    frames = np.bincount(groups)[:, None, None]
    costs = path_macs(network.arch)[:, None, None, None] * (frames * pixels)
    codes = plan_routes(sse, costs, max_loss_db=work.config.max_loss_db)[groups]
    cell_px = work.route_grid.fine_h, work.route_grid.fine_w
    watched = protected(work, cell_px, range(len(groups)))
    return codes if watched is None else on_hard_path(codes, watched.cells)


def _by_chunk(work: Work, video: StreamFiles, blobs: list[bytes], difficulty: Difficulty) -> Codes:
    """stdo: the network of the chunk that the generic network's PSNR puts a patch in."""
    frames = np.arange(sum(segment.frames for segment in video.segments))
    sse = _group_sse(work, video, scored_network(work.generic), work.grid, frames)
    fine_db = psnr_from_sse(sse[HARD], work.samples)
    training_labels = chunk_labels(difficulty, work.config)
    limits_db = chunk_thresholds_db(difficulty.fine_db, training_labels)
    labels = np.searchsorted(limits_db, np.minimum(fine_db, MOST_DB), side="right")
    return merge_coarse(route_codes(np.full(labels.shape, HARD), labels))


def _all_hard(work: Work, video: StreamFiles, blobs: list[bytes], difficulty: Difficulty) -> Codes:
    """jstdo: one static network for everything."""
    frames = sum(s.frames for s in video.segments)
    return merge_coarse(route_codes(np.full((frames, *work.grid.shape), HARD)))


_RULES: dict[str, Callable[[Work, StreamFiles, list[bytes], Difficulty], Codes]] = {
    "dydca": _planned,
    "jstdo": _all_hard,
    "stdo": _by_chunk,
}
