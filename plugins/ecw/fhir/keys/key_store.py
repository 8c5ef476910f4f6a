"""The client's RSA keys in a folder: `<kid>.pem`, readable only by the owner, and `jwks.json`, the set to publish.

One key is live, or two during a rotation: eCW must know the new key before it is used, and the old key until nothing
uses it any more.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import RSAAlgorithm

from ecw.errors import ConfigurationError
from ecw.fhir.keys.private_key import parsed

BITS = 3072  # NIST SP 800-57: good beyond 2030
LIVE = 2
PUBLIC = ("kty", "n", "e", "kid", "use", "alg")


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One key of the folder."""

    kid: str
    path: Path
    key: rsa.RSAPrivateKey

    @property
    def jwk(self) -> dict[str, Any]:
        """The public half as a JWK (RFC 7517)."""
        public = RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        found = public | {"kid": self.kid, "use": "sig", "alg": "RS384"}
        return {name: found[name] for name in PUBLIC}


def keys(folder: Path) -> list[StoredKey]:
    """Return the live keys, the oldest first.

    Raises ConfigurationError if a key cannot be read.
    """
    try:
        paths = sorted(folder.glob("*.pem"), key=lambda path: (path.stat().st_mtime_ns, path.name))
        return [StoredKey(path.stem, path, parsed(path.read_text(encoding="ascii"))) for path in paths]
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"A key in {folder} cannot be read ({type(error).__name__}).",
            next_step="check who owns the folder, and that all its .pem files were made by `ecw keys`.",
        ) from None


def new(folder: Path) -> StoredKey:
    """Make the first key and return it.

    Raises ConfigurationError if the folder has a key already.
    """
    if found := keys(folder):
        raise ConfigurationError(
            f"{folder} has a key already: {found[0].kid}.", next_step="replace it with `ecw keys rotate`."
        )
    return _add(folder)


def rotate(folder: Path) -> StoredKey:
    """Make the second key and return it; both keys are in the public set.

    Raises ConfigurationError if the folder has no key, or two.
    """
    found = keys(folder)
    if not found:
        raise ConfigurationError(f"{folder} has no key.", next_step="make one with `ecw keys new`.")
    if len(found) >= LIVE:
        raise ConfigurationError(
            f"{folder} has {len(found)} live keys: {', '.join(key.kid for key in found)}.",
            next_step="retire the unused one with `ecw keys retire`.",
        )
    return _add(folder)


def retire(folder: Path, kid: str) -> None:
    """Delete a key, and remove it from the public set.

    Raises ConfigurationError if the key is unknown, or the only one.
    """
    found = {key.kid: key for key in keys(folder)}
    if kid not in found:
        raise ConfigurationError(
            f"{folder} has no key {kid!r}.", next_step=f"name one of: {', '.join(found) or '(no keys)'}."
        )
    if len(found) == 1:
        raise ConfigurationError(
            f"{kid} is the only key: without it no token is granted.", next_step="make another: `ecw keys rotate`."
        )
    _publish(folder, [key for name, key in found.items() if name != kid])
    found[kid].path.unlink()


def public_set(text: bytes) -> dict[str, list[dict[str, Any]]]:
    """Return the JWKS of a text, reduced to its RSA keys and their public members.

    Raises ValueError if the text is not a JWKS.
    """
    document = orjson.loads(text)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("no JWKS")
    public = [{name: key[name] for name in PUBLIC if name in key} for key in listed if isinstance(key, dict)]
    return {"keys": [key for key in public if key.get("kty") == "RSA"]}


def _add(folder: Path) -> StoredKey:
    key = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    digest = hashlib.sha256(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
    kid = f"ecw-{datetime.now(UTC):%Y%m%d}-{digest[:8]}"
    made = StoredKey(kid, folder / f"{kid}.pem", key)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(made.path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
        _publish(folder, keys(folder))
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be written ({error.strerror}).", next_step="name another one with --folder."
        ) from None
    return made


def _publish(folder: Path, live: list[StoredKey]) -> None:
    _write(folder / "jwks.json", orjson.dumps({"keys": [key.jwk for key in live]}, option=orjson.OPT_INDENT_2), 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file atomically, with its mode from the first byte on."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    temporary.replace(path)
