"""The C compiler: found where it was installed, whatever lies in the current folder."""

import pytest

from compiler.emit.link import compile_c
from compiler.targets import find_target

# What would run: the module by which the compiler is called, and what Python itself loads first.
NAMES = ("ziglang", "os", "sys", "runpy", "site", "sitecustomize", "encodings")


@pytest.mark.parametrize("kind", ["module", "folder"])
def test_no_code_of_the_current_folder_is_run(tmp_path, monkeypatch, kind):
    """Which may be a package out of the net."""
    marker = tmp_path / "marker"
    here = tmp_path / "package"
    here.mkdir()
    code = f"open({str(marker)!r}, 'w').close()\n"
    for name in NAMES:
        if kind == "module":
            (here / f"{name}.py").write_text(code)
            continue
        (here / name).mkdir()
        for file in ("__init__.py", "__main__.py"):
            (here / name / file).write_text(code)
    monkeypatch.chdir(here)
    (tmp_path / "f.c").write_text("int f(void) { return 1; }\n")
    compile_c(tmp_path / "f.c", (), find_target("host"), tmp_path / "f.o")
    assert (tmp_path / "f.o").stat().st_size > 100 and not marker.exists()
