"""Choose the patients of a run: all that differ or those that a person named; and those for which the watcher starts
a run."""

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
from ecw.settings.push import PushOptions

AGAIN = timedelta(minutes=30)  # until a patient that could not be pushed is tried again
DEAD = timedelta(hours=2)  # until a run that planned a patient and did not push it counts as dead
WINDOW = timedelta(hours=24)  # in which the patients of automatic runs are counted together
WAITS, TRIED = "waiting for an approval", "tried before"
_FINISHED = (PushStatus.REJECTED, PushStatus.REFUSED, PushStatus.HELD)


@dataclass(slots=True)
class Chosen:
    """The patients of a run in order, and the numbers of those left out, by reason.

    `over` has the operations (create, update) with so many patients that the run needs an approval.
    """

    planned: list[Planned] = field(default_factory=list)
    not_sent: Counter[str] = field(default_factory=Counter)
    over: list[str] = field(default_factory=list)


def choose(side: CrmSide, options: PushOptions, *, watched: bool = False, now: datetime | None = None) -> Chosen:
    """Return the patients of a run.

    A run that the watcher started (`watched`) pushes the patients in the outbox that no run has had with their present
    content, and those that a run could not finish some time ago.  Patients that were refused, held or not approved wait
    for a person: they are left out until they change.  Patients that wait for an open approval are left out, too.
    Because no person asked for such runs, the patients of all of them within WINDOW count together for the limits.

    Raises ConfigurationError if a name matches no patient, or several.
    """
    now = now or datetime.now(UTC)
    to_push = outbox(side)
    chosen = Chosen(not_sent=Counter(to_push.not_sent))
    if options.named:
        ids = crm_ids(side, options.named, numbers=options.mr_numbers or options.test_only)
        chosen.planned = _named(side, ids, to_push)
    else:
        chosen.planned = [_planned(to_push, crm_id) for crm_id in to_push]
    if watched:
        _remove_not_due(side, options, to_push, chosen, now)
    if options.only:
        chosen.planned = [one for one in chosen.planned if one.operation == options.only]
    if options.limit and len(chosen.planned) > options.limit:
        chosen.not_sent["over the limit"] = len(chosen.planned) - options.limit
        chosen.planned = chosen.planned[: options.limit]
    _apply_limits(side, options, chosen, now, watched=watched)
    return chosen


def due(side: CrmSide, options: PushOptions, now: datetime | None = None) -> dict[str, str]:
    """Return the patients for which the watcher starts a run, by CRM id, each with the digest of its content.

    They are the patients that the run would push; none if the connection makes all runs dry runs.
    """
    if options.dry_run:
        return {}
    return {one.crm_id: one.intent for one in choose(side, options, watched=True, now=now).planned}


def _remove_not_due(side: CrmSide, options: PushOptions, to_push: Outbox, chosen: Chosen, now: datetime) -> None:
    with reading(side.engine) as connection:
        before = progress.latest(connection, side.place, {one.crm_id for one in chosen.planned})
    due_patients = []
    for one in chosen.planned:
        if one.crm_id not in to_push.keys:
            continue  # the connection names the patient, but it does not differ
        if why := _not_due(before.get(one.crm_id), one.intent, options, now):
            chosen.not_sent[why] += 1
        else:
            due_patients.append(one)
    chosen.planned = due_patients


def _not_due(before: dict[str, Any] | None, key: str, options: PushOptions, now: datetime) -> str | None:
    """Return why a patient is not due after the last run that planned it, or None if it is due."""
    if before is None:
        return None
    status = before["status"]
    if status == WAITING and before["planned_at"] > _oldest_open_approval(options, now):
        return WAITS  # even if it has changed: after the approval, the push sends the present content
    if before["intent"] != key or status in (WAITING, PushStatus.STOPPED):  # the watcher pauses while the switch is on
        return None
    if status == NOT_APPROVED:
        return NOT_APPROVED
    if status in _FINISHED:
        return TRIED
    # A done patient that differs was changed and changed back. The delay keeps it from starting runs without end.
    since: timedelta = now - (before["at"] or before["planned_at"])
    return None if since > {None: DEAD, PushStatus.BUSY: timedelta(minutes=1)}.get(status, AGAIN) else TRIED


def _oldest_open_approval(options: PushOptions, now: datetime) -> datetime:
    """Return the earliest time of a plan whose approval can still be open."""
    return now - timedelta(hours=options.approval_hours) - DEAD


def _apply_limits(side: CrmSide, options: PushOptions, chosen: Chosen, now: datetime, *, watched: bool) -> None:
    """Set `over`; while another approval is open, leave the patients of these operations out instead."""
    earlier: dict[str, set[str]] = {}
    is_open = False
    if watched:
        with reading(side.engine) as connection:
            earlier = progress.auto_started_since(connection, side.place, now - WINDOW)
            is_open = progress.is_waiting(connection, side.place, _oldest_open_approval(options, now))
    for operation, limit in ((CREATE, options.max_creates), (UPDATE, options.max_updates)):
        patients = {one.crm_id for one in chosen.planned if one.operation == operation}
        if patients and len(patients | earlier.get(operation, set())) > limit:
            chosen.over.append(operation)
    if chosen.over and is_open:  # only one approval at a time; the other operation goes on
        within = [one for one in chosen.planned if one.operation not in chosen.over]
        chosen.not_sent[WAITS] += len(chosen.planned) - len(within)
        chosen.planned, chosen.over = within, []


def _planned(to_push: Outbox, crm_id: str) -> Planned:
    return Planned(crm_id, to_push.ways[crm_id], to_push.keys[crm_id])


def crm_ids(side: CrmSide, names: Iterable[str], *, numbers: bool) -> list[str]:
    """Return the CRM ids of the patients that are named by a CRM id, an eCW id, or, with `numbers`, an MR number.

    Raises ConfigurationError if an entry matches no patient or several, or is an MR number without `numbers`; it gives
    the entry's position, not its text.
    """
    with reading(side.engine) as connection:
        return [_one(found(side, connection, name.strip()), at, numbers) for at, name in enumerate(names, start=1)]


def _named(side: CrmSide, ids: Iterable[str], to_push: Outbox) -> list[Planned]:
    chosen: dict[str, Planned] = {}
    with reading(side.engine) as connection:
        for crm_id in ids:
            record = side.patients.read(connection, crm_id)
            if record is not None:
                chosen[crm_id] = Planned(crm_id, way_of(record), side.key(record))
    first = {crm_id: chosen.pop(crm_id) for crm_id in to_push.unsettled if crm_id in chosen}
    creates = {crm_id: one for crm_id, one in chosen.items() if one.operation == CREATE}
    return [*first.values(), *({**creates, **chosen}).values()]


def found(side: CrmSide, connection: Connection, name: str) -> dict[str, bool]:
    """Return the CRM ids that a name matches; True for a match by an id, False for one by an MR number."""
    kind, colon, rest = name.partition(":")
    kind, wanted = (kind.lower(), rest.strip()) if colon and kind.lower() in KINDS else ("", name)
    target, rows = side.patients.target, side.patients.rows(connection)
    of_practice = or_(rows.mine, rows.unassigned)  # rows without a practice, too: the push refuses them with the reason
    matches: dict[str, bool] = {}

    def by(column: Column[Any], *, is_id: bool) -> None:
        for value in connection.scalars(select(side.patients.id).where(cast(column, String) == wanted, of_practice)):
            matches[value] = is_id or matches.get(value, False)

    if kind in ("", "mr"):
        for column in side.mapping.columns:
            if column.type == "string" and element_of(column.steps) == "identifier" and column.name != side.mapping.key:
                by(target.columns[column.name], is_id=False)
    if kind in ("", "ecw"):
        by(target.columns[side.mapping.key], is_id=True)
    if kind in ("", "crm") and (crm_id := side.patients.canonical(connection, wanted)) is not None:
        matches[crm_id] = True
    return matches


def _one(matches: dict[str, bool], at: int, numbers: bool) -> str:
    # The errors give the entry's position only: an MR number is a patient's data, and errors go into logs.
    if not matches:
        raise ConfigurationError(
            f"Entry {at} of `patients` is neither a CRM id nor an eCW id that the CRM has{_NOR if numbers else ''}.",
            next_step="correct the entry, or leave `patients` empty to push all patients that differ.",
        )
    if len(matches) > 1:
        raise ConfigurationError(
            f"Entry {at} of `patients` means {len(matches)} patients (CRM ids {', '.join(sorted(matches))}).",
            next_step="write crm:, ecw: or mr: before it, or name the CRM id.",
        )
    [(crm_id, is_id)] = matches.items()
    if not is_id and not numbers:
        raise ConfigurationError(f"Entry {at} of `patients` is an MR number. {KEPT}", next_step=INSTEAD)
    return crm_id


KINDS = ("crm", "ecw", "mr")
_NOR = ", nor an MR number"
