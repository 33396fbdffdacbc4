"""Real time with a clock of our own: pacing, dropping, keys."""

from fractions import Fraction

import numpy as np
import pytest

from player.bicubic import upscale_bicubic
from player.show import MAX_DROPS, Clock, Pacer, Show
from player.upscale import UpscaledFrame

TICK = Fraction(1, 10)  # ten frames a second


class FakeTime:
    """A clock that moves only when somebody sleeps, or works."""

    def __init__(self):
        self.now_s = 100.0

    def clock(self):
        return Clock(lambda: self.now_s, self.sleep)

    def sleep(self, seconds):
        self.now_s += seconds


class FakeDisplay:
    """Notes what is shown when; presses keys at given times."""

    def __init__(self, time, presses=()):
        self.time, self.presses, self.shown = time, list(presses), []

    def show(self, rgb, caption):
        self.shown.append((round(self.time.now_s - 100, 2), caption, rgb))

    def pressed(self):
        due = [key for at, key in self.presses if at + 100 <= self.time.now_s]
        self.presses = [(at, key) for at, key in self.presses if at + 100 > self.time.now_s]
        return due


def film(count, scale=2):
    draw = np.random.default_rng(0)
    for i in range(count):
        lr = draw.integers(0, 255, (6, 6, 3)).astype(np.uint8)
        hr = np.full((int(6 * scale), int(6 * scale) - 1, 3), i, np.uint8)
        yield UpscaledFrame(hr, i, i, lr, np.zeros((0, 6), np.int32), None, 0.0)


@pytest.fixture
def time():
    return FakeTime()


def run(time, display, frames, scale=2, end=None):
    return Show(display, Pacer(TICK, time.clock()), scale).run(frames, end)


def test_frames_are_shown_at_their_times(time):
    display = FakeDisplay(time)
    result = run(time, display, film(5))
    assert [at for at, *_ in display.shown] == [0, 0.1, 0.2, 0.3, 0.4]
    assert (result.shown, result.dropped, result.quit) == (5, 0, False)


def test_q_ends_at_once(time):
    display = FakeDisplay(time, [(0.25, "q")])
    result = run(time, display, film(100))
    assert (result.shown, result.quit) == (3, True)
    assert time.now_s - 100 < 0.3


@pytest.mark.parametrize(("presses", "over_s"), [([], 6.0), ([(2.0, "q")], 2.0)])
def test_the_last_frame_stays_until_the_films_end(time, presses, over_s):
    display = FakeDisplay(time, presses)
    result = run(time, display, film(5), end=60)
    assert result.shown == 5 and time.now_s - 100 == pytest.approx(over_s, abs=0.03)


def test_space_holds_the_film_and_lets_it_go_on(time):
    display = FakeDisplay(time, [(0.15, "space"), (5.15, "space")])
    result = run(time, display, film(4))
    assert (result.shown, result.dropped) == (4, 0)
    times = [at for at, *_ in display.shown]
    assert times[:2] == [0, 0.1] and times[2:] == pytest.approx([5.2, 5.3], abs=0.03)


@pytest.mark.parametrize("scale", [1, Fraction(3, 2), 2])
def test_b_shows_the_bicubic_picture_of_the_same_size(time, scale):
    frames = list(film(3, scale))
    display = FakeDisplay(time, [(0.05, "b"), (0.15, "b")])
    run(time, display, iter(frames), scale)
    captions = [caption for _, caption, _ in display.shown]
    assert captions == ["PocketSR", "bicubic", "bicubic", "PocketSR", "PocketSR"]
    height, width = frames[1].rgb.shape[:2]
    wanted = upscale_bicubic(frames[1].lr, scale)[:height, :width]
    np.testing.assert_array_equal(display.shown[2][2], wanted)


def test_a_machine_that_is_too_slow_drops_what_is_late_but_keeps_time(time):
    pacer = Pacer(TICK, time.clock())
    upscaled = []
    for pts in range(40):
        if pacer.wanted(pts):
            time.sleep(0.3)  # three frame times for one frame
            upscaled.append(pts)
    late_s = [time.now_s - 100 - pts * 0.1 for pts in upscaled[-1:]]
    assert pacer.dropped + len(upscaled) == 40
    assert 10 <= len(upscaled) <= 14 and late_s[0] < 0.5


def test_a_hopeless_machine_still_shows_a_frame_now_and_then(time):
    pacer = Pacer(TICK, time.clock())
    pacer.wanted(0)
    time.sleep(1000)
    wanted = [pacer.wanted(pts) for pts in range(1, 2 * MAX_DROPS + 3)]
    assert sum(wanted) == 2
