"""The parts of a name that is only a text (`name.text`), as far as the text itself says which is which."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from ecw.mapping.values.convert import Unusable


def family(text: str) -> str | None:
    """Take the family name of `Family, Given`; of a text in another order nobody knows which name is which."""
    return _split(text)[0]


def given(text: str) -> str | None:
    """Take the given names of `Family, Given`."""
    return _split(text)[1]


def _split(text: str) -> tuple[str | None, str | None]:
    if not text.strip():
        return None, None
    before, comma, after = text.partition(",")
    if not (comma and before.strip() and after.strip()) or "," in after:
        reason = "name.text is all there is of the name, and only `Family, Given` can be split safely"
        raise Unusable("name.text", reason)
    return before.strip(), " ".join(after.split())


TAKES: MappingProxyType[str, Callable[[str], str | None]] = MappingProxyType({"family": family, "given": given})
