"""Working ahead: bounded, in order, and ended when nobody listens."""

import threading
from contextlib import closing
from itertools import count

import pytest

from player.prefetch import prefetch


def test_items_come_in_order_and_not_further_ahead_than_asked():
    made = []

    def source():
        for i in range(50):
            made.append(i)
            yield i

    with closing(prefetch(source(), 3)) as items:
        for i, item in enumerate(items):
            assert item == i
            assert len(made) <= i + 6  # three in the queue, one in each hand, one being made


def test_an_error_comes_after_the_items_before_it():
    def source():
        yield 1
        raise OSError("gone")

    items = prefetch(source(), 4)
    assert next(items) == 1
    with pytest.raises(OSError, match="gone"):
        next(items)


def test_closing_early_closes_the_source_and_ends_its_thread():
    full, closed = threading.Event(), threading.Event()

    def source():
        try:
            for i in count():
                if i == 3:  # one is taken, two are ahead: the worker will wait for room with this
                    full.set()
                yield i
        finally:
            closed.set()

    before = threading.active_count()
    items = prefetch(source(), 2)
    next(items)
    assert full.wait(timeout=20)
    items.close()
    assert closed.is_set() and threading.active_count() == before
