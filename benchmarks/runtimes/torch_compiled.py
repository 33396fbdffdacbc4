"""PyTorch through torch.compile (Inductor), weights frozen, channels_last."""

import shutil
from typing import TYPE_CHECKING, Any

from benchmarks.runtimes.interface import Order, Runtime, Session, Unsupported
from benchmarks.runtimes.torch_eager import TorchSession, save_subject

if TYPE_CHECKING:
    from benchmarks.subject import Subject


class _CompiledSession(TorchSession):
    def make(self, order: Order, module: Any) -> Any:
        import torch._inductor.config

        torch._inductor.config.freezing = True
        return self.torch.compile(module, dynamic=order.size is None)


class _TorchCompile(Runtime):
    name = "torch-compile"
    dtypes = ("fp32",)
    modules = ("torch",)
    packages = ("torch",)
    libraries = ("torch", "torch.libs")
    imports = ("torch",)
    absent = "int8: Inductor's x86 quantiser is not measured"

    def convert(self, subject: "Subject", order: Order) -> None:
        if not any(shutil.which(compiler) for compiler in ("g++", "clang++")):
            raise Unsupported("torch.compile needs a C++ compiler on the machine")
        save_subject(subject, order)

    def open(self, order: Order, threads: int) -> Session:
        return _CompiledSession(order, threads)


RUNTIME = _TorchCompile()
