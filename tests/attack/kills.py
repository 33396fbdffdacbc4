"""Stops of an encode, each followed by the same command: it must end with the same bytes.

stop_at_each_change    in this process: a full disk, or the end, at the n-th change to the disk
kill_at_moments        SIGKILL of the real command, up to three times in a row
"""

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sr.encode.encode import encode
from sr.encode.options import EncodeOptions
from sr.progress import Progress
from tests.attack.faulty_disk import Killed, faulty_disk

PLAIN = {"scale": 1, "method": "plain", "lr_codec": "lossless", "frames": 4, "threads": 1}
TRAINED = {"scale": 2, "steps": 4, "lr_codec": "lossless", "frames": 4, "threads": 1}
_COMMAND = ("--scale", "2", "--steps", "40", "--lr-codec", "lossless", "--threads", "1")


def run(film: Path, out: Path, asked: Mapping[str, Any]) -> list[str]:
    """Encodes, and returns the warnings."""
    said: list[str] = []
    with Progress() as progress:
        progress.warn = said.append  # type: ignore[method-assign]
        encode(EncodeOptions.of(film, out, **asked), progress)
    return said


def contents(package: Path) -> dict[str, bytes]:
    """All but the report, which holds times."""
    found = {p.relative_to(package).as_posix(): p for p in package.rglob("*") if p.is_file()}
    return {name: p.read_bytes() for name, p in found.items() if name != "report.json"}


def stop_at_each_change(
    film: Path, folder: Path, asked: Mapping[str, Any], kill: bool, step: int = 1, first: int = 0
) -> tuple[int, list[str]]:
    """Fail or end an encode at every `step`-th change to the disk, and go on: how many stops, and
    what was wrong after one."""
    # Of a second encode: the first makes a key, and folders that libraries keep for a process.
    run(film, folder / "first", asked)
    with faulty_disk() as changes:
        run(film, folder / "whole", asked)
    whole, stops, findings = contents(folder / "whole"), range(first, len(changes), step), []
    for at in stops:
        out = folder / f"{at}"
        try:
            with faulty_disk(at, kill):
                run(film, out, asked)
            findings.append(f"change {at} ({changes[at]}): the encode went on over it")
        except (Killed, OSError):
            pass
        # What a stop leaves half-written is swept; no warning, for nothing is damaged.
        if said := run(film, out, asked):
            findings.append(f"change {at} ({changes[at]}): {said[0]}")
        if contents(out) != whole:
            findings.append(f"change {at} ({changes[at]}): other bytes")
        shutil.rmtree(out)
    return len(stops), findings


def kill_at_moments(film: Path, folder: Path, kills: int, seed: int) -> tuple[int, list[str]]:
    """End the command at seeded moments: how many times it was ended, and what was wrong."""

    def start(out: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "sr.cli", "encode", str(film), *_COMMAND, "-o", str(out)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    began = time.monotonic()
    assert start(folder / "whole").wait(timeout=300) == 0
    needed_s, whole = time.monotonic() - began, contents(folder / "whole")
    assert "sr/weights-000.bin" in whole
    moments, out, killed, findings = random.Random(seed), folder / "killed", 0, []
    while killed < kills:
        for _ in range(3):  # the second and the third fall into what goes on
            process = start(out)
            time.sleep(moments.random() * needed_s)
            process.send_signal(signal.SIGKILL)
            killed += process.wait(timeout=60) == -signal.SIGKILL
        if (code := start(out).wait(timeout=300)) != 0:
            findings.append(f"after {killed} kills: exit code {code}")
        elif contents(out) != whole:
            findings.append(f"after {killed} kills: other bytes")
        shutil.rmtree(out, ignore_errors=True)
    return killed, findings
