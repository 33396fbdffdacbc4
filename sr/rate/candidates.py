"""The networks that the search may choose from, at each scale, from small to large.

Chains alone: one family that the engine plays. An easy exit lets routes skip most of a frame.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from chunking.lr import SHARP
from player.package.adapted import whole_blob
from player.package.architecture import Architecture, convolutions
from player.package.paths import HARD
from player.package.scale import Scale
from player.package.shipped import is_for_sharp, shipped_blob, shipped_names, ships_for
from player.package.weights import read_header
from sr.rate.budget import Budget, path_price
from sr.rate.rungs import Rung

# Bytes of a blob: the more weights, the more of them are zero (benchmarks/sizes.py).
BLOB_BYTES, BLOB_EXPONENT = 5.2, 0.75
# Of the stream's bytes, what a network that ships changes, before a trial has shown it: the larger
# the stream, the more weights are worth their bits (benchmarks/adapting.py).
ADAPTED_SHARE = 0.03
MOST_SKIPPED = 0.4  # of a frame's cells: what routes can take off the price of the hard path

# scale -> (units, width, depth) of each
_SHAPES: dict[Scale, tuple[tuple[int, int, int], ...]] = {
    1: (
        (2, 8, 3),
        (2, 16, 4),
        (2, 32, 5),
        (1, 16, 4),
        (1, 16, 6),
        (1, 16, 8),
        (1, 32, 5),
        (1, 32, 8),
    ),
    Fraction(3, 2): ((2, 8, 3), (2, 12, 4), (2, 16, 4), (2, 32, 5), (2, 32, 8), (2, 48, 8)),
    2: ((1, 8, 3), (1, 12, 4), (1, 16, 4), (1, 16, 6), (1, 32, 5), (1, 32, 8), (1, 48, 8)),
    3: ((1, 8, 3), (1, 12, 4), (1, 16, 4), (1, 32, 5), (1, 32, 8), (1, 48, 8)),
    4: ((1, 8, 3), (1, 12, 4), (1, 16, 4), (1, 32, 5), (1, 32, 8), (1, 48, 8)),
}
_EASY_DEPTH = 2


@dataclass(frozen=True)
class Given:
    """A network of this film that is there already, as another rung of its ladder has it."""

    name: str
    blob: bytes


@dataclass(frozen=True)
class Candidate:
    """A network at a scale; `price`: multiply-accumulates of a whole frame on the hard path;
    `shipped`: its name, where it lies with the player and costs no bytes; `adapted`: those of what
    it changes for the film, about `changes_share` of the stream's; `given`: it is there already,
    and costs its bytes."""

    arch: Architecture
    price: float
    shipped: str | None = None
    adapted: bool = False
    changes_share: float = ADAPTED_SHARE
    given: Given | None = None

    @property
    def scale(self) -> Scale:
        return self.arch.scale

    @property
    def weights(self) -> int:
        """How many, biases left out."""
        return sum(o * i * k * k_ for _, (o, i, k, k_) in convolutions(self.arch))

    @property
    def stream_share(self) -> float:
        """What it will cost beside `blob_bytes`, for each byte of the stream."""
        return self.changes_share if self.adapted else 0.0

    @property
    def blob_bytes(self) -> float:
        """What its weights will cost, about."""
        if self.given:
            return float(len(self.given.blob))
        return 0.0 if self.shipped else BLOB_BYTES * self.weights**BLOB_EXPONENT

    @property
    def ready_blob(self) -> bytes | None:
        """Of a network that needs no training."""
        if self.given:
            return whole_blob(self.given.blob)
        return shipped_blob(self.shipped) if self.shipped and not self.adapted else None


def candidates(scale: Scale, height: int, width: int, budget: Budget) -> Iterator[Candidate]:
    """Those of a scale that the budget allows for HR frames of `height` x `width` px.

    A network whose hard path is dearer than the budget is allowed where routes can make up for it.
    """
    for units, channels, depth in _SHAPES[scale]:
        arch = Architecture("chain", scale, (channels,) * depth, (_EASY_DEPTH, depth), units)
        if (price := _affordable(arch, height * width, budget)) is not None:
            yield Candidate(arch, price)


def shipped_candidates(
    rung: Rung, codec: str, height: int, width: int, budget: Budget
) -> Iterator[Candidate]:
    """The same of the networks that lie with every player, for streams of a rung by that codec."""
    known = [n for n in shipped_names(rung.scale) if ships_for(n, codec)]
    for name in (n for n in known if is_for_sharp(n) == (rung.lr == SHARP)):
        arch = read_header(shipped_blob(name)).arch
        if (price := _affordable(arch, height * width, budget)) is not None:
            yield Candidate(arch, price, name)


def given_candidates(
    scale: Scale, height: int, width: int, budget: Budget, given: Iterable[Given]
) -> Iterator[Candidate]:
    """The same of networks of this film that are there already."""
    for network in given:
        arch = read_header(whole_blob(network.blob)).arch
        if arch.scale == scale and (price := _affordable(arch, height * width, budget)) is not None:
            yield Candidate(arch, price, given=network)


def _affordable(arch: Architecture, hr_px: int, budget: Budget) -> float | None:
    """What a frame of so many HR pixels costs, None where that is too much."""
    price = float(hr_px / arch.scale**2) * path_price(arch, HARD)
    return price if price * (1 - MOST_SKIPPED) <= budget.macs else None
