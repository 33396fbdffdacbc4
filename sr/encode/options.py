"""What an encode is asked to do: frozen records, written into job.json as they are.

EncodeOptions ── stream     what is made of the film, and how it is coded
             ├── training   what is overfitted, to what, for how long
             ├── routes     who decides which path a cell takes, and what that may lose
             └── shrink     how much smaller the network becomes
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from chunking.encoders import ENCODERS, with_options
from chunking.images import Film, ImageSequence
from chunking.opening import VideoFile, video_of
from chunking.route_plan import usual_cell_px
from chunking.stream import SEGMENT_S
from player.package.architecture import INT8_ARCHITECTURES
from player.package.entries import tree_digest
from player.package.limits import MAX_CELL_PX, MAX_NETWORKS
from player.package.package_error import PackageError
from player.package.paths import QUARTER_PX
from player.package.router_blob import MAX_ROUTER_CELL_PX
from player.package.scale import Scale, parse_scale, scale_number
from player.package.shipped import shipped_names
from sr.models import architecture
from sr.shrink.registry import DEFAULT, FAIR, parse_stages
from sr.training.losses import LOSSES
from sr.usage_error import UsageError

# Options that jobs from before them do not have: nor do those that do not ask.
CHOICES = ("video", "audio", "lr", "lr_from", "through", "adapt", "luma_share")
PLAIN = "plain"  # the method without a network
CHANGING = ("cafm", "delta")  # methods of one network and changes of it
_OF_CHUNKS = ("stdo", "nas", *CHANGING)
_OF_ADAPTING = ("--patches", "--steps", "--loss")  # what is asked of a training of changes as well
MOVED_PATCHES = ("forgetting", "ticket")  # known, so that the refusal can say where they are


@dataclass(frozen=True)
class Preset:
    """A bound of the training work: steps in all, crops a step, frames to learn from."""

    steps: int
    batch: int
    training_frames: int


PRESETS = {
    "fast": Preset(steps=2500, batch=4, training_frames=120),
    "balanced": Preset(steps=9000, batch=4, training_frames=300),
    "best": Preset(steps=36000, batch=4, training_frames=600),
}


@dataclass(frozen=True)
class StreamOptions:
    """`lr_crf` None takes the codec's default; `frames` None encodes all. A segment, of about
    `segment_s` seconds, begins with a key frame. `codec_opts`: "key=value:key=value" for the
    encoder, as its library calls them. `lr`: the kind of downscaling (chunking/lr.py); None:
    bicubic, in a search whichever is better. `through`: the blob of a network that frames are then
    moved through (moved_lr.py). `video`: the number, from 1, of the film's video
    stream; `audio`: number or language of its sound, or "none"; None: the one to choose, and all
    sound. `lr_from`: a stream of the film that is there already, taken as it is: nothing is
    encoded, and `lr_codec` says nothing. `revision`: the how-manieth package of this film, made so,
    is given away."""

    scale: Scale = 4
    lr_codec: str = "av1"
    lr_crf: float | None = None
    frames: int | None = None
    segment_s: float = SEGMENT_S
    codec_opts: str = ""
    lr: str | None = None
    through: Path | None = None
    video: int | None = None
    audio: str | None = None
    lr_from: Path | None = None
    revision: int = 1

    def __post_init__(self) -> None:
        others = self.frames, self.lr_crf is not None, self.codec_opts, self.lr
        if self.lr_from and any(others):
            raise UsageError("--lr-from takes a stream as it is: leave out what would make another")
        try:
            with_options(ENCODERS[self.lr_codec], self.codec_opts)
        except ValueError as error:
            raise UsageError(f"--codec-opts: {error}") from error


@dataclass(frozen=True)
class TrainingOptions:
    """`chunks` is k of STDO, JSTDO and NAS, `chunk_rule` "quantile" (equal counts, the papers') or
    "error" (about the same squared error in each). `steps` overrides the preset's. `patches`: which
    crops are trained on (sampling.py); None: by error for dydca's network, else by the method.
    `dtype` "int8", "fp32" (weights in f16) or None: int8 where the backbone has that form. `units`:
    side of the network's units, LR px; None: single pixels, at scale 1.5 two. `widths` and `exits`
    of the trunk are given together, in place of the backbone's own; `warm_from` is a blob of that
    architecture to begin from. `loss`: the squares of "rgb", of "ycbcr" weighted 6:1:1, or those
    and "contrast"; None: of rgb (the search decides by what it measures).
    `shipped`: a network that lies with every player, by name, in place of one that is trained;
    `adapt`: what it changes for this film is trained and sent, and `warm_from` is such a blob.
    `rate_weight`: what a bit of weights and routes costs, in squared error of the film's samples in
    0..1; None: what one of the LR stream is worth (rate_weight.py); 0: nothing, so that weights are
    rounded as finely as may be.
    """

    preset: str = "balanced"
    method: str = "dydca"
    backbone: str = "chain"
    units: int | None = None
    widths: tuple[int, ...] | None = None
    exits: tuple[int, ...] | None = None
    warm_from: Path | None = None
    shipped: str | None = None
    adapt: bool = False
    chunks: int = 4
    chunk_rule: str = "quantile"
    hard_share: float = 0.5
    patches: str | None = None
    steps: int | None = None
    warm_start: bool = False
    dtype: str | None = None
    loss: str | None = None
    rate_weight: float | None = None
    seed: int = 0
    threads: int = 2

    @property
    def bounds(self) -> Preset:
        preset = PRESETS[self.preset]
        return Preset(self.steps or preset.steps, preset.batch, preset.training_frames)

    @property
    def shape(self) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Widths and exits, where they are not the backbone's own."""
        return (self.widths, self.exits) if self.widths and self.exits else None

    @property
    def loss_space(self) -> str:
        """What the squares are of, decided."""
        return self.loss or "rgb"

    @property
    def has_int8_form(self) -> bool:
        """Whether the backbone can be quantised."""
        return self.backbone in INT8_ARCHITECTURES

    @property
    def arithmetic(self) -> str:
        """The dtype of the package, decided: "int8" or "fp32"."""
        return self.dtype or ("int8" if self.has_int8_form else "fp32")


@dataclass(frozen=True)
class RouteOptions:
    """`routes`: what the package tells the player, a "map" of each frame, a "router" that the
    player asks itself, or "both". `max_loss_db`: how far the routed frames of dydca may fall below
    the best routes; the more, the less the phone computes. `max_macs`: products of a frame in the
    mean over the film, kept to whatever that loses. `luma_share`: how much of the squared error
    that a map is planned by is luma's alone (where all cells are measured). Routes are planned for
    cells of `route_cell_px` LR pixels (None: 12 units, of 24 HR px at least) and held for
    `route_hold_frames`, longer where a change is not worth its bits. `probe_share`: the part of the
    cells whose errors are measured for that; the rest's are predicted. `groups`: a file or folder
    that names content groups, for `protect` (those that always take the hard path) and for the
    stage `fair`, which takes chunks by difficulty without one.
    """

    routes: str = "map"
    max_loss_db: float = 0.05
    max_macs: float | None = None
    luma_share: float | None = None
    route_cell_px: int | None = None
    route_hold_frames: int = 4
    probe_share: float = 1.0
    groups: Path | None = None
    protect: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShrinkOptions:
    """Names of `stages` shrink the network while it is overfitted, to `budget` (None: half the
    multiplications) or to `budget_ms`, milliseconds on a target. A budget alone means uniform."""

    stages: tuple[str, ...] = ()
    budget: str | None = None
    budget_ms: str | None = None


@dataclass(frozen=True)
class EncodeOptions:
    """Everything that `pocketsr encode` is asked. Raises UsageError where options contradict."""

    source: Film
    out: Path
    stream: StreamOptions = field(default_factory=StreamOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    routes: RouteOptions = field(default_factory=RouteOptions)
    shrink: ShrinkOptions = field(default_factory=ShrinkOptions)

    @classmethod
    def of(cls, source: Film, out: Path, **given: Any) -> "EncodeOptions":
        """From options by name, as on the command line; lists there have commas between.

        Raises UsageError, StageOrderError, TypeError for an option that does not exist.
        """
        if "scale" in given:
            given["scale"] = parse_scale(given["scale"])
        stages, protect = given.get("stages") or "", given.get("protect") or ""
        names = [name.strip() for name in protect.split(",")]
        if given.get("budget") or given.get("budget_ms"):
            stages = stages or DEFAULT
        given["stages"] = parse_stages(stages) if stages else ()
        # Each name once, and in the order given, which is the order of the router's classes.
        given["protect"] = tuple(dict.fromkeys(name for name in names if name))
        records = {}
        for name, record in RECORDS.items():
            own = {f.name for f in fields(record)} & given.keys()
            records[name] = record(**{key: given.pop(key) for key in own})
        if given:
            raise TypeError(f"no option of encode: {', '.join(given)}")
        return cls(source, out, **records)

    def __post_init__(self) -> None:
        if self.stream.lr and self.stream.scale == 1:
            raise UsageError(f"--lr {self.stream.lr}: at --scale 1 nothing is made smaller")
        self._check_untrained()
        self._check_shrinking()
        self._check_training()
        self._check_units()
        asked = {
            "--protect": bool(self.routes.protect),
            f"--routes {self.routes.routes}": self.routes.routes != "map",
            "--probe-share": self.routes.probe_share != 1.0,
        }
        for option in (name for name, given in asked.items() if given):
            if self.training.method != "dydca":
                paths = "no network" if self.training.method == PLAIN else "one path"
                raise UsageError(
                    f"{option}: {self.training.method} has {paths}; use --method dydca"
                )
        if self.routes.protect and self.routes.groups is None:
            raise UsageError("--protect: say where these classes are, with --groups")

    def _check_untrained(self) -> None:
        """Nothing is trained for `plain`, nor where a network is there already."""
        training, shipped = self.training, self.training.shipped
        shapes = {
            "--stages and budgets": bool(self.shrink.stages),
            "--patches": training.patches is not None,
            "--steps": training.steps is not None,
            "--units": training.units is not None,
            "--dtype": training.dtype is not None,
            "--backbone": training.backbone != "chain",
            "--warm-start": training.warm_start,
            "--loss": training.loss is not None,
        }
        given = [name for name, is_given in shapes.items() if is_given]
        if training.method == PLAIN:
            given += ["--rate-weight"] if training.rate_weight is not None else []
            given += ["--shipped"] if shipped is not None else []
            for option in given:
                raise UsageError(f"{option}: plain has no network; use another --method")
        if shipped is None:
            if training.adapt:
                raise UsageError("--adapt: say which network, with --shipped")
            return
        if training.method != "dydca":
            raise UsageError(f"--shipped: {training.method} trains networks; use --method dydca")
        for option in given:
            if not (training.adapt and option in _OF_ADAPTING):
                what = "with --adapt nothing else" if training.adapt else "nothing"
                raise UsageError(f"{option}: {what} is trained with --shipped; give one")
        names = shipped_names(self.stream.scale)
        if shipped not in names:
            there = ", ".join(names) or "none"
            scale = scale_number(self.stream.scale)
            raise UsageError(f"--shipped {shipped}: for scale {scale} there is {there}")

    def _check_shrinking(self) -> None:
        stages, shrink = self.shrink.stages, self.shrink
        if shrink.budget and shrink.budget_ms:
            raise UsageError("--budget and --budget-ms contradict each other: give one")
        if self.routes.groups and FAIR not in stages and not self.routes.protect:
            raise UsageError("--groups is for --stages fair and for --protect: name one of them")
        if stages and not self.training.has_int8_form:
            raise UsageError(
                f"--stages: {self.training.backbone} has one width for all its blocks; use "
                f"--backbone {' or '.join(INT8_ARCHITECTURES)}"
            )

    def _check_training(self) -> None:
        training = self.training
        if training.loss_space not in LOSSES:
            raise UsageError(f"--loss {training.loss}: one of {', '.join(LOSSES)}")
        if training.rate_weight is not None and not 0 <= training.rate_weight < math.inf:
            raise UsageError(f"--rate-weight {training.rate_weight}: a number from 0 on")
        if training.patches in MOVED_PATCHES:
            raise UsageError(
                f"--patches {training.patches}: now in benchmarks/reproduction/selection of "
                "PocketSR's sources (python -m benchmarks.shrink --table patches); use error"
            )
        if training.patches not in (None, "method") and training.method in _OF_CHUNKS:
            raise UsageError(
                f"--patches: {training.method}'s networks are for a chunk each; use --method dydca"
            )
        if training.patches == "error" and FAIR in self.shrink.stages:
            raise UsageError("--patches error: the stage fair needs whole patches; use method")
        most = MAX_NETWORKS - (training.method in CHANGING)  # and the one that they change
        if training.chunks > most:
            raise UsageError(
                f"--chunks {training.chunks}: a package holds {MAX_NETWORKS} networks at most, "
                f"{most} of chunks by {training.method}"
            )
        if training.method in CHANGING and (training.arithmetic != "int8" or self.shrink.stages):
            what = "--stages" if self.shrink.stages else "--dtype fp32"
            raise UsageError(f"{what}: {training.method} changes integers, and of one shape alone")
        if training.method == "repcam" and (training.backbone != "chain" or self.shrink.stages):
            raise UsageError(
                "repcam is a chain with branches; give no other --backbone or --stages"
            )
        if training.dtype == "int8" and not training.has_int8_form:
            raise UsageError(
                f"--dtype int8: {training.backbone} has no int8 form, only "
                f"{' and '.join(INT8_ARCHITECTURES)} have; use --dtype fp32 or another --backbone"
            )

    def _check_units(self) -> None:
        backbone, units = self.training.backbone, self.units
        try:
            architecture(backbone, self.stream.scale, False, units, self.training.shape)
        except PackageError as error:
            raise UsageError(f"--scale, --units: {error}") from error
        cell_px, step = self.route_cell_px, QUARTER_PX * units
        if cell_px % step or not step <= cell_px <= MAX_CELL_PX:
            raise UsageError(
                f"route_cell_px {cell_px}: on units of {units} px cells are multiples of "
                f"{step} px, {MAX_CELL_PX} at most"
            )

    @property
    def units(self) -> int:
        """The side of the network's units in LR px, decided."""
        return self.training.units or self.stream.scale.denominator

    @property
    def route_cell_px(self) -> int:
        """The side of a cell of the route map in LR px, decided."""
        if self.routes.route_cell_px is not None:
            return self.routes.route_cell_px
        most = MAX_CELL_PX if self.routes.routes == "map" else MAX_ROUTER_CELL_PX
        step = QUARTER_PX * self.units
        return min(usual_cell_px(self.stream.scale, self.units), most // step * step)

    @property
    def film(self) -> VideoFile | ImageSequence:
        return video_of(self.source, self.stream.video)

    @property
    def patch_choice(self) -> str:
        """The crops that are trained on, decided; `fair` counts whole patches by their group."""
        by_error = self.training.method == "dydca" and FAIR not in self.shrink.stages
        return self.training.patches or ("error" if by_error else "method")

    def to_json(self) -> dict[str, Any]:
        """Everything that decides the result, flat; where it goes does not. Raises OSError."""
        # Flat, so that a job that an earlier version began is still the same job.
        flat: dict[str, Any] = {"source": self.source.name}
        for name in RECORDS:
            flat |= asdict(getattr(self, name))
        groups, warm_from = self.routes.groups, self.training.warm_from
        # Files decide by what they hold. Without any, as jobs from before have it: not at all.
        held = {"groups": groups, "warm_from": warm_from, "lr_from": self.stream.lr_from,
                "through": self.stream.through}  # fmt: skip
        flat |= {f"{name}_sha256": tree_digest(path) for name, path in held.items() if path}
        for name in CHOICES:
            if flat[name] in (None, False):
                del flat[name]
        files = {"lr_from": self.stream.lr_from, "through": self.stream.through}
        own = {name: file.name for name, file in files.items() if file}
        return (
            flat
            | own
            | {
                "scale": scale_number(self.stream.scale),
                # Single pixels as jobs from before units have them: not at all.
                "units": self.units if self.units > 1 else None,
                "route_cell_px": self.route_cell_px,
                "dtype": self.training.arithmetic,
                "loss": self.training.loss_space,
                "patches": self.patch_choice,
                # As jobs from before revisions have the first: not at all.
                "revision": self.stream.revision if self.stream.revision > 1 else None,
                "stages": ",".join(self.shrink.stages),
                "protect": ",".join(self.routes.protect),
                "groups": groups.name if groups else None,
                "widths": list(self.training.widths) if self.training.widths else None,
                "exits": list(self.training.exits) if self.training.exits else None,
                "warm_from": warm_from.name if warm_from else None,
            }
        )


RECORDS: Mapping[str, type[Any]] = {
    "stream": StreamOptions,
    "training": TrainingOptions,
    "routes": RouteOptions,
    "shrink": ShrinkOptions,
}
