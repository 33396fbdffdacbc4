"""Never worse than plain: a package beside plain encodes of its film, metric by metric.

The plain side is the hull of all plain encodes that there are: at HR, of smaller streams shown
by the anchor, and the package's own stream without its network, which is one as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sr.rate.curve import Point, hull

MOST_BEHIND = 0.005  # of the bytes, in any metric
LEAST_AHEAD = 0.001  # of the bytes, by the metric that was asked for: else it is a tie
SPARE_BYTES, SPARE_BYTES_A_SEGMENT = 400, 40  # what is never counted as behind


@dataclass(frozen=True)
class Verdict:
    """`saved`: for each metric, the share of a plain encode's bytes that the package spares; below
    0 it costs more. `plain`: what a plain encode of the package's bytes shows."""

    better: bool
    saved: Mapping[str, float]
    plain: Mapping[str, float]

    @property
    def worst(self) -> float:
        """What it saves by the metric by which it saves least."""
        return min(self.saved.values())

    def to_json(self) -> dict[str, Any]:
        """As report.json has it."""
        saved = {f"saved_{name}": round(share, 4) for name, share in self.saved.items()}
        return {"better": self.better, **saved}


def compare(package: Point, plain: Sequence[Point], metric: str, segments: int) -> Verdict:
    """Whether the package is ahead by `metric`, and nowhere behind by more than is allowed."""
    saved, shown = {}, {}
    for name, value in package.quality.items():
        curve = hull(plain, name)
        # Where no plain encode reaches the quality, all bytes are spared.
        saved[name] = 1 - package.bytes / curve.bytes_for(value)
        shown[name] = curve.at(package.bytes)
    spare = max(MOST_BEHIND, (SPARE_BYTES + SPARE_BYTES_A_SEGMENT * segments) / package.bytes)
    nowhere_behind = min(saved.values()) >= -spare
    return Verdict(saved[metric] > LEAST_AHEAD and nowhere_behind, saved, shown)
