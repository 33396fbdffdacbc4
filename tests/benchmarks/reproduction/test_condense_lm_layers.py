"""Condensed language models: exact folding on all three classes, the search, the loading path."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    DeepseekV2Config,
    DeepseekV2ForCausalLM,
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
)

from benchmarks.reproduction.condense_lm_layers import (
    CondensedFfn,
    condense,
    condense_block,
    decoder_layers,
    expert_layers,
    last_output,
    load_model,
    record_layer,
    replaced_layers,
    search_layer,
    train_only_condensed,
)
from sr.shrink.expert_search import NoExpertsError, mean_js
from sr.usage_error import UsageError

LAYERS, EXPERTS, TOP, DIM, HIDDEN = 3, 8, 3, 32, 12
COMMON = {
    "vocab_size": 40, "hidden_size": DIM, "intermediate_size": 48, "num_hidden_layers": LAYERS,
    "num_attention_heads": 4, "num_key_value_heads": 4, "moe_intermediate_size": HIDDEN,
    "num_experts_per_tok": TOP, "initializer_range": 0.3, "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
LATENT = {
    "n_routed_experts": EXPERTS, "n_shared_experts": 2, "q_lora_rank": None, "kv_lora_rank": 16,
    "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8, "first_k_dense_replace": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    model: type
    config: object
    norm: bool  # gates of a token sum to one, times the scale
    scale: float


def qwen(norm: bool) -> Case:
    config = Qwen2MoeConfig(
        **COMMON, num_experts=EXPERTS, shared_expert_intermediate_size=20, norm_topk_prob=norm,
        mlp_only_layers=[0],
    )  # fmt: skip
    return Case(Qwen2MoeForCausalLM, config, norm, 1.0)


def deepseek2(mlp_bias: bool) -> Case:
    config = DeepseekV2Config(
        **COMMON, **LATENT, routed_scaling_factor=1.7, topk_method="greedy", mlp_bias=mlp_bias
    )
    return Case(DeepseekV2ForCausalLM, config, False, 1.7)


def deepseek3() -> Case:
    config = DeepseekV3Config(
        **COMMON, **LATENT, routed_scaling_factor=2.5, n_group=2, topk_group=1, norm_topk_prob=True
    )
    return Case(DeepseekV3ForCausalLM, config, True, 2.5)


CASES = {
    "qwen2": qwen(False),
    "qwen2-normed": qwen(True),
    "deepseek2": deepseek2(False),
    "deepseek2-bias": deepseek2(True),
    "deepseek3": deepseek3(),
}


def seeded_model(case: Case) -> nn.Module:
    torch.manual_seed(0)
    model = case.model(case.config).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):  # zero in a new network, and then never seen
            nn.init.normal_(parameter, std=0.3)
    return model


def batches(count: int = 2, seed: int = 5) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, 40, (3, 11), generator=generator) for _ in range(count)]


@pytest.fixture(params=CASES)
def case(request) -> Case:
    return CASES[request.param]


def explicit_sum(block: nn.Module, x: Tensor, experts: list[int], gates: Tensor) -> Tensor:
    """Shared expert plus kept experts times their constant gates, expert by expert."""
    if hasattr(block, "shared_expert_gate"):
        total = block.shared_expert(x) * torch.sigmoid(block.shared_expert_gate(x))
    else:
        total = block.shared_experts(x)
    for e in experts:
        gate_up, down = block.experts.gate_up_proj[e], block.experts.down_proj[e]
        hidden = block.experts.act_fn(x @ gate_up[:HIDDEN].T) * (x @ gate_up[HIDDEN:].T)
        total = total + gates[e] * (hidden @ down.T)
    return total


class TestFolding:
    @pytest.mark.parametrize("experts", [[], [5], [6, 0, 3, 2]])
    def test_one_dense_ffn_equals_the_explicit_sum(self, case, experts):
        block = decoder_layers(seeded_model(case))[1].mlp
        gates = torch.linspace(0.03, 0.9, EXPERTS)
        ffn = condense_block(block, experts, gates)
        x = torch.randn(2, 9, DIM, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            expected = explicit_sum(block, x, experts, gates)
            assert expected.abs().max() > 0.1
            assert (ffn(x) - expected).abs().max() < 1e-5
        shared = 20 if hasattr(block, "shared_expert") else 2 * HIDDEN
        assert ffn.down_proj.weight.shape == (DIM, shared + HIDDEN * len(experts))

    def test_weights_are_copies(self, case):
        block = decoder_layers(seeded_model(case))[1].mlp
        before = {name: tensor.clone() for name, tensor in block.state_dict().items()}
        ffn = condense_block(block, [1], torch.ones(EXPERTS))
        with torch.no_grad():
            for linear in (ffn.gate_proj, ffn.up_proj, ffn.down_proj):
                linear.weight.zero_()
        assert all(torch.equal(before[n], t) for n, t in block.state_dict().items())


class TestRecord:
    def test_routing_by_the_recorded_gates_gives_the_recorded_output(self, case):
        """Residual, input, gates (with norm and scale) and output belong together."""
        model = seeded_model(case)
        block = decoder_layers(model)[1].mlp
        record = record_layer(model, 1, batches())
        _, weights, chosen = block.gate(record.inputs)
        output = record.residual.clone()
        for n in range(len(output)):
            x = record.inputs[n : n + 1]
            routed = explicit_sum(block, x, chosen[n].tolist(), _dense(chosen[n], weights[n]))
            output[n] += routed[0]
        torch.testing.assert_close(record.output, output, rtol=1e-4, atol=1e-5)
        assert record.gates.places == 2 * 3 * 11
        assert record.gates.counts.sum() == record.gates.places * TOP

    def test_gates_have_the_networks_norm_and_scale(self, case):
        statistics = record_layer(seeded_model(case), 1, batches()).gates
        total = (statistics.means().double() * statistics.counts).sum() / statistics.places
        if case.norm:
            assert total == pytest.approx(case.scale, rel=1e-5)
        else:
            assert 0.3 * case.scale < total < case.scale

    def test_the_model_is_left_as_it_was(self, case):
        model = seeded_model(case).train()
        record_layer(model, 1, batches(1))
        last_output(model, batches(1))
        assert model.training
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def _dense(chosen: Tensor, weights: Tensor) -> Tensor:
    return torch.zeros(EXPERTS).scatter(0, chosen, weights.float())


class TestCondense:
    def test_the_search_is_the_loop_over_condensed_models(self, case):
        """Every candidate put into the model itself, as in the published search."""
        model, text = seeded_model(case), batches()
        block = decoder_layers(model)[1].mlp
        record, found = record_layer(model, 1, text), search_layer(model, 1, text, 2)
        chosen: list[int] = []
        for cost in found.choice.divergences:
            tried = {}
            for e in set(range(EXPERTS)) - set(chosen):
                with replaced_layers(model, {1: condense_block(block, [*chosen, e], found.gates)}):
                    tried[e] = mean_js(record.output, _layer_output(model, 1, text))
            chosen.append(min(tried, key=tried.__getitem__))
            assert tried[chosen[-1]] == pytest.approx(cost, rel=1e-3)
        assert found.choice.experts == tuple(chosen)

    def test_layers_are_replaced_in_place_in_greedy_order(self, case):
        model, text = seeded_model(case), batches()
        before = last_output(model, text)
        done = condense(model, text, keep=2, count=1)
        layer = done.order.layers[0]
        assert isinstance(decoder_layers(model)[layer].mlp, CondensedFfn)
        assert set(expert_layers(model)) == {1, 2} - {layer}
        assert mean_js(before, last_output(model, text)) == pytest.approx(
            done.order.divergences[0], rel=1e-5
        )
        other = seeded_model(case)
        condense(other, text, keep=2, count=2)
        with pytest.raises(NoExpertsError, match="no layer with routed experts"):
            condense(other, text, keep=2, count=1)

    def test_only_shared_and_kept_experts_of_condensed_layers_train(self, case):
        model = seeded_model(case)
        layer = condense(model, batches(), keep=2, count=1).order.layers[0]
        trained = train_only_condensed(model)
        names = {n for n, p in model.named_parameters() if p.requires_grad}
        assert len(trained) == len(names)
        assert all(n.startswith(f"model.layers.{layer}.mlp.") for n in names)
        assert not any("shared_gate" in n for n in names)
        tokens = batches(1)[0]
        model(input_ids=tokens, labels=tokens).loss.backward()
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in trained)


def _layer_output(model: nn.Module, layer: int, text: list[Tensor]) -> Tensor:
    seen: list[Tensor] = []
    handle = decoder_layers(model)[layer].register_forward_hook(
        lambda _, __, out: seen.append(out.reshape(-1, DIM))
    )
    with torch.no_grad():
        for tokens in text:
            model(input_ids=tokens)
    handle.remove()
    return torch.cat(seen)


class TestLoading:
    def test_a_saved_checkpoint_is_loaded_and_condensed(self, case, tmp_path):
        model, text = seeded_model(case), batches()
        model.save_pretrained(tmp_path)
        loaded = load_model(tmp_path)
        torch.testing.assert_close(last_output(loaded, text), last_output(model, text))
        assert expert_layers(loaded) == (1, 2)
        condense(model, text, keep=2, count=2)
        condense(loaded, text, keep=2, count=2)
        torch.testing.assert_close(last_output(loaded, text), last_output(model, text))

    def test_a_network_without_experts_is_refused(self, tmp_path):
        config = LlamaConfig(
            vocab_size=40, hidden_size=DIM, intermediate_size=48, num_hidden_layers=1,
            num_attention_heads=4, num_key_value_heads=4,
        )  # fmt: skip
        LlamaForCausalLM(config).save_pretrained(tmp_path)
        with pytest.raises(NoExpertsError, match="LlamaForCausalLM has no layer") as error:
            load_model(tmp_path)
        assert error.value.exit_code == 2
        with pytest.raises(NoExpertsError, match="Linear has no layer"):
            expert_layers(nn.Linear(3, 3))

    def test_a_dense_layer_of_a_mixture_is_refused(self):
        with pytest.raises(NoExpertsError, match=r"layer 0 .* choose of \(1, 2\)"):
            search_layer(seeded_model(CASES["deepseek2"]), 0, batches(1), 2)

    def test_a_folder_without_a_checkpoint(self, tmp_path):
        with pytest.raises(UsageError, match=r"no config\.json"):
            load_model(tmp_path)
