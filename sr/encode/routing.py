"""Step: the route of every patch of every frame, by the method's own rule."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from chunking.difficulty import psnr_from_sse
from chunking.grid import Grid
from chunking.priced_routes import priced_routes
from player.costs import path_macs
from player.package.paths import BICUBIC, HARD, PLANNED_PATHS, merge_coarse, route_codes
from player.package.streams import Segment
from sr.encode.by_segment import Errors, Groups, by_segment, keep_array, read_array
from sr.encode.difficulty import MOST_DB
from sr.encode.methods import Difficulty, chunk_labels, chunk_thresholds_db, time_labels
from sr.encode.protect import on_hard_path, protected
from sr.encode.rate_weight import LEAST_ERROR, anchor_error, film_rate_weight
from sr.encode.sampled_routes import sampled_sse
from sr.encode.work import Work
from sr.scoring import Scored, path_sse
from sr.training.data import FramePair

Codes = NDArray[np.uint8]


def plan_all_routes(
    work: Work, blobs: list[bytes], difficulty: Difficulty | None = None
) -> list[Codes]:
    """One array of codes [T, gh, gw] for each segment of the stream. Only stdo's chunks ask for
    the difficulty of what they were made of."""
    assert work.film.stream is not None
    file = work.job.path("routes.npy")

    def make() -> None:
        keep_array(file, _RULES[work.options.training.method](work, blobs, difficulty))

    work.job.step("routes", make, [file])
    # One file for the job, one map a segment in the package: a lost map costs no other segment.
    cuts = np.cumsum([segment.frames for segment in work.film.stream.segments])[:-1]
    return np.split(read_array(file), cuts)


def frame_groups(segments: Sequence[Segment], hold_frames: int) -> Groups:
    """For each frame, the number of the frame group that holds one route."""
    # None spans two segments: a map belongs to one, and each must be playable without the others.
    starts: list[bool] = []
    for segment in segments:
        starts += [i % hold_frames == 0 for i in range(segment.frames)]
    return np.cumsum(starts) - 1


def _summed_sse(work: Work, network: Scored, grid: Grid, groups: Groups) -> Errors:
    """[3, G, gh, gw] squared errors of a network's paths, summed over each frame group."""
    share = work.options.routes.luma_share or 0.0

    def measure(pairs: Iterator[FramePair], own: Groups) -> Errors:
        errors = np.zeros((len(PLANNED_PATHS), int(own[-1] - own[0]) + 1, *grid.shape))
        # All frames of a group: fewer, the first and the last, do not decide as well where things
        # move (benchmarks/scoring.py).
        found = path_sse(network, pairs, grid, luma_share=share)
        for group, sse in zip(own, found, strict=True):
            errors[:, group - own[0]] += sse
        return errors

    return by_segment(work, groups, measure)


def _planned(work: Work, blobs: list[bytes], difficulty: Difficulty | None) -> Codes:
    """dydca: the least work within the loss allowed, from what each path really yields, where a bit
    of the map costs what it does in the weights.

    A frame group holds its routes, which costs little and spares the phone most of the map.
    """
    stream, asked = work.film.stream, work.options.routes
    assert stream is not None
    # Dy-DCA routes by the generic network's PSNR before it trains. Here HR and the trained network
    # are at hand, so each cell is asked what a path gains: of an int8 network, in the very pixels
    # that the phone will show.
    network = work.scored(blobs[0], work.film.frames)
    groups = frame_groups(stream.segments, asked.route_hold_frames)
    measure = _summed_sse if asked.probe_share == 1 else sampled_sse
    sse = measure(work, network, work.route_grid, groups)
    # Of each cell only what is displayed, in LR pixels.
    pixels = work.samples_of(work.route_grid) / float(3 * work.film.scale**2)
    # A frame group's cell is computed in each of its frames, as its errors are the sum of theirs.
    frames = np.bincount(groups)[:, None, None]
    costs = path_macs(network.arch)[:, None, None, None] * (frames * pixels)
    # A share of the anchor's error, so that the price is in the terms of these errors, too.
    error_share = film_rate_weight(work) / max(anchor_error(work), LEAST_ERROR)
    bit_price = error_share * float(sse[BICUBIC].sum())
    firsts = np.cumsum([0, *(segment.frames for segment in stream.segments[:-1])])
    starts = np.isin(np.arange(len(sse[0])), groups[firsts])
    most = asked.max_macs and asked.max_macs * len(groups)
    paths = priced_routes(sse, costs, starts, bit_price, asked.max_loss_db, most)
    codes = merge_coarse(route_codes(paths))[groups]
    cell_px = work.route_grid.fine_h, work.route_grid.fine_w
    watched = protected(work, cell_px, range(len(groups)))
    return codes if watched is None else on_hard_path(codes, watched.cells)


def _by_chunk(work: Work, blobs: list[bytes], difficulty: Difficulty | None) -> Codes:
    """stdo: the network of the chunk that the generic network's PSNR puts a patch in."""
    assert difficulty is not None
    frames = np.arange(work.film.frames)
    # The rule that made the chunks of the training frames, carried over to all frames.
    network = work.scored(work.generic_int8, len(frames))
    sse = _summed_sse(work, network, work.film.grid, frames)
    fine_db = psnr_from_sse(sse[HARD], work.samples_of(work.film.grid))
    training_labels = chunk_labels(difficulty, work.options.training)
    limits_db = chunk_thresholds_db(difficulty.fine_db, training_labels)
    labels = np.searchsorted(limits_db, np.minimum(fine_db, MOST_DB), side="right")
    return merge_coarse(route_codes(np.full(labels.shape, HARD), labels))


def _all_hard(work: Work, blobs: list[bytes], difficulty: Difficulty | None) -> Codes:
    """jstdo, awdnn, repcam: one static network for everything."""
    shape = (work.film.frames, *work.film.grid.shape)
    return merge_coarse(route_codes(np.full(shape, HARD)))


def _by_time(work: Work, blobs: list[bytes], difficulty: Difficulty | None) -> Codes:
    """nas, cafm, delta: the network of the stretch of time that a frame is in."""
    labels = time_labels(work.film.frames, work.options.training.chunks)[:, None, None]
    labels = labels + work.method.shared  # network 0 is then the one that they change
    shape = (work.film.frames, *work.film.grid.shape)
    return merge_coarse(route_codes(np.full(shape, HARD), np.broadcast_to(labels, shape)))


_RULES: dict[str, Callable[[Work, list[bytes], Difficulty | None], Codes]] = {
    "dydca": _planned,
    "jstdo": _all_hard,
    "awdnn": _all_hard,
    "repcam": _all_hard,
    "nas": _by_time,
    "cafm": _by_time,
    "delta": _by_time,
    "stdo": _by_chunk,
}
