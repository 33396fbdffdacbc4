"""The hard path as an ONNX file, for the runtimes that read it."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.subject import Subject

INPUT, OUTPUT = "x", "hr"
HEIGHT, WIDTH = "h", "w"  # names of the free dimensions


def onnx_file(subject: "Subject", folder: Path) -> Path:
    """Written once: input "x" [1, 3, h, w], output "hr"."""
    path = folder / "hard.onnx"
    if path.exists():
        return path
    import onnx
    import torch

    program = subject.programs["hard"]
    torch.onnx.export(program, (), str(path), dynamo=True, verbose=False, output_names=[OUTPUT])
    model = onnx.load(str(path))
    batch, _, height, width = model.graph.input[0].type.tensor_type.shape.dim
    height.dim_param, width.dim_param, batch.dim_value = HEIGHT, WIDTH, 1
    for dimension in model.graph.output[0].type.tensor_type.shape.dim:
        dimension.Clear()
    del model.graph.value_info[:]
    onnx.save(model, str(path))
    return path
