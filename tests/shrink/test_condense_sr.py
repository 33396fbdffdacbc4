"""Condensing a super-resolution chain: what is kept, when, and that nothing of experts is left."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.shrinking.controls import (
    CONDENSE_CONTROLS,
    EvenWidths,
    FrequentCondensation,
    RandomCondensation,
    SharedCondensation,
)
from player.package.architecture import Architecture
from player.package.paths import HARD
from player.package.weights import unpack_weights
from sr.models import build_network
from sr.models.chain import Chain
from sr.models.moe import ExpertPlan, MoeChain, moe_chain
from sr.packing import network_of, pack_integers, pack_network
from sr.quant.finetune import fine_tune, fine_tuning_plan
from sr.shrink.budget import Budget, WidthRule, hard_macs
from sr.shrink.condense import (
    Condensation,
    Condense,
    CondensingPlan,
    LayerRecord,
    calibration,
    layer_order,
    record_layer,
)
from sr.shrink.expert_search import mean_js
from sr.shrink.stage import StageError, StageWork
from sr.training.data import CropSampler, TrainingSet
from sr.training.loop import TrainingPlan, overfit

ARCH = Architecture("chain", 2, (8, 8, 8, 8), (2, 4))
PLAN = ExpertPlan(experts=4, channels=2, chosen=2, shared=3)
QUICK = Condense(PLAN, keep=2, routed_share=0.4, interval_share=0.1, calibrated=2)
MARGIN = 4


def condensation(network, keep, batches=(), kind=Condensation) -> Condensation:
    return kind(network, batches, CondensingPlan(10**6, 1, 0, keep))


def condense_now(network, depths, batches, keep):
    """Condense layers in this order, each with those before it condensed."""
    for depth in depths:
        _, gates = condensation(network, keep, batches).gates(depth)
        network.layers[depth].condense(gates)


@pytest.fixture(scope="module")
def sampler() -> CropSampler:
    """Left halves of frames are smooth waves, right halves noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :192]
    wave = 127 + 100 * np.sin(x / 9 + y / 7)
    noise = rng.integers(0, 256, (96, 192))
    frame = np.where(x < 96, wave, noise).astype(np.uint8)
    hr = np.stack([np.stack([np.roll(frame, t, 0)] * 3, axis=-1) for t in range(3)])
    margin = (MARGIN, MARGIN)
    lr = np.pad(hr[:, ::2, ::2], ((0, 0), margin, margin, (0, 0)), "edge")
    data = TrainingSet(lr, hr, 2, MARGIN)
    return CropSampler(data, np.ones((3, 1, 2)), (48, 48), batch=2, seed=7)


def work(sampler: CropSampler, steps: int = 10, share: float = 1.0, **others: object) -> StageWork:
    budget = Budget(share * hard_macs(ARCH), "MACs a pixel", hard_macs, WidthRule(4, 4))
    return StageWork(sampler, TrainingPlan(steps), budget, **others)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(sampler: CropSampler) -> MoeChain:
    network = moe_chain(build_network(ARCH), PLAN)
    routed = Condensation(network, [], CondensingPlan(10**6, 1, 0, 2))
    overfit(network, sampler, TrainingPlan(30), companion=routed)
    return network


def rows(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).flatten(0, 2)


class TestLayer:
    def test_the_record_adds_up_to_what_the_layer_computes(self, trained, sampler):
        """Base and contributions, weighed by each crop's own gates, are the layer's output."""
        [batch] = batches = calibration(sampler, 1)
        record = record_layer(trained, 2, batches)
        framed = batch.lr
        *_, after = trained.activations(framed, 3)
        routing = trained.layers[2].routing
        places = after[:, 0, ::6, ::6].numel() // 2
        gates = routing.all_gates().repeat_interleave(places, dim=0)
        parts = record.contributions / record.constants[:, None, None]
        total = record.base + torch.einsum("pe,epo->po", gates, parts)
        torch.testing.assert_close(total, record.target, atol=1e-5, rtol=0)
        torch.testing.assert_close(
            record.target.relu(), rows(after[:, :, ::6, ::6]), atol=1e-5, rtol=0
        )

    def test_constants_are_the_gates_of_the_crops_that_chose_the_expert(self, trained, sampler):
        batches = calibration(sampler, 6)
        record = record_layer(trained, 1, batches)
        chosen, gates = [], []
        for batch in batches:
            list(trained.activations(batch.lr, 2))
            chosen.append(trained.layers[1].routing.chosen)
            gates.append(trained.layers[1].routing.gates)
        chosen, gates = torch.cat(chosen), torch.cat(gates)
        assert record.counts.sum() == 6 * 2 * PLAN.chosen
        for e in range(PLAN.experts):
            assert record.counts[e] == (chosen == e).sum()
            if record.counts[e]:
                torch.testing.assert_close(record.constants[e], gates[chosen == e].mean())

    def test_the_first_expert_kept_is_the_best_of_all(self, trained, sampler):
        """Provable of a greedy search; of more experts than one it is not."""
        record = record_layer(trained, 3, calibration(sampler, 4))
        costs = [mean_js(record.target, record.base + part) for part in record.contributions]
        assert condensation(trained, 1).choose(record, 0) == (int(np.argmin(costs)),)
        assert min(costs) < max(costs)

    def test_controls_choose_otherwise(self, trained):
        zeros = torch.zeros(4, 3, 2)
        record = LayerRecord(zeros[0], zeros[0], zeros, torch.tensor([1, 5, 0, 6]), torch.ones(4))
        kinds = FrequentCondensation, SharedCondensation, RandomCondensation
        frequent, shared, by_chance = (condensation(trained, 2, kind=kind) for kind in kinds)
        assert frequent.choose(record, 0) == (3, 1)
        assert shared.choose(record, 0) == ()
        assert len({by_chance.choose(record, seed) for seed in range(30)}) > 6

    def test_the_order_is_greedy_and_leaves_the_network_as_it_was(self, trained, sampler):
        batches = calibration(sampler, 3)
        before = {k: v.clone() for k, v in trained.state_dict().items()}
        constants = {depth: torch.zeros(4) for depth in trained.layers}
        order = layer_order(trained, constants, batches)
        assert all(torch.equal(v, before[k]) for k, v in trained.state_dict().items())
        assert sorted(order.layers) == [1, 2, 3]
        alone = {d: layer_order(trained, {d: constants[d]}, batches) for d in constants}
        assert order.layers[0] == min(alone, key=lambda d: alone[d].divergences[0])
        assert all(a.divergences[0] > 0 for a in alone.values())

    def test_layers_condensed_at_once_see_those_before_them_condensed(self, trained, sampler):
        batches = calibration(sampler, 3)
        network = moe_chain(build_network(ARCH), PLAN)
        network.load_state_dict(trained.state_dict())
        condense_now(network, [1, 2], batches, keep=2)
        kept = [int((layer.constants > 0).sum()) for layer in network.layers.values()]
        assert kept == [2, 2, 0]
        network.layers[2].constancy.zero_()
        record = record_layer(network, 2, batches)
        chosen = condensation(network, 2).choose(record, 0)
        assert set(chosen) == set(network.layers[2].constants.nonzero().flatten().tolist())


class TestSchedule:
    def test_layers_condense_in_turn_and_fade(self, sampler):
        network = moe_chain(build_network(ARCH), PLAN)
        companion = Condensation(network, calibration(sampler, 2), CondensingPlan(2, 2, 1, 2))
        seen = []

        def watch(step: int, quality_db: float) -> None:
            seen.append([float(layer.constancy) for layer in network.layers.values()])

        overfit(network, sampler, TrainingPlan(8), on_step=watch, companion=companion)
        assert sorted(companion.order) == [1, 2, 3]
        first, second, third = (companion.order.index(d) for d in companion.order)
        turns = [[step[d - 1] for d in companion.order] for step in seen]
        assert (first, second, third) == (0, 1, 2)
        assert turns == [
            [0, 0, 0], [0.5, 0, 0], [1, 0, 0], [1, 0.5, 0],
            [1, 1, 0], [1, 1, 0.5], [1, 1, 1], [1, 1, 1],
        ]  # fmt: skip
        for depth, kept in companion.kept.items():
            constants = network.layers[depth].constants
            assert set(constants.nonzero().flatten().tolist()) == set(kept) and len(kept) == 2

    def test_condensed_layers_train_only_what_is_kept(self, trained, sampler):
        network = moe_chain(build_network(ARCH), PLAN)
        network.load_state_dict(trained.state_dict())
        condense_now(network, [1, 2, 3], calibration(sampler, 2), keep=2)
        network.residuals(sampler.draw(0).lr)[HARD].square().mean().backward()
        layer = network.layers[3]
        moved = layer.down.weight.grad[3:].unflatten(0, (4, 2)).abs().sum(dim=(1, 2, 3, 4)) > 0
        assert layer.down.weight.grad[:3].abs().max() > 0
        assert torch.equal(moved, layer.constants > 0)
        assert layer.router.linear.weight.grad is None
        assert layer.shared.weight.grad.abs().max() > 0

    def test_the_load_is_balanced(self, sampler):
        """From routers that send every crop to the same experts."""
        rarest = []
        for balance in (0.0, 1.0):
            network = moe_chain(build_network(ARCH), PLAN)
            with torch.no_grad():
                for layer in network.layers.values():
                    layer.router.linear.weight.mul_(0.1)
                    layer.router.linear.bias.copy_(torch.tensor([0.3, 0.2, 0.0, -0.1]))
            counts = torch.zeros(3, 4)

            def count(step: int, quality_db: float, moe=network, counts=counts) -> None:
                for depth, layer in moe.layers.items():
                    counts[depth - 1] += torch.bincount(layer.routing.chosen.flatten(), minlength=4)

            routed = CondensingPlan(10**6, 1, 0, 2, balance=balance)
            companion = Condensation(network, [], routed)
            plan = TrainingPlan(40, adam_rate=0.02)
            overfit(network, sampler, plan, on_step=count, companion=companion)
            assert (counts.sum(1) == 40 * 2 * PLAN.chosen).all()
            rarest.append(float(counts.min()) / 80)
        assert rarest[0] < 0.15 < 0.22 < rarest[1], rarest


class TestStage:
    def test_it_ends_in_a_plain_chain_within_the_budget(self, sampler):
        network = QUICK.apply(build_network(ARCH), work(sampler, share=0.5))
        assert type(network) is Chain
        assert network.state_dict().keys() == build_network(ARCH).state_dict().keys()
        assert 0.3 * hard_macs(ARCH) < hard_macs(network.arch) <= 0.5 * hard_macs(ARCH)
        blob = unpack_weights(pack_network(network))
        x = torch.rand(1, 3, 30, 30)
        expected = network(x) * 255
        assert (network_of(blob)(x * 255) - expected).abs().max() < 0.5

    def test_its_network_becomes_integers(self, sampler):
        network = QUICK.apply(build_network(ARCH), work(sampler))
        integers = fine_tune(network, sampler, fine_tuning_plan(4))
        assert unpack_weights(pack_integers(network.arch, integers)).is_int8

    def test_a_network_within_the_budget_is_where_training_starts(self, sampler):
        start = build_network(ARCH, seed=5)
        still = replace(work(sampler, 4), plan=TrainingPlan(4, muon_rate=0.0, adam_rate=0.0))
        network = replace(QUICK, routed_share=0.25).apply(start, still)
        for name, value in network.state_dict().items():
            torch.testing.assert_close(value, start.state_dict()[name])

    def test_a_stopped_run_ends_with_the_same_bits(self, sampler, tmp_path):
        class Cut(Exception):
            pass

        def cut(step: int, quality_db: float) -> None:
            if step == 6:  # the first two layers are condensed, the last is not
                raise Cut

        whole = QUICK.apply(build_network(ARCH), work(sampler))
        parted = work(sampler, folder=tmp_path)
        with pytest.raises(Cut):
            QUICK.apply(build_network(ARCH), replace(parted, on_step=cut))
        resumed = QUICK.apply(build_network(ARCH), parted)
        for name, value in whole.state_dict().items():
            assert torch.equal(value, resumed.state_dict()[name]), name

    def test_controls_end_in_the_same_architecture(self, sampler):
        archs = {QUICK.apply(build_network(ARCH), work(sampler, 4, 0.5)).arch}
        for control in CONDENSE_CONTROLS.values():
            if isinstance(control, Condense):
                control = type(control)(**{**vars(QUICK), "calibrated": 1})
            if isinstance(control, EvenWidths):
                control = replace(control, step=4)
            archs.add(control.apply(build_network(ARCH), work(sampler, 4, 0.5)).arch)
        assert len(archs) == 1

    def test_what_cannot_be_condensed_says_so(self, sampler):
        with pytest.raises(StageError, match="no experts to condense"):
            Condensation(build_network(ARCH), [], CondensingPlan(1, 1, 0, 2))
        espcn = build_network(Architecture("espcn", 2, (8, 8), (2,)))
        with pytest.raises(StageError, match="use --backbone chain"):
            QUICK.apply(espcn, work(sampler))
        with pytest.raises(StageError, match="keep 5 of 4"):
            replace(QUICK, keep=5).apply(build_network(ARCH), work(sampler))
        with pytest.raises(StageError, match="keep 0 of 4"):
            replace(QUICK, keep=0).apply(build_network(ARCH), work(sampler))
        with pytest.raises(StageError, match="of 10 steps"):
            replace(QUICK, routed_share=0.9).apply(build_network(ARCH), work(sampler))
