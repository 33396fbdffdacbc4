"""What `pocketsr encode` is asked without a scale: a goal, a budget, how to encode and train."""

import math
from dataclasses import asdict, dataclass, field, fields, replace
from fractions import Fraction
from inspect import signature
from pathlib import Path
from typing import Any

from chunking.images import Film, ImageSequence
from chunking.lr import BICUBIC
from chunking.opening import VideoFile, video_of
from player.package.entries import tree_digest
from player.package.layout import SR, weights_name
from player.package.scale import parse_scale
from player.quality import measurable
from player.vmaf import need_vmaf
from sr.encode.options import EncodeOptions
from sr.encode.records import (
    CHOICES,
    CONTRAST,
    PLAIN,
    RouteOptions,
    StreamOptions,
    TrainingOptions,
)
from sr.rate.budget import DEFAULT_CLASS, Budget, budget_of
from sr.rate.goal import Goal, goal_of, luma_share
from sr.usage_error import UsageError

NO_LOSS_DB = 0.002  # of the best routes; for less no phone should compute


@dataclass(frozen=True)
class SearchOptions:
    """What `pocketsr encode` is asked without a scale. `stream.scale` and `stream.lr_crf` say
    nothing here; of `training` what shapes the network says nothing. `given`: packages of this film
    whose network may do for this one too.
    """

    source: Film
    out: Path
    goal: Goal
    stream: StreamOptions = field(default_factory=StreamOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    budget_class: str = DEFAULT_CLASS
    budget_ms: float | None = None
    device_table: str | None = None
    given: tuple[Path, ...] = ()

    @classmethod
    def of(cls, source: Film, out: Path, **given: Any) -> "SearchOptions":
        """From options by name, as on the command line. Raises UsageError."""
        asked = {name: given.get(name) for name in signature(goal_of).parameters if name != "codec"}
        goal = goal_of(given.get("lr_codec", StreamOptions.lr_codec), **asked)
        if goal.metric == "vmaf":
            need_vmaf()
        own = {f.name for f in fields(cls)} & given.keys()
        kept = {name: given[name] for name in own}
        if "budget_ms" in kept:
            kept["budget_ms"] = _milliseconds(kept["budget_ms"])
        records: dict[str, Any] = {}
        for name, record in (("stream", StreamOptions), ("training", TrainingOptions)):
            names = {f.name for f in fields(record)} & given.keys() - {"scale", "lr_crf"}
            records[name] = record(**{key: given[key] for key in names})
        made = cls(source, out, goal, **records, **kept)
        if made.training.loss is not None:
            return made
        # What nobody said is what is measured: of luma all but psnr_rgb, with contrast for VMAF.
        loss = CONTRAST if "vmaf" in made.proved else "ycbcr"
        loss = "rgb" if goal.metric == "psnr_rgb" else loss
        return replace(made, training=replace(made.training, loss=loss))

    @property
    def film(self) -> VideoFile | ImageSequence:
        return video_of(self.source, self.stream.video)

    def budget(self, frame_rate: Fraction) -> Budget:
        """The budget, for a film's frame rate. Raises UsageError."""
        return budget_of(self.budget_class, frame_rate, self.budget_ms, self.device_table)

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is measured: the goal's metric, and PSNR in any case."""
        return tuple(dict.fromkeys((self.goal.metric, "psnr_y", "psnr_rgb")))

    @property
    def proved(self) -> tuple[str, ...]:
        """What the package is held against plain encodes by: VMAF as well where its tool is here,
        unless the encoder is tuned for PSNR."""
        others = [] if "tune=psnr" in self.stream.codec_opts else measurable(["vmaf"])
        return tuple(dict.fromkeys((*self.metrics, *others)))

    def to_json(self) -> dict[str, Any]:
        """Everything that decides the result, flat. Raises OSError."""
        own = {name: getattr(self, name) for name in ("budget_class", "budget_ms", "device_table")}
        flat = asdict(self.stream) | asdict(self.training) | own | self.goal.to_json()
        decided = ["scale", "lr_crf", "warm_from", "rate_weight", "shipped", "adapt", "given"]
        decided += [name for name in CHOICES if flat.get(name) is None]
        flat["revision"] = flat["revision"] if flat["revision"] > 1 else None
        if self.device_table and Path(self.device_table).exists():
            flat["device_table_sha256"] = tree_digest(Path(self.device_table))
        if self.given:
            flat["given_sha256"] = [tree_digest(network_file(folder)) for folder in self.given]
        return {"source": self.source.name} | {k: v for k, v in flat.items() if k not in decided}

    def of_choice(
        self, out: Path, choice: dict[str, Any], crf: float, through: Path | None = None
    ) -> EncodeOptions:
        """The encode that makes a choice of the search at this crf, `through` a network or not."""
        sharp = choice.get("lr", BICUBIC) != BICUBIC  # searches of before had one kind alone
        stream = replace(
            self.stream,
            scale=parse_scale(choice["scale"]),
            lr=choice["lr"] if sharp else None,  # as of jobs that do not ask for it
            lr_crf=crf,
            through=through,
        )
        if choice["widths"] is None:
            training = replace(self.training, method=PLAIN, steps=None, dtype=None, loss=None)
        elif choice.get("adapted"):
            own = {"shipped": choice["shipped"], "rate_weight": choice["loss_per_bit"]}
            training = replace(self.training, adapt=True, **own)
        elif name := choice.get("given"):
            blob = next(network_file(folder) for folder in self.given if folder.name == name)
            ready = {"given": blob, "units": choice["units"]}
            training = replace(self.training, **ready, steps=None, dtype=None, loss=None)
        elif choice["shipped"] is not None:
            training = replace(
                self.training, shipped=choice["shipped"], steps=None, dtype=None, loss=None
            )
        else:
            shape: dict[str, Any] = {name: tuple(choice[name]) for name in ("widths", "exits")}
            rate_weight = choice["loss_per_bit"]
            training = replace(
                self.training, units=choice["units"], rate_weight=rate_weight, **shape
            )
        # All that gains is computed, as far as the phone keeps up.
        routes = RouteOptions(
            max_loss_db=NO_LOSS_DB,
            max_macs=choice["most_macs"],
            luma_share=luma_share(self.goal.metric) or None,
        )
        return EncodeOptions(self.source, out, stream, training, routes)


def network_file(package: Path) -> Path:
    """The blob of a package's network 0."""
    return package / SR / weights_name(0)


def _milliseconds(text: str) -> float:
    try:
        ms = float(text)
    except ValueError:
        ms = 0.0
    if not 0 < ms < math.inf:
        raise UsageError(
            f"--budget-ms {text}: without --scale, milliseconds a frame such as 12; where they "
            "pass, --budget-class and --device-table say"
        )
    return ms
