"""The ResNet and its training loop: shapes, slicing, hooks, learning, repeatable bits."""

import numpy as np
import pytest
import torch
import torch_pruning
from torch import Tensor, nn

from benchmarks.reproduction.classify import (
    AS_THEY_ARE,
    Augmentation,
    BatchSampler,
    ClassifyPlan,
    evaluate,
    even_groups_order,
    network_input,
    predict,
    sgd,
    shuffled_order,
    train_classifier,
)
from benchmarks.reproduction.datasets import LabelledImages, ungrouped
from benchmarks.reproduction.resnet import Block, ResNet, block_widths, count_macs


def stripes(count: int, seed: int) -> LabelledImages:
    """Noise with stripes, across (class 0) or down (class 1); group 1 is one in four."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    pictures = rng.integers(60, 196, (count, 16, 16, 3), np.uint8)
    pictures[labels == 0, ::4] += 50
    pictures[labels == 1, :, ::4] += 50
    groups = (np.arange(count) % 4 == 0).astype(np.int64)
    return LabelledImages(pictures, labels, ("across", "down"), groups, ("most", "few"))


def small(seed: int = 0) -> ResNet:
    return ResNet(8, width=8, classes=2, seed=seed)


def trained(data: LabelledImages, steps: int, seed: int = 0, **more: object) -> ResNet:
    network = small(seed)
    sampler = BatchSampler(data, seed, batch=32)
    train_classifier(network, sampler, ClassifyPlan(steps, warm_up_steps=5), **more)
    return network


def test_the_parameters_are_those_of_the_paper():
    """Table 6 of He et al. 2016: 0.27 M for depth 20, 0.46 M for 32, 0.85 M for 56."""
    for depth, millions in ((20, 0.27), (32, 0.46), (56, 0.85)):
        count = sum(p.numel() for p in ResNet(depth, width=16).parameters())
        assert round(count / 1e6, 2) == millions


def test_macs_are_those_of_the_formula():
    macs = 32 * 32 * 9 * (3 * 16 + 16 * 16 * 2)
    for side, channels in ((16, 32), (8, 64)):
        macs += side * side * 9 * channels * (channels // 2 + channels)
    assert count_macs(ResNet(8), (3, 32, 32)) == macs + 64 * 10
    assert count_macs(ResNet(8, stem_stride=2), (3, 32, 32)) == macs // 4 + 64 * 10


def test_widths_shapes_and_wrong_ones():
    assert block_widths(14, 16) == (16, 16, 32, 32, 64, 64)
    network = ResNet(14, width=8, classes=5, channels_in=1, inner_widths=(3, 4, 5, 6, 7, 8))
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 5)
    assert network.inner_widths == (3, 4, 5, 6, 7, 8)
    with pytest.raises(ValueError, match="6n"):
        ResNet(10)
    with pytest.raises(ValueError, match="2 inner widths for 3 blocks"):
        ResNet(8, inner_widths=(4, 4))


def test_a_block_is_its_formula():
    """Two convolutions in plain torch, every second pixel and zeros beside them."""
    torch.manual_seed(1)
    block, x = Block(3, 5, 6, stride=2).eval(), torch.rand(2, 3, 8, 6)
    functional = nn.functional
    inner = functional.conv2d(x, block.conv1.weight, stride=2, padding=1).relu()
    expected = functional.conv2d(inner, block.conv2.weight, padding=1)
    expected[:, :3] += x[:, :, ::2, ::2]
    torch.testing.assert_close(block(x), expected.relu(), atol=1e-4, rtol=1e-4)


def test_a_sliced_network_is_rebuilt_from_its_inner_widths():
    torch.manual_seed(0)
    network, images = small(), torch.randn(4, 3, 16, 16)
    for _ in range(3):
        network(images)
    network.eval()
    gone = [[0, 5], [1], [2, 3, 30]]
    with torch.no_grad():
        for block, channels in zip(network.blocks, gone, strict=True):
            block.bn1.weight[channels] = 0
            block.bn1.bias[channels] = 0
    expected = network(images)
    graph = torch_pruning.DependencyGraph().build_dependency(network, images)
    for name, channels in zip(network.prunable, gone, strict=True):
        prune = torch_pruning.prune_conv_out_channels
        graph.get_pruning_group(network.get_submodule(name), prune, channels).prune()
    assert network.inner_widths == (6, 15, 29)
    rebuilt = ResNet(8, width=8, classes=2, inner_widths=network.inner_widths)
    rebuilt.load_state_dict(network.state_dict())
    torch.testing.assert_close(rebuilt.eval()(images), expected, atol=1e-5, rtol=1e-5)


def test_a_seed_starts_the_same_weights_and_leaves_the_generator_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    a, b, c = small(1), small(1), small(2)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(a.conv.weight, b.conv.weight)
    assert not torch.equal(a.conv.weight, c.conv.weight)


def test_it_learns_what_it_has_not_seen():
    network = trained(stripes(512, 0), steps=60)
    result = evaluate(network, stripes(200, 1))
    assert result.accuracy > 0.95
    assert evaluate(small(), stripes(200, 1)).accuracy < 0.75


def test_the_same_seed_gives_the_same_bits():
    data = stripes(96, 0)
    first, again, other = (trained(data, 6, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv.weight"], other["conv.weight"])


class Recorder:
    """Writes down what is called, and what it sees."""

    def __init__(self, network: ResNet, calls: list[tuple[str, int]]) -> None:
        self.network, self.calls = network, calls
        self.weight = network.conv.weight.detach().clone()

    def extra_loss(self, logits: Tensor, targets: Tensor, groups: Tensor, step: int):
        assert logits.shape == (32, 2) and targets.shape == groups.shape == (32,)
        assert logits.dtype == torch.float32 and logits.requires_grad
        self.calls.append(("loss", step))
        return None

    def after_backward(self, step: int) -> None:
        assert self.network.conv.weight.grad is not None
        assert torch.equal(self.network.conv.weight, self.weight)
        self.calls.append(("backward", step))

    def after_step(self, step: int) -> None:
        assert not torch.equal(self.network.conv.weight, self.weight)
        self.weight = self.network.conv.weight.detach().clone()
        self.calls.append(("step", step))


def test_the_hooks_are_called_in_order_and_watching_changes_nothing():
    data, network, calls = stripes(64, 0), small(), []
    sampler, plan = BatchSampler(data, 0, batch=32), ClassifyPlan(3, warm_up_steps=5)
    train_classifier(
        network,
        sampler,
        plan,
        Recorder(network, calls),
        on_step=lambda done, loss: calls.append(("done", done)),
    )
    turn = [("loss", 0), ("backward", 0), ("step", 0), ("done", 1)]
    assert calls == [(name, n + step) for step in range(3) for name, n in turn]
    alone = trained(data, 3).state_dict()
    assert all(torch.equal(alone[name], value) for name, value in network.state_dict().items())


class Freezer:
    """Masks: no gradient for the head, no first channel of the stem, neither in the momentum."""

    def __init__(self, network: ResNet, optimiser: torch.optim.SGD) -> None:
        self.network, self.optimiser = network, optimiser

    def after_backward(self, step: int) -> None:
        self.network.head.weight.grad = None

    def after_step(self, step: int) -> None:
        with torch.no_grad():
            self.network.conv.weight[0] = 0
            self.optimiser.state[self.network.conv.weight]["momentum_buffer"][0] = 0


def test_a_companion_masks_gradients_weights_and_momentum():
    network, plan = small(), ClassifyPlan(4, warm_up_steps=1)
    head, optimiser = network.head.weight.detach().clone(), sgd(network, plan)
    sampler = BatchSampler(stripes(64, 0), 0, batch=32)
    train_classifier(network, sampler, plan, Freezer(network, optimiser), optimiser)
    assert torch.equal(network.head.weight, head)
    assert not network.conv.weight[0].any() and network.conv.weight[1].any()
    assert not optimiser.state[network.conv.weight]["momentum_buffer"][0].any()


class LikesClassOne:
    def after_backward(self, step: int) -> None: ...

    def after_step(self, step: int) -> None: ...

    def extra_loss(self, logits: Tensor, targets: Tensor, groups: Tensor, step: int) -> Tensor:
        return 10 * nn.functional.cross_entropy(logits, torch.ones_like(targets))


def test_the_extra_loss_is_added():
    data = stripes(256, 0)
    biased = trained(data, 40, companion=LikesClassOne())
    assert predict(biased, data).argmax(1).float().mean() > 0.9


def test_every_image_is_seen_once_an_epoch_in_another_order():
    data = stripes(70, 0)
    epochs = [
        np.concatenate([shuffled_order(data, 10, 5, step) for step in range(at, at + 7)])
        for at in (0, 7)
    ]
    assert all(sorted(epoch) == list(range(70)) for epoch in epochs)
    assert not np.array_equal(*epochs)
    assert np.array_equal(shuffled_order(data, 10, 5, 9), epochs[1][20:30])


def test_even_groups_in_every_batch():
    data = stripes(80, 0)
    drawn = [even_groups_order(data, 10, 0, step) for step in range(40)]
    assert all(data.groups[batch].sum() == 5 for batch in drawn)
    assert set(np.concatenate(drawn)) == set(range(80))
    assert np.array_equal(even_groups_order(data, 10, 0, 7), drawn[7])


def test_augmentation_crops_and_mirrors_and_nothing_else():
    rng = np.random.default_rng(0)
    pictures = rng.integers(1, 256, (64, 6, 5, 3), np.uint8)
    made = Augmentation(pad_px=1)(pictures, rng)
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1), (0, 0)))
    kinds = set()
    for image, frame in zip(made, padded, strict=True):
        (kind,) = [
            (y, x, flip)
            for y in range(3)
            for x in range(3)
            for flip in (1, -1)
            if np.array_equal(image, frame[y : y + 6, x : x + 5][:, ::flip])
        ]
        kinds.add(kind)
    assert len(kinds) > 12
    assert np.array_equal(AS_THEY_ARE(pictures, rng), pictures)
    mirrored = Augmentation(pad_px=0, flip_chance=1.0)(pictures, rng)
    assert np.array_equal(mirrored, pictures[:, :, ::-1])


def test_the_input_is_planes_around_zero():
    pictures = np.zeros((1, 2, 3, 3), np.uint8)
    pictures[0, 1, 2] = (0, 255, 191)
    made = network_input(pictures)
    assert made.shape == (1, 3, 2, 3)
    assert made[0, :, 1, 2].tolist() == [-127.5 / 64, 127.5 / 64, 63.5 / 64]


class SaysTheFirstPixel(nn.Module):
    """Class 1 where the first pixel is bright; refuses to be judged in training mode."""

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training
        return torch.stack([torch.zeros(len(x)), x[:, 0, 0, 0]], 1)


def test_evaluation_counts_right_answers_in_each_group():
    pictures = np.zeros((1203, 1, 1, 3), np.uint8)
    pictures[::2] = 255
    right = (np.arange(1203) % 2 == 0).astype(np.int64)
    targets, groups = right.copy(), np.zeros(1203, np.int64)
    groups[1000:] = 1
    targets[1000:1100] = 1 - targets[1000:1100]
    data = LabelledImages(pictures, targets, ("a", "b"), groups, ("x", "y"))
    network = SaysTheFirstPixel().train()
    result = evaluate(network, data)
    assert network.training
    assert result.accuracy == pytest.approx(1103 / 1203)
    assert result.group_accuracy == pytest.approx((1.0, 103 / 203))
    expected = nn.functional.cross_entropy(predict(network, data), torch.from_numpy(targets))
    assert result.loss == pytest.approx(float(expected), rel=1e-5)
    assert np.average(result.group_loss, weights=(1000, 203)) == pytest.approx(result.loss)


def test_the_rate_warms_up_and_ends_near_zero():
    plan = ClassifyPlan(100, rate=1.0, warm_up_steps=10)
    rates = [plan.rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == pytest.approx(0.98, abs=0.02)
    assert rates.index(max(rates)) == 9 and rates[-1] < 1e-3
    assert rates[9:] == sorted(rates[9:], reverse=True)


def test_a_data_set_of_one_group_is_named_all():
    data = ungrouped(np.zeros((3, 4, 4, 3), np.uint8), [0, 1, 0], ("a", "b"))
    assert data.group_names == ("all",) and data.groups.tolist() == [0, 0, 0]
    assert data.take(np.array([2, 0])).labels.tolist() == [0, 0]
