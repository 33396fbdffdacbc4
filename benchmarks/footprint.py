"""Memory, library size and time to the first frame of one runtime, in a process of its own.

    python -m benchmarks.footprint RUNTIME ORDER THREADS     prints one JSON object

Idle is the process with the runtime imported and a frame in memory, before the network is opened.
"""

import json
import re
import subprocess
import sys
import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.runtimes import find_runtime
from benchmarks.runtimes.interface import Order, Runtime

MIB = 1 << 20
_FRAMES = 3
_STATUS, _MAPS = Path("/proc/self/status"), Path("/proc/self/maps")
_CLEAR_REFS, _RESET_PEAK = Path("/proc/self/clear_refs"), "5"


def measure_child(runtime: str, order: Order, threads: int) -> dict[str, float]:
    """Start a process, measure there."""
    values = json.dumps({**asdict(order), "folder": str(order.folder)})
    command = [sys.executable, "-m", "benchmarks.footprint", runtime, values, str(threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def middle(samples: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {key: round(median(s[key] for s in samples), 2) for key in samples[0]}


def measure_here(runtime: Runtime, order: Order, threads: int) -> dict[str, float]:
    """The figures of this process, which must be fresh."""
    started = time.perf_counter()
    for name in runtime.imports:
        import_module(name)
    imported = time.perf_counter()
    assert order.size
    lr = np.random.default_rng(0).integers(0, 256, (*order.size, 3), np.uint8)
    _CLEAR_REFS.write_text(_RESET_PEAK)
    idle = _status_bytes("VmRSS")
    opening = time.perf_counter()
    session = runtime.open(order, threads)
    opened = time.perf_counter()
    fed = session.prepare(lr)
    running = time.perf_counter()
    session.run(fed)
    ready = time.perf_counter()
    for _ in range(_FRAMES - 1):
        session.run(fed)
    return {
        "import_ms": (imported - started) * 1e3,
        "first_frame_ms": (opened - opening + ready - running) * 1e3,
        "idle_mib": idle / MIB,
        "peak_over_idle_mib": (_status_bytes("VmHWM") - idle) / MIB,
        "library_mib": library_bytes(runtime, _MAPS.read_text()) / MIB,
    }


def library_bytes(runtime: Runtime, maps: str) -> int:
    """Size of the runtime's libraries among those that a process has mapped."""
    paths = {Path(p) for p in re.findall(r"(/\S+\.so\S*)$", maps, re.MULTILINE)}
    return sum(p.stat().st_size for p in paths if _belongs(p, runtime.libraries))


def _belongs(path: Path, libraries: tuple[str, ...]) -> bool:
    return any(
        part == name or part.startswith(f"{name}.") for part in path.parts for name in libraries
    )


def _status_bytes(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def main() -> None:
    name, values, threads = sys.argv[1:]
    fields: dict[str, Any] = json.loads(values)
    size = tuple(fields.pop("size"))
    order = Order(folder=Path(fields.pop("folder")), size=(size[0], size[1]), **fields)
    print(json.dumps(measure_here(find_runtime(name), order, int(threads))))


if __name__ == "__main__":
    main()
