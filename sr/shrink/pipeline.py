"""Stages one after the other, each with its row for the report.

    network ─► stage 1 ─► stage 2 ─► ... ─► the deployed form
                 │           │
                row         row           before and after: widths, multiplications, bytes, PSNR

Every stage gets the same share of the steps and an equal ratio of the way to the budget. A stage
that is done is kept in its folder, so that a job that was killed does not do it again.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch

from player.package.architecture import Architecture
from player.package.artefact import make_folder
from player.package.paths import HARD
from player.package.scale import parse_scale, scale_number
from sr.models import Network, build_network
from sr.shrink.budget import Budget, BudgetError, dense_bytes, hard_macs, sparse_bytes
from sr.shrink.stage import Stage, StageWork, with_widths
from sr.training.checkpoint import load_state, save_state
from sr.training.data import CropSampler
from sr.training.loop import pixel_errors

_SCORING_SEED, _SCORING_BATCHES = 503, 16  # crops that no training drew


@dataclass(frozen=True)
class Size:
    """A network as it would be deployed. `bytes` of its int8 weights, biases and multipliers in the
    shorter form of the blob, `psnr_db` on drawn crops."""

    widths: tuple[int, ...]
    macs: int
    bytes: int
    nonzero_weights: int
    cost: float
    psnr_db: float


@dataclass(frozen=True)
class StageRow:
    """What a stage did."""

    stage: str
    shrinks: str
    limit: float
    unit: str
    steps: int
    seconds: float
    before: Size
    after: Size


def check_budget(budget: Budget, arch: Architecture, asked: str) -> None:
    """Raises BudgetError, with the smallest cost there is, where no width meets the budget."""
    least = tuple(min(budget.rule.floor, width) for width in arch.widths)
    smallest = budget.cost(with_widths(arch, least))
    if smallest > budget.limit:
        raise BudgetError(
            budget.limit,
            smallest,
            f"{asked}: no network meets {budget.limit:.5g} {budget.unit}; the smallest, {least}, "
            f"costs {smallest:.5g}, so ask for that or more",
        )


def shrink(network: Network, stages: Sequence[Stage], work: StageWork) -> tuple[Network, list[Any]]:
    """Run the stages on a network in unit range; returns the last one's, and the rows as JSON."""
    rows = []
    for i, stage in enumerate(stages):
        part = _part(work, network.arch, i, len(stages))
        network, row = _kept(part.folder, partial(_run, network, stage, part))
        rows.append(row)
    return network, rows


def _part(work: StageWork, arch: Architecture, number: int, count: int) -> StageWork:
    """The work of one stage of `count`: its steps, its budget, its crops, its folder."""
    ends = [round(work.plan.steps * i / count) for i in range(count + 1)]
    cost = work.budget.cost(arch)
    ratio = min(1.0, work.budget.limit / cost) ** (1 / (count - number))
    limit = cost * ratio if number + 1 < count else work.budget.limit
    folder = work.folder / f"stage-{number}" if work.folder else None
    if folder:
        make_folder(folder)
    on_step = work.on_step  # told of steps counted over all stages
    return replace(
        work,
        plan=replace(work.plan, steps=ends[number + 1] - ends[number]),
        budget=replace(work.budget, limit=limit),
        sampler=replace(work.sampler, seed=work.sampler.seed + 10 * number),
        folder=folder,
        on_step=on_step and (lambda done, quality_db: on_step(ends[number] + done, quality_db)),
    )


def _run(network: Network, stage: Stage, work: StageWork) -> tuple[Network, dict[str, Any]]:
    began, before = monotonic(), measure(network, work.budget, work.sampler)
    small = stage.apply(network, work)
    row = StageRow(
        stage=stage.name,
        shrinks=stage.shrinks,
        limit=work.budget.limit,
        unit=work.budget.unit,
        steps=work.plan.steps,
        seconds=round(monotonic() - began, 1),
        before=before,
        after=measure(small, work.budget, work.sampler),
    )
    return small, asdict(row)


def _kept(
    folder: Path | None, run: Callable[[], tuple[Network, dict[str, Any]]]
) -> tuple[Network, dict[str, Any]]:
    """What `run` returns, from the folder where an earlier run left it."""
    file = folder / "done.pt" if folder else None
    if file and (state := load_state(file)):
        scale = parse_scale(state["arch"]["scale"])
        network = build_network(Architecture(**{**state["arch"], "scale": scale}))
        network.load_state_dict(state["network"])
        return network, state["row"]
    network, row = run()
    if file:
        # Plain numbers: a state is read back without any class.
        arch = {**asdict(network.arch), "scale": scale_number(network.arch.scale)}
        save_state(file, {"arch": arch, "network": network.state_dict(), "row": row})
    return network, row


def measure(network: Network, budget: Budget, sampler: CropSampler) -> Size:
    """The size of a network in unit range, and its hard path's PSNR on crops of the sampler's."""
    tensors = network.deployed_arrays()
    weights = [value for name, value in tensors.items() if name.endswith(".weight")]
    own = replace(sampler, seed=sampler.seed + _SCORING_SEED)
    with torch.no_grad():
        errors = [pixel_errors(network, own.draw(i))[HARD].mean() for i in range(_SCORING_BATCHES)]
    return Size(
        widths=network.arch.widths,
        macs=int(hard_macs(network.arch)),
        bytes=min(dense_bytes(network.arch), sparse_bytes(tensors)),
        nonzero_weights=sum(int(np.count_nonzero(w)) for w in weights),
        cost=round(budget.cost(network.arch), 4),
        psnr_db=round(float(-10 * torch.stack(errors).mean().log10()), 3),
    )
