"""What an encode is asked to do, and which of it contradicts what: its parts are records.py's."""

import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from chunking.images import Film, ImageSequence
from chunking.opening import VideoFile, video_of
from chunking.route_plan import usual_cell_px
from player.package.architecture import INT8_ARCHITECTURES
from player.package.entries import tree_digest
from player.package.generic import GENERIC_SCALES
from player.package.limits import MAX_CELL_PX, MAX_NETWORKS
from player.package.package_error import PackageError
from player.package.paths import QUARTER_PX
from player.package.router_blob import MAX_ROUTER_CELL_PX
from player.package.scale import parse_scale, scale_number
from player.package.shipped import shipped_names
from sr.encode.records import (
    CHANGING,
    CHOICES,
    LEARNED,
    LOSSES,
    PLAIN,
    RECORDS,
    RouteOptions,
    ShrinkOptions,
    StreamOptions,
    TrainingOptions,
)
from sr.models import architecture
from sr.rate.goal import LAST_CRF
from sr.shrink.registry import DEFAULT, FAIR, parse_stages
from sr.usage_error import UsageError

_OF_ONE_NETWORK = ("dydca", "jstdo", "awdnn")
_OF_CHUNKS = ("stdo", "nas", *CHANGING)
_OF_ADAPTING = ("--patches", "--steps", "--loss")  # what is asked of a training of changes as well
MOVED_PATCHES = ("forgetting", "ticket")  # known, so that the refusal can say where they are


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
        codec, crf = self.stream.lr_codec, self.stream.lr_crf or 0.0
        if crf > (last := LAST_CRF.get(codec, crf)):
            raise UsageError(f"--lr-crf {crf:g}: {codec} has none above {last:g}")
        if codec not in LAST_CRF and self.stream.lr_crf is not None:
            raise UsageError(f"--lr-crf {crf:g}: a {codec} stream has no rate; leave it out")
        if self.stream.lr and self.stream.scale == 1:
            raise UsageError(f"--lr {self.stream.lr}: at --scale 1 nothing is made smaller")
        self._check_learned()
        self._check_untrained()
        self._check_shrinking()
        self._check_training()
        self._check_units()
        self._check_warm_start()
        asked = {
            "--protect": bool(self.routes.protect),
            f"--routes {self.routes.routes}": self.routes.routes != "map",
            "--probe-share": self.routes.probe_share != 1.0,
            "--hard-share": self.training.hard_share != TrainingOptions.hard_share,
        }
        for option in (name for name, given in asked.items() if given):
            if self.training.method != "dydca":
                paths = "no network" if self.training.method == PLAIN else "one path"
                raise UsageError(
                    f"{option}: {self.training.method} has {paths}; use --method dydca"
                )
        if self.routes.protect and self.routes.groups is None:
            raise UsageError("--protect: say where these classes are, with --groups")

    def _check_learned(self) -> None:
        """A film's own network moves its frames and goes on from there: there is one, of integers,
        and of the shape that it begins with."""
        if self.stream.lr != LEARNED:
            return
        method, stages = self.training.method, self.shrink.stages
        if method not in _OF_ONE_NETWORK:
            others = ", ".join(_OF_ONE_NETWORK)
            raise UsageError(f"--lr learned: not with --method {method}; use one of {others}")
        if stages or self.training.arithmetic != "int8":
            what = "--stages and budgets" if stages else "networks of fp32"
            raise UsageError(f"--lr learned: not with {what}; leave out one")

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
        if training.is_ready and self.routes.routes != "map":
            raise UsageError(
                f"--routes {self.routes.routes}: a router is trained beside a film's own network; "
                "not with --shipped alone"
            )

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

    def _check_warm_start(self) -> None:
        """A generic network is of one shape, at some scales."""
        training = self.training
        is_generic = training.backbone == "chain" and self.units == 1 and training.shape is None
        if training.warm_start and not (is_generic and self.stream.scale in GENERIC_SCALES):
            raise UsageError(
                "--warm-start: the generic network is a chain of single pixels, for --scale 2, 3 "
                "and 4; leave it out"
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
                "through": self.stream.through, "given": self.training.given}  # fmt: skip
        flat |= {f"{name}_sha256": tree_digest(path) for name, path in held.items() if path}
        for name in CHOICES:
            if flat[name] in (None, False):
                del flat[name]
        files = {name: held[name] for name in ("lr_from", "through", "given")}
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
