"""An engine a number format for all tests of the compiler, with odd widths among its networks."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from compiler import EngineFiles
from player.engine import Engine, EngineError
from player.engine import Network as EngineNetwork
from player.package.anchor import anchor_kernel
from player.package.architecture import Architecture, tensor_layout
from player.package.paths import BICUBIC
from player.package.self_test import self_test_input
from player.package.weights import pack_weights
from sr.models import deployed_network
from sr.models.network import Network as TorchNetwork
from tests.compiler import int8_cases
from tests.compiler.engines import engine_of, every_int8_version

F32 = 1
ARCHITECTURES = (
    Architecture("chain", 4, (32,) * 6, (2, 6)),
    Architecture("chain", 3, (20, 48, 36), (1, 3)),
    Architecture("chain", 2, (8,), (1,)),
    Architecture("espcn", 3, (64, 64, 32), (3,)),
    Architecture("wdsr", 4, (16, 64, 2), (2,)),
    Architecture("wdsr", 2, (12, 20, 1), (1,)),
    Architecture("chain", 1, (16, 24), (1, 2)),
    Architecture("chain", 1, (32, 16, 8, 12), (1, 2, 3, 4), units=2),
    Architecture("chain", Fraction(3, 2), (32, 20, 24), (1, 2, 3), units=2),
    Architecture("chain", 3, (12, 36), (2,), units=3),
)
CASES = [(arch, path) for arch in ARCHITECTURES for path in (BICUBIC, *arch.paths)]


def arch_name(arch: Architecture) -> str:
    return f"{arch.name}-x{float(arch.scale):g}-u{arch.units}-{'-'.join(map(str, arch.widths))}"


def pytest_generate_tests(metafunc) -> None:
    """`case` runs a test for every network and path, `arch` for every network."""
    if "case" in metafunc.fixturenames:
        names = [f"{arch_name(arch)}-path{path}" for arch, path in CASES]
        metafunc.parametrize("case", CASES, ids=names)
    if "arch" in metafunc.fixturenames:
        metafunc.parametrize("arch", ARCHITECTURES, ids=arch_name)


@dataclass(frozen=True)
class Pair:
    """The same weights in PyTorch and in a blob."""

    arch: Architecture
    reference: TorchNetwork
    blob: bytes

    def upscale(self, patch: np.ndarray, path: int) -> np.ndarray:
        """PyTorch's answer, [h + 2R, w + 2R, 3] u8 -> [r h, r w, 3] u8; whole units."""
        x = torch.tensor(patch).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            y = self.reference(x, path) if path != BICUBIC else self._bicubic(x)
        return y.clamp(0, 255).round().byte()[0].permute(1, 2, 0).numpy()

    def _bicubic(self, x: torch.Tensor) -> torch.Tensor:
        kernel = anchor_kernel(self.arch.scale, self.arch.units)
        y = F.conv2d(self.reference.places(x), torch.tensor(kernel, dtype=torch.float32))
        return F.pixel_shuffle(y, self.arch.hr_units)

    def samples(self, path: int) -> np.ndarray:
        """The blob's self-test row of a path."""
        patch, positions = self_test_input(self.arch, path)
        return self.upscale(patch, path).reshape(-1)[positions]


def random_tensors(arch: Architecture) -> dict[str, np.ndarray]:
    """Weights that keep values near pixel values through all layers, seeded."""
    draw = np.random.default_rng(len(arch.widths) + arch.hr_units)
    tensors = {}
    for spec in tensor_layout(arch):
        fan_in = np.prod(spec.shape[1:]) if len(spec.shape) == 4 else 1.0
        scale = np.sqrt(2.0 / fan_in) if len(spec.shape) == 4 else 4.0
        if "project.weight" in spec.name:  # every block of wdsr adds its sum
            scale /= np.sqrt(arch.widths[2])
        tensors[spec.name] = (draw.normal(size=spec.shape) * scale).astype(np.float32)
    return tensors


def make_pair(arch: Architecture) -> Pair:
    tensors = random_tensors(arch)
    bare = Pair(arch, deployed_network(arch, tensors).eval(), b"")
    rows = {path: bare.samples(path) for path in arch.paths}
    return Pair(arch, bare.reference, pack_weights(arch, tensors, F32, rows))


def assert_close(ours: np.ndarray, wanted: np.ndarray) -> None:
    """At least 99.99 % within 1 code value: rounding at .5 may go either way, nothing else."""
    difference = np.abs(ours.astype(np.int16) - wanted)
    assert ours.shape == wanted.shape
    assert np.mean(difference <= 1) >= 0.9999
    assert np.mean(difference == 0) >= 0.99


@pytest.fixture(scope="session")
def pairs() -> dict[Architecture, Pair]:
    return {arch: make_pair(arch) for arch in ARCHITECTURES}


@pytest.fixture(scope="session")
def engine_files(shared) -> EngineFiles:
    return engine_of(shared, "host", "fp32")


@pytest.fixture(scope="session")
def engine(engine_files) -> Engine:
    return Engine.open(engine_files.shared)


@pytest.fixture(scope="session")
def networks(engine, pairs) -> dict[Architecture, EngineNetwork]:
    return {arch: engine.load(pair.blob) for arch, pair in pairs.items()}


@pytest.fixture(scope="session")
def default_arch() -> Architecture:
    return ARCHITECTURES[0]


@pytest.fixture(scope="session")
def tiny_arch() -> Architecture:
    return ARCHITECTURES[2]


@pytest.fixture(scope="session")
def picture():
    """A seeded picture [height, width, 3] of noise."""

    def make(height: int, width: int) -> np.ndarray:
        return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)

    return make


@pytest.fixture(scope="session")
def int8_files(shared) -> EngineFiles:
    return every_int8_version(shared)


@pytest.fixture(scope="session")
def c_files(shared) -> Callable[[str], EngineFiles]:
    """The engine of the target `c`, of a dtype."""
    return lambda dtype: engine_of(shared, "c", dtype)


@pytest.fixture(scope="session")
def android_files(shared) -> Callable[[str], EngineFiles]:
    """The engine for Android, of a dtype."""
    return lambda dtype: engine_of(shared, "android-arm64", dtype)


@pytest.fixture(scope="session")
def int8_engine(int8_files) -> Engine:
    return Engine.open(int8_files.shared)


@pytest.fixture(scope="session")
def int8_isas(int8_engine) -> tuple[str, ...]:
    """The versions that this processor can run, the best first."""
    return tuple(isa for isa in int8_engine.info["isas"] if _can_run(int8_engine, isa))


def _can_run(engine: Engine, isa: str) -> bool:
    try:
        engine.select_isa(isa)
    except EngineError:
        return False
    return True


@pytest.fixture(scope="session")
def int8_network(int8_engine) -> Callable[..., EngineNetwork]:
    """A network of tests/compiler/int8_cases.py, opened for one instruction set."""

    @lru_cache
    def opened(isa: str, arch: Architecture, kind: str = "typical") -> EngineNetwork:
        int8_engine.select_isa(isa)
        return int8_engine.load(int8_cases.blob(arch, kind))

    return opened
