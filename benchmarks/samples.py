"""How well a search's sample stands for its film: `python -m benchmarks.samples [--films FOLDER]`.

Bytes of a whole film at one crf, beside what the search takes them for: by the segments that
sr/rate/sample.py chooses, and, as the control, by as many that are spread evenly over the film.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import argument_parser, environment, write_json
from chunking.probe import probe
from chunking.stream import SEGMENT_S, write_lr_stream
from chunking.video import read_frames
from sr.rate.rungs import HR
from sr.rate.sample import Coding, StreamShelf, take_sample

FILMS = ("anim_bbb_720p_60s.mp4", "candle_720p.mkv", "drone_coast_480p.mp4", "cups_720p.mp4",
         "dog_720p.mp4", "coffee_720p.mp4")  # fmt: skip
CODEC, CRF = "h264", 33.0


def beside(film: Path) -> dict[str, Any]:
    """A film's bytes, and how far off both samples are."""
    info = probe(film)
    with tempfile.TemporaryDirectory() as folder:
        whole = write_lr_stream(read_frames(film), Path(folder), info, CODEC, CRF)
        sizes = [segment.path.stat().st_size for segment in whole.segments]
        counts = [segment.frames for segment in whole.segments]
    sample = take_sample(film, info, None, SEGMENT_S)
    with tempfile.TemporaryDirectory() as folder:
        shelf = StreamShelf(sample, Coding(CODEC, SEGMENT_S), Path(folder), ("psnr_y",))
        estimated = shelf.stream(HR, CRF).bytes
    portions = max(1, round(len(sample.frames) / max(counts)))
    even = [int((i + 0.5) * len(sizes) / portions) for i in range(portions)]
    rate = sum(sizes[i] for i in even) / sum(counts[i] for i in even)
    return {
        "film": film.name,
        "segments": len(sizes),
        "portions": portions,
        "bytes": sum(sizes),
        "off": round(estimated / sum(sizes) - 1, 4),
        "off_evenly_spread": round(rate * sum(counts) / sum(sizes) - 1, 4),
    }


def main() -> None:
    parser = argument_parser("samples", __doc__.splitlines()[0])
    parser.add_argument("--films", type=Path, default=Path("../shared/clips"))
    options = parser.parse_args()
    rows = []
    for name in FILMS:
        rows.append(beside(options.films / name))
        print(json.dumps(rows[-1]), flush=True)
    result = {"schema": "pocketsr.samples/1", "codec": CODEC, "crf": CRF, "rows": rows}
    write_json(options.json, {**result, "environment": environment(("av",))})


if __name__ == "__main__":
    main()
