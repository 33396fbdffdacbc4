"""The network that a clip is overfitted to, where a table asks what is done with a trained one."""

from pathlib import Path

from benchmarks.shrinking.clips import Clip
from player.package.artefact import write_bytes
from sr.models import build_network
from sr.packing import pack_integers
from sr.quant.finetune import quantise_trained
from sr.training.loop import TrainingPlan, overfit


def base_blob(clip: Clip, seed: int, steps: int, store: Path) -> bytes:
    """The default network after `steps` on the clip, int8; from the file where it is kept."""
    file = store / f"base-{clip.name}-{len(clip.pairs)}-{seed}-{steps}.bin"
    if not file.exists():
        network, sampler = build_network(clip.arch, seed), clip.sampler(seed)
        overfit(network, sampler, TrainingPlan(steps))
        file.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(file, pack_integers(network.arch, quantise_trained(network, sampler)))
    return file.read_bytes()
