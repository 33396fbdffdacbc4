"""A path of a network as the engine sees it: convolutions in patch coordinates, then a store.

Relax knows shapes; the engine wants margins. A value with margin m covers the patch of h x w
places and m more on every side; a place is a unit of u x u LR pixels. A crop only changes which
margin a reader starts from, so crops vanish here. Sizes stay symbolic: everything below is
(h + 2 m) x (w + 2 m).

`network_graph` says what each architecture of the format is; what an exported program is,
plan/lower.py reads, and the tests hold the two equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from player.package.architecture import Architecture, convolutions

INPUT = "input"
PIXELS = "pixels"  # of LR, for an anchor whose pixels the input does not hold side by side
ANCHOR_ROWS = "anchor"
DETAIL = "detail"  # what every exit of a merged graph computes, each its own columns of a row


class Anchor(Enum):
    """Where a store takes the picture from to which detail is added."""

    NONE = 0  # nowhere: the network makes all of it
    IDENTITY = 1  # LR itself, at scale 1
    NEAR = 2  # bicubic over the input's places, which are pixels
    WIDE = 3  # bicubic over PIXELS: the input's places are units of several

    @property
    def reach(self) -> int:
        """Places around the patch that it reads."""
        return {Anchor.NEAR: 2, Anchor.WIDE: 1}.get(self, 0)

    @property
    def source(self) -> str | None:
        """The value of which it is made in a pass of its own."""
        return {Anchor.NEAR: INPUT, Anchor.WIDE: PIXELS}.get(self)


def anchor_of(arch: Architecture) -> Anchor:
    """The anchor of a network's paths."""
    return bicubic_of(arch) if arch.name == "chain" else Anchor.NONE


def bicubic_of(arch: Architecture) -> Anchor:
    """The anchor of the path without a network."""
    if arch.scale == 1:
        return Anchor.IDENTITY
    return Anchor.NEAR if arch.units == 1 else Anchor.WIDE


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
    anchor: Anchor


@dataclass(frozen=True)
class PathGraph:
    """One path: `values` has the input, of margin `halo`, and each convolution's result.

    `units` is u, `side` r u: HR pixels on a side of what a place becomes.
    """

    units: int
    side: int
    halo: int
    values: dict[str, Value]
    convolutions: tuple[Convolution, ...]
    store: Store


def bicubic_graph(arch: Architecture) -> PathGraph:
    """The path without a network."""
    anchor = bicubic_of(arch)
    values = {INPUT: Value(INPUT, arch.planes, anchor.reach)}
    return PathGraph(arch.units, arch.hr_units, anchor.reach, values, (), Store(None, anchor))


def network_graph(arch: Architecture, path: int) -> PathGraph:
    """A path of a network of the format."""
    layers = _wdsr(arch) if arch.name == "wdsr" else _chain(arch, path)
    channels = {name: shape[0] for name, shape in convolutions(arch)}
    anchor, residual = anchor_of(arch), layers[-1].result
    # From the store back: a value's margin is what its readers need beyond their own.
    margins = {residual: 0}
    for layer in reversed(layers):
        margin = margins[layer.result]
        margins[layer.source] = max(margins.get(layer.source, 0), margin + layer.radius)
        if layer.adds:
            margins[layer.adds] = max(margins.get(layer.adds, 0), margin)
    halo = max(margins[INPUT], anchor.reach)
    values = {INPUT: Value(INPUT, arch.planes, halo)}
    for layer in layers:
        made = Value(layer.result, channels[layer.weights], margins[layer.result])
        values[layer.result] = made
    return PathGraph(
        arch.units, arch.hr_units, halo, values, tuple(layers), Store(residual, anchor)
    )


def _chain(arch: Architecture, path: int) -> list[Convolution]:
    depth, last = arch.depth(path), "tail"
    if arch.name == "chain":
        last = f"exits.{arch.paths.index(path)}"
    sources = [INPUT, *(f"trunk_{i}" for i in range(depth))]
    trunk = [
        Convolution(f"trunk.{i}", sources[i], sources[i + 1], 3, relu=True) for i in range(depth)
    ]
    window = 1 if arch.name == "chain" else 3
    return [*trunk, Convolution(last, sources[depth], last.replace(".", "_"), window)]


def _wdsr(arch: Architecture) -> list[Convolution]:
    layers, features = [Convolution("head", INPUT, "head", 3)], "head"
    for i in range(arch.widths[2]):
        wide, narrow = f"blocks_{i}_expand", f"blocks_{i}_project"
        layers.append(Convolution(f"blocks.{i}.expand", features, wide, 3, relu=True))
        layers.append(Convolution(f"blocks.{i}.project", wide, narrow, 3, adds=features))
        features = narrow
    skip = Convolution("skip", INPUT, "skip", 5)
    return [*layers, skip, Convolution("tail", features, "tail", 3, adds="skip")]


def merged_graph(paths: Sequence[PathGraph]) -> PathGraph:
    """Paths of a network in one graph; they share layers and differ in their last ones.

    A value has the widest of its margins. Exits write one value, DETAIL: which columns of it an
    exit computes is decided for each frame (runtime/mask.h).
    """
    deepest = max(paths, key=lambda graph: len(graph.convolutions))
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
    convolutions_ = (*inner, *outer)
    return replace(deepest, values=kept, convolutions=convolutions_, store=store)
