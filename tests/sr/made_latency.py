"""A made latency table, and the times of a frame that it stands for."""

import itertools

import numpy as np

from player.package.architecture import Architecture
from player.package.paths import BICUBIC, HARD
from sr.latency.measure import HOST, PathTimes
from sr.latency.table import MS, Cache, LatencyTable, Machine

SIZE = (135, 480)
CACHE = Cache(512 * 1024, 232, 1)
MACHINE = Machine(HOST, "int8", "avx9", "a processor", "0.1.0", "2026-01-01T00:00:00Z", 4, 1, *SIZE)


def made_table(seed: int = 0) -> LatencyTable:
    """A table whose layers cost what the kernels' loops may cost, by drawn terms."""
    rng = np.random.default_rng(seed)
    per_tile, per_group, per_two, per_block = rng.uniform(0.2, 1.5, (4, 4))

    def added(g: int, b: int) -> float:
        loops = per_group[b] * g + per_two[b] * -(-g // 2) + per_block[b] * -(-g // 4)
        return float(per_tile[b] + loops)

    rows = [list(itertools.accumulate(added(g, b) for b in range(4))) for g in range(1, 17)]
    exits = tuple(3.0 + 0.3 * g + 0.1 * -(-g // 2) for g in range(1, 17))
    return LatencyTable(MACHINE, CACHE, 7.0, (2.0, 4.0, 6.0, 8.0), tuple(map(tuple, rows)), exits)


def frame_times(table: LatencyTable, archs: tuple[Architecture, ...]) -> PathTimes:
    hard = tuple(table.predict_ms(arch, HARD, *SIZE) / MS for arch in archs)
    return PathTimes(hard, table.predict_ms(archs[0], BICUBIC, *SIZE) / MS)


def assert_monotone(table: LatencyTable) -> None:
    rows = np.array(table.convolution_ns)
    assert (np.diff(rows, axis=0) >= 0).all() and (np.diff(rows, axis=1) >= 0).all()
    assert (np.diff(table.first_ns) >= 0).all() and (np.diff(table.exit_ns) >= 0).all()
