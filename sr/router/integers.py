"""A trained router in integers: steps from what it really computes, then the blob of a package.

    LR frames --> network in fp32 --> values of f, the squeezed, ... --> steps
    network + steps --> s8 weights, s16 centres, s32 offsets and margins --> blob with self-test

A step is the real value of one integer (`sr/quant/quantise.py`). Pixels have 1/255, the attention
1/255 as well; f has the step b, so f' = (f a + 128) >> 8 has b' = 256/255 b. Centres are in units
of b', distances, offsets and margins in units of b'^2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from player.package.package_error import PackageError
from player.package.router_blob import (
    CENTRE_LIMIT,
    LAYERS,
    MARGIN_LIMIT,
    OFFSET_LIMIT,
    RouterBlob,
    RouterSizes,
    pack_router_blob,
)
from sr.models.network import PIXEL_MAX
from sr.quant.calibrate import LEVELS, percentile
from sr.quant.calibrate import Rule as StepRule
from sr.quant.quantise import integer_layer, largest_weight_steps
from sr.router import reference
from sr.router.decide import distances_of
from sr.router.embedding import SAFE_PATH, RouterNetwork, pad_to_cells

_SMALLEST_STEP = 1e-6  # of a layer that is always zero
_ATTENTION_STEP = 1 / LEVELS
ATTENDED_STEPS = 256 / 255  # of f' = (f a + 128) >> 8, in steps of f

Frame = NDArray[np.uint8]


def pack_router(
    network: RouterNetwork,
    frames: Sequence[Frame],
    paths: Sequence[int],
    offsets: Sequence[float],
    least_margins: Sequence[float],
    hold_frames: int = 1,
) -> bytes:
    """The router blob of a trained network, with its self-test.

    `frames` [h, w, 3] u8 are LR frames like those that it will see; `paths`, `offsets` and
    `least_margins` are one number a class, the last two in the network's own units. Raises
    PackageError where the network has no integer form (no attention, widths that are not
    multiples of 4), ValueError without frames.
    """
    steps = activation_steps(network, frames)
    router = quantise_router(network, steps, hold_frames)
    step = score_step(steps)
    # In the network's own units still: `with_rule` makes integers of the sum.
    corrected = np.asarray(offsets) + distance_errors(network, router, frames, step)
    router = with_rule(router, step, paths, corrected.tolist(), least_margins)
    # The self-test comes last, being one of the finished integers.
    return pack_router_blob(replace(router, self_test=reference.self_test_crc(router)))


def activation_steps(
    network: RouterNetwork, frames: Sequence[Frame], rule: StepRule = percentile
) -> dict[str, float]:
    """The real value of one integer of each layer's output, on frames [h, w, 3] u8."""
    if not frames:
        raise ValueError("a router's steps need at least one LR frame")
    if network.squeeze is None:
        raise PackageError("router: without attention it has no integer form; train it with one")
    seen: dict[str, list[NDArray[np.float32]]] = {}
    for frame in frames:
        x = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / PIXEL_MAX
        x = pad_to_cells(x, network.shape.cell_px)
        with torch.no_grad():
            # All but the last, which is the attention: its step is given.
            for name in LAYERS[:-1]:
                x = F.relu(network.get_submodule(name)(x))
                seen.setdefault(name, []).append(x.flatten().numpy())
    steps = {name: max(rule(np.concatenate(v)), _SMALLEST_STEP) for name, v in seen.items()}
    return {**steps, "excite": _ATTENTION_STEP}


def quantise_router(
    network: RouterNetwork, steps: Mapping[str, float], hold_frames: int = 1
) -> RouterBlob:
    """The network and its centres in integers, all offsets and margins 0, all paths safe."""
    shape = network.shape
    sizes = RouterSizes(shape.cell_px, shape.classes, hold_frames, (*shape.widths, shape.squeeze))
    layers = {}
    # The network reads unit range, the integers pixels; then each layer what the one before wrote.
    reads = 1 / PIXEL_MAX
    for name in LAYERS:
        kinds = (network.get_parameter(f"{name}.{kind}") for kind in ("weight", "bias"))
        weight, bias = (parameter.detach().numpy() for parameter in kinds)
        grid = largest_weight_steps(weight)
        layers[name] = integer_layer(weight, bias, grid, reads, steps[name])
        reads = steps[name]
    # Beside 0..255 too: training makes many of a centre's numbers negative.
    centres = network.centres.detach().double().numpy() / (steps["pool"] * ATTENDED_STEPS)
    nothing = np.zeros(sizes.classes, np.int32)
    return RouterBlob(
        sizes,
        layers,
        np.clip(np.rint(centres), 1 - CENTRE_LIMIT, CENTRE_LIMIT - 1).astype(np.int16),
        nothing,
        nothing,
        np.full(sizes.classes, SAFE_PATH, np.uint8),
    )


def with_rule(
    router: RouterBlob,
    step: float,
    paths: Sequence[int],
    offsets: Sequence[float],
    least_margins: Sequence[float],
) -> RouterBlob:
    """The router with paths, and with offsets and margins in units of `step`, cut to the limits."""
    return replace(
        router,
        paths=np.asarray(paths, np.uint8),
        offsets=_whole(offsets, step, 1 - OFFSET_LIMIT, OFFSET_LIMIT - 1),
        least_margins=_whole(least_margins, step, 0, MARGIN_LIMIT - 1),
    )


def distance_errors(
    network: RouterNetwork, router: RouterBlob, frames: Sequence[Frame], step: float
) -> NDArray[np.float64]:
    """[K]: how much too small the integers' distances are, in the network's units.

    The mean over the cells that a class's offset decides on: it is one of the two nearest. Added
    to the offsets it takes out what rounding shifts as a whole (bias correction: Nagel et al.,
    "Data-free quantization", 2019, section 4.2).
    """
    theirs, ours = [], []
    for frame in frames:
        pixels = torch.from_numpy(frame).permute(2, 0, 1)[None]
        theirs.append(distances_of(network, pixels).reshape(-1, router.sizes.classes))
        scores = reference.scores(router, reference.attended(router, frame))
        ours.append(scores.reshape(-1, router.sizes.classes) * step)
    floats = np.concatenate(theirs)
    near = floats <= np.sort(floats, axis=1)[:, 1:2]
    errors = np.where(near, floats - np.concatenate(ours), 0).sum(axis=0)
    return np.asarray(errors / np.maximum(near.sum(axis=0), 1))


def score_step(steps: Mapping[str, float]) -> float:
    """The squared distance, in the network's units, that the integers count as 1."""
    return (steps["pool"] * ATTENDED_STEPS) ** 2


def _whole(values: Sequence[float], step: float, low: int, high: int) -> NDArray[np.int32]:
    scaled = np.rint(np.asarray(values, np.float64) / step)
    return np.clip(scaled, low, high).astype(np.int32)
