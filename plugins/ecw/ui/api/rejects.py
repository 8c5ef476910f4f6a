"""Rejects by rule, single rejects, and their dismissal with a note.  A replay is a run of the DAG `ecw_replay`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from ecw.pull.replay import dismiss as dismissing
from ecw.reports import rejects
from ecw.reports.rejects import Group, RejectFilter
from ecw.ui.access import READ, REPLAY_DAG, Here, act
from ecw.ui.api import cursor as cursors
from ecw.ui.page import crm
from ecw.ui.practice import crm_engine
from ecw.ui.query import Resource, known_resource

router = APIRouter(dependencies=[READ])
WHOLE = "-"  # in place of a column's name: the reject is about the whole record
State = Literal["open", "dismissed", "resolved"]


@dataclass(frozen=True, slots=True)
class Reject:
    """One reason of one record; `since` is when the run began that first rejected the record for it."""

    resource: str
    ecw_id: str
    crm_id: str | None
    step: str
    rule: str
    column: str
    reason: str
    state: str
    first_run: str
    last_run: str
    resolved_run: str | None
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of a practice, the largest first, at most `rejects.MOST_GROUPS`."""

    groups: list[Group]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of rejects; `next` is the cursor of the next page."""

    rejects: list[Reject]
    next: str | None


class Selection(BaseModel):
    """Records of one resource, by the ids of their rejects: an eCW id, or `crm:<CRM id>` for a reject of the push."""

    practice: str = Field(min_length=1, max_length=64)
    resource: str = Field(max_length=64)
    ids: list[Annotated[str, Field(max_length=128)]] = Field(min_length=1, max_length=dismissing.MOST)


class Dismissal(Selection):
    """A selection of records, and a note why they may stay rejected."""

    note: str = Field(min_length=1, max_length=dismissing.MAX_NOTE)


@dataclass(frozen=True, slots=True)
class Done:
    """The number of records that a decision changed."""

    records: int


@router.get("/rejects/groups")
def groups(here: Here, state: State = "open", resource: Resource = "") -> Groups:
    """Return the rejects by rule and column."""
    known_resource(resource)
    with crm(here.crm) as connection:
        all_groups = rejects.groups(connection, here.code, state)
    return Groups([group for group in all_groups if resource in ("", group.resource)])


class PageQuery(BaseModel):
    """The filters of rejects, and the cursor of the page."""

    practice: str = Field("", max_length=64, description="The practice's code")  # read by `Here`
    state: State = "open"
    resource: str = Field("", max_length=64)
    step: str = Field("", max_length=64)
    rule: str = Field("", max_length=128)
    column: str = Field("", max_length=128, description="`-`: rejects of the whole record")
    run: str = Field("", max_length=250)
    record: str = Field("", max_length=128)
    cursor: str = Field("", max_length=1_000)


@router.get("/rejects")
def page(here: Here, query: Annotated[PageQuery, Query()]) -> Page:
    """Return a page of rejects."""
    known_resource(query.resource)
    criteria = RejectFilter(
        practice=here.code,
        state=query.state,
        resource=query.resource,
        step=query.step,
        rule=query.rule,
        column=_column(query.column),
        run=query.run,
        record=query.record,
    )
    with crm(here.crm) as connection:
        rows = rejects.page(connection, criteria, cursors.after(query.cursor, 6))
    return Page([Reject(**one) for one in rows.rejects], cursors.cursor(rows.next))


def _column(name: str) -> str | None:
    return None if not name else "" if name == WHOLE else name


@router.post("/rejects/dismiss", dependencies=act(REPLAY_DAG))
def dismiss(here: Here, body: Dismissal, user: GetUserDep) -> Done:
    """Dismiss the open rejects of records, with a note."""
    known_resource(body.resource)
    with crm_engine(here.crm) as engine:
        return Done(dismissing.dismiss(engine, here.code, body.resource, body.ids, user.get_name(), body.note))


@router.post("/rejects/reopen", dependencies=act(REPLAY_DAG))
def reopen(here: Here, body: Selection, user: GetUserDep) -> Done:
    """Open dismissed rejects again."""
    known_resource(body.resource)
    with crm_engine(here.crm) as engine:
        return Done(dismissing.reopen(engine, here.code, body.resource, body.ids, user.get_name()))
