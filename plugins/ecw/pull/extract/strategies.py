"""How a resource is extracted: each strategy is a row in a table, and gives the searches to make, in rounds.

The units of a round are fetched side by side; a round may depend on what the rounds before it have found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from ecw.pull.extract.context import ExtractContext, Rounds
from ecw.pull.extract.last_updated import last_updated
from ecw.pull.extract.missing import in_turn, not_come, of_list, refused, unseen
from ecw.pull.extract.rotation import others_due, turns
from ecw.pull.extract.search_request import SearchRequest, of_patient, of_practitioner, read
from ecw.settings.name_prefixes import COMMON, OTHERS


def whole_list(ask: ExtractContext) -> Rounds:
    """Search without any parameter: the server lists everything it has; then read what is known, or was refused, and
    did not appear."""
    yield [SearchRequest("list", {})]
    if missing := of_list(ask):
        yield map(read, missing)


def name_sweep(ask: ExtractContext) -> Rounds:
    """Search by what names begin with; then read what is known, or was refused, and did not appear: deactivated, merged
    or deleted perhaps."""
    done = dict.fromkeys(ask.options.letters)
    yield [SearchRequest(f"name={letter}", {"name": letter}) for letter in done]
    known = ask.roster.beginnings(ask.resource.name) | set(COMMON)
    due = others_due(ask)
    while new := sorted((known | ask.seen.beginnings | due) - done.keys()):
        yield [SearchRequest(f"name={letter}", {"name": letter}, optional=True) for letter in new]
        done |= dict.fromkeys(new)
    ask.tally["asked"], ask.tally["others"] = len(done), len(set(OTHERS) - done.keys())
    yield map(read, not_come(ask))


def per_patient(ask: ExtractContext) -> Rounds:
    """Search by patient: those asked for, else those whose insurance is urgent, those touched, those who are due.

    Of those who are gone or merged away nothing is searched, which eCW may refuse, unless they are asked for.
    A first look takes as many as it may, the most wanted first. What the CRM has of them and did not come is read, and
    of what was refused some, in turn.
    """
    asked: list[str] = []
    away = set() if ask.options.ids.get("patient") else ask.roster.deleted_ids("patient") | ask.roster.merged("patient")
    for patients in _patients(ask):
        yield [of_patient(ecw_id) for ecw_id in patients if ecw_id not in away]
        asked += patients
    missing = unseen(ask, ask.roster.of_patients(ask.resource.name, asked))
    if not ask.options.few:
        missing += refused(ask, missing)
    if missing:
        yield map(read, missing)


def _patients(ask: ExtractContext) -> Iterator[list[str]]:
    if asked := ask.options.ids.get("patient"):
        yield asked
        return
    if ask.options.practitioners:
        yield ask.roster.changed_ids("patient", ask.resource.name)
        return
    now = ask.roster.urgent()[: ask.urgent] if ask.resource.name == "insurance" else []
    if ask.max_patients is not None:
        known = ask.roster.known("patient")
        yield list(dict.fromkeys([*(ecw_id for ecw_id in now if ecw_id in set(known)), *known]))[: ask.max_patients]
        return
    first = list(dict.fromkeys([*now, *ask.roster.changed_ids("patient", ask.resource.name)]))
    yield first
    done, turn = set(first), turns(ask)
    yield [ecw_id for ecw_id in ask.roster.known("patient") if ecw_id not in done and turn(ecw_id)]


def remaining_patients(ask: ExtractContext) -> int:
    """Return how many patients a first look leaves to the turns of the next runs."""
    return 0 if ask.max_patients is None else max(0, len(ask.roster.known("patient")) - ask.max_patients)


def schedule(ask: ExtractContext) -> Rounds:
    """Search by practitioner and date; then read what the CRM has there, or was refused, and did not appear: moved, or
    deleted."""
    start, end = days(ask)
    asked = ask.options.practitioners or ask.roster.known("practitioner")
    yield [of_practitioner(ecw_id, start, end) for ecw_id in asked]
    if ask.options.practitioners:
        return
    missing = in_turn(ask, unseen(ask, ask.roster.beginning(ask.resource.name, *span(ask))))
    if missing := missing + refused(ask, missing):
        yield map(read, missing)


def by_id(ask: ExtractContext) -> Rounds:
    """Read the records asked for."""
    yield map(read, ask.options.ids[ask.resource.name])


def of_schedule(ask: ExtractContext) -> Rounds:
    """Read the patients of the appointments found, as far as they are not here yet."""
    yield map(read, ask.roster.unlinked_patients())


@dataclass(frozen=True, slots=True)
class Strategy:
    """One row of the table."""

    rounds: Callable[[ExtractContext], Rounds] | None  # None: an export, see bulk.py
    params: tuple[str, ...] = ()  # search parameters that the server must declare
    full_scan: bool = False  # it asks for all records, whatever the window, and brings as many every time
    depends_on: str = ""  # the resource whose known records it asks by, one by one
    dated: bool = False  # it can look at a window alone; the others see what is there now
    about: str = ""
    proof: str = ""  # how it is known that the answer is complete, as far as it is


STRATEGIES = {
    "list": Strategy(
        whole_list,
        full_scan=True,
        about="the server lists everything it has, then the known that are missing",
        proof="eCW's own list; the known that were not in it were read",
    ),
    "name_sweep": Strategy(
        name_sweep,
        ("name",),
        full_scan=True,
        about="by what names begin with, then the known that are missing",
        proof="not proven, for eCW lists nobody without a name: names were asked for by {asked} first characters; "
        "{others} more of other scripts are asked in turn",
    ),
    "per_patient": Strategy(
        per_patient,
        ("patient",),
        depends_on="patient",
        about="by patient: touched first, the others in turn",
        proof="of the patients who are known: those who changed, and those who were due",
    ),
    "schedule": Strategy(
        schedule,
        ("practitioner", "date"),
        depends_on="practitioner",
        dated=True,
        about="by practitioner and dates",
        proof="of the practitioners who are known: what begins within the days asked for",
    ),
    "last_updated": Strategy(
        last_updated,
        ("_lastUpdated",),
        dated=True,
        about="what changed in the run's window",
        proof="what the server says has changed",
    ),
    "bulk": Strategy(
        None, full_scan=True, about="an export of a group", proof="an export: all of the group, nobody else"
    ),
    "by_id": Strategy(by_id, about="the records asked for", proof="the records asked for, no others"),
    "of_schedule": Strategy(
        of_schedule,
        about="the patients of the appointments who are not here yet",
        proof="the patients of the appointments, no others",
    ),
}


def days(ask: ExtractContext) -> tuple[str, str]:
    """Return the dates by which a schedule is asked for, half open: those of its span.

    A day more at either side, because the practice's days are not UTC's.
    """
    day = timedelta(days=1)
    first, last = span(ask)
    return (first - day).date().isoformat(), (last + 2 * day).date().isoformat()


def span(ask: ExtractContext) -> tuple[datetime, datetime]:
    """Return what a schedule covers, half open: an exact window itself, else so many days around its end."""
    day, options = timedelta(days=1), ask.options
    if ask.exact and ask.start is not None:
        return ask.start, ask.end
    back = options.initial_sync_back_days if ask.start is None else options.look_back_days
    first = ask.end - back * day
    return min(first, ask.start or first), ask.end + options.look_ahead_days * day
