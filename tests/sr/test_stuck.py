"""A signal ends the command, even inside a library that does not come back to Python."""

import signal
import subprocess
import sys
import time

import pytest

# As a library that waits for its own threads: no handler of Python's can run.
CODE = """
import ctypes, signal, sys, time
from sr import cli
signal.signal(signal.SIGINT, signal.default_int_handler)  # in a shell's background it is ignored
cli.end_in_any_case = lambda words, say: real(words, say, grace_s=0.5)
real = __import__("sr.stuck", fromlist=["x"]).end_in_any_case
def hang(**_):
    print("here", flush=True)
    libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    while not quick:
        libc.pthread_mutex_lock(mutex)  # the second time for ever; no signal interrupts it
    while True:
        time.sleep(0.01)
quick = sys.argv[1] == "quick"
cli.pocketsr.main = hang
cli.main()
"""


@pytest.mark.parametrize("inside", ["library", "quick"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 6), (signal.SIGINT, 130)])
def test_a_signal_ends_the_command(number, code, inside):
    command = [sys.executable, "-c", CODE, inside]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().strip() == b"here"
        time.sleep(0.2)
        process.send_signal(number)
        try:
            said = process.communicate(timeout=30)[1].decode()
        finally:
            process.kill()
    assert process.returncode == code
    (line,) = said.splitlines()
    assert "the same command continues" in line
