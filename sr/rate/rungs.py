"""The sizes that the search tries a film's stream in, and how the film is brought to each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chunking.lr import BICUBIC, LR_KINDS
from player.package.scale import SCALES, Scale, scale_number


@dataclass(frozen=True)
class Rung:
    """A scale, and a kind of downscaling (chunking/lr.py); at scale 1 there is none."""

    scale: Scale
    lr: str = BICUBIC

    @property
    def name(self) -> str:
        """Short, as in the names of folders and steps."""
        kind = "" if self.lr == BICUBIC else f"-{self.lr}"
        return f"x{scale_number(self.scale)}{kind}"

    def to_json(self) -> dict[str, Any]:
        """As report.json has it."""
        return {"scale": scale_number(self.scale), "lr": self.lr}


HR = Rung(1)


def rungs(kind: str | None = None) -> Iterator[Rung]:
    """All that there are, or those of one kind, and HR in any case."""
    for scale in SCALES:
        kinds = LR_KINDS if kind is None else (kind,)
        yield from (Rung(scale, lr) for lr in kinds) if scale > 1 else [HR]
