"""The history of one record from the project's own tables, in time order, and the reasons for its state now.

Ids, counts, names of fields and reasons; no values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, RowMapping, select, union

from ecw.crm.db.enums import WRITTEN, ConflictState, Direction, IntentState, PushStatus, RejectState, RejectStep
from ecw.crm.db.tables import (
    ecw_conflict,
    ecw_deferred_row,
    ecw_intent,
    ecw_journal,
    ecw_link,
    ecw_push_item,
    ecw_reject,
    ecw_run,
)
from ecw.models import Mode
from ecw.reports.find_records import PUSH_REJECT, Found
from ecw.reports.journal import no_index
from ecw.reports.rejects import began

MOST = 200  # entries of each kind, the newest
# Results of a push that have an entry of their own in the Integration Logs.
_IN_JOURNAL = (*WRITTEN, PushStatus.REFUSED, PushStatus.UNKNOWN)
_DAGS = {Direction.PULL: "ecw_pull", Direction.PUSH: "ecw_push_patients"}


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the record; `at` is None if its time is not known."""

    at: datetime | None
    kind: str  # loaded, rejected, dismissed, resolved, deferred, pushed, conflict, decision
    title: str
    run_id: str | None = None
    dag: str | None = None
    fields: list[str] = field(default_factory=list)
    by: str | None = None
    code: str | None = None
    next_step: str | None = None
    mapping_version: str | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for the record's state now; `page` is the page of the console on which a person can act."""

    text: str
    waits: bool = False
    page: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """The record's link, and the runs and versions from which its row was written."""

    status: str | None
    status_reason: str | None
    inserted_run: str | None
    updated_run: str | None
    last_seen_run: str
    last_seen_at: datetime | None
    source_version: datetime | None
    mapping_version: str


@dataclass(frozen=True, slots=True)
class Story:
    """The record, the reasons for its state, and its events, the newest first."""

    record: Found
    link: Link | None
    reasons: list[Reason]
    events: list[Event]
    more: bool  # True if the journal has more entries than are shown


def tell(connection: Connection, practice: str, record: Found) -> Story:
    """Return the history of a record, at most MOST events."""
    reader = _Reader(connection, practice, record)
    link = reader.link()
    entries = reader.entries()
    events = [*reader.journaled(entries), *reader.rejects(), *reader.deferred(), *reader.conflicts(), *reader.pushes()]
    # An event without a time is not over yet, or its run was deleted from ecw_run: it comes first.
    events.sort(key=lambda one: one.at.timestamp() if one.at else float("inf"), reverse=True)
    return Story(record, link, list(_reasons(reader, link)), events[:MOST], len(entries) == MOST)


class _Reader:
    """Reads what the project's own tables have about one record."""

    def __init__(self, connection: Connection, practice: str, record: Found) -> None:
        self.connection, self.practice, self.record = connection, practice, record
        self.key = {"practice": practice, "resource": record.resource}

    def rows(self, statement: Any) -> list[RowMapping]:
        return list(self.connection.execute(statement).mappings())

    def link(self) -> Link | None:
        if self.record.ecw_id is None:
            return None
        last_seen_at = began(self.practice, ecw_link.c.resource, ecw_link.c.last_seen_run).label("last_seen_at")
        rows = self.rows(select(ecw_link, last_seen_at).filter_by(**self.key, ecw_id=self.record.ecw_id))
        names = Link.__dataclass_fields__
        return Link(**{name: rows[0][name] for name in names}) if rows else None

    def entries(self) -> list[RowMapping]:
        """Return the newest entries of the Integration Logs, by the ids of both sides: one index lookup each."""
        j = ecw_journal
        resource, at = no_index(self.connection, j.c.resource), no_index(self.connection, j.c.at)
        sides = [
            select(j)
            .where(j.c.practice == self.practice, column == value, resource == self.record.resource)
            .order_by(at.desc())
            .limit(MOST)
            .subquery()
            for column, value in ((j.c.crm_id, self.record.crm_id), (j.c.ecw_id, self.record.ecw_id))
            if value is not None
        ]
        both = union(*(select(side) for side in sides)).subquery()
        return self.rows(select(both).order_by(both.c.at.desc()).limit(MOST))

    def versions(self, run_ids: set[str]) -> dict[str, tuple[str, str | None]]:
        """Return the mode and the mapping's version of each run."""
        r = ecw_run.c
        statement = select(r.run_id, r.mode, r.mapping_version).filter_by(**self.key)
        rows = self.connection.execute(statement.where(r.run_id.in_(run_ids)))
        return {run_id: (mode, version) for run_id, mode, version in rows}

    def journaled(self, entries: list[RowMapping]) -> Iterator[Event]:
        runs = self.versions({row["run_id"] for row in entries if row["direction"] == Direction.PULL})
        for row in entries:
            direction = row["direction"]
            mode, version = runs.get(row["run_id"], ("", None))
            yield Event(
                at=row["at"],
                kind={Direction.PULL: "loaded", Direction.PUSH: "pushed", Direction.DECISION: "decision"}[direction],
                title=row["message"],
                run_id=row["run_id"] or None,
                dag="ecw_replay" if mode == Mode.REPLAY else _DAGS.get(direction),
                fields=(row["fields"] or "").split(", ") if row["fields"] else [],
                by=row["decided_by"],
                code=" ".join(str(one) for one in (row["http_status"], row["code"]) if one) or None,
                next_step=row["next_step"],
                mapping_version=version,
            )

    @cached_property
    def reject_rows(self) -> list[RowMapping]:
        ids = [self.record.ecw_id, PUSH_REJECT + self.record.crm_id if self.record.crm_id else None]
        r = ecw_reject.c
        first = began(self.practice, r.resource, r.first_run).label("first_at")
        resolved = began(self.practice, r.resource, r.resolved_run).label("resolved_at")
        statement = (
            select(ecw_reject, first, resolved).filter_by(**self.key).where(r.ecw_id.in_([one for one in ids if one]))
        )
        return self.rows(statement.order_by(r.step, r.rule, r.column).limit(MOST))

    def rejects(self) -> Iterator[Event]:
        for row in self.reject_rows:
            what = " in ".join(filter(None, (row["rule"], row["column"])))
            dag = _DAGS[Direction.PUSH if row["step"] == RejectStep.PUSH else Direction.PULL]
            names = [row["column"]] if row["column"] else []
            yield Event(row["first_at"], "rejected", f"Rejected by {row['step']}: {what}: {row['reason']}",
                        row["first_run"], dag, names)  # fmt: skip
            if row["state"] == RejectState.RESOLVED:
                yield Event(
                    row["resolved_at"], "resolved", f"No longer rejected: {what}", row["resolved_run"], dag, names
                )

    @cached_property
    def deferred_rows(self) -> list[RowMapping]:
        p = ecw_deferred_row.c
        at = began(self.practice, p.resource, p.deferred_run).label("at")
        columns = (p.missing_resource, p.missing_id, p.deferred_run, at)
        return self.rows(select(*columns).filter_by(**self.key, ecw_id=self.record.ecw_id))

    def deferred(self) -> Iterator[Event]:
        for row in self.deferred_rows:
            yield Event(row["at"], "deferred", f"Waits for {row['missing_resource']} {row['missing_id']}",
                        row["deferred_run"], "ecw_pull")  # fmt: skip

    @cached_property
    def conflict_rows(self) -> list[RowMapping]:
        c = ecw_conflict.c
        at = began(self.practice, c.resource, c.first_run).label("at")
        columns = (c.column, c.state, c.winner, c.choice, c.first_run, at)
        return self.rows(select(*columns).filter_by(**self.key, crm_id=self.record.crm_id).limit(MOST))

    def conflicts(self) -> Iterator[Event]:
        for row in self.conflict_rows:
            how = {"crm": "the CRM's value won", "emr": "eCW's value won"}.get(row["winner"], "a person chooses")
            yield Event(row["at"], "conflict", f"Both sides changed {row['column']}: {how}",
                        row["first_run"], None, [row["column"]])  # fmt: skip

    def pushes(self) -> Iterator[Event]:
        p = ecw_push_item
        mine = select(p).filter_by(**self.key, crm_id=self.record.crm_id).order_by(p.c.planned_at.desc()).limit(MOST)
        for row in self.rows(mine) if self.record.crm_id else ():
            if row["status"] is None or (row["status"] in _IN_JOURNAL and not row["dry"]):
                continue
            title = f"Push{' (dry run)' if row['dry'] else ''}: {row['status']}"
            yield Event(
                at=row["at"] or row["planned_at"],
                kind="pushed",
                title=f"{title}: {row['reason']}" if row["reason"] else title,
                run_id=row["run_id"],
                dag=_DAGS[Direction.PUSH],
                fields=(row["fields"] or "").split(", ") if row["fields"] else [],
                next_step=row["next_step"],
            )

    def intent(self) -> RowMapping | None:
        columns = [column for column in ecw_intent.columns if column.name != "sent"]  # patient data
        found = self.rows(select(*columns).filter_by(**self.key, crm_id=self.record.crm_id))
        return found[0] if found else None


def _reasons(reader: _Reader, link: Link | None) -> Iterator[Reason]:
    """Yield the reasons for the record's state, those that wait for a person first."""
    for row in reader.reject_rows:
        if row["state"] == RejectState.OPEN:
            where = f" in {row['column']}" if row["column"] else ""
            what = "It is not pushed" if row["step"] == RejectStep.PUSH else "Its last version was not loaded"
            yield Reason(f"{what}: {row['rule']}{where}: {row['reason']}", waits=True, page="rejects")
        elif row["state"] == RejectState.DISMISSED:
            yield Reason(f"A person dismissed its reject: {row['rule']}", page="rejects")
    for row in reader.deferred_rows:
        yield Reason(f"It waits in the CRM until {row['missing_resource']} {row['missing_id']} is loaded", waits=True)
    intent = reader.intent()
    if intent is not None:
        yield from _of_intent(intent)
    for row in reader.conflict_rows:
        if row["state"] == ConflictState.OPEN:
            side = "the CRM" if row["choice"] == "crm" else "eCW"
            text = f"Both sides changed {row['column']}"
            if row["choice"]:
                yield Reason(f"{text}; {side} was chosen, and the next run applies it", page="conflicts")
            else:
                yield Reason(f"{text}: a person chooses", waits=True, page="conflicts")
    if link is None:
        yield Reason("It is not linked: it has no record on the other side yet.")
        return
    if link.status:
        yield Reason(f"eCW has it as {link.status}{f' ({link.status_reason})' if link.status_reason else ''}")
    made = "The CRM had the row before it was linked" if link.inserted_run is None else "A pull created the row"
    changed = "; a later one changed it" if link.updated_run else ""
    yield Reason(f"{made}{changed}. Mapping version {link.mapping_version[:8]}.")


def _of_intent(intent: Mapping[Any, Any]) -> Iterator[Reason]:
    state = intent["state"]
    if state == IntentState.HELD:
        chosen = intent["choice"]
        if chosen:
            yield Reason(f"Held, and a person chose {chosen}; the next push applies the choice", page="conflicts")
        else:
            yield Reason(
                f"It is not pushed until a person decides who it is (found by {intent['match_rule']})",
                True,
                "conflicts",
            )
    elif state == IntentState.REFUSED:
        yield Reason(
            "The last push was refused; the same content is not sent again until the CRM changes it", waits=True
        )
    elif state in (IntentState.SENDING, IntentState.UNKNOWN):
        yield Reason("The result of the last push is not known yet: the next one searches eCW for it first")
