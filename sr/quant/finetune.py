"""From a trained network to integers: calibration, then training on with rounded numbers.

    trained network --calibrate--> steps --make_fake--> overfit some more --integers_of--> integers

The last part is an overfitting like the one before it: a function of the seed, and resumable at any
point. Where the weights' bits have a price, it is long and goes on along the rates of the part
before, for what a network says in fewer bits it has to learn anew; without, it is a short
fine-tuning at low rates.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from sr.models.network import Network
from sr.quant.calibrate import calibrate
from sr.quant.fake import integers_of, make_fake
from sr.quant.quantise import quantise
from sr.quant.rate import RateTerm
from sr.training.data import CropSampler
from sr.training.loop import Companion, Companions, OnStep, TrainingPlan, overfit

FINE_TUNING_SHARE = 0.1  # of the overfitting's steps, added to them
RATE_AWARE_SHARE = 0.4  # of all steps, where bits have a price
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


def training_plans(steps: int, rate_aware: bool) -> tuple[TrainingPlan, TrainingPlan]:
    """The overfitting and the fine-tuning of a network that gets so many steps.

    Where bits have a price both take as long, but rounded numbers are trained for 40 % of it.
    """
    fine_tuning = fine_tuning_plan(steps)
    if not rate_aware:
        return TrainingPlan(steps), fine_tuning
    whole = steps + fine_tuning.steps
    return TrainingPlan(whole).split(round((1 - RATE_AWARE_SHARE) * whole))


def retouching_plans(steps: int) -> tuple[TrainingPlan, TrainingPlan]:
    """The same for a network that has learned already, and that was in integers.

    It stays so all along: its steps are the ones that it had, and at full rates it would begin by
    forgetting.
    """
    whole = steps + fine_tuning_plan(steps).steps
    return TrainingPlan(0), TrainingPlan(whole, muon_rate=MUON_RATE, adam_rate=ADAM_RATE)


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
    rate_weight: float = 0.0,
) -> dict[str, NDArray[Any]]:
    """The integers of a network in unit range after training on as `plan` says.

    The network's convolutions are replaced by rounded ones; its parameters move, as far as
    `companion` lets them. `rate_weight`: what a bit of the weights costs, as squared error of the
    sampler's crops. With `checkpoint`, goes on from it, as `overfit` does.
    """
    steps = calibrate(network, calibration_crops(sampler))
    # After calibration, which watches the real convolutions.
    make_fake(network, steps.activations, learn_weights=rate_weight > 0)
    members = [companion] if companion else []
    if rate_weight > 0:
        members.append(RateTerm(network, rate_weight))
    own = replace(sampler, seed=sampler.seed + FINE_TUNING_SEED)
    overfit(network, own, plan, checkpoint, on_step, Companions(members))
    return integers_of(network)
