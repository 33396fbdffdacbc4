"""`pocketsr encode`: the steps from a film to a package, as one list.

film
  | write_streams      sr/encode/streams.py      LR stream, sound, subtitles  video/, audio/, text/
  | score_difficulty   sr/encode/difficulty.py   the generic network's PSNR of each patch
  | overfit_networks   sr/encode/overfitting.py  the method's networks, shrunk, in integers
  | make_router        sr/encode/router_step.py         where the phone finds routes itself
  | plan_all_routes    sr/encode/routing.py      a route map for each segment
  | write_package      player/package/writer.py  sr/, the manifests, the signed index last
package

`--method plain` makes the streams alone. Each step finds what an interrupted run left (`Job.step`),
and goes on from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from math import prod
from time import monotonic
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chunking.input_error import InputError
from chunking.keep import Kept
from chunking.lr import check_scale
from chunking.probe import probe
from chunking.tracks import plan_tracks
from player.package.adapted import whole_blob
from player.package.entries import Size
from player.package.layout import SR, weights_name
from player.package.limits import MAX_ROUTE_CELLS, MAX_SEGMENT_FRAMES
from player.package.paths import BICUBIC, PATH_NAMES, PLANNED_PATHS, path_of
from player.package.scale import scale_number
from player.package.shipped import is_shipped, shipped_blob, shipped_file
from player.package.signature import signing_key
from player.package.streams import StreamFiles
from player.package.writer import Contents, write_package
from sr.encode.difficulty import score_difficulty
from sr.encode.film import Film
from sr.encode.job import Job
from sr.encode.job_folder import run_job
from sr.encode.options import EncodeOptions
from sr.encode.overfitting import TrainedNetwork, overfit_networks
from sr.encode.records import LEARNED, PLAIN
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
    info = probe(options.film)
    tracks = plan_tracks(options.film, options.stream.audio)
    check_scale(info.height, info.width, options.stream.scale)

    def make(job: Job) -> dict[str, Any]:
        if options.training.dtype is None and not options.training.has_int8_form:
            progress.warn(
                f"{options.training.backbone} has no int8 form: this package is fp32, with f16 "
                "weights, and an engine compiled for int8 does not open it"
            )
        # Sums in torch depend on it, and the same job must end with the same bytes.
        torch.set_num_threads(options.training.threads)
        return _run(Work(options, Film(options, info, tracks), job, progress))

    return run_job(options, restart, progress.warn, make, info.warnings)


def _run(work: Work) -> dict[str, Any]:
    began = monotonic()
    steps_before = 0
    if work.options.stream.lr == LEARNED:
        work, steps_before = _moved(work)
    if work.options.shrink.stages:  # what cannot be met is said before anything is made
        budget_of(work)
    work.film.stream, kept, said = write_streams(work)
    learned = Learned() if work.options.training.method == PLAIN else _learn(work)
    contents = _contents(work, work.film.stream, kept, learned)
    work.job.check()
    write_package(work.options.out, contents, signing_key())
    report = {**_report(work, learned), "lost": list(kept.lost), "warnings": said}
    report["steps"] += steps_before
    return {**report, "seconds_of_this_run": round(monotonic() - began, 1)}


def _moved(work: Work) -> tuple[Work, int]:
    """`--lr learned`: the work on frames that are moved through the film's network, which goes on
    from there. Unless it ships, an encode of its own on bicubic frames makes it; in that many
    steps."""
    options, training, steps = work.options, work.options.training, 0
    if training.is_ready:
        blob = training.given or shipped_file(training.shipped or "")
    else:
        folder = work.job.path("bicubic")
        silent = replace(options.stream, lr=None, audio="none")
        steps = encode(replace(options, out=folder, stream=silent), work.progress)["steps"]
        blob = folder / SR / weights_name(0)
        training = training.retouched(blob)
    stream = replace(options.stream, lr=None, through=blob)
    asked = replace(options, stream=stream, training=training)
    film = Film(asked, work.film.info, work.film.tracks)
    return replace(work, options=asked, film=film), steps


@dataclass(frozen=True)
class Learned:
    """What a package has beside its streams: nothing of it where the method is plain.

    `routes`: an array [T, gh, gw] for each segment; `router_row`, `correlation`: for the report.
    """

    steps: int = 0
    networks: Sequence[TrainedNetwork] = ()
    routes: Sequence[NDArray[np.uint8]] = ()
    router: bytes | None = None
    router_row: dict[str, Any] | None = None
    correlation: dict[str, float] = field(default_factory=dict)


def _learn(work: Work) -> Learned:
    _check_maps(work)
    training = work.options.training
    if training.is_ready:
        given, name = training.given, training.shipped or ""
        blob = given.read_bytes() if given else shipped_blob(name)
        return Learned(0, [TrainedNetwork(blob)], plan_all_routes(work, [whole_blob(blob)]))
    difficulty, correlation = score_difficulty(work)
    tasks, networks = overfit_networks(work, difficulty)
    blobs = [whole_blob(network.blob, lambda: networks[0].blob) for network in networks]
    router, row = make_router(work, blobs)
    # A router is asked for in vain where all cells take one path: then a map says so.
    mapped = router is None or work.options.routes.routes == "both"
    routes = plan_all_routes(work, blobs, difficulty) if mapped else []
    steps = sum(task.steps for task in tasks)
    return Learned(steps, networks, routes, router, row, correlation)


def _check_maps(work: Work) -> None:
    """Players take every segment's route map; raises InputError, before anything is learned."""
    assert work.film.stream is not None
    frames, cells = max(s.frames for s in work.film.stream.segments), prod(work.route_grid.shape)
    if frames > MAX_SEGMENT_FRAMES or frames * cells > MAX_ROUTE_CELLS:
        raise InputError(
            f"a segment of {frames} frames with {cells} cells each has a larger route map than "
            "players take: cut it shorter (--segment-s)"
        )


def _contents(work: Work, video: StreamFiles, kept: Kept, learned: Learned) -> Contents:
    options, film = work.options, work.film
    return Contents(
        scale=film.scale,
        lr=Size(film.grid.width, film.grid.height),
        hr=Size(film.info.width, film.info.height),
        fine_h=work.route_grid.fine_h,
        fine_w=work.route_grid.fine_w,
        method=options.training.method,
        preset=options.training.preset,
        video=video,
        sounds=kept.sounds,
        texts=kept.texts,
        chapters=kept.chapters,
        weights=[network.blob for network in learned.networks],
        routes=learned.routes,
        router=learned.router,
        colour=vars(film.info.colour),
        version=version("pocketsr"),
        id=work.job.id,
        revision=options.stream.revision,
    )


def _report(work: Work, learned: Learned) -> dict[str, Any]:
    options, film, networks = work.options, work.film, learned.networks
    return {
        "schema": "pocketsr.encode.report/1",
        "method": options.training.method,
        "preset": options.training.preset,
        "scale": scale_number(film.scale),
        "units": options.units if networks else None,
        "frames": film.frames,
        "training_frames": len(film.learned) if networks else 0,
        "steps": learned.steps,
        "crops_a_step": networks[0].crops_a_step if networks else 0,
        "crop_px": networks[0].crop_px if networks else 0,
        "patches": options.patch_choice if networks else None,
        "dtype": options.training.arithmetic if networks else None,
        "fine_tuning_steps": sum(network.fine_tuning_steps for network in networks),
        "quantisation_loss_db": [network.quantisation_loss_db for network in networks],
        "stages": [network.stages for network in networks],
        "shipped": options.training.shipped,
        "adapted": options.training.adapt,
        "weights_bytes": [0 if is_shipped(n.blob) else len(n.blob) for n in networks],
        "router": learned.router_row,
        "paths": _paths(work, learned),
        "difficulty_rank_correlation": learned.correlation,
    }


def _paths(work: Work, learned: Learned) -> dict[str, float]:
    """The share of pixels on each path: of the map, or of what the router does on its frames."""
    if not learned.routes and learned.router_row:
        return dict(learned.router_row["paths"])
    samples = work.samples_of(work.route_grid)
    # Without routes there is no network either: all cells show the anchor.
    routes = learned.routes or [np.full((1, *samples.shape), BICUBIC, np.uint8)]
    paths = path_of(np.concatenate(routes))
    whole = samples.sum() * len(paths)
    return {PATH_NAMES[i]: float(((paths == i) * samples).sum() / whole) for i in PLANNED_PATHS}
