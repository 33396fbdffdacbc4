"""What all benchmarks share: interleaved timing, the record of the environment, JSON.

An absolute time is never a claim: machines are shared and change their clock. So contenders run
in one process in turns (A B C A B C ...), after a warm-up, and what counts is the ratio of their
medians.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PAUSE_S = 0.05
RESULTS, QUICK = Path(__file__).parent / "results", Path("build/quick")


@dataclass(frozen=True)
class Timing:
    """Seconds of one contender's runs."""

    samples_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        return statistics.median(self.samples_s)

    @property
    def spread(self) -> float:
        """Interquartile range over the median: how far to trust it."""
        if len(self.samples_s) < 4:
            return (max(self.samples_s) - min(self.samples_s)) / self.median_s
        low, _, high = statistics.quantiles(self.samples_s, n=4)
        return (high - low) / self.median_s


def interleave(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    warm_up: int = 2,
    clock: Callable[[], float] = time.perf_counter,
    pause_s: float = _PAUSE_S,
) -> dict[str, Timing]:
    """Run every contender once a round, in turns; returns the timings by name, in seconds of
    `clock`.

    A pause before each run lets the one before it go to sleep: thread pools spin for a while
    after their work, on cores that the next contender wants.
    """
    for _ in range(warm_up):
        for run in contenders.values():
            run()
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            time.sleep(pause_s)
            start = clock()
            run()
            samples[name].append(clock() - start)
    return {name: Timing(tuple(s)) for name, s in samples.items()}


def environment(packages: Sequence[str] = ()) -> dict[str, Any]:
    """The machine and the versions that a result was measured with."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a result so that a reader sees the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def parse_arguments(name: str, description: str | None) -> argparse.Namespace:
    """The options of a benchmark that has no others: `--quick` and `--json FILE`."""
    return argument_parser(name, description, quick=True).parse_args()


class _Quick(argparse.Action):
    """What is measured quickly takes no result's place, but where --json says so."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        namespace.quick, usual = True, parser.get_default("json")
        if usual is not None and namespace.json == usual:
            namespace.json = QUICK / usual.name


def argument_parser(
    name: str, description: str | None, quick: bool = False
) -> argparse.ArgumentParser:
    """The same, for a benchmark that has more; `quick`: it can be cut short."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    if quick:
        words = "fewer sizes and rounds, and in no result's place"
        parser.add_argument("--quick", action=_Quick, nargs=0, default=False, help=words)
    parser.add_argument("--json", type=Path, default=RESULTS / f"{name}.json", metavar="FILE")
    return parser
