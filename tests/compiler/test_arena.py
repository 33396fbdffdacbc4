"""What a thread needs for a coarse patch: at most 1 MiB, for every network that encode makes."""

import pytest

from chunking.grid import Grid
from compiler.pipeline import plan_network
from compiler.plan.formats import FORMATS
from compiler.plan.path_plan import ARENA_COLUMNS, PathPlan
from player.package.paths import PATH_NAMES
from sr.models import BACKBONES, architecture

MIB = 1 << 20
COARSE = Grid(1080, 1920).coarse_patches()[0]
# x4 has the most channels before pixel shuffle, so the largest arena of the three scales.
SCALES = (4, 3, 2)


def thread_bytes(plan: PathPlan) -> int:
    """The arena, and the copy with its halo that a patch at the frame's edge is read from."""
    columns = -(-COARSE.w // ARENA_COLUMNS) * ARENA_COLUMNS
    halo = plan.schedule.graph.halo
    copied = (COARSE.h + 2 * halo) * (COARSE.w + 2 * halo) * 3
    return plan.memory.arena.at(columns) + copied


def test_the_coarse_patch_is_two_by_two_fine_ones():
    assert (COARSE.h, COARSE.w) == (108, 96)


@pytest.mark.parametrize("scale", SCALES)
# Sixteen blocks are kept for comparison, and their many rows for no phone.
@pytest.mark.parametrize("backbone", sorted({*BACKBONES} - {"wdsr-16"}))
def test_a_coarse_patch_takes_at_most_a_mebibyte_of_a_thread(backbone, scale):
    arch = architecture(backbone, scale, dynamic=True)
    formats = [f for f in FORMATS.values() if f.name == "fp32" or backbone != "wdsr"]
    for number_format in formats:
        plans = plan_network(arch, number_format)
        assert set(plans) >= {"bicubic", *(PATH_NAMES[path] for path in arch.paths)}
        assert max(map(thread_bytes, plans.values())) <= MIB
