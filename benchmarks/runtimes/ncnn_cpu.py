"""ncnn on the CPU, converted by pnnx. No int8: the wheels do not carry its quantiser."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.runtimes.interface import Image, Order, PlanesSession, Runtime, Session

if TYPE_CHECKING:
    from benchmarks.subject import Subject

_TRACED_SIDES = (192, 332)  # any that are large enough; ncnn's layers keep no size


class _NcnnSession(PlanesSession):
    def __init__(self, order: Order, threads: int) -> None:
        super().__init__(order)
        import ncnn

        self.ncnn = ncnn
        self.net = ncnn.Net()
        self.net.opt.num_threads = threads
        self.net.load_param(str(order.file("ncnn", ".param", sized=False)))
        self.net.load_model(str(order.file("ncnn", ".bin", sized=False)))

    def prepare(self, lr: Image) -> Any:
        """The matrix and the array that it points into."""
        x = super().prepare(lr)[0]
        return self.ncnn.Mat(x), x

    def run(self, fed: Any) -> Any:
        with self.net.create_extractor() as extractor:
            extractor.input("in0", fed[0])
            return extractor.extract("out0")[1]

    def picture(self, out: Any) -> Image:
        return super().picture(np.array(out)[None])


class _Ncnn(Runtime):
    name = "ncnn"
    dtypes = ("fp32",)
    modules = ("ncnn", "pnnx")
    packages = ("ncnn", "pnnx")
    libraries = ("ncnn", "ncnn.libs")
    imports = ("ncnn",)
    absent = "int8: ncnn2table and ncnn2int8 are C++ programs that no wheel carries"

    def convert(self, subject: "Subject", order: Order) -> None:
        out = order.file(self.name, ".param", sized=False)
        if out.exists():
            return
        import torch

        from benchmarks.runtimes.torch_module import example, padded_hard_path

        work = order.folder / "pnnx"
        work.mkdir(exist_ok=True)
        module = padded_hard_path(subject.arch, subject.tensors)
        torch.jit.trace(module, example(order.planes, _TRACED_SIDES)).save(str(work / "hard.pt"))
        shape = ",".join(map(str, (1, order.planes, *_TRACED_SIDES)))
        pnnx = Path(sys.executable).parent / "pnnx"
        command = [
            str(pnnx),
            "hard.pt",
            f"inputshape=[{shape}]",
            "fp16=0",
        ]
        subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)
        (work / "hard.ncnn.bin").replace(order.file(self.name, ".bin", sized=False))
        (work / "hard.ncnn.param").replace(out)

    def open(self, order: Order, threads: int) -> Session:
        return _NcnnSession(order, threads)


RUNTIME = _Ncnn()
