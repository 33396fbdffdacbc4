"""What is measured: cells, one JSON each, in an order in which any beginning is worth something.

A cell is a shot, a codec, an arm and a crf. An arm is a way to spend bytes:

    plain       the codec at HR: the film's own planes, no conversion
    plain-1.5   a smaller stream, shown by bicubic: with `plain` the hull of what a ladder does
    plain-2     the same; its `generic` quality is the shipped network's on this stream
    x1          a filter at scale 1, the default network on units of 2x2
    dydca ...   the papers' methods as they are, at scale 2
    zero        the package of `plain` with a network of zeros: must show what `plain` shows
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.rating.clips import Shot

CODECS = ("h264", "h265", "av1")

# From about 42 down to 30 dB of luma on most clips; at each index about the same quality.
CRFS: Mapping[str, tuple[float, ...]] = {
    "h264": (18, 23, 28, 33, 38),
    "h265": (20, 25, 30, 35, 40),
    "av1": (20, 30, 40, 49, 57),
}
# The middle first, then the ends: three rates are a curve, though a short one.
RATE_ORDER = (2, 1, 3, 0, 4)

# Options of the encoder by what the rows are about. SVT-AV1 is tuned for PSNR by default.
TUNES: Mapping[str, Mapping[str, str]] = {
    "psnr": {"h264": "tune=psnr", "h265": "tune=psnr", "av1": ""},
    "default": {"h264": "", "h265": "", "av1": ""},
}


@dataclass(frozen=True)
class Arm:
    """`options` of encode; `rates` are indices into CRFS, in their order. `finer` is taken off
    each crf: a smaller stream spends its bytes on fewer pixels.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    rates: Sequence[int] = RATE_ORDER
    finer: float = 0


_PAPERS = {
    name: Arm({"method": name, "scale": "2", "preset": "fast"}, (2, 1, 3, 0), finer=6)
    for name in ("dydca", "jstdo", "stdo")
}
ARMS: Mapping[str, Arm] = {
    "plain": Arm({"method": "plain", "scale": "1"}),
    "plain-2": Arm({"method": "plain", "scale": "2"}, (2, 1, 3, 4), finer=6),
    "plain-1.5": Arm({"method": "plain", "scale": "1.5"}, (2, 1, 3), finer=3),
    "zero": Arm({"method": "plain", "scale": "1"}, (2, 1)),
    "x1": Arm({"scale": "1", "units": 2, "preset": "fast"}, (2, 1, 3, 0)),
    **_PAPERS,
}
PLAIN_SIDE = ("plain", "plain-2", "plain-1.5")


@dataclass(frozen=True)
class Cell:
    """One package to make and to measure."""

    shot: Shot
    codec: str
    tune: str
    arm: str
    rate: int

    @property
    def crf(self) -> float:
        """Of the stream."""
        return CRFS[self.codec][self.rate] - ARMS[self.arm].finer

    @property
    def name(self) -> str:
        """One name for each cell, good for a file; where two tunes are one, so are their cells."""
        tune = "psnr" if TUNES[self.tune][self.codec] else "default"
        return f"{self.shot.name}_{self.codec}-{tune}_{self.arm}_{self.crf:g}"

    def to_json(self) -> dict[str, Any]:
        """What tells it from others in results."""
        shot = {"clip": self.shot.clip, "shot": self.shot.name, "part": self.shot.part}
        own = {"codec": self.codec, "tune": self.tune, "arm": self.arm, "crf": self.crf}
        return shot | own | {"long": self.shot.is_long}


def plan(
    shots: Iterable[Shot],
    codecs: Sequence[str],
    tunes: Sequence[str],
    arms: Sequence[str],
    rates: int,
) -> Iterator[Cell]:
    """The cells, most useful first: the plain side and the arms of one shot after another; what is
    not the first shot of its clip behind all that is.

    `rates` bounds an arm's rates.
    """  # fmt: skip
    chosen = [*PLAIN_SIDE, *(arm for arm in arms if arm not in PLAIN_SIDE)]
    ordered = sorted(shots, key=lambda s: (s.is_long, s.place))
    for codec in codecs:
        for tune in tunes:
            for shot in ordered:
                for arm in chosen:
                    for rate in ARMS[arm].rates[:rates]:
                        yield Cell(shot, codec, tune, arm, rate)
