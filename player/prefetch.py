"""Working ahead in a thread, a bounded number of items."""

import os
import queue
import sys
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class _End:
    """The source is at its end, or has failed."""

    error: BaseException | None


def prefetch(source: Iterable[Item], depth: int) -> Generator[Item, None, None]:
    """The items of `source` in order, made in a thread that is at most `depth` items ahead.

    An exception of the source is raised here, after the items before it. Closing this generator
    closes the source, if it can be closed, and ends the thread. A process that was forked has no
    such thread: there it raises RuntimeError.
    """
    items: queue.Queue[Item | _End] = queue.Queue(depth)
    stop = threading.Event()
    worker = threading.Thread(target=_fill, args=(source, items, stop), daemon=True)
    process = os.getpid()
    worker.start()
    try:
        while not isinstance(item := items.get(), _End):
            yield item
            if os.getpid() != process:
                raise RuntimeError("frames are read in the process that began: begin again here")
        if item.error is not None:
            raise item.error
    finally:
        # A child has no worker, which may have held a lock when it was forked; and as the
        # interpreter ends, a worker that is asked to end can do so no more.
        if os.getpid() == process and not sys.is_finalizing():
            # In this order: told to stop, the worker may still wait for room to put its item.
            stop.set()
            _drain(items)
            worker.join()


def _fill(source: Iterable[Item], items: "queue.Queue[Item | _End]", stop: threading.Event) -> None:
    end = _End(None)
    try:
        for item in source:
            if stop.is_set():
                break
            items.put(item)
    # Whatever it is: a worker that ended without a word would leave its reader waiting for ever.
    except BaseException as error:
        end = _End(error)
    # Here and not in the reader: a generator cannot be closed while another thread runs it.
    if isinstance(source, Generator):
        source.close()
    # After `stop` nobody takes items any more, and this put could wait for ever.
    if not stop.is_set():
        items.put(end)


def _drain(items: "queue.Queue[Item | _End]") -> None:
    """Make room, so that a worker that waits to put its item sees the stop."""
    try:
        while True:
            items.get_nowait()
    except queue.Empty:
        return
