"""Makes the generic networks' int8 form out of their f16 form, without training.

    python -m sr.quant.generic --clips DIR [--scale 2 3 4]

Calibrates on the tiles that `sr.training.generic` learns from (the same --clips), judges on those
that it holds out, and writes player/package/generic/x{2,3,4}.int8.bin and the log of its making.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from player.package.artefact import write_bytes, write_text
from player.package.generic import blob_path
from player.package.weights import unpack_weights
from sr.packing import pack_integers, trainable_network
from sr.quant.finetune import quantise_trained
from sr.training.generic import generic_sampler, held_out_db, learned_tiles, read_tiles


def quantise_generic(tiles: NDArray[np.uint8], scale: int) -> None:
    """Calibrate one scale and write its blob and its log."""
    source = blob_path(scale).read_bytes()
    network = trainable_network(unpack_weights(source))
    held_out, kept = learned_tiles(tiles)
    blob = pack_integers(network.arch, quantise_trained(network, generic_sampler(network, kept)))
    path = blob_path(scale, "int8")
    write_bytes(path, blob)
    log = {
        "command": f"python -m sr.quant.generic --scale {scale}",
        "source": blob_path(scale).name,
        "held_out_tiles": len(held_out),
        "held_out_psnr_rgb_db": held_out_db(blob, held_out, scale),
        "bytes": len(blob),
        "torch": torch.__version__,
    }
    write_text(path.with_suffix(".json"), json.dumps(log, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--scale", type=int, nargs="+", default=[4, 3, 2])
    options = parser.parse_args()
    tiles = read_tiles(options.clips)
    for scale in options.scale:
        quantise_generic(tiles, scale)


if __name__ == "__main__":
    main()
