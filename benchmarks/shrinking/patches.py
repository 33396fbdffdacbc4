"""The table `patches`: overfitting on fewer patches, or on the right ones, against all of them.

The reference draws crops of a patch's size (48 px) evenly over all patches. Every arm has as many
steps as it, times the factor at the end of its name; steps of smaller crops take less time, and
that is measured with the steps of both kinds in turns in one process.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import interleave
from benchmarks.reproduction.selection.forgetting import (
    Order,
    at_random,
    least_forgotten,
    most_forgotten,
)
from benchmarks.reproduction.selection.hold_out import Forgetting, HoldOutSampler, holding_out
from benchmarks.reproduction.selection.tickets import chance, drawn, error_left, gained, ticket
from benchmarks.shrinking.base import trained_well
from benchmarks.shrinking.claims import RUN, Claim, Judged, above, near
from benchmarks.shrinking.clips import BATCH, SCALE, Clip
from benchmarks.verdict import (
    Row,
    all_of,
    at_least,
    at_most,
    differences,
    means_within,
    sample,
    values_of,
)
from player.metrics import psnr_db
from player.package.paths import EASY, HARD
from sr.models import architecture, build_network
from sr.packing import pack_integers
from sr.quant.finetune import quantise_trained
from sr.scoring import path_sse, scored_network
from sr.training.data import CropSampler, TrainingSet, training_set
from sr.training.loop import TrainingPlan, overfit
from sr.training.spread import CELL_PX, SMALL_CROP_PX

REFERENCE = "all patches"
SHOWN = ("arm", "psnr_db", "served_db", "work", "step_ratio")
FACTORS = (0.5, 0.7, 1.0, 1.4)
ALLOWED_DB, MOST_TIME = 0.03, 0.7
SHORT_RUN = 0.1  # of the steps, where a ticket is taken from a first run
SMALL, ANYWHERE = "crops at the error", "crops anywhere"
CELLS, CELLS_CONTROL = "ticket of cells", "random half of cells"
SAME_TIME = 1.6  # steps of small crops in the time of one of the reference's, or a little less

Scores = NDArray[np.float64]
MakeSampler = Callable[[Clip, int, int], CropSampler]  # clip, seed, steps


@dataclass(frozen=True)
class Arm:
    """`order`: of the exchange, where patches are held out; `factor` of the reference's steps."""

    about: str
    sampler: MakeSampler
    order: Order | None = None
    factor: float = 1.0


def _data(clip: Clip) -> TrainingSet:
    return training_set(list(clip.pairs), SCALE, build_network(clip.arch).halo_px(HARD))


def _patches(clip: Clip, shares: Scores, seed: int) -> CropSampler:
    cell_px = clip.grid.fine_h, clip.grid.fine_w
    return CropSampler(_data(clip), shares, cell_px, BATCH, seed)


def _evenly(clip: Clip, seed: int, steps: int) -> CropSampler:
    return _patches(clip, np.ones_like(clip.difficulty.fine_db), seed)


def _by_error(clip: Clip, seed: int, steps: int) -> CropSampler:
    return _patches(clip, 10 ** (-clip.difficulty.fine_db / 20), seed)


def _small(clip: Clip, seed: int, steps: int) -> CropSampler:
    return clip.small_sampler(seed)


def _anywhere(clip: Clip, seed: int, steps: int) -> CropSampler:
    sampler = _small(clip, seed, steps)
    return replace(sampler, shares=np.ones_like(sampler.shares))


def _small_by_chance(clip: Clip, seed: int, steps: int) -> CropSampler:
    spread = _small(clip, seed, steps)
    shares, cells = spread.shares, spread.cell_px
    return CropSampler(spread.data, shares, cells, spread.batch, seed, side_px=SMALL_CROP_PX)


def _held_out(clip: Clip, seed: int, steps: int) -> CropSampler:
    return holding_out(_evenly(clip, seed, steps))


def _ticket(information: Callable[[Clip, int, int], Scores]) -> MakeSampler:
    def sampler(clip: Clip, seed: int, steps: int) -> CropSampler:
        marks = ticket(information(clip, seed, steps))
        return _patches(clip, marks.astype(np.float64), seed)

    return sampler


def _error(clip: Clip, seed: int, steps: int) -> Scores:
    return error_left(clip.difficulty.fine_db)


def _drawn_by_error(clip: Clip, seed: int, steps: int) -> Scores:
    return drawn(np.sqrt(_error(clip, seed, steps)), seed)


def _cells_ticket(information: Callable[[Clip, int], Scores]) -> MakeSampler:
    """Half of the cells of 6 px, and small crops around them."""

    def sampler(clip: Clip, seed: int, steps: int) -> CropSampler:
        spread = _small(clip, seed, steps)
        return replace(spread, shares=ticket(information(clip, seed)).astype(np.float64))

    return sampler


def _cells_error(clip: Clip, seed: int) -> Scores:
    return drawn(np.sqrt(clip.difficulty.cell_mse.astype(np.float64)), seed)


def _cells_chance(clip: Clip, seed: int) -> Scores:
    return chance(clip.difficulty.cell_mse.shape, seed)


def _gain(clip: Clip, seed: int, steps: int) -> Scores:
    """What a first short run gains; the run is part of the arm's work."""
    network = build_network(clip.arch, seed)
    overfit(network, _evenly(clip, seed, steps), TrainingPlan(max(1, round(SHORT_RUN * steps))))
    integers = quantise_trained(trained_well(network), _evenly(clip, seed, steps))
    blob = pack_integers(network.arch, integers)
    return gained(scored_network(blob), list(clip.pairs), clip.grid)


def _chance(clip: Clip, seed: int, steps: int) -> Scores:
    return chance(clip.difficulty.fine_db.shape, seed)


def _times(name: str, about: str, sampler: MakeSampler) -> dict[str, Arm]:
    return {f"{name}, {factor:g}x": Arm(about, sampler, factor=factor) for factor in FACTORS}


SETTINGS: Mapping[str, Arm] = {
    REFERENCE: Arm("crops of 48 px, evenly over all patches", _evenly),
    "patches by error": Arm("crops of 48 px, by the generic network's error", _by_error),
    **_times(SMALL, "crops of 24 px, by the error at their place, evenly spread", _small),
    **_times(ANYWHERE, "crops of 24 px, anywhere, evenly spread", _anywhere),
    "crops at the error, by chance": Arm("the same shares, drawn one by one", _small_by_chance),
    "forgetting": Arm("20 % held out, the least forgotten go", _held_out, least_forgotten),
    "held out, fixed": Arm("a random 20 % is never seen", _held_out),
    "held out, at random": Arm("20 % held out, any go", _held_out, at_random),
    "held out, most forgotten": Arm(
        "20 % held out, the most forgotten go", _held_out, most_forgotten
    ),
    "ticket": Arm("half of the patches, by the generic network's error", _ticket(_error)),
    "ticket of a short run": Arm(
        "half of the patches, by what a tenth of the steps gains", _ticket(_gain)
    ),
    "ticket, drawn": Arm("half of the patches, drawn by that error", _ticket(_drawn_by_error)),
    "random half": Arm("half of the patches, at random", _ticket(_chance)),
    CELLS: Arm(
        "half of the cells of 6 px, drawn by error; small crops for the reference's time",
        _cells_ticket(_cells_error),
        factor=SAME_TIME,
    ),
    CELLS_CONTROL: Arm(
        "half of the cells at random, in the same way",
        _cells_ticket(_cells_chance),
        factor=SAME_TIME,
    ),
}
ARMS = {name: arm.about for name, arm in SETTINGS.items()}


def make(clip: Clip, arm: str, seed: int, steps: int, store: Path) -> dict[str, Any]:
    """Train and judge one arm. `served_db`: patches that were trained on take the hard path, the
    others the easy one."""
    setting = SETTINGS[arm]
    own_steps = round(setting.factor * steps)
    network, sampler = build_network(clip.arch, seed), setting.sampler(clip, seed, steps)
    companion = None
    if setting.order is not None and isinstance(sampler, HoldOutSampler):
        companion = Forgetting(sampler, own_steps, setting.order)
    overfit(network, sampler, TrainingPlan(own_steps), companion=companion)
    blob = pack_integers(network.arch, quantise_trained(trained_well(network), sampler))
    crop = {"side_px": sampler.side_px, "crops": sampler.batch, "own_steps": own_steps}
    return {**crop, **_judged(blob, clip, trained_on(sampler, clip))}


def trained_on(sampler: CropSampler, clip: Clip) -> NDArray[np.bool_]:
    """[T, gh, gw]: the patches that a crop was drawn around, at the end of the run."""
    shape = clip.difficulty.fine_db.shape
    if sampler.shares.shape != shape:
        return np.ones(shape, np.bool_)
    drawn = sampler.shares > 0
    if isinstance(sampler, HoldOutSampler):
        drawn &= ~sampler.held_out.reshape(shape)
    return drawn


def _judged(blob: bytes, clip: Clip, served: NDArray[np.bool_]) -> dict[str, Any]:
    errors = np.stack([*path_sse(scored_network(blob), clip.pairs, clip.grid)])
    samples = float(clip.samples.sum()) * len(errors)
    routed = np.where(served, errors[:, HARD], errors[:, EASY])
    totals = {"psnr_db": errors[:, HARD], "served_db": routed, "easy_db": errors[:, EASY]}
    return {name: psnr_db(float(e.sum()) / samples) for name, e in totals.items()}


def finish(rows: list[dict[str, Any]]) -> None:
    """To every row how long its steps take, and all of them, against the reference's."""
    sizes = sorted({(row["side_px"], row["crops"]) for row in rows})
    reference = next(row for row in rows if row["arm"] == REFERENCE)
    ratios = step_ratios(sizes, (reference["side_px"], reference["crops"]))
    for row in rows:
        row["step_ratio"] = ratios[row["side_px"], row["crops"]]
        extra = SHORT_RUN if row["arm"] == "ticket of a short run" else 0.0
        row["work"] = (row["own_steps"] / reference["own_steps"] + extra) * row["step_ratio"]


def step_ratios(
    sizes: Sequence[tuple[int, int]], reference: tuple[int, int], rounds: int = 9
) -> dict[tuple[int, int], float]:
    """Seconds of training steps on so many crops of such a side, over those of the reference:
    medians of runs in turns, on noise, which takes as long as films do."""
    arch = architecture("chain", SCALE, dynamic=True)
    halo = build_network(arch).halo_px(HARD)
    rng = np.random.default_rng(0)
    hr = rng.integers(0, 256, (4, 360, 640, 3), np.uint8)
    lr = rng.integers(0, 256, (4, 90 + 2 * halo, 160 + 2 * halo, 3), np.uint8)
    data = TrainingSet(lr, hr, SCALE, halo)

    def train(side_px: int, crops: int) -> None:
        shares = np.ones((4, 15, 27))
        sampler = CropSampler(data, shares, (CELL_PX, CELL_PX), crops, 0, side_px=side_px)
        overfit(build_network(arch), sampler, TrainingPlan(12))

    runs = {f"{side}-{crops}": partial(train, side, crops) for side, crops in sizes}
    times = interleave(runs, rounds)
    base = times[f"{reference[0]}-{reference[1]}"].median_s
    return {(side, n): times[f"{side}-{n}"].median_s / base for side, n in sizes}


def time_to_reference(rows: Sequence[Row], name: str) -> dict[tuple[str, int], float]:
    """The work, over the reference's, after which an arm is `ALLOWED_DB` below it at most: between
    two lengths on a line of PSNR over the logarithm of work. By clip and seed; the longest run's
    where even that falls short."""
    arms = [f"{name}, {factor:g}x" for factor in FACTORS]
    work_of, psnr_of = (
        [values_of(rows, arm, column, RUN) for arm in arms] for column in ("work", "psnr_db")
    )
    found = {}
    for key, reached in values_of(rows, REFERENCE, "psnr_db", RUN).items():
        points = [(w.get(key), p.get(key)) for w, p in zip(work_of, psnr_of, strict=True)]
        known = [(np.log(w), p) for w, p in points if w is not None and p is not None]
        if len(known) == len(arms):
            work, db = zip(*known, strict=True)
            found[key] = float(np.exp(np.interp(reached - ALLOWED_DB, db, work)))
    return found


def sooner(name: str, other: str) -> Claim:
    """The time to the reference's PSNR, against a bar and against another arm's."""

    def judge(rows: Sequence[Row]) -> Judged:
        found, control = (time_to_reference(rows, n) for n in (name, other))
        timed = [
            {"clip": run[0], "seed": run[1], "arm": arm, "work": work}
            for arm, works in ((name, found), (other, control))
            for run, work in works.items()
        ]
        own, theirs = (means_within(timed, arm, "work") for arm in (name, other))
        gained = differences(timed, other, name, "work", RUN)
        verdict = all_of(at_most(own, MOST_TIME), at_least(gained))
        by_clip = {
            clip: sample([work for run, work in found.items() if run[0] == clip])
            for clip in sorted({run[0] for run in found})
        }
        return verdict, {"work": sample(own), "control": sample(theirs)} | by_clip

    text = (
        f"{name}: at most {MOST_TIME:g} of the time of {REFERENCE} to its PSNR within "
        f"{ALLOWED_DB:g} dB, and sooner than {other}"
    )
    needs = (REFERENCE, *(f"{n}, {f:g}x" for n in (name, other) for f in FACTORS))
    return Claim(text, needs, judge)


# Claims on tickets are of the hard path everywhere, if they do not say how the rest is served.
SERVED = ", the rest served by the easy path,"

CLAIMS: tuple[Claim, ...] = (
    sooner(SMALL, ANYWHERE),
    above(f"{SMALL}, 1x", f"{ANYWHERE}, 1x", 0.0),
    above(f"{SMALL}, 1x", "crops at the error, by chance", 0.0),
    above("patches by error", REFERENCE, 0.0),
    above("forgetting", "held out, fixed", 0.0),
    above("forgetting", "held out, at random", 0.0),
    above("forgetting", "held out, most forgotten", 0.0),
    near("forgetting", REFERENCE, 0.0),
    near("ticket", REFERENCE, 0.05),
    near("ticket", REFERENCE, 0.05, "served_db", SERVED),
    above("ticket", "random half", 0.1),
    near("ticket of a short run", REFERENCE, 0.05),
    above("ticket of a short run", "random half", 0.1),
    near("ticket, drawn", REFERENCE, 0.05),
    near("ticket, drawn", REFERENCE, 0.05, "served_db", SERVED),
    above("ticket, drawn", "random half", 0.1),
    near(CELLS, REFERENCE, 0.05),
    above(CELLS, CELLS_CONTROL, 0.1),
)
