"""Step: the method's networks, overfitted one after the other to their shares of the patches.

build --overfit, or stages--> fp32 --fine_tune, rounded--> integers --> weights blob, int8
                                +-----------------------> weights blob, f16 (--dtype fp32)
"""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from player.package.artefact import write_bytes
from player.package.layout import weights_name
from player.package.paths import HARD
from sr.encode.frames import training_set
from sr.encode.methods import NetworkTask
from sr.encode.sampling import Material, sampling_of
from sr.encode.shrinking import shrink_network
from sr.encode.work import Work
from sr.models import Network, build_network, deployed_network
from sr.packing import hard_path_alone, pack_integers, pack_network, trainable_network
from sr.quant.finetune import fine_tune, fine_tuning_plan
from sr.quant.integer_network import IntegerNetwork
from sr.quant.loss import quantisation_loss_db
from sr.shrink.zeros import KeepZeros
from sr.training.data import CropSampler
from sr.training.loop import TrainingPlan, overfit


@dataclass(frozen=True)
class TrainedNetwork:
    """A weights blob; how long it was trained as integers, what that lost against fp32, a row for
    each stage that shrank it, and the crops that it was trained on, LR px."""

    blob: bytes
    fine_tuning_steps: int = 0
    quantisation_loss_db: float | None = None
    stages: list[dict[str, Any]] = field(default_factory=list)
    crops_a_step: int = 0
    crop_px: int = 0


def overfit_networks(
    work: Work, tasks: list[NetworkTask], material: Material
) -> list[TrainedNetwork]:
    """All networks, in the order of the tasks; finished ones are taken as they are."""
    networks = []
    for number, task in enumerate(tasks):
        step, file = f"train-{number}", work.job.work / weights_name(number)
        if (record := work.job.result(step)) is None:
            network = _train(work, task, number, material)
            write_bytes(file, network.blob)
            record = {k: v for k, v in asdict(network).items() if k != "blob"}
            work.job.finish(step, record, [file])
        networks.append(TrainedNetwork(file.read_bytes(), **record))
    return networks


def _train(work: Work, task: NetworkTask, number: int, material: Material) -> TrainedNetwork:
    network = _start(work)
    data = training_set(material.pairs, work.config.scale, network.halo_px(HARD))
    seed = work.config.seed * 1000 + number
    sampling = sampling_of(work, task, data, material, seed)
    sampler = sampling.sampler
    rows: list[dict[str, Any]] = []
    if work.config.stages:
        network, rows = shrink_network(work, network, sampler, number, task.steps, material.groups)
    else:
        work.progress.stage(f"overfit {number}", task.steps)
        checkpoint = work.job.work / f"train-{number}.ckpt"
        plan, watch = TrainingPlan(task.steps), sampling.companion
        overfit(network, sampler, plan, checkpoint, work.progress.at, watch)
    if work.config.arithmetic == "fp32":
        trained = TrainedNetwork(pack_network(network))
    else:
        trained = _quantise(work, network, sampler, number, task.steps)
    return replace(trained, stages=rows, crops_a_step=sampler.batch, crop_px=sampler.side_px)


def _quantise(
    work: Work, network: Network, sampler: CropSampler, number: int, steps: int
) -> TrainedNetwork:
    """Fine-tune a network that has had `steps` steps, as integers, and pack those."""
    before = deployed_network(network.arch, network.deployed_arrays())
    plan = fine_tuning_plan(steps)
    work.progress.stage(f"fine-tune {number}", plan.steps)
    checkpoint = work.job.work / f"fine-tune-{number}.ckpt"
    zeros = KeepZeros(network) if work.config.stages else None
    integers = fine_tune(network, sampler, plan, checkpoint, work.progress.at, zeros)
    after = IntegerNetwork(network.arch, integers)
    loss_db = quantisation_loss_db(before, after, sampler)
    return TrainedNetwork(pack_integers(network.arch, integers), plan.steps, round(loss_db, 4))


def _start(work: Work) -> Network:
    """From the generic network where it is of this family and widths, else from the seed."""
    arch, generic = work.arch, work.generic
    if not work.config.warm_start or (generic.arch.name, generic.arch.widths) != (
        arch.name,
        arch.widths,
    ):
        return build_network(arch, work.config.seed)
    return trainable_network(generic if work.method.dynamic else hard_path_alone(generic))
