"""What a step of training takes in bf16 and in fp32, on this machine; no clip is needed.

    python -m benchmarks.precision [--rounds N]

Steps of the default network on random crops, in turns. `chosen` is what training takes here
(sr/models/precision.py): the faster one, or the choice is wrong. JSON to
benchmarks/results/precision.json.
"""

from functools import partial

import numpy as np
import torch

from benchmarks.harness import argument_parser, environment, interleave, write_json
from player.package.paths import HARD
from sr.models import architecture, build_network
from sr.models.precision import computes_in_bf16
from sr.training.data import Batch, CropSampler, FramePair, training_set

SCALE, CROPS = 2, 16


def crops(halo_px: int) -> Batch:
    """A batch as a film would give it."""
    rng = np.random.default_rng(0)
    lr = rng.integers(0, 256, (96, 160, 3), np.uint8)
    hr = rng.integers(0, 256, (192, 320, 3), np.uint8)
    data = training_set([FramePair(lr, hr)], SCALE, halo_px)
    return CropSampler(data, np.ones((1, 2, 2)), (96, 160), CROPS, seed=0).draw(0)


def main() -> None:
    parser = argument_parser("precision", __doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    torch.set_num_threads(1)
    network = build_network(architecture("chain", SCALE, False), 0)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batch = crops(network.halo_px(HARD))

    def step(is_bf16: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            residuals = network.residuals(batch.lr)
        torch.stack([r.float().square().mean() for r in residuals.values()]).sum().backward()

    contenders = {"bf16": partial(step, True), "fp32": partial(step, False)}
    timings = interleave(contenders, options.rounds)
    result = {
        "schema": "pocketsr.precision/1",
        "step_ms": {name: round(1000 * t.median_s, 2) for name, t in timings.items()},
        "bf16_over_fp32": round(timings["bf16"].median_s / timings["fp32"].median_s, 3),
        "chosen": "bf16" if computes_in_bf16() else "fp32",
        "environment": environment(("torch",)),
    }
    write_json(options.json, result)
    print({name: result[name] for name in ("step_ms", "bf16_over_fp32", "chosen")})


if __name__ == "__main__":
    main()
