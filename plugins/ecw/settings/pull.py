"""What the connection and the run's form may say about how a pull is done.

The connection's extra field `pull` holds a JSON object of these; a run overrides it, key by key.  The form of a run has
only those of FORM, and no run gets past what the connection limits: the resources, a dry run, the time that a run may
take (`ignore_time_budget`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Self

from ecw.errors import ConfigurationError
from ecw.resources import RESOURCES, resource
from ecw.settings.base import is_said, require_own_keys, said
from ecw.settings.name_prefixes import ALWAYS

CHANGES, FULL, PATIENTS, SCHEDULE = "changes", "full", "patients", "schedule"
MODES = (CHANGES, FULL, PATIENTS, SCHEDULE)
AUTOMATIC = "automatic"  # a strategy that nobody chose
_STRATEGY = "strategy_"  # the form has a field for each resource
# What the form of a run has, each with what it holds where nobody touched it: that says nothing.  See
# ecw.operators.pull_params.
FORM: dict[str, Any] = {
    **{"resources": [], "mode": CHANGES, "patients": None, "practitioners": None, "since": None, "until": None},
    **{"dry_run": False, "ignore_time_budget": False},
    **{f"{_STRATEGY}{name}": AUTOMATIC for name in RESOURCES},
}


@dataclass(frozen=True, slots=True)
class Options:
    """Every key, with what holds where nobody says otherwise."""

    resources: list[str] = field(default_factory=list)  # what is pulled; empty: what the schedule pulls
    mode: str = CHANGES
    patients: list[str] = field(default_factory=list)  # mode patients: eCW or CRM ids, one each
    practitioners: list[str] = field(default_factory=list)  # mode schedule: eCW ids
    since: str = ""  # the window's own bounds, ISO 8601 with offset
    until: str = ""
    dry_run: bool = False  # everything but the load, with the numbers it would give
    strategies: dict[str, str] = field(default_factory=dict)  # resource -> a row of strategies.py
    ids: dict[str, list[str]] = field(default_factory=dict)  # resource -> eCW ids: this run is about these alone
    full: bool = False  # look at everything again, whatever the cursor says
    ignore_time_budget: bool = False  # begin even where the plan does not fit before the next run
    every_minutes: int = 120  # from one scheduled run to the next; told by the schedule where nobody says it
    overlap_minutes: int = 10  # a live window begins so long before the last one's end: clocks differ, commits are late
    full_cycle_hours: int = 24  # per_patient: everybody is looked at within this time
    appointment_days: int = 7  # insurance of those who come within so many days is looked at in every run
    # insurance of those whose intake is open, too: column of the CRM's patients (or table.column) -> what it holds then
    intake_open: dict[str, list[str]] = field(default_factory=dict)
    initial_sync_minutes: int = 10  # per_patient, the first time: calls for so long; the others come in turn
    look_back_days: int = 30  # schedule: appointments so long ago still change
    look_ahead_days: int = 180
    initial_sync_back_days: int = 730  # schedule, the first time and in a full run
    max_concurrency: int = 16  # requests at a time
    letters: str = ALWAYS  # name_sweep: asked in every run; others follow from the names that are known
    mr_numbers: bool = False  # forms may name patients by MR number, which Airflow keeps; by the connection alone
    bulk_group: str = ""  # the group that is exported, by its name or its export id

    @property
    def few(self) -> bool:
        """Whether the run is about single patients, records or practitioners: one task does it at once."""
        return bool(self.ids or self.practitioners)

    @property
    def own_window(self) -> bool:
        """Whether the form gives the window."""
        return bool(self.since or self.until)

    @classmethod
    def read(cls, *sources: Mapping[str, Any] | str | None) -> Self:
        """Read options, later sources over earlier ones; a source may be JSON text.

        What is empty or false is left to the sources before: a form cannot leave a field out.

        Raises ConfigurationError naming the key and what it may be.
        """
        found: dict[str, Any] = {}
        for source in sources:
            read = _folded(said(source, of="pull", example='{"strategies": {"encounter": "list"}}'))
            found |= {name: value for name, value in read.items() if is_said(value)}
        kinds = {each.name: each for each in fields(cls)}
        for name, value in found.items():
            if name not in kinds:
                near = get_close_matches(name, kinds, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(kinds)}."
                raise ConfigurationError(f"There is no option {name!r} of a pull.", next_move=hint)
            usual = getattr(cls(), name)
            if type(value) is not type(usual) or (type(value) is int and value < (name != "overlap_minutes")):
                wanted = "a whole number above 0" if type(usual) is int else type(usual).__name__
                raise _wrong(f"The option {name!r} of a pull is not {wanted}.")
        for key, fits, wanted in (
            ("strategies", _is_text, 'a name such as "per_patient"'),
            ("ids", _is_list_of_texts, 'a list such as ["…"] with at least one id'),
        ):
            for name, value in found.get(key, {}).items():
                resource(name)
                if not fits(value):
                    raise _wrong(f"The option {key!r} of a pull has something else than {wanted} for {name}.")
        for name, value in found.get("intake_open", {}).items():
            if not _is_list_of_texts(value):
                raise _wrong(f"The option 'intake_open' of a pull has something else than a list of texts for {name}.")
        for key in ("resources", "patients", "practitioners"):
            if key in found and not _is_list_of_texts(found[key]):
                raise _wrong(f"The option {key!r} of a pull is not a list of texts.")
        for name in found.get("resources", ()):
            resource(name)
        if found.get("mode", CHANGES) not in MODES:
            raise _wrong(f"The option 'mode' of a pull is not one of {', '.join(MODES)}.")
        if found.get("mode") == FULL:
            found["full"] = True
        return cls(**found)


def of_form(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the form of a run says, for Options.read: what was left as it was is left out.

    Raises ConfigurationError for what the form does not have.
    """
    require_own_keys(params, FORM, "pull", [each.name for each in fields(Options)])
    return {name: value for name, value in params.items() if value != FORM[name]}


def require_within(connection: Mapping[str, Any] | str | None, form: Options) -> None:
    """Do nothing where a run stays within what the connection limits.  Raises ConfigurationError."""
    limits = _folded(said(connection, of="pull", example='{"dry_run": true}'))
    if limits.get("resources") and (beyond := [name for name in form.resources if name not in limits["resources"]]):
        raise ConfigurationError(
            f"The connection lets runs pull {', '.join(limits['resources'])} only, and this one asks for "
            f"{', '.join(beyond)}.",
            next_move="choose among these, or have the connection's extra field `pull` changed.",
        )
    if form.ignore_time_budget and limits.get("ignore_time_budget") is False:
        raise ConfigurationError(
            "The connection lets no run begin that does not fit before the next one.",
            next_move="leave `ignore_time_budget` out, or have the connection's extra field `pull` changed.",
        )


def _wrong(what: str) -> ConfigurationError:
    return ConfigurationError(what, next_move="fix it in the run's form, or in the connection's extra field `pull`.")


def _folded(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make `strategies` of the form's fields, and leave out the empty lines of its lists."""
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
            found[name] = list(dict.fromkeys(line for line in texts if line != ""))
    return found


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(map(_is_text, value))
