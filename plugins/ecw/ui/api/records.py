"""A record's story: the search by an id, number or name, the record's history, and its related records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from ecw.reports import find_records, related, story
from ecw.reports.find_records import Found
from ecw.reports.related import Related
from ecw.reports.story import Story
from ecw.resources import RESOURCES
from ecw.ui.access import READ, VALUES, Here, from_this_page
from ecw.ui.page import crm
from ecw.ui.practice import mappings_for
from ecw.ui.query import RecordId, Resource, known_resource

router = APIRouter(dependencies=[READ])


@dataclass(frozen=True, slots=True)
class Records:
    """The records found, at most `find_records.MOST`."""

    records: list[Found]


@dataclass(frozen=True, slots=True)
class Relations:
    """The records that a record refers to, and those that refer to it."""

    related: list[Related]


class Text(BaseModel):
    """A number or a name, or its beginning: patient data, so it is sent in a body and never in an address."""

    practice: str = Field(min_length=1, max_length=64)
    resource: str = Field("", max_length=64)
    text: Annotated[str, Field(min_length=2, max_length=128)]


@router.get("/records")
def by_id(here: Here, id: RecordId, resource: Resource = "") -> Records:
    """Find records by an id of either side."""
    known_resource(resource)
    with crm(here.crm) as connection:
        return Records(find_records.by_id(connection, here.code, id, resource) if id.strip() else [])


@router.post("/records/search", dependencies=[Depends(from_this_page), VALUES])
def by_value(here: Here, body: Text) -> Records:
    """Find records by an MR number or a name."""
    known_resource(body.resource)
    here.required()
    mappings = mappings_for(here, [body.resource] if body.resource else list(RESOURCES))
    with crm(here.crm) as connection:
        return Records(find_records.by_value(connection, here.code, body.text, mappings))


@router.get("/records/story")
def tell(here: Here, resource: Resource, ecw_id: RecordId = "", crm_id: RecordId = "") -> Story:
    """Return the history of one record."""
    with crm(here.crm) as connection:
        return story.tell(connection, here.code, _one(connection, here.code, resource, ecw_id, crm_id))


@router.get("/records/related")
def relations(here: Here, resource: Resource, ecw_id: RecordId = "", crm_id: RecordId = "") -> Relations:
    """Return the records related to one record, such as the policies and encounters of a patient."""
    mappings = mappings_for(here, list(RESOURCES))
    with crm(here.crm) as connection:
        record = _one(connection, here.code, resource, ecw_id, crm_id)
        return Relations(related.related(connection, here.code, record, mappings))


def _one(connection: Connection, practice: str, resource: str, ecw_id: str, crm_id: str) -> Found:
    name = known_resource(resource)
    if name is None or not (ecw_id or crm_id):
        raise HTTPException(400, "Name the resource, and the record's ecw_id or crm_id.")
    for one in find_records.by_id(connection, practice, ecw_id or crm_id, name):
        if (ecw_id and one.ecw_id == ecw_id) or (crm_id and one.crm_id == crm_id):
            return one
    return Found(name, ecw_id or None, crm_id or None)
