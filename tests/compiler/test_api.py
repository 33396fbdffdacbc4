"""The compiled engine's threads and memory from Python, each case in a process of its own: none
ends by a signal, and none waits for ever.
"""

import subprocess
import sys
from textwrap import dedent

import pytest

_BEGIN = """
import os, sys, threading, time
import numpy as np
from player.engine import Engine, EngineError
from player.package.generic import generic_blob
from player.package.paths import HARD

engine = Engine.open(sys.argv[1])
blob = generic_blob(2, "int8")
network, pool = engine.load(blob), engine.pool(2)
lr = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
large = np.random.default_rng(1).integers(0, 256, (540, 960, 3)).astype(np.uint8)

def frame(pool, lr, network=network):
    return pool.frame([network], np.array([[0, 0, *lr.shape[:2], 0, HARD]], np.int32), lr)

right = frame(pool, lr)

def start(work, count=1, **options):
    threads = [threading.Thread(target=work, **options) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads
"""


@pytest.fixture
def said(int8_files):
    """What a program prints that has gone well, with an engine, a network and a pool."""

    def run(program: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", _BEGIN + dedent(program), str(int8_files.shared)],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
        return done.stdout

    return run


def test_a_child_process_opens_a_pool_of_its_own_even_when_forked_within_a_call(said):
    program = """
    stop = []
    def work():
        while not stop:
            frame(pool, large)
    (worker,) = start(work)
    for _ in range(3):
        child = os.fork()
        if not child:
            try:
                frame(pool, lr)
            except EngineError as error:
                print(error)
            print(np.array_equal(frame(engine.pool(2), lr), right), flush=True)
            pool.close()
            network.close()
            sys.exit(0)
        print(os.waitpid(child, 0)[1], flush=True)
    stop.append(1)
    worker.join()
    print(np.array_equal(frame(pool, lr), right))
    """
    refused = "the pool was opened before a fork: open one in this process (PSR_E_ARG)"
    assert said(program).splitlines() == [refused, "True", "0"] * 3 + ["True"]


def test_many_threads_use_one_pool_and_one_network(said):
    program = """
    wrong = []
    def work():
        for _ in range(20):
            if not np.array_equal(frame(pool, lr), right):
                wrong.append(1)
    for thread in start(work, 16):
        thread.join()
    print(wrong)
    """
    assert said(program) == "[]\n"


@pytest.mark.parametrize("call", ["frame(pool, large, network)", "network.upscale(large, HARD)"])
def test_what_is_closed_within_a_call_ends_it_first(said, call):
    program = f"""
    seen = set()
    for i in range(12):
        network, pool = engine.load(blob), engine.pool(2)
        def work():
            try:
                while True:
                    {call}
            except EngineError as error:
                seen.add(str(error))
        workers = start(work, 2)
        time.sleep(0.004 * i)
        network.close()
        pool.close()
        others = [engine.load(blob) for _ in range(3)]
        for worker in workers:
            worker.join()
    print(seen <= {{f"the {{it}} is closed: open another one (PSR_E_ARG)" for it in
                   ("pool", "network")}}, len(seen) > 0)
    """
    assert said(program) == "True True\n"


@pytest.mark.parametrize("last", ["pass", "pool.close(); network.close()"])
def test_the_interpreter_ends_with_frames_under_way_in_daemon_threads(said, last):
    program = f"""
    def work():
        while True:
            frame(pool, large)
    start(work, 3, daemon=True)
    time.sleep(0.2)
    {last}
    print("end")
    """
    assert "end" in said(program)


@pytest.mark.slow  # ten thousand frames
def test_memory_stays_flat(said, record_property):
    """MiB resident after 1,000 frames and after 10,000; sizes and paths change all the time."""
    program = """
    def resident():
        pages = int(open("/proc/self/statm").read().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 2**20
    marks = []
    for i in range(1, 10_001):
        part = lr[: 20 + i % 41, : 20 + i % 61]
        h, w = part.shape[:2]
        cut = (h // 2, w // 2)
        patches = [[0, 0, cut[0], w, 0, i % 3], [cut[0], 0, h - cut[0], w, 0, (i + 1) % 3]]
        pool.frame([network], np.array(patches, np.int32), part)
        if i % 100 == 0:
            engine.load(blob).upscale(lr, HARD)
        if i in (1_000, 10_000):
            marks.append(resident())
    print(*marks)
    """
    early, late = map(float, said(program).split())
    record_property("mib", [early, late])
    assert abs(late - early) < 4, (early, late)
