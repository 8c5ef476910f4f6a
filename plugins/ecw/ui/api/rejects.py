"""Rejects by rule, and one record's reasons; dismissed with a note.  A replay is a run of `ecw_replay`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from ecw.pull.replay import dismiss as dismissing
from ecw.reports import rejects
from ecw.reports.rejects import Group, Wanted
from ecw.ui.access import READ, REPLAY_DAG, Here, act
from ecw.ui.api import cursor as cursors
from ecw.ui.api.query import Resource, known_resource
from ecw.ui.page import crm
from ecw.ui.practice import crm_engine

router = APIRouter(dependencies=[READ])
WHOLE = "-"  # in place of a column's name
State = Literal["open", "dismissed", "resolved"]


@dataclass(frozen=True, slots=True)
class Reject:
    """One reason of one record; `since` is when the run that found it first began."""

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
    """All groups of a practice, the largest first; `groups` is cut at the report's bound."""

    groups: list[Group]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of rejects; `next` is the cursor of the next one."""

    rejects: list[Reject]
    next: str | None


class Selection(BaseModel):
    """Records of one resource, by the ids under which their rejects stand."""

    practice: str = Field(min_length=1, max_length=64)
    resource: str = Field(max_length=64)
    ids: list[Annotated[str, Field(max_length=128)]] = Field(min_length=1, max_length=dismissing.MOST)


class Dismissal(Selection):
    """And why they may stay out."""

    note: str = Field(min_length=1, max_length=dismissing.MAX_NOTE)


@dataclass(frozen=True, slots=True)
class Done:
    """How many records a decision was about."""

    records: int


@router.get("/rejects/groups")
def groups(here: Here, state: State = "open", resource: Resource = "") -> Groups:
    """Return the rejects by rule and column."""
    known_resource(resource)
    with crm(here.crm) as connection:
        found = rejects.groups(connection, here.code, state)
    return Groups([one for one in found if resource in ("", one.resource)])


class Asked(BaseModel):
    """Which rejects, and where the page before ended."""

    practice: str = Field("", max_length=64, description="read by `Here`")
    state: State = "open"
    resource: str = Field("", max_length=64)
    step: str = Field("", max_length=64)
    rule: str = Field("", max_length=128)
    column: str = Field("", max_length=128, description="`-`: about the whole record")
    run: str = Field("", max_length=250)
    record: str = Field("", max_length=128)
    cursor: str = Field("", max_length=1_000)


@router.get("/rejects")
def page(here: Here, asked: Annotated[Asked, Query()]) -> Page:
    """Return a page of rejects."""
    known_resource(asked.resource)
    wanted = Wanted(
        practice=here.code,
        state=asked.state,
        resource=asked.resource,
        step=asked.step,
        rule=asked.rule,
        column=_column(asked.column),
        run=asked.run,
        record=asked.record,
    )
    with crm(here.crm) as connection:
        found = rejects.page(connection, wanted, cursors.after(asked.cursor, 6))
    return Page([Reject(**one) for one in found.rejects], cursors.cursor(found.next))


def _column(name: str) -> str | None:
    return None if not name else "" if name == WHOLE else name


@router.post("/rejects/dismiss", dependencies=act(REPLAY_DAG))
def dismiss(here: Here, asked: Dismissal, user: GetUserDep) -> Done:
    """Dismiss the open rejects of records, with a note."""
    known_resource(asked.resource)
    with crm_engine(here.crm) as engine:
        by, ids = user.get_name(), asked.ids
        return Done(dismissing.dismiss(engine, here.code, asked.resource, ids, by, asked.note))


@router.post("/rejects/reopen", dependencies=act(REPLAY_DAG))
def reopen(here: Here, asked: Selection, user: GetUserDep) -> Done:
    """Open dismissed rejects again."""
    known_resource(asked.resource)
    with crm_engine(here.crm) as engine:
        return Done(dismissing.reopen(engine, here.code, asked.resource, asked.ids, user.get_name()))
