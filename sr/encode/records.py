"""What an encode is asked to do, in parts: frozen records, written into job.json as they are.

StreamOptions     what is made of the film, and how it is coded
TrainingOptions   what is overfitted, to what, for how long
RouteOptions      who decides which path a cell takes, and what that may lose
ShrinkOptions     how much smaller the network becomes
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from chunking.encoders import ENCODERS, with_options
from chunking.stream import SEGMENT_S
from player.package.architecture import ARCHITECTURE_IDS, INT8_ARCHITECTURES
from player.package.scale import Scale
from sr.usage_error import UsageError

# Options that jobs from before them do not have: nor do those that do not ask.
CHOICES = ("video", "audio", "lr", "lr_from", "through", "adapt", "given", "luma_share")
PLAIN = "plain"  # the method without a network
BACKBONE_NAMES = (*ARCHITECTURE_IDS, "wdsr-16")  # as sr/models has them
LEARNED = "learned"  # a kind of LR: bicubic, and then moved through the network of the film
RETOUCHED = 3  # a network that only goes on with its stream is trained so many times shorter
CHANGING = ("cafm", "delta")  # methods of one network and changes of it
CONTRAST = "contrast"
LOSSES = ("rgb", "ycbcr", CONTRAST)  # what is trained for (sr/training/losses.py)


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
    encoder, as its library calls them. `lr`: the kind of downscaling (chunking/lr.py), or
    "learned": `through` the film's own network; None: bicubic, in a search whichever is best.
    `through`: the blob of a network that frames are then moved through (moved_lr.py). `video`: the
    number, from 1, of the film's video stream; `audio`: number or language of its sound, or "none";
    None: the one to choose, and all sound. `lr_from`: a stream of the film that is there already,
    taken as it is: nothing is encoded, and `lr_codec` says nothing. `revision`: the how-manieth
    package of this film, made so, is given away."""

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
    `given`: the blob of a network of this film that is there already, taken as it is.
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
    given: Path | None = None
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

    def retouched(self, blob: Path) -> Self:
        """The training of a network of this film, in `blob`, that only goes on with its stream."""
        return replace(self, warm_from=blob, steps=max(1, self.bounds.steps // RETOUCHED))

    @property
    def is_ready(self) -> bool:
        """Whether nothing is trained: the network is there already."""
        return self.given is not None or (self.shipped is not None and not self.adapt)

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


RECORDS: Mapping[str, type[Any]] = {
    "stream": StreamOptions,
    "training": TrainingOptions,
    "routes": RouteOptions,
    "shrink": ShrinkOptions,
}
