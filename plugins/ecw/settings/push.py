"""What the connection and the run's form may say about a push.

The connection's extra field `push` holds a JSON object of these.  The form of a run has only those of FORM, and makes
the run narrower, never wider: of two limits the lower one holds, and what the connection switched on stays on (the dry
run, the test patient).  What the form leaves as it was, empty, says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, Self

from ecw.errors import ConfigurationError
from ecw.resources import PUSHED, require_pushed
from ecw.settings.base import is_said, require_own_keys, said

Source = Mapping[str, Any] | str | None
ONLY = ("", "create", "update")
FORM = (
    "patients",
    "dry_run",
    "only",
    "limit",
    "test_only",
    "resource",
)  # what a run may say: ecw.operators.push_params
_WHERE = "fix it in the run's form, or in the connection's extra field `push`."


@dataclass(frozen=True, slots=True)
class Wanted:
    """Every key, with what holds where nobody says otherwise."""

    resource: str = PUSHED
    patients: list[str] = field(default_factory=list)  # CRM or eCW ids; empty: all that differ
    dry_run: bool = False
    only: str = ""
    limit: int = 0  # the first so many; 0: all
    test_only: bool = False
    test_patient: str = ""  # CRM id or MR number
    max_creates: int = 50  # more than these in one run need an approval
    max_updates: int = 500
    approval_hours: int = 24
    approvers: list[str] = field(default_factory=list)  # ids of Airflow's users; empty: whoever may edit the DAG's runs
    unknown_outcome_wait_seconds: float = 30.0  # seconds after which an outcome that is not known is searched for
    readback_delay_seconds: float = 3.0  # seconds after which eCW shows a new patient
    mr_numbers: bool = False  # forms may name patients by MR number, which Airflow keeps
    max_text_length: int = 100  # characters of a text that the practice's eCW takes
    allowed_characters: str = ""  # those that it takes of the ones that ecw.push.rules.validate refuses

    @classmethod
    def read(
        cls, connection: Mapping[str, Any] | str | None = None, form: Mapping[str, Any] | str | None = None
    ) -> Self:
        """Read what the connection says, and what the run's form says within it; each may be JSON text.

        Raises ConfigurationError naming the key and what it may be.
        """
        by_connection = said(connection, of="push", example='{"max_creates": 20}')
        by_form = said(form, of="push", example='{"dry_run": true}')
        names = [each.name for each in fields(cls)]
        for name in by_connection:
            if name not in names:
                near = get_close_matches(name, names, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(names)}."
                raise ConfigurationError(f"There is no option {name!r} of a push.", next_move=hint)
        require_own_keys(by_form, FORM, "push", names)
        connection_wants = cls(**_checked(by_connection))
        require_pushed(connection_wants.resource)
        wanted = connection_wants._within(cls(**_checked(by_form)))
        if wanted.test_only and not wanted.test_patient:
            raise ConfigurationError(
                "The run is for the test patient only, and none is named.",
                next_move='put {"test_patient": "<CRM id or MR number>"} into the connection\'s extra field `push`.',
            )
        return wanted

    def _within(self, form: Wanted) -> Self:
        """Return what is left of the connection's wishes where the run's form says more."""
        if form.only and self.only and form.only != self.only:
            raise ConfigurationError(
                f"The run is to {form.only}, and the connection lets it {self.only} only.",
                next_move="leave `only` empty, or have the connection's extra field `push` changed.",
            )
        if self.patients and not set(form.patients) <= set(self.patients):
            raise ConfigurationError(
                "The run names patients other than those that the connection's extra field `push` names.",
                next_move="leave `patients` empty, or name some of the connection's, as it writes them.",
            )
        limits = [limit for limit in (self.limit, form.limit) if limit]
        return replace(
            self,
            resource=require_pushed(form.resource),
            patients=form.patients or self.patients,
            dry_run=self.dry_run or form.dry_run,
            only=self.only or form.only,
            limit=min(limits, default=0),
            test_only=self.test_only or form.test_only,
            mr_numbers=self.mr_numbers or not form.patients,  # the connection names whom it likes
        )

    @property
    def named(self) -> list[str]:
        """The patients that this run is about; empty: all that differ."""
        return [self.test_patient] if self.test_only else self.patients


def _checked(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a source says, without what it left empty."""
    usual = Wanted()
    found = {name: value for name, value in source.items() if is_said(value)}
    for name, value in found.items():
        if wrong := _wrong(getattr(usual, name), value):
            raise ConfigurationError(f"The option {name!r} of a push is not {wrong}.", next_move=_WHERE)
    if found.get("only", "") not in ONLY:
        raise ConfigurationError("The option 'only' of a push is neither create nor update.", next_move=_WHERE)
    return found


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
