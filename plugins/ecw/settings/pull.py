"""The options of a pull, from the connection and the run's form.

The connection's extra field `pull` is a JSON object of these options; a run overrides it, key by key.  The form of a
run has only those in FORM.  A run cannot exceed the connection's limits: the resources, a dry run, and the time that a
run may take (`ignore_time_budget`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field
from pydantic.dataclasses import dataclass

from ecw.errors import ConfigurationError
from ecw.models import Mode
from ecw.resources import RESOURCES
from ecw.settings.base import (
    OPTIONS,
    AtLeastOne,
    ResourceName,
    Text,
    described,
    form_fields,
    is_set,
    option,
    read_options,
    require_own_keys,
    validated,
)
from ecw.settings.name_prefixes import ALWAYS

CHANGES, FULL, PATIENTS, SCHEDULE = (mode.value for mode in Mode if mode is not Mode.REPLAY)
AUTOMATIC = "automatic"  # the form's value for a strategy that the run does not set
_STRATEGY = "strategy_"  # prefix of the form's fields, one per resource
_WINDOW, _HOW = (
    "From and until",
    "How",
)  # sections of the form; Airflow expands the fields without a section, which select what to pull
_WHERE = "the run's form, or in the connection's extra field `pull`"
_EXAMPLE = '{"strategies": {"encounter": "list"}}'


@dataclass(frozen=True, slots=True, config=OPTIONS)
class Options:
    """Every key, with its default."""

    resources: list[ResourceName] = option(
        list,
        "the resources to pull; empty: those of the schedule",
        form={
            "title": "Resources",
            "description": "Empty: those that the schedule pulls (variable `ecw_pull_resources`).",
            "type": ["array", "null"],
            "items": {"type": "string", "enum": list(RESOURCES)},
            "examples": list(RESOURCES),
        },
    )
    mode: Literal["changes", "full", "patients", "schedule"] = option(
        CHANGES,
        "what changed, everything again, single patients, or a practitioner's schedule",
        form={
            "title": "Mode",
            "description": "Everything again also maps and loads what did not change.",
            "values_display": {
                CHANGES: "what changed",
                FULL: "everything again",
                PATIENTS: "only these patients",
                SCHEDULE: "a practitioner's schedule",
            },
        },
    )
    patients: list[Text] = option(
        list,
        "mode patients: eCW ids or CRM ids",
        form={
            "title": "Only these patients",
            "description": "eCW ids or CRM ids, one per line; insurance and encounters are pulled as well. No MR "
            "numbers, because Airflow stores this form; `ecw find` shows the ids. For the mode 'only these patients'.",
            "default": None,
            "type": ["array", "null"],
            "items": {"type": "string", "maxLength": 64},
            "maxItems": 500,
        },
    )
    practitioners: list[Text] = option(
        list,
        "mode schedule: the practitioners' eCW ids",
        form={
            "title": "Practitioners",
            "description": "eCW ids, one per line; pulls their appointments, and patients who are not in the CRM yet. "
            "For the mode 'a practitioner's schedule'.",
            "default": None,
            "type": ["array", "null"],
            "items": {"type": "string", "maxLength": 64},
            "maxItems": 100,
        },
    )
    since: str = option(
        "",
        "where the window begins, ISO 8601 with offset",
        form={
            "title": "From",
            "description": "Empty: where the last run ended. Only for resources that eCW can search by date.",
            "default": None,
            "type": ["string", "null"],
            "format": "date-time",
            "section": _WINDOW,
        },
    )
    until: str = option(
        "",
        "where the window ends, ISO 8601 with offset",
        form={
            "title": "Until",
            "description": "Empty: now; in the mode 'a practitioner's schedule', as far ahead as usual.",
            "default": None,
            "type": ["string", "null"],
            "format": "date-time",
            "section": _WINDOW,
        },
    )
    dry_run: bool = option(
        False,
        "do everything except the load; show the counts it would have",
        form={
            "title": "Dry run",
            "description": "Everything except the load: the summary shows the counts it would have, the tab Quality "
            "the failed rules; no record is written.",
            "section": _HOW,
        },
    )
    ignore_time_budget: bool = option(
        False,
        "begin even if the run would not end before the next one",
        form={
            "title": "Begin even if it takes long",
            "description": "Even if the run would not end before the next one.",
            "section": _HOW,
        },
    )
    strategies: dict[ResourceName, Text] = option(
        dict, "by resource: the name of its strategy (explanation/strategies-and-quota)"
    )
    ids: dict[ResourceName, Annotated[list[Text], Field(min_length=1)]] = option(
        dict, "by resource: eCW ids; the run covers only these"
    )
    full: bool = option(False, "fetch, map and load everything again; ignore the cursor")
    every_minutes: AtLeastOne = option(120, "minutes between scheduled runs; normally taken from the schedule")
    overlap_minutes: Annotated[int, Field(ge=0)] = option(
        10, "a window begins this long before the end of the last one, because clocks differ and commits are late"
    )
    full_cycle_hours: AtLeastOne = option(24, "per_patient: every patient is searched once within this time")
    appointment_days: AtLeastOne = option(
        7, "every run fetches the insurance of patients with an appointment within this many days"
    )
    intake_open: dict[str, Annotated[list[Text], Field(min_length=1)]] = option(
        dict,
        "the same for patients with an open intake: column of the CRM's patients (or table.column), and the values",
    )
    initial_sync_minutes: AtLeastOne = option(
        10, "per_patient: minutes of calls that the first run spends; later runs fetch the other patients"
    )
    look_back_days: AtLeastOne = option(30, "schedule: fetch appointments of this many past days")
    look_ahead_days: AtLeastOne = option(180, "schedule: fetch appointments of this many days ahead")
    initial_sync_back_days: AtLeastOne = option(730, "schedule: look_back_days of the first run and of full runs")
    max_concurrency: AtLeastOne = option(16, "requests at the same time")
    letters: str = option(ALWAYS, "name_sweep: initial characters that every run searches; known names add others")
    mr_numbers: bool = option(
        False, "let forms name patients by MR number, which Airflow then stores; only in the connection"
    )
    bulk_group: str = option("", "bulk: name or export id of the group to export")

    @property
    def few(self) -> bool:
        """True if the run covers single patients, records or practitioners: one task does all its steps."""
        return bool(self.ids or self.practitioners)

    @property
    def own_window(self) -> bool:
        """True if the form sets the window."""
        return bool(self.since or self.until)

    @classmethod
    def read(cls, *sources: Mapping[str, Any] | str | None) -> Self:
        """Return the options of the sources; later ones override earlier ones, and a source may be JSON text.

        An empty or false value does not override, because a form sends a value for every field.

        Raises ConfigurationError naming the key and its correct form.
        """
        found: dict[str, Any] = {}
        for source in sources:
            read = _folded(read_options(source, of="pull", example=_EXAMPLE))
            found |= {name: value for name, value in read.items() if is_set(value)}
        if found.get("mode") == FULL:
            found["full"] = True
        return validated(cls, found, of="pull", where=_WHERE)


# The form of a run, for ecw.operators.pull_params; a field with its initial value is ignored.
FIELDS = form_fields(Options) | {
    f"{_STRATEGY}{each.name}": {
        "default": AUTOMATIC,
        "type": "string",
        "enum": [AUTOMATIC, *map(str, each.strategies)],
        "title": f"Strategy for {each.name}",
        "description": "Automatic: the strategy of the connection, otherwise one that the server supports.",
        "section": _HOW,
    }
    for each in RESOURCES.values()
}
FORM: dict[str, Any] = {name: field["default"] for name, field in FIELDS.items()}


def of_form(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changed fields of a run's form, for Options.read.

    Raises ConfigurationError for a key that the form does not have.
    """
    require_own_keys(params, FORM, "pull", [name for name, *_ in described(Options)])
    return {name: value for name, value in params.items() if value != FORM[name]}


def require_within(connection: Mapping[str, Any] | str | None, form: Options) -> None:
    """Raise ConfigurationError if a run exceeds the connection's limits."""
    limits = _folded(read_options(connection, of="pull", example='{"dry_run": true}'))
    if limits.get("resources") and (beyond := [name for name in form.resources if name not in limits["resources"]]):
        raise ConfigurationError(
            f"The connection lets runs pull only {', '.join(limits['resources'])}, and this run asks for "
            f"{', '.join(beyond)}.",
            next_step="choose among these, or have the connection's extra field `pull` changed.",
        )
    if form.ignore_time_budget and limits.get("ignore_time_budget") is False:
        raise ConfigurationError(
            "The connection lets no run begin that would not end before the next one.",
            next_step="leave `ignore_time_budget` out, or have the connection's extra field `pull` changed.",
        )


def _folded(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a source with the form's `strategy_…` fields as `strategies`, and its lists without empty lines."""
    found = {name: value for name, value in source.items() if not name.startswith(_STRATEGY)}
    chosen = {name.removeprefix(_STRATEGY): value for name, value in source.items() if name.startswith(_STRATEGY)}
    chosen = {name: value for name, value in chosen.items() if value != AUTOMATIC}
    if any(chosen.values()):
        found["strategies"] = {
            **(found.get("strategies") or {}),
            **{name: value for name, value in chosen.items() if value},
        }
    for name in ("patients", "practitioners"):
        lines = found.get(name)
        if isinstance(lines, str):
            lines = lines.splitlines()
        if isinstance(lines, list):
            texts = [line.strip() if isinstance(line, str) else line for line in lines]
            filled = [line for line in texts if line != ""]
            all_texts = all(isinstance(line, str) for line in filled)
            found[name] = list(dict.fromkeys(filled)) if all_texts else filled
    return found
