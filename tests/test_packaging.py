"""What `pip install .` installs: every folder of code, or an import fails on another machine."""

from pathlib import Path

import pytest
from setuptools import find_packages

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("top", ["sr", "chunking", "compiler", "player"])
def test_every_folder_of_code_is_a_package(top):
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / top).rglob("*.py")}
    wanted = {".".join(folder.parts) for folder in folders}
    assert wanted == {p for p in find_packages(str(ROOT)) if p == top or p.startswith(f"{top}.")}
