"""Thousands of damaged packages through verify, play and `play --out`: each ends in a word.

    package --mutate--> verify, play, write a file --in a process of their own--> what came of it

What is a finding: an exception that is not the project's own, a signal, no end within a minute,
more than two seconds of the processor, more than 300 MB.
"""

import multiprocessing
import resource
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from chunking.input_error import InputError
from player.engine import Engine
from player.package.package_error import PackageError
from player.package.seen import Seen
from player.package.verify import verify_package
from player.playback import PlayOptions, play_package
from player.session import open_package
from tests.attack.mutations import mutate

MOST_CPU_S, MOST_BYTES, PATIENCE_S = 2.0, 300_000_000, 60.0


@dataclass
class Tried:
    """How many packages were played whole, played with something left out, or refused."""

    ends: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)


def attack_packages(
    packages: Sequence[Path], engine: Path, folder: Path, count: int, seed: int
) -> Tried:
    """Damage the packages by turns, `count` times; the seed and a number give a damage again."""
    tried, context, number = Tried(), multiprocessing.get_context("fork"), 0
    while number < count:
        here, there = context.Pipe(duplex=False)
        work = context.Process(
            target=_work, args=(there, packages, engine, folder, number, count, seed)
        )
        work.start()
        there.close()
        number = _listen(here, tried, number)
        work.kill()
        work.join()
    return tried


def _listen(here: Connection, tried: Tried, number: int) -> int:
    """Note what one process says until it is at the end, or dead; the number to go on with."""
    what = "nothing was said of it"
    while True:
        try:
            if not here.poll(PATIENCE_S):
                tried.findings.append(f"{number}: {what}: no end within {PATIENCE_S:.0f} s")
                return number + 1
            kind, what = here.recv()
        except EOFError:
            tried.findings.append(f"{number}: {what}: the process died")
            return number + 1
        if kind == "all":
            return number
        if kind == "finding":
            tried.findings.append(f"{number}: {what}")
        if kind != "begun":
            tried.ends[kind] += 1
            number += 1


def _work(
    pipe: Connection, packages: Sequence[Path], engine: Path, folder: Path, first: int, count: int,
    seed: int,
) -> None:  # fmt: skip
    opened = Engine.open(engine)
    for number in range(first, count):
        package = folder / "package"
        shutil.rmtree(package, ignore_errors=True)
        shutil.copytree(packages[number % len(packages)], package)
        what = mutate(package, number, seed)
        pipe.send(("begun", what))
        pipe.send(_try(package, opened, what, writes=number % 3 == 0))
    pipe.send(("all", ""))
    pipe.close()


def _try(package: Path, engine: Engine, what: str, writes: bool) -> tuple[str, str]:
    began, memory = time.process_time(), _memory()
    try:
        end = _play(package, engine, writes)
    except Exception as error:
        return "finding", f"{what}: {type(error).__name__}: {error}"[:400]
    used_s, grown = time.process_time() - began, _memory() - memory
    if used_s > MOST_CPU_S or grown > MOST_BYTES:
        return "finding", f"{what}: {used_s:.1f} s of the processor, {grown / 1e6:.0f} MB more"
    return end, what


def _play(package: Path, engine: Engine, writes: bool) -> str:
    faults = verify_package(package, self_test=engine.self_test).faults
    out = package.with_name("out.mp4") if writes else None
    try:
        opened = open_package(package, seen=Seen(package.with_name("seen")))
        made = play_package(opened, engine, PlayOptions(out=out, verify=None, threads=2))
    except (PackageError, InputError):
        return "refused"
    finally:
        if out is not None:
            out.unlink(missing_ok=True)
    return "left out" if faults or opened.problems or made["events"] else "whole"


def _memory() -> int:
    """The most that this process has held, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
