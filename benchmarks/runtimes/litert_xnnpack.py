"""LiteRT with XNNPACK, pixels lying together. int8: its own quantiser, bytes in and out."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.runtimes.interface import (
    Image,
    Order,
    Runtime,
    Session,
    Unsupported,
    pixels,
    with_halo,
)

if TYPE_CHECKING:
    from benchmarks.subject import Subject


class _LiteRtSession(Session):
    def __init__(self, order: Order, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        path = order.file("litert", ".tflite", sized=True)
        self.interpreter = Interpreter(str(path), num_threads=threads)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]
        self.output = self.interpreter.get_output_details()[0]
        self.view = self.interpreter.tensor(self.output["index"])
        self.halo_px, self.units = order.halo_px, order.units

    def prepare(self, lr: Image) -> Any:
        padded = with_halo(lr, self.halo_px, self.units)[None].astype(np.float32)
        if self.input["dtype"] == np.float32:
            return padded
        scale, zero = self.input["quantization"]
        return np.clip(np.rint(padded / scale) + zero, -128, 127).astype(np.int8)

    def run(self, fed: Any) -> Any:
        """A view of the interpreter's memory, to be let go before the next run."""
        self.interpreter.set_tensor(self.input["index"], fed)
        self.interpreter.invoke()
        return self.view()

    def picture(self, out: Any) -> Image:
        if out.dtype == np.float32:
            return pixels(out[0])
        scale, zero = self.output["quantization"]
        return pixels((out[0].astype(np.float32) - zero) * scale)


class _LiteRt(Runtime):
    name = "litert-xnnpack"
    modules = ("ai_edge_litert", "ai_edge_quantizer", "litert_torch")
    packages = ("ai-edge-litert", "ai-edge-quantizer", "litert-torch")
    libraries = ("ai_edge_litert",)
    imports = ("ai_edge_litert.interpreter",)

    def convert(self, subject: "Subject", order: Order) -> None:
        if order.size is None:
            raise Unsupported("any size: its pixel shuffle becomes reshapes of one size")
        path = order.file("litert", ".tflite", sized=True)
        if path.exists():
            return
        if order.dtype == "int8":
            exact = replace(order, dtype="fp32")
            self.convert(subject, exact)
            _quantise(subject, order, exact.file("litert", ".tflite", sized=True), path)
        else:
            _convert(subject, order, path)

    def open(self, order: Order, threads: int) -> Session:
        return _LiteRtSession(order, threads)


def _convert(subject: "Subject", order: Order, path: Path) -> None:
    import litert_torch

    from benchmarks.runtimes.torch_module import ChannelsLast, example

    assert order.input_sides
    x = example(order.planes, order.input_sides).permute(0, 2, 3, 1).contiguous()
    litert_torch.convert(ChannelsLast(subject.module).eval(), (x,)).export(str(path))


def _quantise(subject: "Subject", order: Order, source: Path, path: Path) -> None:
    """Calibrated on the same frames, resized to the one size that the model takes."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe
    from PIL import Image as Pictures

    assert order.size
    sides = order.size[::-1]
    frames = [np.asarray(Pictures.fromarray(lr).resize(sides)) for lr in subject.calibration_lr]
    padded = [with_halo(lr, order.halo_px, order.units)[None].astype(np.float32) for lr in frames]
    (name, ends), *_ = Interpreter(str(source)).get_signature_list().items()
    work = quantizer.Quantizer(str(source), recipe.static_wi8_ai8())
    seen = work.calibrate({name: [{ends["inputs"][0]: frame} for frame in padded]})
    work.quantize(seen).export_model(str(path), overwrite=True)


RUNTIME = _LiteRt()
