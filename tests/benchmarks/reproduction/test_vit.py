"""The transformer's reproductions: every arm runs, rows are kept, claims follow from rows alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.reproduction import ReproduceOptions, data_tickets, tri_level
from benchmarks.reproduction.datasets import TrainAndTest, ungrouped
from benchmarks.reproduction.selection.forgetting import least_forgotten, most_forgotten
from benchmarks.reproduction.tri_level import ARMS, Arm, Examples
from benchmarks.reproduction.vit.tokens import Blocks, Sparsity, by_class_token
from benchmarks.reproduction.vit_classify import (
    PATCHES,
    Picked,
    Task,
    VitPlan,
    VitSize,
    accuracy,
    build_vit,
    pick_all,
    shuffled,
    train_vit,
)
from benchmarks.verdict import HOLDS, ONE_RUN, REVERSED, TIE

TINY = {"images": 40, "epochs": 3, "batch": 8, "dim": 16, "depth": 3, "heads": 2, "at": (1,)}
SIZE = VitSize(16, 3, 2)


@pytest.fixture
def options(tmp_path: Path, monkeypatch) -> ReproduceOptions:
    rng = np.random.default_rng(0)
    images = {
        f"x_{half}": rng.integers(0, 256, (40, 32, 32, 3), np.uint8) for half in ("train", "test")
    }
    labels = {f"y_{half}": rng.integers(0, 10, 40) for half in ("train", "test")}
    classes = np.array([f"class {i}" for i in range(10)])
    np.savez(tmp_path / "cifar10_subset.npz", **images, **labels, classes=classes)
    tri = tri_level.Settings(**TINY, tokens=0.5, warm_up=0, decay=1, period=1)
    monkeypatch.setattr(tri_level, "QUICK", tri)
    tickets = data_tickets.Settings(**TINY, keep=0.5, selector_epochs=1)
    monkeypatch.setattr(data_tickets, "QUICK", tickets)
    (tmp_path / "work").mkdir()
    return ReproduceOptions((0,), True, tmp_path / "work", tmp_path)


def test_tri_level_s_arms_save_the_work_that_they_say(options, monkeypatch):
    result = tri_level.run(options)
    rows = {row["arm"]: row for row in result["rows"]}
    assert set(rows) == set(ARMS)
    dense = rows[tri_level.DENSE]
    assert rows[tri_level.EXAMPLES]["steps"] == rows[tri_level.STATIC]["steps"] == 12
    assert dense["steps"] == 15
    assert rows[tri_level.TOKENS]["gflops"] < dense["gflops"]
    assert rows[tri_level.LINKS]["gflops"] <= dense["gflops"]
    same, tri = (rows[name]["gflops"] for name in (tri_level.SAME_WORK, tri_level.TRI_LEVEL))
    assert same == pytest.approx(tri, abs=dense["gflops"] / 15)
    monkeypatch.setattr(tri_level, "train_vit", None)  # nothing may be trained again
    assert tri_level.run(options)["rows"] == result["rows"]


def test_data_tickets_arms_run_and_resume(options, monkeypatch):
    result = data_tickets.run(options)
    rows = {row["arm"]: row for row in result["rows"]}
    assert tuple(rows) == data_tickets.ARMS
    assert rows[data_tickets.EQUAL]["epochs"] == 6
    assert rows[data_tickets.RANDOM]["gflops"] < rows[data_tickets.DENSE]["gflops"]
    assert rows[data_tickets.RANDOM]["gflops"] < rows[data_tickets.TICKET]["gflops"]
    monkeypatch.setattr(data_tickets, "train_vit", None)
    assert data_tickets.run(options)["rows"] == result["rows"]


def test_the_selector_s_patches_are_those_its_class_token_sees_most():
    vit = build_vit(SIZE, 10, 0).eval()
    settings = data_tickets.Settings(**TINY, keep=0.25)
    images = torch.randn(4, 3, 32, 32)
    kept = data_tickets.Selection(vit, settings)(0, np.arange(4), images).patches
    assert kept is not None and kept.shape == (4, settings.patches) == (4, 16)
    assert len({tuple(row) for row in kept.tolist()}) > 1
    fixed = data_tickets.fixed_patches(16, 0)(0, np.arange(4), images).patches
    fresh = data_tickets.fresh_patches(16, 0)
    assert fixed is not None and (fixed == fixed[0]).all()
    one, two = (fresh(step, np.arange(4), images).patches for step in (0, 1))
    assert one is not None and two is not None
    assert not torch.equal(one, two) and (one.diff(dim=1) > 0).all()


def test_patches_that_do_not_go_in_are_not_seen():
    vit = build_vit(SIZE, 10, 0).eval()
    images = torch.randn(2, 3, 32, 32)
    patches = torch.arange(8).expand(2, 8)  # the top row of patches
    changed = images.clone()
    changed[:, :, 4:] += 1
    assert torch.equal(vit(images, None, patches).logits, vit(changed, None, patches).logits)
    assert not torch.equal(vit(images).logits, vit(changed).logits)


@pytest.mark.parametrize("n", [PATCHES, 10])
def test_the_classifier_s_count_is_torch_s(n):
    vit, images = build_vit(SIZE, 10, 0), torch.randn(2, 3, 32, 32)
    sparsity = Sparsity((0,), 0.5, 0.5, by_class_token, Blocks(4, 2))
    patches = None if n == PATCHES else torch.arange(n).expand(2, n)
    with FlopCounterMode(display=False) as forward:
        vit(images, sparsity, patches)
    assert forward.get_total_flops() == 2 * vit.forward_flops(n, sparsity)
    with FlopCounterMode(display=False) as step:
        vit(images, sparsity, patches).logits.sum().backward()
    assert step.get_total_flops() == 2 * vit.training_flops(n, sparsity)


def test_training_learns_and_repeats():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 64)
    images = rng.integers(0, 60, (64, 32, 32, 3)).astype(np.uint8)
    images[labels == 1] += 150
    task = Task(ungrouped(images, labels, ("dark", "light")), 0)
    order = shuffled(lambda _: np.arange(64), 16, 0, 4)
    nets = [build_vit(SIZE, 2, 0), build_vit(SIZE, 2, 0)]
    for net in nets:
        train_vit(net, task, VitPlan(24, 16, rate=3e-3, warm_up_steps=4), order)
    assert accuracy(nets[0], task.data, pick_all) == 1.0
    assert torch.equal(nets[0].head.weight, nets[1].head.weight)


def test_an_epoch_sees_every_image_of_its_pool_once():
    order = shuffled(lambda epoch: np.arange(epoch, 32 + epoch), 8, 0, 4)
    for epoch in (0, 1):
        seen = np.concatenate([order(4 * epoch + at) for at in range(4)])
        assert sorted(seen) == list(range(epoch, 32 + epoch))


@pytest.mark.parametrize(("order", "leaves"), [(least_forgotten, 1), (most_forgotten, 0)])
def test_the_images_that_leave_are_the_least_or_the_most_forgotten(order, leaves):
    settings = replace(tri_level.Settings(), batch=16, period=2)
    examples = Examples(Arm(0.2, order), settings, 40, 0)
    before = examples.pool(0)
    solved = before % 2 == 1  # the odd ones are solved and stay so, the even ones are forgotten
    for step in range(2 * examples.epoch_steps):
        right = torch.from_numpy(solved | (step == 0))
        examples.visited(step, before, right)
    left = sorted(set(before) - set(examples.pool(2)))
    assert len(left) == 2 and all(image % 2 == leaves for image in left)
    assert len(examples.pool(2)) == len(before) == 32


def test_without_an_order_the_same_images_stay_out():
    examples = Examples(Arm(0.2), replace(tri_level.Settings(), batch=16, period=1), 40, 0)
    before = examples.pool(0)
    for step in range(4):
        examples.visited(step, before[:16], torch.zeros(16, dtype=torch.bool))
    assert np.array_equal(examples.pool(1), before)


def test_a_part_of_sorted_images_has_all_classes():
    labels = np.repeat(np.arange(4), 25)
    half = ungrouped(np.zeros((100, 1, 1, 3), np.uint8), labels, ("a", "b", "c", "d"))
    part = tri_level.part_of(TrainAndTest(half, half), 40)
    assert len(part.train) == 40 and len(part.test) == 100
    assert set(part.train.labels) == {0, 1, 2, 3}


def rows_of(entry, arms, **accuracy_of: float) -> list[dict]:
    return [
        {
            "arm": name,
            "seed": seed,
            "accuracy": accuracy_of.get(name.split()[0].replace("-", "_"), 0.5) + 0.01 * seed,
            "gflops": 8.0 if name != "dense" else 10.0,
            "seconds": 8.0 if name != "dense" else 10.0,
        }
        for name in arms
        for seed in (0, 1)
    ]


@pytest.mark.parametrize(
    ("accuracy_of", "verdicts"),
    [
        ({"dense": 0.5}, [HOLDS, TIE, TIE, TIE, TIE, HOLDS]),
        ({"tri_level": 0.49}, [REVERSED, TIE, TIE, TIE, REVERSED, HOLDS]),
        ({"examples": 0.49}, [HOLDS, REVERSED, REVERSED, TIE, TIE, HOLDS]),
        ({"random": 0.51}, [HOLDS, REVERSED, TIE, REVERSED, TIE, HOLDS]),
    ],
)
def test_tri_level_s_claims_follow_from_the_rows(accuracy_of, verdicts):
    rows = rows_of("tri_level", ARMS, **accuracy_of)
    assert [claim["verdict"] for claim in tri_level.claims(rows)] == verdicts
    assert {c["verdict"] for c in tri_level.claims(rows[::2])} <= {ONE_RUN, REVERSED}  # one seed


@pytest.mark.parametrize(
    ("ticket", "verdicts"),
    [
        (0.59, [HOLDS, HOLDS, HOLDS]),
        (0.54, [HOLDS, REVERSED, HOLDS]),
        (0.505, [REVERSED, REVERSED, HOLDS]),
    ],
)
def test_data_tickets_claims_follow_from_the_rows_judged_both_ways(ticket, verdicts):
    rows = rows_of("data_tickets", data_tickets.ARMS, all=0.6, ticket=ticket)
    both = [{**row, "accuracy_all_patches": 0.5 + 0.01 * row["seed"]} for row in rows]
    own, other = (data_tickets.claims(both)[part] for part in (slice(3), slice(3, 6)))
    assert [claim["verdict"] for claim in own] == verdicts
    assert [claim["verdict"] for claim in other] == [REVERSED, TIE, TIE]


def test_a_pick_may_thin_out_inside_too():
    vit, images = build_vit(SIZE, 10, 0), torch.randn(2, 3, 32, 32)
    picked = Picked(torch.arange(32).expand(2, 32), Sparsity((1,), tokens=0.5))
    assert vit(images, picked.sparsity, picked.patches).kept.shape == (2, 16)
