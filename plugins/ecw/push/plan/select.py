"""Whom a run pushes: all that differ, or those that a person named; and whom the watcher starts a run for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, String, cast, or_, select

from ecw.crm.db.engine import reading
from ecw.crm.db.enums import PushStatus
from ecw.errors import ConfigurationError
from ecw.mapping.transform.person import element_of
from ecw.pull.plan.resolve_patients import INSTEAD, KEPT
from ecw.push import progress
from ecw.push.context import CrmSide
from ecw.push.intents import CREATE, UPDATE
from ecw.push.plan.outbox import Outbox, outbox, way_of
from ecw.push.progress import NOT_APPROVED, WAITING, Planned
from ecw.settings.push import Wanted

AGAIN = timedelta(minutes=30)  # what could not be done is tried again
DEAD = timedelta(hours=2)  # a run that planned a patient and never came to it
WINDOW = timedelta(hours=24)  # so far back the patients are counted whom runs took that nobody had asked for
WAITS, TRIED = "waiting for an approval", "tried before"
_FINISHED = (PushStatus.REJECTED, PushStatus.REFUSED, PushStatus.HELD)


@dataclass(slots=True)
class Chosen:
    """Whom a run takes, in order, and how many it does not, and why; `over`: create, update, where these are so many
    that a person is asked."""

    planned: list[Planned] = field(default_factory=list)
    not_sent: Counter[str] = field(default_factory=Counter)
    over: list[str] = field(default_factory=list)


def choose(side: CrmSide, wanted: Wanted, *, watched: bool = False, now: datetime | None = None) -> Chosen:
    """Return whom a run takes.

    A run that the watcher started (`watched`) takes those in the outbox whom no run has had as they are now, and those
    whom one could not finish some time ago.  What is refused, held or was not approved is for a person: it is not taken
    until it changes.  Whom an approval that is open is about is left to it.  And as nobody asked for such runs, those
    of a day count together: ten small ones are as large as one of all.

    Raises ConfigurationError where a name means nobody, or several.
    """
    now = now or datetime.now(UTC)
    found = outbox(side)
    chosen = Chosen(not_sent=Counter(found.not_sent))
    if wanted.named:
        ids = crm_ids(side, wanted.named, numbers=wanted.mr_numbers or wanted.test_only)
        chosen.planned = _named(side, ids, found)
    else:
        chosen.planned = [_planned(found, crm_id) for crm_id in found]
    if watched:
        _leave_what_is_not_due(side, wanted, found, chosen, now)
    if wanted.only:
        chosen.planned = [one for one in chosen.planned if one.operation == wanted.only]
    if wanted.limit and len(chosen.planned) > wanted.limit:
        chosen.not_sent["over the limit"] = len(chosen.planned) - wanted.limit
        chosen.planned = chosen.planned[: wanted.limit]
    _see_whether_it_is_large(side, wanted, chosen, now, watched=watched)
    return chosen


def due(side: CrmSide, wanted: Wanted, now: datetime | None = None) -> dict[str, str]:
    """Return the patients for whom a run is to be started by itself, by CRM id, each with the key of its content.

    That is whom the run would take. Where the connection says that runs are dry, nobody: they move nothing.
    """
    if wanted.dry_run:
        return {}
    return {one.crm_id: one.intent for one in choose(side, wanted, watched=True, now=now).planned}


def _leave_what_is_not_due(side: CrmSide, wanted: Wanted, found: Outbox, chosen: Chosen, now: datetime) -> None:
    with reading(side.engine) as connection:
        before = progress.latest(connection, side.place, {one.crm_id for one in chosen.planned})
    kept = []
    for one in chosen.planned:
        if one.crm_id not in found.keys:
            continue  # the connection names it, and it does not differ
        if why := _not_due(before.get(one.crm_id), one.intent, wanted, now):
            chosen.not_sent[why] += 1
        else:
            kept.append(one)
    chosen.planned = kept


def _not_due(before: dict[str, Any] | None, key: str, wanted: Wanted, now: datetime) -> str | None:
    """Say why a patient is not due, after what the last run that planned it did; None: it is."""
    if before is None:
        return None
    status = before["status"]
    if status == WAITING and before["planned_at"] > _still_open(wanted, now):
        return WAITS  # whatever changed since: the yes sends it as it is then
    if before["intent"] != key or status in (WAITING, PushStatus.STOPPED):  # while the switch is on, nobody looks
        return None
    if status == NOT_APPROVED:
        return NOT_APPROVED
    if status in _FINISHED:
        return TRIED
    # What is done and differs all the same was changed, and changed back; but it must not start runs without end.
    since: timedelta = now - (before["at"] or before["planned_at"])
    return None if since > {None: DEAD, PushStatus.BUSY: timedelta(minutes=1)}.get(status, AGAIN) else TRIED


def _still_open(wanted: Wanted, now: datetime) -> datetime:
    """Return when the oldest approval can have been asked for that is still open."""
    return now - timedelta(hours=wanted.approval_hours) - DEAD


def _see_whether_it_is_large(side: CrmSide, wanted: Wanted, chosen: Chosen, now: datetime, *, watched: bool) -> None:
    taken: dict[str, set[str]] = {}
    is_open = False
    if watched:
        with reading(side.engine) as connection:
            taken = progress.auto_started_since(connection, side.place, now - WINDOW)
            is_open = progress.is_waiting(connection, side.place, _still_open(wanted, now))
    for operation, most in ((CREATE, wanted.max_creates), (UPDATE, wanted.max_updates)):
        mine = {one.crm_id for one in chosen.planned if one.operation == operation}
        if mine and len(mine | taken.get(operation, set())) > most:
            chosen.over.append(operation)
    if chosen.over and is_open:  # a person is asked one thing at a time; the others go on
        left = [one for one in chosen.planned if one.operation not in chosen.over]
        chosen.not_sent[WAITS] += len(chosen.planned) - len(left)
        chosen.planned, chosen.over = left, []


def _planned(found: Outbox, crm_id: str) -> Planned:
    return Planned(crm_id, found.ways[crm_id], found.keys[crm_id])


def crm_ids(side: CrmSide, names: Iterable[str], *, numbers: bool) -> list[str]:
    """Return the CRM ids of the patients that are named by a CRM id, an eCW id, or, with `numbers`, an MR number.

    Raises ConfigurationError, which tells an entry by its place: where it means nobody or several, or is an MR number.
    """
    with reading(side.engine) as connection:
        return [_one(found(side, connection, name.strip()), at, numbers) for at, name in enumerate(names, start=1)]


def _named(side: CrmSide, ids: Iterable[str], found: Outbox) -> list[Planned]:
    chosen: dict[str, Planned] = {}
    with reading(side.engine) as connection:
        for crm_id in ids:
            record = side.patients.read(connection, crm_id)
            if record is not None:
                chosen[crm_id] = Planned(crm_id, way_of(record), side.key(record))
    first = {crm_id: chosen.pop(crm_id) for crm_id in found.unsettled if crm_id in chosen}
    creates = {crm_id: one for crm_id, one in chosen.items() if one.operation == CREATE}
    return [*first.values(), *({**creates, **chosen}).values()]


def found(side: CrmSide, connection: Connection, name: str) -> dict[str, bool]:
    """Return the CRM ids that a name can mean, each with whether it is an id that means it, and not a number."""
    kind, colon, rest = name.partition(":")
    kind, wanted = (kind.lower(), rest.strip()) if colon and kind.lower() in KINDS else ("", name)
    target, rows = side.patients.target, side.patients.rows(connection)
    mine = or_(rows.mine, rows.unassigned)  # what is nobody's is found, and refused with the reason
    found: dict[str, bool] = {}

    def by(column: Column[Any], *, is_id: bool) -> None:
        for value in connection.scalars(select(side.patients.id).where(cast(column, String) == wanted, mine)):
            found[value] = is_id or found.get(value, False)

    if kind in ("", "mr"):
        for column in side.mapping.columns:
            if column.type == "string" and element_of(column.steps) == "identifier" and column.name != side.mapping.key:
                by(target.columns[column.name], is_id=False)
    if kind in ("", "ecw"):
        by(target.columns[side.mapping.key], is_id=True)
    if kind in ("", "crm") and (crm_id := side.patients.canonical(connection, wanted)) is not None:
        found[crm_id] = True
    return found


def _one(found: dict[str, bool], at: int, numbers: bool) -> str:
    # By its place in the list: an MR number is the patient's, and an error goes into logs.
    if not found:
        raise ConfigurationError(
            f"Entry {at} of `patients` is neither a CRM id nor an eCW id that the CRM has{_NOR if numbers else ''}.",
            next_step="correct the entry, or leave `patients` empty to push everybody who differs.",
        )
    if len(found) > 1:
        raise ConfigurationError(
            f"Entry {at} of `patients` means {len(found)} patients (CRM ids {', '.join(sorted(found))}).",
            next_step="write crm:, ecw: or mr: before it, or name the CRM id.",
        )
    [(crm_id, is_id)] = found.items()
    if not is_id and not numbers:
        raise ConfigurationError(f"Entry {at} of `patients` is an MR number. {KEPT}", next_step=INSTEAD)
    return crm_id


KINDS = ("crm", "ecw", "mr")
_NOR = ", nor an MR number"
