"""Opaque ids like eCW's: 43 characters of A-Z a-z 0-9 . - from which only the sandbox can read the number.

An id is 32 bytes in base 64: 24 bytes are a hash, 8 bytes are the number, masked with a hash of the 24. So an id can be
verified and turned back into its number without a table of all ids.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from hashlib import blake2b


def opaque_id(seed: int, kind: str, key: int) -> str:
    tail = blake2b(f"{seed}/{kind}/{key}".encode(), digest_size=24).digest()
    return urlsafe_b64encode(_mask(key, tail).to_bytes(8) + tail).rstrip(b"=").replace(b"_", b".").decode()


def key_of(seed: int, kind: str, ecw_id: str) -> int | None:
    """Return the number inside an id of this kind, None for any other text."""
    try:
        raw = urlsafe_b64decode(ecw_id.replace(".", "_") + "=")
    except (NotBase64, ValueError):
        return None
    key = _mask(int.from_bytes(raw[:8]), raw[8:])
    return key if opaque_id(seed, kind, key) == ecw_id else None


def _mask(number: int, tail: bytes) -> int:
    return number ^ int.from_bytes(blake2b(tail, digest_size=8).digest())
