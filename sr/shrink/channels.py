"""Channels that may go: what hangs on each of them, and how they are cut out for good.

    convolution ──channel c──► (normalisation c) ──► every convolution that reads c

Which parameters belong to an output channel follows from torch-pruning's dependency graph (Fang
et al., DepGraph, CVPR 2023), so a stage works on any network that the graph can trace.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn

Forward = Callable[[nn.Module, Tensor], Any]


@dataclass(frozen=True)
class Traced:
    """A model, an input for it, how it is called, and the convolutions whose outputs may go."""

    model: nn.Module
    example: Tensor
    forward: Forward
    prunable: tuple[str, ...]


@dataclass(frozen=True)
class Coupling:
    """By name: a convolution, the modules that carry its outputs, those that read them."""

    convolution: str
    carriers: tuple[str, ...]
    readers: tuple[str, ...]


def couplings(traced: Traced) -> list[Coupling]:
    """What is coupled to the outputs of each prunable convolution, in their order."""
    graph = _graph(traced)
    names = {module: name for name, module in traced.model.named_modules()}
    found = []
    for name in traced.prunable:
        whole = traced.model.get_submodule(name)
        group = graph.get_pruning_group(whole, torch_pruning.prune_conv_out_channels, idxs=[0])
        # Sets that keep the graph's order.
        carriers: dict[str, None] = {}
        readers: dict[str, None] = {}
        for dependency, _ in group:
            module = dependency.target.module
            if module in names and any(True for _ in module.parameters()):
                carries = graph.is_out_channel_pruning_fn(dependency.handler)
                (carriers if carries else readers)[names[module]] = None
        found.append(Coupling(name, tuple(carriers), tuple(readers)))
    return found


def _graph(traced: Traced) -> torch_pruning.DependencyGraph:
    graph = torch_pruning.DependencyGraph()
    return graph.build_dependency(traced.model, traced.example, forward_fn=traced.forward)


def cut_channels(traced: Traced, kept: Mapping[str, Iterable[int]]) -> None:
    """Cut out, in place, all outputs of the named convolutions but those in `kept`."""
    graph = _graph(traced)
    for name, indices in kept.items():
        module = traced.model.get_submodule(name)
        assert isinstance(module, nn.Conv2d)
        gone = sorted(set(range(module.out_channels)) - set(indices))
        if gone:
            prune = torch_pruning.prune_conv_out_channels
            graph.get_pruning_group(module, prune, idxs=gone).prune()


class ScaledConvolution(nn.Conv2d):
    """A convolution with a factor for each output, as BatchNorm's gamma is one: what a channel is
    worth becomes a number that is learned. `fold_scales` turns it into a plain convolution."""

    def __init__(self, plain: nn.Conv2d) -> None:
        super().__init__(plain.in_channels, plain.out_channels, plain.kernel_size[0])
        self.weight, self.bias = plain.weight, plain.bias
        self.scale = nn.Parameter(torch.ones(plain.out_channels))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale.to(x.dtype)[:, None, None]


def add_scales(model: nn.Module, names: Iterable[str]) -> None:
    """Give the named convolutions a factor for each output, in place."""
    for name in names:
        plain = model.get_submodule(name)
        assert isinstance(plain, nn.Conv2d)
        model.set_submodule(name, ScaledConvolution(plain))


def fold_scales(model: nn.Module) -> None:
    """Fold every factor into its convolution's weights and bias, in place and exactly."""
    scaled = {n: m for n, m in model.named_modules() if isinstance(m, ScaledConvolution)}
    for name, module in scaled.items():
        plain = nn.Conv2d(module.in_channels, module.out_channels, module.kernel_size[0])
        with torch.no_grad():
            plain.weight.copy_(module.weight * module.scale[:, None, None, None])
            assert plain.bias is not None and module.bias is not None
            plain.bias.copy_(module.bias * module.scale)
        model.set_submodule(name, plain.to(memory_format=torch.channels_last))  # type: ignore[call-overload]


@dataclass(frozen=True)
class ChannelLayer:
    """The channels of one convolution in training.

    `rows`: parameters and buffers [C, ...] of which channel c owns row c. `columns`: readers'
    weights [O, C, k, k]. `scale` [C]: the channels' factors, one of the rows.
    """

    name: str
    weight: nn.Parameter
    scale: nn.Parameter
    rows: tuple[Tensor, ...]
    columns: tuple[nn.Parameter, ...]

    @property
    def channels(self) -> int:
        return len(self.weight)

    def importance(self) -> Tensor:
        """[C]: |scale| times the lengths of a channel's own weights and of those that read it."""
        own = self.weight.detach().flatten(1).norm(dim=1)
        read = sum(w.detach().square().sum(dim=(0, 2, 3)) for w in self.columns)
        return self.scale.detach().abs() * own * torch.as_tensor(read).sqrt()


def kept_channels(layers: Iterable[ChannelLayer], on: Iterable[Tensor]) -> dict[str, list[int]]:
    """For each convolution the channels whose mask [C] is on, as `cut_channels` takes it."""
    pairs = zip(layers, on, strict=True)
    return {layer.name: mask.nonzero().flatten().tolist() for layer, mask in pairs}


def channel_layers(model: nn.Module, coupled: Iterable[Coupling]) -> list[ChannelLayer]:
    """The layers of `couplings`, with the model's present parameters.

    A layer's factors are those of its `ScaledConvolution` or of the BatchNorm behind it.
    """
    return [_channel_layer(model, coupling) for coupling in coupled]


def _channel_layer(model: nn.Module, coupling: Coupling) -> ChannelLayer:
    carriers = [model.get_submodule(name) for name in coupling.carriers]
    tensors = [
        t for m in carriers for t in (*m.parameters(recurse=False), *m.buffers(recurse=False))
    ]
    weights = [model.get_submodule(name).weight for name in coupling.readers]
    convolution = model.get_submodule(coupling.convolution)
    return ChannelLayer(
        coupling.convolution,
        _parameter(convolution.weight),
        _scale_of(carriers),
        tuple(t for t in tensors if t.dim() > 0),
        tuple(_parameter(w) for w in weights),
    )


def _parameter(value: Tensor | nn.Module) -> nn.Parameter:
    assert isinstance(value, nn.Parameter)
    return value


def _scale_of(carriers: Iterable[nn.Module]) -> nn.Parameter:
    for module in carriers:
        if isinstance(module, ScaledConvolution):
            return module.scale
        if isinstance(module, nn.BatchNorm2d):
            return _parameter(module.weight)
    raise ValueError("a prunable convolution needs a factor for each channel: call add_scales")
