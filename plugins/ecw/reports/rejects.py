"""The quarantine by rule, and the records of one rule: counts, ids and reasons, no values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select, tuple_

from ecw.crm.db.enums import RejectState, RejectStep
from ecw.crm.db.tables import ecw_link, ecw_push_item, ecw_reject, ecw_run
from ecw.resources import RESOURCES

PAGE = 50
MOST_GROUPS = 500


@dataclass(frozen=True, slots=True)
class Group:
    """The rejects of one rule and column: the number of records, and the time of the oldest reject."""

    resource: str
    step: str
    rule: str
    column: str
    records: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class RejectFilter:
    """A filter of rejects; an empty field filters nothing."""

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
    if any(row.step == RejectStep.PUSH for row in rows):
        pushed = {tuple(key): at for *key, at in connection.execute(_pushed(practice, state))}
    return [
        Group(resource, step, rule, column, int(total), oldest or pushed.get((resource, rule, column)))
        for resource, step, rule, column, total, oldest in rows
    ]


def groups_statement(practice: str, state: str) -> Select[Any]:
    """Return the statement of `groups`: it reads the index ecw_reject_groups only."""
    r = ecw_reject.c
    key = (r.resource, r.step, r.rule, r.column)
    # Grouped by run first, so that a run's time is read once and not for each of its rejects.
    runs = (
        select(*key, r.first_run, func.count().label("records"))
        .where(r.practice == practice, r.state == state)
        .group_by(*key, r.first_run)
        .subquery()
    )
    c, run = runs.c, ecw_run.c
    first_run = and_(run.practice == practice, run.run_id == c.first_run, run.resource == c.resource)
    total = func.sum(c.records).label("total")
    return (
        select(c.resource, c.step, c.rule, c.column, total, func.min(run.started_at))
        .select_from(runs.outerjoin(ecw_run, first_run))
        .group_by(c.resource, c.step, c.rule, c.column)
        .order_by(total.desc(), c.resource, c.step, c.rule, c.column)
        .limit(MOST_GROUPS)
    )


def _pushed(practice: str, state: str) -> Select[Any]:
    """Return the statement of the groups that a push rejected, each with the time of its oldest push run."""
    r, item = ecw_reject.c, ecw_push_item.c
    of_pushes = (r.practice == practice, r.state == state, r.resource.in_(list(RESOURCES)), r.step == RejectStep.PUSH)
    runs = select(r.resource, r.rule, r.column, r.first_run).where(*of_pushes).distinct().subquery()
    c = runs.c
    began_at = (
        select(item.planned_at).where(item.practice == practice, item.run_id == c.first_run).limit(1).scalar_subquery()
    )
    return select(c.resource, c.rule, c.column, func.min(began_at)).group_by(c.resource, c.rule, c.column)


def page(connection: Connection, criteria: RejectFilter, after: tuple[str, ...] | None = None) -> Page:
    """Return PAGE rejects after the last one of the previous page, each with its record's CRM id and its time."""
    rows = [dict(row) for row in connection.execute(page_statement(criteria, after)).mappings()]
    rejects = rows[:PAGE]
    last = rejects[-1] if len(rows) > PAGE else None
    return Page(rejects, tuple(last[name] for name in _ORDER) if last else None)


_ORDER = ("resource", "step", "rule", "column", "first_run", "ecw_id")


def page_statement(criteria: RejectFilter, after: tuple[str, ...] | None = None) -> Select[Any]:
    """Return the statement of `page`: for every filter an index finds the page's keys, and only those rows are read."""
    r = ecw_reject.c
    order = tuple(r[name] for name in _ORDER)
    keys = select(*order).where(*_where(criteria))
    if after is not None:
        keys = keys.where(tuple_(*order) > tuple_(*after))
    in_page = keys.order_by(*order).limit(PAGE + 1).subquery()
    its = and_(r.practice == criteria.practice, *(r[name] == in_page.c[name] for name in _ORDER if name != "first_run"))
    linked = and_(*(ecw_link.c[name] == r[name] for name in ("practice", "resource", "ecw_id")))
    return (
        select(
            *(r.resource, r.step, r.rule, r.column, r.ecw_id, r.reason, r.state, r.first_run, r.last_run),
            r.resolved_run,
            ecw_link.c.crm_id,
            began(criteria.practice, r.resource, r.first_run).label("since"),
        )
        .select_from(in_page.join(ecw_reject, its).outerjoin(ecw_link, linked))
        .order_by(*(in_page.c[name] for name in _ORDER))
    )


def _where(criteria: RejectFilter) -> list[ColumnElement[bool]]:
    r = ecw_reject.c
    conditions = [r.practice == criteria.practice]
    if criteria.record:  # the primary key finds it
        conditions += [r.resource.in_(list(RESOURCES)), r.ecw_id == criteria.record]
    conditions.append(r.state == criteria.state)
    exact = {"resource": criteria.resource, "step": criteria.step, "rule": criteria.rule, "column": criteria.column}
    gap = False
    for name, value in exact.items():
        if value is None or (value == "" and name != "column"):
            gap = True
            continue
        # After a column without a filter, `column = constant` would make SQLite sort rows that its index has in order.
        conditions.append((func.coalesce(r[name], "") if gap else r[name]) == value)
    if criteria.run:
        conditions.append(or_(r.first_run == criteria.run, r.last_run == criteria.run))
    return conditions


def began(practice: str, resource: Any, run_id: Any) -> ColumnElement[Any]:
    """Return an SQL expression: when a pull run or a push run began; NULL if the run is unknown."""
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
