"""The condensation's searches: against their definitions and against trying every candidate."""

import math

import pytest
import torch
from torch import Tensor

from benchmarks.shrinking.controls import (
    SHARED_ONLY,
    frequent_experts,
    random_experts,
    random_layers,
)
from sr.shrink.expert_search import (
    GateStatistics,
    NoExpertsError,
    greedy_experts,
    greedy_layers,
    js_divergence,
    mean_js,
)
from sr.usage_error import UsageError

EXPERTS, PLACES, FEATURES = 7, 60, 12
LAYER_COSTS = {1: 5.0, 3: 1.0, 4: 2.0, 6: 2.5}


def seeded(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def textbook_js(left: Tensor, right: Tensor) -> Tensor:
    p, q = left.double().softmax(-1), right.double().softmax(-1)
    m = (p + q) / 2
    return 0.5 * (p * (p / m).log() + q * (q / m).log()).sum(-1)


class TestGates:
    def test_the_mean_is_over_the_places_that_selected_the_expert(self):
        statistics = GateStatistics(4)
        statistics.add(torch.tensor([[0, 1], [0, 2]]), torch.tensor([[0.6, 0.4], [0.2, 0.1]]))
        statistics.add(torch.tensor([[1, 0]]), torch.tensor([[0.8, 0.1]]))
        torch.testing.assert_close(
            statistics.means(fallback=0.06), torch.tensor([0.3, 0.6, 0.1, 0.06])
        )
        assert statistics.counts.tolist() == [3, 2, 1, 0]
        assert statistics.places == 3

    def test_unseen_experts_fall_back_to_the_mean_of_the_seen(self):
        statistics = GateStatistics(3)
        statistics.add(torch.tensor([[0, 2]]), torch.tensor([[0.7, 0.1]]))
        torch.testing.assert_close(statistics.means(), torch.tensor([0.7, 0.4, 0.1]))

    def test_batches_add_up(self):
        chosen = torch.randint(0, 5, (40, 2), generator=torch.Generator().manual_seed(1))
        weights = torch.rand(40, 2, generator=torch.Generator().manual_seed(2))
        whole, parts = GateStatistics(5), GateStatistics(5)
        whole.add(chosen, weights)
        for begin in (0, 13, 26):
            parts.add(chosen[begin : begin + 13], weights[begin : begin + 13])
        parts.add(chosen[39:], weights[39:])
        torch.testing.assert_close(whole.means(), parts.means())

    def test_without_data_or_with_other_shapes_it_says_so(self):
        with pytest.raises(ValueError, match="no expert was selected"):
            GateStatistics(3).means()
        with pytest.raises(ValueError, match="weights"):
            GateStatistics(3).add(torch.zeros(2, 1, dtype=torch.int64), torch.zeros(2, 2))


class TestDivergence:
    def test_it_is_the_textbook_formula(self):
        left, right = seeded(50, 33, seed=1) * 3, seeded(50, 33, seed=2) * 3
        torch.testing.assert_close(
            js_divergence(left, right).double(), textbook_js(left, right), rtol=1e-5, atol=1e-9
        )

    def test_tiny_divergences_keep_their_digits(self):
        left = seeded(20, 96, seed=3)
        right = left + 1e-3 * seeded(20, 96, seed=4)
        exact = textbook_js(left, right)
        assert exact.max() < 1e-6
        torch.testing.assert_close(js_divergence(left, right).double(), exact, rtol=1e-2, atol=0)

    def test_bounds_and_symmetry(self):
        far = torch.tensor([[200.0, 0.0]]), torch.tensor([[0.0, 200.0]])
        assert js_divergence(*far).item() == pytest.approx(math.log(2), rel=1e-5)
        left, right = seeded(9, 8, seed=5), seeded(9, 8, seed=6)
        torch.testing.assert_close(js_divergence(left, right), js_divergence(right, left))
        assert js_divergence(left, left).abs().max() == 0

    def test_half_precision_is_computed_in_fp32(self):
        left, right = seeded(9, 8, seed=5).half(), seeded(9, 8, seed=6).half()
        assert js_divergence(left, right).dtype == torch.float32
        torch.testing.assert_close(
            js_divergence(left, right), js_divergence(left.float(), right.float())
        )

    def test_the_mean_is_over_places_whatever_the_chunk(self):
        left, right = seeded(23, 8, seed=5), seeded(23, 8, seed=6)
        expected = js_divergence(left, right).mean().item()
        assert mean_js(left, right, chunk=5) == pytest.approx(expected, rel=1e-6)


class TinyLayer:
    """A layer of experts that can be run whole: what the search must not need to do."""

    def __init__(self, seed: int) -> None:
        self.x = seeded(PLACES, FEATURES, seed=seed)
        self.weights = seeded(EXPERTS, FEATURES, FEATURES, seed=seed + 1) * 0.4
        self.shared = seeded(FEATURES, FEATURES, seed=seed + 2) * 0.3
        self.router = seeded(EXPERTS, FEATURES, seed=seed + 3)
        top = (self.x @ self.router.T).softmax(-1).topk(3, dim=-1)
        self.chosen, self.given = top.indices, top.values
        statistics = GateStatistics(EXPERTS)
        statistics.add(self.chosen, self.given)
        self.gates = statistics.means()

    def expert(self, e: int) -> Tensor:
        return (self.x @ self.weights[e]).relu()

    def base(self) -> Tensor:
        return self.x + (self.x @ self.shared).relu()

    def routed(self) -> Tensor:
        dense = torch.zeros(PLACES, EXPERTS).scatter(1, self.chosen, self.given)
        return self.base() + sum(dense[:, e, None] * self.expert(e) for e in range(EXPERTS))

    def condensed(self, experts: list[int]) -> Tensor:
        return self.base() + sum(self.gates[e] * self.expert(e) for e in experts)


def brute_force(layer: TinyLayer, keep: int) -> tuple[list[int], list[float]]:
    """The published loop: the layer is run again for every candidate."""
    chosen: list[int] = []
    costs: list[float] = []
    for _ in range(keep):
        tried = {
            e: textbook_js(layer.routed(), layer.condensed([*chosen, e])).mean().item()
            for e in range(EXPERTS)
            if e not in chosen
        }
        chosen.append(min(tried, key=tried.__getitem__))
        costs.append(tried[chosen[-1]])
    return chosen, costs


class TestExperts:
    @pytest.mark.parametrize("seed", range(0, 60, 10))
    @pytest.mark.parametrize("chunk", [17, 4096])
    def test_the_search_equals_recomputing_every_candidate(self, seed, chunk):
        layer = TinyLayer(seed)
        contributions = torch.stack([layer.gates[e] * layer.expert(e) for e in range(EXPERTS)])
        found = greedy_experts(layer.base(), layer.routed(), contributions, 5, chunk)
        experts, costs = brute_force(layer, 5)
        assert list(found.experts) == experts
        assert found.divergences == pytest.approx(costs, rel=1e-4)

    def test_it_finds_the_experts_that_the_target_is_made_of(self):
        base, parts = seeded(40, 9, seed=1), seeded(6, 40, 9, seed=2)
        target = base + parts[4] + parts[1]
        found = greedy_experts(base, target, parts, 2)
        assert sorted(found.experts) == [1, 4]
        assert found.divergences[1] < 1e-10 < found.divergences[0]

    def test_inputs_are_left_as_they_are(self):
        base = seeded(5, 4)
        before = base.clone()
        greedy_experts(base, seeded(5, 4, seed=1), seeded(3, 5, 4, seed=2), 2)
        assert torch.equal(base, before)

    def test_impossible_requests_say_so(self):
        base = seeded(5, 4)
        with pytest.raises(ValueError, match="keep 4 of 3"):
            greedy_experts(base, base, seeded(3, 5, 4), 4)
        with pytest.raises(ValueError, match="differ in shape"):
            greedy_experts(base, base, seeded(3, 5, 5), 1)

    def test_controls(self):
        assert frequent_experts(torch.tensor([3, 9, 9, 1]), 3) == (1, 2, 0)
        drawn = random_experts(16, 4, seed=3)
        assert drawn == random_experts(16, 4, seed=3)
        assert len(set(drawn)) == 4 and set(drawn) <= set(range(16))
        assert len({random_experts(16, 4, seed=s) for s in range(20)}) > 15
        base, target, parts = seeded(5, 4), seeded(5, 4, seed=1), seeded(3, 5, 4)
        assert greedy_experts(base, target, parts, keep=0).experts == SHARED_ONLY

    def test_a_network_without_experts_is_a_usage_error(self):
        assert issubclass(NoExpertsError, UsageError) and issubclass(NoExpertsError, ValueError)
        assert NoExpertsError.exit_code == 2


class TestLayers:
    def divergence(self, layers: frozenset[int]) -> float:
        """4 alone is the second best, but together with 3 it is the worst."""
        return sum(LAYER_COSTS[i] for i in layers) + (10 if {3, 4} <= layers else 0)

    def test_each_layer_is_judged_together_with_those_already_chosen(self):
        order = greedy_layers((1, 3, 4, 6), self.divergence, 4)
        assert order.layers == (3, 6, 1, 4)
        assert order.divergences == (1.0, 3.5, 8.5, 20.5)

    def test_every_set_is_asked_once(self):
        asked: list[frozenset[int]] = []
        greedy_layers((1, 3, 4, 6), lambda s: asked.append(s) or self.divergence(s), 3)
        assert len(asked) == len(set(asked)) == 4 + 3 + 2

    def test_too_many_layers(self):
        with pytest.raises(ValueError, match="condense 3 of 2"):
            greedy_layers((0, 1), self.divergence, 3)

    def test_the_random_order_is_seeded(self):
        assert random_layers((1, 3, 4, 6), 2) == random_layers((1, 3, 4, 6), 2)
        assert {random_layers((1, 3), s) for s in range(20)} == {(1, 3), (3, 1)}
