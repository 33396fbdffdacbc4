"""Names and places on the command line: what is wrong with one is said before any work."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from chunking.input_error import InputError
from player.engine import Engine
from player.engines import EngineNotFoundError
from sr.cli import explain, pocketsr
from sr.usage_error import UsageError


def run(*arguments):
    return CliRunner().invoke(pocketsr, [str(argument) for argument in arguments])


@pytest.fixture
def package(tmp_path):
    """What makes a folder one."""
    for name in ("job.json", "video/init.mp4"):
        path = tmp_path / "p" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return tmp_path / "p"


@pytest.mark.parametrize("below", ["q", "video/q", "a/b/q"])
def test_no_package_is_made_inside_another_one(film, package, tmp_path, below):
    (tmp_path / "link").symlink_to(package)
    for folder in (package, tmp_path / "link"):
        result = run("encode", film, "-o", folder / below, "--scale", "2")
        assert isinstance(result.exception, UsageError)
        assert f"{package} is a package" in str(result.exception)
        for place in (folder, folder / below):
            result = run("compile", "-o", place)
            assert isinstance(result.exception, UsageError)
    assert sorted(os.listdir(package)) == ["job.json", "video"]


@pytest.mark.parametrize("name", ["n" * 300, "loop"])
def test_names_that_no_file_can_have(film, tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    os.symlink("loop", "loop")
    for arguments in (
        ["probe", name],
        ["encode", film, "-o", name, "--scale", "2", "--method", "plain"],
        ["encode", film, "-o", f"{name}/p", "--scale", "2", "--method", "plain"],
        ["compile", "-o", name],
    ):
        result = run(*arguments)
        assert explain(result.exception) in (2, 3), result.exception
        assert "a fault of ours" not in capsys.readouterr().err
    with pytest.raises(EngineNotFoundError, match=r"too long|symbolic links"):
        Engine.open(name)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("command", ["play", "verify", "measure"])
def test_a_package_is_a_folder(film, tmp_path, command):
    os.mkfifo(tmp_path / "pipe")
    options = ["--reference", film] if command == "measure" else []
    for package, message in {
        tmp_path / "pipe": "is no folder",
        film: "is a file",
        "https://example.org/p": "is a URL: fetch the package",
        "-": "does not exist",
    }.items():
        result = run(command, package, *options)
        assert result.exit_code == 2 and message in result.output


@pytest.mark.timeout(60)
def test_a_film_that_is_none_is_said_before_an_engine_is_made_for_it(
    package, tmp_path, monkeypatch
):
    monkeypatch.setattr("player.engines.engine_of", lambda *_: pytest.fail("too early"))
    os.mkfifo(tmp_path / "film.mp4")
    for reference in (tmp_path / "film.mp4", "-", "http://example.org/f.mp4", tmp_path / "gone"):
        result = run("measure", package, "--reference", reference)
        assert isinstance(result.exception, InputError), result.output
        result = run("probe", reference)
        assert isinstance(result.exception, InputError)


def test_an_engine_that_the_environment_names_must_be_there(package, monkeypatch):
    from player.engines import open_engine

    monkeypatch.setenv("POCKETSR_ENGINE", "/gone/engine")
    with pytest.raises(EngineNotFoundError, match=r"\$POCKETSR_ENGINE: /gone/engine: No such"):
        open_engine("int8")


def test_the_film_and_its_name_are_left_alone(film, tmp_path):
    before = film.read_bytes()
    result = run("encode", film, "-o", film, "--scale", "2")
    assert isinstance(result.exception, UsageError)
    assert film.read_bytes() == before and os.listdir(tmp_path) == [Path(film).name]
