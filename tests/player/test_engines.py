"""Engines come out of the user's own cache, checked; what lies in a package is never loaded."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from player.engine import Engine, EngineNotFoundError
from player.engines import dtype_of_package, engine_of, open_engine, store_engine
from player.package.index import read_index
from player.package.layout import ENGINE_ABI, ENGINE_INFO, ENGINE_LIBRARY
from player.package.signature import home
from player.session import open_package
from sr.commands.measure import command as measure_command
from sr.commands.play import command as play_command
from sr.commands.verify import command as verify_command
from tests.player.conftest import compile_fake


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    """A cache of each test's own."""
    monkeypatch.setenv("POCKETSR_HOME", str(tmp_path / "home"))


def write_engine(folder: Path, library: Path, dtype="fp32") -> None:
    """A fake engine's files, as `compile` would write them."""
    shutil.copy(library, folder / ENGINE_LIBRARY)
    info = {
        "abi": ENGINE_ABI,
        "dtype": dtype,
        "sha256": hashlib.sha256(library.read_bytes()).hexdigest(),
    }
    (folder / ENGINE_INFO).write_text(json.dumps(info))


@pytest.fixture
def store(engine_path):
    """Puts a fake engine into the cache; returns its folder."""

    def make(library=engine_path, **changes) -> Path:
        return store_engine("host", lambda folder: write_engine(folder, library, **changes))

    return make


def find(dtype="fp32", **options):
    """The engine's path, and what was said."""
    events = []
    engine = open_engine(dtype, on_event=events.append, **options)
    return engine and engine.path, [str(event) for event in events]


def other_library(tmp_path, number: int) -> Path:
    """A fake engine of other bytes."""
    source = tmp_path / f"{number}.c"
    source.write_text(f"int psr_number(void) {{ return {number}; }}")
    return compile_fake(tmp_path / f"{number}.so", source)


def test_an_engine_of_the_cache_is_found(store, tmp_path):
    folder = store()
    sha256 = hashlib.sha256((folder / ENGINE_LIBRARY).read_bytes()).hexdigest()
    assert folder == home() / "engines" / "host" / f"{ENGINE_ABI}-fp32-{sha256}"
    assert find() == (folder / ENGINE_LIBRARY, [])


def test_without_one_it_is_said_what_to_do():
    found, (line,) = find(target="x86-64-v3")
    assert found is None and "pocketsr compile --target x86-64-v3 --dtype fp32" in line


def test_an_engine_of_the_other_numbers_is_not_taken(store):
    store()
    found, (line,) = find("int8")
    assert found is None and "no int8 one is in the cache" in line


def test_an_engine_of_an_older_interface_is_not_taken(store):
    folder = store()
    folder.rename(folder.with_name(folder.name.replace(f"{ENGINE_ABI}-", f"{ENGINE_ABI - 1}-", 1)))
    assert find()[0] is None


def test_where_there_is_none_one_is_built(store, engine_path):
    def build(dtype, target):
        asked.append((dtype, target))
        return Engine.open(engine_path)

    asked: list[tuple[str, str]] = []
    assert find("int8", build=build) == (engine_path, [])
    store()
    assert find("fp32", build=build)[1] == []
    assert asked == [("int8", "host")]


def test_an_engine_for_another_target_is_not_taken(store, tmp_path):
    store()
    assert find(target="android-arm64")[0] is None


def test_the_newest_that_fits_is_taken(store, tmp_path):
    older, newer = store(), store(other_library(tmp_path, 1))
    store(other_library(tmp_path, 2), dtype="int8")
    for age_s, folder in enumerate((newer, older)):
        os.utime(folder, (1e9 - age_s, 1e9 - age_s))
    assert find()[0].parent == newer
    assert store() == older  # compiled again
    assert find()[0].parent == older


def test_the_same_engine_again_leaves_nothing_behind(store):
    assert store() == store()
    assert len(list((home() / "engines" / "host").iterdir())) == 1


def test_a_damaged_engine_is_replaced_by_the_same_one(store, tmp_path):
    folder = store()
    (folder / ENGINE_LIBRARY).write_bytes(b"damaged")
    assert store() == folder
    assert find() == (folder / ENGINE_LIBRARY, [])


def test_a_build_that_fails_leaves_nothing(store):
    def build(folder):
        (folder / ENGINE_LIBRARY).touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store_engine("host", build)
    assert list((home() / "engines" / "host").iterdir()) == []


@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_no_umask_makes_an_engine_that_is_refused(store, tmp_path, umask):
    before = os.umask(umask)
    try:
        folder = store()
    finally:
        os.umask(before)
    assert find()[0] == folder / ENGINE_LIBRARY


def replace_by_link(path: Path) -> None:
    """The same contents, elsewhere, and a symbolic link to them."""
    moved = path.parent.parent.parent / f"moved-{path.name}"
    path.rename(moved)
    path.symlink_to(moved)


def rename_folder(folder: Path) -> None:
    folder.rename(folder.with_name(folder.name[:-1] + ("0" if folder.name[-1] != "0" else "1")))


def change_info(folder: Path) -> None:
    path = folder / ENGINE_INFO
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sha256": "0" * 64}))


def change_library(folder: Path) -> None:
    """The bytes of another engine, which would load."""
    path = folder / ENGINE_LIBRARY
    path.write_bytes(path.read_bytes() + b"\0")


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


REFUSED = {
    "folder writable by others": (lambda f: f.chmod(0o777), "others than its owner"),
    "folder writable by its group": (lambda f: f.chmod(0o770), "others than its owner"),
    "library writable by others": (
        lambda f: (f / ENGINE_LIBRARY).chmod(0o666), "others than its owner"),
    "info writable by others": (lambda f: (f / ENGINE_INFO).chmod(0o666), "others than its owner"),
    "folder a link": (replace_by_link, "symbolic link"),
    "library a link": (lambda f: replace_by_link(f / ENGINE_LIBRARY), "symbolic link"),
    "info a link": (lambda f: replace_by_link(f / ENGINE_INFO), "symbolic link"),
    "library a pipe": (lambda f: make_pipe(f / ENGINE_LIBRARY), "not a plain file"),
    "library gone": (lambda f: (f / ENGINE_LIBRARY).unlink(), "cannot be read"),
    "library changed": (change_library, "not the one that `compile` made"),
    "hash of engine.json": (change_info, "not the one that `compile` made"),
    "hash of the name": (rename_folder, "not the one that `compile` made"),
    "info no JSON": (lambda f: (f / ENGINE_INFO).write_text("["), "not JSON"),
}  # fmt: skip


@pytest.mark.parametrize("harm", REFUSED)
def test_what_could_be_somebody_elses_is_refused_with_a_line(store, tmp_path, harm):
    spoil, reason = REFUSED[harm]
    spoil(store())
    found, (refused, none) = find()
    assert found is None and reason in refused and "no fp32 one" in none


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("name", ["", ENGINE_LIBRARY, ENGINE_INFO])
def test_what_belongs_to_another_user_is_refused(store, tmp_path, name):
    os.chown(store() / name, 12345, -1)
    found, (refused, _) = find()
    assert found is None and "belongs to user 12345" in refused


def test_after_a_refused_engine_the_next_is_taken(store, tmp_path):
    good, bad = store(), store(other_library(tmp_path, 3))
    os.utime(good, (1e9, 1e9))
    (bad / ENGINE_LIBRARY).chmod(0o777)
    found, (line,) = find()
    assert found == good / ENGINE_LIBRARY and bad.name in line


def test_a_named_engine_goes_before_the_variable_and_the_cache(store, tmp_path, monkeypatch):
    store()
    named, by_variable = (other_library(tmp_path, number) for number in (4, 5))
    monkeypatch.setenv("POCKETSR_ENGINE", str(by_variable))
    assert find() == (by_variable, [])
    assert find(named=named) == (named, [])


def test_a_named_engine_may_be_a_folder(store, tmp_path):
    folder = store()
    assert find(named=folder)[0] == folder / ENGINE_LIBRARY


def test_a_variable_that_names_nothing_is_an_error(store, tmp_path, monkeypatch):
    store()
    monkeypatch.setenv("POCKETSR_ENGINE", str(tmp_path / "gone.so"))
    with pytest.raises(EngineNotFoundError, match=r"gone\.so"):
        find()


def test_a_package_tells_its_numbers(package_dir):
    entries = read_index(package_dir).index.weights
    assert dtype_of_package(package_dir, entries) == "fp32"
    (package_dir / "sr/weights-000.bin").write_bytes(b"damaged")  # the other one is whole
    assert dtype_of_package(package_dir, entries) == "fp32"
    assert dtype_of_package(package_dir, ()) == "int8"


def test_a_package_plays_with_its_engine_of_the_cache(package_dir, store, generic_folder):
    folder = store()
    assert engine_of(open_package(package_dir)).path == folder / ENGINE_LIBRARY


@pytest.fixture
def trap(package_dir, tmp_path, monkeypatch):
    """A package with an engine in it, as older versions had; whoever loads it leaves a trace."""
    trace, source = tmp_path / "loaded", tmp_path / "constructor.c"
    source.write_text(
        "#include <stdio.h>\n__attribute__((constructor)) static void leave_a_trace(void)"
        f'{{ fclose(fopen("{trace}", "w")); }}'
    )
    library = compile_fake(tmp_path / "trap.so", source)
    for target in ("host", "x86-64-v3"):
        folder = package_dir / "engine" / target
        folder.mkdir(parents=True)
        write_engine(folder, library)
    return library, trace


COMMANDS = {
    "verify": (verify_command, []),
    "play": (play_command, []),
    "measure": (measure_command, ["--reference", "FILM"]),
}


@pytest.mark.parametrize("target", ["host", "x86-64-v3"])
@pytest.mark.parametrize("name", COMMANDS)
def test_an_engine_in_a_package_is_never_loaded(package_dir, trap, source_clip, name, target):
    library, trace = trap
    command, options = COMMANDS[name]
    options = [str(source_clip) if option == "FILM" else option for option in options]
    result = CliRunner().invoke(command, [str(package_dir), "--target", target, *options])
    assert not trace.exists()
    told = [line for line in result.stderr.splitlines() if "holds no code" in line]
    assert len(told) == 1 and "`pocketsr compile`" in told[0]
    if name != "measure":  # the clip is the LR one
        assert result.exit_code == 0, result.output
    # The trap is a working one: named by the user, the same library is loaded.
    CliRunner().invoke(command, [str(package_dir), "--engine", str(library), *options])
    assert trace.exists()


def test_an_engine_that_is_named_on_the_command_line_must_be_there(package_dir, source_clip):
    for command, options in COMMANDS.values():
        options = [str(source_clip) if option == "FILM" else option for option in options]
        arguments = [str(package_dir), "--engine", "/gone/libpocketsr.so", *options]
        result = CliRunner().invoke(command, arguments)
        assert isinstance(result.exception, EngineNotFoundError)
        assert "/gone/libpocketsr.so" in str(result.exception)


def test_play_runs_the_networks_of_trusted_keys_only(package_dir, store, generic_folder):
    store()
    signer = open_package(package_dir).signer
    for key, code in ((signer, []), ("another", ["signature"])):
        result = CliRunner().invoke(play_command, [str(package_dir), "--trust", key, "--json"])
        assert [event["kind"] for event in json.loads(result.stdout)["events"]] == code
