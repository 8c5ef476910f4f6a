"""Whom a run pushes: all that differ, or those that a person named; and whom the watcher starts a run for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, String, cast, or_, select

from ecw.crm.engine import reading
from ecw.errors import ConfigurationWrong
from ecw.push import ledger
from ecw.push.intents import CREATE
from ecw.push.ledger import NOT_APPROVED, WAITING, Planned
from ecw.push.outbox import Outbox, outbox, way_of
from ecw.push.pushing import CrmSide
from ecw.push.validate import element_of
from ecw.push.wanted import Wanted

AGAIN = timedelta(minutes=30)  # what could not be done is tried again
DEAD = timedelta(hours=2)  # a run that planned a patient and never came to it
_FINISHED = ("created", "updated", "linked", "unchanged", "rejected", "refused", "held", "locked", NOT_APPROVED)


@dataclass(slots=True)
class Chosen:
    """Whom a run takes, in order, and how many it does not, and why."""

    planned: list[Planned] = field(default_factory=list)
    kept_back: Counter[str] = field(default_factory=Counter)

    def count(self, way: str) -> int:
        return sum(one.way == way for one in self.planned)


def choose(side: CrmSide, wanted: Wanted, *, watched: bool = False) -> Chosen:
    """Return whom a run takes.

    A run that the watcher started (`watched`) leaves out whom a person did not approve as they are now, and whom an
    approval that is open is about.

    Raises ConfigurationWrong where a name means nobody, or several.
    """
    found = outbox(side)
    chosen = Chosen(kept_back=Counter(found.kept_back))
    if wanted.named:
        chosen.planned = _named(side, wanted.named, found)
    else:
        chosen.planned = [_planned(found, crm_id) for crm_id in found]
        if watched:
            _leave_out_what_was_not_approved(side, chosen)
    if wanted.only:
        chosen.planned = [one for one in chosen.planned if one.way == wanted.only]
    if wanted.limit and len(chosen.planned) > wanted.limit:
        chosen.kept_back["over the limit"] = len(chosen.planned) - wanted.limit
        chosen.planned = chosen.planned[: wanted.limit]
    return chosen


def due(side: CrmSide, wanted: Wanted, now: datetime | None = None) -> dict[str, str]:
    """Return the patients for whom a run is to be started by itself, by CRM id, each with the key of its content.

    That is everybody in the outbox whom no run has had as they are now, and those whom one could not finish some time
    ago. What is refused, held, locked or was not approved is for a person: it starts nothing until it changes.
    """
    now = now or datetime.now(UTC)
    found = outbox(side)
    ids = set(found)
    if wanted.test_only:
        ids &= {one.crm_id for one in _named(side, wanted.named, found)}
    with reading(side.engine) as connection:
        before = ledger.latest(connection, side.place, ids)
    return {crm_id: found.keys[crm_id] for crm_id in ids if _is_due(before.get(crm_id), found.keys[crm_id], now)}


def _is_due(before: dict[str, Any] | None, key: str, now: datetime) -> bool:
    if before is None or before["intent"] != key:
        return True
    if before["did"] in _FINISHED:
        return False
    if before["did"] == WAITING:
        return bool(now - before["planned_at"] > timedelta(days=2))
    if before["did"] == "stopped":
        return True  # while the switch is on, nobody looks
    since: timedelta = now - (before["at"] or before["planned_at"])
    return since > {None: DEAD, "busy": timedelta(minutes=1)}.get(before["did"], AGAIN)


def _leave_out_what_was_not_approved(side: CrmSide, chosen: Chosen) -> None:
    with reading(side.engine) as connection:
        before = ledger.latest(connection, side.place, {one.crm_id for one in chosen.planned})
    kept = []
    for one in chosen.planned:
        last = before.get(one.crm_id)
        did = last["did"] if last and last["intent"] == one.intent else None
        if did in (NOT_APPROVED, WAITING):
            chosen.kept_back[NOT_APPROVED if did == NOT_APPROVED else "waiting for an approval"] += 1
        else:
            kept.append(one)
    chosen.planned = kept


def _planned(found: Outbox, crm_id: str) -> Planned:
    return Planned(crm_id, found.ways[crm_id], found.keys[crm_id])


def _named(side: CrmSide, names: Iterable[str], found: Outbox) -> list[Planned]:
    chosen: dict[str, Planned] = {}
    with reading(side.engine) as connection:
        for at, name in enumerate(names, start=1):
            crm_id = _one(_found(side, connection, name.strip()), at)
            record = side.patients.read(connection, crm_id)
            if record is not None:
                chosen[crm_id] = Planned(crm_id, way_of(record), side.key(record))
    first = {crm_id: chosen.pop(crm_id) for crm_id in found.unsettled if crm_id in chosen}
    creates = {crm_id: one for crm_id, one in chosen.items() if one.way == CREATE}
    return [*first.values(), *({**creates, **chosen}).values()]


def _found(side: CrmSide, connection: Connection, name: str) -> set[str]:
    """Return the CRM ids that a name can mean: a CRM id, or a number that eCW or the CRM gave the patient."""
    kind, colon, rest = name.partition(":")
    kind, wanted = (kind.lower(), rest.strip()) if colon and kind.lower() in ("crm", "mr") else ("", name)
    found: set[str] = set()
    if kind != "mr" and side.patients.read(connection, wanted) is not None:
        found.add(wanted)
    numbers = [
        side.patients.target.columns[column.name]
        for column in side.mapping.columns
        if column.type == "string" and element_of(column.steps) == "identifier"
    ]
    if kind != "crm" and numbers:
        key = side.patients.target.key
        statement = select(key).where(or_(*(cast(column, String) == wanted for column in numbers)))
        found |= {str(value) for value in connection.scalars(statement)}
    return found


def _one(found: set[str], at: int) -> str:
    # By its place in the list: an MR number is the patient's, and an error goes into logs.
    if not found:
        raise ConfigurationWrong(
            f"Entry {at} of `patients` is neither a CRM id nor an MR number that the CRM has.",
            next_move="correct the entry, or leave `patients` empty to push everybody who differs.",
        )
    if len(found) > 1:
        raise ConfigurationWrong(
            f"Entry {at} of `patients` means {len(found)} patients (CRM ids {', '.join(sorted(found))}).",
            next_move="write crm: or mr: before it, or name the CRM id.",
        )
    return found.pop()
