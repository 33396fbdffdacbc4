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
from torch.export import Dim, ExportedProgram

from benchmarks.fma_limit import fma_contender
from benchmarks.harness import Timing, environment, interleave, parse_arguments, write_json
from compiler import Network, compile_engine
from player.costs import macs_per_pixel
from player.engine import Engine
from player.package.anchor import anchor_kernel
from player.package.weights import BICUBIC, EASY, HARD, Architecture, pack_weights
from sr.models import architecture, build_network, export_paths, path_halo_px

OURS, ONNX, TVM, LIMIT = "pocketsr", "onnxruntime", "tvm-default", "fma-limit"
_PACKAGES = ("apache-tvm", "onnxruntime", "torch", "numpy")
_SIZES = ((270, 480), (180, 320), (540, 960))  # LR height and width, px
_PATCH = (108, 96)  # a coarse patch, LR height and width
_ROUTED_SIZE = (324, 480)  # fifteen coarse patches
_F32 = 1

Patch = tuple[int, int, int, int, int, int]  # y, x, h, w, network, path


@dataclass(frozen=True)
class Subject:
    """What is measured: one architecture with weights; `programs` and `halos_px` by path."""

    arch: Architecture
    tensors: dict[str, NDArray[np.float32]]
    programs: dict[int, ExportedProgram]
    halos_px: dict[int, int]

    def gflop(self, path: int, pixels: int) -> float:
        """Of a path's convolutions for so many LR pixels; halo and anchor are not counted."""
        return 2e-9 * macs_per_pixel(self.arch, path) * pixels if path != BICUBIC else 0.0


class _Bicubic(torch.nn.Module):
    """The path without a network, for the runtimes that know no paths."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("anchor", torch.tensor(anchor_kernel(scale), dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.nn.functional.conv2d(x, self.get_buffer("anchor"))
        return torch.nn.functional.pixel_shuffle(y, self.scale).clamp(0, 255)


def make_subject() -> Subject:
    """The default network at x4 with seeded weights; speed does not depend on their values."""
    arch = architecture("chain", 4, dynamic=True)
    network = build_network(arch, seed=1)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        torch.nn.init.normal_(network.get_parameter("exits.1.weight"), std=0.02)
    tensors = {name: t.numpy() for name, t in network.deployed_tensors().items()}
    paths = export_paths(arch, tensors)
    shapes = {"x": {0: Dim("n"), 2: Dim("h", min=6), 3: Dim("w", min=6)}}
    bicubic = torch.export.export(
        _Bicubic(arch.scale), (torch.zeros(2, 3, 12, 13),), dynamic_shapes=shapes
    )
    programs = {BICUBIC: bicubic, EASY: paths["easy"], HARD: paths["hard"]}
    return Subject(arch, tensors, programs, {p: path_halo_px(network, p) for p in programs})


def compile_ours(subject: Subject, folder: Path) -> Engine:
    paths = {"easy": subject.programs[EASY], "hard": subject.programs[HARD]}
    files = compile_engine([Network(subject.arch, paths)], "host", folder)
    return Engine.open(files.shared)


def ours(
    subject: Subject, engine: Engine, lr: NDArray[np.uint8], patches: list[Patch], threads: int
) -> Callable[[], Any]:
    network = engine.load(pack_weights(subject.arch, subject.tensors, _F32))
    pool, table = engine.pool(threads), np.array(patches, np.int32)
    return lambda: pool.frame([network], table, lr)


def export_onnx(subject: Subject, folder: Path) -> dict[int, Path]:
    """A file for each path."""
    files = {path: folder / f"path-{path}.onnx" for path in subject.programs}
    for path, file in files.items():
        torch.onnx.export(subject.programs[path], (), str(file), dynamo=True, verbose=False)
    return files


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

    module = import_program(subject.programs[HARD])
    names = [str(name) for name in module["main"].attrs["tensors"]]
    module["main"] = module["main"].without_attr("tensors").without_attr("num_input")
    machine = relax.VirtualMachine(
        tvm.compile(module, target=find_target("host").tvm_target()), tvm.cpu()
    )
    arguments = [tvm.runtime.tensor(subject.tensors[n]) for n in names]
    image = tvm.runtime.tensor(planes)
    return lambda: machine["main"](image, *arguments).numpy()


def frame_of(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def batch_of(
    subject: Subject, lr: NDArray[np.uint8], patches: list[Patch], path: int
) -> NDArray[np.float32]:
    """The patches of a path with their halo, as float planes [n, 3, h + 2R, w + 2R]."""
    halo = subject.halos_px[path]
    padded = np.pad(lr, ((halo, halo), (halo, halo), (0, 0)), "edge")
    boxes = [(y, x, h, w) for y, x, h, w, _, p in patches if p == path]
    cut = [padded[y : y + h + 2 * halo, x : x + w + 2 * halo] for y, x, h, w in boxes]
    return np.ascontiguousarray(np.stack(cut).transpose(0, 3, 1, 2), np.float32)


def routed_patches(height: int, width: int) -> list[Patch]:
    """Coarse patches that take the three paths in turn."""
    corners = [(y, x) for y in range(0, height, _PATCH[0]) for x in range(0, width, _PATCH[1])]
    return [(y, x, *_PATCH, 0, i % 3) for i, (y, x) in enumerate(corners)]


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
    subject: Subject,
    engine: Engine,
    onnx: dict[int, Path],
    size: tuple[int, int],
    threads: int,
    rounds: int,
) -> list[dict[str, Any]]:
    """The hard path over a whole frame."""
    lr, whole = frame_of(*size), [(0, 0, *size, 0, HARD)]
    limit, limit_gflop = fma_contender()
    contenders = {
        OURS: ours(subject, engine, lr, whole, threads),
        ONNX: onnx_runtime(onnx[HARD], batch_of(subject, lr, whole, HARD), threads),
    }
    check_equal(contenders)
    timings = interleave({**contenders, LIMIT: limit}, rounds)
    labels = {"subject": "hard", "lr": f"{size[1]}x{size[0]}", "threads": threads}
    gflop = subject.gflop(HARD, size[0] * size[1])
    rows = [row_of(name, timings[name], gflop, **labels) for name in contenders]
    return [*rows, row_of(LIMIT, timings[LIMIT], limit_gflop, **labels)]


def measure_tvm(subject: Subject, engine: Engine, rounds: int) -> list[dict[str, Any]]:
    """Its default lowering has no parallel loops, so one thread; a small frame, so that it ends."""
    height, width = 135, 240
    lr, whole = frame_of(height, width), [(0, 0, height, width, 0, HARD)]
    contenders = {
        OURS: ours(subject, engine, lr, whole, 1),
        TVM: tvm_default(subject, batch_of(subject, lr, whole, HARD)),
    }
    check_equal(contenders)
    timings = interleave(contenders, rounds, warm_up=1)
    labels = {"subject": "hard", "lr": f"{width}x{height}", "threads": 1}
    gflop = subject.gflop(HARD, height * width)
    return [row_of(name, timing, gflop, **labels) for name, timing in timings.items()]


def measure_dynamic(
    subject: Subject, engine: Engine, onnx: dict[int, Path], threads: int, rounds: int
) -> list[dict[str, Any]]:
    """A frame whose patches take three paths; the peer gets each path's patches as one batch.

    Cutting the batches out and stitching the results are not in the peer's time.
    """
    height, width = _ROUTED_SIZE
    lr, patches = frame_of(height, width), routed_patches(height, width)
    batches = {p: batch_of(subject, lr, patches, p) for p in subject.programs}
    runs = [onnx_runtime(onnx[p], batch, threads) for p, batch in batches.items()]
    contenders: dict[str, Callable[[], Any]] = {
        OURS: ours(subject, engine, lr, patches, threads),
        ONNX: lambda: [run() for run in runs],
    }
    timings = interleave(contenders, rounds)
    labels = {"subject": "dynamic", "lr": f"{width}x{height}", "threads": threads}
    gflop = sum(subject.gflop(p, height * width // len(batches)) for p in batches)
    return [row_of(name, timing, gflop, **labels) for name, timing in timings.items()]


def ratio(rows: list[dict[str, Any]], subject: str, lr: str, threads: int, peer: str) -> float:
    """Our speed over the peer's in the same run."""
    wanted = (subject, lr, threads)
    speeds = {
        r["runtime"]: r["gflops"] for r in rows if (r["subject"], r["lr"], r["threads"]) == wanted
    }
    return round(float(speeds[OURS] / speeds[peer]), 3)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The keys of contracts.md; null where the subject does not exist yet."""
    routed = f"{_ROUTED_SIZE[1]}x{_ROUTED_SIZE[0]}"
    return {
        "int8_ratio_to_fastest_peer": None,
        "int8_fastest_peer": None,
        "fp32_ratio_to_fastest_peer": ratio(rows, "hard", "480x270", 1, ONNX),
        "fp32_fastest_peer": ONNX,
        "fp32_share_of_limit": ratio(rows, "hard", "480x270", 1, LIMIT),
        "fp32_ratio_to_fastest_peer_2_threads": ratio(rows, "hard", "480x270", 2, ONNX),
        "fp32_ratio_to_tvm_default": ratio(rows, "hard", "240x135", 1, TVM),
        "int8_share_of_limit": None,
        "dynamic_ratio_to_fastest_peer": ratio(rows, "dynamic", routed, 1, ONNX),
        "dynamic_ratio_to_fastest_peer_2_threads": ratio(rows, "dynamic", routed, 2, ONNX),
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    widths = {"subject": 8, "lr": 8, "threads": 7, "runtime": 12, "median_ms": 10}
    widths |= {"gflops": 7, "spread": 7}
    for row in [{name: name for name in widths}, *rows]:
        print(*(f"{row[name]:>{width}}" for name, width in widths.items()))


def print_summary(figures: dict[str, Any]) -> None:
    for key, value in figures.items():
        print(f"{key}: {value}")


def main() -> None:
    options = parse_arguments("peers", __doc__)
    os.environ["TVM_NUM_THREADS"] = "1"
    sizes, rounds = (_SIZES[:1], 5) if options.quick else (_SIZES, 15)
    subject = make_subject()
    with tempfile.TemporaryDirectory() as folder:
        engine = compile_ours(subject, Path(folder))
        onnx = export_onnx(subject, Path(folder))
        rows = measure_tvm(subject, engine, 3)
        for threads in (1, 2):
            rows += measure_dynamic(subject, engine, onnx, threads, rounds)
            for size in sizes:
                rows += measure_size(subject, engine, onnx, size, threads, rounds)
    print_table(rows)
    result: dict[str, Any] = {
        "schema": "pocketsr.peers/1",
        "environment": environment(_PACKAGES),
        "network": "chain x4, widths 6 x 32, exits 2 and 6",
        "rows": rows,
        "summary": summary(rows),
    }
    print_summary(result["summary"])
    write_json(options.json, result)


if __name__ == "__main__":
    main()
