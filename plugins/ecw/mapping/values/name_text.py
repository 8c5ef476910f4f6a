"""Split a name that is only a text (`name.text`); only `Family, Given` can be split safely."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from ecw.mapping.values.convert import Unusable


def family(text: str) -> str | None:
    """Return the family name of `Family, Given`; raise Unusable for any other form."""
    return _split(text)[0]


def given(text: str) -> str | None:
    """Return the given names of `Family, Given`; raise Unusable for any other form."""
    return _split(text)[1]


def _split(text: str) -> tuple[str | None, str | None]:
    if not text.strip():
        return None, None
    before, comma, after = text.partition(",")
    if not (comma and before.strip() and after.strip()) or "," in after:
        reason = "the name has only name.text, and only `Family, Given` can be split safely"
        raise Unusable("name.text", reason)
    return before.strip(), " ".join(after.split())


TAKES: MappingProxyType[str, Callable[[str], str | None]] = MappingProxyType({"family": family, "given": given})
