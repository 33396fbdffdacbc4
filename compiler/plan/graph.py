"""A path of a network as the engine sees it: convolutions in patch coordinates, then a store.

Relax knows shapes; the engine wants margins. A value with margin m covers the patch of h x w
pixels and m more on every side. A crop only changes which margin a reader starts from, so crops
vanish here. Sizes stay symbolic: everything below is (h + 2 m) x (w + 2 m).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

INPUT = "input"
ANCHOR_ROWS = "anchor"
DETAIL = "detail"  # what every exit of a merged graph computes, each its own columns of a row
ANCHOR_HALO = 2  # LR pixels around the patch that the bicubic kernel reads


@dataclass(frozen=True)
class Value:
    """A tensor [channels, h + 2 margin, w + 2 margin]."""

    name: str
    channels: int
    margin: int


@dataclass(frozen=True)
class Convolution:
    """result = [relu](weights * source + bias [+ adds]), window x window, no padding.

    `weights` is the name of the layer in `tensor_layout`, without ".weight" and ".bias".
    """

    weights: str
    source: str
    result: str
    window: int
    relu: bool = False
    adds: str | None = None

    @property
    def radius(self) -> int:
        return self.window // 2


@dataclass(frozen=True)
class Store:
    """Rounded, clamped HR pixels: residual in pixel shuffle's order, plus the anchor."""

    residual: str | None
    anchored: bool


@dataclass(frozen=True)
class PathGraph:
    """One path: `values` has the input, of margin `halo`, and each convolution's result."""

    scale: int
    halo: int
    values: dict[str, Value]
    convolutions: tuple[Convolution, ...]
    store: Store


def bicubic_graph(scale: int) -> PathGraph:
    """The path without a network."""
    values = {INPUT: Value(INPUT, 3, ANCHOR_HALO)}
    return PathGraph(scale, ANCHOR_HALO, values, (), Store(residual=None, anchored=True))


def merged_graph(paths: Sequence[PathGraph]) -> PathGraph:
    """All paths of a network in one graph; they share layers and differ in their last ones.

    A value has the widest of its margins. Exits write one value, DETAIL: which columns of it an
    exit computes is decided for each frame (runtime/mask.h).
    """
    deepest = max(paths, key=lambda graph: len(graph.convolutions))
    if len(paths) == 1:
        return deepest
    values = {v.name: v for graph in paths for v in graph.values.values()}
    for name, value in values.items():
        margins = [graph.values[name].margin for graph in paths if name in graph.values]
        values[name] = replace(value, margin=max(margins))
    layers = {c.weights: c for graph in paths for c in graph.convolutions}
    exits = {str(graph.store.residual) for graph in paths}
    inner = tuple(c for c in layers.values() if c.result not in exits)
    outer = tuple(replace(c, result=DETAIL) for c in layers.values() if c.result in exits)
    values[DETAIL] = replace(values[str(deepest.store.residual)], name=DETAIL)
    kept = {name: value for name, value in values.items() if name not in exits}
    store = replace(deepest.store, residual=DETAIL)
    return PathGraph(deepest.scale, deepest.halo, kept, (*inner, *outer), store)
