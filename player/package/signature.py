"""Signing the index: Ed25519 (RFC 8032) over its canonical JSON.

The index names every file with its hash, so this one signature covers the package. Who signed is
a matter of trust: a player pins the public keys it trusts (`open_package(trust=...)`).
"""

import base64
import json
import os
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from player.package.artefact import make_folder, write_bytes
from player.package.fields import base64_bytes
from player.package.package_error import PackageError

ALGORITHM = "ed25519"
_KEY_BYTES, _SIGNATURE_BYTES = 32, 64


def home() -> Path:
    """Where PocketSR keeps what is the user's: `$POCKETSR_HOME`, or `~/.config/pocketsr`."""
    named = os.environ.get("POCKETSR_HOME")
    return Path(named) if named else Path.home() / ".config" / "pocketsr"


def signing_key() -> Ed25519PrivateKey:
    """This user's signing key, made on the first call; only its owner may read the file.

    Raises PackageError where the file is not a key, OSError where it cannot be written.
    """
    path = home() / "signing.key"
    if not path.exists():
        make_folder(path.parent, 0o700)
        write_bytes(path, Ed25519PrivateKey.generate().private_bytes_raw(), mode=0o600)
    raw = path.read_bytes()
    if len(raw) != _KEY_BYTES:
        raise PackageError(f"{path}: not a signing key of {_KEY_BYTES} bytes; move it away")
    return Ed25519PrivateKey.from_private_bytes(raw)


def own_key() -> str | None:
    """This user's public key, None where there is none yet."""
    try:
        raw = (home() / "signing.key").read_bytes()
        return public_key_text(Ed25519PrivateKey.from_private_bytes(raw).public_key())
    except (OSError, ValueError):
        return None


def canonical_json(value: dict[str, Any]) -> bytes:
    """One byte string for one value: sorted keys, no spaces, UTF-8, no field `signature`."""
    signed = {k: v for k, v in value.items() if k != "signature"}
    # Each option fixes one spelling; NaN, which is no JSON, cannot be signed.
    text = json.dumps(
        signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    # JSON can escape half of a surrogate pair, for which strict UTF-8 has no bytes.
    return text.encode("utf-8", "surrogatepass")


def sign(value: dict[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """`value` with its field `signature` set: [public key, signature], both in base64."""
    proof = base64.b64encode(key.sign(canonical_json(value))).decode("ascii")
    return {**value, "signature": [public_key_text(key.public_key()), proof]}


def public_key_text(key: Ed25519PublicKey) -> str:
    """The public key as it stands in an index and as `trust` wants it: base64 of 32 bytes."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode("ascii")


def check_signature(value: dict[str, Any], trust: frozenset[str] | None = None) -> str:
    """The public key that signed `value`; raises PackageError where none did, or an untrusted one.

    `trust` holds the public keys that may sign; None takes any, which shows that nothing was
    changed since the signing, not who signed.
    """
    signature = value.get("signature")
    if isinstance(signature, dict):  # as schema 1 of the index had it
        if signature.get("algorithm") != ALGORITHM:
            raise PackageError("index: signed in a way that this version does not know")
        signature = [signature.get("public_key"), signature.get("value")]
    if not isinstance(signature, list) or len(signature) != 2:
        raise PackageError("index: not signed; get the package from its maker again")
    key_text = signature[0]
    key, proof = _decode(key_text, _KEY_BYTES), _decode(signature[1], _SIGNATURE_BYTES)
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(proof, canonical_json(value))
    # RecursionError: JSON that the parser just bears may be too deep for what writes it.
    except (InvalidSignature, ValueError, RecursionError) as error:
        raise PackageError("index: the signature is wrong, the index was changed") from error
    if trust is not None and key_text not in trust:
        raise PackageError(f"index: signed by {key_text}, which is not among the trusted keys")
    return str(key_text)


def _decode(text: object, size: int) -> bytes:
    # Strict, for `trust` compares texts: one key must not have a second spelling.
    raw = base64_bytes(str(text), "the signature")
    if len(raw) != size:
        raise PackageError(f"index: a part of the signature has not {size} bytes")
    return raw
