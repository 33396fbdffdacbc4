"""What networks and route maps take in each of their forms, and how long reading them takes.

    python -m benchmarks.coding [--json FILE] [PACKAGE ...]

Networks: the generic ones, and those of packages. Multipliers that are not on the grid of coded
blobs are put there; no weight changes by that. The entropy is that of each convolution's weights
by their frequencies, which no code of one symbol after the other beats, without biases and
multipliers, which the other columns have. Route maps: those of the packages, all segments together.
Times are processor times, of Python and of the engine in the cache, without the self-test.
JSON to benchmarks/results/coding.json.
"""

import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import argument_parser, environment, write_json
from player.engine import Engine
from player.engines import cached_engine
from player.package.architecture import convolutions, tensor_layout
from player.package.generic import GENERIC_SCALES, generic_blob
from player.package.index import read_index
from player.package.integers import grid_multiplier
from player.package.route_maps import pack_routes, unpack_routes
from player.package.weights import (
    INT8,
    INT8_CODED,
    INT8_SPARSE,
    WeightsBlob,
    pack_weights,
    unpack_weights,
)

FORMS = {"dense": INT8, "sparse": INT8_SPARSE, "coded": INT8_CODED}
ROUNDS = 5


def network_row(name: str, blob: WeightsBlob, engine: Engine | None) -> dict[str, Any]:
    """Bytes in every form without self-test, and milliseconds to read the coded one."""
    tensors = {
        key: grid_multiplier(value) if key.endswith(".multiplier") else value
        for key, value in blob.tensors.items()
    }
    blobs = {form: pack_weights(blob.arch, tensors, dtype) for form, dtype in FORMS.items()}
    weights = [tensors[f"{conv}.weight"] for conv, _ in convolutions(blob.arch)]
    times = {"python": _milliseconds(lambda: unpack_weights(blobs["coded"]))}
    if engine is not None:
        # What both have in common, the plan and the packing, is taken off.
        opening = {form: _milliseconds(partial(_open, engine, b)) for form, b in blobs.items()}
        times["engine"] = max(0.0, opening["coded"] - opening["dense"])
    return {
        "network": name,
        "parameters": sum(spec.size for spec in tensor_layout(blob.arch)),
        "bytes": {form: len(data) for form, data in blobs.items()},
        "entropy_bytes": round(sum(map(entropy_bits, weights)) / 8),
        "zero_share": round(float(np.mean(np.concatenate([w.ravel() for w in weights]) == 0)), 3),
        "ms": {who: round(ms, 2) for who, ms in times.items()},
    }


def maps_row(name: str, maps: Sequence[NDArray[np.uint8]]) -> dict[str, Any]:
    """Bytes of a film's route maps in both forms, and milliseconds to read what is written."""
    written = [pack_routes(codes) for codes in maps]
    return {
        "package": name,
        "segments": len(maps),
        "cells": list(maps[0].shape[1:]),
        "frames": sum(len(codes) for codes in maps),
        "bytes": {
            "deflated": sum(map(_deflated_bytes, maps)),
            "written": sum(map(len, written)),
        },
        "ms_a_segment": round(max(_milliseconds(partial(unpack_routes, b)) for b in written), 2),
    }


def entropy_bits(weight: NDArray[Any]) -> float:
    """Of a convolution's weights, each by itself, by their frequencies."""
    _, counts = np.unique(weight, return_counts=True)
    return float(-(counts * np.log2(counts / counts.sum())).sum())


def _deflated_bytes(codes: NDArray[np.uint8]) -> int:
    delta = codes.copy()
    delta[1:] ^= codes[:-1]
    return 11 + len(zlib.compress(delta.tobytes(), 9))


def _open(engine: Engine, blob: bytes) -> None:
    engine.load(blob).close()


def _milliseconds(run: Callable[[], object]) -> float:
    """The least processor time of a few runs."""
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        run()
        times.append(time.process_time() - started)
    return 1e3 * min(times)


def measure(packages: Iterable[Path]) -> dict[str, list[dict[str, Any]]]:
    """The rows of all networks and maps."""
    engine = cached_engine("int8")
    networks = [
        network_row(f"generic x{scale}", unpack_weights(generic_blob(scale, "int8")), engine)
        for scale in GENERIC_SCALES
    ]
    maps = []
    for package in packages:
        index = read_index(package).index
        for entry in index.weights:
            blob = unpack_weights((package / entry.file).read_bytes())
            networks.append(network_row(package.name, blob, engine))
        codes = [unpack_routes((package / entry.file).read_bytes()) for entry in index.routes]
        if codes:
            maps.append(maps_row(package.name, codes))
    return {"networks": networks, "maps": maps}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the JSON."""
    parser = argument_parser("coding", __doc__)
    parser.add_argument("packages", nargs="*", type=Path, metavar="PACKAGE")
    options = parser.parse_args(arguments)
    write_json(options.json, {"environment": environment(), **measure(options.packages)})


if __name__ == "__main__":
    main()
