"""Step: the method's networks, overfitted one after the other to their shares of the patches.

build --overfit, or stages--> fp32 --fine_tune, rounded--> integers --> weights blob, int8
                                +-----------------------> weights blob, f16 (--dtype fp32)
a network that is there --adapt--> its integers, changed -> blob of the changes
                                       (one that ships: --adapt; the film's first: cafm, delta)
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from player.package.adapted import unpack_base, whole_blob
from player.package.artefact import read_sealed, write_sealed
from player.package.layout import weights_name
from player.package.paths import HARD
from player.package.shipped import shipped_blob
from player.package.weights import unpack_weights
from sr.encode.methods import Difficulty, NetworkTask
from sr.encode.protect import protected
from sr.encode.rate_weight import crop_rate_weight
from sr.encode.sampling import Material, sampler_of
from sr.encode.shrinking import content_groups, shrink_network
from sr.encode.work import Work
from sr.models import Network, build_network, deployed_network
from sr.packing import hard_path_alone, pack_changes, pack_integers, pack_network, trainable_network
from sr.quant.adapt import adapt, adapting_plan
from sr.quant.finetune import fine_tune, retouching_plans, training_plans
from sr.quant.integer_network import IntegerNetwork
from sr.quant.loss import quantisation_loss_db
from sr.quant.quantise import real_tensors
from sr.shrink.sparse import KeepZeros
from sr.training.branches import overfit_with_branches
from sr.training.loop import overfit
from sr.training.spread import CELL_PX
from sr.usage_error import UsageError


@dataclass(frozen=True)
class TrainedNetwork:
    """A weights blob, as it travels; how long it was trained as integers, what that lost against
    fp32, a row for each stage that shrank it, and the crops that it was trained on, LR px."""

    blob: bytes
    fine_tuning_steps: int = 0
    quantisation_loss_db: float | None = None
    stages: list[dict[str, Any]] = field(default_factory=list)
    crops_a_step: int = 0
    crop_px: int = 0


def overfit_networks(
    work: Work, difficulty: Difficulty
) -> tuple[list[NetworkTask], list[TrainedNetwork]]:
    """What the method trains, and the networks in that order; finished ones are as they were.

    Raises UsageError where the film has too few patches, or not what the options name.
    """
    training, film = work.options.training, work.film
    if training.method != "dydca" and training.chunks > difficulty.fine_db.size:
        raise UsageError(
            f"{difficulty.fine_db.size} patches cannot make {training.chunks} chunks: "
            "lower --chunks"
        )
    if work.method.by_time and training.chunks > len(difficulty.fine_db):
        raise UsageError(
            f"{len(difficulty.fine_db)} frames cannot make {training.chunks} stretches of time: "
            "lower --chunks"
        )
    tasks = work.method.tasks(difficulty, training)
    watched = protected(work, (CELL_PX, CELL_PX), film.learned)
    groups = content_groups(work, difficulty)
    material = Material(difficulty, groups, watched.cells if watched else None)
    networks: list[TrainedNetwork] = []
    for number, task in enumerate(tasks):
        file = work.job.path(weights_name(number))

        # Bound as defaults: a closure would see the loop's last values.
        def make(number: int = number, task: NetworkTask = task, file: Path = file) -> Any:
            if training.adapt:
                assert training.shipped is not None
                network = _adapt(work, task, number, material, shipped_blob(training.shipped))
            elif task.changes:
                network = _adapt(work, task, number, material, networks[0].blob)
            else:
                network = _train(work, task, number, material)
            write_sealed(file, network.blob)
            return {k: v for k, v in asdict(network).items() if k != "blob"}

        record = work.job.step(f"train-{number}", make, [file])
        networks.append(TrainedNetwork(read_sealed(file), **record))
    return tasks, networks


def _train(work: Work, task: NetworkTask, number: int, material: Material) -> TrainedNetwork:
    training, progress = work.options.training, work.progress
    network = _start(work)
    data = work.film.training_set(network.halo_px(HARD), network.arch.units)
    # A seed for each network of the job, far from those of a job with the next seed.
    sampler = sampler_of(work, task, data, material, training.seed * 1000 + number)
    is_int8 = training.arithmetic == "int8"
    rate_weight = crop_rate_weight(work, material.difficulty, task, sampler) if is_int8 else 0.0
    plans = training_plans(task.steps, rate_aware=rate_weight > 0)
    if training.warm_from is not None and is_int8:
        plans = retouching_plans(task.steps)
    first, second = (replace(plan, loss=training.loss_space) for plan in plans)
    rows: list[dict[str, Any]] = []
    zeros = None  # what the stages left at zero stays there while it learns to round
    if work.options.shrink.stages:
        # Stages plan with all of the steps that were asked for.
        network, rows = shrink_network(work, network, sampler, number, task.steps, material.groups)
        zeros = KeepZeros(network)
    else:
        progress.stage(f"overfit {number}", first.whole or first.steps)
        checkpoint = work.job.path(f"train-{number}.ckpt")
        if work.method.branches:
            network = overfit_with_branches(
                network, sampler, first, training.seed, checkpoint, progress.at
            )
        else:
            overfit(network, sampler, first, checkpoint, progress.at)
    drawn: dict[str, Any] = {
        "stages": rows, "crops_a_step": sampler.batch, "crop_px": sampler.side_px,
    }  # fmt: skip
    if not is_int8:
        return TrainedNetwork(pack_network(network), **drawn)
    # What rounding costs is judged against the network as it is now, before it learns to round.
    before = deployed_network(network.arch, network.deployed_arrays())
    progress.stage(f"fine-tune {number}", second.whole or second.steps)
    checkpoint = work.job.path(f"fine-tune-{number}.ckpt")
    integers = fine_tune(network, sampler, second, checkpoint, progress.at, zeros, rate_weight)
    loss_db = quantisation_loss_db(before, IntegerNetwork(network.arch, integers), sampler)
    blob = pack_integers(network.arch, integers)
    return TrainedNetwork(blob, second.steps, round(loss_db, 4), **drawn)


def _adapt(
    work: Work, task: NetworkTask, number: int, material: Material, base: bytes
) -> TrainedNetwork:
    """What the network `base` changes for this film, or this part of it."""
    training, progress = work.options.training, work.progress
    before, known = training.warm_from, unpack_base(base)
    data = work.film.training_set(known.arch.halo_px(HARD), known.arch.units)
    sampler = sampler_of(work, task, data, material, training.seed * 1000 + number)
    plan = replace(adapting_plan(task.steps, before is not None), loss=training.loss_space)
    progress.stage(f"adapt {training.shipped or number}", plan.steps)
    integers = adapt(
        known,
        sampler,
        plan,
        crop_rate_weight(work, material.difficulty, task, sampler),
        unpack_weights(whole_blob(before.read_bytes())).tensors if before else None,
        work.job.path(f"adapt-{number}.ckpt"),
        progress.at,
        task.changes == "scalars",
    )
    blob, crops = pack_changes(base, integers), sampler.batch
    return TrainedNetwork(blob, plan.steps, crops_a_step=crops, crop_px=sampler.side_px)


def _start(work: Work) -> Network:
    """From the blob named, or the generic network where it is of this architecture, or the seed."""
    if (blob := work.options.training.warm_from) is not None:
        known = unpack_weights(blob.read_bytes())
        return trainable_network(replace(known, tensors=real_tensors(known.arch, known.tensors)))
    if work.options.training.warm_start:
        generic = work.generic if work.method.dynamic else hard_path_alone(work.generic)
        if generic.arch == work.arch:
            return trainable_network(generic)
    return build_network(work.arch, work.options.training.seed)
