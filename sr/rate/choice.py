"""What a search decides: how to use the bytes, and all that it looked at on the way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sr.rate.candidates import Candidate
from sr.rate.curve import Point
from sr.rate.rungs import Rung
from sr.rate.trial import Trial

LEAST_WORTH = 1.01  # of a network over the best encode without one; below it none is made
TOLD_APART = 0.04  # of the worth: trials promised 0.8 to 1.3 times of some 0.4 dB


@dataclass(frozen=True)
class Choice:
    """How to use the bytes: a rung, its crf, and a network or none (a plain encode).

    `bytes`, `quality`: what is expected of the whole film. `worth`: the bytes that a plain encode
    at HR needs for that quality, for each byte of this. `loss_per_bit`: what a bit is worth to the
    codec there, as mean squared error in unit range. `..._per_crf`: what one crf more changes.
    `most_macs`: what the budget allows a frame.
    """

    rung: Rung
    crf: float
    candidate: Candidate | None
    bytes: float
    quality: float
    worth: float
    loss_per_bit: float
    quality_per_crf: float
    ln_bytes_per_crf: float
    most_macs: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As report.json has it."""
        arch = self.candidate.arch if self.candidate else None
        given = self.candidate.given if self.candidate else None
        return {
            **self.rung.to_json(),
            "crf": round(self.crf, 2),
            "units": arch.units if arch else None,
            "shipped": self.candidate.shipped if self.candidate else None,
            "adapted": bool(self.candidate and self.candidate.adapted),
            "given": given.name if given else None,
            "widths": list(arch.widths) if arch else None,
            "exits": list(arch.exits) if arch else None,
            "weights": self.candidate.weights if self.candidate else 0,
            "most_macs": self.most_macs,
            "gmacs_a_frame": round(self.candidate.price / 1e9, 2) if self.candidate else 0.0,
            "expected_bytes": round(self.bytes),
            "expected_quality": round(self.quality, 3),
            "worth": round(self.worth, 4),
            "loss_per_bit": self.loss_per_bit,
            "quality_per_crf": self.quality_per_crf,
            "ln_bytes_per_crf": self.ln_bytes_per_crf,
        }


@dataclass(frozen=True)
class Found:
    """What a search found: the best choice, the best without a network, and all it looked at: the
    encodes of the sample, what short trainings gained, and what all of it promised."""

    best: Choice
    plain: Choice
    considered: tuple[Choice, ...]
    points: tuple[Point, ...]
    trials: tuple[Trial, ...]

    def to_json(self) -> dict[str, Any]:
        """As report.json has it."""
        return {
            "best": self.best.to_json(),
            "plain": self.plain.to_json(),
            "considered": [choice.to_json() for choice in self.considered],
            "points": [point.to_json() for point in self.points],
            "trials": [trial.to_json() for trial in self.trials],
        }


def best_of(choices: Sequence[Choice]) -> Choice:
    """Of those with a network the one of the most worth; a shipped one, as it is, only where it is
    clearly ahead. What a film's own network gains is carried over from a trial that promises less
    than it keeps, and less of RGB; or measured, of one that is there already.
    """
    first = max(choices, key=lambda c: c.worth)
    if first.candidate and first.candidate.adapted:
        return first  # carried over from a trial as well
    own = [c for c in choices if c.candidate and not c.candidate.shipped]
    near = [c for c in own if c.worth >= (1 - TOLD_APART) * first.worth]
    return max(near, key=lambda c: c.worth) if near else first
