"""The network that a clip is overfitted to, where a table asks what is done with a trained one; and
what says that a training went astray."""

from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from benchmarks.shrinking.clips import Clip
from player.package.artefact import write_bytes
from sr.models import build_network
from sr.packing import pack_integers
from sr.quant.finetune import quantise_trained
from sr.training.loop import TrainingPlan, overfit

Trained = TypeVar("Trained", bound=nn.Module)


class DivergedError(ArithmeticError):
    """A network whose weights are no numbers any more: its row says so, others go on."""


def trained_well(network: Trained) -> Trained:
    """The network, after its training. Raises DivergedError."""
    for name, parameter in network.named_parameters():
        if not torch.isfinite(parameter).all():
            raise DivergedError(f"{name} is not finite after training")
    return network


def base_blob(clip: Clip, seed: int, steps: int, store: Path) -> bytes:
    """The default network after `steps` on the clip, int8; from the file where it is kept."""
    file = store / f"base-{clip.name}-{len(clip.pairs)}-{seed}-{steps}.bin"
    if not file.exists():
        network, sampler = build_network(clip.arch, seed), clip.sampler(seed)
        overfit(network, sampler, TrainingPlan(steps))
        file.parent.mkdir(parents=True, exist_ok=True)
        integers = quantise_trained(trained_well(network), sampler)
        write_bytes(file, pack_integers(network.arch, integers))
    return file.read_bytes()
