"""The options of a push, from the connection and the run's form.

The connection's extra field `push` is a JSON object of these options.  The form of a run has only those in FORM, and
can only restrict the run: the lower of two limits applies, and options that the connection switches on stay on (dry
run, test patient).  Empty fields of the form are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from ecw.errors import ConfigurationError
from ecw.resources import PUSHED, require_pushed
from ecw.settings.base import (
    OPTIONS,
    Text,
    described,
    form_fields,
    is_set,
    option,
    read_options,
    require_own_keys,
    validated,
)

Source = Mapping[str, Any] | str | None
_WHERE = "the run's form, or in the connection's extra field `push`"
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
P = TypeVar("P", bound="PushOptions")


@dataclass(frozen=True, slots=True, config=OPTIONS)
class PushOptions:
    """Every key, with its default."""

    resource: str = option(
        PUSHED,
        "eCW accepts only patients",
        form={
            "title": "Resource",
            "description": "eCW accepts only patients; for another resource the run fails with the reason.",
        },
    )
    patients: list[Text] = option(
        list,
        "CRM ids or eCW ids; empty: all patients that differ",
        form={
            "title": "Patients",
            "description": "CRM ids or eCW ids, one per line; `crm:` or `ecw:` in front says which. No MR numbers, "
            "because Airflow stores this form; `ecw find` shows the ids. Empty: all patients that differ from the last "
            "agreed values. A named patient is sent again even if eCW refused it before.",
            "type": ["array", "null"],
            "items": {"type": "string"},
        },
    )
    dry_run: bool = option(
        False,
        "show which fields would be sent; send and write nothing",
        form={
            "title": "Dry run",
            "description": "Show which fields of each patient would be sent. Send and write nothing.",
        },
    )
    only: Literal["", "create", "update"] = option(
        "",
        "create: only new patients; update: only patients that eCW has; empty: both",
        form={
            "title": "Only",
            "description": "create: only new patients; update: only patients that eCW has.",
            "type": ["string", "null"],
            "enum": ["", "create", "update", None],
        },
    )
    limit: Count = option(
        0,
        "push at most this many patients; 0: all",
        form={
            "title": "At most",
            "description": "Push at most this many patients; empty: the limit of the connection.",
            "default": None,
            "type": ["integer", "null"],
        },
    )
    test_only: bool = option(
        False,
        "push only the test patient",
        form={
            "title": "Only the test patient",
            "description": "Push only the patient that the connection names as `test_patient`, for instance to try a "
            "practice after an update of eCW or the CRM.",
        },
    )
    test_patient: str = option("", "the test patient's CRM id or MR number")
    max_creates: Count = option(50, "a run with more new patients needs an approval")
    max_updates: Count = option(500, "a run with more changed patients needs an approval")
    approval_hours: Count = option(24, "hours to wait for the approval; after that nothing is sent")
    approvers: list[Text] = option(list, "ids of Airflow users who may approve; empty: all who may edit the DAG's runs")
    unknown_outcome_wait_seconds: Seconds = option(
        30.0, "seconds after which a write without an answer is searched for in eCW"
    )
    readback_delay_seconds: Seconds = option(3.0, "seconds until eCW's searches show a new patient")
    mr_numbers: bool = option(False, "let forms name patients by MR number, which Airflow then stores")
    max_text_length: Count = option(100, "longest text, in characters, that the practice's eCW accepts")
    allowed_characters: str = option("", "characters to accept although ecw.push.rules.validate refuses them")

    @classmethod
    def read(
        cls, connection: Mapping[str, Any] | str | None = None, form: Mapping[str, Any] | str | None = None
    ) -> Self:
        """Return the connection's options, restricted by the run's form; each may be JSON text.

        Raises ConfigurationError naming the key and its correct form.
        """
        connection_options = read_options(connection, of="push", example='{"max_creates": 20}')
        form_options = read_options(form, of="push", example='{"dry_run": true}')
        require_own_keys(form_options, FORM, "push", [name for name, *_ in described(cls)])
        allowed = _checked(cls, connection_options)
        require_pushed(allowed.resource)
        options = allowed._within(_checked(cls, form_options))
        if options.test_only and not options.test_patient:
            raise ConfigurationError(
                "The run is for the test patient only, and the connection names none.",
                next_step='put {"test_patient": "<CRM id or MR number>"} into the connection\'s extra field `push`.',
            )
        return options

    def _within(self, form: PushOptions) -> Self:
        """Return these options of the connection, restricted by the run's form."""
        if form.only and self.only and form.only != self.only:
            raise ConfigurationError(
                f"The run asks for `only` {form.only}, and the connection allows `only` {self.only}.",
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
            mr_numbers=self.mr_numbers or not form.patients,  # the connection may name patients by MR number
        )

    @property
    def named(self) -> list[str]:
        """The patients that this run covers; empty: all that differ."""
        return [self.test_patient] if self.test_only else self.patients


def _checked(cls: type[P], source: Mapping[str, Any]) -> P:
    """Return the options of a source, without empty ones."""
    found = {name: value for name, value in source.items() if is_set(value)}
    return validated(cls, found, of="push", where=_WHERE)


# The form of a run, for ecw.operators.push_params.
FIELDS = form_fields(PushOptions)
FORM = tuple(FIELDS)
