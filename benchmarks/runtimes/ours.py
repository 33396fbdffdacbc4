"""PocketSR: the compiled engine. Takes and gives RGB bytes; pads the frame's edges itself."""

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.runtimes.interface import Image, Order, Runtime, Session
from player.engine import Engine
from player.package.layout import ENGINE_LIBRARY
from player.package.paths import HARD
from player.package.scale import hr_px
from player.package.weights import FLOAT32, pack_weights

if TYPE_CHECKING:
    from benchmarks.subject import Subject


class _Ours(Session):
    def __init__(self, order: Order, threads: int, path: int) -> None:
        engine = engine_of(order)
        blob = order.file("pocketsr", ".bin", sized=False).read_bytes()
        self.networks = [engine.load(blob)]
        self.pool = engine.pool(threads)
        self.path = path
        self.memory = np.empty(0, np.uint8)  # a player's frame buffer: it grows, and then stays

    def prepare(self, lr: Image) -> Image:
        return lr

    def run(self, fed: Image) -> Image:
        whole = np.array([(0, 0, *fed.shape[:2], 0, self.path)], np.int32)
        height, width = (hr_px(side, self.networks[0].scale) for side in fed.shape[:2])
        shape = height, width, 3
        size = int(np.prod(shape))
        if self.memory.size < size:
            self.memory = np.empty(size, np.uint8)
        return self.pool.frame(self.networks, whole, fed, self.memory[:size].reshape(shape))

    def picture(self, out: Image) -> Image:
        return out.copy()


class _PocketSR(Runtime):
    name = "pocketsr"
    libraries = (ENGINE_LIBRARY,)
    imports = ("player.engine",)

    def convert(self, subject: "Subject", order: Order) -> None:
        if not _is_of_these_sources(engine := _engine_folder(order)):
            from compiler import compile_engine

            compile_engine("host", engine, order.dtype)
            _sources(engine).write_text(sources_key())
        blob = order.file(self.name, ".bin", sized=False)
        if not _is_of_these_sources(blob):
            blob.write_bytes(_BLOBS[order.dtype](subject))
            _sources(blob).write_text(sources_key())

    def open(self, order: Order, threads: int) -> Session:
        return _Ours(order, threads, HARD)


def open_path(order: Order, threads: int, path: int) -> Session:
    """Another path of the network that `convert` has compiled."""
    return _Ours(order, threads, path)


@cache
def sources_key() -> str:
    """Changes with whatever makes an engine or its integers, so that none is measured stale."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for folder in ("compiler", "player/package", "sr/models", "sr/quant"):
        for path in sorted((root / folder).rglob("*.[pch]*")):
            if path.suffix in (".py", ".c", ".h"):
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources(made: Path) -> Path:
    """The file beside it that says of which sources it was made."""
    return made.with_name(f"{made.name}.sources")


def _is_of_these_sources(made: Path) -> bool:
    return _sources(made).exists() and _sources(made).read_text() == sources_key()


def _engine_folder(order: Order) -> Path:
    """One engine for all networks, beside their folders."""
    return order.folder.parent / f"pocketsr-{order.dtype}"


def engine_of(order: Order) -> Engine:
    """The engine that `convert` has compiled."""
    return Engine.open(_engine_folder(order) / ENGINE_LIBRARY)


def _float_blob(subject: "Subject") -> bytes:
    return pack_weights(subject.arch, subject.tensors, FLOAT32)


def _integer_blob(subject: "Subject") -> bytes:
    """Calibrated without training, on the same frames as the others."""
    from sr.packing import pack_integers

    return pack_integers(subject.arch, quantised(subject))


def quantised(subject: "Subject") -> dict[str, Any]:
    """The integers of an int8 blob."""
    import torch

    from player.package.weights import WeightsBlob
    from sr.packing import trainable_network
    from sr.quant.calibrate import calibrate
    from sr.quant.quantise import quantise

    network = trainable_network(WeightsBlob(subject.arch, FLOAT32, subject.tensors))
    crops = (torch.from_numpy(subject.planes(f)) / 255 for f in subject.calibration_lr)
    return quantise(subject.arch, network.deployed_arrays(), calibrate(network, crops))


_BLOBS = {"fp32": _float_blob, "int8": _integer_blob}
RUNTIME = _PocketSR()
