"""Signing: what is signed, by which key, and who is trusted."""

import contextlib
import json
import stat
import string

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from player.package.package_error import PackageError
from player.package.signature import (
    canonical_json,
    check_signature,
    home,
    public_key_text,
    sign,
    signing_key,
)

# RFC 8032, section 7.1, test 1: this secret key has this public key.
RFC_SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
RFC_PUBLIC = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="


@pytest.fixture
def key():
    return Ed25519PrivateKey.from_private_bytes(RFC_SECRET)


def test_the_public_key_is_that_of_the_rfc(key):
    assert public_key_text(key.public_key()) == RFC_PUBLIC


def test_canonical_json_is_one_byte_string():
    value = {"b": [1, 2.5, None, True], "a": "é", "signature": {"value": "left out"}}
    assert canonical_json(value) == '{"a":"é","b":[1,2.5,null,true]}'.encode()


def test_a_signature_survives_reformatting_and_covers_every_field(key):
    signed = json.loads(json.dumps(sign({"scale": 2, "weights": [{"bytes": 7}]}, key), indent=3))
    assert check_signature(signed) == RFC_PUBLIC
    for change in ({"scale": 3}, {"weights": [{"bytes": 8}]}, {"new": 0}):
        with pytest.raises(PackageError, match="the index was changed"):
            check_signature(signed | change)


def test_only_trusted_keys_may_sign(key):
    signed = sign({"scale": 2}, key)
    assert check_signature(signed, frozenset({RFC_PUBLIC})) == RFC_PUBLIC
    with pytest.raises(PackageError, match="not among the trusted keys"):
        check_signature(signed, frozenset({"somebody else"}))
    with pytest.raises(PackageError, match="not among the trusted keys"):
        check_signature(signed, frozenset())


BROKEN = [
    ("public_key", "AAAA"),
    ("public_key", 5),
    ("public_key", "A" * 43 + "="),
    ("value", "!"),
    ("value", None),
    ("value", "A" * 86 + "=="),
]


@pytest.mark.parametrize("signature", [None, "x", {}, [], ["A"], [RFC_PUBLIC, "A", "A"]])
def test_what_is_no_signature_is_refused(key, signature):
    with pytest.raises(PackageError):
        check_signature(sign({"scale": 2}, key) | {"signature": signature})


@pytest.mark.parametrize(("part", "value"), BROKEN)
def test_a_broken_signature_is_refused(key, part, value):
    signed = sign({"scale": 2}, key)
    signed["signature"][part == "value"] = value
    with pytest.raises(PackageError):
        check_signature(signed)


@pytest.mark.parametrize(("part", "tail"), [(0, 2), (1, 3)])
def test_neither_key_nor_signature_has_a_second_spelling(key, part, tail):
    """The last character before the padding has bits that stand for nothing; all must be 0."""
    signed, spellings = sign({"scale": 2}, key), []
    text = signed["signature"][part]
    for character in string.ascii_letters + string.digits + "+/":
        signed["signature"][part] = text[:-tail] + character + text[1 - tail :]
        with contextlib.suppress(PackageError):
            check_signature(signed)
            spellings.append(signed["signature"][part])
    assert spellings == [text]


@pytest.mark.parametrize(("part", "value"), [*BROKEN, ("algorithm", "none")])
def test_a_signature_as_schema_1_had_it_is_checked_as_well(key, part, value):
    signed = sign({"scale": 2}, key)
    names = ("public_key", "value")
    old = dict(zip(names, signed["signature"], strict=True)) | {"algorithm": "ed25519"}
    assert check_signature(signed | {"signature": old}) == RFC_PUBLIC
    with pytest.raises(PackageError):
        check_signature(signed | {"signature": old | {part: value}})


def test_the_users_key_is_made_once_and_private(tmp_path, monkeypatch):
    monkeypatch.setenv("POCKETSR_HOME", str(tmp_path / "new" / "home"))
    first, second = signing_key(), signing_key()
    assert first.private_bytes_raw() == second.private_bytes_raw()
    assert stat.S_IMODE((home() / "signing.key").stat().st_mode) == 0o600


def test_a_damaged_key_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("POCKETSR_HOME", str(tmp_path))
    (tmp_path / "signing.key").write_bytes(b"short")
    with pytest.raises(PackageError, match="move it away"):
        signing_key()
    assert (tmp_path / "signing.key").read_bytes() == b"short"
