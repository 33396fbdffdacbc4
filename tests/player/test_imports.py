"""The player runs where neither torch nor TVM is."""

import pkgutil
import subprocess
import sys

import player

HEAVY = ("torch", "tvm", "pygame", "sr", "compiler")


def test_no_module_of_the_player_imports_torch_or_tvm():
    names = [m.name for m in pkgutil.walk_packages(player.__path__, "player.")]
    assert {"player.upscale", "player.measure", "player.package.verify"} <= set(names)
    code = "import importlib, sys\n" + "".join(f"importlib.import_module({n!r})\n" for n in names)
    code += f"print(sorted(sys.modules.keys() & {set(HEAVY)!r}))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": _root()}
    )
    assert result.stdout.strip() == "[]", result.stdout + result.stderr


def _root() -> str:
    return str(next(iter(player.__path__))).removesuffix("player")
