"""The key of a page's last row, as one parameter of the next page's address."""

from __future__ import annotations

import base64

import orjson
from fastapi import HTTPException


def cursor(last_key: tuple[str, ...] | None) -> str | None:
    """Return the parameter for the key of a page's last row; None after the last page."""
    if last_key is None:
        return None
    return base64.urlsafe_b64encode(orjson.dumps(list(last_key))).decode().rstrip("=")


def after(text: str, parts: int) -> tuple[str, ...] | None:
    """Return the key of the previous page's last row, with `parts` texts; None for the first page.

    Raises a 400 if the text is not such a key.
    """
    if not text:
        return None
    try:
        key = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, orjson.JSONDecodeError):
        key = None
    if not isinstance(key, list) or len(key) != parts or not all(isinstance(part, str) for part in key):
        raise HTTPException(400, "cursor: it does not come from a page of this address; begin at the first page.")
    return tuple(key)
