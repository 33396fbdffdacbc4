"""`pocketsr measure`: a package against the film it was made from, frame by frame.

    package --upscale--> ours ---.
                  LR --bicubic---+--> QualityMeter of each, SSIM --> JSON
                  LR --generic---'
    film ------------------------'

The rates are taken in a pass of their own before, so that measuring does not slow them.
"""

import math
import resource
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chunking.opening import Source
from chunking.video import probe
from player import metrics
from player.checks import ffmpeg_checks
from player.compare import check_common, control_arms, pair_with_reference
from player.costs import anchor_macs_per_pixel, frame_macs, model_switches, path_pixels
from player.engine import Engine
from player.networks import NetworkSet, load_networks
from player.package import fields
from player.package.entries import Index
from player.package.files import read_plain
from player.package.generic import GENERIC_SCALES
from player.package.layout import INDEX_PATH, REPORT_FILE
from player.package.limits import MAX_RECORD_BYTES
from player.package.package_error import PackageError
from player.package.paths import HARD, PATH_NAMES
from player.package.scale import Scale, hr_px, scale_number
from player.package.sizes import SR_PARTS, kbps, part_bytes, rated_bytes
from player.playback import play
from player.quality import METRICS, Quality, QualityMeter, measurable
from player.session import Event, Listener, Package, ignore
from player.upscale import UpscaledFrame, crop, upscale

SSIM_FRAMES = 60  # SSIM takes about a second for a frame of 1080p
STDO_PATCH_PX = (54, 48)  # LR height and width of a patch in STDO's protocol (section 4.1)
CONTROL_METRICS = ("psnr_rgb", "psnr_y")


@dataclass(frozen=True)
class MeasureOptions:
    """At most `limit` frames; SSIM on `ssim_frames` of them, evenly spaced; the protocol "stdo"
    adds the papers' shaved PSNR. `metrics` None: all whose tools are here. `worst`: also over
    this share (0 to 1) of the frames, those that each metric finds worst.
    """

    threads: int | None = None
    limit: int | None = None
    protocol: str = "frame"
    ssim_frames: int = SSIM_FRAMES
    metrics: Sequence[str] | None = None
    worst: float | None = None


@dataclass
class _Tally:
    """What adds up over the frames."""

    ours: Quality = field(default_factory=lambda: Quality({}))
    controls: dict[str, Quality] = field(default_factory=dict)
    frames: int = 0
    grained: int = 0
    ssim: list[float] = field(default_factory=list)
    shaved: list[float] = field(default_factory=list)
    pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(PATH_NAMES), np.int64))
    macs: int = 0
    switches: int = 0
    arena_bytes: int = 0

    def add_costs(self, frame: UpscaledFrame, networks: NetworkSet, scale: Scale) -> None:
        """Count what a frame's patches cost; `networks` are those that ran them, or none."""
        self.pixels += path_pixels(frame.patches)
        self.switches += model_switches(frame.codes) if frame.codes is not None else 0
        if not networks.networks:
            lr_pixels = frame.lr.shape[0] * frame.lr.shape[1]
            self.macs += round(lr_pixels * anchor_macs_per_pixel(scale))
            return
        self.macs += frame_macs(frame.patches, [n.arch for n in networks.networks])
        # One thread's arena must hold the most demanding patch; each thread has its own.
        wants = {(n, p, h, w) for h, w, n, p in frame.patches[:, 2:].tolist()}
        largest = max(networks.networks[n].arena_bytes(p, h, w) for n, p, h, w in wants)
        self.arena_bytes = max(self.arena_bytes, largest)


def measure(
    package: Package,
    reference: Source,
    engine: Engine | None,
    options: MeasureOptions | None = None,
    on_event: Listener = ignore,
) -> dict[str, Any]:
    """The object of `measure --json` (docs/player.md tells every field).

    Raises PackageError where the package has no index, InputError where the film cannot be read
    or does not fit, MissingToolError for a metric that is asked for without its tool.
    """
    options = options or MeasureOptions()
    index = package.index
    if index is None:
        raise PackageError(f"{package.directory}/{INDEX_PATH} cannot be used: run `verify`")
    # Two passes: comparing takes longer than upscaling, and would push frames out of the cache.
    playback = play(upscale(package, engine, options.threads, on_event, options.limit))
    # Between the passes: the second one holds the film's frames as well.
    peak_rss_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    tally = _compare(package, index, reference, engine, options)
    frames = tally.frames
    check_common(frames, reference)
    if frames < playback.frames:
        what = f"the reference has {frames} of the package's {playback.frames} frames"
        on_event(Event("reference", what, "", "the others are not compared"))
    shares = tally.pixels / max(1, tally.pixels.sum())
    info = engine.info if engine else {}
    used = engine.pool(options.threads).threads if engine else 1
    return {
        "schema": "pocketsr.measure/1",
        "frames": frames,
        "grain_frames": tally.grained,  # whose film grain all of this leaves out
        "width": index.hr.width,
        "height": index.hr.height,
        "scale": scale_number(index.scale),
        "method": index.method,
        "preset": index.preset,
        **_quality(tally, index.scale, options),
        "plain": _plain_encode(package),
        "checks": ffmpeg_checks(probe(reference)),
        **_sizes(package, index),
        # The paths between easy and hard are named where a network has them.
        "paths": {
            name: s
            for i, (name, s) in enumerate(zip(PATH_NAMES, shares.tolist(), strict=True))
            if i <= HARD or s
        },
        "macs_per_frame": tally.macs // max(1, frames),
        "model_switches_per_frame": tally.switches / max(1, frames),
        "fps": vars(playback.fps),
        "arena_bytes": tally.arena_bytes,
        "peak_rss_bytes": peak_rss_bytes,
        "engine": {"target": info.get("target"), "dtype": info.get("dtype"), "threads": used},
    }


def _compare(
    package: Package,
    index: Index,
    reference: Source,
    engine: Engine | None,
    options: MeasureOptions,
) -> _Tally:
    """The second pass: every frame against the film."""
    tally = _Tally()
    arms = control_arms(engine, index.scale, options.threads)
    networks = load_networks(package, engine, ignore) if engine else NetworkSet((), {})
    count = min(index.frames, options.limit or index.frames)
    # Evenly spaced, the first and the last frame among them.
    sampled = set(np.linspace(0, count - 1, min(count, options.ssim_frames)).round().tolist())
    patch_h_px, patch_w_px = (hr_px(side, index.scale) for side in STDO_PATCH_PX)
    film = probe(reference)
    wanted = measurable() if options.metrics is None else options.metrics
    frames = upscale(package, engine, options.threads, limit=options.limit)
    colour, rate = film.colour, film.frame_rate
    controls = {name: QualityMeter(CONTROL_METRICS, colour, rate) for name in arms}
    threads = engine.pool(options.threads).threads if engine else 1
    with QualityMeter(wanted, colour, rate, threads) as ours:
        for frame, original in pair_with_reference(frames, reference, index.time_base):
            ours.add(frame.rgb, original)
            for name, arm in arms.items():
                controls[name].add(crop(package, arm(frame.lr)), original)
            tally.frames += 1
            tally.grained += frame.grain is not None
            tally.add_costs(frame, networks, index.scale)
            if frame.index in sampled:
                tally.ssim.append(metrics.ssim_y(frame.rgb, original))
            if options.protocol == "stdo":
                tally.shaved += metrics.shaved_patch_errors(
                    frame.rgb, original, patch_h_px, patch_w_px, index.scale
                )
        tally.ours = ours.result()
    tally.controls = {name: meter.result() for name, meter in controls.items()}
    return tally


def _quality(tally: _Tally, scale: Scale, options: MeasureOptions) -> dict[str, Any]:
    ours = tally.ours
    frames_db = ours.of_frames("psnr_rgb")
    quality: dict[str, Any] = {
        "psnr": {
            "rgb": ours.mean("psnr_rgb"),
            "y": ours.mean("psnr_y"),
            "rgb_mean_of_frames": float(np.mean(frames_db)) if frames_db else None,
            "rgb_p5": float(np.percentile(frames_db, 5)) if frames_db else None,
        },
        "ssim_y": _mean(tally.ssim),
        "ssim_frames": len(tally.ssim),
        # Null where the tool is missing.
        **{name: ours.mean(name) for name in METRICS if name not in CONTROL_METRICS},
        "worst": options.worst
        and {"share": options.worst} | {name: ours.worst(name, options.worst) for name in METRICS},
        "bicubic": _control(tally, "bicubic"),
        # At the scales without a generic network the anchor takes its place.
        "generic": _control(tally, "generic" if scale in GENERIC_SCALES else "bicubic"),
    }
    if options.protocol == "stdo":
        errors = _mean(tally.shaved)
        quality["stdo"] = {"psnr_rgb": metrics.psnr_db(errors) if errors is not None else None}
    return quality


def _mean(values: list[float]) -> float | None:
    # SSIM of a picture smaller than its window is no number.
    finite = [v for v in values if math.isfinite(v)]
    return float(np.mean(finite)) if finite else None


def _control(tally: _Tally, name: str) -> dict[str, float | None] | None:
    quality = tally.controls.get(name)
    return {metric: quality.mean(metric) for metric in CONTROL_METRICS} if quality else None


def _plain_encode(package: Package) -> dict[str, float] | None:
    """The plain encode of this package's bytes, where the search has made and reported one."""
    # The report is no part of the signed package: it may be missing, and hold anything.
    with suppress(PackageError):
        data = read_plain(package.directory, REPORT_FILE, MAX_RECORD_BYTES)
        plain = fields.subobject(fields.parse_object(data, REPORT_FILE), "plain")
        return {name: fields.number(plain, name) for name in ("kbps", "psnr_y", "psnr_rgb")}
    return None


def _sizes(package: Package, index: Index) -> dict[str, Any]:
    """Bytes of the parts, and what they are a second of film."""
    sizes = part_bytes(package.directory, index)
    rated = {
        "video": sizes["video"],
        "sr": sum(sizes[part] for part in SR_PARTS),
        "total": rated_bytes(sizes),
    }
    return {
        "bytes": sizes | {"total": sum(sizes.values())},
        "manifest_bytes": sizes["manifests"],  # by its first name
        "kbps": {part: kbps(size, index) for part, size in rated.items()},
    }
