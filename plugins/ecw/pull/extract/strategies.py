"""The strategies by which a resource is extracted: a table, in which each strategy yields its requests in rounds.

The requests of a round are made concurrently; a round may depend on the results of the rounds before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ecw.pull.extract.context import ExtractContext, Rounds
from ecw.pull.extract.last_updated import last_updated
from ecw.pull.extract.missing import in_turn, not_come, of_list, refused, unseen
from ecw.pull.extract.rotation import others_due, turns
from ecw.pull.extract.search_request import SearchRequest, of_patient, of_practitioner, read
from ecw.resources import StrategyName
from ecw.settings.name_prefixes import COMMON, OTHERS


def whole_list(context: ExtractContext) -> Rounds:
    """Search without parameters, so that the server lists everything; then read the known and rejected records that the
    list lacks."""
    yield [SearchRequest("list", {})]
    if missing := of_list(context):
        yield map(read, missing)


def name_sweep(context: ExtractContext) -> Rounds:
    """Search by the first characters of names; then read the known and rejected records that the result lacks: they may
    be deactivated, merged or deleted."""
    done = dict.fromkeys(context.options.letters)
    yield [SearchRequest(f"name={letter}", {"name": letter}) for letter in done]
    known = context.known_ids.beginnings(context.resource.name) | set(COMMON)
    due = others_due(context)
    while new := sorted((known | context.seen.beginnings | due) - done.keys()):
        yield [SearchRequest(f"name={letter}", {"name": letter}, optional=True) for letter in new]
        done |= dict.fromkeys(new)
    context.tally["asked"], context.tally["others"] = len(done), len(set(OTHERS) - done.keys())
    yield map(read, not_come(context))


def per_patient(context: ExtractContext) -> Rounds:
    """Search by patient: the patients of the form; else those with urgent insurance, changed ones, and the due ones.

    Deleted or merged patients are not searched, because eCW may refuse that, unless the form names them. An initial
    sync is limited to `max_patients`, the most important first. Then the records are read that the CRM has of these
    patients and the searches did not return, and in turns some rejected ones.
    """
    queried: list[str] = []
    away = (
        set()
        if context.options.ids.get("patient")
        else context.known_ids.deleted_ids("patient") | context.known_ids.merged("patient")
    )
    for patients in _patients(context):
        yield [of_patient(ecw_id) for ecw_id in patients if ecw_id not in away]
        queried += patients
    missing = unseen(context, context.known_ids.of_patients(context.resource.name, queried))
    if not context.options.few:
        missing += refused(context, missing)
    if missing:
        yield map(read, missing)


def _patients(context: ExtractContext) -> Iterator[list[str]]:
    if chosen := context.options.ids.get("patient"):
        yield chosen
        return
    if context.options.practitioners:
        yield context.known_ids.changed_ids("patient", context.resource.name)
        return
    urgent = context.known_ids.urgent()[: context.urgent] if context.resource.name == "insurance" else []
    if context.max_patients is not None:
        known = context.known_ids.known("patient")
        yield list(dict.fromkeys([*(ecw_id for ecw_id in urgent if ecw_id in set(known)), *known]))[
            : context.max_patients
        ]
        return
    first = list(dict.fromkeys([*urgent, *context.known_ids.changed_ids("patient", context.resource.name)]))
    yield first
    done, turn = set(first), turns(context)
    yield [ecw_id for ecw_id in context.known_ids.known("patient") if ecw_id not in done and turn(ecw_id)]


def remaining_patients(context: ExtractContext) -> int:
    """Return how many patients an initial sync leaves to the next runs."""
    return 0 if context.max_patients is None else max(0, len(context.known_ids.known("patient")) - context.max_patients)


def schedule(context: ExtractContext) -> Rounds:
    """Search by practitioner and date; then read the records that the CRM has on these days, and rejected ones, if the
    searches did not return them: they may be moved or deleted."""
    start, end = days(context)
    practitioners = context.options.practitioners or context.known_ids.known("practitioner")
    yield [of_practitioner(ecw_id, start, end) for ecw_id in practitioners]
    if context.options.practitioners:
        return
    missing = in_turn(context, unseen(context, context.known_ids.beginning(context.resource.name, *span(context))))
    if missing := missing + refused(context, missing):
        yield map(read, missing)


def by_id(context: ExtractContext) -> Rounds:
    """Read the records that the form names."""
    yield map(read, context.options.ids[context.resource.name])


def of_schedule(context: ExtractContext) -> Rounds:
    """Read the patients of the run's appointments who are not linked yet."""
    yield map(read, context.known_ids.unlinked_patients())


@dataclass(frozen=True, slots=True)
class Strategy:
    """One row of the table."""

    rounds: Callable[[ExtractContext], Rounds] | None  # None: a bulk export, see bulk_export.py
    params: tuple[str, ...] = ()  # search parameters that the server must declare
    full_scan: bool = False  # it fetches all records whatever the window, so that the counts of runs compare
    depends_on: str = ""  # the resource with whose known ids it searches, one by one
    dated: bool = False  # it can cover a past window alone; the others return the present state
    proof: str = ""  # what shows that the result is complete, and how far


STRATEGIES: Mapping[str, Strategy] = {
    StrategyName.LIST: Strategy(
        whole_list,
        full_scan=True,
        proof="eCW's own list; known records that it lacks were read",
    ),
    StrategyName.NAME_SWEEP: Strategy(
        name_sweep,
        ("name",),
        full_scan=True,
        proof="not proven: eCW lists no patient without a name; names were searched by {asked} first characters; "
        "{others} more of other scripts are searched in turn",
    ),
    StrategyName.PER_PATIENT: Strategy(
        per_patient,
        ("patient",),
        depends_on="patient",
        proof="known patients only: those who changed and those who were due",
    ),
    StrategyName.SCHEDULE: Strategy(
        schedule,
        ("practitioner", "date"),
        depends_on="practitioner",
        dated=True,
        proof="known practitioners only: the appointments that begin within the searched days",
    ),
    StrategyName.LAST_UPDATED: Strategy(
        last_updated,
        ("_lastUpdated",),
        dated=True,
        proof="the records that the server reports as changed",
    ),
    StrategyName.BULK: Strategy(None, full_scan=True, proof="an export of the whole group, no others"),
    StrategyName.BY_ID: Strategy(by_id, proof="the named records, no others"),
    StrategyName.OF_SCHEDULE: Strategy(
        of_schedule,
        proof="the patients of the appointments, no others",
    ),
}


def days(context: ExtractContext) -> tuple[str, str]:
    """Return the first and the last date of a schedule's searches, half open.

    They cover `span` and one more day on either side, because the practice's days are not UTC's.
    """
    day = timedelta(days=1)
    first, last = span(context)
    return (first - day).date().isoformat(), (last + 2 * day).date().isoformat()


def span(context: ExtractContext) -> tuple[datetime, datetime]:
    """Return the time span of a schedule, half open: the exact window, or the configured days around its end."""
    day, options = timedelta(days=1), context.options
    if context.exact and context.start is not None:
        return context.start, context.end
    back = options.initial_sync_back_days if context.start is None else options.look_back_days
    first = context.end - back * day
    return min(first, context.start or first), context.end + options.look_ahead_days * day
