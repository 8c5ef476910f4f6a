"""Conflicts and held matches: what waits, both sides side by side, and a person's decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from ecw.crm.state.conflicts import Field as ConflictField
from ecw.practice.client import client_for
from ecw.push import review
from ecw.reports import reviews
from ecw.reports.reviews import Conflict, ConflictGroup, Match
from ecw.settings import connections
from ecw.ui.access import PUSH_DAG, READ, READ_DAG, VALUES, Here, act, from_this_page
from ecw.ui.api import cursor as cursors
from ecw.ui.api.query import Cursor, Resource, Word, known_resource
from ecw.ui.page import crm
from ecw.ui.practice import side_of

router = APIRouter(dependencies=[READ])
MOST = 200  # fields of one decision
Text = Annotated[str, Field(max_length=128)]


@dataclass(frozen=True, slots=True)
class Conflicts:
    """The columns that wait, and a page of fields."""

    groups: list[ConflictGroup]
    conflicts: list[Conflict]
    next: str | None


@dataclass(frozen=True, slots=True)
class Matches:
    """A page of held matches."""

    matches: list[Match]
    next: str | None


@dataclass(frozen=True, slots=True)
class Value:
    """One column on both sides: patient data."""

    column: str
    label: str
    crm: Any
    emr: dict[str, Any]
    differs: bool


@dataclass(frozen=True, slots=True)
class Sides:
    """A record of the CRM beside those of eCW, as they are now."""

    columns: list[Value]
    ecw_ids: list[str]
    missing: list[str]


class Record(BaseModel):
    """Which record of the CRM, beside which of eCW."""

    practice: str = Field(min_length=1, max_length=64)
    resource: str = Field("patient", max_length=64)
    crm_id: Text
    ecw_ids: list[Text] = Field(max_length=10)


class Winner(BaseModel):
    """One field, by its record and column."""

    resource: str = Field(max_length=64)
    crm_id: Text
    column: Text


class Winners(BaseModel):
    """The side that counts, for one field or for several that are alike."""

    practice: str = Field(min_length=1, max_length=64)
    winner: Literal["crm", "emr"]
    fields: list[Winner] = Field(min_length=1, max_length=MOST)


class Decision(BaseModel):
    """What a held patient is: an eCW id, new, leave; of a link that is in doubt: same, unlink."""

    practice: str = Field(min_length=1, max_length=64)
    crm_id: Text
    choice: Text


@dataclass(frozen=True, slots=True)
class Done:
    """How many choices were taken, and which run does them."""

    decided: int
    dag: str


@router.get("/conflicts")
def conflicts(here: Here, resource: Resource = "", column: Word = "", cursor: Cursor = "") -> Conflicts:
    """Return the fields that wait for a choice."""
    known_resource(resource)
    with crm(here.crm) as connection:
        groups = reviews.conflict_groups(connection, here.code)
        found = reviews.conflicts(connection, here.code, resource, column, cursors.after(cursor, 3))
    return Conflicts(groups, found.items, cursors.cursor(found.next))


@router.get("/matches")
def matches(here: Here, cursor: Cursor = "") -> Matches:
    """Return the patients that are held."""
    with crm(here.crm) as connection:
        found = reviews.matches(connection, here.code, cursors.after(cursor, 1))
    return Matches(found.items, cursors.cursor(found.next))


# POST: an address with ids in it would stand in logs, and each call costs the practice's quota.
@router.post("/sides", dependencies=[Depends(from_this_page), VALUES])
def sides(here: Here, asked: Record) -> Sides:
    """Read both sides now and compare them; nothing of it is kept."""
    known_resource(asked.resource)
    with side_of(here, asked.resource) as (side, conn_id):
        client = client_for(connections.get(conn_id), "manual", side.engine)
        found = review.sides(side, client, asked.crm_id, asked.ecw_ids)
    columns = [Value(one.column, one.label, one.crm, dict(one.emr), one.differs) for one in found.columns]
    return Sides(columns, list(found.ecw_ids), list(found.missing))


@router.post("/conflicts/choose", dependencies=act(PUSH_DAG))
def choose_winner(here: Here, asked: Winners, user: GetUserDep) -> Done:
    """Choose the side that counts; the first field that waits for no choice ends it, with those before it done."""
    with side_of(here) as (side, _):
        for one in asked.fields:
            field = ConflictField(here.code, one.resource, one.crm_id, one.column)
            review.choose_winner(side, field, asked.winner, user.get_name())
    return Done(len(asked.fields), here.dag_id(PUSH_DAG if asked.winner == "crm" else READ_DAG))


@router.post("/matches/choose", dependencies=act(PUSH_DAG))
def choose_match(here: Here, asked: Decision, user: GetUserDep) -> Done:
    """Say who a held patient is; the next push does it."""
    by = user.get_name()
    with side_of(here) as (side, conn_id):
        if asked.choice == "same":
            review.same_person(side, client_for(connections.get(conn_id), "manual", side.engine), asked.crm_id, by)
        elif asked.choice == "unlink":
            review.unlink(side, conn_id, asked.crm_id, by)
        else:
            review.choose_match(side, asked.crm_id, asked.choice, by)
    return Done(1, here.dag_id(PUSH_DAG))
