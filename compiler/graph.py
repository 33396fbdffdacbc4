"""A path of a network as the engine sees it: convolutions in patch coordinates, then a store.

Relax knows shapes; the engine wants margins. A value with margin m covers the patch of h x w
pixels and m more on every side. A crop only changes which margin a reader starts from, so crops
vanish here. Sizes stay symbolic: everything below is (h + 2 m) x (w + 2 m).
"""

from dataclasses import dataclass

INPUT = "input"
ANCHOR_ROWS = "anchor"
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
