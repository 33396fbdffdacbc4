"""What `tvm.compile` makes of the Relax module that the compiler also starts from.

Its default lowering has no parallel loops: one thread, and a small frame, so that it ends.
"""

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.runtimes.interface import Order, PlanesSession, Runtime, Session

if TYPE_CHECKING:
    from benchmarks.subject import Subject


class _TvmSession(PlanesSession):
    def __init__(self, order: Order, threads: int) -> None:
        super().__init__(order)
        import tvm
        from tvm import relax

        module = tvm.runtime.load_module(str(order.file("tvm", ".so", sized=False)))
        self.machine = relax.VirtualMachine(module, tvm.cpu())
        self.tensor = tvm.runtime.tensor
        with np.load(order.file("tvm", ".npz", sized=False)) as stored:
            self.arguments = [self.tensor(stored[name]) for name in stored.files]

    def prepare(self, lr: Any) -> Any:
        return self.tensor(super().prepare(lr))

    def run(self, fed: Any) -> Any:
        return self.machine["main"](fed, *self.arguments).numpy()


class _TvmDefault(Runtime):
    name = "tvm-default"
    dtypes = ("fp32",)
    modules = ("tvm", "ziglang")
    packages = ("apache-tvm",)
    absent = "int8: none by default"

    def convert(self, subject: "Subject", order: Order) -> None:
        out = order.file("tvm", ".so", sized=False)
        if out.exists():
            return
        import tvm

        from compiler.importing.program import import_program
        from compiler.targets import find_target

        module = import_program(subject.programs["hard"])
        names = [str(name) for name in module["main"].attrs["tensors"]]
        module["main"] = module["main"].without_attr("tensors").without_attr("num_input")
        machine = find_target("host")
        compiled = tvm.compile(module, target=machine.tvm_target(machine.versions["fp32"][0]))
        compiled.export_library(str(out), fcompile=_link)
        arrays = {f"{i:03}": subject.tensors[name] for i, name in enumerate(names)}
        np.savez(order.file("tvm", ".npz", sized=False), **arrays)  # type: ignore[arg-type]

    def open(self, order: Order, threads: int) -> Session:
        return _TvmSession(order, threads)


def _link(output: str, objects: list[str], **_: Any) -> None:
    """A shared library by the compiler that everything here is linked with."""
    from compiler.emit.link import ZIG

    command = [*ZIG, "cc", "-shared", "-fPIC", "-o", output]
    subprocess.run([*command, *(str(Path(o)) for o in objects)], check=True)


RUNTIME = _TvmDefault()
