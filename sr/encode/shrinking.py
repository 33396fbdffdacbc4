"""Step: the stages of `--stages` in place of a plain overfitting (sr/shrink/pipeline.py)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.package.paths import HARD
from player.package.scale import scale_number
from sr.encode.methods import Difficulty, chunk_labels
from sr.encode.work import Work
from sr.latency import find_latency
from sr.latency.table import LatencyTable, parse_table
from sr.models import Network
from sr.shrink.budget import Budget, WidthRule, parse_budget, parse_milliseconds
from sr.shrink.pipeline import check_budget, shrink
from sr.shrink.registry import FAIR, stages_of
from sr.shrink.stage import StageWork
from sr.training.data import CropSampler
from sr.training.loop import TrainingPlan
from sr.usage_error import UsageError

TABLE_SCALES = (2, 3, 4)  # that latency tables are measured for
HALF = "0.5x"  # the budget where none is asked for

Groups = NDArray[np.int64] | None
FindLatency = Callable[[str, str, int], LatencyTable]


def budget_of(work: Work, find: FindLatency = find_latency) -> Budget:
    """The budget that the options ask for; the latency table is kept in the job's folder.

    Raises BudgetFormatError, BudgetError where no network can meet it, LatencyError, UsageError.
    """
    config = work.options.shrink
    if config.budget_ms is None:
        asked = f"--budget {config.budget or HALF}"
        budget = parse_budget(config.budget or HALF, work.arch)
    else:
        asked = f"--budget-ms {config.budget_ms}"
        budget = _milliseconds(work, find)
    check_budget(budget, work.arch, asked)
    return budget


def _milliseconds(work: Work, find: FindLatency) -> Budget:
    assert work.options.shrink.budget_ms is not None
    limit, target = parse_milliseconds(work.options.shrink.budget_ms)
    if work.options.training.arithmetic == "fp32":
        raise UsageError("--budget-ms: tables are of int8 engines; use --dtype int8 or --budget")

    scale, units = work.arch.scale, work.arch.units
    if units > 1 or scale not in TABLE_SCALES:
        raise UsageError(
            f"--budget-ms: tables are of scales 2, 3, 4 on units of 1 px, not of "
            f"{scale_number(scale)} on {units}; use --budget"
        )

    def measure() -> str:
        work.progress.stage(f"latency of {target}", 0)
        return find(target, "int8", int(scale)).to_json()

    # Measured once a job, so that it resumes with the same widths.
    table = parse_table(work.job.step("latency", measure))
    height, width = work.film.grid.height, work.film.grid.width
    rule = WidthRule(table.width_step, table.width_step)
    # A whole frame on the hard path: routes can only make it cheaper.
    return Budget(limit, "ms a frame", lambda a: table.predict_ms(a, HARD, height, width), rule)


def shrink_network(
    work: Work, network: Network, sampler: CropSampler, number: int, steps: int, groups: Groups
) -> tuple[Network, list[dict[str, Any]]]:
    """Overfit and shrink one network; returns it in unit range, and the report's rows."""
    stages = ",".join(work.options.shrink.stages)
    work.progress.stage(f"{stages} {number}", steps)
    stage_work = StageWork(
        sampler=sampler,
        plan=TrainingPlan(steps),
        budget=budget_of(work),
        groups=groups,
        folder=work.job.path(f"shrink-{number}"),
        on_step=work.progress.at,
        seed=work.options.training.seed,
    )
    return shrink(network, stages_of(stages), stage_work)


def content_groups(work: Work, difficulty: Difficulty) -> Groups:
    """The content groups of the training frames for `fair`: the user's, or chunks by difficulty.

    None where no stage asks for them. Raises InputError where the user's cannot be read.
    """
    if FAIR not in work.options.shrink.stages:
        return None
    if work.options.routes.groups is None:
        return chunk_labels(difficulty, work.options.training)
    cell_px = work.film.grid.fine_h, work.film.grid.fine_w
    return work.film.content(cell_px, work.film.learned).labels
