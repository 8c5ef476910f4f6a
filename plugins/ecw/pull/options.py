"""What the connection and the run's form may say about how a pull is done.

The connection's extra field `pull` holds a JSON object of these; the form of a run overrides it, key by key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Self

from ecw.errors import ConfigurationWrong
from ecw.resources import resource

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Options:
    """Every key, with what holds where nobody says otherwise."""

    strategies: dict[str, str] = field(default_factory=dict)  # resource -> a row of strategies.py
    ids: dict[str, list[str]] = field(default_factory=dict)  # resource -> eCW ids: this run is about these alone
    full: bool = False  # look at everything again, whatever the cursor says
    allow_long: bool = False  # begin even where the plan does not fit before the next run
    every_minutes: int = 120  # from one scheduled run to the next
    check_every_hours: int = 24  # per_patient: everybody is looked at within this time
    look_back_days: int = 30  # schedule: appointments so long ago still change
    look_ahead_days: int = 180
    first_look_back_days: int = 730  # schedule, the first time and in a full run
    in_flight: int = 16  # requests at a time
    letters: str = LETTERS  # name_sweep
    bulk_group: str = ""  # the group that is exported, by its name or its export id

    @classmethod
    def read(cls, *sources: Mapping[str, Any] | str | None) -> Self:
        """Read options, later sources over earlier ones; a source may be JSON text.

        What is empty or false is left to the sources before: a form cannot leave a field out.

        Raises ConfigurationWrong naming the key and what it may be.
        """
        found: dict[str, Any] = {}
        for source in sources:
            found |= {name: value for name, value in _object(source).items() if _is_said(value)}
        kinds = {each.name: each for each in fields(cls)}
        for name, value in found.items():
            if name not in kinds:
                near = get_close_matches(name, kinds, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(kinds)}."
                raise ConfigurationWrong(f"There is no option {name!r} of a pull.", next_move=hint)
            usual = getattr(cls(), name)
            if type(value) is not type(usual) or (type(value) is int and value < 1):
                wanted = "a whole number above 0" if type(usual) is int else type(usual).__name__
                raise ConfigurationWrong(
                    f"The option {name!r} of a pull is not {wanted}.",
                    next_move="mend it in the run's form, or in the connection's extra field `pull`.",
                )
        for key, fits, wanted in (
            ("strategies", _is_text, 'a name such as "per_patient"'),
            ("ids", _is_list_of_texts, 'a list such as ["…"] with at least one id'),
        ):
            for name, value in found.get(key, {}).items():
                resource(name)
                if not fits(value):
                    raise ConfigurationWrong(
                        f"The option {key!r} of a pull has something else than {wanted} for {name}.",
                        next_move="mend it in the run's form, or in the connection's extra field `pull`.",
                    )
        return cls(**found)


def _is_said(value: object) -> bool:
    return value not in (None, "", {}) and value is not False


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(map(_is_text, value))


def _object(source: Mapping[str, Any] | str | None) -> Mapping[str, Any]:
    if isinstance(source, str):
        try:
            source = json.loads(source) if source.strip() else None
        except json.JSONDecodeError:
            source = ()  # type: ignore[assignment]  # refused below
    if source is None:
        return {}
    if not isinstance(source, Mapping):
        raise ConfigurationWrong(
            "The options of a pull are no JSON object.",
            next_move='write them as {"strategies": {"encounter": "list"}}.',
        )
    return source
