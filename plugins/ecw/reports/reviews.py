"""What waits for a person's choice: fields that both sides changed, and patients that eCW may have already.

Ids and names of fields only; `ecw.push.review.sides` reads the values of both sides on demand.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Select, func, select, tuple_

from ecw.crm.db.enums import ConflictState
from ecw.crm.db.tables import ecw_conflict, ecw_intent, ecw_link
from ecw.crm.load.identity import RUNG
from ecw.crm.load.match_unconfirmed import HELD
from ecw.reports.rejects import began
from ecw.resources import PUSHED, RESOURCES

PAGE = 50
MOST_GROUPS = 200


@dataclass(frozen=True, slots=True)
class ConflictGroup:
    """The conflicts of one column: how many wait for a choice, and how many have a choice that no run applied yet."""

    resource: str
    column: str
    waiting: int
    chosen: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """One field of one record that both sides changed; the next push or pull applies `choice`."""

    resource: str
    crm_id: str
    ecw_id: str
    column: str
    choice: str | None
    first_run: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Match:
    """A held patient of the CRM: it is not pushed until a person decides which patient of eCW it is.

    `linked` is True if it has a link whose two sides may be different persons: the choice is `same` or `unlink`.
    """

    crm_id: str
    found_by: str
    candidates: list[str]
    choice: str | None
    linked: bool
    since: datetime
    run_id: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page of conflicts or matches, and where the next page begins: None at the end."""

    items: list[Any]
    next: tuple[str, ...] | None


def conflict_groups(connection: Connection, practice: str) -> list[ConflictGroup]:
    """Return the columns with open conflicts, the most first."""
    c = ecw_conflict.c
    waiting = func.count() - func.count(c.choice)
    statement = (
        select(c.resource, c.column, waiting, func.count(c.choice))
        .where(*_open(practice))
        .group_by(c.resource, c.column)
        .order_by(waiting.desc(), c.resource, c.column)
        .limit(MOST_GROUPS)
    )
    return [ConflictGroup(*row) for row in connection.execute(statement)]


def conflicts(
    connection: Connection, practice: str, resource: str = "", column: str = "", after: tuple[str, ...] | None = None
) -> Page:
    """Return PAGE open conflicts after the last one of the previous page."""
    rows = connection.execute(conflicts_statement(practice, resource, column, after)).all()
    items = [Conflict(*row) for row in rows[:PAGE]]
    last = items[-1] if len(rows) > PAGE else None
    return Page(items, (last.resource, last.crm_id, last.column) if last else None)


def conflicts_statement(
    practice: str, resource: str = "", column: str = "", after: tuple[str, ...] | None = None
) -> Select[Any]:
    """Return the statement of `conflicts`."""
    c = ecw_conflict.c
    order = (c.resource, c.crm_id, c.column)
    since = began(practice, c.resource, c.first_run)
    statement = select(c.resource, c.crm_id, c.ecw_id, c.column, c.choice, c.first_run, since).where(*_open(practice))
    if resource:
        statement = statement.where(c.resource == resource)
    if column:
        statement = statement.where(c.column == column)
    if after is not None:
        statement = statement.where(tuple_(*order) > tuple_(*after))
    return statement.order_by(*order).limit(PAGE + 1)


def _open(practice: str) -> tuple[Any, ...]:
    c = ecw_conflict.c
    # Every resource is named, because the index has the resource between the practice and the state.
    return c.practice == practice, c.resource.in_(list(RESOURCES)), c.state == ConflictState.OPEN


def matches(connection: Connection, practice: str, after: tuple[str, ...] | None = None) -> Page:
    """Return PAGE held patients after the CRM id of the previous page's last one."""
    i = ecw_intent.c
    link = (ecw_link.c.practice == i.practice) & (ecw_link.c.resource == i.resource) & (ecw_link.c.crm_id == i.crm_id)
    statement = (
        select(i.crm_id, i.match_rule, i.candidates, i.choice, i.decided_at, i.run_id, ecw_link.c.ecw_id)
        .select_from(ecw_intent.outerjoin(ecw_link, link))
        .where(i.practice == practice, i.resource == PUSHED, i.state == HELD)
    )
    if after is not None:
        statement = statement.where(i.crm_id > after[0])
    rows = connection.execute(statement.order_by(i.crm_id).limit(PAGE + 1)).all()
    items = [
        Match(
            crm_id=row.crm_id,
            found_by=row.match_rule or "",
            candidates=orjson.loads(row.candidates) if row.candidates else [],
            choice=row.choice,
            linked=row.match_rule == RUNG and row.ecw_id is not None,
            since=row.decided_at,
            run_id=row.run_id,
        )
        for row in rows[:PAGE]
    ]
    return Page(items, (items[-1].crm_id,) if len(rows) > PAGE else None)
