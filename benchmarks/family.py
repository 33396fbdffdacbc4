"""One engine for every network: what the family's engine costs against one compiled for a network.

    python -m benchmarks.family [--quick] [--against REVISION] [--json FILE]

The specialised engines are those of a revision whose compiler wrote a C function for each path of
each network; it is checked out and compiles them in a process of its own. Both libraries then run
in one process, in turns, one thread, on 480x270 frames: the hard path everywhere, and mixed routes.
Ratios are medians over rounds, of the time that the thread had a processor. Weights are random,
self-tests are the reference's; speed does not depend on either.
"""

import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.ablation.routes import clustered_patches
from benchmarks.compiler import median_ratio, ratio_spread
from benchmarks.harness import argument_parser, environment, interleave, write_json
from benchmarks.limits import LIMIT, measurable_limit
from benchmarks.reproduction.table import lines
from benchmarks.same_bytes import checked_out
from compiler import compile_engine
from compiler.targets import TARGETS, find_target
from player.costs import macs_per_pixel
from player.engine import Engine
from player.package.architecture import Architecture, tensor_layout
from player.package.package_error import PackageError
from player.package.paths import HARD
from player.package.scale import hr_px, scale_number
from player.package.weights import FLOAT32
from sr.models import build_network
from sr.packing import pack_integers, pack_network
from sr.quant.calibrate import calibrate
from sr.quant.quantise import quantise

SPECIALISED = "b55b887"  # the last revision whose engines held one architecture
DTYPES = ("int8", "fp32")
SIZE = (270, 480)  # LR height and width, px
DEFAULT = Architecture("chain", 4, (32,) * 6, (2, 6))
OLD = {  # that the specialised engines know as well
    "default": DEFAULT,
    "small": Architecture("chain", 2, (16,) * 4, (2, 4)),
    "pruned": Architecture("chain", 3, (20, 36, 28), (1, 3)),
    "wide": Architecture("chain", 4, (48,) * 3, (1, 3)),
}
NETWORKS = OLD | {
    "chex": Architecture("chain", 2, (28, 16, 20, 12, 24, 32), (2, 6)),  # uneven, as it prunes
    "condense": Architecture("chain", 4, (24,) * 6, (2, 6)),  # even widths for a budget
    "one exit": Architecture("chain", 3, (8, 8), (2,)),
    "four exits": Architecture("chain", 2, (16,) * 8, (1, 2, 4, 8)),
    "filter": Architecture("chain", 1, (16,) * 8, (2, 8)),
    "filter on units": Architecture("chain", 1, (32,) * 4, (1, 4), 2),
    "filter on wide units": Architecture("chain", 1, (48, 32, 48), (3,), 3),
    "one and a half": Architecture("chain", Fraction(3, 2), (32,) * 4, (2, 4), 2),
}
_ONE_ISA = "host-one-isa"  # the host's target with its best version alone
_WARM_UP, _ROUNDS, _OPENINGS = 2, 101, 20
_PACKAGES = ("apache-tvm", "ziglang", "numpy")
_COMPILE = """
import json, sys
from pathlib import Path
from compiler import Network, compile_engine
from player.package.architecture import Architecture
from sr.models import export_paths
out, dtypes, shapes = sys.argv[1], sys.argv[2].split(","), json.loads(sys.argv[3])
archs = [Architecture(name, scale, tuple(w), tuple(e)) for name, scale, w, e in shapes]
for dtype in dtypes:
    networks = [Network(arch, export_paths(arch)) for arch in archs]
    compile_engine(networks, "host", Path(out) / dtype, dtype)
"""

Row = dict[str, Any]
Patches = NDArray[np.int32]


@cache
def blob_of(arch: Architecture, dtype: str) -> bytes:
    """A random network of that shape, with its self-test."""
    torch.manual_seed(0)
    network = build_network(arch)
    if dtype == "fp32":
        return pack_network(network, FLOAT32)
    side = 2 * arch.halo_px(HARD) + 8 * arch.units
    steps = calibrate(network, [torch.rand(1, 3, side, side)])
    return pack_integers(arch, quantise(arch, network.deployed_arrays(), steps))


@dataclass(frozen=True)
class Library:
    """An engine through the part of its C interface that has not changed since the ABI 3."""

    functions: ctypes.CDLL
    pool: ctypes.c_void_p

    @classmethod
    def of(cls, path: Path) -> "Library":
        functions, pool = ctypes.CDLL(str(path)), ctypes.c_void_p()
        pointer, size, number = ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int
        functions.psr_frame.argtypes = [
            *(pointer, pointer, number, pointer, number),
            *(pointer, size, number, number, pointer, size),
        ]
        functions.psr_net_close.argtypes = [pointer]
        check(functions.psr_pool_open(1, ctypes.byref(pool)))
        return cls(functions, pool)

    def open(self, blob: bytes) -> ctypes.c_void_p:
        found = ctypes.c_void_p()
        check(self.functions.psr_net_open(blob, ctypes.c_size_t(len(blob)), ctypes.byref(found)))
        return found

    def frame_of(self, arch: Architecture, blob: bytes, patches: Patches) -> Callable[[], Any]:
        """A run of one frame, that gives the picture."""
        lr = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
        out = np.empty((*(hr_px(side, arch.scale) for side in SIZE), 3), np.uint8)
        networks = (ctypes.c_void_p * 1)(self.open(blob).value)

        def run() -> NDArray[np.uint8]:
            code = self.functions.psr_frame(
                self.pool, networks, 1, patches.ctypes.data, len(patches),
                lr.ctypes.data, lr.strides[0], *SIZE, out.ctypes.data, out.strides[0],
            )  # fmt: skip
            check(code)
            return out

        return run


def check(code: int) -> None:
    if code:
        raise SystemExit(f"an engine gave {code}")


def compile_specialised(revision: str, folder: Path) -> dict[str, Library]:
    """By dtype, an engine that holds the architectures of OLD, by that revision's compiler."""
    shapes = [(a.name, a.scale, a.widths, a.exits) for a in OLD.values()]
    with checked_out(revision, folder) as tree:
        command = [sys.executable, "-c", _COMPILE, str(folder / "old"), ",".join(DTYPES)]
        paths = {**os.environ, "PYTHONPATH": str(tree)}
        subprocess.run([*command, json.dumps(shapes)], cwd=tree, env=paths, check=True)
    return {d: Library.of(folder / "old" / d / "libpocketsr.so") for d in DTYPES}


def whole(path: int = HARD) -> Patches:
    return np.array([(0, 0, *SIZE, 0, path)], np.int32)


def opened(libraries: Mapping[str, Path]) -> list[Row]:
    """Which of the networks one library plays: what it refuses would want another engine."""
    rows = []
    for name, arch in NETWORKS.items():
        row: Row = {"network": name, "scale": scale_number(arch.scale), "units": arch.units}
        row |= {"widths": list(arch.widths), "exits": list(arch.exits)}
        rows.append(row | {d: _opens(library, arch, d) for d, library in libraries.items()})
    return rows


def _opens(library: Path, arch: Architecture, dtype: str) -> bool:
    """Self-test and one frame."""
    engine = Engine.open(library)
    try:
        lr = np.zeros((*SIZE, 3), np.uint8)
        engine.pool(1).frame([engine.load(blob_of(arch, dtype))], whole(), lr)
    except PackageError:
        return False
    return True


def in_turns(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Sequence[float]]:
    """CPU seconds of each, a number a round."""
    # No pause: one thread leaves no pool behind that spins.
    timings = interleave(runs, rounds, _WARM_UP, time.thread_time, pause_s=0)
    return {name: timing.samples_s for name, timing in timings.items()}


def compare(ours: Mapping[str, Library], theirs: Mapping[str, Library], rounds: int) -> list[Row]:
    """The family's engine against the specialised one; their bytes are compared first."""
    rows = []
    routes = {"hard": whole(), "mixed": clustered_patches(*SIZE)}
    for dtype in DTYPES:
        for name, arch in OLD.items():
            for route, patches in routes.items():
                blob = blob_of(arch, dtype)
                runs = {
                    "family": ours[dtype].frame_of(arch, blob, patches),
                    "specialised": theirs[dtype].frame_of(arch, blob, patches),
                }
                if not np.array_equal(runs["family"](), runs["specialised"]()):
                    raise SystemExit(f"{name} {dtype}: the engines give other pixels")
                times = in_turns(runs, rounds)
                labels = {"network": name, "dtype": dtype, "routes": route}
                rows.append(labels | speed_row(times["specialised"], times["family"]))
    return rows


def speed_row(specialised: Sequence[float], family: Sequence[float]) -> Row:
    return {
        "ratio": round(median_ratio(specialised, family), 3),
        "spread": round(ratio_spread(specialised, family), 3),
        "family_ms": round(statistics.median(family) * 1e3, 3),
        "specialised_ms": round(statistics.median(specialised) * 1e3, 3),
    }


def opening(library: Library, dtype: str, rounds: int) -> Row:
    """psr_net_open with its self-test, against one frame of the same network."""
    blob = blob_of(DEFAULT, dtype)

    def run() -> None:
        library.functions.psr_net_close(library.open(blob))

    times = in_turns({"open": run, "frame": library.frame_of(DEFAULT, blob, whole())}, rounds)
    return {
        "dtype": dtype,
        "parameters": sum(spec.size for spec in tensor_layout(DEFAULT)),
        "open_ms": round(statistics.median(times["open"]) * 1e3, 3),
        "frame_ms": round(statistics.median(times["frame"]) * 1e3, 3),
        "ratio": round(median_ratio(times["open"], times["frame"]), 4),
    }


def shares_of_limit(isa: str, libraries: Mapping[str, Library], rounds: int) -> Row:
    """Operations a second on the hard path over those of the machine, int8, by engine.

    What else runs on a shared core takes more from an engine than from registers: so the
    specialised engine's share stands beside ours.
    """
    limit = measurable_limit("int8", isa)
    if limit is None:
        return {}
    blob, gop = blob_of(DEFAULT, "int8"), 2e-9 * macs_per_pixel(DEFAULT, HARD) * SIZE[0] * SIZE[1]
    runs: dict[str, Callable[[], object]] = {}
    for name, library in libraries.items():  # the same run before each of them
        runs |= {f"{LIMIT} {name}": limit.run, name: library.frame_of(DEFAULT, blob, whole())}
    times = in_turns(runs, rounds)
    shares = {name: median_ratio(times[f"{LIMIT} {name}"], times[name]) for name in libraries}
    return {name: round(gop / limit.gop * share, 3) for name, share in shares.items()}


def one_isa_bytes(folder: Path) -> int:
    """The int8 library of this machine with its best instruction set alone."""
    best = {d: versions[:1] for d, versions in find_target("host").versions.items()}
    TARGETS[_ONE_ISA] = lambda name: replace(find_target("host"), name=name, versions=best)
    return compile_engine(_ONE_ISA, folder / _ONE_ISA).shared.stat().st_size


def summary(result: Mapping[str, Any]) -> Row:
    """The figures that the family has to show."""
    refused = [sum(not row[dtype] for row in result["networks"]) for dtype in DTYPES]
    return {
        "engines_for_all_networks": 1 + max(refused),
        "least_speed_ratio": min(row["ratio"] for row in result["speed"]),
        "int8_one_isa_kb": round(result["bytes"]["int8, one instruction set"] / 1e3, 1),
        "most_open_over_frame": max(row["ratio"] for row in result["opening"]),
        "int8_share_of_limit": result["int8_share_of_limit"],
    }


def table(result: Mapping[str, Any]) -> str:
    """Markdown: what the family has to show, and the speed of each network."""
    found, sizes = result["summary"], result["bytes"]
    what = [
        (
            f"engines for {len(result['networks'])} networks of different scale, u, widths, exits",
            f"{found['engines_for_all_networks']} a target and dtype",
        ),
        ("least speed over the specialised engines", f"{found['least_speed_ratio']:.3f}"),
        *((f"bytes of the engine: {name}", f"{size:,}") for name, size in sizes.items()),
        *(
            (
                f"opening {row['parameters']:,} parameters over a frame, {row['dtype']}",
                f"{row['ratio']:.3f}",
            )
            for row in result["opening"]
        ),
        *(
            (f"share of the int8 limit, default network, {name}", f"{share:.2f}")
            for name, share in found["int8_share_of_limit"].items()
        ),
    ]
    speeds = [
        (
            f"{row['network']}: x{NETWORKS[row['network']].scale}, "
            f"{' '.join(map(str, NETWORKS[row['network']].widths))}",
            row["dtype"],
            row["routes"],
            f"{row['ratio']:.3f} ± {row['spread'] / 2:.3f}",
        )
        for row in result["speed"]
    ]
    heads = ("network", "dtype", "routes", "speed over the specialised engine")
    return f"{lines(('what', 'measured'), *what)}\n\n{lines(heads, *speeds)}"


def measure(folder: Path, revision: str, rounds: int) -> dict[str, Any]:
    """Compile both kinds of engines, and measure all."""
    paths = {d: compile_engine("host", folder / "new" / d, d).shared for d in DTYPES}
    ours = {dtype: Library.of(path) for dtype, path in paths.items()}
    theirs = compile_specialised(revision, folder)
    sizes = {f"{d}, host": path.stat().st_size for d, path in paths.items()}
    result: dict[str, Any] = {
        "networks": opened(paths),
        "speed": compare(ours, theirs, rounds),
        "bytes": {"int8, one instruction set": one_isa_bytes(folder), **sizes},
        "opening": [opening(library, d, _OPENINGS) for d, library in ours.items()],
        "int8_share_of_limit": shares_of_limit(
            Engine.open(paths["int8"]).isa,
            {"family": ours["int8"], "specialised": theirs["int8"]},
            rounds,
        ),
    }
    return {**result, "summary": summary(result)}


def main() -> None:
    parser = argument_parser("family", __doc__, quick=True)
    parser.add_argument("--against", default=SPECIALISED, metavar="REVISION")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), options.against, 5 if options.quick else _ROUNDS)
    print(table(result))
    head: Row = {"schema": "pocketsr.family/1", "environment": environment(_PACKAGES)}
    head |= {"against": options.against, "lr": f"{SIZE[1]}x{SIZE[0]}", "threads": 1}
    write_json(options.json, {**head, **result})


if __name__ == "__main__":
    main()
