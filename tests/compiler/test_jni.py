"""The JNI glue, compiled against declarations of our own and called by a Java made of C."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compiler.engine import RUNTIME
from compiler.targets import find_target

HERE = Path(__file__).parent / "android"
GLUE = RUNTIME.parent / "android" / "pocketsr_jni.c"
FLAGS = ["-O2", "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", str(RUNTIME), "-I", str(HERE)]
ZIG = [sys.executable, "-m", "ziglang", "cc"]
ARGUMENT = "java/lang/IllegalArgumentException: "


@pytest.fixture(scope="module")
def program(engine_files, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("jni") / "call_jni"
    target = ["-target", find_target("host").c_target]
    sources = [str(GLUE), str(HERE / "call_jni.c"), str(engine_files.archive)]
    # -s as an engine is linked: without it zig would build its support objects again.
    subprocess.run([*ZIG, *FLAGS, "-s", *target, *sources, "-o", str(out)], check=True)
    return out


def test_an_app_gets_the_engines_pixels_and_exceptions(program, networks, pairs, picture, tmp_path):
    arch = next(arch for arch in networks if arch.scale == 1.5)
    lr, network = picture(9, 14), networks[arch]
    weights, source, result = (tmp_path / name for name in ("w.bin", "lr.rgb", "hr.rgb"))
    weights.write_bytes(pairs[arch].blob)
    source.write_bytes(lr.tobytes())
    command = [program, weights, source, result, "9", "14"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    halo = network.halo_px(2)
    padded = np.pad(lr, [(halo, halo + 1), (halo, halo), (0, 0)], "edge")  # 5 rows of units
    wanted = network.upscale(padded, 2)[:14]  # half a pixel counts as one
    assert (np.fromfile(result, np.uint8).reshape(wanted.shape) == wanted).all()
    assert [lines.pop(name) for name in ("openNet", "openPool", "frame")] == ["done"] * 3
    assert lines.pop("isa") in network.engine.info["isas"]
    assert lines == {
        "heap buffer": ARGUMENT + "pixels must be in a direct byte buffer",
        "small LR buffer": ARGUMENT + "a buffer is smaller than its image",
        "small HR buffer": ARGUMENT + "a buffer is smaller than its image",
        "uneven patches": ARGUMENT + "patches are six numbers each",
        "no networks": ARGUMENT + "give 1 to 64 networks",
        "negative height": ARGUMENT + lines["patch outside"].removeprefix(ARGUMENT),
        "patch outside": ARGUMENT + "an argument is wrong: a size, a patch outside the frame, or a "
        "path that the network has not",
        "patch within a unit": lines["patch outside"],
        "damaged weights": ARGUMENT + "the checksum is wrong",
        "no weights": ARGUMENT + "no weights",
        "no threads": lines["patch outside"],
    }


def test_the_glue_compiles_for_android(tmp_path):
    target = ["-target", find_target("android-arm64").c_target]
    subprocess.run(
        [*ZIG, *FLAGS, *target, "-c", str(GLUE), "-o", str(tmp_path / "glue.o")], check=True
    )
    assert (tmp_path / "glue.o").read_bytes()[18] == 183
