"""`measure` against FFmpeg's own filters, on what `play --out` writes: the same numbers?

package + film --measure--> scores, and a graph for each
        '--play --out-crf lossless--> file --ffmpeg -lavfi GRAPH--> the same scores
        '--play (CRF 16)------------> file --ffmpeg -lavfi GRAPH--> what that file loses

python -m benchmarks.checked --package PACKAGE FILM [--package PACKAGE FILM ...]
"""

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import argument_parser, environment, write_json
from player.engines import engine_of
from player.measure import MeasureOptions, measure
from player.playback import PlayOptions, play_package
from player.session import open_package
from player.vmaf import need_vmaf

# FFmpeg's last words for each metric.
_SAID = {
    "psnr_rgb": r"PSNR r:.* average:(\S+)",
    "psnr_y": r" PSNR y:(\S+)",
    "xpsnr_y": r"XPSNR  y: (\S+)",
    "vmaf": r"VMAF score: (\S+)",
    "vmaf_neg": r"VMAF score: (\S+)",
}


def ffmpeg_score(ffmpeg: Path, ours: Path, film: Path, metric: str, graph: str) -> float:
    """What FFmpeg says of `metric` by a graph of `measure`'s `checks`."""
    files = ["-i", str(ours), "-i", str(film)]
    command = [str(ffmpeg), "-hide_banner", *files, "-lavfi", graph, "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    found = re.search(_SAID[metric], said)
    assert found is not None, said
    return float(found[1])


def main() -> None:
    """Write benchmarks/results/checked.json: a row for each package."""
    parser = argument_parser("checked", __doc__)
    parser.add_argument("--package", nargs=2, type=Path, action="append", required=True)
    arguments = parser.parse_args()
    rows = [_row(package, film) for package, film in arguments.package]
    write_json(arguments.json, {"environment": environment(["av"]), "rows": rows})


def _row(directory: Path, film: Path) -> dict[str, Any]:
    """A package's scores by `measure`, and by FFmpeg on both files."""
    package = open_package(directory)
    engine = engine_of(package, "host", None, print, lambda dtype, target: None)
    said = measure(package, film, engine, MeasureOptions())
    ours = {f"psnr_{name}": said["psnr"][name] for name in ("rgb", "y")}
    ours |= {name: said[name] for name in ("xpsnr_y", "vmaf", "vmaf_neg")}
    files = {"lossless": PlayOptions(Path("hr.mkv"), None), "crf_16": PlayOptions(Path("hr.mp4"))}
    row: dict[str, Any] = {"film": film.name, "frames": said["frames"], "measure": ours}
    with tempfile.TemporaryDirectory() as folder:
        for name, options in files.items():
            assert options.out is not None
            out = Path(folder) / options.out
            play_package(package, engine, PlayOptions(out, options.out_crf))
            row[name] = {
                metric: ffmpeg_score(need_vmaf(), out, film, metric, graph)
                for metric, graph in said["checks"].items()
            }
            print(row["film"], name, row[name])
    return row


if __name__ == "__main__":
    main()
