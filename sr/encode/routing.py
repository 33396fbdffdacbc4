"""Step: the route of every patch of every frame, by the method's own rule."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from chunking.difficulty import psnr_from_sse
from chunking.parts import StreamFiles
from chunking.routes import merge_coarse, plan_routes, route_codes
from player.costs import macs_per_pixel
from player.package.weights import BICUBIC, EASY, HARD, unpack_weights
from sr.encode.difficulty import MOST_DB
from sr.encode.frames import frame_pairs
from sr.encode.methods import Difficulty, chunk_labels, chunk_thresholds_db
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


def _all_sse(work: Work, video: StreamFiles, network: Scored) -> NDArray[np.float64]:
    """[3, T, gh, gw] squared errors of a network's paths on every frame."""
    work.progress.stage("routes", sum(s.frames for s in video.segments))
    errors = []
    for sse in path_sse(network, frame_pairs(work.config, video), work.grid):
        errors.append(sse)
        work.progress.at(len(errors))
    return np.stack(errors, axis=1)


def _planned(work: Work, video: StreamFiles, blobs: list[bytes], difficulty: Difficulty) -> Codes:
    """dydca: the least work within the loss allowed, from what each path really yields.

    Dy-DCA routes by the generic network's PSNR before it trains; the server has HR and the
    trained network, so it can ask for each patch what a path gains instead: an int8 network for
    the very pixels that the phone will show.
    """
    network = scored_network(unpack_weights(blobs[0]))
    sse = _all_sse(work, video, network)
    pixels = work.samples / (3 * work.config.scale**2)
    macs = [macs_per_pixel(network.arch, path) for path in (BICUBIC, EASY, HARD)]
    costs = np.array(macs, float)[:, None, None] * pixels
    return plan_routes(sse, costs, max_loss_db=work.config.max_loss_db)


def _by_chunk(work: Work, video: StreamFiles, blobs: list[bytes], difficulty: Difficulty) -> Codes:
    """stdo: the network of the chunk that the generic network's PSNR puts a patch in."""
    fine_db = psnr_from_sse(_all_sse(work, video, scored_network(work.generic))[HARD], work.samples)
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
