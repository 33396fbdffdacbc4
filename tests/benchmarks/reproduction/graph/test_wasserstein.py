"""The entropic distance against exact transport, its gradient, and the head's edge cases."""

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from benchmarks.reproduction.graph.wasserstein import apart, transport_cost, transport_plan


def _cost(n: int, m: int, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    a, b = torch.rand(n, 3, generator=draw), torch.rand(m, 3, generator=draw) + 0.5
    return (a[:, None] - b[None]).square().sum(dim=-1)


def test_it_approaches_the_best_assignment() -> None:
    cost = _cost(12, 12)
    rows, columns = linear_sum_assignment(cost.numpy())
    exact = float(cost[rows, columns].mean())
    assert float(transport_cost(cost, eps=1e-3, iterations=3000)) == pytest.approx(exact, rel=1e-3)


def test_the_plan_meets_both_sides() -> None:
    plan = transport_plan(_cost(7, 11), eps=0.05, iterations=400)
    torch.testing.assert_close(plan.sum(dim=0), torch.full((11,), 1 / 11))
    torch.testing.assert_close(plan.sum(dim=1), torch.full((7,), 1 / 7), atol=1e-5, rtol=1e-4)


def test_small_eps_in_fp32_stays_finite() -> None:
    cost = (1000 * _cost(20, 20)).requires_grad_()
    value = transport_cost(cost, eps=1e-3, iterations=10)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(cost.grad).all()


def test_the_slope_is_that_of_the_entropic_distance() -> None:
    """OT_eps = <P, C> + eps <P, log P>, by finite differences."""
    cost = _cost(5, 6).double()

    def distance(c: torch.Tensor) -> torch.Tensor:
        plan = transport_plan(c, 0.05, 2000)
        return (plan * c).sum() + 0.05 * (plan * plan.log()).sum()

    variable = cost.clone().requires_grad_()
    transport_cost(variable, 0.05, 2000).backward()
    step = torch.zeros_like(cost)
    step[2, 3] = 1e-5
    numeric = (distance(cost + step) - distance(cost - step)) / 2e-5
    assert float(variable.grad[2, 3]) == pytest.approx(float(numeric), rel=1e-3)


def _outputs(sure: float, labels: list[int], classes: int = 4) -> torch.Tensor:
    logits = torch.zeros(len(labels), classes)
    logits[torch.arange(len(labels)), torch.tensor(labels)] = sure
    return logits.requires_grad_()


def _value(logits: torch.Tensor) -> torch.Tensor:
    return apart(logits.softmax(dim=1), torch.Generator().manual_seed(0), nodes=16)


def test_descent_pushes_classes_apart() -> None:
    logits = _outputs(1.0, [0, 0, 1, 1, 2, 2])
    before = _value(logits)
    before.backward()
    after = _value((logits - logits.grad).detach())
    assert float(after) < float(before) < 0


def test_surer_classes_are_further_apart() -> None:
    labels = [0, 1, 2, 3] * 5
    assert float(_value(_outputs(4.0, labels))) < float(_value(_outputs(0.5, labels)))


def test_one_class_alone_has_no_distance() -> None:
    logits = _outputs(3.0, [1, 1, 1])
    value = _value(logits)
    value.backward()
    assert float(value) == 0
    assert not logits.grad.any()


def test_classes_that_never_occur_are_left_out() -> None:
    """Two classes of 4 and two of 2, same outputs on the plane they share: the same value."""
    few = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8]])
    many = torch.cat([few, torch.zeros(3, 2)], dim=1)
    values = [apart(o, torch.Generator().manual_seed(0), nodes=8) for o in (few, many)]
    assert float(values[0]) == pytest.approx(float(values[1]))
