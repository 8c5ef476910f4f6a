"""How a resource is extracted: each strategy is a row in a table, and gives the searches to make, in rounds.

The units of a round are fetched side by side; a round may depend on what the rounds before it have found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Protocol, overload

from ecw.errors import ServerUnavailable
from ecw.fhir.fingerprint import content_hash
from ecw.mapping.values.references import record_of
from ecw.models import Run
from ecw.pull.extract.dedupe import Seen
from ecw.pull.extract.dedupe import last_updated as its_time
from ecw.resources import Resource
from ecw.settings.name_prefixes import COMMON, OTHERS
from ecw.settings.pull import Options

Holds = Callable[[Mapping[str, Any]], bool]
REFUSED_AT_ONCE = 10  # of what was refused and did not appear; of more, those who are due
PASSES = 3  # over a window by the time of change, before it is halved
READ_AT_ONCE = 250  # of what did not appear; of more, a minute's calls, those who are due


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search with all its pages, or one read; the key tells it from the others when a killed task continues."""

    key: str
    params: Mapping[str, str | list[str]]
    ecw_id: str | None = None  # set: a read of this record
    holds: Holds | None = None  # proof: what every record of the answer must be, if the server did filter
    page: Callable[[Sequence[Mapping[str, Any]]], None] | None = None  # who else looks at every page
    optional: bool = False  # a server that refuses this search loses nothing but it
    sought: str | None = None  # the record that every record of the answer should name, as FhirType/id

    def proves_ignored(self, record: Mapping[str, Any]) -> bool:
        """Return True if a record of the answer proves that the server ignored the filter.

        One that names no record of the kind that was sought proves nothing: it is its own reject, or an empty column.
        """
        if self.holds is None or self.holds(record):
            return False
        kind = f"{self.sought}".partition("/")[0]
        return self.sought is None or any(each.startswith(f"{kind}/") for each in _references(record))


class Known(Protocol):
    """Whoever knows which records there are."""

    def known(self, resource: str) -> list[str]:
        """Return all known ids: those in use before the others, the last changed first."""

    def changed_ids(self, resource: str, follower: str) -> list[str]:
        """Return the ids that are new or changed in this run, or since the `follower` records were last fetched."""

    def deleted_ids(self, resource: str) -> set[str]:
        """Return the ids that eCW no longer has."""

    def merged(self, resource: str) -> set[str]:
        """Return the ids that eCW has merged into others."""

    def left(self, resource: str, follower: str) -> list[tuple[str, str | None]]:
        """Return the ids that are merged or gone since the `follower` records were last fetched, each with the id of
        the record that has taken its place, where eCW says so."""

    def refused(self, resource: str) -> list[str]:
        """Return the ids of records that were refused and never linked."""

    def beginning(self, resource: str, start: datetime, end: datetime) -> Iterable[str]:
        """Return the ids that the CRM has and that begin in the span, without those that are gone."""

    def of_patients(self, resource: str, patients: Sequence[str]) -> Iterable[str]:
        """Return the ids that the CRM has of these patients, without those that are gone."""

    def beginnings(self, resource: str) -> set[str]:
        """Return the characters with which names begin that the CRM has."""

    def required_ids(self, resource: str) -> list[str]:
        """Return the ids that must be fetched, whatever the strategy brings."""

    def urgent(self) -> list[str]:
        """Return the patients whose insurance is fetched in every run, the most urgent first."""

    def unlinked_patients(self) -> list[str]:
        """Return the patients of this run's encounters who were not linked before the run."""


@dataclass(frozen=True, slots=True)
class ExtractContext:
    """What a strategy may look at."""

    run: Run
    resource: Resource
    options: Options
    roster: Known
    seen: Seen
    max_patients: int | None = None  # per_patient: so many patients at most, those who matter first; None: all
    urgent: int | None = None  # of those whose insurance matters now, so many at most; None: all
    tally: Counter[str] = field(default_factory=Counter)  # what the summary says of how complete the answer is

    @property
    def exact(self) -> bool:
        """Whether the window is somebody's choice, to be covered as it is: a backfill's interval, a form's."""
        return self.run["run_type"] == "backfill" or self.options.own_window or bool(self.options.practitioners)

    @property
    def start(self) -> datetime | None:
        """The window's begin, in a live run with the overlap; None: everything."""
        start = self.run["window_start"]
        if start is None or (self.options.full and not self.exact):
            return None
        overlap = timedelta(0) if self.exact else timedelta(minutes=self.options.overlap_minutes)
        return datetime.fromisoformat(start) - overlap

    @property
    def end(self) -> datetime:
        """The window's end."""
        return datetime.fromisoformat(self.run["window_end"])


Rounds = Iterator[Iterable[SearchRequest]]


def whole_list(ask: ExtractContext) -> Rounds:
    """Search without any parameter: the server lists everything it has; then read what is known, or was refused, and
    did not appear."""
    yield [SearchRequest("list", {})]
    if missing := _missing(ask):
        yield map(read, missing)


def name_sweep(ask: ExtractContext) -> Rounds:
    """Search by what names begin with; then read what is known, or was refused, and did not appear: deactivated, merged
    or deleted perhaps."""
    done = dict.fromkeys(ask.options.letters)
    yield [SearchRequest(f"name={letter}", {"name": letter}) for letter in done]
    known = ask.roster.beginnings(ask.resource.name) | set(COMMON)
    due = _others_due(ask)
    while new := sorted((known | ask.seen.beginnings | due) - done.keys()):
        yield [SearchRequest(f"name={letter}", {"name": letter}, optional=True) for letter in new]
        done |= dict.fromkeys(new)
    ask.tally["asked"], ask.tally["others"] = len(done), len(set(OTHERS) - done.keys())
    yield map(read, not_come(ask))


def _others_due(ask: ExtractContext) -> set[str]:
    """Return the characters of other scripts that are due; all where everything is fetched again."""
    slots = _number_of_slots(ask.options)
    slot = _end(ask.run, timedelta(minutes=ask.options.every_minutes)) % slots
    return set(OTHERS if ask.options.full else OTHERS[slot::slots])


def per_patient(ask: ExtractContext) -> Rounds:
    """Search by patient: those asked for, else those whose insurance is urgent, those touched, those who are due.

    Of those who are gone or merged away nothing is searched, which eCW may refuse, unless they are asked for.
    A first look takes as many as it may, the most wanted first. What the CRM has of them and did not come is read, and
    of what was refused some, in turn.
    """
    asked: list[str] = []
    away = set() if ask.options.ids.get("patient") else ask.roster.deleted_ids("patient") | ask.roster.merged("patient")
    for patients in _patients(ask):
        yield [_of_patient(ecw_id) for ecw_id in patients if ecw_id not in away]
        asked += patients
    missing = _unseen(ask, ask.roster.of_patients(ask.resource.name, asked))
    if not ask.options.few:
        missing += _refused(ask, missing)
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
    yield [_of_practitioner(ecw_id, start, end) for ecw_id in asked]
    if ask.options.practitioners:
        return
    missing = in_turn(ask, _unseen(ask, ask.roster.beginning(ask.resource.name, *span(ask))))
    if missing := missing + _refused(ask, missing):
        yield map(read, missing)


def by_id(ask: ExtractContext) -> Rounds:
    """Read the records asked for."""
    yield map(read, ask.options.ids[ask.resource.name])


def of_schedule(ask: ExtractContext) -> Rounds:
    """Read the patients of the appointments found, as far as they are not here yet."""
    yield map(read, ask.roster.unlinked_patients())


def last_updated(ask: ExtractContext) -> Rounds:
    """Search by the time of the last change, pass after pass until one in which nothing moved; of everything, read what
    is missing.

    A server may cut its pages by counting: a record that is edited, or deleted, while they are read leaves the window,
    the others move up, and one slips from a page that is still to come to one that was read. That is seen in the next
    pass: the record that moved is not among those found, or not in that version. One page holds still.
    """
    yield from _settled(ask, _second(ask.start), _second(ask.end))
    if ask.start is None and (missing := _missing(ask)):
        yield map(read, missing)


def _settled(ask: ExtractContext, start: datetime | None, end: datetime) -> Rounds:
    """Search a window until nothing moves; one that does not come to rest is halved, the older half first."""
    before: Pass | None = None
    for number in range(1, PASSES + 1):
        found = Pass()
        yield [_changed(start, end, number, found)]
        if found.pages == 1 or (before is not None and found.records == before.records):
            return
        before = found
    middle = _middle(found, start, end)
    if middle is None:
        raise ServerUnavailable(
            f"{ask.resource.fhir_type}: records that changed at one time moved in each of {PASSES} passes over them.",
            next_step="try again; if it stays, choose another strategy for it in the connection's extra field `pull`.",
        )
    yield from _settled(ask, start, middle)
    yield from _settled(ask, middle, end)


def _changed(start: datetime | None, end: datetime, number: int, found: Pass) -> SearchRequest:
    bounds = ([] if start is None else [f"ge{start.isoformat()}"]) + [f"lt{end.isoformat()}"]

    def holds(record: Mapping[str, Any]) -> bool:
        changed = its_time(record)
        return start is None or (changed is not None and datetime.fromisoformat(changed) >= start)

    # With the bounds: another window's pages are another search's.
    return SearchRequest(
        f"changed {' '.join(bounds)} pass {number}", {"_lastUpdated": bounds}, holds=holds, page=found.page
    )


@overload
def _second(moment: datetime) -> datetime: ...
@overload
def _second(moment: datetime | None) -> datetime | None: ...
def _second(moment: datetime | None) -> datetime | None:
    """Return the whole second in UTC: servers compare to the second or the millisecond, and round what is finer."""
    return None if moment is None else moment.astimezone(UTC).replace(microsecond=0)


def _middle(found: Pass, start: datetime | None, end: datetime) -> datetime | None:
    """Return a second by which a window can be halved so that records are on both sides; None where there is none."""
    inside = sorted(second for each in found.changed if (second := _second(each)) < end)
    middle = next((each for each in inside[len(inside) // 2 :] if each > (start or inside[0])), None)
    return middle or next((each for each in reversed(inside) if each > (start or inside[0])), None)


class Pass:
    """What one pass over a search has found."""

    def __init__(self) -> None:
        self.pages = 0
        self.records: set[bytes] = set()  # digests of ids and versions
        self.changed: list[datetime] = []

    def page(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Note one page."""
        self.pages += 1
        for record in records:
            changed = its_time(record)
            said = f"{record.get('id')} {changed or content_hash(record)}"
            self.records.add(blake2b(said.encode(), digest_size=12).digest())
            if changed is not None:
                self.changed.append(datetime.fromisoformat(changed))


def required_ids(ask: ExtractContext) -> list[SearchRequest]:
    """Read what must be fetched and did not come by the strategy."""
    return [read(ecw_id) for ecw_id in ask.roster.required_ids(ask.resource.name) if ecw_id not in ask.seen]


def moved(ask: ExtractContext) -> list[SearchRequest]:
    """Ask for the records of patients whom eCW has merged, by whatever strategy the others came.

    They are another's now, and that changes neither their time nor the patient who has them. What the CRM has of one
    who is gone without a word is read as well: eCW may have merged them, too.
    """
    left = ask.roster.left("patient", ask.resource.name) if "per_patient" in ask.resource.strategies else []
    if not left or ask.options.few:
        return []
    into = dict.fromkeys(ecw_id for _, ecw_id in left if ecw_id is not None)
    theirs = _unseen(ask, ask.roster.of_patients(ask.resource.name, [ecw_id for ecw_id, _ in left]))
    if len(theirs) > READ_AT_ONCE:  # many are gone at once: of those the turns take care
        theirs = _unseen(ask, ask.roster.of_patients(ask.resource.name, [one for one, into_ in left if into_]))
    return [*(replace(_of_patient(ecw_id), optional=True) for ecw_id in into), *map(read, theirs)]


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


EPOCH = datetime(2026, 1, 1, tzinfo=UTC)  # turns are counted from here; any moment would do


def turns(ask: ExtractContext) -> Callable[[str], bool]:
    """Return who is fetched in this run.

    Every id has one of so many slots as runs fit into `full_cycle_hours`, and every run covers the slots of its
    window: nobody waits longer than `longest_turn`, after an outage too, and no state is kept.
    """
    slots, due = _slots(ask.run, ask.options)
    return lambda ecw_id: int.from_bytes(blake2b(ecw_id.encode(), digest_size=8).digest()) % slots in due


def share_due(run: Run, options: Options) -> float:
    """Return the share of all ids who are due in this run."""
    slots, due = _slots(run, options)
    return len(due) / slots


def turns_due(run: Run, options: Options) -> int:
    """Return how many turns, one a scheduled run, are due in this run."""
    return len(_slots(run, options)[1])


def since_turns(run: Run, options: Options, number: int) -> str:
    """Return the start of the window that covers the last so many turns before the run's end."""
    width = timedelta(minutes=options.every_minutes)
    return (EPOCH + (_end(run, width) - number) * width).isoformat()


def longest_turn(options: Options) -> float:
    """Return within how many hours everybody is fetched: whole runs, at least one, within `full_cycle_hours`."""
    return _number_of_slots(options) * options.every_minutes / 60


def _number_of_slots(options: Options) -> int:
    return max(1, options.full_cycle_hours * 60 // options.every_minutes)


def _slots(run: Run, options: Options) -> tuple[int, set[int]]:
    start = None if options.full or run["window_start"] is None else datetime.fromisoformat(run["window_start"])
    if start is None:
        return 1, {0}
    width, slots = timedelta(minutes=options.every_minutes), _number_of_slots(options)
    first, last = (start - EPOCH) // width, _end(run, width)
    return slots, {slot % slots for slot in range(first, min(max(last, first + 1), first + slots))}


def _end(run: Run, width: timedelta) -> int:
    """Return the number of the first turn after the run's window, counted from EPOCH."""
    return -((EPOCH - datetime.fromisoformat(run["window_end"])) // width)


def _unseen(ask: ExtractContext, ecw_ids: Iterable[str]) -> list[str]:
    return [ecw_id for ecw_id in ecw_ids if ecw_id not in ask.seen]


def not_come(ask: ExtractContext) -> list[str]:
    """Return what is known, did not appear, and was not found to be gone before."""
    deleted_ids = ask.roster.deleted_ids(ask.resource.name)
    once = dict.fromkeys([*ask.roster.known(ask.resource.name), *ask.roster.refused(ask.resource.name)])
    return [ecw_id for ecw_id in _unseen(ask, once) if ecw_id not in deleted_ids]


def _missing(ask: ExtractContext) -> list[str]:
    """Return what is to be read of a list that should have held everything; an empty one proves nothing."""
    return in_turn(ask, not_come(ask)) if len(ask.seen) else []


def in_turn(ask: ExtractContext, missing: list[str]) -> list[str]:
    """Return those to be read in this run: all of a few; of many, those who are due."""
    if len(missing) <= READ_AT_ONCE:
        return missing
    turn = turns(ask)
    return [ecw_id for ecw_id in missing if turn(ecw_id)]


def _refused(ask: ExtractContext, besides: Iterable[str]) -> list[str]:
    """Return what was refused, did not appear and is to be read in this run: eCW may have deleted it.

    All of a few; of more those who are due, and never more than a minute's calls. Which the window would hold
    nobody knows, so they come one by one, and too many at once would be most of a quiet run's batch.
    """
    done = ask.roster.deleted_ids(ask.resource.name).union(besides)
    found = [ecw_id for ecw_id in _unseen(ask, ask.roster.refused(ask.resource.name)) if ecw_id not in done]
    if len(found) > REFUSED_AT_ONCE:
        turn = turns(ask)
        found = [ecw_id for ecw_id in found if turn(ecw_id)]
    # Of a large quarantine another part every time that a turn comes round.
    rounds = _end(ask.run, timedelta(minutes=ask.options.every_minutes)) // _number_of_slots(ask.options)
    first = rounds * READ_AT_ONCE % max(len(found), 1)
    return [*found[first:], *found[:first]][:READ_AT_ONCE]


def read(ecw_id: str) -> SearchRequest:
    return SearchRequest(f"id={ecw_id}", {}, ecw_id)


def _of_patient(ecw_id: str) -> SearchRequest:
    sought = f"Patient/{ecw_id}"
    return SearchRequest(
        f"patient={ecw_id}", {"patient": ecw_id}, holds=lambda found: sought in _references(found), sought=sought
    )


def _of_practitioner(ecw_id: str, start: str, end: str) -> SearchRequest:
    sought = f"Practitioner/{ecw_id}"
    return SearchRequest(
        f"practitioner={ecw_id} {start} {end}",
        {"practitioner": ecw_id, "date": [f"ge{start}", f"lt{end}"]},
        holds=lambda found: sought in _references(found),
        sought=sought,
    )


def _references(value: Any) -> set[str]:
    """Return every record that a resource refers to, as FhirType/id, whatever version or base its reference has."""
    if isinstance(value, Mapping):
        own = value.get("reference")
        record = record_of(own)
        found = {record} if record else set()
        return found.union(*(_references(inner) for inner in value.values()))
    if isinstance(value, list):
        return set().union(*(_references(inner) for inner in value))
    return set()
