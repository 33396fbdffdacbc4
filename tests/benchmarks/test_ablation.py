"""The ablation: every arm gives the reference's pixels, and the figures are what they say."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.ablation.arms import (
    ROWS,
    ROWS_SHARING,
    SHARING,
    VARIANTS,
    Arm,
    Subject,
    buffers_of,
    make_workshop,
    separate_arm,
    tile_arm,
    variant_arms,
    widest_tile,
)
from benchmarks.ablation.library import make_parts
from benchmarks.ablation.routes import SHARES, clustered_patches
from benchmarks.compiler import (
    Clocked,
    Samples,
    check_equal,
    ladder,
    markdown,
    median_ratio,
    ratio_spread,
    rows_of,
    slowest_isa,
    summary,
)
from benchmarks.harness import RESULTS
from compiler.targets import find_target
from player.package.architecture import Architecture
from player.package.paths import HARD
from sr.quant import reference
from tests.compiler.seeded import int8_blob
from tests.sr.random_int8 import random_int8

ARCH = Architecture("chain", 4, (32, 20, 48), (1, 3))
HEIGHT, WIDTH = 27, 46  # no multiples of a tile, a cell or a vector
PAGE = Path(__file__).parents[2] / "docs" / "ablation.md"


@pytest.fixture(scope="module")
def tensors():
    return random_int8(ARCH, seed=3)


@pytest.fixture(scope="module")
def shop(tensors, tmp_path_factory):
    lr = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    subject = Subject(ARCH, {"int8": int8_blob(ARCH, tensors)}, lr)
    folder = tmp_path_factory.mktemp("ablation")
    return make_workshop(subject, make_parts(find_target("host"), (slowest_isa(),), folder))


def wanted(shop, tensors, path: int) -> np.ndarray:
    halo = ARCH.halo_px(path)
    padded = np.pad(shop.subject.lr, ((halo, halo), (halo, halo), (0, 0)), "edge")
    return reference.upscale(ARCH, tensors, padded, path)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_a_pass_less_gives_the_same_pixels(variant, shop, tensors):
    (arm,) = variant_arms(shop, variant, {variant.name: slowest_isa()})
    assert np.array_equal(arm.run(), wanted(shop, tensors, HARD))


def test_tiles_give_the_same_pixels(shop, tensors):
    arm = tile_arm(shop, 10, 16, slowest_isa())
    assert np.array_equal(arm.run(), wanted(shop, tensors, HARD))


def test_separate_patches_give_each_paths_pixels(shop, tensors):
    patches = clustered_patches(HEIGHT, WIDTH)
    assert len(set(patches[:, 5])) > 1
    frame = separate_arm(shop, patches, slowest_isa()).run()
    for y, x, h, w, _, path in patches * [4, 4, 4, 4, 1, 1]:
        part = (slice(y, y + h), slice(x, x + w))
        assert np.array_equal(frame[part], wanted(shop, tensors, path)[part])


def test_values_as_frames_or_without_sharing_take_more(shop):
    def values(plan) -> int:
        return buffers_of(shop.subject.whole, {HARD: plan}, shop.cache_bytes)[0]

    ours = values(shop.hard)
    assert ours <= values(SHARING.plan(shop.hard, HEIGHT))  # rings are never shared
    layers = values(ROWS.plan(shop.hard, HEIGHT))
    assert 2 * ours < layers < values(ROWS_SHARING.plan(shop.hard, HEIGHT))
    # The least that layer after layer can take: two of the widest values at once.
    assert layers > 2 * (HEIGHT + 2) * WIDTH * 48


def test_buffers_are_those_of_the_runtime(shop):
    """A patch's arena by the plan's formula, a frame cut where the arena outgrows the cache."""
    per_column, fixed = shop.hard.memory.arena.per_column, shop.hard.memory.arena.fixed
    halo = shop.hard.schedule.graph.halo
    copy = (HEIGHT + 2 * halo) * (WIDTH + 2 * halo) * 3
    assert buffers_of(shop.subject.whole, {HARD: shop.hard}, shop.cache_bytes) == (
        per_column * 48 + fixed,
        copy,
    )
    assert widest_tile(shop.hard, per_column * 200, 480) == 160
    assert widest_tile(shop.hard, per_column, 480) == 60
    assert widest_tile(shop.hard, 2**31 - 1, 480) == 480


def test_routes_keep_the_shares_and_cover_the_frame():
    patches = clustered_patches(270, 480)
    areas = patches[:, 2] * patches[:, 3]
    assert areas.sum() == 270 * 480
    for path, share in SHARES.items():
        assert areas[patches[:, 5] == path].sum() / areas.sum() == pytest.approx(share, abs=0.02)
    assert len(patches) < 23 * 40 / 3  # clusters, not noise


def arm_of(name: str, pixels: int, buffers: int) -> Arm:
    return Arm(name, "isa", lambda: np.full((1, 1, 3), pixels, np.uint8), buffers - 10, 10)


def test_other_pixels_end_the_benchmark_except_in_fp32():
    check_equal([arm_of("all", 1, 20), arm_of("order", 1, 20), arm_of("fp32", 2, 20)])
    with pytest.raises(SystemExit, match="order gives other pixels than all"):
        check_equal([arm_of("all", 1, 20), arm_of("order", 2, 20)])


def test_ratios_are_taken_within_rounds():
    """Every round here is slower than the one before; the arm takes twice the time in each."""
    assert median_ratio([2.0, 20.0, 200.0], [1.0, 10.0, 100.0]) == 2.0
    assert ratio_spread([2.0, 20.0, 200.0], [1.0, 10.0, 100.0]) == 0.0
    assert ratio_spread([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]) == 2.0


def test_only_the_threads_own_time_counts():
    clocked = Clocked(lambda: sum(range(200_000)))
    clocked()
    clocked()
    assert len(clocked.cpu_s) == 2
    assert min(clocked.cpu_s) > 0


def rows() -> list[dict[str, object]]:
    seconds = {"all": 1.0, "order": 1.5, "rows": 2.0, "rows_sharing": 3.0}
    seconds |= {"neither_versions": 6.0, "neither": 24.0}
    arms = [arm_of(name, 0, int(100 * s)) for name, s in seconds.items()]
    samples = {name: Samples([2 * s, 2 * s], [s, s]) for name, s in seconds.items()}
    samples["neither"] = Samples([60.0, 60.0], [24.0, 24.0])
    tiles = [arm_of("all", 0, 100), arm_of("tiles_8x8", 0, 50), arm_of("tiles_9x9", 0, 70)]
    tiles.append(arm_of("tiles_99x99", 0, 2 << 20))  # faster, but in no second-level cache
    of_tiles = {"all": 1.0, "tiles_8x8": 1.4, "tiles_9x9": 1.2, "tiles_99x99": 1.1}
    found = rows_of("whole", arms, samples)
    return found + rows_of(
        "tiles", tiles, {n: Samples([s, s], [s, s]) for n, s in of_tiles.items()}
    )


def test_the_summary():
    figures = summary(rows())
    assert figures == {
        "speedup_all_vs_neither": 24.0,
        "speedup_all_vs_neither_wall": 30.0,
        "memory_all_vs_neither": 24.0,
        "speedup_order": 1.5,
        "speedup_rows": 2.0,
        "speedup_rows_sharing": 3.0,
        "memory_order": 1.5,
        "memory_rows": 2.0,
        "memory_rows_sharing": 3.0,
        "rings_vs_tiles_speedup": 1.2,
        "rings_vs_tiles_memory": 0.7,
        "rings_vs_any_tile_speedup": 1.1,
        "best_tile": "9x9",
    }


def test_the_ladder_multiplies_up_to_the_whole():
    steps = ladder(rows())
    assert [s["to"] for s in steps] == ["neither_versions", "rows_sharing", "rows", "all"]
    assert [s["speedup"] for s in steps] == [4.0, 2.0, 1.5, 2.0]
    assert np.prod([s["memory"] for s in steps]) == pytest.approx(24.0)


def test_the_page_shows_the_recorded_result():
    result = json.loads((RESULTS / "compiler.json").read_text(encoding="utf-8"))
    for subject in ("whole", "routed", "tiles"):
        assert markdown(result["rows"], subject) in PAGE.read_text(encoding="utf-8")
    isas = {row["arm"]: row["isa"] for row in result["rows"]}
    assert isas["all_routed"] == isas["combined"] == isas["all"] != isas["neither"]
    assert result["summary"] == summary(result["rows"])
    assert result["ladder"] == ladder(result["rows"])
    assert result["summary"]["speedup_all_vs_neither"] > 1.7
    assert result["summary"]["memory_all_vs_neither"] > 1.61
