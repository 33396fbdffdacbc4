"""Choosing steps from what a trained network really computes: post-training quantisation.

    crops -> network in fp32 -> values after each ReLU -> the step that a rule chooses

Hidden values are 0..largest, most of them small. A step that reaches the largest wastes codes on
a few values; a smaller one cuts them off.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from player.package.architecture import convolutions
from sr.models.network import Network
from sr.quant.quantise import StepSet, largest_weight_steps

LEVELS = 255
VALUES_A_BATCH = 1 << 14  # of a layer that are looked at
_CANDIDATES = np.linspace(0.2, 1.0, 41)  # shares of the largest value
_SMALLEST_STEP = 1e-6  # of a layer that is always zero

Rule = Callable[[NDArray[np.float32]], float]


def percentile(values: NDArray[np.float32]) -> float:
    """The step that cuts off one value in ten thousand."""
    return float(np.quantile(values, 0.9999)) / LEVELS


def least_squares(values: NDArray[np.float32]) -> float:
    """The step of the least squared error, of rounding and of cutting off together."""
    most = float(values.max())
    errors = []
    for step in _CANDIDATES * most / LEVELS:
        codes = np.minimum(np.rint(values / max(step, _SMALLEST_STEP)), LEVELS)
        errors.append(float(np.mean((codes * step - values) ** 2)))
    return float(_CANDIDATES[int(np.argmin(errors))]) * most / LEVELS


def calibrate(network: Network, batches: Iterable[Tensor], rule: Rule = least_squares) -> StepSet:
    """The steps for a network in unit range, from LR crops [N, 3, h, w] with their halo."""
    values = hidden_values(network, batches)
    activations = {name: max(rule(seen), _SMALLEST_STEP) for name, seen in values.items()}
    return StepSet(activations, weight_steps(network))


def weight_steps(network: Network) -> dict[str, NDArray[np.float64]]:
    """[O] of each convolution: its largest weight is 127."""
    tensors = network.deployed_arrays()
    names = (name for name, _ in convolutions(network.arch))
    return {name: largest_weight_steps(tensors[f"{name}.weight"]) for name in names}


def hidden_values(network: Network, batches: Iterable[Tensor]) -> dict[str, NDArray[np.float32]]:
    """For each convolution of the trunk, a sample of its values after the ReLU."""
    seen: dict[str, list[NDArray[np.float32]]] = {}
    hooks = []
    for name, module in network.get_submodule("trunk").named_children():
        parts = seen.setdefault(f"trunk.{name}", [])

        # `parts` is bound as a default: a closure would see the loop's last list.
        def keep(_: nn.Module, __: object, out: Tensor, parts: list = parts) -> None:
            # The hook sees the convolution's output, before the ReLU.
            flat = out.detach().relu().flatten()
            parts.append(flat[:: max(1, len(flat) // VALUES_A_BATCH)].numpy())

        hooks.append(module.register_forward_hook(keep))
    try:
        with torch.no_grad():
            for batch in batches:
                network.residuals(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: np.concatenate(parts) for name, parts in seen.items()}
