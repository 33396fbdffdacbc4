"""PyTorch, eager, channels_last."""

import pickle
from typing import TYPE_CHECKING, Any

from benchmarks.runtimes.interface import Image, Order, PlanesSession, Runtime, Session

if TYPE_CHECKING:
    from benchmarks.subject import Subject


class TorchSession(PlanesSession):
    """The number of threads is the process's, not the session's."""

    def __init__(self, order: Order, threads: int) -> None:
        super().__init__(order)
        import torch

        torch.set_num_threads(threads)
        self.torch = torch
        self.module = self.make(order, load_module(order))

    def make(self, order: Order, module: Any) -> Any:
        """What `run` calls."""
        return module

    def prepare(self, lr: Image) -> Any:
        x = self.torch.from_numpy(super().prepare(lr))
        return x.contiguous(memory_format=self.torch.channels_last)

    def run(self, fed: Any) -> Any:
        with self.torch.inference_mode():
            return self.module(fed)


def save_subject(subject: "Subject", order: Order) -> None:
    """What `load_module` reads: the benchmark's own file in its own folder."""
    path = order.folder / "torch.pickle"
    if not path.exists():
        path.write_bytes(pickle.dumps((subject.arch, subject.tensors)))


def load_module(order: Order) -> Any:
    """The hard path with its weights in channels_last."""
    import torch

    from benchmarks.runtimes.torch_module import hard_path

    arch, tensors = pickle.loads((order.folder / "torch.pickle").read_bytes())
    return hard_path(arch, tensors).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class _TorchEager(Runtime):
    name = "torch"
    dtypes = ("fp32",)
    modules = ("torch",)
    packages = ("torch",)
    libraries = ("torch", "torch.libs")
    imports = ("torch",)
    absent = "int8: see torch-compile"

    def convert(self, subject: "Subject", order: Order) -> None:
        save_subject(subject, order)

    def open(self, order: Order, threads: int) -> Session:
        return TorchSession(order, threads)


RUNTIME = _TorchEager()
