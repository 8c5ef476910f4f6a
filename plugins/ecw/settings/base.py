"""Options that several sources may say: the connection's extra field and the form of a run."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from ecw.errors import ConfigurationError


def said(source: Mapping[str, Any] | str | None, *, of: str, example: str) -> dict[str, Any]:
    """Return what a source says, an object or JSON text; nothing where it says nothing.

    Raises ConfigurationError: `of` names what the options are for, `example` shows how they are written.
    """
    if isinstance(source, str):
        try:
            source = json.loads(source) if source.strip() else None
        except json.JSONDecodeError:
            source = ()  # type: ignore[assignment]  # refused below
    if source is None:
        return {}
    if not isinstance(source, Mapping):
        raise ConfigurationError(f"The options of a {of} are no JSON object.", next_move=f"write them as {example}.")
    return dict(source)


def is_said(value: object) -> bool:
    """Return True if a value is one: a form cannot leave a field out."""
    return value not in (None, "", [], {}) and value is not False


def require_own_keys(form: Mapping[str, Any], own: Collection[str], of: str, elsewhere: Collection[str] = ()) -> None:
    """Do nothing where a run says only what its form has: `dag_run.conf` holds whatever a trigger sends.

    `elsewhere` are options that the connection alone may set.  Raises ConfigurationError that names the key.
    """
    for name in form:
        if name in own:
            continue
        if name in elsewhere:
            raise ConfigurationError(
                f"The option {name!r} of a {of} is for the connection alone: a run may only be more careful than it.",
                next_move=f"take it out of the run's configuration; whoever may edit the connection sets it there, in "
                f"the extra field `{of}`.",
            )
        near = get_close_matches(name, own, n=1)
        # What is like none of ours may be anything, a name too: it is not repeated.
        raise ConfigurationError(
            f"The form of a {of} has no field {name!r}."
            if near
            else f"The form of a {of} lacks a field that was sent.",
            next_move=f"did you mean {near[0]!r}?" if near else f"use only: {', '.join(own)}.",
        )
