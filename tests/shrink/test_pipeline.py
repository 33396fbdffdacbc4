"""Stages one after the other: shares of steps and budget, rows, and nothing done twice."""

from dataclasses import replace

import pytest

from sr.models import Network
from sr.shrink.channels import cut_channels
from sr.shrink.pipeline import shrink
from sr.shrink.stage import Stage, StageWork, rebuilt, traced


class Cutter(Stage):
    """Cuts every layer to `width`, trains nothing, remembers its work."""

    name, shrinks = "cutter", "channels"

    def __init__(self, width: int) -> None:
        self.width, self.works = width, list[StageWork]()

    def apply(self, network: Network, work: StageWork) -> Network:
        self.works.append(work)
        kept = {f"trunk.{i}": range(self.width) for i in range(3)}
        cut_channels(traced(network), kept)
        return rebuilt(network)


@pytest.fixture
def stages() -> list[Cutter]:
    return [Cutter(12), Cutter(8)]


def test_stages_share_the_steps_and_the_way_to_the_budget(network, work, stages):
    full = work.budget.cost(network.arch)
    small, _ = shrink(network, stages, replace(work, plan=replace(work.plan, steps=101)))
    first, second = stages[0].works[0], stages[1].works[0]
    assert first.plan.steps + second.plan.steps == 101
    assert abs(first.plan.steps - second.plan.steps) <= 1
    assert first.budget.limit == pytest.approx(full * 0.5**0.5)
    assert second.budget.limit == work.budget.limit
    assert first.sampler.seed != second.sampler.seed
    assert small.arch.widths == (8, 8, 8)


def test_rows_say_what_was_before_and_after(network, work, stages):
    _, rows = shrink(network, stages, work)
    assert [row["before"]["widths"] for row in rows] == [(16, 16, 16), (12, 12, 12)]
    assert [row["after"]["widths"] for row in rows] == [(12, 12, 12), (8, 8, 8)]
    after = rows[1]["after"]
    assert after["macs"] == 9 * (3 * 8 + 8 * 8 + 8 * 8) + 8 * 12
    weights = after["macs"] + 8 * 12  # and the easy exit's
    assert after["nonzero_weights"] == weights
    assert after["bytes"] == weights + 8 * (3 * 8 + 2 * 12)
    assert rows[0]["unit"] == "MACs a pixel"


def test_a_finished_stage_is_not_done_again(network, work, stages, tmp_path):
    kept = replace(work, folder=tmp_path)
    first, rows = shrink(network, stages, kept)
    again = [Cutter(4), Cutter(4)]
    second, same_rows = shrink(network, again, kept)
    assert not again[0].works
    assert not again[1].works
    assert second.arch == first.arch
    assert same_rows == rows
    assert all((a == b).all() for a, b in zip(first.parameters(), second.parameters(), strict=True))
