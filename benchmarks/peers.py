"""The engine against other runtimes: the same network, weights, threads and process.

    python -m benchmarks.peers [--quick] [--json FILE]

Ours takes and gives RGB bytes, as a player has and wants them; the others are given float
planes with the halo already around them and give float planes back, which is less work.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch.export import ExportedProgram

from benchmarks.fma_limit import fma_contender
from benchmarks.harness import Timing, environment, interleave, parse_arguments, write_json
from compiler import Network, compile_engine
from player.engine import Engine
from player.package.weights import HARD, Architecture, pack_weights, tensor_layout
from sr.models import architecture, build_network, export_paths, path_halo_px

OURS, ONNX, TVM = "pocketsr", "onnxruntime", "tvm-default"
_PACKAGES = ("apache-tvm", "onnxruntime", "torch", "numpy")
_SIZES = ((270, 480), (180, 320), (540, 960))  # LR height and width, px
_F32 = 1


@dataclass(frozen=True)
class Subject:
    """What is measured: one architecture with weights, its hard path."""

    arch: Architecture
    tensors: dict[str, NDArray[np.float32]]
    program: ExportedProgram
    halo_px: int

    def gflop(self, height_px: int, width_px: int) -> float:
        """Of the convolutions of one frame, halo and anchor not counted."""
        names = {f"trunk.{i}.weight" for i in range(len(self.arch.widths))}
        names.add(f"exits.{len(self.arch.exits) - 1}.weight")
        macs = sum(s.size for s in tensor_layout(self.arch) if s.name in names)
        return 2e-9 * macs * height_px * width_px


def make_subject() -> Subject:
    """The default network at x4 with seeded weights; speed does not depend on their values."""
    arch = architecture("chain", 4, dynamic=True)
    network = build_network(arch, seed=1)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        torch.nn.init.normal_(network.get_parameter("exits.1.weight"), std=0.02)
    tensors = {name: t.numpy() for name, t in network.deployed_tensors().items()}
    program = export_paths(arch, tensors)["hard"]
    return Subject(arch, tensors, program, path_halo_px(network, HARD))


def compile_ours(subject: Subject, folder: Path) -> Engine:
    paths = export_paths(subject.arch, subject.tensors)
    files = compile_engine([Network(subject.arch, paths)], "host", folder)
    return Engine.open(files.shared)


def ours(
    subject: Subject, engine: Engine, lr: NDArray[np.uint8], threads: int
) -> Callable[[], Any]:
    network = engine.load(pack_weights(subject.arch, subject.tensors, _F32))
    pool = engine.pool(threads)
    height, width = lr.shape[:2]
    whole = np.array([[0, 0, height, width, 0, HARD]], np.int32)
    return lambda: pool.frame([network], whole, lr)


def export_onnx(subject: Subject, folder: Path) -> Path:
    path = folder / "network.onnx"
    torch.onnx.export(subject.program, (), str(path), dynamo=True, verbose=False)
    return path


def onnx_runtime(path: Path, planes: NDArray[np.float32], threads: int) -> Callable[[], Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: planes})[0]


def tvm_default(subject: Subject, planes: NDArray[np.float32]) -> Callable[[], Any]:
    """What `tvm.compile` makes of the Relax module that the compiler also starts from."""
    import tvm
    from tvm import relax

    from compiler.importer import import_program
    from compiler.targets import find_target

    module = import_program(subject.program)
    names = [str(name) for name in module["main"].attrs["tensors"]]
    module["main"] = module["main"].without_attr("tensors").without_attr("num_input")
    machine = relax.VirtualMachine(
        tvm.compile(module, target=find_target("host").tvm_target()), tvm.cpu()
    )
    arguments = [tvm.runtime.tensor(subject.tensors[n]) for n in names]
    image = tvm.runtime.tensor(planes)
    return lambda: machine["main"](image, *arguments).numpy()


def pictures(subject: Subject, height: int, width: int) -> tuple[Any, Any]:
    """A seeded frame as bytes, and as float planes with its halo."""
    lr = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    halo = subject.halo_px
    padded = np.pad(lr, ((halo, halo), (halo, halo), (0, 0)), "edge")
    return lr, np.ascontiguousarray(padded.transpose(2, 0, 1)[None], np.float32)


def check_equal(contenders: dict[str, Callable[[], Any]]) -> None:
    """Every contender computes the same picture, or the comparison means nothing."""
    wanted = contenders[OURS]().astype(np.float32)
    for name in (ONNX, TVM):
        if name in contenders:
            planes = contenders[name]()[0].transpose(1, 2, 0)
            worst = np.abs(planes.round() - wanted).max()
            if worst > 1:
                raise SystemExit(f"{name} differs from the engine by {worst} code values")


def row_of(name: str, timing: Timing, gflop: float, **labels: Any) -> dict[str, Any]:
    seconds = timing.median_s
    return {
        "runtime": name,
        "dtype": "fp32",
        **labels,
        "median_ms": round(seconds * 1e3, 3),
        "spread": round(timing.spread, 3),
        "gflops": round(gflop / seconds, 1),
    }


def measure_size(
    subject: Subject, engine: Engine, onnx: Path, size: tuple[int, int], threads: int, rounds: int
) -> list[dict[str, Any]]:
    lr, planes = pictures(subject, *size)
    limit, limit_gflop = fma_contender()
    contenders = {
        OURS: ours(subject, engine, lr, threads),
        ONNX: onnx_runtime(onnx, planes, threads),
    }
    check_equal(contenders)
    timings = interleave({**contenders, "fma-limit": limit}, rounds)
    labels = {"lr": f"{size[1]}x{size[0]}", "threads": threads}
    rows = [row_of(n, timings[n], subject.gflop(*size), **labels) for n in contenders]
    return [*rows, row_of("fma-limit", timings["fma-limit"], limit_gflop, **labels)]


def measure_tvm(subject: Subject, engine: Engine, rounds: int) -> list[dict[str, Any]]:
    """Its default lowering has no parallel loops, so one thread; a small frame, so that it ends."""
    size = (135, 240)
    lr, planes = pictures(subject, *size)
    contenders = {OURS: ours(subject, engine, lr, 1), TVM: tvm_default(subject, planes)}
    check_equal(contenders)
    timings = interleave(contenders, rounds, warm_up=1)
    labels = {"lr": f"{size[1]}x{size[0]}", "threads": 1}
    return [row_of(n, t, subject.gflop(*size), **labels) for n, t in timings.items()]


def ratio(rows: list[dict[str, Any]], peer: str, lr: str, threads: int) -> float:
    """Our speed over the peer's in the same run."""
    speeds = {
        r["runtime"]: r["gflops"]
        for r in rows
        if (r["lr"], r["threads"]) == (lr, threads)
    }  # fmt: skip
    return round(speeds[OURS] / speeds[peer], 3)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The keys of contracts.md; null where the subject does not exist yet."""
    return {
        "int8_ratio_to_fastest_peer": None,
        "int8_fastest_peer": None,
        "fp32_ratio_to_fastest_peer": ratio(rows, ONNX, "480x270", 1),
        "fp32_fastest_peer": ONNX,
        "fp32_share_of_limit": ratio(rows, "fma-limit", "480x270", 1),
        "fp32_ratio_to_fastest_peer_2_threads": ratio(rows, ONNX, "480x270", 2),
        "fp32_ratio_to_tvm_default": ratio(rows, TVM, "240x135", 1),
        "int8_share_of_limit": None,
        "dynamic_ratio_to_fastest_peer": None,
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    print(f"{'LR':>8} {'threads':>7} {'runtime':>12} {'ms':>9} {'GFLOPS':>7} {'spread':>7}")
    for r in rows:
        print(
            f"{r['lr']:>8} {r['threads']:>7} {r['runtime']:>12} {r['median_ms']:>9.2f} "
            f"{r['gflops']:>7.1f} {r['spread']:>7.3f}"
        )


def main() -> None:
    options = parse_arguments("peers", __doc__)
    os.environ["TVM_NUM_THREADS"] = "1"
    sizes, rounds = (_SIZES[:1], 5) if options.quick else (_SIZES, 15)
    subject = make_subject()
    with tempfile.TemporaryDirectory() as folder:
        engine = compile_ours(subject, Path(folder))
        onnx = export_onnx(subject, Path(folder))
        rows = measure_tvm(subject, engine, 3)
        for size in sizes:
            for threads in (1, 2):
                rows += measure_size(subject, engine, onnx, size, threads, rounds)
    print_table(rows)
    result = {
        "schema": "pocketsr.peers/1",
        "environment": environment(_PACKAGES),
        "network": "chain x4, 6 x 32, exit 6",
        "rows": rows,
        "summary": summary(rows),
    }
    print(*(f"{key}: {value}" for key, value in result["summary"].items()), sep="\n")  # type: ignore[attr-defined]
    write_json(options.json, result)


if __name__ == "__main__":
    main()
