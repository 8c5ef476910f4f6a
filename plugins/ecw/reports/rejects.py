"""The quarantine by rule, and the records of one rule: counts, ids and reasons, no values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select, tuple_

from ecw.crm.db.enums import RejectState
from ecw.crm.db.tables import ecw_link, ecw_push_item, ecw_reject, ecw_run
from ecw.resources import RESOURCES

PAGE = 50
MOST_GROUPS = 500
PUSH_STEP = "push"


@dataclass(frozen=True, slots=True)
class Group:
    """The rejects of one rule and column: how many records, and since when the oldest is there."""

    resource: str
    step: str
    rule: str
    column: str
    records: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rejects; what is empty chooses nothing out."""

    practice: str
    state: str = RejectState.OPEN
    resource: str = ""
    step: str = ""
    rule: str = ""
    column: str | None = None
    run: str = ""
    record: str = ""  # an eCW id, or `crm:<CRM id>`


@dataclass(frozen=True, slots=True)
class Page:
    """Some rejects, and where the next page begins: None at the end."""

    rejects: list[dict[str, Any]]
    next: tuple[str, ...] | None


def groups(connection: Connection, practice: str, state: str = RejectState.OPEN) -> list[Group]:
    """Return the groups of a practice's rejects, the largest first, at most MOST_GROUPS."""
    rows = connection.execute(groups_statement(practice, state)).all()
    pushed = {}
    if any(row.step == PUSH_STEP for row in rows):
        pushed = {tuple(key): at for *key, at in connection.execute(_pushed(practice, state))}
    return [
        Group(resource, step, rule, column, int(total), oldest or pushed.get((resource, rule, column)))
        for resource, step, rule, column, total, oldest in rows
    ]


def groups_statement(practice: str, state: str) -> Select[Any]:
    """Return the statement of `groups`: it counts in the index ecw_reject_groups alone."""
    r = ecw_reject.c
    key = (r.resource, r.step, r.rule, r.column)
    # First by run, so that a run's time is looked up once and not for each of its rejects.
    runs = (
        select(*key, r.first_run, func.count().label("records"))
        .where(r.practice == practice, r.state == state)
        .group_by(*key, r.first_run)
        .subquery()
    )
    c, run = runs.c, ecw_run.c
    its = and_(run.practice == practice, run.run_id == c.first_run, run.resource == c.resource)
    total = func.sum(c.records).label("total")
    return (
        select(c.resource, c.step, c.rule, c.column, total, func.min(run.started_at))
        .select_from(runs.outerjoin(ecw_run, its))
        .group_by(c.resource, c.step, c.rule, c.column)
        .order_by(total.desc(), c.resource, c.step, c.rule, c.column)
        .limit(MOST_GROUPS)
    )


def _pushed(practice: str, state: str) -> Select[Any]:
    """Select when the oldest run of a push began that has rejects of a group."""
    r, item = ecw_reject.c, ecw_push_item.c
    mine = (r.practice == practice, r.state == state, r.resource.in_(list(RESOURCES)), r.step == PUSH_STEP)
    runs = select(r.resource, r.rule, r.column, r.first_run).where(*mine).distinct().subquery()
    c = runs.c
    began_at = (
        select(item.planned_at).where(item.practice == practice, item.run_id == c.first_run).limit(1).scalar_subquery()
    )
    return select(c.resource, c.rule, c.column, func.min(began_at)).group_by(c.resource, c.rule, c.column)


def page(connection: Connection, wanted: Wanted, after: tuple[str, ...] | None = None) -> Page:
    """Return PAGE rejects after the one at which the last page ended, each with its record's CRM id, and since when."""
    found = [dict(row) for row in connection.execute(page_statement(wanted, after)).mappings()]
    rejects = found[:PAGE]
    last = rejects[-1] if len(found) > PAGE else None
    return Page(rejects, tuple(last[name] for name in _ORDER) if last else None)


_ORDER = ("resource", "step", "rule", "column", "first_run", "ecw_id")


def page_statement(wanted: Wanted, after: tuple[str, ...] | None = None) -> Select[Any]:
    """Return the statement of `page`: an index finds the page's keys, whatever is asked for, and only they are read."""
    r = ecw_reject.c
    order = tuple(r[name] for name in _ORDER)
    keys = select(*order).where(*_where(wanted))
    if after is not None:
        keys = keys.where(tuple_(*order) > tuple_(*after))
    found = keys.order_by(*order).limit(PAGE + 1).subquery()
    its = and_(r.practice == wanted.practice, *(r[name] == found.c[name] for name in _ORDER if name != "first_run"))
    linked = and_(*(ecw_link.c[name] == r[name] for name in ("practice", "resource", "ecw_id")))
    return (
        select(
            *(r.resource, r.step, r.rule, r.column, r.ecw_id, r.reason, r.state, r.first_run, r.last_run),
            r.resolved_run,
            ecw_link.c.crm_id,
            began(wanted.practice, r.resource, r.first_run).label("since"),
        )
        .select_from(found.join(ecw_reject, its).outerjoin(ecw_link, linked))
        .order_by(*(found.c[name] for name in _ORDER))
    )


def _where(wanted: Wanted) -> list[ColumnElement[bool]]:
    r = ecw_reject.c
    found = [r.practice == wanted.practice]
    if wanted.record:  # the primary key finds it
        found += [r.resource.in_(list(RESOURCES)), r.ecw_id == wanted.record]
    found.append(r.state == wanted.state)
    exact = {"resource": wanted.resource, "step": wanted.step, "rule": wanted.rule, "column": wanted.column}
    gap = False
    for name, value in exact.items():
        if value is None or (value == "" and name != "column"):
            gap = True
            continue
        # Behind a gap, a column that is equal to a constant would make SQLite sort what its index has in order.
        found.append((func.coalesce(r[name], "") if gap else r[name]) == value)
    if wanted.run:
        found.append(or_(r.first_run == wanted.run, r.last_run == wanted.run))
    return found


def began(practice: str, resource: Any, run_id: Any) -> ColumnElement[Any]:
    """Return when a run of a pull, or of a push, began; NULL where neither is known."""
    pulled = (
        select(ecw_run.c.started_at)
        .where(ecw_run.c.practice == practice, ecw_run.c.run_id == run_id, ecw_run.c.resource == resource)
        .scalar_subquery()
    )
    pushed = (
        select(ecw_push_item.c.planned_at)
        .where(ecw_push_item.c.practice == practice, ecw_push_item.c.run_id == run_id)
        .limit(1)
        .scalar_subquery()
    )
    return func.coalesce(pulled, pushed)
