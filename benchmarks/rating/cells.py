"""What is measured: cells, one JSON each, in an order in which any beginning is worth something.

A cell is a shot, a codec, an arm and a crf. An arm is a way to spend bytes:

    plain       the codec at HR: the film's own planes, no conversion
    plain-1.5   a smaller stream, shown by bicubic: with `plain` what a ladder does
    plain-4     the same, for the lowest rates
    plain-2     the same; its `generic` quality is the shipped network's on this stream
    x1          a filter at scale 1, the default network on units of 2x2
    cpu, npu    `pocketsr encode` without a scale, by the budget of its name
    dydca ...   the papers' methods as they are, at scale 2
    zero        the package of `plain` with a network of zeros: must show what `plain` shows
    all         what the search chose for `cpu`, made by itself
    no-...      the same without one part, or with another in its place: what the part is worth
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product
from typing import Any

from benchmarks.rating.clips import Shot

CODECS = ("h264", "h265", "av1")

# Of the codec at HR: the crf to begin with, the step to the next one, and the last that there is.
LADDERS: Mapping[str, tuple[float, float, float]] = {
    "h264": (33, 5, 51),
    "h265": (33, 5, 51),
    "av1": (48, 5, 63),
}
# Where a ladder ends, dB of luma: one rate lies at or beyond each end.
MOST_FINER = 2  # more encodes of a smaller stream; scale 4 never gets there
WORST_DB, BEST_DB = 30, 42
ARM_RATES, FEW_RATES = 6, 4
SMALLER_CRF = 6  # off the crf of a stream of scale 2, for about the bytes of one at HR

# Options of the encoder by what the rows are about. SVT-AV1 is tuned for PSNR by default.
TUNES: Mapping[str, Mapping[str, str]] = {
    "psnr": {"h264": "tune=psnr", "h265": "tune=psnr", "av1": ""},
    "default": {"h264": "", "h265": "", "av1": ""},
}


@dataclass(frozen=True)
class Arm:
    """`options` of encode; `finer` is taken off each crf of the ladder: a smaller stream spends
    its bytes on fewer pixels. At most `rates` of the ladder, evenly spread. `searched`: no scale is
    given, and the crf is of the plain encode whose quality is asked for. `of`: the searched arm
    whose choice is made, with these options in the place of its own.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    finer: float = 0
    rates: int = ARM_RATES
    searched: bool = False
    of: str | None = None


# Fast, as is what they are compared with: a better preset is better, and takes the server's hours.
_CLASSES = {
    name: Arm({"budget_class": name, "preset": "fast"}, searched=True) for name in ("cpu", "npu")
}
_NO_REORDERING = {
    "h264": "bframes=0:mbtree=0",
    "h265": "bframes=0:cutree=0",
    "av1": "pred-struct=1",
}
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "all": {},
    "no-scale": {"scale": "another"},
    "no-sharp": {"lr": "bicubic"},
    "no-size": {"widths": (16,) * 4, "exits": (2, 4)},
    "no-rate-aware-weights": {"rate_weight": 0.0},
    "no-reordering": {"codec_opts": _NO_REORDERING},
    "no-routes": {"method": "awdnn", "patches": "error"},  # one path, the same crops
    "no-haste": {"preset": "balanced"},  # what `encode` takes by itself
}
PAPERS = {
    name: Arm({"method": name, "scale": "2", "preset": "fast"}, finer=SMALLER_CRF, rates=FEW_RATES)
    for name in ("dydca", "jstdo", "stdo", "awdnn", "repcam", "nas", "cafm", "delta")
}
ARMS: Mapping[str, Arm] = {
    "plain": Arm({"method": "plain", "scale": "1"}, rates=7),
    "plain-2": Arm({"method": "plain", "scale": "2"}, finer=SMALLER_CRF),
    "plain-1.5": Arm({"method": "plain", "scale": "1.5"}, finer=3),
    "plain-4": Arm({"method": "plain", "scale": "4"}, finer=9),  # as far down as HR goes
    "sharp-2": Arm({"method": "plain", "scale": "2", "lr": "sharp"}, finer=SMALLER_CRF),
    "sharp-1.5": Arm({"method": "plain", "scale": "1.5", "lr": "sharp"}, finer=3),
    "sharp-4": Arm({"method": "plain", "scale": "4", "lr": "sharp"}, finer=9),
    "zero": Arm({"method": "plain", "scale": "1"}, rates=2),
    "x1": Arm({"scale": "1", "units": 2, "preset": "fast"}, rates=FEW_RATES),
    **_CLASSES,
    **PAPERS,
    **{name: Arm(options, rates=2, of="cpu") for name, options in ABLATIONS.items()},
}
PLAIN_SIDE = ("plain", "plain-2", "plain-1.5", "plain-4")
SHARP_SIDE = ("sharp-2", "sharp-1.5", "sharp-4")  # what a ladder would be that took our downscaling
BESIDE_SHARP = {"cpu/sharp": "cpu", "npu/sharp": "npu"}  # arms beside both sides
BESIDE_HR = {"bicubic": "plain-2", "cpu/hr": "cpu", "npu/hr": "npu"}  # beside HR alone


@dataclass(frozen=True)
class Cell:
    """One package to make and to measure."""

    shot: Shot
    codec: str
    tune: str
    arm: str
    crf: float

    @property
    def name(self) -> str:
        """One name for each cell, good for a file; where two tunes are one, so are their cells."""
        tune = "psnr" if TUNES[self.tune][self.codec] else "default"
        return f"{self.shot.name}_{self.codec}-{tune}_{self.arm}_{self.crf:g}"

    def to_json(self) -> dict[str, Any]:
        """What tells it from others in results; where two tunes are one, it is of the first."""
        shot = {"clip": self.shot.clip, "shot": self.shot.name, "part": self.shot.part}
        options = TUNES[self.tune][self.codec]
        tune = next(name for name, of in TUNES.items() if of[self.codec] == options)
        own = {"codec": self.codec, "tune": tune, "arm": self.arm, "crf": self.crf}
        return shot | own | {"long": self.shot.is_long}


def plan(
    shots: Iterable[Shot],
    codecs: Sequence[str],
    tunes: Sequence[str],
    arms: Sequence[str],
    rates: int,
    db_of: Callable[[Cell], float | None],
) -> Iterator[Cell]:
    """The cells, most useful first: the plain side and the arms of one shot after another; what is
    not the first shot of its clip behind all that is.

    `rates` bounds those of an arm. `db_of` is asked for the luma's PSNR of a cell once the next one
    is wanted: a ladder goes on while there is quality to lose or to gain.
    """
    ordered = sorted(shots, key=lambda s: (s.is_long, s.place))
    others = [arm for arm in ARMS if arm in {*PLAIN_SIDE, *arms} and arm != "plain"]
    for codec, tune, shot in product(codecs, tunes, ordered):
        crfs = []
        for cell in islice(_ladder(shot, codec, tune, db_of), rates):
            crfs.append(cell.crf)
            yield cell
        for name in others:
            arm = ARMS[name]
            for crf in _spread(crfs, min(arm.rates, rates)):
                yield Cell(shot, codec, tune, name, crf - arm.finer)
            if name in (*PLAIN_SIDE, *SHARP_SIDE):
                top = Cell(shot, codec, tune, "plain", min(crfs))
                yield from _finer(Cell(shot, codec, tune, name, top.crf - arm.finer), top, db_of)


def _finer(finest: Cell, top: Cell, db_of: Callable[[Cell], float | None]) -> Iterator[Cell]:
    """A smaller stream goes on until it shows what HR's finest does: where its curve ended before,
    a package would be held against HR alone, at rates at which a smaller stream is still ahead."""
    _, step, _ = LADDERS[finest.codec]
    for _ in range(MOST_FINER):
        wanted, found = db_of(top), db_of(finest)
        if wanted is None or found is None or found >= wanted or finest.crf <= step:
            return
        finest = replace(finest, crf=finest.crf - step)
        yield finest


def _ladder(
    shot: Shot, codec: str, tune: str, db_of: Callable[[Cell], float | None]
) -> Iterator[Cell]:
    """The codec at HR, from the middle outwards, until both ends are reached."""
    first, step, last = LADDERS[codec]
    middle = Cell(shot, codec, tune, "plain", first)
    yield middle
    ends = {+1: middle, -1: middle}
    while ends:
        for sign, end in list(ends.items()):
            crf, db = end.crf + sign * step, db_of(end)
            reached = db is None or (db <= WORST_DB if sign > 0 else db >= BEST_DB)
            if reached or not 0 < crf <= last:
                del ends[sign]
            else:
                ends[sign] = replace(end, crf=crf)
                yield ends[sign]


def _spread(crfs: Sequence[float], count: int) -> list[float]:
    """So many of the ladder, evenly spread, in the ladder's own order."""
    rising = sorted(crfs)
    if len(rising) <= count:
        return list(crfs)
    chosen = {rising[round(i * (len(rising) - 1) / max(1, count - 1))] for i in range(count)}
    return [crf for crf in crfs if crf in chosen]
