"""What a network may gain before its trial: no time goes to one that cannot win.

nothing is known                          more than the best of the prototypes gained
its scale's networks, as they ship        a few times what the best of them gains
the same network, on the other stream     hardly more, if that is sharp; else some times that
smaller units, of the same rung           what it gained on those

The bounds are generous, for a network that is left out is never made: what searches of the rate
tables found of them is in benchmarks/results/hopes.json (`python -m benchmarks.hopes`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chunking.lr import BICUBIC, SHARP
from player.package.scale import Scale
from sr.rate.candidates import Candidate
from sr.rate.rungs import Rung
from sr.rate.trial import Trial

_HOPED: Mapping[str, float] = {"psnr_y": 1.5, "psnr_rgb": 1.5, "xpsnr_y": 1.5, "vmaf": 8.0}
_MORE = 2.0  # times that where the stream is smaller than the film
_OF_SHARP = 0.8  # of it: a sharp stream shows by itself some of what a network would add
_OF_ADAPTING = 0.1  # of it: what adapting may add to what a network gains as it ships
_LIKELY = 0.25  # of it: where trials are held
_AT_MOST = 1.5  # times that: no network gains more
_TIMES_SHIPPED, _AND = 2.5, 0.2  # times what one gains as it ships, and of _HOPED
# The same of its gain on the other kind of stream: on a bicubic one it has more to add.
_TIMES_OTHERWISE, _AND_OTHERWISE = {SHARP: 1.2, BICUBIC: 2.5}, 0.07

ADAPTED = "adapted"
Kind = int | str  # networks that one trial speaks for: on units alike, or those that are adapted


@dataclass(frozen=True)
class Hopes:
    """What is known, of gains by `metric`: `shipped`, the best as it ships, by scale; `held`: the
    last trial of each kind. `steps`: of a whole training."""

    metric: str
    steps: int
    shipped: Mapping[Scale, float] = field(default_factory=dict)
    held: Mapping[tuple[Rung, Kind], Trial] = field(default_factory=dict)

    def of_rung(self, rung: Rung) -> float:
        """Of the largest network there, of most films."""
        hoped = _HOPED[self.metric] * (1.0 if rung.scale == 1 else _MORE)
        return hoped * (_OF_SHARP if rung.lr == SHARP else 1.0)

    def likely(self, rung: Rung) -> float:
        """What most networks gain there, about."""
        return _LIKELY * self.of_rung(rung)

    def adapted(self, shipped: Trial) -> float:
        """Of a network that ships, when it is adapted."""
        return shipped.gain + _OF_ADAPTING * self.of_rung(shipped.rung)

    def most(self, rung: Rung, units: int, largest: Candidate) -> float:
        """Of `largest` there, by all that is known."""
        unit, bounds = _HOPED[self.metric], [_AT_MOST * self.of_rung(rung)]
        if rung.scale in self.shipped:
            bounds.append(_TIMES_SHIPPED * self.shipped[rung.scale] + _AND * unit)
        for (other, kind), trial in self.held.items():
            if other.scale != rung.scale or not isinstance(kind, int):
                continue
            gain = trial.expected(largest, self.steps)
            if other != rung and kind == units:
                bounds.append(_TIMES_OTHERWISE[rung.lr] * gain + _AND_OTHERWISE * unit)
            elif other == rung and kind < units:
                bounds.append(gain)
        return min(bounds)
