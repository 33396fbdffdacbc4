"""`pocketsr encode`: the steps from a film to a package, as one list.

film
  | write_streams      sr/encode/streams.py      LR stream and copied audio   video/, audio/
  | score_difficulty   sr/encode/difficulty.py   the generic network's PSNR of each patch
  | overfit_networks   sr/encode/overfitting.py  the method's networks, shrunk, in integers
  | make_router        sr/encode/router_step.py         where the phone finds routes itself
  | plan_all_routes    sr/encode/routing.py      a route map for each segment
  | write_package      player/package/writer.py  sr/, the manifests, the signed index last
package

Each step finds what an interrupted run left (`Job.step`), and goes on from there.
"""

from importlib.metadata import version
from time import monotonic
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chunking.lr import check_scale
from chunking.probe import probe
from player.package.index import Size
from player.package.paths import PATH_NAMES, path_of
from player.package.signature import signing_key
from player.package.writer import Contents, write_package
from sr.encode.difficulty import score_difficulty
from sr.encode.film import Film
from sr.encode.job import open_job
from sr.encode.options import EncodeOptions
from sr.encode.overfitting import overfit_networks
from sr.encode.router_step import make_router
from sr.encode.routing import plan_all_routes
from sr.encode.shrinking import budget_of
from sr.encode.streams import write_streams
from sr.encode.work import Work
from sr.progress import Progress


def encode(options: EncodeOptions, progress: Progress, restart: bool = False) -> dict[str, Any]:
    """Encode a film into a package, or go on with it; returns report.json.

    Raises InputError (the film), UsageError (the folder, the options), OSError. An interruption
    leaves a folder with which the same command continues, and ends with the same bytes.
    """
    info = probe(options.source)
    check_scale(info.height, info.width, options.stream.scale)
    job = open_job(options, restart, progress.warn)
    if (report := job.report()) is None:
        for warning in info.warnings:
            progress.warn(warning)
        if options.training.dtype is None and not options.training.has_int8_form:
            progress.warn(
                f"{options.training.backbone} has no int8 form: this package is fp32, with f16 "
                "weights, and an engine compiled for int8 does not open it"
            )
        # Sums in torch depend on it, and the same job must end with the same bytes.
        torch.set_num_threads(options.training.threads)
        report = _run(Work(options, Film(options, info), job, progress))
    job.close(report)
    return report


def _run(work: Work) -> dict[str, Any]:
    began, options, film = monotonic(), work.options, work.film
    if options.shrink.stages:  # what cannot be met is said before anything is made
        budget_of(work)
    film.stream, audio = write_streams(work)
    difficulty, correlation = score_difficulty(work)
    tasks, networks = overfit_networks(work, difficulty)
    blobs = [network.blob for network in networks]
    router, router_row = make_router(work, blobs)
    # A router is asked for in vain where all cells take one path: then a map says so.
    mapped = router is None or options.routes.routes == "both"
    routes = plan_all_routes(work, blobs, difficulty) if mapped else []
    contents = Contents(
        scale=film.scale,
        lr=Size(film.grid.width, film.grid.height),
        hr=Size(film.info.width, film.info.height),
        fine_h=work.route_grid.fine_h,
        fine_w=work.route_grid.fine_w,
        method=options.training.method,
        preset=options.training.preset,
        video=film.stream,
        audio=audio,
        weights=blobs,
        routes=routes,
        router=router,
        colour=vars(film.info.colour),
        version=version("pocketsr"),
    )
    index = write_package(options.out, contents, signing_key())
    return {
        "schema": "pocketsr.report/1",
        "method": options.training.method,
        "preset": options.training.preset,
        "scale": film.scale,
        "frames": index.frames,
        "training_frames": len(film.learned),
        "steps": sum(task.steps for task in tasks),
        "crops_a_step": networks[0].crops_a_step,
        "crop_px": networks[0].crop_px,
        "patches": options.patch_choice,
        "dtype": options.training.arithmetic,
        "fine_tuning_steps": sum(network.fine_tuning_steps for network in networks),
        "quantisation_loss_db": [network.quantisation_loss_db for network in networks],
        "stages": [network.stages for network in networks],
        "weights_bytes": [len(blob) for blob in blobs],
        "router": router_row,
        "paths": _paths(work, routes, router_row),
        "difficulty_rank_correlation": correlation,
        "seconds_of_this_run": round(monotonic() - began, 1),
    }


def _paths(
    work: Work, routes: list[NDArray[np.uint8]], router_row: dict[str, Any] | None
) -> dict[str, float]:
    """The share of pixels on each path: of the map, or of what the router does on its frames."""
    if not routes and router_row:
        return dict(router_row["paths"])
    paths = path_of(np.concatenate(routes))
    samples = work.samples_of(work.route_grid)
    weights = samples / samples.sum() / len(paths)
    return {name: float(((paths == i) * weights).sum()) for i, name in enumerate(PATH_NAMES[:3])}
