"""ExecuTorch with XNNPACK. int8: pt2e with XNNPACK's quantiser, weights per channel.

A program is made for one size, or for sizes up to a bound.
"""

import warnings
from typing import TYPE_CHECKING, Any

from benchmarks.runtimes.interface import (
    MAX_ANY_SIZE,
    Image,
    Order,
    PlanesSession,
    Runtime,
    Session,
)

if TYPE_CHECKING:
    import torch

    from benchmarks.subject import Subject

_SMALLEST_PX = 16  # of any size


class _ExecuTorchSession(PlanesSession):
    """The number of threads is the process's, not the session's."""

    def __init__(self, order: Order, threads: int) -> None:
        super().__init__(order)
        from executorch.extension.pybindings import portable_lib

        if portable_lib._threadpool_get_thread_count() != threads:  # programs point into the pool
            portable_lib._unsafe_reset_threadpool(threads)
        path = order.file("executorch", ".pte", sized=True)
        self.program = portable_lib._load_for_executorch(str(path))

    def prepare(self, lr: Image) -> Any:
        import torch

        return (torch.from_numpy(super().prepare(lr)),)

    def run(self, fed: Any) -> Any:
        return self.program.forward(fed, clone_outputs=False)[0]


class _ExecuTorch(Runtime):
    name = "executorch-xnnpack"
    modules = ("executorch", "torchao")
    packages = ("executorch", "torchao")
    libraries = ("executorch",)
    imports = ("executorch.extension.pybindings.portable_lib",)

    def convert(self, subject: "Subject", order: Order) -> None:
        path = order.file("executorch", ".pte", sized=True)
        if path.exists():
            return
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = _program(subject, order)
            edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
            path.write_bytes(edge.to_executorch().buffer)

    def open(self, order: Order, threads: int) -> Session:
        return _ExecuTorchSession(order, threads)


def _program(subject: "Subject", order: Order) -> "torch.export.ExportedProgram":
    import torch

    from benchmarks.runtimes.torch_module import example

    module: Any = subject.module
    if order.dtype == "int8":
        module = _quantised(subject)
    margin = 2 * order.halo_px
    largest = (MAX_ANY_SIZE[0] + margin, MAX_ANY_SIZE[1] + margin)
    bounds = {
        axis + 2: torch.export.Dim(name, min=_SMALLEST_PX + margin, max=most)
        for axis, (name, most) in enumerate(zip("hw", largest, strict=True))
    }
    shapes = None if order.size else {"x": bounds}
    return torch.export.export(
        module, (example(order.planes, order.input_sides or largest),), dynamic_shapes=shapes
    )


def _quantised(subject: "Subject") -> Any:
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    frames = [torch.from_numpy(subject.planes(lr)) for lr in subject.calibration_lr]
    quantizer = XNNPACKQuantizer()
    quantizer.set_global(get_symmetric_quantization_config(is_per_channel=True))
    sizes = {axis: torch.export.Dim.AUTO for axis in (2, 3)}
    exported = torch.export.export(subject.module, (frames[0],), dynamic_shapes={"x": sizes})
    prepared = prepare_pt2e(exported.module(), quantizer)
    for frame in frames:
        prepared(frame)
    return convert_pt2e(prepared)


RUNTIME = _ExecuTorch()
