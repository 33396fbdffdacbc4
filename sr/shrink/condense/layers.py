"""Which layers are condensed first: CD-MoE's greedy search over layers, and its control."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class LayerOrder:
    """The layers in the order chosen, and the divergence with all up to each condensed."""

    layers: tuple[int, ...]
    divergences: tuple[float, ...]


def greedy_layers(
    layers: Sequence[int], divergence_of: Callable[[frozenset[int]], float], count: int
) -> LayerOrder:
    """Condense `count` times the layer that, with those before it, moves the network least.

    CD-MoE, greedy search of layers (beam of one). `divergence_of` condenses exactly the given
    layers and returns how far the last layer's output moved (mean Jensen-Shannon divergence,
    nats); it is asked once for each set. Of equally good layers the first is taken.

    Raises:
        ValueError: more layers to condense than there are.
    """
    if not 0 <= count <= len(layers):
        raise ValueError(f"layers: condense {count} of {len(layers)}; condense at most all of them")
    chosen: list[int] = []
    divergences: list[float] = []
    for _ in range(count):
        left = [layer for layer in layers if layer not in chosen]
        costs = {layer: divergence_of(frozenset([*chosen, layer])) for layer in left}
        best = min(left, key=costs.__getitem__)
        chosen.append(best)
        divergences.append(costs[best])
    return LayerOrder(tuple(chosen), tuple(divergences))


def random_layers(layers: Sequence[int], seed: int) -> tuple[int, ...]:
    """Control: the layers in an order drawn with a seed."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(layers[i] for i in torch.randperm(len(layers), generator=generator).tolist())
