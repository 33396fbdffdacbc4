"""The arms: engines with a pass left out, each ready to upscale the same frame."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.ablation import variants
from benchmarks.ablation.emit import AS_SHIPPED, emit_variant
from benchmarks.ablation.library import DTYPE, WHOLE_FRAME, Parts, link_variant
from benchmarks.ablation.unfused import unfused_graph, unfused_planes
from benchmarks.ablation.variants import Program
from compiler.pipeline import ALL_PATHS, plan_network
from compiler.plan.formats import find_format
from compiler.plan.path_plan import ARENA_COLUMNS, PathPlan
from compiler.targets import find_target
from player.engine import Engine
from player.package.architecture import Architecture
from player.package.paths import HARD, PATH_NAMES
from player.package.scale import hr_px

Image = NDArray[np.uint8]
Patches = NDArray[np.int32]
_UNIT = 4  # PSR_UNIT of runtime/mask.h: columns of tiles begin at its multiples
_LEAST_COLUMNS, _MOST_COLUMNS = 64, 1024  # of a tile, tile_columns of runtime/frame.c


@dataclass(frozen=True)
class Subject:
    """What every arm gets: a network on single pixels, its blobs by dtype, and an LR frame."""

    arch: Architecture
    blobs: Mapping[str, bytes]
    lr: Image

    @property
    def size(self) -> tuple[int, int]:
        return self.lr.shape[0], self.lr.shape[1]

    @property
    def whole(self) -> Patches:
        """One patch, the hard path over the whole frame."""
        return np.array([(0, 0, *self.size, 0, HARD)], np.int32)

    def tiles(self, height: int, width: int) -> Patches:
        """The same in rectangles, each with its own border."""
        rows, columns = self.size
        corners = [(y, x) for y in range(0, rows, height) for x in range(0, columns, width)]
        sides = [(min(height, rows - y), min(width, columns - x)) for y, x in corners]
        found = [(*at, *side, 0, HARD) for at, side in zip(corners, sides, strict=True)]
        return np.array(found, np.int32)


@dataclass(frozen=True)
class Arm:
    """An engine that upscales the frame; bytes are those of its buffers for that frame.

    `activation_bytes`: the network's values. `copy_bytes`: the patch with its halo, where the
    frame's edge has to be repeated.
    """

    name: str
    isa: str
    run: Callable[[], Image]
    activation_bytes: int
    copy_bytes: int

    @property
    def buffer_bytes(self) -> int:
        return self.activation_bytes + self.copy_bytes


@dataclass(frozen=True)
class Variant:
    """A way to plan and to run the hard path: from the shipped plan, for patches of a height."""

    name: str
    plan: Callable[[PathPlan, int], PathPlan]
    is_layered: bool = False  # a loop a step, over all rows; else the frame may be cut in columns


def _fused(plan: PathPlan) -> Program:
    return Program(plan.schedule.graph, plan.planes)


def _unfused(plan: PathPlan) -> Program:
    graph = unfused_graph(plan.schedule.graph)
    return Program(graph, unfused_planes(graph))


ORDER = Variant("order", lambda p, _: variants.in_given_order(_fused(p), variants.shared))
SHARING = Variant("sharing", lambda p, _: variants.in_given_order(_fused(p), variants.unshared))
VERTICAL = Variant("vertical", lambda p, _: variants.in_rows(_unfused(p), variants.shared))
ROWS = Variant(
    "rows", lambda p, h: variants.in_layers(_fused(p), h, variants.shared), is_layered=True
)
ROWS_SHARING = Variant(
    "rows_sharing",
    lambda p, h: variants.in_given_layers(_fused(p), h, variants.unshared),
    is_layered=True,
)
NEITHER = Variant(
    "neither",
    lambda p, h: variants.in_given_layers(_unfused(p), h, variants.unshared),
    is_layered=True,
)
VARIANTS = (ORDER, SHARING, VERTICAL, ROWS, ROWS_SHARING, NEITHER)


@dataclass(frozen=True)
class Workshop:
    """What arms are made of: the subject, its int8 plans, and compiled parts."""

    subject: Subject
    plans: Mapping[str, PathPlan]
    parts: Parts

    @property
    def cache_bytes(self) -> int:
        return self.parts.machine.cache_bytes

    @property
    def hard(self) -> PathPlan:
        return self.plans[PATH_NAMES[HARD]]


def make_workshop(subject: Subject, parts: Parts) -> Workshop:
    """Plans the subject's network once for all arms."""
    return Workshop(subject, plan_network(subject.arch, find_format(DTYPE)), parts)


def variant_arms(shop: Workshop, variant: Variant, isas: Mapping[str, str]) -> list[Arm]:
    """A variant over the whole frame; `isas`: names of arms, and the instruction set of each."""
    library, plan, cache = linked(shop, variant, variant.name, shop.subject.size[0])
    return [
        _arm(name, shop.subject, library, isa, shop.subject.whole, {HARD: plan}, cache)
        for name, isa in isas.items()
    ]


def tile_arm(shop: Workshop, height: int, width: int, isa: str) -> Arm:
    """Layer after layer inside tiles, whose borders are computed again."""
    name = f"tiles_{height}x{width}"
    library, plan, cache = linked(shop, ROWS, name, height)
    patches = shop.subject.tiles(height, width)
    return _arm(name, shop.subject, library, isa, patches, {HARD: plan}, cache)


def linked(shop: Workshop, variant: Variant, name: str, height: int) -> tuple[Path, PathPlan, int]:
    """A variant's library for patches of at most `height` rows, its plan, its bytes of cache."""
    plan = variant.plan(shop.hard, height)
    cache = WHOLE_FRAME if variant.is_layered else shop.cache_bytes
    text = emit_variant(shop.subject.arch, plan, variant.is_layered)
    return link_variant(shop.parts, name, text, cache), plan, cache


def separate_arm(shop: Workshop, patches: Patches, isa: str) -> Arm:
    """Patches of several paths, each by itself with its own halo."""
    library = link_variant(shop.parts, "separate", AS_SHIPPED, shop.cache_bytes)
    plans = {path: shop.plans[PATH_NAMES[path]] for path in range(HARD + 1)}
    return _arm("combined", shop.subject, library, isa, patches, plans, shop.cache_bytes)


def combined_arm(shop: Workshop, library: Path, patches: Patches) -> Arm:
    """The engine as shipped, on patches of several paths; the mask counts with the copy."""
    plans, cache = {HARD: shop.plans[ALL_PATHS]}, shop.cache_bytes
    isa, run = _open(shop.subject, library, None, DTYPE, patches)
    activations, copy = buffers_of(shop.subject.whole, plans, cache)
    mask = 8 * (shop.subject.size[0] + 2) + 12 * int(patches[:, 2].sum())  # psr_mask_bytes
    return Arm("all_routed", isa, run, activations, copy + mask)


def engine_arm(name: str, subject: Subject, library: Path, target: str, isa: str | None) -> Arm:
    """An engine that `compile_engine` has made, over the whole frame; `isa` None is its best."""
    dtype = Engine.open(library).info["dtype"]
    plan = plan_network(subject.arch, find_format(dtype))[PATH_NAMES[HARD]]
    cache = find_target(target).cache_bytes
    return _arm(name, subject, library, isa, subject.whole, {HARD: plan}, cache, dtype)


def _arm(
    name: str,
    subject: Subject,
    library: Path,
    isa: str | None,
    patches: Patches,
    plans: Mapping[int, PathPlan],
    cache_bytes: int,
    dtype: str = DTYPE,
) -> Arm:
    used, run = _open(subject, library, isa, dtype, patches)
    return Arm(name, used, run, *buffers_of(patches, plans, cache_bytes))


def _open(
    subject: Subject, library: Path, isa: str | None, dtype: str, patches: Patches
) -> tuple[str, Callable[[], Image]]:
    """The instruction set in use, and the run: one thread, into one picture."""
    engine = Engine.open(library)
    usual = engine.isa
    used = isa or usual
    engine.select_isa(used)
    network, pool = engine.load(subject.blobs[dtype]), engine.pool(1)
    engine.select_isa(usual)  # it holds for the whole process, and arms share libraries
    height, width = subject.size
    out = np.empty((hr_px(height, network.scale), hr_px(width, network.scale), 3), np.uint8)
    return used, lambda: pool.frame([network], patches, subject.lr, out)


def buffers_of(
    patches: Patches, plans: Mapping[int, PathPlan], cache_bytes: int
) -> tuple[int, int]:
    """Bytes of the values and of the copy with halo, of the tile that needs most of both."""
    most = (0, 0)
    for _, _, height, width, _, path in patches.tolist():
        plan = plans[path]
        halo = plan.schedule.graph.halo
        columns = widest_tile(plan, cache_bytes, width)
        arena = plan.memory.arena.at(-(-columns // ARENA_COLUMNS) * ARENA_COLUMNS)
        copy = (height + 2 * halo) * (columns + 2 * halo) * 3
        most = max(most, (arena, copy), key=sum)
    return most


def widest_tile(plan: PathPlan, cache_bytes: int, width: int) -> int:
    """Columns of the widest tile that the runtime cuts for one thread (frame.c, cuts_of)."""
    most = cache_bytes // plan.memory.arena.per_column
    parts = -(-width // min(max(most, _LEAST_COLUMNS), _MOST_COLUMNS))
    edges = [width * j // parts // _UNIT * _UNIT for j in range(parts)] + [width]
    return max(b - a for a, b in pairwise(edges))
