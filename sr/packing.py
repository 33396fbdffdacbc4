"""From a trained network to a weights blob with its self-test, and back."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from player.package.adapted import pack_adapted, unpack_base
from player.package.architecture import Architecture, Tensors
from player.package.package_error import PackageError
from player.package.self_test import self_test_input
from player.package.weights import (
    FLOAT16,
    INT8,
    INT8_CODED,
    INT8_SPARSE,
    WeightsBlob,
    encode_weights,
    pack_payload,
    pack_weights,
    self_test_row,
    unpack_weights,
)
from sr.models import Network, build_network, deployed_network
from sr.quant import reference


def pack_network(network: Network, dtype: int = FLOAT16) -> bytes:
    """The blob of a network in training form: units folded, rounded to `dtype`, self-tested."""
    tensors = network.deployed_arrays()
    blob = unpack_weights(pack_weights(network.arch, tensors, dtype))
    # The engine computes with the rounded weights: so does the network that the test samples.
    rounded = deployed_network(network.arch, blob.tensors)
    samples = {}
    for path in network.arch.paths:
        patch, positions = self_test_input(network.arch, path)
        x = torch.from_numpy(patch).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            samples[path] = to_pixels(rounded(x, path)).ravel()[positions]
    return pack_weights(network.arch, tensors, dtype, samples)


def pack_integers(arch: Architecture, tensors: Tensors) -> bytes:
    """The blob of a quantised network (`sr.quant`), self-tested by the reference.

    Its weights are stored in the form that takes the fewest bytes: coded, where every multiplier is
    on the grid, dense or sparse. Raises PackageError where a bound of the integers does not hold.
    """
    payloads = {form: encode_weights(arch, tensors, form) for form in (INT8, INT8_SPARSE)}
    with suppress(PackageError):
        payloads[INT8_CODED] = encode_weights(arch, tensors, INT8_CODED)
    dtype = min(payloads, key=lambda form: len(pack_payload(arch, payloads[form], form)))
    return pack_payload(arch, payloads[dtype], dtype, _self_tests(arch, tensors, dtype))


def pack_changes(base: bytes, tensors: Tensors) -> bytes:
    """The blob of a quantised network that was made of the blob `base`, which ships: what it
    changes, self-tested by the reference. Raises PackageError as `pack_adapted` does."""
    arch = unpack_base(base).arch
    return pack_adapted(base, tensors, _self_tests(arch, tensors, INT8_CODED))


def _self_tests(arch: Architecture, tensors: Tensors, dtype: int) -> dict[int, NDArray[np.uint8]]:
    rows = {}
    for path in arch.paths:
        patch, positions = self_test_input(arch, path)
        output = reference.upscale(arch, tensors, patch, path)
        rows[path] = self_test_row(dtype, output, positions)
    return rows


def to_pixels(hr: Tensor) -> NDArray[np.uint8]:
    """[1, 3, H, W] in pixel units -> [H, W, 3] u8, rounded half to even as the engine does."""
    return hr[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()


def network_of(blob: WeightsBlob) -> Network:
    """The deployed network of a blob of real numbers, in pixel units."""
    return deployed_network(blob.arch, blob.tensors)


def trainable_network(blob: WeightsBlob) -> Network:
    """A network in unit range that starts from a blob of real numbers: the warm start."""
    network = build_network(blob.arch)
    tensors = {name: torch.tensor(value) for name, value in blob.tensors.items()}
    network.load_deployed(tensors, pixel_units=False)
    return network


def hard_path_alone(blob: WeightsBlob) -> WeightsBlob:
    """The static network that a dynamic chain's hard path is."""
    arch = replace(blob.arch, exits=blob.arch.exits[-1:])
    last = f"exits.{len(blob.arch.exits) - 1}."
    kept = [name for name in blob.tensors if name.startswith(("trunk.", last))]
    renamed = {name.replace(last, "exits.0."): blob.tensors[name] for name in kept}
    return WeightsBlob(arch, blob.dtype, renamed)
