"""From a trained network to integers: calibration, then fine-tuning with rounded numbers.

    trained network --calibrate--> steps --make_fake--> overfit some more --quantise--> integers

The fine-tuning is an overfitting like the one before it, with low rates: a function of the seed,
and resumable at any point.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from sr.models.network import Network
from sr.quant.calibrate import calibrate, weight_steps
from sr.quant.fake import learned_activations, make_fake
from sr.quant.quantise import StepSet, quantise
from sr.training.data import CropSampler
from sr.training.loop import Companion, OnStep, TrainingPlan, overfit

FINE_TUNING_SHARE = 0.1  # of the overfitting's steps
MUON_RATE, ADAM_RATE = 0.004, 8e-4
_CALIBRATION_BATCHES = 16
_CALIBRATION_SEED, FINE_TUNING_SEED = 500, 501  # added: crops that the overfitting did not draw


def calibration_crops(sampler: CropSampler) -> Iterator[Tensor]:
    """LR crops [N, 3, h, w] to calibrate on, drawn by the sampler's shares."""
    own = replace(sampler, seed=sampler.seed + _CALIBRATION_SEED)
    return (own.draw(step).lr for step in range(_CALIBRATION_BATCHES))


def fine_tuning_plan(overfitting_steps: int) -> TrainingPlan:
    """The fine-tuning that follows so many steps."""
    steps = max(1, round(FINE_TUNING_SHARE * overfitting_steps))
    return TrainingPlan(steps, muon_rate=MUON_RATE, adam_rate=ADAM_RATE)


def quantise_trained(network: Network, sampler: CropSampler) -> dict[str, NDArray[Any]]:
    """The integers of a network in unit range, without any more training."""
    steps = calibrate(network, calibration_crops(sampler))
    return quantise(network.arch, network.deployed_arrays(), steps)


def fine_tune(
    network: Network,
    sampler: CropSampler,
    plan: TrainingPlan,
    checkpoint: Path | None = None,
    on_step: OnStep | None = None,
    companion: Companion | None = None,
) -> dict[str, NDArray[Any]]:
    """The integers of a network in unit range after training on as `plan` says.

    The network's convolutions are replaced by rounded ones; its parameters move, as far as
    `companion` lets them. With `checkpoint`, goes on from it, as `overfit` does.
    """
    steps = calibrate(network, calibration_crops(sampler))
    # After calibration, which watches the real convolutions.
    make_fake(network, steps.activations)
    own = replace(sampler, seed=sampler.seed + FINE_TUNING_SEED)
    overfit(network, own, plan, checkpoint, on_step, companion)
    # The weights' steps are not learned: the largest weight of each output is 127 all along.
    learned = StepSet(learned_activations(network), weight_steps(network))
    return quantise(network.arch, network.deployed_arrays(), learned)
