"""An encoder that waits for itself for ever must not take its process along.

Such a library never comes back to Python: no exception reaches it, and no signal's handler runs. A
thread beside it sees that no frame comes and that nothing is computed, and ends the process.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

IDLE_S, LEAST_SHARE = 60.0, 0.1  # without a frame, and with less of a core than that: it waits
LONGEST_S = 3600.0  # without a frame, however busy it is
EXIT_CODE = 1


def give_up(what: str, seconds: float) -> None:
    """Says what hangs, and ends the process as it is: what is done is on the disk."""
    text = f"pocketsr: {what} has given nothing for {seconds:.0f} s: use another --lr-codec\n"
    os.write(sys.stderr.fileno(), text.encode())
    os._exit(EXIT_CODE)


class Watchdog:
    """Watches over a block whose work calls `beat` with each frame that comes."""

    def __init__(
        self,
        what: str,
        idle_s: float = IDLE_S,
        longest_s: float = LONGEST_S,
        on_stuck: Callable[[str, float], None] = give_up,
    ) -> None:
        self._what, self._idle_s, self._longest_s = what, idle_s, longest_s
        self._on_stuck, self._done = on_stuck, threading.Event()
        self._watched_s = 0.0
        self.beat()

    def beat(self) -> None:
        """Something came."""
        self._last = self._watched_s, time.process_time()

    def __enter__(self) -> Self:
        self.beat()
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()

    def _watch(self) -> None:
        looked_s, tick_s = time.monotonic(), self._idle_s / 10
        while not self._done.wait(tick_s):
            now_s = time.monotonic()
            # A process that was stopped for a while (Ctrl-Z) has not waited for so long.
            self._watched_s += min(now_s - looked_s, 2 * tick_s)
            looked_s = now_s
            began_s, cpu_s = self._last
            passed_s, used_s = self._watched_s - began_s, time.process_time() - cpu_s
            waits = passed_s > self._idle_s and used_s < LEAST_SHARE * passed_s
            if waits or passed_s > self._longest_s:
                self._on_stuck(self._what, passed_s)
                return
