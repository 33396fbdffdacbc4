"""`pocketsr measure`: a package against the film it was made from, frame by frame.

    package --upscale--> ours ---.
                  LR --bicubic---+--> squared errors of each frame, SSIM --> JSON
                  LR --generic---'
    film ------------------------'

The rates are taken in a pass of their own before, so that measuring does not slow them.
"""

import math
import resource
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player import metrics
from player.compare import Arm, Errors, control_arms
from player.costs import frame_macs, model_switches, path_pixels
from player.engine import Engine
from player.events import Listener, ignore
from player.networks import NetworkSet, load_networks
from player.package.index import FileEntry, Index
from player.package.layout import INDEX_PATH
from player.package.package_error import PackageError
from player.package.paths import PATH_NAMES
from player.playback import play
from player.reference import Pair, pair_with_reference
from player.session import Package
from player.upscale import UpscaledFrame, crop, upscale

SSIM_FRAMES = 60  # SSIM takes about a second for a frame of 1080p
PROTOCOLS = ("frame", "stdo")
STDO_PATCH_PX = (54, 48)  # LR height and width of a patch in STDO's protocol (section 4.1)


@dataclass(frozen=True)
class MeasureOptions:
    """At most `limit` frames; SSIM on `ssim_frames` of them, evenly spaced; the protocol "stdo"
    adds the papers' shaved PSNR.
    """

    threads: int | None = None
    limit: int | None = None
    protocol: str = "frame"
    ssim_frames: int = SSIM_FRAMES


@dataclass
class _Tally:
    """What adds up over the frames."""

    ours: Errors = field(default_factory=Errors)
    controls: dict[str, Errors] = field(default_factory=dict)
    ssim: list[float] = field(default_factory=list)
    shaved: list[float] = field(default_factory=list)
    pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(PATH_NAMES), np.int64))
    macs: int = 0
    switches: int = 0
    arena_bytes: int = 0


def measure(
    package: Package,
    reference: Path,
    engine: Engine | None,
    options: MeasureOptions | None = None,
    on_event: Listener = ignore,
) -> dict[str, Any]:
    """The object of `measure --json` (docs/player.md tells every field).

    Raises PackageError where the package has no index, InputError where the film cannot be read
    or does not fit.
    """
    options = options or MeasureOptions()
    index = package.index
    if index is None:
        raise PackageError(f"{package.directory}/{INDEX_PATH} cannot be used: run `verify`")
    playback = play(upscale(package, engine, options.threads, on_event, options.limit))
    peak_rss_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    tally = _compare(package, index, reference, engine, options)
    return {
        "schema": "pocketsr.measure/1",
        "frames": len(tally.ours.rgb),
        "width": index.hr.width,
        "height": index.hr.height,
        "scale": index.scale,
        "method": index.method,
        "preset": index.preset,
        **_quality(tally, options),
        **_sizes(package, index),
        **_costs(tally),
        "fps": vars(playback.fps),
        "arena_bytes": tally.arena_bytes,
        "peak_rss_bytes": peak_rss_bytes,
        "engine": _engine_json(engine, options.threads),
    }


def _compare(
    package: Package,
    index: Index,
    reference: Path,
    engine: Engine | None,
    options: MeasureOptions,
) -> _Tally:
    """The second pass: every frame against the film."""
    tally = _Tally()
    arms = control_arms(engine, index.scale, options.threads)
    networks = load_networks(package, engine, ignore) if engine else NetworkSet((), {})
    sampled = _evenly_spaced(min(index.frames, options.limit or index.frames), options.ssim_frames)
    frames = upscale(package, engine, options.threads, limit=options.limit)
    for pair in pair_with_reference(frames, reference, index.time_base):
        _add_quality(tally, package, arms, pair)
        _add_costs(tally, pair[0], networks)
        if pair[0].index in sampled:
            tally.ssim.append(metrics.ssim_y(pair[0].rgb, pair[1]))
        if options.protocol == "stdo":
            patch = STDO_PATCH_PX[0] * index.scale, STDO_PATCH_PX[1] * index.scale
            tally.shaved += metrics.shaved_patch_errors(pair[0].rgb, pair[1], *patch, index.scale)
    return tally


def _evenly_spaced(frames: int, count: int) -> frozenset[int]:
    """At most `count` frame numbers of 0..frames-1, first and last among them."""
    return frozenset(np.linspace(0, frames - 1, min(frames, count)).round().astype(int).tolist())


def _add_quality(tally: _Tally, package: Package, arms: Mapping[str, Arm], pair: Pair) -> None:
    frame, original = pair
    tally.ours.add(frame.rgb, original)
    for name, arm in arms.items():
        errors = tally.controls.setdefault(name, Errors())
        errors.add(crop(package, arm(frame.lr)), original)


def _add_costs(tally: _Tally, frame: UpscaledFrame, networks: NetworkSet) -> None:
    tally.pixels += path_pixels(frame.patches)
    tally.switches += model_switches(frame.codes) if frame.codes is not None else 0
    if networks.networks:
        tally.macs += frame_macs(frame.patches, [n.arch for n in networks.networks])
        tally.arena_bytes = max(tally.arena_bytes, _arena_bytes(frame, networks))


def _arena_bytes(frame: UpscaledFrame, networks: NetworkSet) -> int:
    """The arena of one thread: what the most demanding patch of the frame wants."""
    wants = {(n, p, h, w) for h, w, n, p in frame.patches[:, 2:].tolist()}
    return max(networks.networks[n].arena_bytes(p, h, w) for n, p, h, w in wants)


def _quality(tally: _Tally, options: MeasureOptions) -> dict[str, Any]:
    frames_db = tally.ours.frame_psnr_rgb_db()
    quality: dict[str, Any] = {
        "psnr": {
            "rgb": tally.ours.psnr_rgb_db,
            "y": tally.ours.psnr_y_db,
            "rgb_mean_of_frames": float(frames_db.mean()) if len(frames_db) else None,
            "rgb_p5": float(np.percentile(frames_db, 5)) if len(frames_db) else None,
        },
        "ssim_y": _mean(tally.ssim),
        "ssim_frames": len(tally.ssim),
        "vmaf": None,
        "bicubic": _control(tally, "bicubic"),
        "generic": _control(tally, "generic"),
    }
    if options.protocol == "stdo":
        errors = _mean(tally.shaved)
        quality["stdo"] = {"psnr_rgb": metrics.psnr_db(errors) if errors is not None else None}
    return quality


def _mean(values: list[float]) -> float | None:
    finite = [v for v in values if math.isfinite(v)]
    return float(np.mean(finite)) if finite else None


def _control(tally: _Tally, name: str) -> dict[str, float | None] | None:
    errors = tally.controls.get(name)
    return {"psnr_rgb": errors.psnr_rgb_db, "psnr_y": errors.psnr_y_db} if errors else None


def _sizes(package: Package, index: Index) -> dict[str, Any]:
    """Bytes of the parts, and what they are a second of film."""
    inits = index.audio_init.bytes if index.audio_init else 0
    sizes = {
        "video": index.video_init.bytes + _total(index.segments),
        "audio": inits + _total(index.audio),
        "weights": _total(index.weights),
        "routes": _total(index.routes),
        "router": index.router.bytes if index.router else 0,
        "index": (package.directory / INDEX_PATH).stat().st_size,
    }
    sizes["total"] = sum(sizes.values())
    seconds = max(1e-9, float(sum(s.duration for s in index.segments) * index.time_base))
    sr = sum(sizes[part] for part in ("weights", "routes", "router", "index"))
    parts = {"video": sizes["video"], "sr": sr, "total": sizes["total"]}
    return {"bytes": sizes, "kbps": {k: v * 8 / 1000 / seconds for k, v in parts.items()}}


def _total(entries: tuple[FileEntry, ...]) -> int:
    return sum(entry.bytes for entry in entries)


def _costs(tally: _Tally) -> dict[str, Any]:
    frames = max(1, len(tally.ours.rgb))
    shares = tally.pixels / max(1, tally.pixels.sum())
    return {
        "paths": dict(zip(PATH_NAMES, shares.tolist(), strict=True)),
        "macs_per_frame": tally.macs // frames,
        "model_switches_per_frame": tally.switches / frames,
    }


def _engine_json(engine: Engine | None, threads: int | None) -> dict[str, Any]:
    info = engine.info if engine else {}
    count = engine.pool(threads).threads if engine else 1
    return {"target": info.get("target"), "dtype": info.get("dtype"), "threads": count}
