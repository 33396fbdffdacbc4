"""Step: the stages of `--stages` in place of a plain overfitting (sr/shrink/pipeline.py)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.package.paths import HARD
from player.package.streams import StreamFiles
from sr.encode.frames import learned_frames
from sr.encode.methods import Difficulty, chunk_labels
from sr.encode.protect import read_groups
from sr.encode.work import Work
from sr.latency import find_latency
from sr.latency.table import LatencyTable, parse_table
from sr.models import Network
from sr.shrink.allocate import WidthRule
from sr.shrink.budget import Budget, parse_budget, parse_milliseconds
from sr.shrink.order import FAIR
from sr.shrink.pipeline import check_budget, shrink
from sr.shrink.registry import stages_of
from sr.shrink.stage import StageWork
from sr.training.data import CropSampler
from sr.training.loop import TrainingPlan
from sr.usage_error import UsageError

HALF = "0.5x"  # the budget where none is asked for

Groups = NDArray[np.int64] | None
FindLatency = Callable[[str, str, int], LatencyTable]


def budget_of(work: Work, find: FindLatency = find_latency) -> Budget:
    """The budget that the options ask for; the latency table is kept in the job's folder.

    Raises BudgetFormatError, BudgetError where no network can meet it, LatencyError, UsageError.
    """
    config = work.config
    if config.budget_ms is None:
        asked = f"--budget {config.budget or HALF}"
        budget = parse_budget(config.budget or HALF, work.arch)
    else:
        asked = f"--budget-ms {config.budget_ms}"
        budget = _milliseconds(work, find)
    check_budget(budget, work.arch, asked)
    return budget


def _milliseconds(work: Work, find: FindLatency) -> Budget:
    assert work.config.budget_ms is not None
    limit, target = parse_milliseconds(work.config.budget_ms)
    if work.config.arithmetic == "fp32":
        raise UsageError("--budget-ms: tables are of int8 engines; use --dtype int8 or --budget")
    table = _table(work, target, find)
    height, width = work.grid.height, work.grid.width
    rule = WidthRule(table.width_step, table.width_step)
    return Budget(limit, "ms a frame", lambda a: table.predict_ms(a, HARD, height, width), rule)


def _table(work: Work, target: str, find: FindLatency) -> LatencyTable:
    """Step: the target's table, measured once a job, so that it resumes with the same widths."""
    if (text := work.job.result("latency")) is None:
        work.progress.stage(f"latency of {target}", 0)
        text = find(target, "int8", work.config.scale).to_json()
        work.job.finish("latency", text, [])
    return parse_table(text)


def shrink_network(
    work: Work, network: Network, sampler: CropSampler, number: int, steps: int, groups: Groups
) -> tuple[Network, list[dict[str, Any]]]:
    """Overfit and shrink one network; returns it in unit range, and the report's rows."""
    work.progress.stage(f"{work.config.stages} {number}", steps)
    stage_work = StageWork(
        sampler=sampler,
        plan=TrainingPlan(steps),
        budget=budget_of(work),
        groups=groups,
        folder=work.job.work / f"shrink-{number}",
        on_step=work.progress.at,
        seed=work.config.seed,
    )
    return shrink(network, stages_of(work.config.stages), stage_work)


def content_groups(work: Work, video: StreamFiles, difficulty: Difficulty) -> Groups:
    """The content groups of the training frames for `fair`: the user's, or chunks by difficulty.

    None where no stage asks for them. Raises InputError where the user's cannot be read.
    """
    config = work.config
    if FAIR not in config.stages.split(","):
        return None
    if config.groups is None:
        return chunk_labels(difficulty, config)
    cell_px = work.grid.fine_h, work.grid.fine_w
    return read_groups(work, cell_px, learned_frames(config, work.info, video)).labels
