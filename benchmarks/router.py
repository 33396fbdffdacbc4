"""What a route costs the phone: the router against the hard path, kernels in turns.

    python -m benchmarks.router [--quick] [--json FILE]

One 480x270 frame to 1920x1080 on one thread of this machine's int8 engine, for each of its
instruction sets. JSON to benchmarks/results/router.json.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import environment, interleave, parse_arguments, write_json
from benchmarks.reproduction.table import markdown
from player.costs import macs_per_pixel
from player.engine import Engine, EngineError
from player.package.generic import blob_path
from player.package.paths import HARD
from player.package.weights import unpack_weights
from player.upscale import whole_frame
from sr.latency.measure import HOST, compile_networks
from sr.models import architecture
from sr.router.embedding import RouterNetwork, RouterShape
from sr.router.integers import pack_router

FRAME = (270, 480)  # LR height and width, px
SCALE = 4


def timed(engine: Engine, isa: str, frame: NDArray[np.uint8], rounds: int) -> dict[str, Any]:
    """A row: milliseconds of both, their ratio, and the ratio of their multiplications."""
    engine.select_isa(isa)
    blob = blob_path(SCALE, "int8").read_bytes()
    network, pool, shape = engine.load(blob), engine.pool(1), RouterShape()
    paths, nothing = range(shape.classes), [0.0] * shape.classes
    router = engine.load_router(
        pack_router(RouterNetwork(shape), [frame], list(paths), nothing, nothing)
    )
    patches = whole_frame(frame, HARD)
    times = interleave(
        {
            "hard": lambda: pool.frame([network], patches, frame),
            "router": lambda: router.route(frame),
        },
        rounds,
    )
    hard_ms, router_ms = (1e3 * times[name].median_s for name in ("hard", "router"))
    macs = shape.macs_per_pixel / macs_per_pixel(unpack_weights(blob).arch, HARD)
    return {
        "isa": isa,
        "hard_ms": round(hard_ms, 3),
        "router_ms": round(router_ms, 3),
        "time_ratio": round(router_ms / hard_ms, 4),
        "macs_ratio": round(macs, 4),
    }


def runnable(engine: Engine) -> list[str]:
    """The instruction sets of the engine that this processor has."""
    found = []
    for isa in engine.info["isas"]:
        try:
            engine.select_isa(isa)
        except EngineError:
            continue
        found.append(isa)
    return found


def main() -> None:
    options = parse_arguments("router", (__doc__ or "").splitlines()[0])
    rounds = 3 if options.quick else 15
    frame = np.random.default_rng(0).integers(0, 256, (*FRAME, 3), np.uint8)
    with tempfile.TemporaryDirectory(prefix="pocketsr-router-") as folder:
        arch = architecture("chain", SCALE, dynamic=True)
        files, _ = compile_networks([arch], HOST, "int8", Path(folder))
        engine = Engine.open(files.shared)
        rows = [timed(engine, isa, frame, rounds) for isa in runnable(engine)]
    data = {"schema": "pocketsr.router/1", "environment": environment(("apache-tvm",))}
    write_json(options.json, {**data, "frame": FRAME, "rows": rows})
    print(markdown(rows))


if __name__ == "__main__":
    main()
