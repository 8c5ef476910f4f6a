"""What the connection and the run's form may say about a push.

The connection's extra field `push` holds a JSON object of these.  The form of a run has only those of FORM, and makes
the run narrower, never wider: of two limits the lower one holds, and what the connection switched on stays on (the dry
run, the test patient).  What the form leaves as it was, empty, says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from ecw.errors import ConfigurationError
from ecw.resources import PUSHED, require_pushed
from ecw.settings.base import OPTIONS, Text, described, form_fields, is_said, option, require_own_keys, said, validated

Source = Mapping[str, Any] | str | None
_WHERE = "the run's form, or in the connection's extra field `push`"
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
W = TypeVar("W", bound="Wanted")


@dataclass(frozen=True, slots=True, config=OPTIONS)
class Wanted:
    """Every key, with what holds where nobody says otherwise."""

    resource: str = option(
        PUSHED,
        "patients are the only records that eCW takes",
        form={
            "title": "Resource",
            "description": "Patients are the only records that eCW takes; another name is refused with the reason.",
        },
    )
    patients: list[Text] = option(
        list,
        "CRM or eCW ids; empty: all that differ",
        form={
            "title": "Patients",
            "description": "CRM or eCW ids, one a line; `crm:` or `ecw:` before it says which. No MR numbers: Airflow "
            "keeps what stands here; `ecw find` shows the ids. Empty: everybody who differs from what was last agreed. "
            "What is named is tried again although eCW refused it before.",
            "type": ["array", "null"],
            "items": {"type": "string"},
        },
    )
    dry_run: bool = option(
        False,
        "send and write nothing, show which fields would be sent",
        form={
            "title": "Dry run",
            "description": "Show for each patient which fields would be sent; nothing is sent and nothing is written.",
        },
    )
    only: Literal["", "create", "update"] = option(
        "",
        "create: patients that eCW does not have; update: those it has; empty: both",
        form={
            "title": "Only",
            "description": "create: patients that eCW does not have; update: those it has.",
            "type": ["string", "null"],
            "enum": ["", "create", "update", None],
        },
    )
    limit: Count = option(
        0,
        "the first so many patients; 0: all",
        form={
            "title": "At most",
            "description": "The first so many patients; empty: as many as the connection lets through.",
            "default": None,
            "type": ["integer", "null"],
        },
    )
    test_only: bool = option(
        False,
        "push nobody but the test patient",
        form={
            "title": "Only the test patient",
            "description": "Push nobody but the patient that the connection names as `test_patient`, to verify a "
            "practice after eCW or the CRM was updated.",
        },
    )
    test_patient: str = option("", "the test patient's CRM id or MR number")
    max_creates: Count = option(50, "more new patients than these in one run need an approval")
    max_updates: Count = option(500, "more changed patients than these in one run need an approval")
    approval_hours: Count = option(24, "after so many hours without an answer nothing is sent")
    approvers: list[Text] = option(list, "ids of Airflow's users; empty: whoever may edit the DAG's runs")
    unknown_outcome_wait_seconds: Seconds = option(
        30.0, "seconds after which a write without an answer is searched for in eCW"
    )
    readback_delay_seconds: Seconds = option(3.0, "seconds after which eCW shows a new patient")
    mr_numbers: bool = option(False, "forms may name patients by MR number, which Airflow keeps")
    max_text_length: Count = option(100, "characters of a text that the practice's eCW takes")
    allowed_characters: str = option("", "characters that it takes although ecw.push.rules.validate refuses them")

    @classmethod
    def read(
        cls, connection: Mapping[str, Any] | str | None = None, form: Mapping[str, Any] | str | None = None
    ) -> Self:
        """Read what the connection says, and what the run's form says within it; each may be JSON text.

        Raises ConfigurationError naming the key and what it may be.
        """
        by_connection = said(connection, of="push", example='{"max_creates": 20}')
        by_form = said(form, of="push", example='{"dry_run": true}')
        require_own_keys(by_form, FORM, "push", [name for name, *_ in described(cls)])
        connection_wants = _checked(cls, by_connection)
        require_pushed(connection_wants.resource)
        wanted = connection_wants._within(_checked(cls, by_form))
        if wanted.test_only and not wanted.test_patient:
            raise ConfigurationError(
                "The run is for the test patient only, and none is named.",
                next_step='put {"test_patient": "<CRM id or MR number>"} into the connection\'s extra field `push`.',
            )
        return wanted

    def _within(self, form: Wanted) -> Self:
        """Return what is left of the connection's wishes where the run's form says more."""
        if form.only and self.only and form.only != self.only:
            raise ConfigurationError(
                f"The run is to {form.only}, and the connection lets it {self.only} only.",
                next_step="leave `only` empty, or have the connection's extra field `push` changed.",
            )
        if self.patients and not set(form.patients) <= set(self.patients):
            raise ConfigurationError(
                "The run names patients other than those that the connection's extra field `push` names.",
                next_step="leave `patients` empty, or name some of the connection's, as it writes them.",
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


def _checked(cls: type[W], source: Mapping[str, Any]) -> W:
    """Return what a source says, without what it left empty."""
    found = {name: value for name, value in source.items() if is_said(value)}
    return validated(cls, found, of="push", where=_WHERE)


# What a run may say, for ecw.operators.push_params.
FIELDS = form_fields(Wanted)
FORM = tuple(FIELDS)
