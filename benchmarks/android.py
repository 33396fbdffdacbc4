"""How fast the engine for Android may be on named cores: an estimate, not a measurement.

llvm-mca reads the kernels' real assembly and says how many cycles LLVM's model of a core needs for
each loop; times how often the loops run in a frame, that is a frame's cycles on one core. It knows
no caches, no memory, no clock that falls with heat, and no work outside the kernels; LLVM has no
model of most cores, so that of the nearest relative stands in. Real numbers come from psr-bench.

    python -m benchmarks.android [--json FILE] [--mca llvm-mca-19]
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.assembly import functions, innermost_loop, instructions, longest_loop, loops
from benchmarks.harness import RESULTS, environment, write_json
from compiler.emit.kernels import write_object
from compiler.kernels import KERNELS
from compiler.kernels.versions import Version
from compiler.targets import find_target

_ITERATIONS = 100
_NAMES = ["llvm-mca", *(f"llvm-mca-{n}" for n in range(25, 17, -1))]
_BLOCK, _GROUPS_A_BLOCK, _STORED_TOGETHER = 16, 4, 8
LABEL = "estimate from llvm-mca's cycles of the real kernels; nothing was run on a phone"


@dataclass(frozen=True)
class Core:
    """A core of phones. `model`: whose scheduling model of LLVM stands for it."""

    name: str
    model: str
    clock_ghz: float  # usual in phones of its time
    int8: str  # the kernel version that the engine chooses there


CORES = (
    Core("Cortex-A53", "cortex-a53", 1.8, "neon"),
    Core("Cortex-A55", "cortex-a55", 1.8, "dotprod"),
    Core("Cortex-A510", "cortex-a510", 2.0, "i8mm"),
    Core("Cortex-A76", "neoverse-n1", 2.4, "dotprod"),
    Core("Cortex-A78", "neoverse-n1", 2.4, "dotprod"),
    Core("Cortex-A710", "neoverse-n2", 2.5, "i8mm"),
    Core("Cortex-A720", "neoverse-n2", 2.8, "i8mm"),
    Core("Cortex-X1", "neoverse-v1", 2.8, "dotprod"),
    Core("Cortex-X3", "neoverse-v2", 3.2, "i8mm"),
    Core("Cortex-X4", "neoverse-v2", 3.3, "i8mm"),
)


@dataclass(frozen=True)
class Layer:
    """A 3x3 convolution of the network; `detail`: the last one, a block of outputs for each dy."""

    inputs: int
    outputs: int
    detail: bool = False


@dataclass(frozen=True)
class Work:
    """The default network's hard path on a whole frame."""

    height: int
    width: int
    scale: int
    layers: tuple[Layer, ...]

    @property
    def products(self) -> int:
        return self.height * self.width * sum(9 * x.inputs * x.outputs for x in self.layers)


DEFAULT = Work(270, 480, 4, (Layer(3, 32), *[Layer(32, 32)] * 5, Layer(32, 48, detail=True)))


class MissingTool(Exception):
    """No llvm-mca that knows the cores; the message says which package has it."""


def find_mca(wanted: str | None = None) -> str:
    """The first llvm-mca that knows every model; raises MissingTool where there is none."""
    for name in [wanted] if wanted else _NAMES:
        if shutil.which(name) and all(_knows(name, core.model) for core in CORES):
            return name
    raise MissingTool(
        "no llvm-mca of LLVM 18 or later here; Debian: apt-get install llvm-19, "
        "then --mca llvm-mca-19"
    )


def _knows(mca: str, model: str) -> bool:
    command = [mca, "-mtriple=aarch64", f"-mcpu={model}"]
    done = subprocess.run(command, input="nop\n", capture_output=True, text=True, check=False)
    return done.returncode == 0 and "not a recognized processor" not in done.stderr


@dataclass(frozen=True)
class Simulator:
    """llvm-mca for one core."""

    mca: str
    core: Core

    def cycles(self, body: list[str]) -> float:
        """Of one pass through a loop's body, when it runs many times."""
        command = [self.mca, "-mtriple=aarch64", f"-mcpu={self.core.model}", "--json"]
        command += ["-mattr=+dotprod,+i8mm", f"-iterations={_ITERATIONS}"]
        text = "\n".join(instructions(body)) + "\n"
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
        view = json.loads(done.stdout)["CodeRegions"][0]["SummaryView"]
        return float(view["TotalCycles"]) / _ITERATIONS

    def tile_cycles(self, lines: list[str], taps: int, steps_a_tap: int) -> float:
        """Of a convolution's tile: its products, the loops around them, its start and its end.

        `taps`: passes of the loop around the innermost one, which itself runs `steps_a_tap` times.
        What controls the loops is charged for each tap.
        """
        first, last = innermost_loop(lines)
        tile = longest_loop(lines)
        inside = [x for x in loops(lines) if x != tile and tile[0] <= x[0] and x[1] <= tile[1]]
        begin, end = min(x[0] for x in inside), max(x[1] for x in inside)
        step = self.cycles(lines[first : last + 1])
        control = max(0.0, self.cycles(lines[begin : end + 1]) - step)
        ends = self.cycles(lines[tile[0] : begin] + lines[end + 1 : tile[1] + 1])
        return taps * (steps_a_tap * step + control) + ends


def frame_cycles(
    simulator: Simulator, version: Version, kernels: dict[str, list[str]], work: Work
) -> dict[str, float]:
    """Cycles of a frame by kind of kernel."""
    prefix, pixels = f"psr_{version.name}", version.tile.pixels[0]
    tiles = work.height * -(-work.width // pixels)
    found = {"convolutions": 0.0}
    for layer in work.layers:
        is_rgb = layer.inputs == 3
        blocks = -(-layer.inputs // _BLOCK)
        name = f"{prefix}_{'detail' if layer.detail else 'hidden'}_i{4 if is_rgb else _BLOCK}"
        steps = 1 if is_rgb or version.name != "neon" else _GROUPS_A_BLOCK
        tile = simulator.tile_cycles(kernels[f"{name}_o1_p{pixels}"], 9 * blocks, steps)
        groups = work.scale if layer.detail else layer.outputs // _BLOCK
        found["convolutions"] += tiles * groups * tile
    loop = longest_loop(kernels[f"{prefix}_anchor_x{work.scale}"])
    across = simulator.cycles(kernels[f"{prefix}_anchor_x{work.scale}"][loop[0] : loop[1] + 1])
    found["anchor"] = work.height * work.width * across
    loop = longest_loop(kernels[f"{prefix}_store_sum"])
    values = work.height * work.width * 3 * work.scale**2
    stored = simulator.cycles(kernels[f"{prefix}_store_sum"][loop[0] : loop[1] + 1])
    found["store"] = values / _STORED_TOGETHER * stored
    return found


def read_kernels(version: Version) -> dict[str, list[str]]:
    """The assembly of a version's kernels for Android, by name."""
    target = find_target("android-arm64")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "kernels.s"
        write_object(KERNELS[version.dtype].functions(version), target, version, out)
        return dict(functions(out.read_text(encoding="utf-8")))


def estimate(mca: str, work: Work = DEFAULT) -> list[dict[str, Any]]:
    """A row for each core."""
    versions = {v.name: v for v in find_target("android-arm64").versions["int8"]}
    kernels = {name: read_kernels(version) for name, version in versions.items()}
    rows = []
    for core in CORES:
        parts = frame_cycles(Simulator(mca, core), versions[core.int8], kernels[core.int8], work)
        cycles = sum(parts.values())
        rows.append(
            {
                "core": core.name,
                "model": core.model,
                "isa": core.int8,
                "clock_ghz": core.clock_ghz,
                "megacycles": {name: round(c / 1e6, 1) for name, c in parts.items()},
                "products_per_cycle": round(work.products / cycles, 1),
                "estimated_fps_1_core": round(core.clock_ghz * 1e9 / cycles, 1),
            }
        )
    return rows


def print_table(rows: list[dict[str, Any]], work: Work) -> None:
    print(f"{work.width}x{work.height} -> x{work.scale}, hard path, int8, one core: {LABEL}")
    print("| core | LLVM's model | kernels | GHz | Mcycles | products a cycle | FPS, estimated |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        total = sum(row["megacycles"].values())
        print(
            f"| {row['core']} | {row['model']} | {row['isa']} | {row['clock_ghz']} | {total:.0f} "
            f"| {row['products_per_cycle']} | {row['estimated_fps_1_core']} |"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, default=RESULTS / "android.json")
    parser.add_argument("--mca", help="the llvm-mca to use")
    arguments = parser.parse_args()
    try:
        mca = find_mca(arguments.mca)
    except MissingTool as missing:
        print(f"android: {missing}", file=sys.stderr)
        return 3
    version = subprocess.run([mca, "--version"], capture_output=True, text=True, check=True).stdout
    rows = estimate(mca)
    print_table(rows, DEFAULT)
    record = {
        "schema": "pocketsr.android-estimate/1",
        "kind": LABEL,
        "work": {"network": "chain 6 x 32, x4, hard path, int8", "lr": [480, 270]},
        "tool": next(x.strip() for x in version.splitlines() if "version" in x),
        "rows": rows,
        "environment": environment(["apache-tvm"]),
    }
    write_json(arguments.json, record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
