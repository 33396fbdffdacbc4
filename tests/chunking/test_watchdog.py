"""What hangs in a library is ended from beside it; what only takes long is not."""

import itertools
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from subprocess import TimeoutExpired

import numpy as np
import pytest

from chunking import apart
from chunking.input_error import InputError
from chunking.stream import read_stream, write_lr_stream
from chunking.video import Frame
from chunking.watchdog import EXIT_CODE, Watchdog


@pytest.fixture
def stuck():
    """(the listener, what it heard)."""
    heard: list[tuple[str, float]] = []
    return lambda what, seconds: heard.append((what, seconds)), heard


def test_who_waits_for_ever_is_found(stuck):
    listen, heard = stuck
    with Watchdog("x264", idle_s=0.2, on_stuck=listen):
        threading.Event().wait(1.0)
    assert len(heard) == 1 and heard[0][0] == "x264" and heard[0][1] >= 0.2


def test_who_computes_is_left_alone_until_it_has_been_long_enough(stuck):
    listen, heard = stuck
    # As long as a machine that does much else may leave a process alone.
    with Watchdog("x264", idle_s=0.6, on_stuck=listen):
        end = time.monotonic() + 1.6
        while time.monotonic() < end:
            sum(range(1000))
    assert not heard
    with Watchdog("x264", idle_s=0.6, longest_s=0.3, on_stuck=listen):
        end = time.monotonic() + 0.8
        while time.monotonic() < end:
            sum(range(1000))
    assert len(heard) == 1


def test_who_gives_frames_now_and_then_is_left_alone(stuck):
    listen, heard = stuck
    with Watchdog("x264", idle_s=1.0, on_stuck=listen) as watchdog:
        for _ in range(6):
            time.sleep(0.3)
            watchdog.beat()
    time.sleep(1.2)  # nor is anybody watched who is done
    assert not heard


def test_the_process_ends_with_one_line():
    code = (
        "import threading\n"
        "from chunking.watchdog import Watchdog\n"
        "with Watchdog('libx at 8x8 px', idle_s=0.2):\n"
        "    threading.Event().wait()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == EXIT_CODE
    (line,) = done.stderr.splitlines()
    assert "libx at 8x8 px has given nothing" in line and "--lr-codec" in line


def test_a_process_that_was_stopped_for_a_while_has_not_waited():
    code = (
        "import threading\n"
        "from chunking.watchdog import Watchdog\n"
        "with Watchdog('x264', idle_s=3):\n"
        "    print('waits', flush=True)\n"
        "    for _ in range(8):\n"  # most of them behind the stop
        "        threading.Event().wait(0.2)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline()
        child.send_signal(signal.SIGSTOP)
        time.sleep(4)
        child.send_signal(signal.SIGCONT)
        assert child.wait(60) == 0


@dataclass
class Slow:
    """A process that answers at the look after so many."""

    looks: int
    killed: bool = False

    def communicate(self, data, timeout):
        self.looks -= 1
        if self.looks >= 0:
            raise TimeoutExpired("x", timeout)
        return b"done", b""

    def kill(self):
        self.killed = True


def test_what_decodes_apart_is_waited_for_while_both_of_us_run(monkeypatch):
    clock = itertools.count(0.0, 100.0)  # at every look somebody has stopped us for 100 s
    monkeypatch.setattr(apart, "monotonic", lambda: next(clock))
    assert apart._heard(Slow(5), b"", 20.0) == (b"done", b"")
    hangs = Slow(1000)
    with pytest.raises(InputError, match="hangs"):
        apart._heard(hangs, b"", 20.0)
    assert hangs.killed and hangs.looks >= 1000 - apart.TICKS


SIZES = [(16, 128), (24, 130), (72, 22), (96, 16), (20, 512), (30, 66), (16, 16), (62, 700)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_svt_av1_encodes_frames_of_any_shape(clip_info, tmp_path, height, width):
    """At many of these it would wait for itself, with more than one thread."""
    draw = np.random.default_rng(height)
    pictures = draw.integers(0, 256, (12, height, width, 3), np.uint8)
    frames = [Frame(rgb, 3000 * i, i) for i, rgb in enumerate(pictures)]
    files = write_lr_stream(frames, tmp_path, clip_info, "av1")
    back = list(read_stream(files.init, [s.path for s in files.segments]))
    assert len(back) == 12 and back[0].rgb.shape == (height, width, 3)
