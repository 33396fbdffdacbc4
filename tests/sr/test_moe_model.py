"""The mixture of experts: its folded form against an explicit loop over experts and crops."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from player.package.architecture import Architecture
from player.package.paths import EASY, HARD
from sr.models import build_network
from sr.models.moe import (
    ExpertLayer,
    ExpertPlan,
    MoeChain,
    Router,
    balance_loss,
    content,
    moe_chain,
)
from sr.models.network import crop
from sr.training.loop import trunk_and_rest

ARCH = Architecture("chain", 2, (8, 12, 8, 8), (2, 4))
PLAN = ExpertPlan(experts=5, channels=3, chosen=2, shared=4)


def trained_alike(seed: int = 0) -> MoeChain:
    """Experts that do something: as made, they are silent."""
    network = moe_chain(build_network(ARCH, seed), PLAN, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in network.layers.values():
            layer.up.weight.copy_(torch.randn(layer.up.weight.shape, generator=generator) * 0.3)
            layer.router.linear.weight.mul_(8)
    return network.eval()


def crops(n: int, seed: int = 1) -> Tensor:
    return torch.rand(n, 3, 24, 27, generator=torch.Generator().manual_seed(seed))


def by_loop(layer: ExpertLayer, x: Tensor, gates: Tensor) -> Tensor:
    """The definition: shared ones + sum of g_e 1x1(3x3), each crop and expert by itself."""
    outputs = []
    for i, own in enumerate(gates):
        y = F.conv2d(x[i : i + 1], layer.shared.weight, layer.shared.bias)
        branches = [(torch.ones(()), slice(0, 4))]
        branches += [(gate, slice(4 + 3 * e, 7 + 3 * e)) for e, gate in enumerate(own)]
        for gate, channels in branches:
            inner = F.conv2d(x[i : i + 1], layer.down.weight[channels])
            y = y + gate * F.conv2d(inner, layer.up.weight[:, channels])
        outputs.append(y)
    return torch.cat(outputs)


def routed_by_loop(network: MoeChain, x: Tensor) -> dict[int, Tensor]:
    features = network.trunk[0](crop(x, network.halo_px(HARD) - 4)).relu()
    described, outputs = content(features), {}
    for depth, layer in network.layers.items():
        features = by_loop(layer, features, layer.router(described).all_gates()).relu()
        if depth + 1 in ARCH.exits:
            at = ARCH.exits.index(depth + 1)
            outputs[ARCH.paths[at]] = network.exits[at](crop(features, 3 - depth))
    return outputs


def test_new_experts_change_nothing():
    plain = build_network(ARCH)
    network = moe_chain(plain, PLAN)
    x = crops(3)
    for path, expected in plain.residuals(x).items():
        assert (network.residuals(x)[path] - expected).abs().max() < 1e-6


def test_the_routed_form_is_the_sum_over_experts():
    network, x = trained_alike(), crops(4)
    expected = routed_by_loop(network, x)
    found = network.residuals(x)
    assert set(found) == {EASY, HARD}
    for path, residual in found.items():
        assert (residual - expected[path]).abs().max() < 1e-5
    assert (network.residual(x, HARD) - found[HARD]).abs().max() < 1e-6


def test_crops_are_routed_apart_and_each_to_k_experts():
    network, x = trained_alike(), crops(6)
    x[:3] = x[:3] * 0.1
    together = network.residuals(x)[HARD]
    for layer in network.layers.values():
        assert layer.routing is not None
        gates = layer.routing.all_gates()
        assert ((gates > 0).sum(1) == PLAN.chosen).all()
        torch.testing.assert_close(gates.sum(1), torch.full((6,), float(PLAN.chosen)))
        best = layer.routing.probabilities.topk(PLAN.chosen).indices
        assert torch.equal(best, layer.routing.chosen)
    for i in range(6):
        alone = network.residuals(x[i : i + 1])[HARD]
        assert (alone - together[i : i + 1]).abs().max() < 1e-5


def test_a_condensed_network_folds_exactly():
    network, x = trained_alike(), crops(2)
    constants = torch.tensor([0.0, 1.3, 0.0, 0.7, 0.2])
    features = torch.rand(2, 8, 9, 9)
    layer = network.layers[1]
    for each in network.layers.values():
        each.condense(constants)
    assert (
        layer(features, content(features)) - by_loop(layer, features, constants[None].expand(2, -1))
    ).abs().max() < 1e-5
    plain = network.folded()
    assert type(plain) is type(build_network(ARCH))
    assert plain.state_dict().keys() == build_network(ARCH).state_dict().keys()
    for path, expected in network.residuals(x).items():
        assert (plain.residuals(x)[path] - expected).abs().max() < 1e-5
        inner = crop(x, network.halo_px(HARD) - network.halo_px(path))
        assert (network.residual(inner, path) - expected).abs().max() < 1e-5


def test_half_condensed_gates_lie_between():
    network = trained_alike()
    layer, described = (
        network.layers[1],
        torch.randn(3, 16, generator=torch.Generator().manual_seed(3)),
    )
    routed, constants = layer.gates(described), torch.tensor([1.0, 0.0, 0.0, 2.0, 0.0])
    layer.constants.copy_(constants)
    layer.constancy.fill_(0.25)
    torch.testing.assert_close(layer.gates(described), 0.75 * routed + 0.25 * constants)


def test_a_routing_network_cannot_be_folded():
    network = trained_alike()
    with pytest.raises(ValueError, match="still routes"):
        network.folded()


def test_balance_loss_golden_values():
    uniform = torch.full((6, 4), 0.25)
    assert balance_loss(uniform, torch.full((4,), 0.25)).item() == pytest.approx(1.0)
    collapsed = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    assert balance_loss(collapsed, torch.tensor([1.0, 0, 0, 0])).item() == pytest.approx(4.0)
    skewed = torch.tensor([[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1]])
    load = torch.tensor([0.5, 0.5, 0.0, 0.0])
    assert balance_loss(skewed, load).item() == pytest.approx(4 * (0.5 * 0.4 + 0.5 * 0.4))


def test_the_loss_of_a_load_that_follows_the_probabilities_is_least_where_uniform():
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        probabilities = torch.rand(1, 8, generator=generator).softmax(1)
        assert balance_loss(probabilities, probabilities[0]) >= 1 - 1e-6


def test_the_balance_loss_evens_out_a_router():
    router = Router(6, ExpertPlan(4, 1, 2))
    with torch.no_grad():
        router.linear.bias.copy_(torch.tensor([2.0, 1.0, 0.0, -1.0]))
    optimiser = torch.optim.SGD(router.parameters(), 0.3)
    described = torch.randn(64, 6, generator=torch.Generator().manual_seed(4))

    def load() -> Tensor:
        return (router(described).all_gates() > 0).float().mean(0) / 2

    before = load()
    for _ in range(60):
        optimiser.zero_grad()
        balance_loss(router(described).probabilities, load()).backward()
        optimiser.step()
    assert before.max() > 0.35
    assert load().max() < 0.3


def test_the_router_gets_gradients_and_shapes_no_features():
    network = trained_alike().train()
    network.residuals(crops(4))[HARD].square().mean().backward()
    for layer in network.layers.values():
        assert layer.router.linear.weight.grad is not None
        assert layer.router.linear.weight.grad.abs().max() > 0
    features = torch.rand(2, 4, 5, 5, requires_grad=True)
    assert not content(features).requires_grad


def test_experts_are_the_trunks_and_routers_are_not():
    network = moe_chain(build_network(ARCH), PLAN)
    names = {id(p): name for name, p in network.named_parameters()}
    trunk, rest = ({names[id(p)] for p in part} for part in trunk_and_rest(network))
    kinds = ("shared.weight", "down.weight", "up.weight")
    assert trunk == {f"trunk.{i}.{kind}" for i in (1, 2, 3) for kind in kinds}
    assert {f"trunk.{i}.router.linear.weight" for i in (1, 2, 3)} <= rest


def test_the_same_seed_gives_the_same_experts():
    one, same, other = (moe_chain(build_network(ARCH), PLAN, seed) for seed in (3, 3, 4))
    weights = [network.layers[1].down.weight for network in (one, same, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("numbers", [(4, 8, 5), (4, 8, 0), (4, 0, 2), (4, 8, 2, -1)])
def test_impossible_experts_say_so(numbers):
    with pytest.raises(ValueError, match="choose at least 1"):
        ExpertPlan(*numbers)
