"""SIGTERM and Ctrl-C end the process, whatever it is inside of.

Python runs a handler when the main thread is back from a library, and there are libraries that do
not come back. The number of a signal is written into a pipe at once; a thread that reads it gives
the main thread a while, and then ends the process in its stead.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping

GRACE_S = 10.0  # for what is cleared up on the way out


def end_in_any_case(
    words: Mapping[int, tuple[str, int]],
    say: Callable[[str, int], int],
    grace_s: float = GRACE_S,
) -> None:
    """From now on; `words`: what is said on a signal, and the exit code. In the main thread."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def wait() -> None:
        while True:
            (number,) = os.read(reading, 1)
            if number in words:
                time.sleep(grace_s)
                os._exit(say(*words[number]))

    threading.Thread(target=wait, daemon=True).start()
