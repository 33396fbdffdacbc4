"""What a network's size is worth, and what it costs: the two rules of the search (sr/rate).

    python -m benchmarks.sizes [--films FOLDER] [--clips cups dog coffee]

96 frames of each choosing clip by H.264, at scale 3 and 2 with about the same bytes; beside the
stream networks of several sizes, as an encode trains them (fast, YCbCr). Of each the bytes of its
blob, and the luma that the package shows above its stream alone, every frame. Each is a JSON in
build/sizes as soon as it is made; together they are benchmarks/results/sizes.json.
"""

import json
import math
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.harness import argument_parser, environment, write_json
from benchmarks.rating.clips import read_shots
from player.package.architecture import convolutions
from player.package.index import read_index
from sr.encode.encode import encode
from sr.encode.options import EncodeOptions
from sr.progress import Progress
from sr.rate.candidates import BLOB_EXPONENT
from sr.rate.judge import judge_package

CRFS = {3: 24, 2: 28}
SMALL, MIDDLE, LARGE = (3, 8), (4, 16), (5, 32)  # layers, and channels of each
SHAPES = {3: (SMALL, (4, 12), MIDDLE), 2: (SMALL, MIDDLE, LARGE)}
FRAMES = 96


def make(film: Path, scale: int, shape: tuple[int, int], folder: Path) -> dict[str, Any]:
    """The row of one network."""
    depth, channels = shape
    options = EncodeOptions.of(
        film, folder, scale=scale, lr_codec="h264", lr_crf=CRFS[scale], codec_opts="tune=psnr",
        frames=FRAMES, preset="fast", loss="ycbcr", threads=1, audio="none",
        widths=(channels,) * depth, exits=(2, depth),
    )  # fmt: skip
    with Progress() as progress:
        encode(options, progress)
    judged = judge_package(folder, film, ("psnr_y",))
    (blob,) = read_index(folder).index.weights
    weights = sum(math.prod(shape) for _, shape in convolutions(blob.arch))
    gain = judged.shown.quality["psnr_y"] - judged.stream.quality["psnr_y"]
    return {
        "scale": scale, "layers": depth, "channels": channels, "weights": weights,
        "blob_bytes": blob.bytes, "gain_db": round(gain, 4), "stream_bytes": judged.stream.bytes,
    }  # fmt: skip


def rules(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """By what power of the weights the gain grows, up to MIDDLE and beyond, clip by clip and scale
    by scale; and the blob's bytes over the weights to BLOB_EXPONENT.
    """
    found: dict[str, list[float]] = {"small": [], "large": []}
    by_place: dict[Any, dict[Any, Mapping[str, Any]]] = {}
    for row in rows:
        place = by_place.setdefault((row["clip"], row["scale"]), {})
        place[row["layers"], row["channels"]] = row
    for place in by_place.values():
        for name, (less, more) in {"small": (SMALL, MIDDLE), "large": (MIDDLE, LARGE)}.items():
            if less in place and more in place:
                a, b = place[less], place[more]
                grown = math.log(b["gain_db"] / a["gain_db"])
                found[name].append(grown / math.log(b["weights"] / a["weights"]))
    made = [row for place in by_place.values() for row in place.values()]
    factors = [row["blob_bytes"] / row["weights"] ** BLOB_EXPONENT for row in made]
    told = {**{f"{name}_exponent": v for name, v in found.items()}, "blob_bytes": factors}
    return {
        name: {"mean": mean(v), "deviation": stdev(v) if len(v) > 1 else None, "of": len(v)}
        for name, v in told.items()
        if v
    }


def main() -> None:
    parser = argument_parser("sizes", __doc__)
    parser.add_argument("--films", type=Path, default=Path("../shared/clips"))
    parser.add_argument("--clips", nargs="+", default=["cups", "dog", "coffee"])
    parser.add_argument("--work", type=Path, default=Path("build/sizes"))
    options = parser.parse_args()
    files = {shot.clip: options.films / shot.file for shot in read_shots()}
    wanted = ((scale, shape) for scale, shapes in SHAPES.items() for shape in shapes)
    for (scale, shape), clip in product(wanted, options.clips):
        name = f"{clip}_x{scale}_{shape[0]}x{shape[1]}"
        path = options.work / f"{name}.json"
        if not path.exists():
            row = make(files[clip], scale, shape, options.work / name)
            write_json(path, {"clip": clip, **row})
    rows = [json.loads(path.read_text()) for path in sorted(options.work.glob("*.json"))]
    result = {"schema": "pocketsr.sizes/1", "rules": rules(rows), "rows": rows}
    write_json(options.json, {**result, "environment": environment(("torch", "av"))})
    print(json.dumps(result["rules"], indent=1))


if __name__ == "__main__":
    main()
