"""MNN on the CPU, through its Module interface. int8: its offline quantiser, KL divergence.

The converter and the quantiser are called in the wheel's extension. Its command line programs
would first install a package that reports their use.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Pictures

from benchmarks.runtimes.interface import (
    Image,
    Order,
    PlanesSession,
    Runtime,
    Session,
    Unsupported,
    with_halo,
)
from benchmarks.runtimes.onnx_file import INPUT, OUTPUT, onnx_file

if TYPE_CHECKING:
    from benchmarks.subject import Subject


class _MnnSession(PlanesSession):
    def __init__(self, order: Order, threads: int) -> None:
        super().__init__(order)
        from MNN import expr, nn

        self.expr = expr
        settings = {"backend": "CPU", "numThread": threads, "precision": "high", "power": "high"}
        self.manager = nn.create_runtime_manager((settings,))
        self.module = nn.load_module_from_file(
            str(order.file("mnn", ".mnn", sized=False)),
            [INPUT],
            [OUTPUT],
            runtime_manager=self.manager,
            shape_mutable=order.size is None,
        )

    def prepare(self, lr: Image) -> Any:
        """The variable, and the array that it was made from."""
        x = super().prepare(lr)
        return self.expr.const(x, list(x.shape), self.expr.NCHW), x

    def run(self, fed: Any) -> Any:
        """The variable, and the array that points into it."""
        out = self.module.forward([fed[0]])[0]
        return out, out.read()

    def picture(self, out: Any) -> Image:
        return super().picture(out[1])


class _Mnn(Runtime):
    name = "mnn"
    modules = ("MNN", "onnx", "onnxscript")
    packages = ("mnn",)
    libraries = ("_mnncengine", "mnn.libs")
    imports = ("MNN",)

    def convert(self, subject: "Subject", order: Order) -> None:
        path = order.file(self.name, ".mnn", sized=False)
        if path.exists():
            return
        if order.dtype == "int8" and order.units > 1:
            raise Unsupported("units: its quantiser reads pictures of three planes")
        exact = order.folder / "mnn-fp32.mnn"
        if not exact.exists():
            _convert(onnx_file(subject, order.folder), exact)
        if order.dtype == "int8":
            _quantise(subject, exact, path)

    def open(self, order: Order, threads: int) -> Session:
        return _MnnSession(order, threads)


def _convert(source: Path, out: Path) -> None:
    import _tools  # of MNN's wheel
    import MNN  # noqa: F401  loads what the extension needs

    arguments = {"-f": "ONNX", "--modelFile": source, "--MNNModel": out, "--optimizePrefer": 2}
    flat = [str(word) for pair in arguments.items() for word in pair]
    _tools.mnnconvert(["mnnconvert", *flat, "--bizCode", "pocketsr"])


def _quantise(subject: "Subject", source: Path, out: Path) -> None:
    import _tools
    import MNN  # noqa: F401

    frames = out.parent / "mnn-frames"
    frames.mkdir(exist_ok=True)
    padded = [with_halo(lr, subject.halo_px) for lr in subject.calibration_lr]
    for i, frame in enumerate(padded):
        Pictures.fromarray(np.ascontiguousarray(frame)).save(frames / f"{i:02}.png")
    height, width = padded[0].shape[:2]
    config = {
        "format": "RGB",
        "mean": [0.0, 0.0, 0.0],
        "normal": [1.0, 1.0, 1.0],
        "width": width,
        "height": height,
        "path": f"{frames}/",
        "used_image_num": len(padded),
        "feature_quantize_method": "KL",
        "weight_quantize_method": "MAX_ABS",
    }
    settings = out.with_suffix(".json")
    settings.write_text(json.dumps(config), encoding="utf-8")
    _tools.mnnquant(["mnnquant", str(source), str(out), str(settings)])


RUNTIME = _Mnn()
