"""Attack the whole line, and write down how it stood: `python -m tests.attack`.

    packages    damaged packages through verify, play, play --out        tests/attack/packages.py
    kills       SIGKILL of `pocketsr encode`, then the same command      tests/attack/kills.py
    changes     a full disk, and the end, at every change to the disk    tests/attack/faulty_disk.py
    native      libFuzzer for each native format, thread sanitizer, 10,000 frames: slow tests

The seed gives the same attack again. About 40 minutes on two cores; --parts chooses some.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import av
import numpy as np

from benchmarks.harness import environment
from benchmarks.same_bytes import drifting_pictures, write_film
from player.engines import cached_engine
from player.package.artefact import write_text
from sr.encode.encode import encode
from sr.encode.options import EncodeOptions
from sr.host_engine import build_engine
from sr.progress import Progress
from tests.attack.kills import PLAIN, TRAINED, kill_at_moments, stop_at_each_change
from tests.attack.packages import attack_packages

# The slow tests, and what they tell of themselves by `record_property`.
NATIVE = (
    "tests/compiler/test_fuzz.py::test_a_minute_of_fuzzing_finds_nothing",
    "tests/compiler/test_router_fuzz.py::test_a_minute_of_fuzzing_finds_nothing",
    "tests/compiler/test_threads.py",
    "tests/compiler/test_api.py::test_memory_stays_flat",
)
PACKAGES = (
    {"scale": 2, "routes": "both", "steps": 40, "lr_codec": "h264"},
    {"scale": 1, "method": "plain", "lr_codec": "h264"},
    {"scale": 2, "shipped": "x2-coarse", "adapt": True, "steps": 40, "lr_codec": "h264"},
)


def film_with_sound(folder: Path) -> Path:
    """24 frames of 192x160 with a tone, in Matroska."""
    silent, path = (
        write_film(folder / "silent.mp4", drifting_pictures(24, 160, 192)),
        folder / "film.mkv",
    )
    with av.open(str(silent)) as source, av.open(str(path), "w") as film:
        video = film.add_stream_from_template(source.streams.video[0])
        audio = film.add_stream("aac", rate=48000)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                film.mux(packet)
        for start in range(0, 38_400, 1024):
            tone = (0.3 * np.sin(np.arange(start, start + 1024) / 20)).astype("f4")[None]
            sound = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            sound.pts, sound.sample_rate = start, 48000
            film.mux(audio.encode(sound))
        film.mux(audio.encode(None))
    return path


def on_packages(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    engine = cached_engine("int8") or build_engine("int8")
    assert engine is not None, "needs an engine: pip install pocketsr[compile]"
    film, packages = film_with_sound(folder), []
    for number, options in enumerate(PACKAGES):
        packages.append(folder / f"p{number}")
        with Progress() as progress:
            encode(
                EncodeOptions.of(film, packages[-1], segment_s=0.3, threads=1, **options), progress
            )
    tried = attack_packages(packages, engine.path, folder, asked.packages, asked.seed)
    return {"tries": asked.packages, "ends": dict(tried.ends), "findings": tried.findings}


def on_kills(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    film = write_film(folder / "film.mp4", drifting_pictures(12, 160, 192))
    tries, findings = kill_at_moments(film, folder, asked.kills, asked.seed)
    return {"tries": tries, "findings": findings}


def on_changes(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    tries, findings = 0, []
    for kind, options in (("plain", PLAIN), ("trained", TRAINED)):
        for kill in (False, True):
            place = folder / f"{kind}-{kill}"
            place.mkdir()
            film = write_film(place / "film.mp4", drifting_pictures(12, 160, 192))
            stops, wrong = stop_at_each_change(film, place, options, kill)
            tries, findings = tries + stops, findings + wrong
    return {"tries": tries, "findings": findings}


def on_native(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *NATIVE]
    subprocess.run(command, check=False)
    cases, findings = [], []
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        told = {p.get("name"): p.get("value") for p in case.iter("property")}
        state = next((c.tag for c in case if c.tag in ("failure", "error", "skipped")), "passed")
        cases.append({"test": name, "state": state, "seconds": float(case.get("time", 0)), **told})
        findings += [name] if state in ("failure", "error") else []
    return {"tries": len(cases), "cases": cases, "findings": findings}


PARTS: dict[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {
    "packages": on_packages,
    "kills": on_kills,
    "changes": on_changes,
    "native": on_native,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("--seed", type=int, default=15)
    parser.add_argument("--packages", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--json", type=Path, help="results here, those of other parts kept")
    asked = parser.parse_args()
    known = (
        json.loads(asked.json.read_text())["parts"] if asked.json and asked.json.exists() else {}
    )
    findings: list[str] = []
    for name in asked.parts:
        began = monotonic()
        with tempfile.TemporaryDirectory() as folder:
            # A key and engines of its own; but no engine is compiled only to play packages.
            os.environ["POCKETSR_HOME"] = "" if name == "packages" else folder
            found = PARTS[name](Path(folder), asked)
        findings += found["findings"]
        row = {"seed": asked.seed, "seconds": round(monotonic() - began), **found}
        known[name] = {**row, "environment": environment()}
        line = f"{name}: {found['tries']} tries, {len(found['findings'])} findings"
        sys.stdout.write("\n  ".join([line, *found["findings"]]) + "\n")
        sys.stdout.flush()
        if asked.json:
            text = json.dumps({"schema": "pocketsr.reliability/1", "parts": known}, indent=1)
            write_text(asked.json, text + "\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
