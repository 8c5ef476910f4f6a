"""What the connection and the run's form may say about a push.

The connection's extra field `push` holds a JSON object of these; the form of a run overrides it, key by key.  What is
empty or false is left to the connection: a form cannot leave a field out, and cannot switch off what the connection
switched on (the test patient, say).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, Self

from ecw.directions import PUSHED, require_pushed
from ecw.errors import ConfigurationWrong
from ecw.said import is_said, said

ONLY = ("", "create", "update")
_WHERE = "mend it in the run's form, or in the connection's extra field `push`."


@dataclass(frozen=True, slots=True)
class Wanted:
    """Every key, with what holds where nobody says otherwise."""

    resource: str = PUSHED
    patients: list[str] = field(default_factory=list)  # CRM ids or MR numbers; empty: all that differ
    dry_run: bool = False
    only: str = ""
    limit: int = 0  # the first so many; 0: all
    test_only: bool = False
    test_patient: str = ""  # CRM id or MR number
    max_creates: int = 50  # more than these in one run need an approval
    max_updates: int = 500
    approval_hours: int = 24
    approvers: list[str] = field(default_factory=list)  # ids of Airflow's users; empty: whoever may edit the DAG's runs
    settle_after: float = 30.0  # seconds after which an outcome that is not known is searched for
    confirm_after: float = 3.0  # seconds after which eCW shows a new patient
    longest: int = 100  # characters of a text that the practice's eCW takes
    characters: str = ""  # those that it takes of the ones that ecw.push.validate refuses

    @classmethod
    def read(cls, *sources: Mapping[str, Any] | str | None) -> Self:
        """Read them, later sources over earlier ones; a source may be JSON text.

        Raises ConfigurationWrong naming the key and what it may be.
        """
        found: dict[str, Any] = {}
        for source in sources:
            read = said(source, of="push", example='{"max_creates": 20}')
            found |= {name: value for name, value in read.items() if is_said(value)}
        kinds = {each.name: getattr(cls(), each.name) for each in fields(cls)}
        for name, value in found.items():
            if name not in kinds:
                near = get_close_matches(name, kinds, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(kinds)}."
                raise ConfigurationWrong(f"There is no option {name!r} of a push.", next_move=hint)
            if wrong := _wrong(kinds[name], value):
                raise ConfigurationWrong(f"The option {name!r} of a push is not {wrong}.", next_move=_WHERE)
        wanted = cls(**found)
        wanted = replace(wanted, resource=require_pushed(wanted.resource))
        if wanted.only not in ONLY:
            raise ConfigurationWrong("The option 'only' of a push is neither create nor update.", next_move=_WHERE)
        if wanted.test_only and not wanted.test_patient:
            raise ConfigurationWrong(
                "The run is for the test patient only, and none is named.",
                next_move='put {"test_patient": "<CRM id or MR number>"} into the connection\'s extra field `push`.',
            )
        return wanted

    @property
    def named(self) -> list[str]:
        """The patients that this run is about; empty: all that differ."""
        return [self.test_patient] if self.test_only else self.patients


def _wrong(usual: Any, value: Any) -> str | None:
    """Say what a value should be, in the words of its usual one; None where it is."""
    if isinstance(usual, bool):
        return None if isinstance(value, bool) else "true or false"
    if isinstance(usual, int | float):
        kinds = (int, float) if isinstance(usual, float) else (int,)
        fits = isinstance(value, kinds) and not isinstance(value, bool)
        return None if fits and value >= 0 else "a number from 0 on"
    if isinstance(usual, list):
        fits = isinstance(value, list) and all(isinstance(each, str) and each.strip() for each in value)
        return None if fits else 'a list of texts such as ["4711"]'
    return None if isinstance(value, str) else "a text"
