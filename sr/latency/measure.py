"""Which table a target has: a file's, or this machine's own, measured once and kept.

The networks that are measured are chains of mixed widths. What a network computes does not change
how long it takes, so the weights are noise. The widths are drawn, so that each layer is seen beside
many others, and a few networks are of one width alone. They run in turns, in this process, until
the medians stand.

The machine is shared and changes its clock. So every network runs once a round, what counts is its
median over the rounds, and of the time only that in which the thread had a processor: others
cannot take that away. The compiler and the engine are loaded here, when they are called.
"""

import hashlib
import importlib.metadata
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from player.package.architecture import BLOCK, GROUP, Architecture, convolutions, tensor_layout
from player.package.artefact import write_text
from player.package.paths import BICUBIC, HARD
from player.package.scale import hr_px
from player.package.signature import home
from player.package.weights import FLOAT32, INT8, pack_weights
from sr.latency.fit import fit_layers
from sr.latency.table import (
    FAMILY,
    Cache,
    LatencyError,
    LatencyTable,
    Machine,
    arena_column_bytes,
    parse_table,
    path_widths,
    path_work,
)

if TYPE_CHECKING:
    from compiler.engine import EngineFiles
    from player.engine import Engine, Network

FOLDER = "latency"  # in $POCKETSR_HOME
HOST = "host"
SIZE = (135, 480)  # LR height and width, px: a frame's width, and height enough
VALUE_BYTES = {"int8": 1, "fp32": 4}
_NS = 1e9  # of a second
DEFAULT_WIDEST = 64
LEAST_WIDEST, MOST_WIDEST = 32, 128  # inputs of one block alone leave terms undetermined
MIXED = 24  # networks of drawn widths, of up to 64 channels
_DEPTHS = (3, 8)  # least, and one above the most
_EVEN_DEPTH = 5
_WEIGHT_MOST, _BIAS_MOST, _MULTIPLIER = 57, 100, 2e-3  # 255 * 57 * 9 * 128 stays below 2^24


def find_latency(target: str, dtype: str = "int8", scale: int = 4) -> LatencyTable:
    """The table of `host`, measured at the first call, or of a path to a table's JSON.

    Raises LatencyError for a target that cannot be measured here, a file that is no table, and a
    table of another dtype or scale; OSError where a file cannot be read or the cache not written.
    """
    if target == HOST:
        return _measured_once(dtype, scale)
    path = Path(target)
    if not (path.suffix == ".json" or path.is_file()):
        raise LatencyError(cannot_measure(target))
    table = parse_table(path.read_bytes(), str(path))
    if (table.machine.dtype, table.machine.scale) != (dtype, scale):
        raise LatencyError(
            f"{path}: a table of {table.machine.dtype} at x{table.machine.scale}, "
            f"not of {dtype} at x{scale}; make one by `python -m benchmarks.latency_table --scale "
            f"{scale}`"
        )
    return table


def cache_path(target: str, dtype: str, scale: int) -> Path:
    """Where a measured table is kept: another version or processor has another file."""
    made_with = f"{importlib.metadata.version('pocketsr')}|{processor_name()}"
    digest = hashlib.sha256(made_with.encode()).hexdigest()[:12]
    return home() / FOLDER / f"{target}-{dtype}-x{scale}-{digest}.json"


def _measured_once(dtype: str, scale: int) -> LatencyTable:
    path = cache_path(HOST, dtype, scale)
    try:
        table = parse_table(path.read_bytes(), str(path))
        if (table.machine.dtype, table.machine.scale) == (dtype, scale):
            return table
    except (FileNotFoundError, LatencyError):
        pass  # not measured yet, or a damaged file: it is measured again
    table = measure_latency(HOST, dtype, scale)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_text(path, table.to_json())
    return table


@dataclass(frozen=True)
class Patience:
    """Rounds go on until no median has moved by more than `tolerance` in the last third of them."""

    least_rounds: int = 9
    most_rounds: int = 60
    most_s: float = 50.0
    tolerance: float = 0.01


@dataclass(frozen=True)
class PathTimes:
    """Nanoseconds of a frame: the hard path of each network, and the bicubic one."""

    hard_ns: tuple[float, ...]
    bicubic_ns: float


def benched_architectures(scale: int, widest: int = DEFAULT_WIDEST) -> tuple[Architecture, ...]:
    """The networks whose times determine every layer up to `widest` channels, always the same.

    Raises LatencyError for a width that is not a multiple of 16 from 32 to 128.
    """
    if widest % BLOCK or not LEAST_WIDEST <= widest <= MOST_WIDEST:
        limits = f"{LEAST_WIDEST}..{MOST_WIDEST}"
        raise LatencyError(f"latency: --widest {widest} is not a multiple of {BLOCK} in {limits}")
    rng = np.random.default_rng(0)
    widths = range(GROUP, widest + 1, GROUP)
    count = MIXED * widest // DEFAULT_WIDEST
    drawn = [rng.choice(widths, rng.integers(*_DEPTHS)) for _ in range(count)]
    even = [[width] * _EVEN_DEPTH for width in (GROUP, *range(BLOCK, widest + 1, BLOCK))]
    odd = [[width] * _EVEN_DEPTH for width in range(BLOCK + GROUP, widest, BLOCK)]
    return tuple(static_chain(scale, w) for w in (*(d.tolist() for d in drawn), *even, *odd))


def static_chain(scale: int, widths: Sequence[int]) -> Architecture:
    """The chain of these widths with one exit, at its end."""
    return Architecture(FAMILY, scale, tuple(widths), (len(widths),))


def random_blob(arch: Architecture, dtype: str) -> bytes:
    """A weights blob of noise, without a self-test; `dtype` is int8 or fp32."""
    rng = np.random.default_rng(0)
    if dtype == "fp32":
        specs = tensor_layout(arch)
        return pack_weights(
            arch, {s.name: rng.normal(0, 0.05, s.shape).astype(np.float32) for s in specs}, FLOAT32
        )
    tensors: dict[str, np.ndarray] = {}
    for name, shape in convolutions(arch):
        weight = rng.integers(-_WEIGHT_MOST, _WEIGHT_MOST + 1, shape).astype(np.int8)
        bias = rng.integers(0, _BIAS_MOST, shape[0]).astype(np.int32)
        tensors |= {f"{name}.weight": weight, f"{name}.bias": bias}
        tensors[f"{name}.multiplier"] = np.full(shape[0], _MULTIPLIER, np.float32)
    return pack_weights(arch, tensors, INT8)


def measure_latency(
    target: str = HOST, dtype: str = "int8", scale: int = 4, widest: int = DEFAULT_WIDEST
) -> LatencyTable:
    """Compile the networks, bench them here, and solve for the layers: about two minutes.

    Raises LatencyError for another target than this machine, CompileError for an unknown dtype.
    """
    if target != HOST:
        raise LatencyError(cannot_measure(target))
    archs = benched_architectures(scale, widest)
    with tempfile.TemporaryDirectory(prefix="pocketsr-latency-") as folder:
        files, cache = compile_networks(archs, target, dtype, Path(folder))
        isa, times = time_networks(files.shared, archs, dtype, SIZE)
    machine = describe_machine(target, dtype, isa, processor_name(), scale, SIZE)
    return build_table(machine, cache, archs, times)


def cannot_measure(target: str) -> str:
    """What to do where a target is not this machine."""
    return (
        f"latency: {target} cannot be measured on this machine; run `python -m "
        f"benchmarks.latency_table --target {target} --bench DIR`, then DIR/run.sh "
        "on the device, and give the table's path instead"
    )


def compile_networks(
    archs: Sequence[Architecture], target: str, dtype: str, out: Path
) -> "tuple[EngineFiles, Cache]":
    """The engine, and how it cuts frames of these networks. Raises CompileError."""
    from compiler.engine import compile_engine
    from compiler.pipeline import plan_network
    from compiler.plan.formats import find_format
    from compiler.targets import find_target

    machine = find_target(target)
    planned = plan_network(archs[0], find_format(dtype))["hard"].memory.arena.per_column
    bare = Cache(machine.cache_bytes, 0, VALUE_BYTES[dtype])
    rings = arena_column_bytes(path_widths(archs[0], HARD), bare)
    cache = Cache(machine.cache_bytes, planned - rings, VALUE_BYTES[dtype])
    return compile_engine(target, out, dtype), cache


def time_networks(
    library: Path,
    archs: Sequence[Architecture],
    dtype: str,
    size: tuple[int, int],
    patience: Patience | None = None,
) -> tuple[str, PathTimes]:
    """The instruction set of an engine here, and its times of a frame of noise on one thread."""
    from player.engine import Engine

    engine = Engine.open(library)
    networks = [engine.load(random_blob(arch, dtype)) for arch in archs]
    runs = [_frame_run(engine, network, HARD, size) for network in networks]
    runs.append(_frame_run(engine, networks[0], BICUBIC, size))
    rounds = time_in_turns(runs, patience or Patience())
    medians = [statistics.median(times) * _NS for times in rounds]
    return engine.isa, PathTimes(tuple(medians[:-1]), medians[-1])


def _frame_run(
    engine: "Engine", network: "Network", path: int, size: tuple[int, int]
) -> Callable[[], object]:
    """One frame of one path, on the calling thread; its memory is made once."""
    height, width = size
    lr = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    hr = np.empty((hr_px(height, network.scale), hr_px(width, network.scale), 3), np.uint8)
    whole = np.array([(0, 0, height, width, 0, path)], np.int32)
    pool = engine.pool(1)
    return lambda: pool.frame([network], whole, lr, hr)


def time_in_turns(
    runs: Sequence[Callable[[], object]],
    patience: Patience,
    clock: Callable[[], float] = time.thread_time,
) -> list[list[float]]:
    """Seconds by `clock` of every run in each round, after a round that does not count."""
    for run in runs:
        run()
    times: list[list[float]] = [[] for _ in runs]
    end = time.monotonic() + patience.most_s
    for _ in range(patience.most_rounds):
        for run, samples in zip(runs, times, strict=True):
            start = clock()
            run()
            samples.append(clock() - start)
        if _is_stable(times, patience) or time.monotonic() > end:
            break
    return times


def _is_stable(times: Sequence[Sequence[float]], patience: Patience) -> bool:
    count = len(times[0])
    if count < patience.least_rounds:
        return False
    before = [statistics.median(samples[: count - count // 3]) for samples in times]
    now = [statistics.median(samples) for samples in times]
    moved = [abs(a - b) / b for a, b in zip(before, now, strict=True) if b > 0]
    return max(moved, default=0.0) <= patience.tolerance


def describe_machine(
    target: str, dtype: str, isa: str, processor: str, scale: int, size: tuple[int, int]
) -> Machine:
    """The record of a measurement that ends now."""
    utc = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    version = importlib.metadata.version("pocketsr")
    return Machine(target, dtype, isa, processor, version, utc, scale, 1, *size)


def processor_name() -> str:
    """This machine's processor, as /proc/cpuinfo names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def build_table(
    machine: Machine, cache: Cache, archs: Sequence[Architecture], times: PathTimes
) -> LatencyTable:
    """The table that explains the measured times; raises LatencyError where they do not suffice."""
    size = (machine.height_px, machine.width_px)
    works = [path_work(arch, HARD, size, cache) for arch in archs]
    fixed = times.bicubic_ns / machine.frame_px
    widest = max(max(arch.widths) for arch in archs)
    layers = fit_layers(works, times.hard_ns, fixed, widest)
    return LatencyTable(
        machine, cache, fixed, layers.first_ns, layers.convolution_ns, layers.exit_ns
    )
