"""CD-MoE on language models: Qwen2-MoE, DeepSeek-V2 and DeepSeek-V3 of transformers.

    calibration text ─► every layer's input, output, gates          record_layer
                     ─► constant gates, experts to keep             search_layer
                     ─► one dense FFN a layer, gates folded in      condense_block
                     ─► layer order by the last layer's output      order_layers
                     ─► modules replaced in the model, in place     replace_layers
                     ─► light fine-tuning of shared + kept experts  train_only_condensed

Calibration batches are token ids, integers [B, T], without padding: cut texts to one length.
The network computes in its own dtype; gates and divergences are fp32.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr.shrink.expert_search import (
    ExpertChoice,
    GateStatistics,
    LayerOrder,
    NoExpertsError,
    greedy_experts,
    greedy_layers,
    mean_js,
)
from sr.usage_error import UsageError

Batches = Sequence[Tensor]


@dataclass(frozen=True)
class _Family:
    """What one class of transformers calls its shared expert and the gate on it, if any."""

    shared: str
    shared_gate: str | None = None


_FAMILIES = {
    "Qwen2MoeSparseMoeBlock": _Family("shared_expert", "shared_expert_gate"),
    "DeepseekV2Moe": _Family("shared_experts"),
    "DeepseekV3MoE": _Family("shared_experts"),
}


class CondensedFfn(nn.Module):
    """Shared and kept experts as one dense FFN: down(act(gate(x)) * up(x)), [..., D] to the same.

    Its hidden units are those of the shared expert, then of each kept expert; the constant gates
    are folded into the columns of `down_proj`. Where the network has a sigmoid gate on its shared
    expert (Qwen2-MoE), that gate is kept as it is, on the first `shared_units` hidden units: it
    differs from token to token, so no constant folds it exactly.
    """

    def __init__(
        self, projections: tuple[nn.Linear, nn.Linear, nn.Linear],
        act_fn: Callable[[Tensor], Tensor], shared_gate: nn.Module | None, shared_units: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = projections
        self.act_fn = act_fn
        self.shared_gate = shared_gate
        self.shared_units = shared_units

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.act_fn(self.gate_proj(x)) * self.up_proj(x)
        if self.shared_gate is not None:
            shared, routed = hidden.tensor_split([self.shared_units], dim=-1)
            hidden = torch.cat([torch.sigmoid(self.shared_gate(x)) * shared, routed], dim=-1)
        return self.down_proj(hidden)


@dataclass(frozen=True)
class LayerRecord:
    """One layer on the calibration text: N tokens of D features, everything as trained.

    `inputs`: what the experts see; `residual`: what their sum is added to; `output`: the decoder
    layer's output; `gates`: the router's decisions. Tensors are [N, D].
    """

    inputs: Tensor
    residual: Tensor
    output: Tensor
    gates: GateStatistics


@dataclass(frozen=True)
class LayerSearch:
    """What one layer's search found: experts, constant gates fp32 [E], tokens an expert [E]."""

    choice: ExpertChoice
    gates: Tensor
    counts: Tensor


@dataclass(frozen=True)
class Condensation:
    """What `condense` did: the layers in the order taken, and each one's search."""

    order: LayerOrder
    searches: Mapping[int, LayerSearch]


def load_model(path: Path) -> nn.Module:
    """A checkpoint folder (config.json, *.safetensors) as a causal language model, offline.

    Raises:
        UsageError: transformers is missing, or the folder holds no checkpoint it can read.
        NoExpertsError: the network has no experts.
    """
    try:
        from transformers import AutoModelForCausalLM
    except ImportError as error:
        raise UsageError(
            "condense: transformers is missing; pip install 'pocketsr[laboratory]'"
        ) from error
    if not (path / "config.json").is_file():
        raise UsageError(f"{path}: no config.json; give the folder of a transformers checkpoint")
    model = cast(
        nn.Module,
        AutoModelForCausalLM.from_pretrained(path, local_files_only=True, dtype="auto"),
    )
    expert_layers(model)
    return model.eval()


def decoder_layers(model: nn.Module) -> nn.ModuleList:
    """The decoder layers of a causal language model or of its body."""
    return cast(nn.ModuleList, getattr(model, "base_model", model).layers)


def expert_layers(model: nn.Module) -> tuple[int, ...]:
    """The indices of the decoder layers that still have routed experts.

    Raises:
        NoExpertsError: there is none, or the network is of a class not known here.
    """
    layers = getattr(getattr(model, "base_model", model), "layers", ())
    found = tuple(i for i, layer in enumerate(layers) if _family(layer.mlp) is not None)
    if not found:
        raise NoExpertsError(
            f"condense: {type(model).__name__} has no layer with routed experts; give a network of "
            "Qwen2-MoE, DeepSeek-V2 or DeepSeek-V3"
        )
    return found


def _family(block: object) -> _Family | None:
    names = (kind.__name__ for kind in type(block).__mro__)
    return next((_FAMILIES[name] for name in names if name in _FAMILIES), None)


def _block(model: nn.Module, layer: int) -> Any:
    """The block of experts of a layer; NoExpertsError where it has none."""
    block = cast(Any, decoder_layers(model)[layer]).mlp
    if _family(block) is None:
        raise NoExpertsError(
            f"condense: layer {layer} has no routed experts; choose of {expert_layers(model)}"
        )
    return block


def _shared_gate(block: Any) -> nn.Module | None:
    name = cast(_Family, _family(block)).shared_gate
    return None if name is None else getattr(block, name)


def shared_output(block: Any, x: Tensor) -> Tensor:
    """The shared expert's part of a block's output, its own gate included: [N, D] to [N, D]."""
    shared = getattr(block, cast(_Family, _family(block)).shared)(x)
    gate = _shared_gate(block)
    return shared if gate is None else torch.sigmoid(gate(x)) * shared


def expert_output(block: Any, expert: int, x: Tensor) -> Tensor:
    """One routed expert's output without a gate, [N, D] to [N, D], from the fused 3-D tensors."""
    gate, up = F.linear(x, block.experts.gate_up_proj[expert]).chunk(2, dim=-1)
    return F.linear(block.experts.act_fn(gate) * up, block.experts.down_proj[expert])


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """No gradients and no dropout, the mode restored afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def _flat(tensor: Tensor) -> Tensor:
    return tensor.detach().reshape(-1, tensor.shape[-1])


def record_layer(model: nn.Module, layer: int, batches: Batches) -> LayerRecord:
    """Run the calibration text and keep what one layer's search needs."""
    block, decoder = _block(model, layer), cast(Any, decoder_layers(model)[layer])
    inputs: list[Tensor] = []
    residuals: list[Tensor] = []
    outputs: list[Tensor] = []
    gates = GateStatistics(len(block.experts.gate_up_proj))
    with ExitStack() as hooks, _evaluating(model):
        for handle in (
            decoder.post_attention_layernorm.register_forward_pre_hook(
                lambda _, args: residuals.append(_flat(args[0]))
            ),
            block.register_forward_pre_hook(lambda _, args: inputs.append(_flat(args[0]))),
            block.register_forward_hook(lambda _, __, out: outputs.append(_flat(out))),
            block.gate.register_forward_hook(lambda _, __, out: gates.add(out[2], out[1])),
        ):
            hooks.callback(handle.remove)
        for tokens in batches:
            model(input_ids=tokens, use_cache=False)
    residual = torch.cat(residuals)
    return LayerRecord(torch.cat(inputs), residual, residual + torch.cat(outputs), gates)


def search_layer(
    model: nn.Module, layer: int, batches: Batches, keep: int, fallback: float | None = None
) -> LayerSearch:
    """Gates and greedy choice of `keep` experts for one layer, all other layers as trained.

    Holds the outputs of all experts, [E, N, D] in the network's dtype: N is the calibration
    text's number of tokens. `fallback`: the gate of experts that no token selected
    (`GateStatistics.means`).
    """
    record, block = record_layer(model, layer, batches), _block(model, layer)
    gates = record.gates.means(fallback)
    with torch.no_grad():
        base = record.residual + shared_output(block, record.inputs)
        contributions = [
            expert_output(block, expert, record.inputs) * gate
            for expert, gate in enumerate(gates.tolist())
        ]
    choice = greedy_experts(base, record.output, contributions, keep)
    return LayerSearch(choice, gates, record.gates.counts)


def condense_block(block: Any, experts: Sequence[int], gates: Tensor) -> CondensedFfn:
    """One dense FFN of a block's shared expert and the given routed ones; the block stays as it is.

    `gates`: constant gates [E], as `LayerSearch.gates`. Weights are copies.
    """
    shared = getattr(block, cast(_Family, _family(block)).shared)
    fused, down = block.experts.gate_up_proj.detach(), block.experts.down_proj.detach()
    halves = [fused[e].chunk(2, dim=0) for e in experts]
    folded = [down[e] * gates[e].item() for e in experts]
    projections = (
        _stacked(shared.gate_proj, [gate for gate, _ in halves]),
        _stacked(shared.up_proj, [up for _, up in halves]),
        _linear([shared.down_proj.weight, *folded], shared.down_proj.bias, dim=1),
    )
    units = shared.gate_proj.out_features
    return CondensedFfn(projections, block.experts.act_fn, _shared_gate(block), units)


def _stacked(shared: nn.Linear, routed: Sequence[Tensor]) -> nn.Linear:
    """The shared projection and the routed ones above each other; routed experts have no bias."""
    bias: Tensor | None = shared.bias
    if bias is not None:
        units = sum(len(weight) for weight in routed)
        bias = torch.cat([bias.detach(), bias.new_zeros(units)])
    return _linear([shared.weight, *routed], bias, dim=0)


def _linear(weights: Sequence[Tensor], bias: Tensor | None, dim: int) -> nn.Linear:
    weight = torch.cat([w.detach() for w in weights], dim=dim)
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    linear.weight = nn.Parameter(weight)
    if bias is not None:
        linear.bias = nn.Parameter(bias.detach().clone())
    return linear


def replace_layers(model: nn.Module, blocks: Mapping[int, nn.Module]) -> None:
    """Put a block in the place of each named layer's, in the model itself."""
    for layer, block in blocks.items():
        decoder_layers(model)[layer].mlp = block


@contextmanager
def replaced_layers(model: nn.Module, blocks: Mapping[int, nn.Module]) -> Iterator[None]:
    """The same for a while: the blocks that were there come back."""
    before = {layer: cast(Any, decoder_layers(model)[layer]).mlp for layer in blocks}
    replace_layers(model, blocks)
    try:
        yield
    finally:
        replace_layers(model, before)


def last_output(model: nn.Module, batches: Batches) -> Tensor:
    """The last decoder layer's output before the final norm, [N, D]."""
    outputs: list[Tensor] = []
    handle = decoder_layers(model)[-1].register_forward_hook(
        lambda _, __, out: outputs.append(_flat(out))
    )
    try:
        with _evaluating(model):
            for tokens in batches:
                model(input_ids=tokens, use_cache=False)
    finally:
        handle.remove()
    return torch.cat(outputs)


def order_layers(
    model: nn.Module, blocks: Mapping[int, nn.Module], batches: Batches, count: int
) -> LayerOrder:
    """The greedy order in which `count` of the condensed `blocks` go in; the model is unchanged."""
    target = last_output(model, batches)

    def divergence_of(layers: frozenset[int]) -> float:
        with replaced_layers(model, {layer: blocks[layer] for layer in layers}):
            return mean_js(target, last_output(model, batches))

    return greedy_layers(tuple(blocks), divergence_of, count)


def condense(model: nn.Module, batches: Batches, keep: int, count: int) -> Condensation:
    """Condense `count` layers of a model in place, each to its shared and `keep` routed experts.

    CD-MoE: experts are searched layer by layer with the others as trained, then the layers' order.

    Raises:
        NoExpertsError: the network has no layer with routed experts.
        ValueError: more layers or experts than there are.
    """
    searches = {i: search_layer(model, i, batches, keep) for i in expert_layers(model)}
    blocks = {
        i: condense_block(_block(model, i), search.choice.experts, search.gates)
        for i, search in searches.items()
    }
    order = order_layers(model, blocks, batches, count)
    replace_layers(model, {layer: blocks[layer] for layer in order.layers})
    return Condensation(order, {layer: searches[layer] for layer in order.layers})


def train_only_condensed(model: nn.Module) -> list[nn.Parameter]:
    """Freeze all but the shared and kept experts of condensed layers; returns those parameters.

    As CD-MoE's light fine-tuning; a gate on the shared expert stays frozen.
    """
    model.requires_grad_(False)
    blocks = [m for m in model.modules() if isinstance(m, CondensedFfn)]
    linears = [linear for b in blocks for linear in (b.gate_proj, b.up_proj, b.down_proj)]
    for linear in linears:
        linear.requires_grad_(True)
    return [p for linear in linears for p in linear.parameters()]
