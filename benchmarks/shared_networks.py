"""What rungs of a ladder would lose by one network for two of them.

    python -m benchmarks.shared_networks [--films FOLDER] [--work build/rate]

Cells of the rate tables that are neighbours: the same film, codec, scale and network, another rate,
each with a network of its own, trained for its stream. Either stream by its own network and by the
other's, cells routed as the search routes them, on frames spread over the film. What is lost in dB
is told in bytes, by the codec's own slope there, beside the bytes that one network less would save.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import argument_parser, environment, write_json
from benchmarks.rating.clips import Shot, film_of, read_shots
from chunking.probe import VideoInfo, probe
from chunking.route_plan import usual_cell_px
from chunking.stream import read_stream
from chunking.video import read_frames
from player.package.adapted import whole_blob
from player.package.layout import SR, weights_name
from player.quality import QualityMeter
from sr.rate.goal import luma_share
from sr.rate.trial import routed
from sr.scoring import scored_network
from sr.training.data import FramePair, Image

_FRAMES, _METRIC = 12, "psnr_y"
_SHAPE = ("scale", "units", "widths", "shipped", "adapted")


@dataclass(frozen=True)
class Rung:
    """A cell whose network is the film's own."""

    folder: Path
    report: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Its shot and codec."""
        return self.folder.name.rsplit("_", 2)[0]

    @property
    def shape(self) -> tuple[str, ...]:
        """What networks have alike that could be one."""
        return tuple(str(self.report["chosen"].get(name)) for name in _SHAPE)

    @property
    def made(self) -> Mapping[str, Any]:
        return dict(self.report["made"])


def own_networks(folder: Path) -> Iterator[Rung]:
    """Those of a folder of cells."""
    for file in sorted(folder.glob("packages/*_cpu_*/report.json")):
        report = json.loads(file.read_text(encoding="utf-8"))
        if report["method"] != "plain" and sum(report["weights_bytes"]):
            yield Rung(file.parent, report)


def pairs_of(package: Path, film: Path) -> list[FramePair]:
    """Frames of a package's stream, and the film's."""
    segments = sorted((package / "video").glob("seg-*"))
    wanted = spread(sum(1 for _ in read_stream(package / "video/init.mp4", segments)))
    frames = read_stream(package / "video/init.mp4", segments)
    lr = [frame.rgb for i, frame in enumerate(frames) if i in wanted]
    hr = [frame.rgb for i, frame in enumerate(read_frames(film, max(wanted) + 1)) if i in wanted]
    return [FramePair(*both) for both in zip(lr, hr, strict=True)]


def spread(count: int) -> set[int]:
    """Frames of so many."""
    return {int(i) for i in np.linspace(0, count - 1, min(count, _FRAMES)).round()}


def shown_db(frames: Iterator[Image], pairs: list[FramePair], info: VideoInfo) -> float:
    with QualityMeter([_METRIC], info.colour, info.frame_rate) as meter:
        for frame, pair in zip(frames, pairs, strict=True):
            meter.add(frame[: pair.hr.shape[0], : pair.hr.shape[1]], pair.hr)
        mean = meter.result().mean(_METRIC)
    assert mean is not None
    return mean


def beside(film: Path, mine: Rung, other: Rung) -> dict[str, Any]:
    """One stream by its own network, and by that of the other rung."""
    info, size, weights = probe(film), mine.made["bytes"], sum(mine.report["weights_bytes"])
    pairs = pairs_of(mine.folder, film)
    frame_bits = 8 * size / mine.report["frames"]
    shown = []
    for folder in (mine.folder, other.folder):
        network = scored_network(whole_blob((folder / SR / weights_name(0)).read_bytes()))
        cell_px = usual_cell_px(network.arch.scale, network.arch.units)
        frames = routed(network, pairs, cell_px, frame_bits, luma_share(_METRIC))
        shown.append(shown_db(frames, pairs, info))
    lost = shown[0] - shown[1]
    slope = (mine.made[_METRIC] - other.made[_METRIC]) / math.log(size / other.made["bytes"])
    return {
        "package": mine.folder.name,
        "network_of": other.folder.name,
        "finer": bool(other.made["bytes"] > size),
        "lost_db": round(lost, 4),
        "lost_bytes": round(math.expm1(lost / slope), 5),
        "weights_bytes": weights,
        "saved_bytes": round(weights / size, 5),
    }


def main() -> None:
    parser = argument_parser("shared_networks", __doc__.splitlines()[0])
    parser.add_argument("--films", type=Path, default=Path("../shared/clips"))
    parser.add_argument("--work", type=Path, default=Path("build/rate"))
    options = parser.parse_args()
    shots: dict[str, Shot] = {shot.name: shot for shot in read_shots()}
    found = [*own_networks(options.work)]
    rows = []
    for mine, other in permutations(found, 2):
        if mine.key == other.key and mine.shape == other.shape:
            film = film_of(shots[mine.key.rsplit("_", 1)[0]], options.films, options.work / "shots")
            rows.append(beside(film, mine, other))
            print(json.dumps(rows[-1]), flush=True)
    result = {"schema": "pocketsr.shared_networks/1", "rows": rows}
    write_json(options.json, {**result, "environment": environment(("torch", "av"))})


if __name__ == "__main__":
    main()
