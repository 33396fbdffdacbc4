"""The floors of docs/architecture.md: who may import whom, lazy imports counted too."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ("player", "chunking", "compiler", "sr")

# A room and its floor; the most specific prefix counts. An arrow goes down, or stays on its floor.
FLOORS = {
    "player.package": 0,
    "chunking": 1,
    "compiler": 1,
    "player": 2,
    "sr": 3,
    "sr.rate": 4,
    "sr.encode": 5,
    "sr.commands": 6,
    "sr.cli": 6,
}
# Inside floor 3: what each room may know of its neighbours, from the ground up.
INSIDE_SR = {
    "sr.usage_error": 0,
    "sr.progress": 0,
    "sr.stuck": 0,
    "sr.models": 1,
    "sr.host_engine": 2,
    "sr.training": 2,
    "sr.quant": 3,
    "sr.packing": 4,
    "sr.scoring": 5,
    "sr.latency": 5,
    "sr.router": 6,
    "sr.shrink": 6,
}
# Beside the floors: what a room never knows, though it would be no higher.
NEVER = {
    "player.package": {"torch", "tvm", "sr", "chunking", "compiler", "av", "cv2"},
    "chunking": {"torch", "tvm", "sr", "compiler", "player"},
    "compiler": {"sr", "chunking", "player", "torchvision"},
    "player": {"torch", "tvm", "sr", "compiler"},
    "sr": set(),
}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> set[str]:
    """Every name that a file imports, wherever in it: `from a import b` gives a and a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            base = node.module or ""
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


FILES = {module_of(p): p for top in PRODUCT for p in sorted((ROOT / top).rglob("*.py"))}
ARROWS = {name: imported(path) for name, path in FILES.items()}


def room(name: str, rooms: dict[str, int]) -> str | None:
    """The longest of `rooms` that `name` lies in."""
    found = [r for r in rooms if name == r or name.startswith(f"{r}.")]
    return max(found, key=len, default=None)


def upward(module: str, target: str, floors: dict[str, int]) -> bool:
    here, there = room(module, floors), room(target, floors)
    return here is not None and there is not None and floors[there] > floors[here]


@pytest.mark.parametrize("module", FILES)
def test_no_arrow_goes_up(module):
    for target in ARROWS[module]:
        if target not in PRODUCT:  # a folder's name alone says nothing
            assert not upward(module, target, FLOORS), f"{module} imports {target}"
            assert not upward(module, target, INSIDE_SR), f"{module} imports {target}"


@pytest.mark.parametrize("module", FILES)
def test_no_room_knows_what_it_must_not(module):
    here = room(module, {name: 0 for name in NEVER})
    assert here is not None
    for target in ARROWS[module]:
        top = target.split(".")[0]
        known = "player.package" if room(target, {"player.package": 0}) else top
        if target == "player":
            continue
        forbidden = NEVER[here] - {here.split(".")[0]}
        assert known not in forbidden, f"{module} imports {target}"
        assert top not in ("benchmarks", "tests"), f"{module} imports {target}"


def test_no_two_files_import_each_other():
    for module, targets in ARROWS.items():
        for target in targets & FILES.keys() - {module}:
            assert module not in ARROWS[target], f"{module} and {target} import each other"


def test_every_room_of_sr_has_its_place():
    """A new folder beside sr.models is put into the table above, so that its arrows count."""
    rooms = {".".join(name.split(".")[:2]) for name in FILES if name.startswith("sr.")}
    assert rooms <= {*INSIDE_SR, "sr.rate", "sr.encode", "sr.commands", "sr.cli"}


def test_the_rule_finds_what_it_is_for():
    assert upward("chunking.video", "sr.encode.film", FLOORS)
    assert upward("sr.models.chain", "sr.training.loop", INSIDE_SR)
    assert not upward("sr.encode.film", "chunking.video", FLOORS)
    assert not upward("player.upscale", "player.package.paths", FLOORS)
