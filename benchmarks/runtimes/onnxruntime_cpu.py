"""ONNX Runtime. int8: its static quantiser, QDQ, s8 activations, weights per channel."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.runtimes.interface import (
    FrameBuffer,
    Order,
    PlanesSession,
    Runtime,
    Session,
)
from benchmarks.runtimes.onnx_file import HEIGHT, INPUT, OUTPUT, WIDTH, onnx_file

if TYPE_CHECKING:
    from benchmarks.subject import Subject


class _OnnxRuntimeSession(PlanesSession):
    """The free dimensions of a fixed size are told in advance, which lets it plan memory."""

    def __init__(self, order: Order, threads: int) -> None:
        super().__init__(order)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        if order.input_sides:
            for name, side in zip((HEIGHT, WIDTH), order.input_sides, strict=True):
                options.add_free_dimension_override_by_name(name, side)
        path = order.file("onnxruntime", ".onnx", sized=False)
        self.session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        self.out = FrameBuffer(np.float32)
        self.scale = order.scale

    def run(self, fed: Any) -> Any:
        halo = self.halo_px // self.units
        height, width = (self.scale * (side - 2 * halo) for side in fed.shape[2:])
        out = self.out.take((1, 3, height, width))
        self.binding.bind_cpu_input(INPUT, fed)
        self.binding.bind_output(OUTPUT, "cpu", 0, out.dtype, out.shape, out.ctypes.data)
        self.session.run_with_iobinding(self.binding)
        return out


class _OnnxRuntime(Runtime):
    name = "onnxruntime"
    modules = ("onnxruntime", "onnx", "onnxscript")
    packages = ("onnxruntime",)
    libraries = ("onnxruntime",)
    imports = ("onnxruntime",)

    def convert(self, subject: "Subject", order: Order) -> None:
        path = order.file(self.name, ".onnx", sized=False)
        if path.exists():
            return
        source = onnx_file(subject, order.folder)
        if order.dtype == "fp32":
            path.write_bytes(source.read_bytes())
        else:
            _quantise(subject, source, path)

    def open(self, order: Order, threads: int) -> Session:
        return _OnnxRuntimeSession(order, threads)


def _quantise(subject: "Subject", source: Path, path: Path) -> None:
    from onnxruntime import quantization as q
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Frames(q.CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(subject.calibration_lr)

        def get_next(self) -> dict[str, Any] | None:
            lr = next(self.left, None)
            return None if lr is None else {INPUT: subject.planes(lr)}

    prepared = path.with_suffix(".prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    q.quantize_static(
        str(prepared),
        str(path),
        Frames(),
        quant_format=q.QuantFormat.QDQ,
        per_channel=True,
        activation_type=q.QuantType.QInt8,
        weight_type=q.QuantType.QInt8,
    )


RUNTIME = _OnnxRuntime()
