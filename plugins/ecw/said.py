"""Options that several sources may say: the connection's extra field and the form of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ecw.errors import ConfigurationWrong


def said(source: Mapping[str, Any] | str | None, *, of: str, example: str) -> dict[str, Any]:
    """Return what a source says, an object or JSON text; nothing where it says nothing.

    Raises ConfigurationWrong: `of` names what the options are for, `example` shows how they are written.
    """
    if isinstance(source, str):
        try:
            source = json.loads(source) if source.strip() else None
        except json.JSONDecodeError:
            source = ()  # type: ignore[assignment]  # refused below
    if source is None:
        return {}
    if not isinstance(source, Mapping):
        raise ConfigurationWrong(f"The options of a {of} are no JSON object.", next_move=f"write them as {example}.")
    return dict(source)


def is_said(value: object) -> bool:
    """Say whether a value is one: a form cannot leave a field out."""
    return value not in (None, "", [], {}) and value is not False
