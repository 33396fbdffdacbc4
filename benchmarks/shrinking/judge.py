"""What a shrunken network is worth: its integers on whole frames, by group; its time in the engine.

Every network is quantised in the same way, without fine-tuning, packed, and judged by the pixels
that the engine shows, all of them, on the hard path.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.shrinking.base import trained_well
from benchmarks.shrinking.clips import Clip
from chunking.grid import with_halo
from player.costs import macs_per_pixel
from player.metrics import psnr_db
from player.package.architecture import Architecture
from player.package.paths import HARD
from sr.latency.measure import HOST, Patience, compile_networks, time_networks
from sr.models import Network
from sr.models.network import PIXEL_MAX
from sr.packing import pack_integers
from sr.quant.finetune import quantise_trained
from sr.scoring import path_sse, scored_network
from sr.training.data import CropSampler

FRAME = (270, 480)  # LR height and width of the frame that is timed, px
PATIENCE = Patience(least_rounds=15, most_rounds=40, most_s=120, tolerance=0.01)


def judge(network: Network, clip: Clip, sampler: CropSampler) -> dict[str, Any]:
    """Bytes, multiplications, PSNR (RGB, dB) of the whole clip and of each group."""
    blob = pack_integers(network.arch, quantise_trained(trained_well(network), sampler))
    return {
        "widths": list(network.arch.widths),
        "bytes": len(blob),
        "macs": macs_per_pixel(network.arch, HARD),
        **judge_blob(blob, clip),
    }


def judge_blob(blob: bytes, clip: Clip) -> dict[str, Any]:
    """PSNR of a packed network."""
    network = scored_network(blob)
    errors = np.stack([sse[HARD] for sse in path_sse(network, clip.pairs, clip.grid)])
    return group_psnr(errors, clip)


def seen_patches(
    network: Network, clip: Clip
) -> Iterator[tuple[tuple[int, int, int], Tensor, NDArray[np.uint8]]]:
    """Each patch: its place (frame, row, column), LR [1, 3, h + 2R, w + 2R] in unit range with the
    hard path's halo, and HR [r h, r w, 3]."""
    halo, scale = network.halo_px(HARD), int(network.arch.scale)
    for t, pair in enumerate(clip.pairs):
        for number, patch in enumerate(clip.grid.fine_patches()):
            seen = torch.from_numpy(with_halo(pair.lr, patch, halo)).permute(2, 0, 1)[None]
            rows, columns = (
                slice(scale * at, scale * (at + side))
                for at, side in ((patch.y, patch.h), (patch.x, patch.w))
            )
            place = (t, *divmod(number, clip.grid.shape[1]))
            yield place, seen.float() / PIXEL_MAX, pair.hr[rows, columns]


def missed_sse(network: Network, lr: Tensor, residual: Tensor, hr: NDArray[np.uint8]) -> float:
    """Squared error of a patch's pixels, the anchor and `residual` of the hard path."""
    detail = F.pixel_shuffle(residual, network.arch.hr_units)
    shown = (network.base(lr, network.halo_px(HARD)) + detail)[0].permute(1, 2, 0).numpy()
    missed = (shown * PIXEL_MAX).round().clip(0, PIXEL_MAX) - hr
    return float(np.square(missed, dtype=np.float64).sum())


def group_psnr(errors: NDArray[np.float64], clip: Clip) -> dict[str, Any]:
    """From squared errors [T, gh, gw] to dB: all patches, each group's, the worst group's."""
    samples = np.broadcast_to(clip.samples, errors.shape)
    groups = range(int(clip.groups.max()) + 1)
    masks = [clip.groups == group for group in groups]
    by_group = [psnr_db(float(errors[m].sum() / samples[m].sum())) for m in masks]
    whole = psnr_db(float(errors.sum() / samples.sum()))
    return {"psnr_db": whole, "group_db": by_group, "worst_group_db": min(by_group)}


def engine_ms(archs: Sequence[Architecture]) -> list[float]:
    """Milliseconds of a frame on the hard path, one thread, all in turns in one process."""
    with tempfile.TemporaryDirectory(prefix="pocketsr-shrink-") as folder:
        files, _ = compile_networks(archs, HOST, "int8", Path(folder))
        _, times = time_networks(files.shared, archs, "int8", FRAME, PATIENCE)
    return [ns / 1e6 for ns in times.hard_ns]
