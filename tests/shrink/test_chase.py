"""Chase: which channels go, when, and that cutting them out changes nothing but the cost."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.reproduction.resnet import ResNet
from benchmarks.shrinking.controls import (
    ChaseOnceAtTheEnd,
    ChaseRandomChannels,
    NonzeroMeanRemoval,
    RankedRemover,
    SparseTrained,
    drawn_mask,
)
from player.package.architecture import Architecture
from player.package.paths import HARD
from sr.models import build_network
from sr.shrink.budget import Budget, BudgetError, WidthRule, hard_macs
from sr.shrink.channels import (
    ChannelLayer,
    Traced,
    add_scales,
    channel_layers,
    couplings,
    cut_channels,
    fold_scales,
)
from sr.shrink.chase import (
    BudgetRemover,
    ChannelRemoval,
    Chase,
    RemovalPlan,
    all_weights,
    cubic_left,
    dense_places,
    even_widths,
    weight_counts,
)
from sr.shrink.sparse import SparsePlan, SparseTraining, SparseWeights, largest_mask
from sr.shrink.stage import (
    StageError,
    StageWork,
    Term,
    rebuilt,
    traced,
    trunk_names,
    with_widths,
)
from sr.training.data import CropSampler, TrainingSet
from sr.training.loop import TrainingPlan, overfit

ARCH = Architecture("chain", 2, (16, 16, 16), (1, 3))
RULE = WidthRule(4, 4)
MARGIN, STEPS = 3, 30
STAGE = Chase(interval=3, averaged=2, remove_until=0.5)


class Cut(Exception):
    pass


@pytest.fixture
def sampler() -> CropSampler:
    hr = np.random.default_rng(0).integers(0, 256, (3, 120, 200, 3), np.uint8)
    margin = (MARGIN, MARGIN)
    lr = np.pad(hr[:, ::2, ::2], ((0, 0), margin, margin, (0, 0)), "edge")
    return CropSampler(TrainingSet(lr, hr, 2, MARGIN), np.ones((3, 2, 3)), (54, 48), 2, seed=7)


def work_of(sampler: CropSampler, **changed) -> StageWork:
    budget = Budget(0.5 * hard_macs(ARCH), "MACs a pixel", hard_macs, RULE)
    return replace(StageWork(sampler, TrainingPlan(STEPS), budget), **changed)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def all_on(*channels: int) -> list[torch.Tensor]:
    return [torch.ones(c, dtype=torch.bool) for c in channels]


def test_the_cubic_schedule_golden_values():
    assert [cubic_left(step, 0, 100) for step in (0, 20, 50, 100, 120)] == pytest.approx(
        [1, 0.512, 0.125, 0, 0]
    )
    assert cubic_left(10, 20, 40) == 1.0
    assert cubic_left(19, 20, 20) == 1.0 and cubic_left(20, 20, 20) == 0.0


def test_umm_counts_zeros_and_the_ablation_does_not():
    weight = torch.zeros(2, 2, 1, 2)
    weight[0, 0, 0, 0] = -4.0
    weight[1] = 2.0
    own = nn.Parameter(weight)
    layer = ChannelLayer("one", own, nn.Parameter(torch.ones(2)), (own,), ())
    sparse = SparseWeights.of([own], [torch.ones_like(weight, dtype=torch.bool)])
    training = SparseTraining(sparse, SparsePlan(2, 8, 0))
    ours, ablation = (
        kind([layer], training, RemovalPlan(0, 2, 1, budget_remover()))
        for kind in (ChannelRemoval, NonzeroMeanRemoval)
    )
    assert ours.worth(layer, rng()).tolist() == [1.0, 2.0]
    assert ablation.worth(layer, rng()).tolist() == [4.0, 2.0]


class Veto(Term):
    """A term that finds the first channels of every layer the least worth."""

    def __init__(self) -> None:
        self.steps, self.attached = 0, []

    def attach(self, network, layers) -> None:
        self.attached.append([layer.name for layer in layers])

    def extra_loss(self, batch, errors, step):
        self.steps += 1
        return None

    def importance(self, layer):
        return 4.0 ** torch.arange(layer.channels)


def test_a_term_is_part_of_the_score_and_of_all_the_training(sampler):
    veto, gone = Veto(), []
    network = build_network(ARCH)
    weights = [network.trunk[i].weight for i in range(3)]

    def look(done: int, quality_db: float) -> None:
        gone.append([(~w.flatten(1).any(dim=1)).nonzero().flatten().tolist() for w in weights])

    replace(STAGE, terms=(veto,)).apply(network, work_of(sampler, on_step=look))
    assert veto.steps == STEPS and veto.attached == [list(trunk_names(network)), []]
    assert all(index == list(range(len(index))) for index in gone[13]) and any(gone[13])


def test_ranked_removal_takes_the_lowest_over_all_layers():
    scores = [torch.tensor([5.0, 1.0, 7.0, 8.0]), torch.tensor([2.0, 6.0, 3.0, 9.0])]
    first, second = RankedRemover(0.5, 0.5)(scores, all_on(4, 4), 0.5, rng())
    assert first.tolist() == [True, False, True, True]
    assert second.tolist() == [False, True, True, True]


def test_floors_hold_and_what_they_keep_goes_elsewhere():
    scores = [torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor([5.0, 6.0, 7.0, 8.0])]
    first, second = RankedRemover(0.5, 1.0)(scores, all_on(4, 4), 0.0, rng())
    assert first.tolist() == second.tolist() == [False, False, True, True]
    first, second = RankedRemover(0.5, 0.5)(scores, all_on(4, 4), 0.0, rng())
    assert first.tolist() == [False, False, False, True]
    assert second.tolist() == [False, True, True, True]


def test_ties_are_drawn_by_the_seed():
    tied = [torch.zeros(32)]
    masks = [RankedRemover(0.5, 0.5)(tied, all_on(32), 0.0, rng(s))[0] for s in (0, 0, 1)]
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])
    assert int(masks[0].sum()) == 16


def budget_remover() -> BudgetRemover:
    return BudgetRemover(lambda w: hard_macs(with_widths(ARCH, w)), 0.5 * hard_macs(ARCH), RULE)


def test_removal_for_a_budget_narrows_by_steps_and_ends_where_it_fits():
    remover, masks = budget_remover(), all_on(16, 16, 16)
    for left in (1.0, 0.7, 0.4, 0.1, 0.0):
        scores = [torch.rand(16, generator=rng(round(10 * left) + i)) for i in range(3)]
        narrower = remover(scores, masks, left, rng())
        assert all(not bool((new & ~old).any()) for new, old in zip(narrower, masks, strict=True))
        masks = narrower
    widths = tuple(int(mask.sum()) for mask in masks)
    assert all(width % 4 == 0 for width in widths)
    assert hard_macs(with_widths(ARCH, widths)) <= 0.5 * hard_macs(ARCH)
    assert widths != (16, 16, 16)


def test_removal_for_a_budget_takes_the_lowest_of_a_layer():
    scores = [torch.arange(16.0).flip(0) for _ in range(3)]
    for mask in budget_remover()(scores, all_on(16, 16, 16), 0.0, rng()):
        width = int(mask.sum())
        assert mask[:width].all() and not mask[width:].any()


def removal_on(network, plan_steps: int) -> tuple[ChannelRemoval, object, list]:
    graph = traced(network)
    coupled = couplings(graph)
    add_scales(network, trunk_names(network))
    sparse = SparseWeights.start(
        all_weights(network), 1900, mask=largest_mask, dense=dense_places(network)
    )
    training = SparseTraining(sparse, SparsePlan(2 * plan_steps, 1900, 200, interval=3, averaged=2))
    plan = RemovalPlan(0, plan_steps, 3, budget_remover())
    return ChannelRemoval(channel_layers(network, coupled), training, plan), graph, coupled


def test_the_cut_network_computes_what_the_masked_one_did(sampler):
    network = build_network(ARCH)
    removal, graph, _ = removal_on(network, 12)
    overfit(network, sampler, TrainingPlan(12), companion=removal)
    assert any(not on.all() for on in removal.on)
    x = sampler.draw(50).lr
    before = {path: y.detach() for path, y in network.residuals(x).items()}
    fold_scales(network)
    cut_channels(graph, removal.kept())
    small = rebuilt(network)
    for path, y in small.residuals(x).items():
        assert torch.allclose(y, before[path], atol=1e-5)
    masks = removal.training.sparse.cut_masks()
    for weight, mask in zip(all_weights(small), masks, strict=True):
        assert weight.shape == mask.shape and not weight[~mask].any()
    assert sum(int(mask.sum()) for mask in masks) == removal.training.sparse.nonzeros == 1900


def test_removed_channels_stay_silent_while_training_goes_on(sampler):
    network = build_network(ARCH)
    removal, _, _ = removal_on(network, 9)
    gone = []

    def look(done: int, quality_db: float) -> None:
        for layer, on in zip(removal.layers, removal.on, strict=True):
            assert all(not row[~on].any() for row in layer.rows)
        gone.append(sum(int((~on).sum()) for on in removal.on))

    overfit(network, sampler, TrainingPlan(15), on_step=look, companion=removal)
    assert gone[1] == 0 < gone[2] < gone[8] == gone[14]


def test_the_residual_network_is_cut_the_same_way():
    network = ResNet(8, 8)
    graph = Traced(network, torch.zeros(1, 3, 32, 32), lambda m, x: m(x), network.prunable)
    layers = channel_layers(network, couplings(graph))
    weights = [
        m.weight for n, m in network.named_modules() if isinstance(m, nn.Conv2d) and "." in n
    ]
    sparse = SparseWeights.start(weights, 4000, mask=drawn_mask)
    training = SparseTraining(sparse, SparsePlan(6, 4000, 500, interval=2, explore_share=1.0))
    removal = ChannelRemoval(layers, training, RemovalPlan(0, 6, 2, RankedRemover(0.5, 0.2)))
    optimiser = torch.optim.SGD(network.parameters(), 0.05, 0.9)
    torch.manual_seed(0)
    for step in range(6):
        optimiser.zero_grad()
        network(torch.randn(4, 3, 32, 32)).square().mean().backward()
        removal.after_backward(step)
        optimiser.step()
        removal.after_step(step)
    network.eval()
    x = torch.randn(2, 3, 32, 32)
    before = network(x).detach()
    cut_channels(graph, removal.kept())
    assert sum(network.inner_widths) == 0.5 * sum(ResNet(8, 8).inner_widths)
    assert sparse.nonzeros == 4000
    assert torch.allclose(network(x), before, atol=1e-5)


def count_nonzeros(network) -> int:
    return sum(int((w != 0).sum()) for w in all_weights(network))


def test_the_stage_ends_in_fewer_channels_within_the_budget_and_exact_zeros(sampler):
    work = work_of(sampler)
    small = STAGE.apply(build_network(ARCH), work)
    assert work.budget.fits(small.arch)
    assert all(width % 4 == 0 for width in small.arch.widths)
    even = with_widths(ARCH, even_widths(ARCH, work.budget))
    dense, hidden = weight_counts(even)
    assert count_nonzeros(small) == dense + round(0.5 * hidden)
    zeros = [int((w == 0).sum()) for w in all_weights(small)]
    assert [i for i, count in enumerate(zeros) if count] == [1, 2]


def test_an_espcn_is_cut_and_sparse_as_well():
    espcn = Architecture("espcn", 2, (16, 16, 8), (3,))
    hr = np.random.default_rng(0).integers(0, 256, (1, 120, 200, 3), np.uint8)
    margin = (4, 4)
    lr = np.pad(hr[:, ::2, ::2], ((0, 0), margin, margin, (0, 0)), "edge")
    crops = CropSampler(TrainingSet(lr, hr, 2, 4), np.ones((1, 2, 3)), (54, 48), 2, seed=7)
    budget = Budget(0.5 * hard_macs(espcn), "MACs a pixel", hard_macs, RULE)
    plan = TrainingPlan(STEPS, path_weights={HARD: 1.0})
    small = STAGE.apply(build_network(espcn), StageWork(crops, plan, budget))
    assert budget.fits(small.arch) and small.arch.name == "espcn"
    dense, hidden = weight_counts(with_widths(espcn, even_widths(espcn, budget)))
    assert count_nonzeros(small) == dense + round(0.5 * hidden)


def test_the_control_without_removal_has_as_many_weights_and_all_channels(sampler):
    control = SparseTrained(interval=3, averaged=2)
    whole = control.apply(build_network(ARCH), work_of(sampler))
    small = STAGE.apply(build_network(ARCH), work_of(sampler))
    assert whole.arch == ARCH
    assert count_nonzeros(whole) == count_nonzeros(small)


def test_random_channels_give_another_network(sampler):
    ours, random = (
        stage.apply(build_network(ARCH), work_of(sampler))
        for stage in (STAGE, ChaseRandomChannels(**vars(STAGE)))
    )
    same = ours.arch == random.arch and all(
        torch.equal(a, b) for a, b in zip(ours.parameters(), random.parameters(), strict=True)
    )
    assert not same


def test_all_at_once_removes_nothing_before(sampler):
    widths = []
    stage = ChaseOnceAtTheEnd(**vars(STAGE))  # until half of the steps
    network = build_network(ARCH)
    weights = all_weights(network)[1:3]

    def look(done: int, quality_db: float) -> None:
        widths.append(sum(int(w.flatten(1).any(dim=1).sum()) for w in weights))

    small = stage.apply(network, work_of(sampler, on_step=look))
    assert widths[13] == 32 > widths[14]
    assert small.arch.widths != ARCH.widths


@pytest.mark.parametrize("at", [7, 22])  # while channels go, and in the cut network
def test_a_stage_that_was_killed_goes_on_to_the_same_bits(sampler, tmp_path, at):
    whole = STAGE.apply(build_network(ARCH), work_of(sampler))
    calls = []

    def cut(done: int, quality_db: float) -> None:
        calls.append(done)
        if len(calls) == at:
            raise Cut

    with pytest.raises(Cut):
        STAGE.apply(build_network(ARCH), work_of(sampler, folder=tmp_path, on_step=cut))
    resumed = STAGE.apply(build_network(ARCH), work_of(sampler, folder=tmp_path))
    assert resumed.arch == whole.arch
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_what_cannot_be_is_refused_in_one_line(sampler):
    network = build_network(ARCH)
    with pytest.raises(StageError, match="is not within 0"):
        replace(STAGE, density=1.5).apply(network, work_of(sampler))
    with pytest.raises(StageError, match="raise the density or the budget"):
        narrow = Budget(0.2 * hard_macs(ARCH), "MACs a pixel", hard_macs, RULE)
        replace(STAGE, density=0.001).apply(network, work_of(sampler, budget=narrow))
    with pytest.raises(StageError, match="raise --steps to 6"):
        STAGE.apply(build_network(ARCH), work_of(sampler, plan=TrainingPlan(4)))
    with pytest.raises(StageError, match="is after settle_share"):
        replace(STAGE, remove_until=0.9).apply(network, work_of(sampler))
    tiny = Budget(10.0, "MACs a pixel", hard_macs, RULE)
    with pytest.raises(BudgetError):
        STAGE.apply(build_network(ARCH), work_of(sampler, budget=tiny))
