"""Labels of all cells out of a few probed ones: what the routes lose that are planned by them.

    clip ─► network overfitted to it ─► true errors of every cell on every path ─► oracle plan ─► M
                                        │ 10 % of them, in blocks
                                        ▼
                       arm ─► predicted errors ─► plan at the same M, judged by the true errors

`regret_db`: the oracle plan's PSNR less that of the arm's, both at the MACs M that the oracle
spends to stay within 0.05 dB of the hard path. Arms "next: ..." have the first half of the clip
for their ticket and are judged on the second half, by that half's own oracle.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.reproduction.graph.patch_graph import PatchGraph, build_patch_graph
from benchmarks.reproduction.graph.spread import (
    PLAN,
    RECIPE,
    Floats,
    Probes,
    Spreader,
    learn_ticket,
    mean_left,
)
from benchmarks.reproduction.graph.tickets import RECIPES, Recipe, TicketPlan
from benchmarks.reproduction.graph.transfer import carried_left, learn_scorer, retrained
from benchmarks.shrinking.base import base_blob
from benchmarks.shrinking.claims import RUN, Claim, Judged
from benchmarks.shrinking.clips import SCALE, Clip
from benchmarks.verdict import Row, all_of, at_least, at_most, differences, means_within, sample
from chunking.difficulty import patch_samples, rank_correlation
from chunking.grid import Grid
from chunking.route_plan import plan_routes
from player.costs import path_macs
from player.metrics import psnr_db
from player.package.architecture import Architecture
from player.package.paths import BICUBIC, HARD, path_of
from sr.encode.sampled_routes import draw_samples, nearest_errors
from sr.scoring import path_sse, scored_network

CELL_PX, HOLD_FRAMES = 12, 4  # as the encode job routes
LOSS_DB = 0.05
PROBED, FEWER = 0.1, 0.05
MOST_REGRET_DB, LEAST_PRUNED = 0.05, 0.7


@dataclass(frozen=True)
class Scene:
    """Frames with the true errors `sse` [3, G, gh, gw] of their held groups."""

    clip: Clip
    sse: Floats

    @property
    def grid(self) -> Grid:
        return route_grid(self.clip)

    @property
    def groups(self) -> NDArray[np.int64]:
        return held(len(self.clip.pairs))

    @cached_property
    def macs(self) -> Floats:
        """[3, G, gh, gw]."""
        return cell_macs(self.clip.arch, np.bincount(self.groups), self.grid)

    @cached_property
    def budget_macs(self) -> float:
        """What the oracle spends."""
        return self._spent(plan_routes(self.sse, self.macs, max_loss_db=LOSS_DB))

    def regret_db(self, predicted: Floats) -> float:
        """Of the plan by predicted errors, at the oracle's MACs."""
        return self._psnr_db(self.sse) - self._psnr_db(predicted)

    def graph(self) -> PatchGraph:
        frames = (pair.lr for pair in self.clip.pairs)
        return build_patch_graph(frames, self.grid, self.groups, self.sse[BICUBIC])

    def probes(self, share: float, seed: int) -> Probes:
        probed = draw_samples(self.sse[0].shape, share, seed)
        return Probes(self.sse[BICUBIC], probed, np.where(probed, self.sse, np.nan))

    def _psnr_db(self, errors: Floats) -> float:
        # A hair above, so that a sum in another order does not refuse the last step.
        codes = plan_routes(errors, self.macs, budget_macs=self.budget_macs * (1 + 1e-9))
        samples = patch_samples(self.grid, SCALE, *self.clip.pairs[0].hr.shape[:2]).sum()
        return psnr_db(_taken(self.sse, codes) / (int(samples) * len(self.clip.pairs)))

    def _spent(self, codes: NDArray[np.uint8]) -> float:
        return _taken(self.macs, codes)


def _taken(of_path: Floats, codes: NDArray[np.uint8]) -> float:
    """The sum over cells of what their path has in [3, G, gh, gw]."""
    paths = path_of(codes)[None].astype(np.int64)
    return float(np.take_along_axis(of_path, paths, axis=0).sum())


def route_grid(clip: Clip) -> Grid:
    height, width = clip.pairs[0].lr.shape[:2]
    return Grid(height, width, CELL_PX, CELL_PX)


def held(frames: int) -> NDArray[np.int64]:
    """[T]: the group of frames that keep one route."""
    return np.arange(frames) // HOLD_FRAMES


def cell_macs(arch: Architecture, frames: NDArray[np.int64], grid: Grid) -> Floats:
    """[3, G, gh, gw]: multiplications of a cell in all `frames` [G] of its group."""
    return path_macs(arch)[:, None, None, None] * (frames[:, None, None] * grid.pixels())


@dataclass(frozen=True)
class Spread:
    """An arm's prediction [3, G, gh, gw], the ticket behind it if any, and its graph."""

    predicted: Floats
    probes: Probes
    graph: PatchGraph | None = None
    spreader: Spreader | None = None
    pairs: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Arm:
    about: str
    run: Callable[[Scene, Scene, int], Spread]
    """Of the first half, the scene that is judged, and the seed."""
    next_segment: bool = False


def _by_graph(recipe: Recipe, share: float = PROBED, rounds: int = PLAN.rounds) -> Any:
    def run(_: Scene, scene: Scene, seed: int) -> Spread:
        graph, probes = scene.graph(), scene.probes(share, seed)
        return _spread(graph, probes, learn_ticket(graph, probes, recipe, _plan(seed, rounds)))

    return run


def _plan(seed: int, rounds: int = PLAN.rounds) -> TicketPlan:
    return replace(PLAN, seed=seed, rounds=rounds)


def _spread(graph: PatchGraph, probes: Probes, spreader: Spreader) -> Spread:
    pairs = spreader.kept_pairs(graph)
    return Spread(probes.spread(spreader.left(graph, pairs)), probes, graph, spreader, pairs)


def _nearest(share: float) -> Any:
    def run(_: Scene, scene: Scene, seed: int) -> Spread:
        probes = scene.probes(share, seed)
        features = scene.graph().features
        return Spread(nearest_errors(features, probes.cheap, probes.probed, probes.errors), probes)

    return run


def _features_alone(_: Scene, scene: Scene, seed: int) -> Spread:
    """Every cell's gain is one share of bicubic's error; the probes give the share alone."""
    probes = scene.probes(PROBED, seed)
    unseen = replace(probes, probed=np.zeros_like(probes.probed))
    return Spread(unseen.spread(mean_left(probes), probes.paths), probes)


def _carried(first: Scene, scene: Scene, seed: int) -> Spread:
    """Without a single probe of the new segment."""
    spreader, graph, kept = _carry(first, scene, seed)
    none = Probes(scene.sse[BICUBIC], np.zeros(graph.shape, bool), np.full(scene.sse.shape, np.nan))
    left = carried_left(spreader, graph, kept)
    predicted = none.spread(left, spreader.paths)
    return Spread(predicted, none, graph, spreader, graph.pairs[kept])


def _retrained(first: Scene, scene: Scene, seed: int) -> Spread:
    spreader, graph, kept = _carry(first, scene, seed)
    probes = scene.probes(PROBED, seed)
    fresh = retrained(spreader, graph, kept, probes, _plan(seed))
    return _spread(graph, probes, fresh)


def _carry(first: Scene, scene: Scene, seed: int) -> tuple[Spreader, PatchGraph, NDArray[np.bool_]]:
    """The first half's ticket, and which pairs of the second half's graph it keeps."""
    graph, probes = first.graph(), first.probes(PROBED, seed)
    spreader = learn_ticket(graph, probes, RECIPE, _plan(seed))
    scorer = learn_scorer(graph, spreader.standard, spreader.ticket.kept)
    following = scene.graph()
    return spreader, following, scorer.kept(following)


TICKET, FULL, NEIGHBOURS, RANDOM = "ticket", "full graph", "nearest neighbours", "random pruning"
_ARMS: Mapping[str, Arm] = {
    FULL: Arm("the whole graph, no weight pruned", _by_graph(RECIPES["ugs"], rounds=0)),
    TICKET: Arm("Wasserstein head and adversarial step", _by_graph(RECIPE)),
    "ugs": Arm("masks by the supervised loss and L1", _by_graph(RECIPES["ugs"])),
    RANDOM: Arm("pairs and weights drawn", _by_graph(RECIPES["random"])),
    "degree first": Arm("pairs of high degree first", _by_graph(RECIPES["degree"])),
    NEIGHBOURS: Arm("the product's: the nearest probed cells in cheap features", _nearest(PROBED)),
    "features alone": Arm("bicubic's error is the score", _features_alone),
    f"{FULL}, 5 %": Arm("half the probes", _by_graph(RECIPES["ugs"], FEWER, rounds=0)),
    f"{TICKET}, 5 %": Arm("half the probes", _by_graph(RECIPE, FEWER)),
    f"{NEIGHBOURS}, 5 %": Arm("half the probes", _nearest(FEWER)),
    "next: no probe": Arm("the first half's ticket and weights", _carried, True),
    "next: ticket carried": Arm("its masks, trained on the half's own probes", _retrained, True),
    "next: ticket found anew": Arm("all rounds again", _by_graph(RECIPE), True),
    "next: random pruning": Arm("pairs and weights drawn", _by_graph(RECIPES["random"]), True),
}
ARMS: Mapping[str, str] = {name: arm.about for name, arm in _ARMS.items()}
SHOWN = (
    "arm", "regret_db", "probed_share", "edges_pruned", "macs_ratio", "rank_correlation",
    "spread_s", "all_probes_s",
)  # fmt: skip


def make(clip: Clip, arm: str, seed: int, steps: int, store: Path) -> dict[str, Any]:
    """One arm's row. `all_probes_s`: seconds to run the network on every cell instead."""
    sse, probing_s = true_errors(clip, seed, steps, store)
    chosen, half = _ARMS[arm], len(clip.pairs) // 2
    first = _scene(clip, sse, slice(0, half))
    scene = _scene(clip, sse, slice(half, None)) if chosen.next_segment else _scene(clip, sse)
    began = process_time()
    spread = chosen.run(first, scene, seed)
    seconds = process_time() - began
    return {
        "regret_db": scene.regret_db(spread.predicted),
        "probed_share": float(spread.probes.probed.mean()),
        **_ticket_columns(spread),
        "rank_correlation": _gain_correlation(spread, scene.sse),
        "spread_s": round(seconds, 2),
        "all_probes_s": round(probing_s, 2),
    }


def _scene(clip: Clip, sse: Floats, frames: slice = slice(None)) -> Scene:
    """`sse` [3, T, gh, gw] of frames, summed over held groups."""
    chosen = sse[:, frames]
    starts = np.arange(0, chosen.shape[1], HOLD_FRAMES)
    return Scene(Clip(clip.name, clip.pairs[frames]), np.add.reduceat(chosen, starts, axis=1))


def _ticket_columns(spread: Spread) -> dict[str, float]:
    """Shares that are gone, and multiplications against the unpruned network on the whole graph."""
    if spread.spreader is None or spread.graph is None or spread.pairs is None:
        return {}
    graph, cut = spread.graph, spread.spreader.cut()
    x = spread.spreader.features(graph)
    whole = spread.spreader.uncut()
    return {
        "edges": len(spread.pairs),
        "edges_pruned": 1 - len(spread.pairs) / max(1, len(graph.pairs)),
        "weights_pruned": spread.spreader.ticket.weights_pruned,
        "macs_ratio": cut.macs(cut.read(x), len(spread.pairs))
        / whole.macs(whole.read(x), len(graph.pairs)),
    }


def _gain_correlation(spread: Spread, sse: Floats) -> float:
    """Spearman's rho of predicted and true gain of the hard path, over cells not probed."""
    unseen = ~spread.probes.probed
    gains = (errors[BICUBIC][unseen] - errors[HARD][unseen] for errors in (spread.predicted, sse))
    return rank_correlation(*gains)


def true_errors(clip: Clip, seed: int, steps: int, store: Path) -> tuple[Floats, float]:
    """[3, T, gh, gw] of the overfitted network, and the seconds that they took; kept in a file."""
    file = store / f"errors-{clip.name}-{len(clip.pairs)}-{seed}-{steps}.npz"
    if not file.exists():
        network = scored_network(base_blob(clip, seed, steps, store))
        began = perf_counter()
        sse = np.stack(list(path_sse(network, clip.pairs, route_grid(clip))), axis=1)
        part = file.with_suffix(".part.npz")
        np.savez(part, sse=sse, seconds=perf_counter() - began)
        part.replace(file)
    with np.load(file) as kept:
        return kept["sse"], float(kept["seconds"])


def _small_regret(arm: str) -> Claim:
    def judge(rows: Sequence[Row]) -> Judged:
        regret, pruned = (
            means_within(rows, arm, column) for column in ("regret_db", "edges_pruned")
        )
        measured = {"regret_db": sample(regret), "edges_pruned": sample(pruned)}
        return all_of(at_most(regret, MOST_REGRET_DB), at_least(pruned, LEAST_PRUNED)), measured

    text = f"{arm}: under {MOST_REGRET_DB:g} dB with {LEAST_PRUNED:.0%} of the pairs gone"
    return Claim(text, (arm,), judge)


def _less(arm: str, other: str) -> Claim:
    """The regret is below the other's, over clips and seeds that both have."""

    def judge(rows: Sequence[Row]) -> Judged:
        found = differences(rows, arm, other, "regret_db", RUN)
        return at_most(found), {"difference_db": sample(found)}

    return Claim(f"{arm}: less regret than {other}", (arm, other), judge)


CLAIMS: tuple[Claim, ...] = (
    _small_regret(TICKET),
    _small_regret(f"{TICKET}, 5 %"),
    _less(TICKET, RANDOM),
    _less(TICKET, NEIGHBOURS),
    _less(TICKET, "ugs"),
    _less(TICKET, "degree first"),
    _less(TICKET, "features alone"),
    _less(f"{TICKET}, 5 %", f"{NEIGHBOURS}, 5 %"),
    _small_regret("next: no probe"),
    _small_regret("next: ticket carried"),
    _less("next: ticket carried", "next: random pruning"),
    _less("next: ticket carried", "next: ticket found anew"),
)
