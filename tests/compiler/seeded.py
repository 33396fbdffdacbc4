"""psr-bench from Python: its seeded frames, its command line."""

import json
import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from player.package.architecture import Architecture
from player.package.scale import hr_px
from player.package.self_test import self_test_input
from player.package.weights import INT8, pack_weights, self_test_row
from sr.quant import reference

_PATIENCE_S = 120  # a run takes a fraction of a second, also emulated


def seeded_frame(index: int, height: int, width: int) -> np.ndarray:
    """Frame `index` of psr-bench, [height, width, 3] u8 (fill_frame of psr_bench.c)."""
    state, found = index + 1, []
    for _ in range(height * width * 3):
        state = (state * 1664525 + 1013904223) % 2**32
        found.append(state >> 24)
    return np.array(found, np.uint8).reshape(height, width, 3)


def int8_blob(arch: Architecture, tensors: dict[str, np.ndarray], dtype: int = INT8) -> bytes:
    """A weights blob with the reference's own pixels in its self-test."""
    rows = {}
    for path in arch.paths:
        patch, positions = self_test_input(arch, path)
        output = reference.upscale(arch, tensors, patch, path)
        rows[path] = self_test_row(dtype, output, positions)
    return pack_weights(arch, tensors, dtype, rows)


def padded_frame(arch: Architecture, path: int, frame: np.ndarray) -> np.ndarray:
    """A frame of any size as psr_frame reads it: its edge repeated, to whole units and the halo."""
    halo = arch.halo_px(path)
    sides = [(halo, halo + -side % arch.units) for side in frame.shape[:2]]
    return np.pad(frame, (*sides, (0, 0)), "edge")


def cut_frame(arch: Architecture, hr: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """HR pixels without what the last units of the frame have too much."""
    height, width = (hr_px(side, arch.scale) for side in frame.shape[:2])
    return hr[:height, :width]


def reference_frame(
    arch: Architecture, tensors: dict[str, np.ndarray], path: int, frame: np.ndarray
) -> np.ndarray:
    """What the reference makes of a whole frame of any size."""
    hr = reference.upscale(arch, tensors, padded_frame(arch, path, frame), path)
    return cut_frame(arch, hr, frame)


def reference_crc(
    arch: Architecture, tensors: dict[str, np.ndarray], path: int, size: tuple[int, int]
) -> str:
    """crc32 of what the reference makes of psr-bench's first two frames."""
    crc = 0
    for i in range(2):
        hr = reference_frame(arch, tensors, path, seeded_frame(i, *size))
        crc = zlib.crc32(hr.tobytes(), crc)
    return f"{crc:08x}"


def run_bench(
    program: Sequence[str | Path], arguments: str, **more: object
) -> subprocess.CompletedProcess[str]:
    """psr-bench with these arguments; `program` may begin with an emulator."""
    command = [*map(str, program), *arguments.split()]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=_PATIENCE_S, **more
    )


def bench_json(program: Sequence[str | Path], arguments: str, **more: object) -> dict[str, object]:
    """What psr-bench --json prints; fails the test where it fails."""
    done = run_bench(program, f"{arguments} --json", **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
