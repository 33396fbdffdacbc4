"""Training of a router: attentive deep metric learning on LR frames as decoded.

    LR ─ RouterNetwork ─ f' ─┬─ head ──── cross-entropy
                             ├─ centres ─ CL + TCL + TCCL
                             ├─ decoder ─ reconstruction of the cell's pixels
                             └─ errors ── what HR says of the paths' errors there

The heads are of the training alone; the phone gets the network and the centres. The paths' errors
are known to the server, which has HR: as numbers they teach more than the class they lead to, and
the routes of compressed frames are better for it (docs/router.md). Every cell counts by its class's
share, so that a rare path is learned like a common one. The frames of a step are mirrored by
chance.
"""

from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr.models.network import PIXEL_MAX
from sr.router.embedding import RouterNetwork, RouterShape, pad_to_cells
from sr.router.losses import LossWeights, class_means, metric_terms

FULL = LossWeights()
LOGGED_EVERY = 10
MIRRORS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))


@dataclass(frozen=True)
class RouterData:
    """Frames [T, 3, h, w] u8 and the class of each cell [T, gh, gw], -1 where unknown.

    `importance` [T, gh, gw]: how much a cell counts within its class (any scale), else 1.
    `privileged` [T, P, gh, gw]: numbers that only the server knows of a cell, in any units.
    """

    frames: Tensor
    classes: Tensor
    importance: Tensor | None = None
    privileged: Tensor | None = None

    def batch(self, chosen: Tensor) -> "Batch":
        """Some frames in unit range."""
        weights = self.importance
        importance = torch.ones(self.classes[chosen].shape) if weights is None else weights[chosen]
        known = None if self.privileged is None else self.privileged[chosen]
        frames = self.frames[chosen].float() / PIXEL_MAX
        return Batch(frames, self.classes[chosen], importance, known)


@dataclass(frozen=True)
class Batch:
    """Frames [N, 3, h, w] in unit range, classes and importance [N, gh, gw], and `privileged`
    [N, P, gh, gw]."""

    frames: Tensor
    classes: Tensor
    importance: Tensor
    privileged: Tensor | None = None

    def mirrored(self, axes: tuple[int, ...]) -> "Batch":
        """The batch flipped along -1 (left and right), -2 (up and down), both or none.

        Of frames of whole cells: others have their partial cells at one end.
        """
        if not axes:
            return self
        known = None if self.privileged is None else self.privileged.flip(axes)
        frames, classes, importance = (
            part.flip(axes) for part in (self.frames, self.classes, self.importance)
        )
        return Batch(frames, classes, importance, known)


@dataclass(frozen=True)
class RouterPlan:
    """`frames` a step, of which every cell is used; a peak rate, warmed up and let down.

    `fixed_textures`: the first convolution stays at the texture filters that it starts with. Where
    there are few different cells, trained ones remember them by their colours.
    """

    steps: int = 300
    frames: int = 10
    lr: float = 3e-3
    decay: float = 1e-4
    weights: LossWeights = FULL
    fixed_textures: bool = True


@dataclass(frozen=True)
class TrainedRouter:
    """The network, the classifier head that only controls decide by, and each term as logged."""

    network: RouterNetwork
    head: nn.Conv2d
    log: list[dict[str, float]] = field(default_factory=list)

    def logits(self, attended: Tensor) -> Tensor:
        """f' [N, C, gh, gw] -> [N, K, gh, gw]."""
        logits: Tensor = self.head(attended)
        return logits


def fit_router(
    shape: RouterShape, data: RouterData, plan: RouterPlan, seed: int = 0
) -> TrainedRouter:
    """A router trained on `data`; the same bits for the same arguments.

    Centres start at the class means of the untrained features. Without metric terms they are the
    class means at the end, so that such a control can be routed by distance too.
    """
    run = _Run(shape, data, plan, seed)
    for step in range(plan.steps):
        run.step(step)
    if not (plan.weights.centre or plan.weights.triplet or plan.weights.cosine):
        run.centre_on_means()
    return TrainedRouter(run.network.eval(), run.head, run.log)


class _Run:
    """One training: network, heads, optimiser, and what was logged."""

    def __init__(self, shape: RouterShape, data: RouterData, plan: RouterPlan, seed: int) -> None:
        self.data, self.plan = data, plan
        self.network = RouterNetwork(shape, seed)
        self.network.embed.requires_grad_(not plan.fixed_textures)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = nn.Conv2d(shape.widths[2], shape.classes, 1)
            self.decoder = nn.Conv2d(shape.widths[2], 3 * shape.cell_px**2, 1)
            known = 1 if data.privileged is None else data.privileged.shape[1]
            self.errors = nn.Conv2d(shape.widths[2], known, 1)
        self.draws = torch.Generator().manual_seed(seed)
        self.log: list[dict[str, float]] = []
        parts = (self.network, self.head, self.decoder, self.errors)
        self.parameters = [p for part in parts for p in part.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(self.parameters, plan.lr, weight_decay=plan.decay)
        self.rates = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, plan.lr, total_steps=plan.steps + 1, pct_start=0.1
        )
        labelled = data.classes[data.classes >= 0]
        counts = torch.bincount(labelled, minlength=shape.classes)
        # So that all classes count alike, however rare their cells are.
        self.class_weight = counts.sum() / (shape.classes * counts.clamp(min=1)).float()
        self.units = torch.zeros(1), torch.ones(1)
        if data.privileged is not None:
            rows = _rows(data.privileged)[data.classes.flatten() >= 0]
            self.units = rows.mean(dim=0), rows.std(dim=0).clamp(min=1e-6)
        self.centre_on_means()

    def step(self, step: int) -> None:
        chosen = torch.randperm(len(self.data.frames), generator=self.draws)[: self.plan.frames]
        batch = self.data.batch(chosen)
        frames = pad_to_cells(batch.frames, self.network.shape.cell_px)
        axes = MIRRORS[int(torch.randint(len(MIRRORS), (), generator=self.draws))]
        # Padded before it is mirrored: partial cells would lie at the other end.
        terms = self._terms(replace(batch, frames=frames).mirrored(axes))
        self.optimiser.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.rates.step()
        if step % LOGGED_EVERY == 0:
            self.log.append({name: float(term.detach()) for name, term in terms.items()})

    def _terms(self, batch: Batch) -> dict[str, Tensor]:
        """The weighted terms of the loss, means over the labelled cells."""
        weights, classes = self.plan.weights, batch.classes.flatten()
        attended = self.network(batch.frames)
        known = classes >= 0
        features, labels = _rows(attended)[known], classes[known]
        share = self.class_weight[labels] * batch.importance.flatten()[known]
        # Shares of one whole: the terms are means, however many cells are labelled.
        share = share / share.sum().clamp(min=1e-9)
        found = metric_terms(features, self.network.centres, labels, weights)
        if weights.cross_entropy:
            logits = _rows(self.head(attended))[known]
            entropy = F.cross_entropy(logits, labels, reduction="none")
            found["cross_entropy"] = weights.cross_entropy * entropy
        terms = {name: (term * share).sum() for name, term in found.items()}
        if weights.reconstruction:
            rebuilt = F.pixel_shuffle(self.decoder(attended), self.network.shape.cell_px)
            error = F.mse_loss(rebuilt, batch.frames) / batch.frames.var().clamp(min=1e-4)
            terms["reconstruction"] = weights.reconstruction * error
        if weights.privileged and batch.privileged is not None:
            terms["privileged"] = weights.privileged * self._privileged(attended, batch)
        return terms

    def _privileged(self, attended: Tensor, batch: Batch) -> Tensor:
        """How far the errors' head is from what the server knows, in standard deviations."""
        assert batch.privileged is not None
        mean, deviation = self.units
        known = batch.classes.flatten() >= 0
        wanted = (_rows(batch.privileged)[known] - mean) / deviation
        return F.smooth_l1_loss(_rows(self.errors(attended))[known], wanted)

    @torch.no_grad()
    def centre_on_means(self) -> None:
        """The centres at the class means of the features of all labelled cells."""
        classes = self.data.classes.flatten()
        pieces = self.data.frames.split(self.plan.frames)
        rows = torch.cat([_rows(self.network(f.float() / PIXEL_MAX)) for f in pieces])
        known = classes >= 0
        means = class_means(rows[known], classes[known], self.network.shape.classes)
        self.network.centres.copy_(means)


def _rows(values: Tensor) -> Tensor:
    """[N, C, gh, gw] -> [N gh gw, C]."""
    return values.movedim(1, -1).flatten(0, -2)
