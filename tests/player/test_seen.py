"""No older revision in the place of a newer one, and a word where a key is new."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from player.package.index import read_index, write_index
from player.package.package_error import PackageError
from player.package.seen import Seen
from player.package.signature import own_key, signing_key
from player.package.verify import verify_package
from player.session import open_package
from sr.commands.measure import command as measure_command
from sr.commands.play import command as play_command
from sr.commands.verify import command as verify_command

ID, OTHER = "12" * 9, "ab" * 9


def sign(package, revision: int, identity: str = ID, key: Ed25519PrivateKey | None = None) -> None:
    index = read_index(package).index
    changed = replace(index, id=identity, revision=revision)
    write_index(package, changed, key or signing_key())


@pytest.fixture
def seen(tmp_path):
    return Seen(tmp_path / "home")


def test_the_first_revision_costs_no_byte(package_dir):
    sign(package_dir, 1)
    first = read_index(package_dir)
    assert "revision" not in first.source and first.index.revision == 1 and first.index.id == ID
    sign(package_dir, 7)
    assert read_index(package_dir).index.revision == 7
    sign(package_dir, 1, "")
    assert "id" not in read_index(package_dir).source


def test_an_older_revision_is_refused_and_its_networks_do_not_run(package_dir, seen):
    for revision in (2, 2, 3):
        sign(package_dir, revision)
        opened = open_package(package_dir, seen=seen)
        assert opened.signer and not opened.problems
        seen.remember(opened.index, opened.signer)
    sign(package_dir, 2)
    opened = open_package(package_dir, seen=seen)
    assert opened.signer is None and "revision 2, but 3" in opened.problems[0].reason
    (fault,) = verify_package(package_dir, seen=seen).faults
    assert "revision 2, but 3" in fault.reason
    # To whom nothing was shown, nothing is older.
    assert open_package(package_dir).signer and verify_package(package_dir).ok


@pytest.mark.parametrize("differs", ["film", "key", "no id"])
def test_revisions_are_of_one_film_of_one_key(package_dir, seen, differs):
    sign(package_dir, 5)
    opened = open_package(package_dir, seen=seen)
    seen.remember(opened.index, opened.signer)
    key = Ed25519PrivateKey.generate() if differs == "key" else None
    sign(package_dir, 1, {"film": OTHER, "key": ID, "no id": ""}[differs], key)
    assert open_package(package_dir, seen=seen).signer


@pytest.mark.parametrize("text", ["", "[]", "{", '{"k":3}', '{"k":{"i":"x"}}', "\0" * 99])
def test_a_damaged_store_is_as_none(package_dir, seen, text):
    sign(package_dir, 1)
    seen.folder.mkdir()
    (seen.folder / "seen.json").write_text(text)
    opened = open_package(package_dir, seen=seen)
    seen.remember(opened.index, opened.signer)
    assert seen.is_known(opened.signer) and json.loads((seen.folder / "seen.json").read_text())


def test_a_home_that_cannot_be_written_stops_nothing(package_dir, tmp_path):
    (tmp_path / "file").write_text("")
    seen = Seen(tmp_path / "file" / "home")
    opened = open_package(package_dir, seen=seen)
    seen.remember(opened.index, opened.signer)
    assert not seen.is_known(opened.signer)


def test_what_was_first_seen_is_first_forgotten(package_dir, seen, monkeypatch):
    monkeypatch.setattr("player.package.seen._MOST_PACKAGES", 3)
    index = read_index(package_dir).index
    for i, signer in enumerate("aabbc"):
        seen.remember(replace(index, id=f"{i:018x}", revision=9), signer)
    for i, signer in enumerate("aabbc"):
        old = replace(index, id=f"{i:018x}", revision=8)
        if i < 2:
            seen.check(old, signer)
            continue
        with pytest.raises(PackageError, match="revision 8, but 9"):
            seen.check(old, signer)


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setenv("POCKETSR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("player.engines.open_engine", lambda *arguments: None)

    def command(which, *arguments):
        return CliRunner().invoke(which, [str(a) for a in arguments])

    return command


def test_a_new_key_is_said_once(package_dir, run):
    key = Ed25519PrivateKey.generate()
    sign(package_dir, 1, key=key)
    signer = read_index(package_dir).signer()
    first, second = (run(play_command, package_dir, "--frames", 2) for _ in range(2))
    assert f"signed by {signer}, of whom nothing was played here before" in first.stderr
    assert first.exit_code == second.exit_code == 0 and "signed by" not in second.stderr


def test_the_own_key_and_a_trusted_one_are_not_new(package_dir, run):
    sign(package_dir, 1, key=signing_key())
    assert read_index(package_dir).signer() == own_key()
    assert "signed by" not in run(play_command, package_dir, "--frames", 2).stderr
    sign(package_dir, 1, key=Ed25519PrivateKey.generate())
    signer = read_index(package_dir).signer()
    trusted = run(play_command, package_dir, "--frames", 2, "--trust", signer)
    assert "of whom" not in trusted.stderr


def test_measure_and_verify_trust_whom_they_are_told(package_dir, source_clip, run):
    other = run(measure_command, package_dir, "--reference", source_clip, "--trust", "other")
    assert "not among the trusted keys" in other.stderr
    sign(package_dir, 2)
    assert run(play_command, package_dir, "--frames", 2).exit_code == 0
    sign(package_dir, 1)
    refused = run(verify_command, package_dir)
    assert isinstance(refused.exception, PackageError)
    assert "revision 1, but 2" in str(refused.exception)
