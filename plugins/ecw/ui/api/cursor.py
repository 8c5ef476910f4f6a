"""Where a page of rows ended, as one parameter of the next page's address."""

from __future__ import annotations

import base64

import orjson
from fastapi import HTTPException


def cursor(ended: tuple[str, ...] | None) -> str | None:
    """Return the parameter for the key at which a page ended; None at the end."""
    if ended is None:
        return None
    return base64.urlsafe_b64encode(orjson.dumps(list(ended))).decode().rstrip("=")


def after(text: str, parts: int) -> tuple[str, ...] | None:
    """Return the key, of so many texts, at which the page before ended; None for the first page.  A 400 otherwise."""
    if not text:
        return None
    try:
        found = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, orjson.JSONDecodeError):
        found = None
    if not isinstance(found, list) or len(found) != parts or not all(isinstance(one, str) for one in found):
        raise HTTPException(400, "cursor: it is none that a page of this address gave; begin at the first page.")
    return tuple(found)
