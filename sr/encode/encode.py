"""`pocketsr encode`: the steps from a film to a package.

    film -> LR stream -> difficulty of patches -> overfitted networks -> routes -> signed package
             (work/stream)  (work/difficulty)       (work/train-i)      (work/routes)

Each step finds what an interrupted run left, and goes on from there.
"""

from collections.abc import Iterator
from importlib.metadata import version
from time import monotonic
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chunking.lr import check_scale
from chunking.probe import probe
from player.package.index import Index, Size
from player.package.paths import PATH_NAMES, path_of
from player.package.signature import signing_key
from player.package.streams import StreamFiles
from player.package.writer import Contents, write_package
from sr.encode.config import EncodeConfig
from sr.encode.difficulty import CELL_PX, score_difficulty
from sr.encode.frames import (
    learned_frames,
    stream_files,
    stream_from_json,
    stream_to_json,
    training_pairs,
    write_streams,
)
from sr.encode.job import open_job
from sr.encode.live import make_router
from sr.encode.overfitting import overfit_networks
from sr.encode.protect import protected
from sr.encode.routing import plan_all_routes
from sr.encode.sampling import Material
from sr.encode.shrinking import budget_of, content_groups
from sr.encode.work import Work
from sr.progress import Progress
from sr.usage_error import UsageError

Streams = tuple[StreamFiles, StreamFiles | None]


def encode(config: EncodeConfig, progress: Progress, restart: bool = False) -> dict[str, Any]:
    """Encode a film into a package, or go on with it; returns report.json.

    Raises InputError (the film), UsageError (the folder, the options), OSError. An interruption
    leaves a folder with which the same command continues, and ends with the same bytes.
    """
    info = probe(config.source)
    check_scale(info.height, info.width, config.scale)
    job = open_job(config, restart)
    if (report := job.report()) is not None:
        job.close(report)
        return report
    for warning in (*info.warnings, *_warnings(config)):
        progress.warn(warning)
    torch.set_num_threads(config.threads)
    report = _run(Work(config, info, job, progress))
    job.close(report)
    return report


def _warnings(config: EncodeConfig) -> Iterator[str]:
    if config.dtype is None and not config.has_int8_form:
        yield (
            f"{config.backbone} has no int8 form: this package is fp32, with f16 weights, and an "
            "engine compiled for int8 does not open it"
        )


def _run(work: Work) -> dict[str, Any]:
    began = monotonic()
    if work.config.stages:  # what cannot be met is said before anything is made
        budget_of(work)
    video, audio = _streams(work)
    pairs = training_pairs(work.config, work.info, video)
    difficulty, correlation = score_difficulty(work, pairs)
    _check_chunks(work.config, difficulty.fine_db.size)
    tasks = work.method.tasks(difficulty, work.config)
    learned = learned_frames(work.config, work.info, video)
    watched = protected(work, (CELL_PX, CELL_PX), learned)
    groups = content_groups(work, video, difficulty)
    material = Material(pairs, difficulty, groups, watched.cells if watched else None)
    networks = overfit_networks(work, tasks, material)
    blobs = [network.blob for network in networks]
    router, router_row = make_router(work, blobs, pairs, learned)
    mapped = router is None or work.config.routes == "both"
    routes = plan_all_routes(work, video, blobs, difficulty) if mapped else []
    index = _write(work, (video, audio), blobs, routes, router)
    return {
        "schema": "pocketsr.report/1",
        "method": work.config.method,
        "preset": work.config.preset,
        "scale": work.config.scale,
        "frames": index.frames,
        "training_frames": len(pairs),
        "steps": sum(task.steps for task in tasks),
        "crops_a_step": networks[0].crops_a_step,
        "crop_px": networks[0].crop_px,
        "patches": work.config.patch_choice,
        "dtype": work.config.arithmetic,
        "fine_tuning_steps": sum(network.fine_tuning_steps for network in networks),
        "quantisation_loss_db": [network.quantisation_loss_db for network in networks],
        "stages": [network.stages for network in networks],
        "weights_bytes": [len(blob) for blob in blobs],
        "router": router_row,
        "paths": _paths(work, routes, router_row),
        "difficulty_rank_correlation": correlation,
        "seconds_of_this_run": round(monotonic() - began, 1),
    }


def _check_chunks(config: EncodeConfig, patches: int) -> None:
    if config.method != "dydca" and config.chunks > patches:
        raise UsageError(f"{patches} patches cannot make {config.chunks} chunks: lower --chunks")


def _streams(work: Work) -> Streams:
    """Step: the LR stream and the copied audio."""
    out = work.config.out
    if (found := work.job.result("stream")) is None:
        video, audio = write_streams(work.config, work.info, work.progress)
        found = [stream_to_json(s, out) if s else None for s in (video, audio)]
        files = stream_files(video) + (stream_files(audio) if audio else [])
        work.job.finish("stream", found, files)
    return stream_from_json(found[0], out), (stream_from_json(found[1], out) if found[1] else None)


def _write(
    work: Work,
    streams: Streams,
    blobs: list[bytes],
    routes: list[NDArray[np.uint8]],
    router: bytes | None,
) -> Index:
    """Step: everything else of the package, the signed index last."""
    video, audio = streams
    grid, config = work.grid, work.config
    contents = Contents(
        scale=config.scale,
        lr=Size(grid.width, grid.height),
        hr=Size(work.info.width, work.info.height),
        fine_h=work.route_grid.fine_h,
        fine_w=work.route_grid.fine_w,
        method=config.method,
        preset=config.preset,
        video=video,
        audio=audio,
        weights=blobs,
        routes=routes,
        router=router,
        colour=vars(work.info.colour),
        version=version("pocketsr"),
    )
    return write_package(config.out, contents, signing_key())


def _paths(
    work: Work, routes: list[NDArray[np.uint8]], router_row: dict[str, Any] | None
) -> dict[str, float]:
    """The share of pixels on each path: of the map, or of what the router does on its frames."""
    if not routes and router_row:
        return dict(router_row["paths"])
    return path_shares(routes, work.samples_of(work.route_grid))


def path_shares(routes: list[NDArray[np.uint8]], samples: NDArray[np.int64]) -> dict[str, float]:
    """The share of pixels on each path, over all frames."""
    paths = path_of(np.concatenate(routes))
    weights = samples / samples.sum() / len(paths)
    return {name: float(((paths == i) * weights).sum()) for i, name in enumerate(PATH_NAMES)}
