"""The window on a real screen, Xvfb's: what is on it, and its keys."""

import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("pygame", reason="pygame missing: pip install 'pocketsr[window]'")
TOOLS = ("Xvfb", "xdotool", "ffmpeg")
missing = [tool for tool in TOOLS if not shutil.which(tool)]
needs_screen = pytest.mark.skipif(
    bool(missing), reason=f"{', '.join(missing)} missing: `make tools`"
)

PLAY = """
import sys
from pathlib import Path
from player.engine import Engine
from player.show import show_package
from player.session import open_package
print(show_package(open_package(Path(sys.argv[1])), Engine.open(sys.argv[2])), flush=True)
"""
SHOW = """
import sys, time
import numpy as np
from player.window import Window
with Window(200, 100, "clip") as window:
    rgb = np.zeros((100, 200, 3), np.uint8)
    rgb[:50], rgb[50:, 100:] = (255, 0, 0), (0, 80, 255)
    keys = []
    while "q" not in keys:
        window.show(rgb, "PocketSR")
        keys += window.pressed()
        time.sleep(0.01)
print(keys, flush=True)
"""


@pytest.fixture(scope="module")
def screen():
    """The DISPLAY of an Xvfb of 640x480."""
    process = subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    yield f":{process.stdout.readline().strip()}"
    process.terminate()
    process.wait()


def start(code, screen, *arguments):
    from player import __path__ as path

    root = next(iter(path)).removesuffix("player")
    environment = {"DISPLAY": screen, "PYTHONPATH": root, "HOME": "/nonexistent"}
    environment |= {"SDL_VIDEODRIVER": "x11", "SDL_AUDIODRIVER": "dummy"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def press(screen, key):
    subprocess.run(["xdotool", "key", key], env={"DISPLAY": screen}, check=True)


def screenshot(screen):
    """[480, 640, 3] u8."""
    command = ["ffmpeg", "-v", "error", "-f", "x11grab", "-draw_mouse", "0", "-video_size"]
    command += ["640x480", "-i", screen, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    raw = subprocess.run([*command, "-"], capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(480, 640, 3)


def await_colour(screen, colour, seconds=20):
    """A screenshot that has the colour, which the window may need a while to show."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        picture = screenshot(screen)
        if (picture == colour).all(axis=2).any():
            return picture
        time.sleep(0.1)
    raise AssertionError(f"nothing of colour {colour} on the screen after {seconds} s")


@needs_screen
def test_the_picture_is_on_the_screen_and_the_keys_arrive(screen):
    process = start(SHOW, screen)
    picture = await_colour(screen, (255, 0, 0))
    red = (picture == (255, 0, 0)).all(axis=2)
    blue = (picture == (0, 80, 255)).all(axis=2)
    assert (red.sum(), blue.sum()) == (200 * 50, 100 * 50)
    assert np.argwhere(blue).min(axis=0)[0] == np.argwhere(red).max(axis=0)[0] + 1
    for key in ("b", "space", "q"):
        press(screen, key)
    assert process.communicate(timeout=20)[0] == "['b', 'space', 'q']\n"


@needs_screen
def test_a_package_plays_to_its_end_in_the_window(screen, made_package, engine_path):
    process = start(PLAY, screen, made_package, engine_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "quit=False" in output and "shown=0" not in output


def test_a_window_is_no_larger_than_the_screen_and_keeps_its_shape():
    from player.window import fit

    assert fit((640, 360), (1920, 1080)) == (640, 360)
    assert fit((3840, 2160), (1920, 1200)) == (1920, 1080)
    assert fit((640, 360), (1920, 1200), most=float("inf")) == (1920, 1080)


def test_without_a_screen_it_is_said_what_to_do(monkeypatch):
    from player.window import Window, WindowUnavailableError

    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    monkeypatch.setenv("DISPLAY", ":987654")
    with pytest.raises(WindowUnavailableError, match="--out FILE"):
        Window(10, 10, "clip")


def test_without_pygame_it_is_said_what_to_install(monkeypatch):
    from player.window import Window, WindowUnavailableError

    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(WindowUnavailableError, match=r"pocketsr\[window\]"):
        Window(10, 10, "clip")
