"""What an encode is asked to do: one frozen record, written into job.json as it is."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from player.package.architecture import INT8_ARCHITECTURES
from sr.shrink.order import FAIR, parse_stages
from sr.usage_error import UsageError


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
class EncodeConfig:
    """Options of `pocketsr encode`, resolved.

    `chunks` is k of STDO and JSTDO, `chunk_rule` "quantile" (equal counts, the papers') or
    "error" (about the same squared error in each). `max_loss_db`: how far the routed frames of
    dydca may fall below the hard path everywhere; the more, the less the phone computes. Its routes
    are planned for cells of `route_cell_px` LR pixels and held for `route_hold_frames`. `steps`
    overrides the preset's. `frames` None encodes all. `dtype` "int8", "fp32" (weights in f16) or
    None: int8 where the backbone has that form.

    `stages`, names with commas between, shrink the network while it is overfitted, to `budget`
    (None: half the multiplications) or to `budget_ms`, milliseconds on a target. `groups`: a file
    or folder that names content groups for the stage `fair`; None takes chunks by difficulty.

    `patches`: which crops are trained on (sr/encode/sampling.py); None: `error` for dydca's
    network, else `method`. `protect`: names of content groups, with commas between, that always
    take the hard path. `routes`: what the package tells the player, a "map" of each frame, a
    "router" that the player asks itself, or "both". `probe_share`: the part of the cells whose
    errors are measured to plan the map; the rest's are predicted
    (sr/encode/sampled_routes.py).
    """

    source: Path
    out: Path
    scale: int = 4
    preset: str = "balanced"
    method: str = "dydca"
    backbone: str = "chain"
    chunks: int = 4
    chunk_rule: str = "quantile"
    lr_codec: str = "av1"
    lr_crf: int | None = None
    frames: int | None = None
    hard_share: float = 0.5
    max_loss_db: float = 0.05
    route_cell_px: int = 12
    route_hold_frames: int = 4
    seed: int = 0
    threads: int = 2
    steps: int | None = None
    warm_start: bool = False
    dtype: str | None = None
    stages: str = ""
    budget: str | None = None
    budget_ms: str | None = None
    groups: Path | None = None
    patches: str | None = None
    protect: str = ""
    routes: str = "map"
    probe_share: float = 1.0

    def __post_init__(self) -> None:
        """Raises UsageError where the options contradict each other, StageOrderError."""
        self._check_stages()
        self._check_patches()
        self._check_routes()
        if self.dtype == "int8" and not self.has_int8_form:
            raise UsageError(
                f"--dtype int8: {self.backbone} has no int8 form, only "
                f"{' and '.join(INT8_ARCHITECTURES)} have; use --dtype fp32 or another --backbone"
            )

    def _check_stages(self) -> None:
        names = parse_stages(self.stages) if self.stages else ()
        if not names and (self.budget or self.budget_ms):
            raise UsageError("--budget says how far to shrink: name --stages as well")
        if self.budget and self.budget_ms:
            raise UsageError("--budget and --budget-ms contradict each other: give one")
        if self.groups and FAIR not in names and not self.protect:
            raise UsageError("--groups is for --stages fair and for --protect: name one of them")
        if self.patches == "forgetting" and names:
            raise UsageError(
                "--patches forgetting holds patches out of a plain overfitting: leave --stages out"
            )
        if names and not self.has_int8_form:
            raise UsageError(
                f"--stages: {self.backbone} has one width for all its blocks; use --backbone "
                f"{' or '.join(INT8_ARCHITECTURES)}"
            )

    def _check_patches(self) -> None:
        if self.patches not in (None, "method") and self.method == "stdo":
            raise UsageError("--patches: stdo's networks are for a chunk each; use --method dydca")
        if self.patches == "error" and FAIR in self.stages.split(","):
            raise UsageError("--patches error: the stage fair needs whole patches; use method")

    def _check_routes(self) -> None:
        asked = {
            "--protect": bool(self.protect),
            f"--routes {self.routes}": self.routes != "map",
            "--probe-share": self.probe_share != 1.0,
        }
        for option in (name for name, given in asked.items() if given):
            if self.method != "dydca":
                raise UsageError(f"{option}: {self.method} has one path; use --method dydca")
        if self.protect and self.groups is None:
            raise UsageError("--protect: say where these classes are, with --groups")

    @property
    def protected_classes(self) -> tuple[str, ...]:
        """The names of `protect`, in order, without repeats."""
        names = (name.strip() for name in self.protect.split(","))
        return tuple(dict.fromkeys(name for name in names if name))

    @property
    def patch_choice(self) -> str:
        """The crops that are trained on, decided; `fair` counts whole patches by their group."""
        by_error = self.method == "dydca" and FAIR not in self.stages.split(",")
        return self.patches or ("error" if by_error else "method")

    @property
    def has_int8_form(self) -> bool:
        """Whether the backbone can be quantised."""
        return self.backbone in INT8_ARCHITECTURES

    @property
    def arithmetic(self) -> str:
        """The dtype of the package, decided: "int8" or "fp32"."""
        return self.dtype or ("int8" if self.has_int8_form else "fp32")

    @property
    def bounds(self) -> Preset:
        preset = PRESETS[self.preset]
        return Preset(self.steps or preset.steps, preset.batch, preset.training_frames)

    def to_json(self) -> dict[str, Any]:
        """Everything that decides the result; where it goes does not."""
        decided = {"dtype": self.arithmetic, "patches": self.patch_choice}
        fields = asdict(self) | {"source": self.source.name, **decided}
        fields["groups"] = self.groups.name if self.groups else None
        del fields["out"]
        return fields
