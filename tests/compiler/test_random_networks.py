"""Random networks and frames: every target gives the reference's bits, of floats PyTorch's pixels.

Twenty of them always, 300 where slow tests run.
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from compiler.emit.link import link_program
from compiler.engine import RUNTIME
from compiler.targets import find_target
from player.engine import Engine
from player.package.paths import BICUBIC
from tests.compiler.conftest import assert_close, make_pair
from tests.compiler.members import Played, played, random_member
from tests.compiler.seeded import cut_frame, padded_frame

# 300 in all; the first of these parts is always played.
SEEDS = [
    pytest.param(range(i, i + 20), marks=[pytest.mark.slow] if i else [], id=f"from-{i}")
    for i in range(0, 300, 20)
]
CPUS = ("max", "cortex-a76", "cortex-a53")  # i8mm, dotprod, neon
QEMU = shutil.which("qemu-aarch64")
PROGRAM = Path(__file__).parent / "android" / "play_file.c"


def assert_exact(engine: Engine, seed: int) -> None:
    sample = played(seed)
    network, pool = engine.load(sample.blob), engine.pool(1 + seed % 3)
    for patches, wanted in sample.cuts:
        ours = pool.frame([network], patches, sample.frame)
        assert np.array_equal(ours, wanted), (seed, engine.isa, sample.arch, patches)
    network.close()


@pytest.mark.parametrize("seeds", SEEDS)
def test_this_machine_is_exact(seeds, int8_engine, int8_isas):
    for isa in int8_isas:
        int8_engine.select_isa(isa)
        for seed in seeds:
            assert_exact(int8_engine, seed)


@pytest.mark.skipif(QEMU is None, reason="no qemu-aarch64 to run ARM code with: `make tools`")
@pytest.mark.parametrize("seeds", SEEDS)
def test_android_is_exact(seeds, android_files, tmp_path):
    program = tmp_path / "play"
    link_program(
        PROGRAM, android_files("int8").archive, RUNTIME, find_target("android-arm64"), program
    )
    for seed in seeds:
        sample, cuts = played(seed), [*played(seed).cuts]
        wanted = b"".join(hr.tobytes() for _, hr in cuts)
        files = written(sample, [patches for patches, _ in cuts], tmp_path)
        for cpu in CPUS:
            command = [str(QEMU), "-cpu", cpu, str(program), *files]
            done = subprocess.run(command, capture_output=True, check=False, timeout=60)
            assert (done.returncode, done.stdout == wanted) == (0, True), (seed, cpu, sample.arch)


def written(sample: Played, cuts: Sequence[np.ndarray], folder: Path) -> list[str]:
    """play_file's arguments."""
    weights, lr = folder / "weights.bin", folder / "lr.rgb"
    weights.write_bytes(sample.blob)
    lr.write_bytes(sample.frame.tobytes())
    patches = [folder / f"{number}.patches" for number in range(len(cuts))]
    for path, cut in zip(patches, cuts, strict=True):
        path.write_bytes(cut.astype("<i4").tobytes())
    height, width = sample.frame.shape[:2]
    return [str(weights), str(lr), str(height), str(width), *map(str, patches)]


@pytest.mark.parametrize("seeds", SEEDS)
def test_floats_are_those_of_pytorch(seeds, engine):
    for seed in seeds:
        arch, draw = random_member(seed, "fp32"), np.random.default_rng((seed, 1))
        pair = make_pair(arch)
        network = engine.load(pair.blob)
        height, width = (int(draw.integers(1, most)) for most in (40, 50))
        frame = draw.integers(0, 256, (height, width, 3)).astype(np.uint8)
        for path in (BICUBIC, *arch.paths):
            whole = np.array([[0, 0, height, width, 0, path]], np.int32)
            ours = engine.pool(1 + seed % 3).frame([network], whole, frame)
            wanted = pair.upscale(padded_frame(arch, path, frame), path)
            assert_close(ours, cut_frame(arch, wanted, frame))
        network.close()
