"""OpenVINO on the CPU: latency hint, bf16 excluded. int8: NNCF, post-training.

The int8 network takes and gives RGB bytes, which spares OpenVINO memory traffic; fp32 is as fast
or faster with float planes.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.runtimes.interface import (
    Image,
    Order,
    PlanesSession,
    Runtime,
    Session,
    with_halo,
)
from benchmarks.runtimes.onnx_file import onnx_file

if TYPE_CHECKING:
    from benchmarks.subject import Subject

_ANY = -1


class _PlanesOpenVino(PlanesSession):
    def __init__(self, order: Order, threads: int) -> None:
        super().__init__(order)
        import openvino

        core = openvino.Core()
        model = core.read_model(order.file("openvino", ".xml", sized=False))
        model.reshape([1, order.planes, *(order.input_sides or (_ANY, _ANY))])
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self.request = core.compile_model(self.fit(model), "CPU", options).create_infer_request()

    def fit(self, model: Any) -> Any:
        """The model with the inputs and outputs of this session."""
        return model

    def run(self, fed: Any) -> Any:
        return self.request.infer({0: fed}, share_inputs=True, share_outputs=True)[0]


class _BytesOpenVino(_PlanesOpenVino):
    def fit(self, model: Any) -> Any:
        import openvino
        from openvino.preprocess import PrePostProcessor

        processor = PrePostProcessor(model)
        for end in (processor.input(), processor.output()):
            end.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
            end.model().set_layout(openvino.Layout("NCHW"))
        return processor.build()

    def prepare(self, lr: Image) -> Any:
        return with_halo(lr, self.halo_px, self.units)[None]

    def picture(self, out: Any) -> Image:
        return np.array(out[0])


class _OpenVino(Runtime):
    name = "openvino"
    modules = ("openvino", "nncf", "onnx", "onnxscript")
    packages = ("openvino", "nncf")
    libraries = ("openvino",)
    imports = ("openvino",)

    def convert(self, subject: "Subject", order: Order) -> None:
        path = order.file(self.name, ".xml", sized=False)
        if path.exists():
            return
        import openvino

        model = openvino.Core().read_model(onnx_file(subject, order.folder))
        if order.dtype == "int8":
            model = _quantise(subject, model)
        openvino.save_model(model, path, compress_to_fp16=False)

    def open(self, order: Order, threads: int) -> Session:
        return _SESSIONS[order.dtype](order, threads)


def _quantise(subject: "Subject", model: Any) -> Any:
    import nncf

    frames = [subject.planes(lr) for lr in subject.calibration_lr]
    data = nncf.Dataset(frames)
    preset = nncf.QuantizationPreset.PERFORMANCE
    return nncf.quantize(model, data, preset=preset, subset_size=len(frames))


_SESSIONS = {"fp32": _PlanesOpenVino, "int8": _BytesOpenVino}
RUNTIME = _OpenVino()
