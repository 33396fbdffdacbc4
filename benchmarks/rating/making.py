"""A cell: the package is made, then every frame of it is compared with the film's.

cell --encode--> package --shown as the phone does--.
                         '--LR by the generic network+--QualityMeter--> JSON of the cell
film ------------------------------------------------'
"""

import shutil
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.harness import environment
from benchmarks.rating.cells import ARMS, SMALLER_CRF, TUNES, Cell
from chunking.probe import VideoInfo, probe
from player.compare import Arm as Control
from player.compare import control_arms, pair_with_reference
from player.costs import frame_macs
from player.engine import Engine
from player.engines import open_engine
from player.package.artefact import write_bytes
from player.package.entries import Index, RoutesEntry, WeightsEntry, file_entry
from player.package.generic import anchor_blob
from player.package.index import index_bytes, read_index, write_index
from player.package.layout import SR, manifest_names, routes_path, weights_name
from player.package.paths import BICUBIC, HARD
from player.package.route_maps import pack_routes
from player.package.scale import scale_number
from player.package.signature import signing_key
from player.package.weights import unpack_weights
from player.quality import Quality, QualityMeter
from player.session import Package, open_package
from player.upscale import crop, upscale
from sr.encode.best import encode_best
from sr.encode.encode import encode
from sr.encode.options import EncodeOptions
from sr.encode.records import RECORDS
from sr.encode.search_options import SearchOptions
from sr.host_engine import build_engine
from sr.progress import Progress

THREADS = 1  # so that two runs stand side by side on two cores, and times are of one thread


def make(
    cell: Cell, film: Path, work: Path, metrics: Iterable[str], choice: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The cell's result. Raises what encode does; an interrupted encode goes on from there.

    `choice` is what the search chose at this rate, for an arm that makes that again.
    """
    package = work / "packages" / cell.name
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    report = _encode(cell, film, package, choice)
    if cell.arm == "zero":
        package = add_zeros(package)
    spent = {
        "encode_s": round(time.monotonic() - began_s, 1),
        "encode_cpu_s": round(time.process_time() - began_cpu_s, 1),
    }
    measured = measure_package(package, film, metrics, with_generic=cell.arm == "plain-2")
    told = {
        name: report[name] for name in ("steps", "phones", "verdict", "ways") if report.get(name)
    }
    if "search" in report:
        told["choice"] = report["chosen"]
        told["search_s"] = report["search"].get("seconds")
    return {**cell.to_json(), **measured, **spent, **told, "environment": environment(("av",))}


def _encode(
    cell: Cell, film: Path, package: Path, choice: Mapping[str, Any] | None
) -> dict[str, Any]:
    arm = ARMS[cell.arm]
    asked: dict[str, Any] = {
        "lr_codec": cell.codec,
        "codec_opts": TUNES[cell.tune][cell.codec],
        "frames": cell.shot.end - cell.shot.start,
        "threads": THREADS,
    }
    with Progress() as progress:
        if arm.searched:
            search = SearchOptions.of(film, package, like_crf=cell.crf, **asked, **arm.options)
            return encode_best(search, progress)
        if arm.of:
            assert choice is not None, cell.name
            asked |= ARMS[arm.of].options
            search = SearchOptions.of(film, package, like_crf=cell.crf, **asked)
            made = search.of_choice(package, dict(choice), choice["crf"])
            return encode(changed(made, cell), progress)
        options = EncodeOptions.of(film, package, lr_crf=cell.crf, **asked, **arm.options)
        return encode(options, progress)


def changed(made: EncodeOptions, cell: Cell) -> EncodeOptions:
    """The encode of what the search chose, but for what the arm replaces."""
    options, stream = dict(ARMS[cell.arm].options), made.stream
    if options.pop("scale", None) is not None:
        assert stream.lr_crf is not None
        # A filter instead of a smaller stream, or the other way round, at about the same bytes.
        scale, off = (2, -SMALLER_CRF) if stream.scale == 1 else (1, SMALLER_CRF)
        options |= {"scale": scale, "lr_crf": stream.lr_crf + off, "lr": None}
    if "codec_opts" in options:
        both = stream.codec_opts, options["codec_opts"][cell.codec]
        options["codec_opts"] = ":".join(filter(None, both))
    parts = {}
    for name, record in RECORDS.items():
        own = {field.name for field in fields(record)} & options.keys()
        parts[name] = replace(getattr(made, name), **{key: options[key] for key in own})
    return replace(made, **parts)


def add_zeros(plain: Path) -> Path:
    """A copy of a plain package with a network whose weights are zero, on every patch: the control.

    What it shows must be what is shown without: a difference would be made by the measuring.
    """
    folder = plain.with_name(f"{plain.name}+zeros")
    shutil.copytree(plain, folder, dirs_exist_ok=True)
    index = read_index(folder).index
    name = f"{SR}/{weights_name(0)}"
    blob = anchor_blob(index.scale, "int8")
    write_bytes(folder / name, blob)
    entry = vars(file_entry(folder, folder / name))
    weights = (WeightsEntry(**entry, arch=unpack_weights(blob).arch),)
    routes = tuple(_all_hard(folder, i, index) for i in range(len(index.segments)))
    write_index(folder, replace(index, weights=weights, routes=routes), signing_key())
    return folder


def _all_hard(folder: Path, segment: int, index: Index) -> RoutesEntry:
    frames = index.segments[segment].frames
    codes = np.full((frames, *index.grid_shape), HARD, np.uint8)
    path = folder / routes_path(segment)
    write_bytes(path, pack_routes(codes))
    return RoutesEntry(**vars(file_entry(folder, path)), segment=segment, frames=frames)


def measure_package(
    folder: Path, film: Path, metrics: Iterable[str], with_generic: bool = False
) -> dict[str, Any]:
    """Bytes, and the quality of what is shown by each of the metrics.

    `generic`: the quality of the same stream by the shipped generic network, where it is asked
    for. Times are medians of a frame, by the engine of this machine.
    """
    package, info = open_package(folder), probe(film)
    index = package.index
    assert index is not None and package.signer is not None, folder
    engine = open_engine("int8", build=build_engine)
    others = control_arms(engine, index.scale, THREADS) if with_generic else {}
    controls = {name: arm for name, arm in others.items() if name == "generic"}
    shown = _Shown(package, engine)
    qualities = shown.compare(film, info, list(metrics), controls)
    return {
        "scale": scale_number(index.scale),
        "frames": index.frames,
        "seconds": float(sum(s.duration for s in index.segments) * index.time_base),
        "segments": len(index.segments),
        "size": [index.hr.width, index.hr.height],
        "bytes": package_bytes(package),
        "quality": qualities.pop("shown"),
        **qualities,
        **shown.costs(),
    }


class _Shown:
    """A package's frames as they are played, and what they cost."""

    def __init__(self, package: Package, engine: Engine | None) -> None:
        self._package, self._engine = package, engine
        self._seconds: list[float] = []
        self._pixels, self._skipped, self._macs = 0, 0, 0

    def compare(
        self, film: Path, info: VideoInfo, metrics: list[str], controls: dict[str, Control]
    ) -> dict[str, dict[str, float]]:
        """The quality of all frames, as shown and by each of the controls."""
        index, package = self._package.index, self._package
        assert index is not None
        frames = upscale(package, self._engine, THREADS)
        with ExitStack() as stack:
            meters = {
                name: stack.enter_context(
                    QualityMeter(metrics, info.colour, info.frame_rate, THREADS)
                )
                for name in ("shown", *controls)
            }
            for frame, original in pair_with_reference(frames, film, index.time_base):
                meters["shown"].add(frame.rgb, original)
                for name, arm in controls.items():
                    meters[name].add(crop(package, arm(frame.lr)), original)
                self._seconds.append(frame.seconds)
                self._count(frame.patches)
            assert len(self._seconds) == index.frames, "a frame of the film was not found"
            return {name: scores(meter.result()) for name, meter in meters.items()}

    def _count(self, patches: np.ndarray) -> None:
        areas = patches[:, 2] * patches[:, 3]
        self._pixels += int(areas.sum())
        self._skipped += int(areas[patches[:, 5] == BICUBIC].sum())
        index = self._package.index
        if index is not None and index.weights:
            self._macs += frame_macs(patches, [w.arch for w in index.weights])

    def costs(self) -> dict[str, Any]:
        """What a frame costs the one who plays it."""
        frames = max(1, len(self._seconds))
        index = self._package.index
        archs = [w.arch for w in index.weights] if index is not None else []
        return {
            "networks": [{"widths": a.widths, "exits": a.exits, "units": a.units} for a in archs],
            "engine_ms": round(1000 * median(self._seconds), 2),
            "macs_per_frame": self._macs // frames,
            "skipped": round(self._skipped / max(1, self._pixels), 4),
        }


def scores(quality: Quality) -> dict[str, float]:
    """The film's score by each metric that was measured."""
    means = {name: quality.mean(name) for name in quality.errors}
    return {name: round(mean, 4) for name, mean in means.items() if mean is not None}


# Fields of an index, of what is beside the picture.
BESIDE = {"audio", "sounds", "texts", "chapters"}


def package_bytes(package: Package) -> dict[str, int]:
    """Bytes of all that a server sends to show the film, without its sound."""
    index, folder = package.index, package.directory
    assert index is not None
    manifests = manifest_names(0, 0)
    silent = {k: v for k, v in read_index(folder).source.items() if k not in BESIDE}
    sizes = {
        "video": index.video_init.bytes + sum(s.bytes for s in index.segments),
        "manifests": sum((folder / name).stat().st_size for name in manifests),
        "weights": sum(w.sent_bytes for w in index.weights),
        "routes": sum(r.bytes for r in index.routes),
        "router": index.router.bytes if index.router else 0,
        # As it is written: what it says of the sound belongs to the sound.
        "index": len(index_bytes(silent)),
    }
    return sizes | {"total": sum(sizes.values())}
