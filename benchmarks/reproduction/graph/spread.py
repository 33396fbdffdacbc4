"""From probed cells to all: what each path of the network leaves of bicubic's error.

    probed cells ─► share of bicubic's error left by easy, by hard ─► classes by their quantiles
                                                                       │  the GNN's two questions
    all cells    ─► class probabilities ─► expected share ─► x bicubic's error ─► [3, G, gh, gw]

A class and not a number, so that the Wasserstein head has classes to push apart; the expectation
over classes is a number again, and expected error is what `plan_routes` spends its budget by.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.reproduction.graph.gcn import CutGcn, GcnShape
from benchmarks.reproduction.graph.patch_graph import Image, PatchGraph, Standard, build_patch_graph
from benchmarks.reproduction.graph.tickets import (
    RECIPES,
    WEAK_HEAD,
    NodeTask,
    Recipe,
    Ticket,
    TicketPlan,
    find_tickets,
)
from chunking.grid import Grid
from player.package.paths import BICUBIC, EASY, HARD
from sr.encode.sampled_routes import LEAST_ERROR

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

CLASSES = 6
HIDDEN = 32
HELD_OUT = 5  # one stretch of time in so many validates
LEAST_PROBES = 2 * CLASSES
# Classes of a share of error lie in an order: neighbours should not be pushed far apart.
RECIPE = replace(RECIPES["wd + adversarial"], head=WEAK_HEAD)

PLAN = TicketPlan(epochs=80, learning_rate=1e-2, edge_l1=1e-2, weight_l1=1e-2)
"""0.8^6: 26 % of the pairs are left."""


@dataclass(frozen=True)
class Classes:
    """Classes of a share of error: `values` [H, K], what a class means, of every question."""

    values: Tensor

    @classmethod
    def of(cls, left: Floats, weights: Floats) -> tuple["Classes", Tensor]:
        """Classes of equal counts out of shares `left` [n, H], and the labels [n, H].

        A class stands for the mean of its members by `weights` [n], bicubic's errors, so that
        the sum of its members' errors is met. Equal shares may leave a class empty: it then
        stands for the mean of all.
        """
        columns = [_classes(column, weights) for column in left.T]
        values, labels = (np.stack(parts) for parts in zip(*columns, strict=True))
        return cls(torch.from_numpy(values)), torch.from_numpy(labels.T.copy())

    def expected(self, logits: Tensor) -> Floats:
        """[N, H * K] -> [N, H]."""
        chances = logits.unflatten(1, self.values.shape).double().softmax(dim=2)
        found: Floats = (chances * self.values).sum(dim=2).numpy()
        return found


def _classes(left: Floats, weights: Floats) -> tuple[Floats, NDArray[np.int64]]:
    limits = np.quantile(left, np.arange(1, CLASSES) / CLASSES)
    labels = np.searchsorted(limits, left, side="right")
    sums = np.bincount(labels, weights * left, CLASSES)
    counts = np.bincount(labels, weights, CLASSES)
    mean = float((weights * left).sum() / weights.sum())
    return np.where(counts > 0, sums / np.maximum(counts, 1e-12), mean), labels


@dataclass(frozen=True)
class Probes:
    """What is known: `cheap` [G, gh, gw], bicubic's errors of all cells; `probed` [G, gh, gw];
    `errors` [3, G, gh, gw], read at probed cells alone, infinite on a path there is not."""

    cheap: Floats
    probed: Mask
    errors: Floats

    def __post_init__(self) -> None:
        if self.probed.shape != self.cheap.shape or self.errors.shape != (3, *self.cheap.shape):
            raise ValueError(
                f"probes {self.probed.shape}, errors {self.errors.shape} and bicubic's errors "
                f"{self.cheap.shape} are not of one video"
            )

    @property
    def floor(self) -> Floats:
        """[N]: bicubic's errors, none zero."""
        return np.maximum(self.cheap.ravel(), LEAST_ERROR)

    @property
    def paths(self) -> list[int]:
        """The network's paths, H of them: what is asked of every cell."""
        return [p for p in (EASY, HARD) if np.isfinite(self.errors[p][self.probed]).all()]

    @property
    def left(self) -> Floats:
        """[n, H]: the share of bicubic's error that each path leaves at the probed cells."""
        known = self.probed.ravel()
        errors = self.errors[self.paths].reshape(len(self.paths), -1)[:, known]
        return (errors / self.floor[known]).T

    def spread(self, left: Floats, paths: Sequence[int] | None = None) -> Floats:
        """Shares of all cells [N, H] -> errors [3, G, gh, gw]; probed cells keep what was seen.

        `paths`: what the H columns are of; those that the probes know if None.
        """
        predicted = np.full(self.errors.shape, np.inf)
        predicted[BICUBIC] = self.cheap
        for path, column in zip(self.paths if paths is None else paths, left.T, strict=True):
            predicted[path] = (column * self.floor).reshape(self.cheap.shape)
        return np.where(self.probed, self.errors, predicted)


@dataclass(frozen=True)
class Spreader:
    """A trained graph network and its ticket, what its features and classes mean, and the H paths
    that it speaks of."""

    standard: Standard
    classes: Classes
    ticket: Ticket
    paths: tuple[int, ...]

    def left(self, graph: PatchGraph, pairs: NDArray[np.int64]) -> Floats:
        """[N, H]: expected shares of error in a graph of which `pairs` are used, run as cut."""
        cut = self.cut()
        x = cut.read(self.features(graph))
        with torch.no_grad():
            return self.classes.expected(cut(x, torch.from_numpy(pairs)))

    def features(self, graph: PatchGraph) -> Tensor:
        """[N, F]: a graph's features on the scale that the network learned on."""
        return torch.from_numpy(self.standard.apply(graph.features))

    def cut(self) -> CutGcn:
        """The network without its pruned weights."""
        return CutGcn(self.ticket.network, self.ticket.weight_masks)

    def uncut(self) -> CutGcn:
        """The same network with all its weights, for what it would cost."""
        network = self.ticket.network
        return CutGcn(network, network.full_masks())

    def kept_pairs(self, graph: PatchGraph) -> NDArray[np.int64]:
        """The pairs of the graph that the ticket was found on and has kept."""
        return graph.pairs[self.ticket.kept.numpy()]


def predicted_errors(
    lr_frames: Iterable[Image],
    cheap_errors: Floats,
    probed: Mask,
    probed_errors: Floats,
    grid: Grid,
    groups: NDArray[np.int64],
    segments: NDArray[np.int64] | None = None,
    plan: TicketPlan = PLAN,
) -> Floats:
    """[3, G, gh, gw]: errors of bicubic, easy and hard at every cell, for `plan_routes`.

    `lr_frames`: T frames [H, W, 3] u8 as the phone decodes them; `groups` [T] and `segments` [G]
    as in `build_patch_graph`. `cheap_errors` [G, gh, gw]: squared errors of bicubic, which need no
    network; `probed` [G, gh, gw]: where the network was run (see `draw_samples`);
    `probed_errors` [3, G, gh, gw]: its squared errors there, not read elsewhere. With fewer
    than LEAST_PROBES probed cells each path's mean share of bicubic's error holds everywhere.
    Raises ValueError for arrays of different videos and where nothing is probed.
    """
    if not probed.any():
        raise ValueError("no cell is probed; probe at least one")
    probes = Probes(cheap_errors, probed, probed_errors)
    graph = build_patch_graph(lr_frames, grid, groups, cheap_errors, segments)
    if not can_learn(probes):
        return probes.spread(mean_left(probes))
    spreader = learn_ticket(graph, probes, RECIPE, plan)
    return probes.spread(spreader.left(graph, spreader.kept_pairs(graph)))


def can_learn(probes: Probes) -> bool:
    """Whether there are enough probes for classes, and a path to ask for."""
    return int(probes.probed.sum()) >= LEAST_PROBES and bool(probes.paths)


def mean_left(probes: Probes) -> Floats:
    """[N, H]: for every cell the mean over the probed ones, by bicubic's error."""
    weights = probes.floor[probes.probed.ravel()]
    mean = (weights[:, None] * probes.left).sum(axis=0) / weights.sum()
    return np.tile(mean, (probes.cheap.size, 1))


def learn_ticket(
    graph: PatchGraph, probes: Probes, recipe: Recipe, plan: TicketPlan = PLAN
) -> Spreader:
    """The last round's ticket of the recipe; the unpruned graph's with a plan of 0 rounds."""
    fresh = start(graph, probes)
    *_, last = find_tickets(fresh.task, fresh.shape, recipe, plan)
    return Spreader(fresh.standard, fresh.classes, last, tuple(probes.paths))


@dataclass(frozen=True)
class Start:
    """A graph's features and labels as a task for a network of `shape`, before anything learns."""

    standard: Standard
    classes: Classes
    shape: GcnShape
    task: NodeTask


def start(graph: PatchGraph, probes: Probes) -> Start:
    """Labels of the probed cells, some of them held out to validate."""
    known = probes.probed.ravel()
    standard = Standard.of(graph.features)
    classes, found = Classes.of(probes.left, probes.floor[known])
    labels = torch.zeros((graph.nodes, len(probes.paths)), dtype=torch.int64)
    labels[torch.from_numpy(known)] = found
    training, validating = held_out(probes.probed)
    x = torch.from_numpy(standard.apply(graph.features))
    pairs = torch.from_numpy(graph.pairs)
    task = NodeTask(x, pairs, labels, CLASSES, training, validating)
    shape = GcnShape(x.shape[1], HIDDEN, len(probes.paths) * CLASSES, own=True, dropout=0.0)
    return Start(standard, classes, shape, task)


def held_out(probed: Mask) -> tuple[Tensor, Tensor]:
    """Masks [N] of probed cells to learn from and to validate on.

    Whole groups of frames, for the cells of a block know each other; where all probes are in one
    group it does both.
    """
    groups = np.flatnonzero(probed.any(axis=(1, 2)))
    validating = np.zeros(len(probed), bool)
    validating[groups[HELD_OUT // 2 :: HELD_OUT] if len(groups) > 2 else groups] = True
    flags = np.broadcast_to(validating[:, None, None], probed.shape)
    learning = probed & ~flags if len(groups) > 2 else probed
    return _flat(learning), _flat(probed & flags)


def _flat(mask: Mask) -> Tensor:
    return torch.from_numpy(mask.ravel().copy())
