"""Keys that are created at run time: the repository contains no secret."""

from __future__ import annotations

import json
import secrets
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import RSAAlgorithm

KEY_ID = "demo-key"


def make_keys(keys: Path, published: Path) -> None:
    """Create the client's private key if it does not exist, and write its public key as a JWKS file."""
    keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    private = keys / "private.pem"
    if not private.exists():
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        write_secret(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    loaded = load_pem_private_key(private.read_bytes(), password=None)
    if not isinstance(loaded, rsa.RSAPrivateKey):
        raise SystemExit(f"make: {private} is not an RSA key: delete it, and the next run creates a new one.")
    jwk = RSAAlgorithm.to_jwk(loaded.public_key(), as_dict=True) | {"kid": KEY_ID, "use": "sig", "alg": "RS384"}
    published.mkdir(parents=True, exist_ok=True)
    (published / "jwks.json").write_text(json.dumps({"keys": [jwk]}))


def kept(path: Path, make: str) -> str:
    """Return the secret in the file; create it if it does not exist. `make` is `fernet` or `token`."""
    if not path.exists():
        write_secret(path, Fernet.generate_key() if make == "fernet" else secrets.token_urlsafe(64).encode())
    return path.read_text()


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read."""
    path.touch(mode=0o600)
    path.write_bytes(content)


def serve_jwks(published: Path, port: int) -> None:
    """Serve the JWKS from a thread, in place of the website of a real client."""
    handler = partial(QuietHandler, directory=str(published))
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    Thread(target=server.serve_forever, daemon=True).start()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serve files without an access log."""

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""
