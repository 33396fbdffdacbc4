"""Step: the method's networks, overfitted one after the other to their shares of the patches."""

from player.package.atomic import write_bytes
from player.package.weights import HARD
from sr.encode.frames import training_set
from sr.encode.methods import NetworkTask
from sr.encode.work import Work
from sr.models import Network, build_network
from sr.packing import hard_path_alone, pack_network, trainable_network
from sr.scoring import FramePair
from sr.training.data import CropSampler
from sr.training.loop import TrainingPlan, overfit


def overfit_networks(work: Work, tasks: list[NetworkTask], pairs: list[FramePair]) -> list[bytes]:
    """The blobs of all networks, in the order of the tasks; finished ones are taken as they are."""
    blobs = []
    for number, task in enumerate(tasks):
        step, file = f"train-{number}", work.job.work / f"weights-{number:03d}.bin"
        if work.job.result(step) is None:
            write_bytes(file, _overfit(work, task, number, pairs))
            work.job.finish(step, {"steps": task.steps}, [file])
        blobs.append(file.read_bytes())
    return blobs


def _overfit(work: Work, task: NetworkTask, number: int, pairs: list[FramePair]) -> bytes:
    network = _start(work)
    data = training_set(pairs, work.config.scale, network.halo_px(HARD))
    cell_px = work.grid.fine_h, work.grid.fine_w
    seed = work.config.seed * 1000 + number
    sampler = CropSampler(data, task.shares, cell_px, work.config.bounds.batch, seed)
    work.progress.stage(f"overfit {number}", task.steps)
    checkpoint = work.job.work / f"train-{number}.ckpt"
    overfit(network, sampler, TrainingPlan(task.steps), checkpoint, work.progress.at)
    return pack_network(network)


def _start(work: Work) -> Network:
    """From the generic network where it is of this family and widths, else from the seed."""
    arch, generic = work.arch, work.generic
    if not work.config.warm_start or (generic.arch.name, generic.arch.widths) != (
        arch.name,
        arch.widths,
    ):
        return build_network(arch, work.config.seed)
    return trainable_network(generic if work.method.dynamic else hard_path_alone(generic))
