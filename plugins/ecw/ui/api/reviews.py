"""Conflicts and held patients: what waits for a decision, the values of both sides, and the decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from ecw.crm.state.conflicts import Field as ConflictField
from ecw.models import RunType
from ecw.practice.client import client_for
from ecw.push import review
from ecw.reports import reviews
from ecw.reports.reviews import Conflict, ConflictGroup, Match
from ecw.settings import connections
from ecw.ui.access import PUSH_DAG, READ, READ_DAG, VALUES, Here, act, from_this_page
from ecw.ui.api import cursor as cursors
from ecw.ui.page import crm
from ecw.ui.practice import side_of
from ecw.ui.query import Cursor, Resource, Word, known_resource

router = APIRouter(dependencies=[READ])
MOST = 200  # fields of one decision
Text = Annotated[str, Field(max_length=128)]


@dataclass(frozen=True, slots=True)
class Conflicts:
    """The columns with open conflicts, and a page of conflicts."""

    groups: list[ConflictGroup]
    conflicts: list[Conflict]
    next: str | None


@dataclass(frozen=True, slots=True)
class Matches:
    """A page of held patients."""

    matches: list[Match]
    next: str | None


@dataclass(frozen=True, slots=True)
class Value:
    """The values of one column on both sides: patient data."""

    column: str
    label: str
    crm: Any
    emr: dict[str, Any]
    differs: bool


@dataclass(frozen=True, slots=True)
class Sides:
    """A record of the CRM and those of eCW to compare it with, as they are now; `missing` are ids that eCW lacks."""

    columns: list[Value]
    ecw_ids: list[str]
    missing: list[str]


class Record(BaseModel):
    """A record of the CRM, and the records of eCW to compare it with."""

    practice: str = Field(min_length=1, max_length=64)
    resource: str = Field("patient", max_length=64)
    crm_id: Text
    ecw_ids: list[Text] = Field(max_length=10)


class Winner(BaseModel):
    """One field: its record and its column."""

    resource: str = Field(max_length=64)
    crm_id: Text
    column: Text


class Winners(BaseModel):
    """The side whose value wins, for one field or several."""

    practice: str = Field(min_length=1, max_length=64)
    winner: Literal["crm", "emr"]
    fields: list[Winner] = Field(min_length=1, max_length=MOST)


class Decision(BaseModel):
    """A decision about a held patient: an eCW id, `new` or `leave`; for a linked patient, `same` or `unlink`."""

    practice: str = Field(min_length=1, max_length=64)
    crm_id: Text
    choice: Text


@dataclass(frozen=True, slots=True)
class Done:
    """The number of recorded choices, and the DAG that applies them."""

    decided: int
    dag: str


@router.get("/conflicts")
def conflicts(here: Here, resource: Resource = "", column: Word = "", cursor: Cursor = "") -> Conflicts:
    """Return the fields that wait for a choice."""
    known_resource(resource)
    with crm(here.crm) as connection:
        groups = reviews.conflict_groups(connection, here.code)
        page = reviews.conflicts(connection, here.code, resource, column, cursors.after(cursor, 3))
    return Conflicts(groups, page.items, cursors.cursor(page.next))


@router.get("/matches")
def matches(here: Here, cursor: Cursor = "") -> Matches:
    """Return the held patients."""
    with crm(here.crm) as connection:
        page = reviews.matches(connection, here.code, cursors.after(cursor, 1))
    return Matches(page.items, cursors.cursor(page.next))


# POST, not GET: ids in an address would be written to access logs, and each call uses the practice's quota.
@router.post("/sides", dependencies=[Depends(from_this_page), VALUES])
def sides(here: Here, body: Record) -> Sides:
    """Read both sides now and compare them; no value is stored."""
    known_resource(body.resource)
    with side_of(here, body.resource) as (side, conn_id):
        client = client_for(connections.get(conn_id), RunType.MANUAL, side.engine)
        compared = review.sides(side, client, body.crm_id, body.ecw_ids)
    columns = [Value(one.column, one.label, one.crm, dict(one.emr), one.differs) for one in compared.columns]
    return Sides(columns, list(compared.ecw_ids), list(compared.missing))


@router.post("/conflicts/choose", dependencies=act(PUSH_DAG))
def choose_winner(here: Here, body: Winners, user: GetUserDep) -> Done:
    """Choose the side whose value wins, for each field.

    A field without an open conflict is an error; the choices for the fields before it are kept.
    """
    with side_of(here) as (side, _):
        for one in body.fields:
            field = ConflictField(here.code, one.resource, one.crm_id, one.column)
            review.choose_winner(side, field, body.winner, user.get_name())
    return Done(len(body.fields), here.dag_id(PUSH_DAG if body.winner == "crm" else READ_DAG))


@router.post("/matches/choose", dependencies=act(PUSH_DAG))
def choose_match(here: Here, body: Decision, user: GetUserDep) -> Done:
    """Decide who a held patient is; the next push applies it."""
    by = user.get_name()
    with side_of(here) as (side, conn_id):
        if body.choice == "same":
            review.same_person(side, client_for(connections.get(conn_id), RunType.MANUAL, side.engine), body.crm_id, by)
        elif body.choice == "unlink":
            review.unlink(side, conn_id, body.crm_id, by)
        else:
            review.choose_match(side, body.crm_id, body.choice, by)
    return Done(1, here.dag_id(PUSH_DAG))
